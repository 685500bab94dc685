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
//! frontends leave that at `u0:0`. [`optimize_batch`] tells functions apart by
//! their name, so each gets the one that its callers use.
//!
//! A function of [`Linkage::Preemptible`] may be replaced at link time, and
//! then its body here says nothing of what a call does. For the time of the
//! optimization it gets a name in a namespace of its own, `u4294967295:<id>`.
//! No call can use such a name, because every name that a function refers to
//! has been checked before to be that of a declared function (namespace 0) or
//! data object (namespace 1). So calls of it, its own included, go to `u0:<id>`
//! and find no body. What its own callees do is still known inside of it.
//!
//! A policy may speak of a function by either name. It is asked for `u0:<id>` first, and
//! then, if it has no answer, for the name that the function was declared with, `%name`.

mod refused;

pub use refused::{Cause, DefineError};

use super::{Compiler, FunctionError, alignment, optimize_batch};
use crate::Context;
use crate::ir::{ExternalName, Function, GlobalValueData, UserFuncName};
use crate::memopt::call::effects::{CalleeName, Origin, Policy, Summary, regions_as_policy};
use crate::memopt::call::from_body::Summaries;
use crate::memopt::{Options, Stats};
use cranelift_codegen::CompiledCode;
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

impl From<FuncId> for CalleeName {
    /// The name by which functions of a module call this one, `u0:<id>`.
    fn from(id: FuncId) -> Self {
        Self::User(FUNCTIONS, id.as_u32())
    }
}

/// Optimizes `functions` together, so that a call from one to another is as
/// transparent as the callee's body lets it be, then compiles each and defines
/// it in `module`. Returns them in the order they came in.
///
/// The functions have to be as the frontend made them, declared in `module`,
/// with their final linkage: declaring one [`Linkage::Preemptible`] afterwards
/// would come too late. Functions that are not in the set may be declared,
/// called, and defined in any other manner; calls of them are opaque unless
/// `policy` speaks of them, which it does by `u0:<id>` ([`CalleeName::from`] a [`FuncId`]) or
/// by the name that they are declared with, [`CalleeName::Named`].
///
/// The module's ISA has to optimize: with `opt_level=none`, which `JITBuilder::new` has,
/// nothing runs and [`Stats::skipped_by_opt_level`] says so.
///
/// Cost: [`optimize_module`](crate::optimize_module) and one back end for each function; with
/// [`Handover::Context`] a second mid-end as well. All the machine code is in
/// memory at once.
///
/// # Errors
///
/// See [`Cause`]. The functions come back with the error. With [`Handover::Bytes`] the module
/// is unchanged by an error, except that functions before the one of a [`Cause::Module`] are
/// defined. With [`Handover::Context`] the same holds for a [`Cause::Codegen`] that only the
/// second mid-end or the back end met.
///
/// # Examples
///
/// ```
/// # use cranelift_codegen::settings::{self, Configurable};
/// use cranelift_jit::{JITBuilder, JITModule};
/// use cranelift_memopt::{Handover, NoPolicy, Options, define_functions};
/// use cranelift_module::{Linkage, Module, default_libcall_names};
///
/// // `JITBuilder::new` has opt_level=none, with which nothing would run.
/// let mut flags = settings::builder();
/// flags.set("opt_level", "speed")?;
/// let isa = cranelift_native::builder()?.finish(settings::Flags::new(flags))?;
/// let mut module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
/// # let clif = "function u0:0() -> i32 system_v {
/// #     ss0 = explicit_slot 4
/// # block0:
/// #     v0 = stack_addr.i64 ss0
/// #     v1 = iconst.i32 7
/// #     store notrap aligned v1, v0
/// #     v2 = load.i32 notrap aligned v0
/// #     return v2
/// # }";
/// # let mut func = cranelift_reader::parse_functions(clif)?.remove(0);
/// # func.signature.call_conv = module.isa().default_call_conv();
///
/// let id = module.declare_function("seven", Linkage::Export, &func.signature)?;
/// let mut ctx = module.make_context();
/// ctx.func = func;
/// let functions = vec![(id, ctx)];
/// let (policy, options) = (NoPolicy, Options::default());
/// let defined = define_functions(&mut module, functions, &policy, &options, Handover::Bytes)?;
/// println!("{}", defined[0].stats);
/// module.finalize_definitions()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn define_functions(
    module: &mut dyn Module,
    functions: Vec<(FuncId, Context)>,
    policy: &dyn Policy,
    options: &Options,
    handover: Handover,
) -> Result<Vec<Defined>, DefineError> {
    let known = &mut Summaries::default();
    define_batch(module, functions, policy, options, handover, known)
}

