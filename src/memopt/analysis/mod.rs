//! What the function does: its graph, its memory, and the versions of both.

pub mod conditions;
pub mod dominance;
pub mod graph;
pub mod links;
pub mod memory;
pub mod pairs;
pub mod reaching;
pub mod slots;
pub mod upcoming;
pub mod values;
pub mod versions;
