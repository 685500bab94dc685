//! To be dissolved.
pub mod links;
