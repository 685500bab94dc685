//! Summaries of bodies.
//!
//! A summary is what the events of a body come to for its caller: the regions
//! that it reads and writes outside of its own frame, and whether it may trap
//! or unwind, reading the `stack_limit` on entry included. Regions are named by
//! the user ids that the body uses; a caller applies its own policy to them.
//!
//! The net effect counts: a body that publishes a pointer and puts back what it
//! found writes nothing. That is proven for the few locations of a region that
//! the body itself stores to, at every exit.

use crate::FxHashMap;
use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{AliasRegion, Function, GlobalValue, GlobalValueData, Inst, Value};
use crate::memopt::call::effects::{
    CalleeName, Origin, Policy, RegionSet, Summary, regions_as_policy,
};
use crate::memopt::call::params::uses_of_params;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Order};
use crate::memopt::inst::location::{Location, Overlap};
use crate::memopt::memory::calls::{handles_all_exceptions, summary_of_call};
use crate::memopt::memory::clobber::{Clobbers, Source};
use crate::memopt::memory::insts::{Access, EventIndex, EventKind, Memory, TargetFacts, Transfer};
use crate::memopt::memory::ssa::Class;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Locations of one region that are followed to the exits of a function.
///
/// Adapters publish and restore one location a region. A body that stores to
/// more counts as writing the region.
const MAX_RESTORED_LOCATIONS: usize = 4;

/// Regions times exits that are looked at for restored locations. Beyond it
/// every region that is stored to counts as written.
const MAX_ENDS_TIMES_REGIONS: usize = 1024;

/// What a call of `func` does, seen from its caller.
///
/// `cfg` and `domtree` are those of `func`. Calls in the body are as `policy`
/// knows them.
///
/// Cost: O(instructions + edges), with the limits above.
pub fn summarize(
    func: &Function,
    cfg: &ControlFlowGraph,
    domtree: &DominatorTree,
    policy: &dyn Policy,
    target: TargetFacts,
) -> Summary {
    let order = Order::new(domtree);
    let memory = Memory::new(func, &order, policy, target);
    let mut body = Body {
        summary: Summary::pure(),
        memory: &memory,
        stored: Vec::new(),
        touched: Vec::new(),
        read: Vec::new(),
    };
    body.stack_limit();
    if memory.slots.are_left {
        body.may(|anywhere| {
            let all = RegionSet::all();
            anywhere.reading(&all).writing(&all)
        });
    }
    for event in 0..memory.events.len() as EventIndex {
        body.event(event);
    }
    let Body {
        summary,
        stored,
        touched,
        read,
        ..
    } = body;
    let id = |region: AliasRegion| func.dfg.alias_regions[region].user_id;
    let changed = match stored.iter().any(|access| access.region.is_none()) {
        true => RegionSet::all(),
        false => RegionSet::of(
            regions_left_changed(&memory, &order, cfg, &stored)
                .into_iter()
                .map(id),
        ),
    };
    summary
        .passing(uses_of_params(func, &order, policy))
        .reading(&RegionSet::of(read))
        .touching(&RegionSet::of(touched))
        .writing(&changed)
}

struct Body<'m, 'a> {
    /// What calls and the like do.
    summary: Summary,
    memory: &'m Memory<'a>,
    /// Stores outside of the frame.
    stored: Vec<&'m Access>,
    /// The regions of those that have one.
    touched: Vec<u32>,
    /// The regions of loads.
    read: Vec<u32>,
}

