//! What the `memopt` program is made of.
//!
//! [`filetest`] runs `.clif` files as tests, in the format that Cranelift's
//! own filetests have, [`opt`] shows what the passes do to CLIF and to
//! WebAssembly and [`explain`] why, [`bisect`] finds the edit that breaks a command, [`fuzz`]
//! has the oracle test them, and [`export`] puts them into upstream's sources. The modules beside them each know one thing: where in a
//! file something went wrong, how to choose a target, how to lower a function.
//!
//! It is a library so that `cargo test` runs the same code as the program.

#![deny(missing_docs)]

pub mod bisect;
pub mod clif;
pub mod complaint;
pub mod diff;
pub mod explain;
pub mod export;
pub mod filetest;
pub mod functions;
pub mod fuzz;
pub mod guard;
pub mod lower;
pub mod manual;
pub mod numbers;
pub mod opt;
pub mod passes;
pub mod policies;
pub mod target;
