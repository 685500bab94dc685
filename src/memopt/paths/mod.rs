//! The wing: optimizations that tell the paths through a function apart. The
//! core does without it.

pub mod carried;
pub mod common_loads;
pub mod common_stores;
pub mod computed;
pub mod conditions;
pub mod decided;
pub mod empty_blocks;
pub mod folding;
pub mod hoisting;
pub mod invariants;
pub mod pre;
pub mod same_traps;
pub mod sink_stores;
pub mod sink_values;
pub mod ssa_repair;
pub mod straightening;
pub mod threading;
pub mod turning;
pub mod unused_params;
