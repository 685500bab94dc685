//! The optimizations. Each looks at a function and returns edits; [`apply`]
//! alone changes it.

pub mod apply;
pub mod branches;
pub mod compares;
pub mod dead_code;
pub mod dead_stores;
pub mod known_values;
pub mod unused_slots;
