//! Functions of a `cranelift_module::Module`, optimized together.
//!
//! [`Module::define_function`] takes one function and compiles it on the spot,
//! so nothing that a callee's body tells could reach its callers. Here the
//! functions come as one set, are optimized as a set, and are defined at the
//! end: none of them unless all of them compile (with [`Handover::Bytes`]).
//!
//! # Names
//!
//! In a module a function is called by its [`FuncId`], as `u0:<id>`, whatever
//! its own [`func.name`](cranelift_codegen::ir::Function::name) is; many
//! frontends leave that at `u0:0`. [`optimize_module`] tells functions apart by
//! their name, so each gets the one that its callers use.
//!
//! A function of [`Linkage::Preemptible`] may be replaced at link time, and
//! then its body here says nothing of what a call does. For the time of the
//! optimization it gets a name in a namespace of its own, `u4294967295:<id>`.
//! No call can use such a name, because every name that a function refers to
//! has been checked before to be that of a declared function (namespace 0) or
//! data object (namespace 1). So calls of it, its own included, go to `u0:<id>`
//! and find no body. What its own callees do is still known inside of it.

use super::{Compiler, optimize_module};
use crate::Context;
use crate::ir::{ExternalName, Function, GlobalValueData, UserFuncName};
use crate::memopt::call::effects::Policy;
use crate::memopt::{Options, Stats};
use core::fmt;
use cranelift_codegen::{CodegenError, CompiledCode};
use cranelift_module::{
    DataId, FuncId, Linkage, Module, ModuleDeclarations, ModuleError, ModuleReloc,
};
use std::collections::HashSet;
use std::prelude::v1::*;

/// The namespace of functions, of data, and of functions that nobody calls.
const FUNCTIONS: u32 = 0;
const DATA: u32 = 1;
const NOBODY: u32 = u32::MAX;

/// How the module gets a function. There is no default, since what is right
/// depends on the module, and a `dyn Module` does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// As machine code, by [`Module::define_function_bytes`]. Upstream's
    /// mid-end runs once.
    ///
    /// The interface takes bytes and relocations. Traps, user stack maps,
    /// source locations and unwind instructions are in [`Defined::code`], where
    /// [`Module::define_function`] would leave them in the context. What that
    /// method gives to the module besides has no way through bytes:
    /// - exception handlers, which a `JITModule` with its feature
    ///   `wasmtime-unwinder` registers: refused, [`Cause::ExceptionHandlers`];
    /// - frame descriptions, which an `ObjectModule` writes if its builder was
    ///   told `unwind_info(true)`. Nothing here can see whether it was; such a
    ///   module needs [`Handover::Context`].
    Bytes,
    /// As a context, by [`Module::define_function`], which carries all that the
    /// module can take. Upstream's mid-end runs a second time, on the result
    /// of the passes. That costs compile time and changes no meaning.
    Context,
}

/// A function that the module has now.
pub struct Defined {
    /// Its id in the module.
    pub id: FuncId,
    /// The context that was handed in. Its function is optimized and is named
    /// `u0:<id>`.
    pub ctx: Context,
    /// The machine code and all that belongs to it.
    pub code: CompiledCode,
    /// What the passes did to it.
    pub stats: Stats,
}

