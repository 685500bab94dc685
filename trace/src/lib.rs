//! The oracle.
//!
//! [`machine::run`] runs CLIF functions and records their [`trace::Trace`]:
//! what the outside can observe.

#![deny(missing_docs)]

pub mod arith;
pub mod layout;
pub mod machine;
pub mod memory;
pub mod noise;
pub mod trace;
pub mod world;
pub mod compare;
pub mod generate;
pub mod shrink;
