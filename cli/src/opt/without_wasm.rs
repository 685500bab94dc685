//! What the program says to WebAssembly if it is built without its feature `wasm`.

use crate::complaint::Complaint;
use crate::opt::batch::Batch;
use crate::opt::command::Choices;
use crate::opt::progress::Progress;
use anyhow::{Result, bail, ensure};

const WHY: &str = "this `memopt` was built without its feature `wasm`";

/// Translates nothing.
///
/// # Errors
///
/// Always.
pub fn assemble(name: &str, _text: &str) -> Result<Vec<u8>, Complaint> {
    Err(Complaint::of_file(name, WHY))
}

/// Compiles nothing.
///
/// # Errors
///
/// Always.
pub fn batch(_: &str, _: Vec<u8>, _: &Choices, _: &Progress) -> Result<Batch> {
    bail!(WHY)
}

/// There are no options.
///
/// # Errors
///
/// An option.
pub fn check_options(options: &[String]) -> Result<()> {
    ensure!(options.is_empty(), WHY);
    Ok(())
}
