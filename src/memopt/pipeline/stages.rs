//! What a run consists of: promotion, the rounds until they find nothing, the egraph pass once
//! more, and the places of slots.

use super::table::{COALESCE_SLOTS, JOIN_NEIGHBOURS, OWN_SLOTS, PACK_SLOTS};
use super::{Rerun, Run};
use crate::CodegenResult;
use crate::memopt::edit::{Change, Edit, Reason, Touched};
use crate::memopt::gate;
use crate::memopt::options::Effort;
use crate::memopt::passes::{dead_cycles, recomputed};
use crate::memopt::promote::published;
use crate::memopt::run_before::promote;
use crate::memopt::search::Pass;
use alloc::vec::Vec;

/// The egraph pass runs again if a value was forwarded or a branch folded for each so many
/// instructions, or if a slot was freed or a loop turned round.
///
/// It costs a fifth of a compile, and few of either in a large function give it next
/// to nothing to do: on functions of WebAssembly 0.02 to 0.6 % of the code. A single folded branch,
/// which is most of them there, changes the code by 0.03 % at most, and costs 3 % of a compile.
const INSTS_PER_FIND: usize = 64;

/// What became of parameters that only feed themselves.
#[derive(Default)]
struct Cycles {
    touched: Touched,
    /// Some went, and there is something left for the passes to look at.
    reveal_more: bool,
}