/// [`define_functions`] for functions that come in batches, as in a REPL or with lazy
/// compilation: what `known` says of earlier ones is used, and what is learnt of these is
/// added. One `known` belongs to one module.
///
/// Cost: that of [`define_functions`].
///
/// # Errors
///
/// Those of [`define_functions`]; then `known` says nothing of the functions of the batch.
///
/// # Examples
///
/// ```
/// # use cranelift_codegen::Context;
/// # use cranelift_memopt::{DefineError, Handover, NoPolicy, Options, Summaries, define_batch};
/// # use cranelift_module::{FuncId, Module};
/// # fn demo(
/// #     module: &mut dyn Module,
/// #     lines: Vec<Vec<(FuncId, Context)>>,
/// # ) -> Result<(), DefineError> {
/// let (policy, options) = (NoPolicy, Options::default());
/// let mut known = Summaries::default();
/// for batch in lines {
///     define_batch(module, batch, &policy, &options, Handover::Bytes, &mut known)?;
/// }
/// # Ok(())
/// # }
/// ```
pub fn define_batch(
    module: &mut dyn Module,
    functions: Vec<(FuncId, Context)>,
    policy: &dyn Policy,
    options: &Options,
    handover: Handover,
    known: &mut Summaries,
) -> Result<Vec<Defined>, DefineError> {
    let (ids, contexts): (Vec<_>, Vec<_>) = functions.into_iter().unzip();
    let mut batch = Batch {
        module,
        ids,
        contexts,
        defined: 0,
    };
    match batch.define(policy, options, handover, known) {
        Ok(compiled) => Ok(batch.into_defined(compiled)),
        Err((id, cause)) => Err(batch.into_error(id, cause, known)),
    }
}

/// What is wrong, and with which function.
type Failed = (FuncId, Cause);

/// Machine code, and what led to it, of each function.
struct Compiled {
    codes: Vec<CompiledCode>,
    stats: Vec<Stats>,
}

/// Functions on their way into a module.
struct Batch<'m> {
    module: &'m mut dyn Module,
    ids: Vec<FuncId>,
    contexts: Vec<Context>,
    /// How many of them the module has.
    defined: usize,
}

impl Batch<'_> {
    fn define(
        &mut self,
        policy: &dyn Policy,
        options: &Options,
        handover: Handover,
        known: &mut Summaries,
    ) -> Result<Compiled, Failed> {
        check(self.module.declarations(), &self.ids, &self.contexts)?;
        let stats = self.optimize(policy, options, known)?;
        let codes = match handover {
            Handover::Bytes => self.define_bytes(),
            Handover::Context => self.define_contexts(),
        }?;
        Ok(Compiled { codes, stats })
    }

    /// Optimizes the functions under the names that the module calls them by.
    fn optimize(
        &mut self,
        policy: &dyn Policy,
        options: &Options,
        known: &mut Summaries,
    ) -> Result<Vec<Stats>, Failed> {
        let Self {
            module,
            ids,
            contexts,
            ..
        } = self;
        for (id, ctx) in ids.iter().zip(&mut *contexts) {
            let linkage = module.declarations().get_function_decl(*id).linkage;
            ctx.func.name = UserFuncName::user(namespace_for(linkage), id.as_u32());
            // What a function does that may be replaced is not known by the name it is called by.
            known.forget(&CalleeName::from(*id));
        }
        let policy = ByLinkageName {
            policy,
            declarations: module.declarations(),
        };
        let isa = module.isa();
        let stats = optimize_batch(contexts, isa, &|_| &policy, options, known);
        for (id, ctx) in ids.iter().zip(contexts) {
            known.forget(&CalleeName::User(NOBODY, id.as_u32()));
            ctx.func.name = UserFuncName::user(FUNCTIONS, id.as_u32());
        }
        stats.map_err(|FunctionError { index, error }| (ids[index], Cause::Codegen(error)))
    }

    /// Compiles all functions, and defines them once all of them have passed.
    fn define_bytes(&mut self) -> Result<Vec<CompiledCode>, Failed> {
        let mut compiler = Compiler::new();
        let mut codes = Vec::with_capacity(self.ids.len());
        for (id, ctx) in self.ids.iter().zip(&mut self.contexts) {
            let code = compiler.emit(ctx, self.module.isa());
            let code = code.map_err(Cause::Codegen).and_then(fits_in_bytes);
            codes.push(code.map_err(|cause| (*id, cause))?);
        }
        for ((id, ctx), code) in self.ids.iter().zip(&self.contexts).zip(&codes) {
            // Names were checked, so the conversion meets none that it cannot turn.
            let relocs = code.buffer.relocs().iter();
            let relocs: Vec<_> = relocs
                .map(|reloc| ModuleReloc::from_mach_reloc(reloc, &ctx.func, *id))
                .collect();
            let alignment = alignment(code, self.module.isa());
            self.module
                .define_function_bytes(*id, alignment, code.code_buffer(), &relocs)
                .map_err(|error| (*id, Cause::Module(Box::new(error))))?;
            self.defined += 1;
        }
        Ok(codes)
    }

    /// Lets the module compile each function.
    fn define_contexts(&mut self) -> Result<Vec<CompiledCode>, Failed> {
        let mut codes = Vec::with_capacity(self.ids.len());
        for (id, ctx) in self.ids.iter().zip(&mut self.contexts) {
            let defined = self.module.define_function(*id, ctx);
            defined.map_err(|error| match error {
                ModuleError::Compilation(error) => (*id, Cause::Codegen(error)),
                error => (*id, Cause::Module(Box::new(error))),
            })?;
            self.defined += 1;
            codes.push(ctx.take_compiled_code().ok_or((*id, Cause::CodeNotKept))?);
        }
        Ok(codes)
    }

    fn into_defined(self, compiled: Compiled) -> Vec<Defined> {
        let Compiled { codes, stats } = compiled;
        let functions = self.ids.into_iter().zip(self.contexts);
        let parts = functions.zip(codes.into_iter().zip(stats));
        let defined = parts.map(|((id, ctx), (code, stats))| Defined {
            id,
            ctx,
            code,
            stats,
        });
        defined.collect()
    }

    /// The error, with all functions; nothing is known of them any more.
    fn into_error(self, id: FuncId, cause: Cause, known: &mut Summaries) -> DefineError {
        for id in &self.ids {
            known.forget(&CalleeName::from(*id));
        }
        DefineError {
            id,
            symbol: symbol(self.module.declarations(), id),
            cause,
            functions: self.ids.into_iter().zip(self.contexts).collect(),
            defined: self.defined,
        }
    }
}

