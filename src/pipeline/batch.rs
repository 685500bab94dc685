//! Functions that call each other, callees first.

use super::callgraph::{CallGraph, Turn};
use super::{FunctionError, Phase, has_graph, mid_end};
use crate::control::ControlPlane;
use crate::isa::TargetIsa;
use crate::memopt::call::effects::{CalleeName, Policy};
use crate::memopt::call::from_body::Summaries;
use crate::memopt::{Options, Scratch, Stats, TargetFacts};
use crate::{CodegenError, Context};
use alloc::vec;
use alloc::vec::Vec;

/// Optimizes functions that may call each other, callees first, so that a
/// call to one of them is as transparent as its body lets it be.
///
/// `policy_of` gives the policy for the function at an index. Functions are told apart by
/// their [`name`](cranelift_codegen::ir::Function::name): two of one name have no summary.
/// The order of `contexts` makes no difference to the result.
///
/// Cost: [`optimize`](super::optimize) and one summary a function; a function of a call cycle is run more
/// than once, within a named limit.
///
/// # Errors
///
/// The first error of [`optimize`](super::optimize), with its function; functions optimized before it stay
/// so.
///
/// # Examples
///
/// ```
/// # use cranelift_codegen::settings::{self, Configurable};
/// # use cranelift_codegen::{Context, isa};
/// use cranelift_memopt::{NoPolicy, Options, Stats, optimize_module};
/// # let mut flags = settings::builder();
/// # flags.set("opt_level", "speed")?;
/// # let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
/// # let clif = "function u0:0(i64) {
/// # block0(v0: i64):
/// #     return
/// # }
/// # function u0:1(i64, i32) {
/// #     region0 = 1 \"mine\"
/// #     fn0 = u0:0(i64)
/// # block0(v0: i64, v1: i32):
/// #     store notrap aligned region0 v1, v0
/// #     call fn0(v0)
/// #     v2 = iadd v1, v1
/// #     store notrap aligned region0 v2, v0
/// #     return
/// # }";
/// # let functions = cranelift_reader::parse_functions(clif)?.into_iter();
/// # let mut contexts: Vec<Context> = functions.map(Context::for_function).collect();
///
/// // `u0:1` stores, calls `u0:0`, which does nothing, and stores again to the same place.
/// let stats = optimize_module(&mut contexts, &*isa, &|_| &NoPolicy, &Options::full())?;
/// let all: Stats = stats.iter().sum();
/// assert_eq!(all.dead_stores, 1, "{all}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn optimize_module<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
) -> Result<Vec<Stats>, FunctionError> {
    optimize_batch(contexts, isa, policy_of, options, &mut Summaries::default())
}

/// [`optimize_module`] for functions that come in batches, as in a REPL or with lazy
/// compilation: what `known` says of earlier ones is used, and what is learnt of these is
/// added.
///
/// A name that the batch has a body for is forgotten first. If it had another one before,
/// code that was compiled with that one's summary has to be compiled again.
///
/// Cost: that of [`optimize_module`].
///
/// # Errors
///
/// Those of [`optimize_module`]; then `known` says nothing of the functions of the batch.
///
/// # Examples
///
/// ```
/// # use cranelift_codegen::settings::{self, Configurable};
/// # use cranelift_codegen::{Context, isa};
/// use cranelift_memopt::{CalleeName, NoPolicy, Options, Summaries, optimize_batch};
/// # let mut flags = settings::builder();
/// # flags.set("opt_level", "speed")?;
/// # let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
/// # let clif = "function u0:7() {
/// # block0:
/// #     return
/// # }";
/// # let functions = cranelift_reader::parse_functions(clif)?.into_iter();
/// # let mut contexts: Vec<Context> = functions.map(Context::for_function).collect();
///
/// let mut known = Summaries::default();
/// optimize_batch(&mut contexts, &*isa, &|_| &NoPolicy, &Options::default(), &mut known)?;
/// assert!(known.get(&CalleeName::User(0, 7)).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn optimize_batch<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
    known: &mut Summaries,
) -> Result<Vec<Stats>, FunctionError> {
    let mut made = vec![0; contexts.len()];
    let mut scratch = Scratch::default();
    let one = |index: usize, phase: Phase, ctx: &mut Context, policy: &dyn Policy| {
        let options = options.behind(made[index]);
        let stats = phase.run_in(ctx, isa, policy, (&options, None), &mut scratch)?;
        if phase == Phase::Before {
            made[index] = stats.applied;
        }
        Ok::<_, CodegenError>(stats)
    };
    optimize_batch_with(contexts, isa, policy_of, known, one)
}

