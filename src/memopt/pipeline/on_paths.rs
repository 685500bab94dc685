//! The clean-up behind edits of the wing.

use super::table::{SINK_VALUES, THREADING};
use super::{MAX_ROUNDS, Run};
use crate::CodegenResult;
use crate::Context;
use crate::memopt::edit::Touched;
use crate::memopt::gate;
use crate::memopt::paths::threading::locals;
use crate::memopt::paths::{empty_blocks, unused_params};
use crate::memopt::search::CleanUp;

impl Run<'_> {
    /// Removes what edits of the wing have left behind.
    pub(super) fn clean_up_paths(&mut self, what: CleanUp) -> CodegenResult<Touched> {
        let mut touched = Touched::default();
        if what == CleanUp::SunkStores {
            self.has_sunk = true;
            if let Some((_, edits)) = self.search(&[SINK_VALUES], 0, true) {
                touched = touched.and(self.apply(&edits)?);
            }
        }
        touched = touched.and(self.unused_values()?);
        // What an empty block passes on is used where it goes, or it would be gone.
        Ok(touched.and(self.bypass_empty_blocks()?))
    }

    /// Is there a branch on what was a local, and an edge that determines it?
    pub(super) fn locals_decide(&self) -> bool {
        let ctx = self.editor.context();
        self.options.thread_branches && !self.names_handler && gate::has_freed_slot(&ctx.func) && {
            let flow = self.analyses.flow(ctx);
            locals::are_any(&ctx.func, &flow.order, &flow.graph)
        }
    }

    /// Threads branches on what were locals in a function in which no memory is left, until there
    /// is none or a limit is hit.
    pub(super) fn thread_locals(&mut self) -> CodegenResult<Touched> {
        let mut touched = Touched::default();
        for _ in 0..MAX_ROUNDS {
            if !self.editor.has_room() || !self.locals_decide() {
                return Ok(touched);
            }
            let Some((_, edits)) = self.search(&[THREADING], 0, true) else {
                return Ok(touched);
            };
            let made = self.apply(&edits)?;
            self.editor.stats.rounds += 1;
            touched = touched.and(made).and(self.clean_up_paths(CleanUp::Paths)?);
            touched = touched.and(self.branches()?);
        }
        self.editor.stats.limits_hit += 1;
        Ok(touched)
    }

    /// Removes what nobody uses, parameters included.
    fn unused_values(&mut self) -> CodegenResult<Touched> {
        let (touched, mut params) = (self.unused_code()?, Touched::default());
        let mut uses = self.editor.uses();
        // Mostly the first search finds all. Another finds those that used each other
        // through code that is gone.
        while self.editor.has_room() {
            let func = &self.editor.context().func;
            let loads = self.options.unused_loads;
            let edits = unused_params::edits(func, self.policy, loads, &mut uses);
            if edits.is_empty() {
                if !params.any {
                    self.editor.give_uses(uses);
                }
                break;
            }
            // Parameters that are the same on all paths then go with them, uncounted.
            params = params.and(self.apply(&edits)?);
        }
        Ok(touched.and(params))
    }

    fn bypass_empty_blocks(&mut self) -> CodegenResult<Touched> {
        let Context {
            func, cfg, domtree, ..
        } = self.editor.context();
        let edits = empty_blocks::edits(func, cfg, domtree);
        self.apply(&edits)
    }
}
