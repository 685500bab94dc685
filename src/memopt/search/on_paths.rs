//! What the wing looks for.

use super::Search;
use crate::ir::Block;
use crate::loop_analysis::Loop;
use crate::memopt::edit::Edit;
use crate::memopt::gate;
use crate::memopt::memory::insts::EventIndex;
use crate::memopt::memory::next_access::NextAccess;
use crate::memopt::memory::values::Values;
use crate::memopt::options::Effort;
use crate::memopt::paths::invariants::{Invariants, Shape};
use crate::memopt::paths::sink_stores::Sinking;
use crate::memopt::paths::{
    carried, common_loads, common_stores, decided, hoisting, pre, sink_stores, sink_values,
    threading, turning,
};
use alloc::vec::Vec;

/// Loads, each with the innermost loop around it.
pub(super) type InLoops = Vec<(EventIndex, Loop)>;

impl<'s, 'f> Search<'s, 'f> {
    /// How many loops are around a block.
    fn depth(&self) -> impl Fn(Block) -> usize + use<'s, 'f> {
        let (flow, ctx) = (self.flow(), self.job.ctx);
        move |block| flow.loops(ctx).loop_level(block).level()
    }

    /// Learns what all loads find; `false` if the graph is too deep.
    fn learn_loads(&mut self) -> bool {
        let (memory, flow, dominance) = (self.memory(), self.flow(), self.dominance());
        if self.values.is_none()
            && let Some(dominance) = dominance
            && let Some(clobbers) = self.clobbers()
        {
            let values = Values::of_loads(memory, &flow.order, &flow.graph, dominance, clobbers);
            self.values = Some(values);
        }
        self.values.is_some()
    }

    /// Does an edge pass the address of a slot?
    fn passes_slot(&self) -> bool {
        let memory = self.memory();
        let mut concerned = memory.slots.concerned().iter();
        concerned.any(|concerned| {
            let inst = concerned.inst;
            memory.func.dfg.insts[inst].opcode().is_branch()
        })
    }

    /// Does a branch depend on what an edge passes as a constant?
    fn asks_for_locals(&self) -> bool {
        let flow = self.flow();
        threading::locals::are_any(&self.job.ctx.func, &flow.order, &flow.graph)
    }

    /// Branches that predecessors determine.
    pub fn threading(&mut self) -> Vec<Edit> {
        let options = self.job.options;
        if options.thread_branches {
            let (memory, flow) = (self.memory(), self.flow());
            let dominance = || self.dominance();
            let decided = decided::edits(memory, &flow.order, &flow.graph, dominance);
            if !decided.is_empty() {
                return decided;
            }
        }
        // Below the utmost effort, memory has to decide, or whether a slot is meant, or a local.
        let asks = options.effort == Effort::Max || self.asks() || self.passes_slot();
        let had_locals = gate::has_freed_slot(&self.job.ctx.func);
        if !options.thread_branches
            || !(asks || had_locals && self.asks_for_locals())
            || !self.learn_loads()
        {
            return Vec::new();
        }
        let graph = &self.flow().graph;
        let (Some(values), Some(clobbers)) = (&self.values, &mut self.clobbers) else {
            return Vec::new();
        };
        let copies = &mut *self.job.copies;
        let found = threading::edits(values, graph, clobbers, options.effort, had_locals, copies);
        self.job.stats.limits_hit += found.limits_hit;
        if !found.edits.is_empty() {
            *self.job.by_memory = found.by_memory;
        }
        found.edits
    }

    /// Accesses that only some predecessors of their block need.
    pub fn pre(&mut self) -> Vec<Edit> {
        let options = self.job.options;
        if !options.partly_redundant || !self.asks() || !self.learn_loads() {
            return Vec::new();
        }
        let (graph, depth) = (&self.flow().graph, self.depth());
        match (&self.values, &mut self.clobbers) {
            (Some(values), Some(clobbers)) => pre::edits(values, graph, clobbers, &depth, options),
            _ => Vec::new(),
        }
    }

    /// What is invariant in loops, of which nothing has been asked; `None` if there is no loop.
    fn invariants(&self) -> Option<Invariants<'s, 'f>> {
        let (memory, flow) = (self.memory(), self.flow());
        if !flow.repeating().contains(&true) {
            return None;
        }
        let shape = Shape {
            order: &flow.order,
            graph: &flow.graph,
            loops: flow.loops(self.job.ctx),
        };
        Some(Invariants::new(memory, shape))
    }