impl<'m> Body<'m, '_> {
    /// The check of the stack limit on entry: it loads, and may trap.
    fn stack_limit(&mut self) {
        let func = self.memory.func;
        let mut next: Option<GlobalValue> = func.stack_limit;
        if next.is_some() {
            self.may(Summary::trapping);
        }
        while let Some(value) = next {
            next = match func.global_values[value] {
                GlobalValueData::Load { base, flags, .. } => {
                    self.read(func.dfg.mem_flags[flags].alias_region());
                    Some(base)
                }
                GlobalValueData::IAddImm { base, .. } => Some(base),
                GlobalValueData::VMContext
                | GlobalValueData::Symbol { .. }
                | GlobalValueData::DynScaleTargetConst { .. } => None,
            };
        }
    }

    fn event(&mut self, index: EventIndex) {
        let memory = self.memory;
        let event = &memory.events[index as usize];
        match &event.kind {
            EventKind::Access(access) => self.access(access),
            EventKind::Call(_) => {
                let callee = summary_of_call(memory.func, memory.policy, event.inst);
                self.call(event.inst, &callee);
            }
            EventKind::End => {
                let opcode = memory.func.dfg.insts[event.inst].opcode();
                if opcode.is_call() {
                    let callee = summary_of_call(memory.func, memory.policy, event.inst);
                    self.summary.join(&callee);
                }
            }
            EventKind::Transfer(transfer) => self.transfer(transfer),
            EventKind::Barrier => self.summary.join(&Summary::opaque()),
            EventKind::Trap => self.may(Summary::trapping),
            EventKind::Compare | EventKind::Escape => {}
        }
    }

    /// The call `inst`, of a callee that comes back here.
    fn call(&mut self, inst: Inst, callee: &Summary) {
        let func = self.memory.func;
        // A handler goes on with whatever the callee was at.
        let written = match func.dfg.insts[inst].exception_table() {
            Some(_) => callee.touches(),
            None => callee.writes(),
        };
        self.may(|summary| {
            let summary = summary
                .reading(callee.reads())
                .touching(callee.touches())
                .writing(written);
            match callee.may_trap() {
                true => summary.trapping(),
                false => summary,
            }
        });
        if callee.may_unwind() && !handles_all_exceptions(func, inst) {
            self.may(Summary::unwinding);
        }
    }

    /// Widens the summary.
    fn may(&mut self, more: impl FnOnce(Summary) -> Summary) {
        let summary = core::mem::replace(&mut self.summary, Summary::pure());
        self.summary = more(summary);
    }

    fn access(&mut self, access: &'m Access) {
        if access.trap.is_some() {
            self.may(Summary::trapping);
        }
        if access.slot().is_some() {
            // The frame is new to the caller, and gone when the caller goes on.
            return;
        }
        if access.stored.is_none() {
            self.read(access.region);
            return;
        }
        self.stored.push(access);
        if let Some(region) = access.region {
            let id = self.memory.func.dfg.alias_regions[region].user_id;
            self.touched.push(id);
        }
    }

    /// One of Cranelift's own functions, on memory that no region names.
    fn transfer(&mut self, transfer: &Transfer) {
        let is_outside = |location: &Location| location.slot().is_none();
        if transfer.reads.iter().any(is_outside) {
            self.read(None);
        }
        if transfer.writes.iter().any(is_outside) {
            self.may(|summary| summary.writing(&RegionSet::all()));
        }
    }

    fn read(&mut self, region: Option<AliasRegion>) {
        match region {
            Some(region) => {
                let id = self.memory.func.dfg.alias_regions[region].user_id;
                self.read.push(id);
            }
            None => self.may(|summary| summary.reading(&RegionSet::all())),
        }
    }
}

/// The regions of `stored` that may hold something new at an exit.
fn regions_left_changed(
    memory: &Memory<'_>,
    order: &Order,
    cfg: &ControlFlowGraph,
    stored: &[&Access],
) -> Vec<AliasRegion> {
    let mut classes: Vec<Class> = stored.iter().filter_map(|access| access.class).collect();
    classes.sort_unstable();
    classes.dedup();
    let ends = ends(memory);
    let graph = Graph::forward(order, cfg);
    let small = classes.len() * ends.len() <= MAX_ENDS_TIMES_REGIONS;
    let dominance = (small && !classes.is_empty())
        .then(|| Dominance::new(&graph))
        .flatten();
    let mut restored: Vec<Class> = Vec::new();
    if let Some(dominance) = &dominance {
        let mut clobbers =
            Clobbers::with_classes_at_ends(memory, order, &graph, dominance, &classes);
        let repeating = graph.repeating_nodes();
        let mut restoring = Restoring {
            memory,
            order,
            repeating: &repeating,
            clobbers: &mut clobbers,
            ends: &ends,
            loads: loads_by_result(memory),
        };
        let classes = classes.iter().copied();
        restored = classes
            .filter(|class| restoring.is_restored(*class, stored))
            .collect();
    }
    let changed = stored
        .iter()
        .filter(|access| !access.class.is_some_and(|class| restored.contains(&class)));
    let mut regions: Vec<AliasRegion> = changed.filter_map(|access| access.region).collect();
    regions.sort_unstable();
    regions.dedup();
    regions
}

fn ends(memory: &Memory<'_>) -> Vec<EventIndex> {
    let events = memory.events.iter().enumerate();
    let ends = events.filter(|(_, event)| matches!(event.kind, EventKind::End));
    ends.map(|(index, _)| index as EventIndex).collect()
}

