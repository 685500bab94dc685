//! `memopt export`: puts the passes into the sources of Cranelift and
//! Wasmtime.
//!
//! `glue/` holds a series of patches as data: files of this repository to copy,
//! and lines to place at anchors in upstream's files. Here they are read
//! ([`series`]), placed ([`anchor`], [`apply`]) into sources that cargo or git
//! has brought ([`sources`], [`registry`]), and written as a tree ([`tree`]) or
//! as patches for `git am` ([`mail`]).
//!
//! Everything is placed in memory first; if one anchor does not hold, nothing
//! is written.

mod command;

pub mod anchor;
pub mod apply;
pub mod mail;
pub mod registry;
pub mod series;
pub mod sources;
pub mod tree;

pub use command::{Arguments, run};