/// A policy that is asked for the names which functions are declared with, too.
struct ByLinkageName<'a> {
    policy: &'a dyn Policy,
    declarations: &'a ModuleDeclarations,
}

impl ByLinkageName<'_> {
    /// The name with which the module has declared what functions call `name`.
    fn linkage_name(&self, name: &CalleeName) -> Option<CalleeName> {
        let CalleeName::User(FUNCTIONS, index) = name else {
            return None;
        };
        // Names were checked: this one is declared.
        let id = FuncId::from_u32(*index);
        let name = self.declarations.get_function_decl(id).name.as_ref()?;
        Some(CalleeName::Named(name.as_bytes().into()))
    }
}

impl Policy for ByLinkageName<'_> {
    fn callee(&self, name: &CalleeName) -> Option<Summary> {
        let by_id = self.policy.callee(name);
        by_id.or_else(|| self.policy.callee(&self.linkage_name(name)?))
    }

    fn indirect_callee(&self, origin: &Origin) -> Option<Summary> {
        let by_id = self.policy.indirect_callee(origin);
        by_id.or_else(|| {
            let function = self.linkage_name(origin.function.as_ref()?)?;
            self.policy.indirect_callee(&Origin {
                loads: origin.loads.clone(),
                function: Some(function),
            })
        })
    }

    regions_as_policy!();
}

/// The namespace that a function's name has while [`optimize_batch`] reads it;
/// see the head of this file.
fn namespace_for(linkage: Linkage) -> u32 {
    if linkage.is_final() {
        FUNCTIONS
    } else {
        NOBODY
    }
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

/// Checks what can be known before any work is done.
fn check(
    declarations: &ModuleDeclarations,
    ids: &[FuncId],
    contexts: &[Context],
) -> Result<(), Failed> {
    let declared = Declared::of(declarations);
    let mut seen = HashSet::with_capacity(ids.len());
    for (id, ctx) in ids.iter().zip(contexts) {
        let checked = if id.as_u32() >= declared.functions {
            Err(Cause::NotDeclared)
        } else if !declarations.get_function_decl(*id).linkage.is_definable() {
            Err(Cause::Imported)
        } else if !seen.insert(*id) {
            Err(Cause::TwoBodies)
        } else {
            declared.check_names(declarations, &ctx.func)
        };
        checked.map_err(|cause| (*id, cause))?;
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

/// The linkage name of a function; empty if the module does not know the id.
fn symbol(declarations: &ModuleDeclarations, id: FuncId) -> String {
    if id.as_u32() >= Declared::of(declarations).functions {
        return String::new();
    }
    let declaration = declarations.get_function_decl(id);
    declaration.linkage_name(id).into_owned()
}
