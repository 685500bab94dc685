//! What a call does: the embedder's word, and what bodies tell.

pub mod effects;
pub mod from_body;
pub mod params;
pub mod region_set;
pub mod summary;
