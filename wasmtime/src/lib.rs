//! Measures what the passes do to components and modules in Wasmtime.
//!
//! The Wasmtime that this is linked with is the patched one. A component is
//! compiled in three [variants](variant), run in turns, and compared;
//! a core module is compiled with the passes off and on.

pub mod clif;
pub mod component;
pub mod counter;
pub mod edits;
pub mod host;
pub mod hot;
pub mod module;
pub mod samples;
pub mod variant;

use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

/// Reads a file of either format.
///
/// # Errors
///
/// A file that cannot be read, or text that is not WebAssembly.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(wat::Parser::new()
        .parse_bytes(Some(path), &bytes)?
        .into_owned())
}
