//! Analyses of a function that outlive the edits that do not concern them.
//!
//! | a change of | makes anew |
//! |---|---|
//! | blocks and edges | everything |
//! | values, block parameters, the places and order of instructions | slots and memory instructions |
//! | instructions that go, loads that are other values | nothing: the list is patched, unless a slot or an address is concerned |
//!
//! Builds with debug assertions make the list anew after each edit and compare.

use crate::Context;
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::flow::{self, Flow};
use crate::memopt::edit::{Change, Edit, Touched};
use crate::memopt::memory::insts::{Memory, TargetFacts, Traffic};
use crate::memopt::memory::overlapping::Pairs;
use crate::memopt::memory::patch::Replaced;
use crate::memopt::memory::room::Room;
use crate::memopt::memory::slot_escape::Slots;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell, RefCell};

/// What is known about the function as it is, as far as anybody has asked.
#[derive(Default)]
pub struct Analyses {
    flow: OnceCell<Box<Flow>>,
    /// The graph that is no longer that of the function, to make the next one in.
    stale_flow: Cell<Option<Box<Flow>>>,
    traffic: Cell<Option<Box<Traffic>>>,
    /// The list that is no longer true, to make the next one in. No edit concerns the classes of
    /// the regions themselves.
    stale: Cell<Option<Box<Traffic>>>,
    /// The slots, if somebody has looked at them before the list was made.
    slots: Cell<Option<Box<Slots>>>,
    /// Lists for the next ones.
    stale_slots: Cell<Option<Box<Slots>>>,
    /// Lists for the next walkers over versions.
    rooms: RefCell<Vec<Room>>,
    /// Those of another list, to find the next ones in.
    pairs: Cell<Option<Pairs>>,
}

