//! From a [`Context`] to machine code, with the passes in.
//!
//! | you have | call |
//! |---|---|
//! | a `Context`, and go on yourself | [`optimize`] |
//! | one `Context` after the other | [`optimize_in`] |
//! | a `Context`, past the mid-end already | [`run`] |
//! | a `Context`, and want machine code | [`Compiler::compile`] |
//! | functions that call each other | [`optimize_module`] |
//! | the same, past the mid-end already | [`run_module`] |
//! | functions that come in batches | [`optimize_batch`] |
//! | a `cranelift_module::Module` (JIT, object file) | `define_functions`, `define_batch` |
//!
//! [`Context::compile`] runs the mid-end itself and has no hook behind it, so
//! calling it after [`optimize`] is right but pays for the mid-end twice.

mod batch;
mod callgraph;
mod compile;
mod error;
#[cfg(feature = "module")]
mod module;

pub use batch::{
    optimize_batch, optimize_module, optimize_module_with, run_module, run_module_with,
};
pub use compile::{Compiler, alignment};
pub use error::FunctionError;
#[cfg(feature = "module")]
pub use module::{Cause, DefineError, Defined, Handover, define_batch, define_functions};

use crate::control::ControlPlane;
use crate::isa::TargetIsa;
use crate::memopt::call::effects::Policy;
use crate::memopt::workarounds::one_region::{Tags, needs_one_region};
use crate::memopt::{self, Effort, Observer, Options, Scratch, Stats};
use crate::settings::OptLevel;
use crate::{CodegenResult, Context};
use cranelift_codegen::timing;

/// What `callgraph.rs` uses of other rooms.
mod names {
    pub(super) use crate::ir::{Function, InstructionData};
    pub(super) use crate::memopt::TargetFacts;
    pub(super) use crate::memopt::call::effects::{CalleeName, Policy, Summary};
    pub(super) use crate::memopt::call::from_body::{Summaries, WithSummaries, summarize};
    pub(super) use crate::{Context, FxHashMap};
    pub(super) use alloc::vec;
    pub(super) use alloc::vec::Vec;
}

/// On which side of upstream's mid-end the passes are.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before it: [`memopt::run_before()`].
    Before,
    /// Behind it: [`memopt::run()`].
    Behind,
}

impl Phase {
    /// Runs the passes of this phase.
    ///
    /// Cost: that of [`memopt::run_before()`] or [`memopt::run()`].
    ///
    /// # Errors
    ///
    /// Those of [`memopt::run_before()`] and [`memopt::run()`].
    pub fn run<'a>(
        self,
        ctx: &'a mut Context,
        isa: &'a dyn TargetIsa,
        policy: &'a dyn Policy,
        options: &'a Options,
        observer: Option<&'a mut dyn Observer>,
    ) -> CodegenResult<Stats> {
        self.run_in(
            ctx,
            isa,
            policy,
            (options, observer),
            &mut Scratch::default(),
        )
    }

    /// The same, in the lists that the last run has left.
    ///
    /// Cost: that of [`Self::run`].
    ///
    /// # Errors
    ///
    /// Those of [`Self::run`].
    pub fn run_in<'a>(
        self,
        ctx: &'a mut Context,
        isa: &'a dyn TargetIsa,
        policy: &'a dyn Policy,
        (options, observer): (&'a Options, Option<&'a mut dyn Observer>),
        scratch: &mut Scratch,
    ) -> CodegenResult<Stats> {
        // A timer costs more than the look at a function that is not looked into, and to move
        // statistics costs more than to make them.
        if let Some(skipped) = memopt::skipped(&ctx.func, isa, policy, options) {
            return Ok(match self {
                Self::Before => Stats::default(),
                Self::Behind => skipped.stats(),
            });
        }
        let _timed = timing::gvn();
        match self {
            Self::Before => memopt::run_before_in(ctx, isa, policy, options, observer, scratch),
            Self::Behind => memopt::run_in(ctx, isa, policy, options, observer, scratch),
        }
    }
}

