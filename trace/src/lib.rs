//! The oracle: what the outside can observe of CLIF, and whether optimizing
//! changes it.
//!
//! [`machine::run`] runs functions in a [`world`] that is as curious and as
//! destructive as the contract allows, and records a [`trace::Trace`].
//! [`generate`] makes random modules, [`filetests`] changes the project's own
//! ([`mutate`]), [`compare`] optimizes them and compares
//! traces, [`shrink`] makes failures small, and [`campaign`] does all of that
//! for many seeds.

#![deny(missing_docs)]

pub mod arith;
pub mod campaign;
pub mod compare;
pub mod filetests;
pub mod generate;
pub mod heap;
pub mod inputs;
pub mod layout;
pub mod machine;
pub mod memory;
pub mod mutate;
pub mod native;
pub mod nets;
pub mod noise;
pub mod shrink;
pub mod trace;
mod verdict;
pub mod world;
