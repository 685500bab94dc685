//! Why functions were not defined, with the functions.

use crate::Context;
use crate::pipeline::error::Entries;
use core::fmt;
use cranelift_codegen::CodegenError;
use cranelift_module::{DataId, FuncId, ModuleError};
use std::prelude::v1::*;

/// Why [`define_functions`](super::define_functions) stopped, and at which function.
pub struct DefineError {
    /// The id that was given for the function.
    pub id: FuncId,
    /// Its linkage name; empty if the module does not know the id.
    pub symbol: String,
    /// What is wrong with it.
    pub cause: Cause,
    /// The functions that were handed in, in their order, to be defined in another manner or
    /// to be mended. Each is as the frontend made it or optimized, and means the same; only
    /// the one that the verifier, the mid-end or the back end refuses may be half-way.
    pub functions: Vec<(FuncId, Context)>,
    /// So many of `functions`, from the first, are defined in the module.
    pub defined: usize,
}

/// What is wrong with a function that was to be defined.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The module has declared no function with this id.
    NotDeclared,
    /// The function is declared as an import, so its body is elsewhere.
    Imported,
    /// The set has two bodies for this id.
    TwoBodies,
    /// The function refers to a name, given here as in CLIF, under which the
    /// module has declared nothing.
    UnknownName(String),
    /// The function takes this data object for thread-local and the module
    /// does not, or the other way round.
    ThreadLocal(DataId),
    /// The function has exception handlers, and [`Handover::Bytes`](super::Handover::Bytes) would lose
    /// their table.
    ExceptionHandlers,
    /// The module defined the function and, against what `cranelift_module`
    /// promises, did not leave the code in the context.
    CodeNotKept,
    /// Verifier, mid-end, or back end.
    Codegen(CodegenError),
    /// The module refused the definition.
    Module(Box<ModuleError>),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDeclared => f.write_str("the module has not declared it"),
            Self::Imported => f.write_str("it is declared as an import"),
            Self::TwoBodies => f.write_str("it was given two bodies"),
            Self::UnknownName(name) => write!(
                f,
                "it refers to `{name}`, and the module has declared nothing of that name"
            ),
            Self::ThreadLocal(data) => write!(
                f,
                "it and the module disagree on whether {data} is thread-local"
            ),
            Self::ExceptionHandlers => f.write_str(
                "it has exception handlers, and a definition by bytes cannot carry their table",
            ),
            Self::CodeNotKept => f.write_str("the module did not hand its code back"),
            Self::Codegen(error) => Entries(error).fmt(f),
            Self::Module(error) => match &**error {
                ModuleError::Compilation(error) => Entries(error).fmt(f),
                error => error.fmt(f),
            },
        }
    }
}

impl fmt::Display for DefineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id, symbol, cause, ..
        } = self;
        write!(f, "cannot define {id} `{symbol}`: {cause}")
    }
}

impl fmt::Debug for DefineError {
    /// Without the functions, which are long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("DefineError");
        debug.field("id", &self.id).field("symbol", &self.symbol);
        debug.field("cause", &self.cause);
        debug.field("defined", &self.defined);
        debug.finish_non_exhaustive()
    }
}

impl std::error::Error for DefineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Codegen(error) => Some(error),
            Cause::Module(error) => Some(&**error),
            Cause::NotDeclared
            | Cause::Imported
            | Cause::TwoBodies
            | Cause::UnknownName(_)
            | Cause::ThreadLocal(_)
            | Cause::ExceptionHandlers
            | Cause::CodeNotKept => None,
        }
    }
}
