//! `memopt opt`: what the passes do to functions, beside what stock Cranelift
//! does.
//!
//! Every kind of input ends as a [`Batch`](batch::Batch): functions that may
//! call each other, as stock Cranelift leaves them and as the passes leave
//! them. [`clif`] makes one of CLIF text and [`wasm`] of a WebAssembly module
//! or component; [`measure`] counts, and [`show`] writes.

pub mod batch;
pub mod clif;
pub mod command;
pub mod engine;
pub mod input;
pub mod limits;
pub mod measure;
pub mod names;
pub mod origin;
pub mod progress;
pub mod show;
pub mod summary;
pub mod wasm;

pub use command::{Arguments, run};
