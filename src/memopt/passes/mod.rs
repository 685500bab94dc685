//! The optimizations. Each looks at a function and returns edits; [`apply`]
//! alone changes it.

pub mod apply;
pub mod branches;
pub mod compares;
pub mod constant_params;
pub mod dead_code;
pub mod dead_stores;
pub mod empty_blocks;
pub mod independent;
pub mod known_values;
pub mod partly_redundant;
pub mod repair;
pub mod rewire;
pub mod sink_values;
pub mod sinking;
pub mod threading;
pub mod unused_params;
pub mod unused_slots;
pub mod uses;