/// Why [`define_functions`] stopped, and at which function.
#[derive(Debug)]
pub struct DefineError {
    /// The id that was given for the function.
    pub id: FuncId,
    /// Its linkage name; empty if the module does not know the id.
    pub symbol: String,
    /// What is wrong with it.
    pub cause: Cause,
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
    /// The function has exception handlers, and [`Handover::Bytes`] would lose
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
            Self::Codegen(error) => error.fmt(f),
            Self::Module(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for DefineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, symbol, cause } = self;
        write!(f, "cannot define {id} `{symbol}`: {cause}")
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

/// Optimizes `functions` together, so that a call from one to another is as
/// transparent as the callee's body lets it be, then compiles each and defines
/// it in `module`. Returns them in the order they came in.
///
/// The functions have to be as the frontend made them, declared in `module`,
/// with their final linkage: declaring one [`Linkage::Preemptible`] afterwards
/// would come too late. Functions that are not in the set may be declared,
/// called, and defined in any other way; calls of them are opaque unless
/// `policy` speaks of them, which it does by `u0:<id>`.
///
/// Costs [`optimize_module`] and one back end for each function; with
/// [`Handover::Context`] a second mid-end as well. All the machine code is in
/// memory at once.
///
/// # Errors
///
/// See [`Cause`]. With [`Handover::Bytes`] the module is unchanged by an error,
/// except that functions before the one of a [`Cause::Module`] are defined. With
/// [`Handover::Context`] the same holds for a [`Cause::Codegen`] that only the
/// second mid-end or the back end met.
pub fn define_functions(
    module: &mut dyn Module,
    functions: Vec<(FuncId, Context)>,
    policy: &dyn Policy,
    options: &Options,
    handover: Handover,
) -> Result<Vec<Defined>, DefineError> {
    check(module.declarations(), &functions)?;
    let (ids, mut contexts): (Vec<_>, Vec<_>) = functions.into_iter().unzip();

    for (id, ctx) in ids.iter().zip(&mut contexts) {
        let linkage = module.declarations().get_function_decl(*id).linkage;
        ctx.func.name = UserFuncName::user(namespace_for(linkage), id.as_u32());
    }
    let stats = optimize_module(&mut contexts, module.isa(), &|_| policy, options)
        .map_err(|(index, error)| fail(module.declarations(), ids[index], Cause::Codegen(error)))?;
    for (id, ctx) in ids.iter().zip(&mut contexts) {
        ctx.func.name = UserFuncName::user(FUNCTIONS, id.as_u32());
    }

    let define = match handover {
        Handover::Bytes => define_bytes,
        Handover::Context => define_contexts,
    };
    let codes = define(module, &ids, &mut contexts)?;
    let parts = ids.into_iter().zip(contexts).zip(codes).zip(stats);
    Ok(parts
        .map(|(((id, ctx), code), stats)| Defined {
            id,
            ctx,
            code,
            stats,
        })
        .collect())
}

/// The namespace that a function's name has while [`optimize_module`] reads it;
/// see the head of this file.
fn namespace_for(linkage: Linkage) -> u32 {
    if linkage.is_final() {
        FUNCTIONS
    } else {
        NOBODY
    }
}

/// Compiles all functions, and defines them once all of them have passed.
fn define_bytes(
    module: &mut dyn Module,
    ids: &[FuncId],
    contexts: &mut [Context],
) -> Result<Vec<CompiledCode>, DefineError> {
    let mut compiler = Compiler::new();
    let mut codes = Vec::with_capacity(ids.len());
    for (id, ctx) in ids.iter().zip(&mut *contexts) {
        let code = compiler
            .emit(ctx, module.isa())
            .map_err(Cause::Codegen)
            .and_then(fits_in_bytes)
            .map_err(|cause| fail(module.declarations(), *id, cause))?;
        codes.push(code);
    }
    let least = u64::from(module.isa().function_alignment().minimum);
    for ((id, ctx), code) in ids.iter().zip(contexts).zip(&codes) {
        // Names were checked, so the conversion meets none that it cannot turn.
        let relocs: Vec<_> = code
            .buffer
            .relocs()
            .iter()
            .map(|reloc| ModuleReloc::from_mach_reloc(reloc, &ctx.func, *id))
            .collect();
        let alignment = u64::from(code.buffer.alignment).max(least);
        module
            .define_function_bytes(*id, alignment, code.code_buffer(), &relocs)
            .map_err(|error| fail(module.declarations(), *id, Cause::Module(Box::new(error))))?;
    }
    Ok(codes)
}

/// Refuses machine code of which [`Module::define_function_bytes`] would drop
/// what no one could put back. The code is asked and not the CLIF, since a
/// `try_call` whose callee cannot unwind may have lost its handlers.
fn fits_in_bytes(code: CompiledCode) -> Result<CompiledCode, Cause> {
    let mut sites = code.buffer.call_sites();
    if sites.any(|site| !site.exception_handlers.is_empty()) {
        return Err(Cause::ExceptionHandlers);
    }
    drop(sites);
    Ok(code)
}

/// Lets the module compile each function.
fn define_contexts(
    module: &mut dyn Module,
    ids: &[FuncId],
    contexts: &mut [Context],
) -> Result<Vec<CompiledCode>, DefineError> {
    let mut codes = Vec::with_capacity(ids.len());
    for (id, ctx) in ids.iter().zip(contexts) {
        let cause = match module.define_function(*id, ctx) {
            Ok(()) => match ctx.take_compiled_code() {
                Some(code) => {
                    codes.push(code);
                    continue;
                }
                None => Cause::CodeNotKept,
            },
            Err(ModuleError::Compilation(error)) => Cause::Codegen(error),
            Err(error) => Cause::Module(Box::new(error)),
        };
        return Err(fail(module.declarations(), *id, cause));
    }
    Ok(codes)
}

/// Checks what can be known before any work is done.
fn check(
    declarations: &ModuleDeclarations,
    functions: &[(FuncId, Context)],
) -> Result<(), DefineError> {
    let declared = Declared::of(declarations);
    let mut seen = HashSet::with_capacity(functions.len());
    for (id, ctx) in functions {
        let known = id.as_u32() < declared.functions;
        let cause = if !known {
            Some(Cause::NotDeclared)
        } else if !declarations.get_function_decl(*id).linkage.is_definable() {
            Some(Cause::Imported)
        } else if !seen.insert(*id) {
            Some(Cause::TwoBodies)
        } else {
            declared.check_names(declarations, &ctx.func).err()
        };
        if let Some(cause) = cause {
            let symbol = if known {
                symbol(declarations, *id)
            } else {
                String::new()
            };
            return Err(DefineError {
                id: *id,
                symbol,
                cause,
            });
        }
    }
    Ok(())
}

/// How many ids of each kind the module has given out. Looking one up that it
/// has not panics.
struct Declared {
    functions: u32,
    data: u32,
}

impl Declared {
    fn of(declarations: &ModuleDeclarations) -> Self {
        let last_function = declarations.get_functions().map(|(id, _)| id.as_u32());
        let last_data = declarations.get_data_objects().map(|(id, _)| id.as_u32());
        Self {
            functions: last_function.max().map_or(0, |id| id + 1),
            data: last_data.max().map_or(0, |id| id + 1),
        }
    }

