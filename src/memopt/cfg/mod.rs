//! The control-flow graph as dense numbers, in both directions, and dominance.

pub mod dominance;
pub mod edit;
pub mod flow;
pub mod graph;
pub mod lists;
pub mod trapping;
