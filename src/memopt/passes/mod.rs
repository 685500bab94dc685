//! The core's optimizations. Each looks at a function and returns edits;
//! [`apply`](crate::memopt::apply) alone changes it.

pub mod branches;
pub mod coalesced_slots;
pub mod combined_loads;
pub mod compares;
pub mod constant_params;
pub mod dead_code;
pub mod dead_cycles;
pub mod dead_slots;
pub mod dead_stores;
pub mod load_store_elim;
pub mod merged_stores;
pub mod recomputed;
pub mod shared_slots;
pub mod shrunk_slots;
mod slot_lives;
pub mod trimmed_stores;
pub mod uses;