    /// Loads that go in front of loops or above branches.
    pub fn hoist(&mut self) -> Vec<Edit> {
        let options = self.job.options;
        if !options.hoist_loads {
            return Vec::new();
        }
        if let Some(mut invariants) = self.invariants() {
            let candidates = self.in_loops.get_or_insert_with(|| invariants.candidates());
            let refusals = &mut *self.job.refusals;
            let edits = hoisting::out_of_loops(&mut invariants, candidates, self.name, refusals);
            if !edits.is_empty() {
                return edits;
            }
        }
        if !options.forward_loads || !self.asks() || !self.learn_loads() {
            return Vec::new();
        }
        let graph = &self.flow().graph;
        match (&self.values, &mut self.clobbers) {
            (Some(values), Some(clobbers)) => common_loads::edits(values, graph, clobbers),
            _ => Vec::new(),
        }
    }

    /// What loops keep in memory, where a store in front of them stores it first.
    pub fn carry(&mut self) -> Vec<Edit> {
        let options = self.job.options;
        if !options.sink_stores || !options.forward_loads {
            return Vec::new();
        }
        let (Some(mut invariants), Some(dominance)) = (self.invariants(), self.dominance()) else {
            return Vec::new();
        };
        let candidates = carried::candidates(invariants.memory, invariants.shape);
        if candidates.is_empty() {
            return Vec::new();
        }
        match self.clobbers() {
            Some(clobbers) => {
                let is_private = |event| clobbers.slot_is_private(event);
                carried::round_loops(&mut invariants, candidates, dominance, &is_private)
            }
            None => Vec::new(),
        }
    }

    /// Loops that are turned round so that accesses can leave them.
    pub fn turn(&mut self) -> Vec<Edit> {
        let options = self.job.options;
        if !options.hoist_loads || !options.forward_loads || !self.asks() {
            return Vec::new();
        }
        let Some(mut invariants) = self.invariants() else {
            return Vec::new();
        };
        if !self.learn_loads() {
            return Vec::new();
        }
        let candidates = self.in_loops.take();
        let candidates = candidates.unwrap_or_else(|| invariants.candidates());
        let (graph, depth) = (&self.flow().graph, self.depth());
        match (&self.values, &mut self.clobbers) {
            (Some(values), Some(clobbers)) => {
                let mut pass = pre::Pass::new(values, graph, clobbers, &depth, options);
                turning::edits(&mut invariants, &candidates, &mut pass)
            }
            _ => Vec::new(),
        }
    }

    /// Stores that only some paths need, or that all paths into a join make.
    pub fn sink_stores(&mut self) -> Vec<Edit> {
        let edits = self.partly_needed();
        if !edits.is_empty() || !self.job.options.sink_stores {
            return edits;
        }
        let flow = self.flow();
        common_stores::edits(self.memory(), &flow.order, &flow.graph)
    }

    /// Stores that only some paths need.
    fn partly_needed(&mut self) -> Vec<Edit> {
        let options = self.job.options;
        let (memory, flow, depth) = (self.memory(), self.flow(), self.depth());
        if !options.sink_stores || !sink_stores::can_any_move(memory, flow) {
            return Vec::new();
        }
        let Some(clobbers) = self.clobbers() else {
            return Vec::new();
        };
        let sinking = Sinking::new(memory, flow, &depth, options.dead_stores, clobbers);
        let Some(mut sinking) = sinking else {
            return Vec::new();
        };
        let Some(questions) = sinking.questions() else {
            return Vec::new();
        };
        let Some(dominance) = flow.reversed_dominance() else {
            self.job.stats.limits_hit += 1;
            return Vec::new();
        };
        let mut next_access = NextAccess::with_questions_at_starts(
            memory,
            &flow.order,
            flow.reversed(),
            dominance,
            flow.repeating(),
            &questions,
            self.analyses.room(),
        );
        let edits = sinking.edits(&mut next_access, self.name, self.job.refusals);
        self.job.stats.limits_hit += next_access.limits_hit + sinking.limits_hit;
        self.analyses.give_room(next_access.into_room());
        edits
    }

    /// What feeds stores that have moved.
    pub fn sink_values(&mut self) -> Vec<Edit> {
        if !self.job.has_sunk {
            return Vec::new();
        }
        let (memory, flow) = (self.memory(), self.flow());
        let (Some(dominance), Some(clobbers)) = (self.dominance(), self.clobbers()) else {
            return Vec::new();
        };
        sink_values::edits(memory, &flow.order, &flow.graph, dominance, |event| {
            clobbers.slot_is_private(event)
        })
    }
}
