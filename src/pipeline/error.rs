//! Errors that say what is wrong, entry by entry.

use crate::CodegenError;
use alloc::string::{String, ToString};
use core::fmt;

/// An error about one function of several.
#[derive(Debug)]
pub struct FunctionError<E = CodegenError> {
    /// The position of the function among those that were given.
    pub index: usize,
    /// What is wrong with it.
    pub error: E,
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function {}: {}", self.index, Entries(&self.error))
    }
}

impl core::error::Error for FunctionError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// A [`CodegenError`] with its entries, which it does not display itself.
pub(crate) struct Entries<'a>(pub &'a CodegenError);

impl fmt::Display for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CodegenError::Verifier(errors) = self.0 else {
            return self.0.fmt(f);
        };
        f.write_str("the verifier refuses it: ")?;
        let entries: alloc::vec::Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        f.write_str(&entries.join("; "))
    }
}
