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
//! ([`egraph::may_go_wrong`]): promotion can make an atomic store out of one that nobody could
//! tell from the one before it. Behind the mid-end such a function is promoted all the same.
//!
//! # Cost
//!
//! Nothing for a function without a slot, and one scan where all are published at once. Otherwise
//! the graph and the dominator tree, which the mid-end computes once more, and four scans.

use crate::isa::TargetIsa;
use crate::memopt::apply::{Aliases, Editor};
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::flow::Flow;
use crate::memopt::edit::Touched;
use crate::memopt::gate;
use crate::memopt::memory::insts::TargetFacts;
use crate::memopt::memory::slot_escape::Slots;
use crate::memopt::observer::Observer;
use crate::memopt::options::Options;
use crate::memopt::promote::{MAX_LOOKS, Promoting, published};
use crate::memopt::stats::Stats;
use crate::memopt::workarounds::egraph;
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
    run_before_observed(ctx, isa, policy, options, None)
}

/// [`run_before()`], with `observer` watching.
///
/// # Errors
///
/// Those of [`run_before()`].
pub fn run_before_observed<'a>(
    ctx: &'a mut Context,
    isa: &'a dyn TargetIsa,
    policy: &'a dyn Policy,
    options: &'a Options,
    observer: Option<&'a mut dyn Observer>,
) -> CodegenResult<Stats> {
    let has_body = ctx.func.layout.entry_block().is_some();
    let is_wanted = isa.flags().opt_level() != OptLevel::None && options.promote_slots;
    if !is_wanted
        || !has_body
        || !gate::has_slot(&ctx.func)
        || published::are_all(&ctx.func)
        || egraph::may_go_wrong(&ctx.func, policy)
    {
        return Ok(Stats::default());
    }
    let limit = options.edit_limit;
    let mut editor = Editor::new(ctx, isa, policy, observer, limit, Aliases::LeftToMidEnd)?;
    let flow = Flow::new(&editor.context().cfg, &editor.context().domtree);
    let promoted = promote(&mut editor, &flow, policy, TargetFacts::of(isa), options)?;
    if promoted.touched.any {
        editor.settled();
    }
    editor.finish()
}

/// What promotion has done.
#[derive(Default)]
pub struct Outcome {
    /// What it has changed.
    pub touched: Touched,
    /// The slots that are left, if the last look found nothing to promote.
    pub slots: Option<Slots>,
}

/// Makes values of locals in slots, also of those that only other such locals know of.
///
/// `flow` is that of the function, and stays so: no block and no edge comes or goes.
///
/// # Errors
///
/// Those of [`Editor::apply`].
pub fn promote(
    editor: &mut Editor<'_>,
    flow: &Flow,
    policy: &dyn Policy,
    target: TargetFacts,
    options: &Options,
) -> CodegenResult<Outcome> {
    let mut outcome = Outcome::default();
    if !options.promote_slots {
        return Ok(outcome);
    }
    for _ in 0..MAX_LOOKS {
        let ctx = editor.context();
        if !gate::has_slot(&ctx.func) || !editor.has_room() {
            return Ok(outcome);
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
        let found = promoting.find();
        editor.stats.limits_hit += found.limits_hit;
        let made = editor.apply(&found.edits)?;
        outcome.touched = outcome.touched.and(made);
        outcome.slots = found.slots;
        if !found.reveals_more || !made.any {
            return Ok(outcome);
        }
        editor.resolve_aliases();
    }
    editor.stats.limits_hit += 1;
    Ok(outcome)
}