/// Optimizes one function: locals in stack slots become values, then upstream's mid-end, then
/// the other passes of this crate.
///
/// What other functions do is known from `policy` alone; see
/// [`optimize_module`] for functions that call each other. If `isa` has
/// `opt_level=none`, as it has by default, the passes of this crate do nothing, and
/// [`Stats::skipped_by_opt_level`] says so.
///
/// Cost: one mid-end and [`run`].
///
/// # Errors
///
/// What [`Context::optimize`] and the verifier report.
///
/// # Examples
///
/// ```
/// use cranelift_codegen::settings::{self, Configurable};
/// use cranelift_codegen::{Context, isa};
/// use cranelift_memopt::{NoPolicy, Options, optimize};
///
/// let mut flags = settings::builder();
/// flags.set("opt_level", "speed")?; // With "none" nothing runs.
/// let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
/// # let clif = "function %f() -> i32 {
/// #     ss0 = explicit_slot 4
/// # block0:
/// #     v0 = stack_addr.i64 ss0
/// #     v1 = iconst.i32 7
/// #     store notrap aligned v1, v0
/// #     v2 = load.i32 notrap aligned v0
/// #     return v2
/// # }";
/// # let func = cranelift_reader::parse_functions(clif)?.remove(0);
/// // `func` keeps a local in a stack slot: it stores 7, loads it, and returns it.
/// let mut ctx = Context::for_function(func);
/// let stats = optimize(&mut ctx, &*isa, &NoPolicy, &Options::default())?;
/// assert!(stats.edits() > 0, "{stats}");
/// assert!(!ctx.func.to_string().contains("store"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn optimize(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
) -> CodegenResult<Stats> {
    optimize_in(ctx, isa, policy, options, &mut Scratch::default())
}

/// [`optimize`] for whoever compiles one function after the other: in the lists that the last
/// run has left in `scratch`, so that the passes allocate next to nothing.
///
/// The result does not depend on what has been in `scratch`.
///
/// Cost: that of [`optimize`], without its allocations.
///
/// # Errors
///
/// Those of [`optimize`].
///
/// # Examples
///
/// ```
/// # use cranelift_codegen::settings::{self, Configurable};
/// # use cranelift_codegen::{Context, isa};
/// use cranelift_memopt::{NoPolicy, Options, Scratch, optimize_in};
/// # let mut flags = settings::builder();
/// # flags.set("opt_level", "speed")?;
/// # let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
/// # let clif = "function %f() -> i32 {
/// #     ss0 = explicit_slot 4
/// # block0:
/// #     v0 = stack_addr.i64 ss0
/// #     v1 = iconst.i32 7
/// #     store notrap aligned v1, v0
/// #     v2 = load.i32 notrap aligned v0
/// #     return v2
/// # }";
/// # let functions = cranelift_reader::parse_functions(clif)?;
/// let mut scratch = Scratch::default();
/// for func in functions {
///     let mut ctx = Context::for_function(func);
///     optimize_in(&mut ctx, &*isa, &NoPolicy, &Options::default(), &mut scratch)?;
/// #   assert!(!ctx.func.to_string().contains("store"));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn optimize_in(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
    scratch: &mut Scratch,
) -> CodegenResult<Stats> {
    both_phases(
        ctx,
        isa,
        policy,
        options,
        (&mut ControlPlane::default(), scratch),
    )
}

/// The passes before the mid-end, the mid-end, and the passes behind it.
#[inline]
fn both_phases(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
    (control, scratch): (&mut ControlPlane, &mut Scratch),
) -> CodegenResult<Stats> {
    // Most functions are left alone, and each is told by one look before the mid-end, which leaves
    // what a function declares as it is: its slots, regions and flags.
    if options.effort == Effort::Gated
        && let Some(skipped) = memopt::skipped(&ctx.func, isa, policy, options)
        && !needs_one_region(&ctx.func, policy)
    {
        ctx.optimize(isa, control)?;
        return Ok(skipped.stats());
    }
    around_mid_end(ctx, isa, policy, options, (control, scratch))
}

