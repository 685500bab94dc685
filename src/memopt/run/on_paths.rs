//! The wing's part of a run: its edits, SSA repair and clean-up behind them.

use super::Run;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Order};
use crate::memopt::edit::{Changes, Copied, Edit};
use crate::memopt::passes::uses::Uses;
use crate::memopt::paths::ssa_repair::{self, Broken};
use crate::memopt::paths::{empty_blocks, unused_params};
use crate::memopt::search::Stage;
use crate::{CodegenResult, Context};
use alloc::vec::Vec;

impl Run<'_> {
    /// Makes the edits of a stage of the wing, and removes what they have left behind.
    pub(super) fn make_on_paths(&mut self, stage: Stage, edits: &[Edit]) -> CodegenResult<Changes> {
        let changes = match stage {
            Stage::Joins => self.joins(edits)?,
            Stage::Sinking => self.sink(edits)?,
            Stage::SinkingValues
            | Stage::Values
            | Stage::Branches
            | Stage::DeadStores
            | Stage::Slots => self.apply(edits),
        };
        self.clean_up(changes)
    }

    /// Removes what a pass of the wing has left behind.
    fn clean_up(&mut self, mut changes: Changes) -> CodegenResult<Changes> {
        self.step(changes);
        if changes.any {
            changes = changes.and(self.unused_values());
            if self.bypass_empty_blocks()? {
                changes = changes.and(self.unused_values());
            }
        }
        Ok(self.step(changes))
    }

    /// Removes what nobody uses, parameters included.
    fn unused_values(&mut self) -> Changes {
        let (mut changes, mut uses) = self.unused_code();
        while self.remove_unused_params(&uses) {
            let more;
            (more, uses) = self.unused_code();
            changes = changes.and(more);
        }
        changes
    }

    fn bypass_empty_blocks(&mut self) -> CodegenResult<bool> {
        let Context {
            func, cfg, domtree, ..
        } = &mut *self.ctx;
        let bypassed = self.room != Some(0) && empty_blocks::bypass(func, cfg, domtree);
        if bypassed {
            self.ctx.flowgraph();
            self.tidy()?;
        }
        Ok(bypassed)
    }

    /// Threads jumps, or moves accesses up to the edges that need them.
    fn joins(&mut self, edits: &[Edit]) -> CodegenResult<Changes> {
        let changes = self.apply(edits);
        if changes.graph {
            self.ctx.flowgraph();
            self.repair();
            self.tidy()?;
        }
        Ok(changes)
    }

    /// Gives the uses of values that were copied the definitions that reach
    /// them.
    fn repair(&mut self) {
        let mut copied = core::mem::take(&mut self.copied);
        copied.sort_unstable();
        let mut broken: Vec<Broken> = Vec::new();
        for Copied { value, block, copy } in copied {
            match broken.last_mut() {
                Some(broken) if broken.value == value => broken.copies.push((block, copy)),
                Some(_) | None => broken.extend(Broken::new(&self.ctx.func, value, block, copy)),
            }
        }
        let order = Order::new(&self.ctx.domtree);
        let graph = Graph::forward(&order, &self.ctx.cfg);
        let dominance = Dominance::without_limit(&graph);
        ssa_repair::repair(&mut self.ctx.func, &order, &graph, &dominance, broken);
    }

    /// Sinks stores to the paths that need them, and what feeds those.
    fn sink(&mut self, edits: &[Edit]) -> CodegenResult<Changes> {
        let changes = self.apply(edits);
        if !changes.graph {
            return Ok(changes);
        }
        self.has_sunk = true;
        self.ctx.flowgraph();
        self.tidy()?;
        let follows = self.search(Stage::SinkingValues, true);
        let follows = follows.map_or_else(Vec::new, |(_, edits)| edits);
        Ok(changes.and(self.apply(&follows)))
    }

    /// `uses` are those of the function as it is.
    fn remove_unused_params(&mut self, uses: &Uses) -> bool {
        if self.room == Some(0) {
            return false;
        }
        let params = unused_params::find(&self.ctx.func, uses);
        unused_params::remove(&mut self.ctx.func, &params);
        !params.is_empty()
    }
}