impl Run<'_> {
    /// All that a run does.
    pub(super) fn all(&mut self) -> CodegenResult<()> {
        self.settle_with_egraph()?;
        // What is copied to its own place is there already.
        while self.places(COALESCE_SLOTS)? {
            self.settle_with_egraph()?;
        }
        self.compute_again()?;
        self.places(PACK_SLOTS)?;
        Ok(())
    }

    /// All rounds, and those behind the egraph pass.
    fn settle_with_egraph(&mut self) -> CodegenResult<()> {
        self.settle()?;
        self.editor.settled();
        if self.egraph.is_due() || self.egraph_pays() {
            let edit = Change::RunEgraph.because(Reason::ReachedArithmetic);
            let has_run = self.apply(&[edit])?.any;
            let is_left = core::mem::replace(&mut self.egraph, Rerun::Over).is_due();
            if has_run || is_left {
                self.settle()?;
                self.editor.settled();
            }
        }
        Ok(())
    }

    /// Lets blocks compute for themselves what loads have given them.
    fn compute_again(&mut self) -> CodegenResult<()> {
        let kept = self.editor.take_kept();
        if kept.is_empty() {
            return Ok(());
        }
        let ctx = self.editor.context();
        let blocks = self.analyses.flow(ctx).order.blocks();
        let edits = recomputed::edits(&ctx.func, blocks, &kept);
        if self.apply(&edits)?.any {
            // What is computed where it was stored may have no use there.
            self.unused_code()?;
            self.editor.settled();
        }
        Ok(())
    }

    /// Gives slots other places. Behind those that share a place because their lives do not meet nothing
    /// may be looked for.
    fn places(&mut self, passes: &'static [Pass]) -> CodegenResult<bool> {
        let ctx = self.editor.context();
        // What is in unreachable blocks nobody has looked at.
        if !self.options.pack_slots
            || !gate::has_slot(&ctx.func)
            || ctx.func.layout.blocks().count() != self.analyses.flow(ctx).order.len()
        {
            return Ok(false);
        }
        let (mut touched, mut next) = (Touched::default(), 0);
        while self.editor.has_room()
            && let Some((at, edits)) = self.search(passes, next, false)
        {
            touched = touched.and(self.apply(&edits)?);
            next = at + 1;
        }
        if touched.any {
            self.editor.settled();
        }
        Ok(touched.any)
    }

    /// What is left to do where promotion has made values of all that the passes are for: what
    /// only fed them goes.
    pub(super) fn without_memory(&mut self) -> CodegenResult<()> {
        let mut touched = self.remove_unneeded()?;
        if self.locals_decide() {
            touched = touched.and(self.thread_locals()?);
        }
        if touched.any {
            self.editor.settled();
        }
        Ok(())
    }

    /// Removes all that nobody needs, parameters that only feed themselves included. Then there is no
    /// alias, and no use has been counted.
    fn remove_unneeded(&mut self) -> CodegenResult<Touched> {
        let edits = match self.unneeded() {
            Some(edits) => {
                self.editor.has_no_aliases();
                edits
            }
            None => {
                self.editor.resolve_aliases();
                self.unneeded().unwrap_or_default()
            }
        };
        let touched = self.apply(&edits)?;
        self.is_acyclic = true;
        self.has_unused_param = false;
        Ok(touched)
    }

    /// All that nobody needs; `None` if the function has aliases.
    fn unneeded(&self) -> Option<Vec<Edit>> {
        let ctx = self.editor.context();
        let flow = self.analyses.flow(ctx);
        dead_cycles::with_dead_code(&ctx.func, flow, self.policy, self.options.unused_loads)
    }

    /// Promotion and all rounds, until neither finds anything or the egraph pass is due: what the
    /// rounds remove may be all that has kept a slot in memory, and a merged store may be the only
    /// one to all bytes of a field.
    fn settle(&mut self) -> CodegenResult<()> {
        // What nobody uses may be all that keeps a slot in memory, and a parameter that is found here
        // saves a search that finds nothing. In functions that gated effort leaves alone, these are too
        // few for the scan: it comes behind edits.
        match self.is_worth_it {
            true => self.remove_unneeded()?,
            false => self.unused_code()?,
        };
        let mut changed = self.promote()?;
        loop {
            let round = self.rounds(changed.any)?;
            if self.egraph.is_due() {
                return Ok(());
            }
            let cycles = match round.any || self.looks_for_cycles() {
                true => self.dead_cycles()?,
                false => Cycles::default(),
            };
            let stored = self.own_slots()?;
            let joined = self.join_neighbours()?;
            changed = cycles.touched.and(stored).and(joined);
            let mut has_more = cycles.reveal_more || stored.any || joined.any;
            if round.and(changed).any {
                let promoted = self.promote()?;
                changed = changed.and(promoted);
                has_more |= promoted.any;
            }
            if !has_more {
                return Ok(());
            }
        }
    }

    /// Removes stores to slots of which nobody needs what is loaded.
    fn own_slots(&mut self) -> CodegenResult<Touched> {
        let func = &self.editor.context().func;
        if !gate::has_slot(func) || !self.editor.has_room() {
            return Ok(Touched::default());
        }
        match self.search(OWN_SLOTS, 0, false) {
            Some((_, edits)) => {
                let touched = self.apply(&edits)?;
                Ok(touched.and(self.unused_code()?))
            }
            None => Ok(Touched::default()),
        }
    }

    /// Lets loads and stores side by side become one, where nothing else is found.
    fn join_neighbours(&mut self) -> CodegenResult<Touched> {
        let mut touched = Touched::default();
        while self.editor.has_room()
            && let Some((_, edits)) = self.search(JOIN_NEIGHBOURS, 0, false)
        {
            let made = self.apply(&edits)?;
            if !made.any {
                break;
            }
            // Parts of a sum that is loaded at once are sums, too, until they go.
            touched = touched.and(made).and(self.unused_code()?);
        }
        Ok(touched)
    }

    /// Are parameters that only feed themselves looked for where nothing has changed?
    ///
    /// Of functions of WebAssembly that gated effort leaves alone one in a hundred has such parameters and
    /// nothing else to edit, and the scan would be a tenth of the look.
    fn looks_for_cycles(&self) -> bool {
        self.is_worth_it || self.options.effort == Effort::Max
    }

    /// Removes parameters that only feed themselves, where nothing else is found.
    ///
    /// Where there is no loop, one of them is used by nobody at all.
    fn dead_cycles(&mut self) -> CodegenResult<Cycles> {
        let ctx = self.editor.context();
        let may_have = !self.is_acyclic && self.editor.has_room();
        if !may_have
            || !self.has_unused_param && !self.analyses.flow(ctx).repeating().contains(&true)
        {
            return Ok(Cycles::default());
        }
        let flow = self.analyses.flow(ctx);
        let edits = dead_cycles::edits(&ctx.func, flow, self.policy, self.options.unused_loads);
        let touched = self.apply(&edits)?;
        self.is_acyclic = true;
        // Where a parameter goes, stores may have become dead, what fed it can sink, and a loop turn.
        let is_left =
            self.options.effort != Effort::Gated || gate::holds_memory(&self.editor.context().func);
        Ok(Cycles {
            touched,
            reveal_more: touched.any && is_left,
        })
    }

    fn promote(&mut self) -> CodegenResult<Touched> {
        if published::are_all(&self.editor.context().func) {
            return Ok(Touched::default());
        }
        let (editor, analyses) = (&mut self.editor, &mut self.analyses);
        let touched = promote(
            editor,
            analyses,
            self.policy,
            self.target,
            self.options,
            false,
        )?;
        self.note(touched);
        Ok(touched)
    }

    /// Can the egraph pass find enough to be worth its time?
    pub(super) fn egraph_pays(&self) -> bool {
        let Rerun::Ahead(touched) = self.egraph else {
            return false;
        };
        let stats = &self.editor.stats;
        let forwarded = stats.forwarded_loads + stats.joined_loads + stats.raised_loads;
        let finds = (forwarded + stats.folded_branches) as usize;
        let is_enough = finds * INSTS_PER_FIND >= self.insts;
        touched.values && (stats.freed_slots > 0 || stats.turned_loops > 0 || is_enough)
    }
}
