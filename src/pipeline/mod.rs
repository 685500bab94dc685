//! From a [`Context`] to machine code, with the passes in.
//!
//! | where you are | what to call |
//! |---|---|
//! | a `Context`, and the rest of the way is yours | [`optimize`] |
//! | a `Context`, and you want machine code | [`Compiler::compile`] |
//! | many functions that call each other | [`optimize_module`] |
//! | the same, past the mid-end already | [`run_module`] |
//! | a `cranelift_module::Module` (JIT, object file) | `define_functions` (feature `module`) |
//!
//! [`Context::compile`] runs the mid-end itself and has no hook behind it, so
//! calling it after [`optimize`] is right but pays for the mid-end twice.

mod callgraph;
mod compile;
#[cfg(feature = "module")]
mod module;

pub use compile::{Compiler, compile};
#[cfg(feature = "module")]
pub use module::{Cause, DefineError, Defined, Handover, define_functions};

use crate::control::ControlPlane;
use crate::isa::TargetIsa;
use crate::memopt::call::effects::Policy;
use crate::memopt::workarounds::one_region::Tags;
use crate::memopt::{self, Options, Stats, TargetFacts};
use crate::settings::OptLevel;
use crate::{CodegenError, CodegenResult, Context};
use alloc::vec;
use alloc::vec::Vec;
use callgraph::{CallGraph, Turn};

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

/// Optimizes one function: upstream's mid-end, then the passes of this crate.
///
/// What other functions do is known from `policy` alone; see
/// [`optimize_module`] for functions that call each other. With
/// `opt_level=none` the passes of this crate change nothing.
///
/// # Errors
///
/// What [`Context::optimize`] and the verifier report.
pub fn optimize(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
) -> CodegenResult<Stats> {
    mid_end(ctx, isa, policy, &mut ControlPlane::default())?;
    memopt::run(ctx, isa, policy, options)
}

/// Optimizes functions that may call each other, callees first, so that a
/// call to one of them is as transparent as its body lets it be.
///
/// `policy_of` gives the policy for the function at an index. Two functions
/// of one name have no summary. The order of `contexts` makes no difference to
/// the result.
///
/// # Errors
///
/// The first error of [`optimize`], with the index of its function; functions
/// optimized before it stay so.
pub fn optimize_module<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
) -> Result<Vec<Stats>, (usize, CodegenError)> {
    optimize_module_with(contexts, isa, policy_of, |_, ctx, policy| {
        memopt::run(ctx, isa, policy, options)
    })
}

/// [`optimize_module`] with `run` in the place of [`memopt::run`]; it is told the
/// index of the function. A function of a call cycle is run more than once.
///
/// # Errors
///
/// The first error of the mid-end or of `run`, with the index of its function.
pub fn optimize_module_with<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    mut run: impl FnMut(usize, &mut Context, &dyn Policy) -> CodegenResult<Stats>,
) -> Result<Vec<Stats>, (usize, CodegenError)> {
    bottom_up(contexts, isa, policy_of, |index, turn, ctx, policy| {
        if turn == Turn::First {
            mid_end(ctx, isa, policy, &mut ControlPlane::default())?;
        }
        run(index, ctx, policy)
    })
}

/// [`optimize_module`] for functions that upstream's mid-end has been over
/// already, as it leaves them.
///
/// # Errors
///
/// As [`optimize_module`].
pub fn run_module<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
) -> Result<Vec<Stats>, (usize, CodegenError)> {
    run_module_with(contexts, isa, policy_of, |_, ctx, policy| {
        memopt::run(ctx, isa, policy, options)
    })
}

/// [`run_module`] with `run` in the place of [`memopt::run`], as in
/// [`optimize_module_with`].
///
/// # Errors
///
/// The first error of `run`, with the index of its function.
pub fn run_module_with<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    mut run: impl FnMut(usize, &mut Context, &dyn Policy) -> CodegenResult<Stats>,
) -> Result<Vec<Stats>, (usize, CodegenError)> {
    bottom_up(contexts, isa, policy_of, |index, _, ctx, policy| {
        // Lowering wants both, also where there is nothing to optimize.
        ctx.flowgraph();
        run(index, ctx, policy)
    })
}

/// [`Context::optimize`], which does not get to see regions where they would
/// mislead it.
fn mid_end(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    control: &mut ControlPlane,
) -> CodegenResult<()> {
    let is_optimized = isa.flags().opt_level() != OptLevel::None;
    let tags = is_optimized
        .then(|| Tags::take(&mut ctx.func, policy))
        .flatten();
    let outcome = ctx.optimize(isa, control);
    if let Some(tags) = tags {
        tags.put_back(&mut ctx.func);
    }
    outcome
}

fn bottom_up<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    mut one: impl FnMut(usize, Turn, &mut Context, &dyn Policy) -> CodegenResult<Stats>,
) -> Result<Vec<Stats>, (usize, CodegenError)> {
    let graph = CallGraph::new(contexts.iter().map(|ctx| &ctx.func));
    let mut stats = vec![Stats::default(); contexts.len()];
    let target = TargetFacts::of(isa);
    let left = graph.bottom_up(contexts, policy_of, target, |index, turn, ctx, policy| {
        let more = one(index, turn, ctx, policy).map_err(|error| (index, error))?;
        stats[index].add(&more);
        Ok(())
    })?;
    for index in left {
        stats[index].limits_hit += 1;
    }
    Ok(stats)
}
