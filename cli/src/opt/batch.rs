//! Functions that belong together, on both sides of the comparison.

use crate::complaint::Complaint;
use crate::functions;
use anyhow::{Context as _, Result};
use cranelift_codegen::Context;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_memopt::remarks::Explained;
use memopt_check::CheckedStats;
use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// The functions of one input.
pub struct Batch {
    /// The name of the input.
    pub file: String,
    /// What they are compiled for.
    pub isa: OwnedTargetIsa,
    /// What is known about each function, in the order of the input.
    pub subjects: Vec<Subject>,
    /// What is odd about the input, and no reason to refuse it.
    pub notes: Vec<Complaint>,
    /// As stock Cranelift leaves them.
    pub stock: Stock,
    /// As the passes leave them.
    pub memopt: Vec<Context>,
}

/// One function of a [`Batch`].
pub struct Subject {
    /// Its name for the compiler.
    pub symbol: String,
    /// Its name where it comes from, if that is another.
    pub name: Option<String>,
    /// Where its policy comes from; `none` if it has none.
    pub policy: String,
    /// What the passes did to it, and whether that is proven.
    pub stats: CheckedStats,
    /// Why, if somebody wants to know.
    pub explained: Option<Explained>,
}

/// The functions as stock Cranelift leaves them.
///
/// A WebAssembly module has thousands, and the passes need all of theirs in
/// memory. These stay where Wasmtime wrote them and are read one at a time.
pub enum Stock {
    /// In memory.
    Kept(Vec<Context>),
    /// In files, in a directory that is removed with this.
    Written(TempDir, Vec<PathBuf>),
}

impl Stock {
    /// The function at `index`.
    ///
    /// # Errors
    ///
    /// A file that can no longer be read.
    pub fn get(&self, index: usize) -> Result<Cow<'_, Function>> {
        match self {
            Self::Kept(contexts) => Ok(Cow::Borrowed(&contexts[index].func)),
            Self::Written(_, files) => {
                let text = fs::read_to_string(&files[index])?;
                Ok(Cow::Owned(parse_one(&text)?))
            }
        }
    }
}

/// Parses CLIF text that holds one function.
///
/// # Errors
///
/// What the reader refuses; text without a function.
pub fn parse_one(text: &str) -> Result<Function> {
    let functions = cranelift_reader::parse_functions(text)?;
    functions.into_iter().next().context("no function in it")
}

impl Subject {
    /// All names of the function.
    pub fn label(&self) -> String {
        match &self.name {
            None => self.symbol.clone(),
            Some(name) => format!("{}, {name}", self.symbol),
        }
    }
}

impl Batch {
    /// Does the input hold CLIF, so that its output can too?
    pub fn is_text(&self) -> bool {
        matches!(self.stock, Stock::Kept(_))
    }

    /// Verifies what the passes left: a function that is shown is a valid one.
    ///
    /// # Errors
    ///
    /// The first function that the verifier refuses.
    pub fn verify(&self) -> Result<()> {
        functions::verify(self.memopt.iter().map(|ctx| &ctx.func), &*self.isa)
            .context("after the passes")
    }
}