fn loads_by_result(memory: &Memory<'_>) -> FxHashMap<Value, EventIndex> {
    let mut loads = FxHashMap::default();
    for (index, event) in memory.events.iter().enumerate() {
        if let EventKind::Access(access) = &event.kind
            && access.stored.is_none()
        {
            loads.insert(
                memory.func.dfg.first_result(event.inst),
                index as EventIndex,
            );
        }
    }
    loads
}

/// Proves that locations hold at every exit what they held on entry.
struct Restoring<'r, 'm> {
    memory: &'r Memory<'r>,
    order: &'r Order,
    repeating: &'r [bool],
    clobbers: &'r mut Clobbers<'m>,
    ends: &'r [EventIndex],
    loads: FxHashMap<Value, EventIndex>,
}

impl Restoring<'_, '_> {
    fn is_restored(&mut self, class: Class, stored: &[&Access]) -> bool {
        let mut locations: SmallVec<[Location; MAX_RESTORED_LOCATIONS]> = SmallVec::new();
        for access in stored.iter().filter(|access| access.class == Some(class)) {
            if access.asynchronous || !self.is_steady(access.location) {
                return false;
            }
            if !locations.contains(&access.location) {
                if locations.len() == MAX_RESTORED_LOCATIONS {
                    return false;
                }
                locations.push(access.location);
            }
        }
        let ends = self.ends;
        locations.iter().all(|location| {
            ends.iter()
                .all(|end| self.holds_entry_value(*end, class, *location))
        })
    }

    /// Does the location mean the same bytes for the whole run?
    fn is_steady(&self, location: Location) -> bool {
        let known = location.bytes.is_some() && location.address.offset.is_some();
        let root = location.address.root;
        known && self.memory.is_steady(root, self.order, self.repeating) == Some(true)
    }

    fn holds_entry_value(&mut self, end: EventIndex, class: Class, location: Location) -> bool {
        let Some(sources) = self.clobbers.sources_at_end(end, class, location) else {
            return false;
        };
        sources.into_iter().all(|source| match source {
            Source::Entry => true,
            Source::Store(store) => self.stores_entry_value(store, location),
            Source::Event(_) | Source::Join(_) | Source::Unknown(_) => false,
        })
    }

    /// Does the store put back what the location held on entry?
    fn stores_entry_value(&mut self, store: EventIndex, location: Location) -> bool {
        let memory = self.memory;
        let Some((store, value)) = memory.access(store).and_then(|a| Some((a, a.stored?))) else {
            return false;
        };
        let Some(index) = self.loads.get(&value).copied() else {
            return false;
        };
        let Some(load) = memory.access(index) else {
            return false;
        };
        let bits = memory.pointer_bits;
        let same = |other: &Location| {
            other.address.root == location.address.root
                && other.overlap_in_root(&location, bits) == Overlap::Same
        };
        let order_of_bytes = load.endianness == store.endianness || location.bytes == Some(1);
        same(&store.location)
            && same(&load.location)
            && order_of_bytes
            && store.puts_back(load)
            && load.class == store.class
            && !load.readonly
            && self.clobbers.source(index) == Source::Entry
    }
}

/// The summaries of functions whose bodies were at hand, by name.
#[derive(Clone, Debug, Default)]
pub struct Summaries {
    by_name: FxHashMap<CalleeName, Summary>,
}

impl Summaries {
    /// The summary of the function called `name`, if its body was seen.
    ///
    /// Cost: one look-up.
    pub fn get(&self, name: &CalleeName) -> Option<&Summary> {
        self.by_name.get(name)
    }

    /// Records what the function called `name` does.
    ///
    /// Cost: one look-up.
    pub fn insert(&mut self, name: CalleeName, summary: Summary) {
        self.by_name.insert(name, summary);
    }

    /// Forgets what the function called `name` does, because it is to get another body.
    /// Code that was compiled with what is forgotten has to be compiled again.
    ///
    /// Cost: one look-up.
    pub fn forget(&mut self, name: &CalleeName) {
        self.by_name.remove(name);
    }
}

/// A policy that knows summaries computed from bodies as well. Where both
/// speak of one callee, the embedder's word counts.
#[derive(Clone, Copy)]
pub struct WithSummaries<'a> {
    /// The embedder's policy.
    pub policy: &'a dyn Policy,
    /// What bodies have told.
    pub summaries: &'a Summaries,
}

impl Policy for WithSummaries<'_> {
    fn callee(&self, name: &CalleeName) -> Option<Summary> {
        let known = self.policy.callee(name);
        known.or_else(|| self.summaries.get(name).cloned())
    }

    fn indirect_callee(&self, origin: &Origin) -> Option<Summary> {
        self.policy.indirect_callee(origin)
    }

    regions_as_policy!();
}
