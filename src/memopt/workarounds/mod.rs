//! What guards against defects of Cranelift, to be deleted with them.
//!
//! | defect | guard |
//! |---|---|
//! | the alias analysis is wrong about accesses without a region | [`one_region`] |
//! | the egraph pass panics, or removes atomics | [`defects`] |
//! | the egraph pass leaves branches that share a list of arguments | [`egraph`] |
//! | nothing says that memory is written by the world at any time | [`egraph`] |
//!
//! `docs/upstream-findings.md` has an input for each.

pub mod defects;
pub mod egraph;
pub mod one_region;
