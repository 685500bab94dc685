//! What the passes do before upstream's mid-end.
//!
//! Locals in stack slots become values first, so that GVN, constant folding and the rules of
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
//! Nothing for a function without a slot, and one scan where all are published at once. Otherwise
//! the graph and the dominator tree, which the mid-end computes once more, and four scans.

use crate::isa::TargetIsa;
use crate::memopt::analyses::Analyses;
use crate::memopt::apply::{Aliases, Editor};
use crate::memopt::call::effects::Policy;
use crate::memopt::edit::Touched;
use crate::memopt::gate;
use crate::memopt::memory::insts::TargetFacts;
use crate::memopt::observer::Observer;
use crate::memopt::options::Options;
use crate::memopt::promote::{MAX_LOOKS, Promoting, published};
use crate::memopt::scratch::Scratch;
use crate::memopt::stats::Stats;
use crate::memopt::workarounds::{defects, egraph};
use crate::settings::OptLevel;
use crate::{CodegenResult, Context};

/// Makes values of locals in stack slots, in a function that the mid-end has not seen.
///
/// It leaves aliases to the mid-end, which resolves them first of all.
///
/// `ctx` is as for [`run`](super::run()); its graph and dominator tree are those of the
/// function, or not computed. With `opt_level=none` nothing is changed.
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
    let has_body = ctx.func.layout.entry_block().is_some();
    let is_wanted = isa.flags().opt_level() != OptLevel::None && options.promote_slots;
    if !is_wanted
        || !has_body
        || !gate::has_slot(&ctx.func)
        || published::are_all(&ctx.func)
        || egraph::may_go_wrong_over_plain(&ctx.func, policy)
    {
        return Ok(Stats::default());
    }
    let limit = options.edit_limit;
    let mut editor = Editor::new(ctx, isa, policy, observer, limit, Aliases::LeftToMidEnd)?;
    let (mut analyses, target) = (scratch.begin(), TargetFacts::of(isa));
    if promote(&mut editor, &mut analyses, policy, target, options, true)?.any {
        editor.settled();
    }
    scratch.end(&editor.context().func, analyses);
    editor.finish()
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
