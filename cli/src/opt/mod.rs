//! `memopt opt`: what the passes do to functions, beside what stock Cranelift
//! does.
//!
//! Every kind of input ends as a [`Batch`](batch::Batch): functions that may
//! call each other, as stock Cranelift leaves them and as the passes leave
//! them. [`clif`] makes one of CLIF text and [`wasm`] of a WebAssembly module
//! or component (with the feature `wasm`); [`measure`] counts, and [`show`] writes.

pub mod batch;
pub mod clif;
pub mod command;
#[cfg(feature = "wasm")]
pub mod engine;
pub mod input;
#[cfg(feature = "wasm")]
pub mod limits;
pub mod measure;
#[cfg(feature = "wasm")]
pub mod names;
#[cfg(feature = "wasm")]
pub mod origin;
pub mod progress;
pub mod show;
pub mod summary;
#[cfg_attr(not(feature = "wasm"), path = "without_wasm.rs")]
pub mod wasm;

pub use command::{Arguments, run};