/// [`optimize_module`] with `run` in the place of [`Phase::run`]; it is told the
/// index of the function. What is behind the mid-end runs more than once for a function of a
/// call cycle.
///
/// Cost: that of [`optimize_module`], with that of `run`.
///
/// # Errors
///
/// The first error of the mid-end or of `run`, with its function.
#[doc(hidden)]
pub fn optimize_module_with<'p, E: From<CodegenError>>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    run: impl FnMut(usize, Phase, &mut Context, &dyn Policy) -> Result<Stats, E>,
) -> Result<Vec<Stats>, FunctionError<E>> {
    optimize_batch_with(contexts, isa, policy_of, &mut Summaries::default(), run)
}

fn optimize_batch_with<'p, E: From<CodegenError>>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    known: &mut Summaries,
    mut run: impl FnMut(usize, Phase, &mut Context, &dyn Policy) -> Result<Stats, E>,
) -> Result<Vec<Stats>, FunctionError<E>> {
    bottom_up(
        contexts,
        isa,
        policy_of,
        known,
        |index, turn, ctx, policy| {
            let mut stats = Stats::default();
            if turn == Turn::First {
                stats = run(index, Phase::Before, ctx, policy)?;
                let control = &mut ControlPlane::default();
                mid_end(ctx, isa, policy, control, has_graph(ctx, &stats))?;
            }
            stats += &run(index, Phase::Behind, ctx, policy)?;
            Ok(stats)
        },
    )
}

/// [`optimize_module`] for functions that upstream's mid-end has been over
/// already, as it leaves them.
///
/// Cost: [`run`](super::run) and one summary a function, as in [`optimize_module`].
///
/// # Errors
///
/// As [`optimize_module`].
///
/// # Examples
///
/// ```
/// # use cranelift_codegen::settings::{self, Configurable};
/// # use cranelift_codegen::{Context, isa};
/// # use cranelift_memopt::{NoPolicy, Options, run_module};
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
/// # let functions = cranelift_reader::parse_functions(clif)?.into_iter();
/// # let mut contexts: Vec<Context> = functions.map(Context::for_function).collect();
/// // A function stores into a slot that nobody reads.
/// for ctx in &mut contexts {
///     ctx.optimize(&*isa, &mut Default::default())?;
/// }
/// let stats = run_module(&mut contexts, &*isa, &|_| &NoPolicy, &Options::full())?;
/// assert_eq!(stats[0].freed_slots, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run_module<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
) -> Result<Vec<Stats>, FunctionError> {
    let mut scratch = Scratch::default();
    run_module_with(contexts, isa, policy_of, |_, ctx, policy| {
        Phase::Behind.run_in(ctx, isa, policy, (options, None), &mut scratch)
    })
}

/// [`run_module`] with `run` in the place of [`run`](super::run), as in
/// [`optimize_module_with`].
///
/// Cost: that of [`run_module`], with that of `run`.
///
/// # Errors
///
/// The first error of `run`, with its function.
#[doc(hidden)]
pub fn run_module_with<'p, E: From<CodegenError>>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    mut run: impl FnMut(usize, &mut Context, &dyn Policy) -> Result<Stats, E>,
) -> Result<Vec<Stats>, FunctionError<E>> {
    let known = &mut Summaries::default();
    bottom_up(contexts, isa, policy_of, known, |index, _, ctx, policy| {
        // Lowering wants both, also where there is nothing to optimize.
        ctx.flowgraph();
        run(index, ctx, policy)
    })
}

/// Visits functions callees first; what is known of them goes to `known`.
///
/// # Errors
///
/// The first of `one`, with its function; then nothing is known of any of them.
fn bottom_up<'p, E>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    known: &mut Summaries,
    mut one: impl FnMut(usize, Turn, &mut Context, &dyn Policy) -> Result<Stats, E>,
) -> Result<Vec<Stats>, FunctionError<E>> {
    forget(contexts, known);
    let graph = CallGraph::new(contexts.iter().map(|ctx| &ctx.func));
    let mut stats = vec![Stats::default(); contexts.len()];
    let target = TargetFacts::of(isa);
    let visit = |index: usize, turn, ctx: &mut Context, policy: &dyn Policy| {
        stats[index] +=
            one(index, turn, ctx, policy).map_err(|error| FunctionError { index, error })?;
        Ok(())
    };
    let left = graph.bottom_up(contexts, policy_of, target, known, visit);
    let left = left.inspect_err(|_| forget(contexts, known))?;
    for index in left {
        stats[index].limits_hit += 1;
    }
    Ok(stats)
}

/// Forgets what is known of these functions.
fn forget(contexts: &[Context], known: &mut Summaries) {
    for ctx in contexts {
        known.forget(&CalleeName::of_function(&ctx.func.name));
    }
}
