//! What the passes do before upstream's mid-end.
//!
//! Blocks that one jump alone leads to become the end of the block that jumps, so that the mid-end,
//! the passes behind it and the back end have fewer to look at. Then
//! locals in stack slots become values, so that GVN, constant folding and the rules of
//! the mid-end see them, and neither it nor the passes behind it have to look at the memory
//! that they were. What is found here is found behind the mid-end too ([`run`](super::run())),
//! where it is worth less.
//!
//! # Where it does nothing
//!
//! Where the egraph pass is known to go wrong over values that were memory
//! ([`defects`]): promotion can make an atomic store out of one that nobody could
//! tell from the one before it. Behind the mid-end such a function is promoted all the same.
//!
//! # Cost
//!
//! Nothing for a function that is [not looked at](super::skipped()). One walk over the blocks for
//! others. Without a slot that is all, and there is one scan where all slots are published at once.
//! Otherwise the graph and the dominator tree, which the mid-end need not compute again, and four
//! scans.

use crate::ir::Function;
use crate::isa::TargetIsa;
use crate::memopt::analyses::Analyses;
use crate::memopt::apply::{Aliases, Editor};
use crate::memopt::call::effects::Policy;
use crate::memopt::edit::Touched;
use crate::memopt::gate;
use crate::memopt::memory::insts::TargetFacts;
use crate::memopt::observer::Observer;
use crate::memopt::options::Options;
#[cfg(memopt_paths)]
use crate::memopt::paths::straightening;
use crate::memopt::promote::{MAX_LOOKS, Promoting, published};
use crate::memopt::scratch::Scratch;
use crate::memopt::stats::Stats;
use crate::memopt::workarounds::{defects, egraph};
use crate::{CodegenResult, Context};

/// Makes values of locals in stack slots, in a function that the mid-end has not seen.
///
/// It leaves aliases to the mid-end, which resolves them first of all.
///
/// `ctx` is as for [`run`](super::run()); its graph and dominator tree are those of the
/// function, or not computed. Afterwards they are those of the function if both are valid. With
/// `opt_level=none` nothing is changed.
///
/// # Errors
///
/// What the verifier says, if `isa` has it enabled.
pub fn run_before(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
) -> CodegenResult<Stats> {
    run_before_in(ctx, isa, policy, options, None, &mut Scratch::default())
}

/// [`run_before()`], in the lists that the last run has left in `scratch`, with `observer` watching.
///
/// # Errors
///
/// Those of [`run_before()`].
pub fn run_before_in<'a>(
    ctx: &'a mut Context,
    isa: &'a dyn TargetIsa,
    policy: &'a dyn Policy,
    options: &'a Options,
    observer: Option<&'a mut dyn Observer>,
    scratch: &mut Scratch,
) -> CodegenResult<Stats> {
    if gate::skipped(&ctx.func, isa, policy, options).is_some() {
        return Ok(Stats::default());
    }
    let promotes = options.promote_slots && may_promote(&ctx.func, policy);
    let straightens = options.straighten && cfg!(memopt_paths);
    if !promotes && !straightens {
        return Ok(Stats::default());
    }
    let limit = options.edit_limit;
    let mut editor = Editor::new(ctx, isa, policy, observer, limit, Aliases::LeftToMidEnd)?;
    if straightens {
        straighten(&mut editor)?;
    }
    if promotes {
        editor.make_ready();
        let (mut analyses, target) = (scratch.begin(), TargetFacts::of(isa));
        if promote(&mut editor, &mut analyses, policy, target, options, true)?.any {
            editor.settled();
        }
        scratch.end(&editor.context().func, analyses);
    }
    editor.finish()
}

/// Is there anything to be made a value, and may it be made one?
fn may_promote(func: &Function, policy: &dyn Policy) -> bool {
    gate::has_slot(func)
        && !published::are_all(func)
        && !egraph::may_go_wrong_over_plain(func, policy)
}

/// Lets blocks that one jump alone leads to become the end of the block that jumps.
#[cfg(memopt_paths)]
fn straighten(editor: &mut Editor<'_>) -> CodegenResult<()> {
    let edits = straightening::edits(&editor.context().func);
    editor.apply_before_graph(&edits)
}

/// Without the wing there are no such edits.
#[cfg(not(memopt_paths))]
fn straighten(_: &mut Editor<'_>) -> CodegenResult<()> {
    Ok(())
}

/// Makes values of locals in slots, also of those that only other such locals know of.
///
/// The graph stays as it is: no block and no edge comes or goes. Nothing is done if the mid-end
/// comes `next` and is known to go wrong because of an access that is not plain.
///
/// # Errors
///
/// Those of [`Editor::apply`].
pub fn promote(
    editor: &mut Editor<'_>,
    analyses: &mut Analyses,
    policy: &dyn Policy,
    target: TargetFacts,
    options: &Options,
    next: bool,
) -> CodegenResult<Touched> {
    let mut touched = Touched::default();
    if !options.promote_slots {
        return Ok(touched);
    }
    for _ in 0..MAX_LOOKS {
        let ctx = editor.context();
        if !gate::has_slot(&ctx.func) || !editor.has_room() {
            return Ok(touched);
        }
        let slots = analyses.take_slots(ctx, policy);
        let flow = analyses.flow(ctx);
        if next && slots.has_other_accesses() && defects::concern(&ctx.func) {
            return Ok(touched);
        }
        let promoting = Promoting {
            func: &ctx.func,
            cfg: &ctx.cfg,
            domtree: &ctx.domtree,
            flow,
            policy,
            target,
            frees_slots: options.unused_slots,
        };
        let found = promoting.find(&slots);
        editor.stats.limits_hit += found.limits_hit;
        let made = editor.apply(&found.edits)?;
        touched = touched.and(made);
        match found.edits.is_empty() {
            true => analyses.give_slots(slots),
            false => analyses.give_stale_slots(slots),
        }
        if made.any {
            analyses.forget_memory();
        }
        if !found.reveals_more || !made.any {
            return Ok(touched);
        }
        editor.resolve_aliases();
    }
    editor.stats.limits_hit += 1;
    Ok(touched)
}
