//! The text form of policies.

pub mod declared;
