//! Analyses of a function that outlive the edits that do not concern them.
//!
//! | a change of | makes anew |
//! |---|---|
//! | blocks and edges | everything |
//! | values, block parameters, the order of instructions | slots and memory instructions |
//! | instructions that go | nothing: the list is patched, unless a slot is concerned |
//!
//! Builds with debug assertions make the list anew after each edit and compare.

use crate::Context;
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::flow::Flow;
use crate::memopt::edit::{Change, Edit, Touched};
use crate::memopt::memory::insts::{Memory, TargetFacts, Traffic};
use core::cell::{Cell, OnceCell};

/// What is known about the function as it is, as far as anybody has asked.
#[derive(Default)]
pub struct Analyses {
    flow: OnceCell<Flow>,
    traffic: Cell<Option<Traffic>>,
}

/// How much of the analyses outlives a change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    /// Nothing.
    Nothing,
    /// The graph, and what follows from it.
    Flow,
    /// The memory instructions too, once they are patched.
    Patched,
}

impl Analyses {
    /// The graph of the function in `ctx`, and what follows from it.
    pub fn flow(&self, ctx: &Context) -> &Flow {
        self.flow.get_or_init(|| Flow::new(&ctx.cfg, &ctx.domtree))
    }

    /// The memory instructions of the function in `ctx`, to be given [back](Self::give_back).
    pub fn memory<'f>(
        &self,
        ctx: &'f Context,
        policy: &'f dyn Policy,
        target: TargetFacts,
    ) -> Memory<'f> {
        match self.traffic.take() {
            Some(traffic) => Memory::resume(&ctx.func, policy, traffic),
            None => Memory::new(&ctx.func, &self.flow(ctx).order, policy, target),
        }
    }

    /// Keeps the memory instructions for the next search.
    pub fn give_back(&mut self, memory: Memory<'_>) {
        self.traffic.set(Some(memory.into_traffic()));
    }

    /// `edits`, or some of them, have been made to the function, which is now that in `ctx`.
    pub fn update(
        &mut self,
        ctx: &Context,
        policy: &dyn Policy,
        target: TargetFacts,
        edits: &[Edit],
        touched: Touched,
    ) {
        if !touched.any {
            return;
        }
        let kept = edits.iter().map(|edit| kept(&edit.change)).min();
        match kept.unwrap_or(Kept::Patched) {
            Kept::Nothing => *self = Self::default(),
            Kept::Flow => self.traffic = Cell::new(None),
            Kept::Patched => self.patch(ctx, policy, target, edits),
        }
    }

    /// Patches the memory instructions.
    fn patch(&mut self, ctx: &Context, policy: &dyn Policy, target: TargetFacts, edits: &[Edit]) {
        let Some(traffic) = self.traffic.take() else {
            return;
        };
        let mut memory = Memory::resume(&ctx.func, policy, traffic);
        if !memory.patch(edits) {
            return;
        }
        let current = |memory: &Memory<'_>| {
            memory.is_like(&Memory::new(
                &ctx.func,
                &Flow::new(&ctx.cfg, &ctx.domtree).order,
                policy,
                target,
            ))
        };
        debug_assert!(current(&memory), "{:?}\n{}", edits, ctx.func);
        self.give_back(memory);
    }
}

fn kept(change: &Change) -> Kept {
    match change {
        Change::FoldBranch(..)
        | Change::Bypass(_)
        | Change::Thread(_)
        | Change::Sink(_)
        | Change::MoveUp(_)
        | Change::Promote(_)
        | Change::FreeAddressed(..)
        | Change::RunEgraph => Kept::Nothing,
        Change::RemoveParams(_)
        | Change::RemoveCycles { .. }
        | Change::FoldCompare(..)
        | Change::ReplaceLoad { .. }
        | Change::ReplaceLoadByParam { .. }
        | Change::SinkLoad(..)
        | Change::SinkPure(..) => Kept::Flow,
        Change::RemoveNoopStore(_)
        | Change::RemoveDeadStore(_)
        | Change::RemoveUnusedLoad(_)
        | Change::RemoveUnusedCode(_)
        | Change::FreeSlot(_) => Kept::Patched,
    }
}
