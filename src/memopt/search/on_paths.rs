//! What the wing looks for.

use super::{Looking, Search};
use crate::ir::Block;
use crate::loop_analysis::LoopAnalysis;
use crate::memopt::cfg::graph::Graph;
use crate::memopt::edit::Edit;
use crate::memopt::memory::next_access::Upcoming;
use crate::memopt::memory::values::Values;
use crate::memopt::paths::sink_stores::Sinking;
use crate::memopt::paths::{pre, sink_values, threading};
use crate::memopt::search::Stage;
use alloc::vec::Vec;
use core::cell::OnceCell;

impl Looking<'_, '_, '_> {
    /// The edits of a stage of the wing.
    pub(super) fn find_on_paths(&mut self, stage: Stage) -> Vec<Edit> {
        match stage {
            Stage::Joins => self.joins(),
            Stage::Sinking if self.search.options.sink_stores => self.sinking(),
            Stage::SinkingValues if self.search.has_sunk => self.sinking_values(),
            Stage::Sinking
            | Stage::SinkingValues
            | Stage::Values
            | Stage::Branches
            | Stage::DeadStores
            | Stage::Slots => Vec::new(),
        }
    }

    fn joins(&mut self) -> Vec<Edit> {
        let options = self.search.options;
        if !options.thread_branches && !options.partly_redundant {
            return Vec::new();
        }
        let reaching = &mut self.reaching;
        let values = self.values.get_or_insert_with(|| {
            Values::of_loads(
                self.memory,
                self.order,
                self.graph,
                self.dominance,
                reaching,
            )
        });
        if options.thread_branches {
            let found = threading::edits(
                values,
                self.graph,
                reaching,
                options.effort,
                self.search.copies,
            );
            self.search.stats.limits_hit += found.limits_hit;
            if !found.edits.is_empty() {
                *self.search.by_memory = found.by_memory;
                return found.edits;
            }
        }
        if !options.partly_redundant {
            return Vec::new();
        }
        let depth = depth(&self.loops, self.search);
        pre::edits(values, self.graph, reaching, &depth, options)
    }

    fn sinking(&mut self) -> Vec<Edit> {
        let (reaching, options) = (&self.reaching, self.search.options);
        let depth = depth(&self.loops, self.search);
        let sinking = Sinking::new(
            self.memory,
            self.order,
            self.graph,
            &depth,
            options.dead_stores,
            |event| reaching.slot_is_private(event),
        );
        let Some(mut sinking) = sinking else {
            return Vec::new();
        };
        let questions = sinking.questions();
        if questions.is_empty() {
            return Vec::new();
        }
        let reversed = Graph::reversed(self.graph);
        let repeating = self.graph.repeating_nodes();
        let upcoming = Upcoming::with_questions_at_starts(
            self.memory,
            self.order,
            &reversed,
            &repeating,
            &questions,
        );
        let (edit, hits) = match upcoming {
            Some(mut upcoming) => {
                let edit = sinking.edit(&mut upcoming);
                (edit, upcoming.limits_hit + sinking.limits_hit)
            }
            None => (None, 1),
        };
        self.search.stats.limits_hit += hits;
        edit.into_iter().collect()
    }

    fn sinking_values(&mut self) -> Vec<Edit> {
        let reaching = &self.reaching;
        sink_values::edits(
            self.memory,
            self.order,
            self.graph,
            self.dominance,
            |event| reaching.slot_is_private(event),
        )
    }
}

/// How many loops are around a block; they are looked for when first asked.
fn depth<'l>(
    loops: &'l OnceCell<LoopAnalysis>,
    search: &Search<'l>,
) -> impl Fn(Block) -> usize + use<'l> {
    let (func, cfg, domtree) = (search.func, search.cfg, search.domtree);
    move |block| {
        let loops = loops.get_or_init(|| {
            let mut loops = LoopAnalysis::new();
            loops.compute(func, cfg, domtree);
            loops
        });
        loops.loop_level(block).level()
    }
}
