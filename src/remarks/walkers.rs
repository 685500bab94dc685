//! Memory versions, for people: what each access finds, and what becomes of what a store writes.
//!
//! A store, a call that may write and a join at which different ones meet each define a version
//! of the memory that they concern. The walkers of the passes are asked about every access: the
//! [clobber walker](Clobbers) which version it finds, and [`NextAccess`] what comes next to the
//! bytes of a store. No pass depends on this.

use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{Block, Function, Inst};
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::flow::Flow;
use crate::memopt::cfg::graph::Order;
use crate::memopt::memory::clobber::{Clobbers, Source};
use crate::memopt::memory::insts::{Access, EventIndex, Memory, TargetFacts};
use crate::memopt::memory::next_access::{Fate, NextAccess};
use crate::memopt::memory::overlapping::Pairs;
use crate::memopt::memory::room::Room;
use alloc::vec::Vec;

/// What the walkers say about one access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The access.
    pub inst: Inst,
    /// The version that it finds; of a store, the one that was there before.
    pub found: Found,
    /// Of a store, what comes next to its bytes.
    pub next: Option<Next>,
}

/// A version of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The memory with which the function began.
    Entry,
    /// This store has written all of the bytes.
    Store(Inst),
    /// This instruction may have written some of them.
    Clobber(Inst),
    /// Different versions meet at this block; those that come from its predecessors, as far as
    /// they are known. [`None`] is the join itself, round a loop.
    Join(Block, Vec<(Block, Option<Found>)>),
    /// It is not known.
    Unknown,
}

/// What comes next to the bytes that a store has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nobody sees them, because these and others overwrite them, or because the frame ends.
    Unobserved(Vec<Inst>),
    /// This instruction may see them.
    SeenBy(Inst),
    /// Nobody knows their slot before this instruction gives its address away; who sees them
    /// then was not asked.
    Published(Inst),
    /// Somebody on some path may see them.
    SeenOnSomePath,
    /// The address may mean another place before anything decides.
    AddressChanges,
    /// It is not known.
    Unknown,
}

/// What the walkers say about each access of `func`, in the order of its blocks.
///
/// `cfg` and `domtree` are those of `func`, whose aliases are resolved. Nothing, if the graph is
/// too deep for the walkers.
///
/// Cost: O(instructions + edges), and two limited queries for each access.
pub fn find(
    func: &Function,
    cfg: &ControlFlowGraph,
    domtree: &DominatorTree,
    policy: &dyn Policy,
    target: TargetFacts,
) -> Vec<Versions> {
    let flow = Flow::new(cfg, domtree);
    let memory = Memory::new(func, &flow.order, policy, target);
    let (Some(dominance), Some(reversed)) = (flow.dominance(domtree), flow.reversed_dominance())
    else {
        return Vec::new();
    };
    let events = 0..memory.events.len() as EventIndex;
    let classes = events.clone().filter_map(|event| memory.access(event));
    let classes = classes.flat_map(|access| [true, false].map(|it| memory.class_of(access, it)));
    let (order, back, repeating) = (&flow.order, flow.reversed(), flow.repeating());
    let room = Room::default;
    // Every access is asked about, also where no pass could make a use of the answer.
    let mut pairs = Pairs::default();
    pairs.paired.resize(memory.events.len(), true);
    pairs.parted.resize(memory.events.len(), false);
    let mut walkers = Walkers {
        clobbers: Clobbers::in_room(&memory, order, &flow.graph, dominance, pairs, room()),
        next_access: NextAccess::new(&memory, order, back, reversed, repeating, classes, room()),
        memory: &memory,
        order,
    };
    events.filter_map(|event| walkers.of(event)).collect()
}

struct Walkers<'a> {
    memory: &'a Memory<'a>,
    order: &'a Order,
    clobbers: Clobbers<'a>,
    next_access: NextAccess<'a>,
}

impl Walkers<'_> {
    fn of(&mut self, event: EventIndex) -> Option<Versions> {
        let access = self.memory.access(event)?;
        let source = self.clobbers.source(event);
        Some(Versions {
            inst: self.inst(event),
            found: self.found(event, source),
            next: access.stored.map(|_| self.next(event, access)),
        })
    }

    fn inst(&self, event: EventIndex) -> Inst {
        self.memory.inst(event)
    }

    fn found(&mut self, event: EventIndex, source: Source) -> Found {
        let Source::Join(join) = source else {
            return self.version(source);
        };
        let mut inputs = Vec::new();
        let mut collect = |pred, source: Option<Source>| {
            inputs.push((pred, source));
            true
        };
        self.clobbers
            .is_known_on_all_edges(event, join, &mut collect);
        let inputs = inputs.into_iter().map(|(pred, source)| {
            let version = source.map(|source| self.version(source));
            (self.order.block(pred), version)
        });
        Found::Join(self.order.block(join), inputs.collect())
    }

    fn version(&self, source: Source) -> Found {
        match source {
            Source::Entry => Found::Entry,
            Source::Store(event) => Found::Store(self.inst(event)),
            Source::Event(event) => Found::Clobber(self.inst(event)),
            Source::Join(join) => Found::Join(self.order.block(join), Vec::new()),
            Source::Unknown(_) => Found::Unknown,
        }
    }

    fn next(&mut self, event: EventIndex, access: &Access) -> Next {
        let slot = access.slot();
        let is_private =
            self.clobbers.slot_is_private(event) || access.is_always_private(&self.memory.slots);
        let (next, location) = (&mut self.next_access, access.location);
        match next.fate_of_part(event, is_private, location) {
            Fate::Unobserved(kills) => {
                Next::Unobserved(kills.into_iter().map(|event| self.inst(event)).collect())
            }
            Fate::SeenBy(event) => {
                let inst = self.inst(event);
                let escapes = self.memory.slots.escapes_at(inst);
                match slot.is_some_and(|slot| is_private && escapes.contains(&slot)) {
                    true => Next::Published(inst),
                    false => Next::SeenBy(inst),
                }
            }
            Fate::SeenOnSomePath => Next::SeenOnSomePath,
            Fate::AddressChanges => Next::AddressChanges,
            Fate::Unreachable | Fate::NotAsked | Fate::NotTracked | Fate::GaveUp => Next::Unknown,
        }
    }
}