/// The same for a function that may not be left alone.
#[inline(never)]
fn around_mid_end(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
    (control, scratch): (&mut ControlPlane, &mut Scratch),
) -> CodegenResult<Stats> {
    let mut stats = Phase::Before.run_in(ctx, isa, policy, (options, None), scratch)?;
    mid_end(ctx, isa, policy, control, has_graph(ctx, &stats))?;
    let options = options.behind(stats.applied);
    stats += &Phase::Behind.run_in(ctx, isa, policy, (&options, None), scratch)?;
    Ok(stats)
}

/// The passes of this crate alone, on a function that upstream's mid-end has been over.
///
/// `ctx` is as [`Context::optimize`] leaves it, or freshly filled: its graph and dominator
/// tree are those of the function, or not computed. They are valid afterwards. Upstream's
/// egraph pass runs once more if `options` allow it and an edit gave it something new.
///
/// Cost: O(instructions + edges) a round, with named limits that
/// [`Stats::limits_hit`] counts; a function that [`Options::effort`] does not look at costs
/// O(slots + regions). [`cranelift_codegen::timing`] has no entry for passes that it does not
/// know: there the time stands under `gvn`, which upstream has no pass for any more.
///
/// # Errors
///
/// What the verifier says, if `isa` has it enabled.
///
/// # Examples
///
/// ```
/// # use cranelift_codegen::settings::{self, Configurable};
/// # use cranelift_codegen::{Context, isa};
/// # use cranelift_memopt::{NoPolicy, Options, run};
/// # let mut flags = settings::builder();
/// # flags.set("opt_level", "speed")?;
/// # let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
/// # let clif = "function %f(i32) {
/// #     ss0 = explicit_slot 4
/// # block0(v0: i32):
/// #     v1 = stack_addr.i64 ss0
/// #     store notrap aligned v0, v1
/// #     return
/// # }";
/// # let func = cranelift_reader::parse_functions(clif)?.remove(0);
/// // `func` stores into a slot that nobody reads.
/// let mut ctx = Context::for_function(func);
/// ctx.optimize(&*isa, &mut Default::default())?;
/// let stats = run(&mut ctx, &*isa, &NoPolicy, &Options::default())?;
/// assert_eq!(stats.freed_slots, 1, "{stats}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
) -> CodegenResult<Stats> {
    Phase::Behind.run(ctx, isa, policy, options, None)
}

/// Have the passes before the mid-end, which have done this, left graph and dominator tree?
pub(crate) fn has_graph(ctx: &Context, stats: &Stats) -> bool {
    stats.applied > 0 && ctx.cfg.is_valid() && ctx.domtree.is_valid()
}

/// [`Context::optimize`], which does not get to see regions where they would
/// mislead it. `has_graph`: are graph and dominator tree at hand?
pub(crate) fn mid_end(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    control: &mut ControlPlane,
    has_graph: bool,
) -> CodegenResult<()> {
    let is_optimized = isa.flags().opt_level() != OptLevel::None;
    let tags = is_optimized
        .then(|| Tags::take(&mut ctx.func, policy))
        .flatten();
    let outcome = match has_graph && is_optimized {
        true => optimize_with_graph(ctx, isa, control),
        false => ctx.optimize(isa, control),
    };
    if let Some(tags) = tags {
        tags.put_back(&mut ctx.func);
    }
    outcome
}

/// The steps of [`Context::optimize`] for a function whose graph and dominator tree are at hand,
/// but for those that compute them.
fn optimize_with_graph(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    control: &mut ControlPlane,
) -> CodegenResult<()> {
    if isa.flags().enable_nan_canonicalization() {
        ctx.canonicalize_nans(isa)?;
    }
    ctx.verify_if(isa)?;
    ctx.eliminate_unreachable_code(isa)?;
    ctx.remove_constant_phis(isa)?;
    ctx.func.dfg.resolve_all_aliases();
    ctx.egraph_pass(isa, control)
}
