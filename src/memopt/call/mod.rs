//! What a call does: the embedder's word, and what bodies tell.

pub mod effects;
pub mod extent;
pub mod from_body;
mod overwritten;
pub mod params;
pub mod region_set;
pub mod summary;