/// Lists in which analyses are made, of which nothing counts.
#[derive(Default)]
pub struct Lists {
    flow: Option<flow::Lists>,
    traffic: Option<Box<Traffic>>,
    slots: Option<Box<Slots>>,
    rooms: Vec<Room>,
    pairs: Option<Pairs>,
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
        self.flow.get_or_init(|| {
            let mut flow = self.stale_flow.take().unwrap_or_default();
            flow.find(&ctx.cfg, &ctx.domtree);
            flow
        })
    }

    /// The memory instructions of the function in `ctx`, to be given [back](Self::give_back).
    pub fn memory<'f>(
        &self,
        ctx: &'f Context,
        policy: &'f dyn Policy,
        target: TargetFacts,
    ) -> Memory<'f> {
        let func = &ctx.func;
        if let Some(traffic) = self.traffic.take() {
            return Memory::resume(func, policy, traffic);
        }
        let order = &self.flow(ctx).order;
        let mut stale = self.stale.take().unwrap_or_default();
        let known = self.slots.take();
        let knows_slots = known.is_some();
        if let Some(mut slots) = known {
            core::mem::swap(&mut stale.slots, &mut slots);
            self.stale_slots.set(Some(slots));
        }
        Memory::again(func, order, policy, target, stale, knows_slots)
    }

    /// The graph of the function is another one.
    pub fn forget_graph(&mut self) {
        self.forget_memory();
        if let Some(flow) = self.flow.take() {
            self.stale_flow.set(Some(flow));
        }
    }

    /// Nothing is known, and what somebody asks is made in `lists`.
    pub fn in_lists(lists: Lists) -> Self {
        let Lists {
            flow,
            traffic,
            slots,
            rooms,
            pairs,
        } = lists;
        Self {
            stale_flow: Cell::new(flow.map(|lists| Box::new(Flow::in_lists(lists)))),
            stale: Cell::new(traffic),
            stale_slots: Cell::new(slots),
            rooms: RefCell::new(rooms),
            pairs: Cell::new(pairs),
            ..Self::default()
        }
    }

    /// The lists, for the analyses of another function.
    pub fn into_lists(mut self) -> Lists {
        self.forget_graph();
        let flow = self.stale_flow.into_inner();
        let mut traffic = self.stale.into_inner();
        if let Some(traffic) = &mut traffic {
            traffic.forget_function();
        }
        Lists {
            flow: flow.map(|flow| flow.into_lists()),
            traffic,
            slots: self.stale_slots.into_inner(),
            rooms: self.rooms.into_inner(),
            pairs: self.pairs.into_inner(),
        }
    }

    /// The slots of the function in `ctx`, to be given back as those of the function as it is, or
    /// as stale ones.
    pub fn take_slots(&mut self, ctx: &Context, policy: &dyn Policy) -> Box<Slots> {
        if let Some(known) = self.slots.take() {
            return known;
        }
        let mut slots = self.stale_slots.take().unwrap_or_default();
        if let Some(traffic) = self.traffic.get_mut() {
            core::mem::swap(&mut traffic.slots, &mut *slots);
            slots.forget_removed(&ctx.func);
            let anew = || Slots::new(&ctx.func, &self.flow(ctx).order, policy);
            debug_assert!(slots.are_like(&anew()), "{}", ctx.func);
        } else {
            slots.find(&ctx.func, &self.flow(ctx).order, policy);
        }
        slots
    }

    /// The slots of the function as it is, which have been taken.
    pub fn give_slots(&mut self, mut slots: Box<Slots>) {
        if let Some(traffic) = self.traffic.get_mut() {
            core::mem::swap(&mut traffic.slots, &mut *slots);
            self.stale_slots.set(Some(slots));
        } else {
            self.slots.set(Some(slots));
        }
    }

    /// The slots are no longer those of the function.
    pub fn give_stale_slots(&mut self, slots: Box<Slots>) {
        self.forget_memory();
        self.stale_slots.set(Some(slots));
    }

    /// Values or the order of instructions are others.
    pub fn forget_memory(&mut self) {
        self.forget_slots();
        if let Some(traffic) = self.traffic.take() {
            self.stale.set(Some(traffic));
        }
    }

    fn forget_slots(&mut self) {
        if let Some(slots) = self.slots.take() {
            self.stale_slots.set(Some(slots));
        }
    }

    /// Lists to make a walker over versions in, to be given [back](Self::give_room).
    pub fn room(&self) -> Room {
        self.rooms.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps the lists of a walker for the next one.
    pub fn give_room(&self, room: Room) {
        self.rooms.borrow_mut().push(room);
    }

    /// Accesses that have to do with others, which are no longer true; to be found again in their
    /// lists, and given [back](Self::give_pairs).
    pub fn pairs(&self) -> Pairs {
        self.pairs.take().unwrap_or_default()
    }

    /// Keeps the lists for the next search.
    pub fn give_pairs(&self, pairs: Pairs) {
        self.pairs.set(Some(pairs));
    }

    /// Keeps the memory instructions for the next search.
    pub fn give_back(&mut self, memory: Memory<'_>) {
        self.traffic.set(Some(memory.into_traffic()));
    }

    /// What has to be known of the function in `ctx` before `edits` are made to it.
    pub fn before(&self, ctx: &Context, policy: &dyn Policy, edits: &[Edit]) -> Vec<Replaced> {
        match edits.iter().all(|edit| kept(&edit.change) == Kept::Patched) {
            true => Replaced::all(&ctx.func, policy, edits),
            false => Vec::new(),
        }
    }

    /// `edits`, or some of them, have been made to the function, which is now that in `ctx`;
    /// `replaced` is what was known [before](Self::before).
    pub fn update(
        &mut self,
        ctx: &Context,
        policy: &dyn Policy,
        target: TargetFacts,
        (edits, replaced): (&[Edit], &[Replaced]),
        touched: Touched,
    ) {
        if !touched.any {
            return;
        }
        let kept = edits.iter().map(|edit| kept(&edit.change)).min();
        match kept.unwrap_or(Kept::Patched) {
            Kept::Nothing => self.forget_graph(),
            Kept::Flow => self.forget_memory(),
            Kept::Patched => self.patch(ctx, policy, target, (edits, replaced)),
        }
    }

    /// Patches the memory instructions.
    fn patch(
        &mut self,
        ctx: &Context,
        policy: &dyn Policy,
        target: TargetFacts,
        (edits, replaced): (&[Edit], &[Replaced]),
    ) {
        self.forget_slots();
        let Some(traffic) = self.traffic.take() else {
            return;
        };
        let mut memory = Memory::resume(&ctx.func, policy, traffic);
        if !memory.patch(edits, replaced) {
            self.stale.set(Some(memory.into_traffic()));
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
        Change::Sink(_) | Change::MoveUp(_) | Change::CarryRound(_) | Change::HoistLoads(_)
            if !change.touches().graph =>
        {
            Kept::Flow
        }
        Change::FoldBranch(..)
        | Change::Bypass(_)
        | Change::MergeBlocks(_)
        | Change::Straighten { .. }
        | Change::Thread(_)
        | Change::Sink(_)
        | Change::MoveUp(_)
        | Change::CarryRound(_)
        | Change::HoistLoads(_)
        | Change::TurnLoop(_)
        | Change::RunEgraph => Kept::Nothing,
        Change::Promote(_)
        | Change::LoadWhereChosen(_)
        | Change::AccessBoth { .. }
        | Change::NumberPlaces(_)
        | Change::FreeAddressed(..)
        | Change::ShrinkSlot { .. }
        | Change::ShareSlot { .. }
        | Change::RemoveParams(_)
        | Change::RemoveCycles { .. }
        | Change::FoldCompare(..)
        | Change::ForwardCopy(_)
        | Change::ExpandCopy(_)
        | Change::ReplaceLoadByConstant(..)
        | Change::ReplaceLoadByHalves(..)
        | Change::ReplaceLoadByParam { .. }
        | Change::ReplaceLoadBySelect { .. }
        | Change::MergeLoads(_)
        | Change::JoinStores(_)
        | Change::MergeStores(_)
        | Change::CombineLoads(_)
        | Change::TrimStore(_)
        | Change::SinkLoad(..)
        | Change::SinkPure(..)
        | Change::ComputeAgain(..)
        | Change::RemoveTrap(_) => Kept::Flow,
        // The conversions of others would be new instructions.
        Change::ReplaceLoad { recipe, .. } if recipe.is_empty() => Kept::Patched,
        Change::ReplaceLoad { .. } => Kept::Flow,
        Change::RemoveNoopStore(_)
        | Change::RemoveDeadStore(_)
        | Change::RemoveNoopCopy(_)
        | Change::RemoveDeadCopy(_)
        | Change::RemoveUnusedLoad(_)
        | Change::RemoveUnusedCode(_)
        | Change::FreeSlot(_) => Kept::Patched,
    }
}