    /// Checks every function and symbol that `func` declares, used or not.
    fn check_names(&self, declarations: &ModuleDeclarations, func: &Function) -> Result<(), Cause> {
        for callee in func.dfg.ext_funcs.values() {
            self.check_name(func, &callee.name)?;
        }
        for global in func.global_values.values() {
            let GlobalValueData::Symbol { name, tls, .. } = global else {
                continue;
            };
            if let Some(data) = self.check_name(func, name)?
                && declarations.get_data_decl(data).tls != *tls
            {
                return Err(Cause::ThreadLocal(data));
            }
        }
        Ok(())
    }

    /// Checks that the module can resolve `name`; tells if it is that of data.
    fn check_name(&self, func: &Function, name: &ExternalName) -> Result<Option<DataId>, Cause> {
        let unknown = || {
            let text = name.display(Some(&func.params)).to_string();
            Err(Cause::UnknownName(text))
        };
        match name {
            ExternalName::LibCall(_) | ExternalName::KnownSymbol(_) => Ok(None),
            ExternalName::TestCase(_) => unknown(),
            ExternalName::User(user) => match func.params.user_named_funcs().get(*user) {
                Some(user) if user.namespace == FUNCTIONS && user.index < self.functions => {
                    Ok(None)
                }
                Some(user) if user.namespace == DATA && user.index < self.data => {
                    Ok(Some(DataId::from_u32(user.index)))
                }
                _ => unknown(),
            },
        }
    }
}

fn symbol(declarations: &ModuleDeclarations, id: FuncId) -> String {
    let declaration = declarations.get_function_decl(id);
    declaration.linkage_name(id).into_owned()
}

fn fail(declarations: &ModuleDeclarations, id: FuncId, cause: Cause) -> DefineError {
    DefineError {
        id,
        symbol: symbol(declarations, id),
        cause,
    }
}
