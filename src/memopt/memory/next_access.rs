//! What happens next to a store: versions over the reversed graph.
//!
//! [`Upcoming::is_observed`] walks from a store in the direction of time, over
//! everything that cannot see it, and ends on each path at the first event
//! that decides: an overwrite, a reader, an observer of everything, or the end
//! of the frame. A cycle without such an event observes nothing.
//!
//! Addresses need more care than on the way back. The walk may come round a
//! loop to where a base is computed anew, and then the same value is another
//! address. Going forward only, by reverse postorder, excludes that: suppose a
//! step from P to Q > P passed the definition D of the base. D dominates P, so
//! from D too the next event is Q; but the store is an event itself and can be
//! reached from D, so that Q would have to dominate it, and Q < P.

use crate::ir::StackSlot;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::inst::location::{Location, Overlap, Root};
use crate::memopt::memory::insts::{
    ANY, Access, Call, Classes, EventIndex, EventKind, Memory, defining_node,
};
use crate::memopt::memory::links::Links;
use crate::memopt::memory::slot_escape::Privacy;
use crate::memopt::memory::ssa::{
    Class, Definition, EPOCH, FIRST_CLASS, Op, OpIndex, Ops, RETURN_EPOCH, State, TRAP_EPOCH,
    Versions,
};
use crate::{FxHashMap, FxHashSet};
use alloc::vec::Vec;
use core::ops::Range;
use smallvec::SmallVec;

/// Versions that one query may look at. As for loads, see
/// [`super::reaching`]; beyond it the store counts as observed.
const MAX_STEPS: u32 = 128;

/// Events and blocks that [`is_seen_soon`] looks at; what they do not show, a walk
/// does.
const MAX_SOON: usize = 32;

const NONE: OpIndex = OpIndex::MAX;

/// Answers what happens to a store.
pub struct Upcoming<'a> {
    memory: &'a Memory<'a>,
    order: &'a Order,
    graph: &'a Graph,
    /// Blocks that may run more than once.
    repeating: &'a [bool],
    versions: Versions,
    /// The operation of each event in the class of its region, or [`ANY`].
    region_ops: Vec<OpIndex>,
    /// The operation of each event in the class of its slot.
    slot_ops: Vec<OpIndex>,
    /// Where the world can find slots that have escaped.
    links: Links,
    /// What may be asked at the start of a node.
    start_ops: FxHashMap<(Node, Class), OpIndex>,
    event_of_op: Vec<EventIndex>,
    /// Does the operation stand for the access, or does it observe all?
    is_access: Vec<bool>,
    /// How many queries [`MAX_STEPS`] has ended, and classes without versions.
    pub limits_hit: u32,
}

impl<'a> Upcoming<'a> {
    /// Computes the versions of the classes in `asked`; `None` if the graph is too
    /// deep, see [`Dominance::new`]. `reversed` is the graph against the edges.
    ///
    /// Of a store in another class everything is observed.
    ///
    /// Cost: O(instructions + edges), see [`Versions::new`].
    pub fn new(
        memory: &'a Memory<'a>,
        order: &'a Order,
        reversed: &'a Graph,
        repeating: &'a [bool],
        asked: impl IntoIterator<Item = Class>,
    ) -> Option<Self> {
        let builder = Builder::new(memory, asked);
        Self::build(memory, order, reversed, repeating, builder, &[])
    }

    /// The same, for [`Self::is_observed_from`] to be asked about the classes at
    /// the starts of the nodes in `questions`, which are sorted.
    pub fn with_questions_at_starts(
        memory: &'a Memory<'a>,
        order: &'a Order,
        reversed: &'a Graph,
        repeating: &'a [bool],
        questions: &[(Node, Class)],
    ) -> Option<Self> {
        let builder = Builder::new(memory, questions.iter().map(|(_, class)| *class));
        Self::build(memory, order, reversed, repeating, builder, questions)
    }

    fn build(
        memory: &'a Memory<'a>,
        order: &'a Order,
        reversed: &'a Graph,
        repeating: &'a [bool],
        mut builder: Builder<'a>,
        questions: &[(Node, Class)],
    ) -> Option<Self> {
        let dominance = Dominance::new(reversed)?;
        let mut questions = questions.iter().copied().peekable();
        for node in 0..order.len() as Node {
            builder.starts.push(builder.list.len() as u32);
            for event in memory.of_node(node).rev() {
                builder.add(event);
            }
            while let Some((_, class)) = questions.next_if(|(at, _)| *at == node) {
                builder.ask(node, class);
            }
        }
        // The exit has no events.
        builder.starts.extend([builder.list.len() as u32; 2]);
        let ops = Ops {
            list: builder.list,
            starts: builder.starts,
            classes: memory.classes(),
            left_out: builder.left_out,
        };
        let versions = Versions::new(reversed, &dominance, &ops);
        Some(Self {
            memory,
            order,
            graph: reversed,
            repeating,
            links: Links::new(memory, order, reversed, repeating),
            limits_hit: versions.untracked(),
            versions,
            region_ops: builder.region_ops,
            slot_ops: builder.slot_ops,
            start_ops: builder.start_ops,
            event_of_op: builder.event_of_op,
            is_access: builder.is_access,
        })
    }

    /// May anyone see what the store `event` writes?
    ///
    /// `private`: is its slot known to nobody else when it executes?
    pub fn is_observed(&mut self, event: EventIndex, private: bool) -> bool {
        let access = self.memory.access(event);
        access.is_none_or(|access| self.is_part_observed(event, private, access.location))
    }

    /// May anyone see some of the bytes that the store `event` writes: those at `part`, which
    /// has the root of its location?
    pub fn is_part_observed(&mut self, event: EventIndex, private: bool, part: Location) -> bool {
        let memory = self.memory;
        let Some(access) = memory.access(event) else {
            return true;
        };
        let op = if private && access.slot().is_some() {
            self.slot_ops[event as usize]
        } else {
            self.region_ops[event as usize]
        };
        let node = memory.events[event as usize].node;
        self.is_observed_after(op, node, access, private, part)
    }

    /// May anyone see what the store `event` writes if it were written on the
    /// way to `node`? `private` as for [`Self::is_observed`], there.
    ///
    /// From the store, only that one edge may lead back in reverse postorder.
    /// Of a class that was not announced for `node`, everything is observed.
    pub fn is_observed_from(&mut self, node: Node, event: EventIndex, private: bool) -> bool {
        let memory = self.memory;
        let Some(access) = memory.access(event) else {
            return true;
        };
        match self
            .start_ops
            .get(&(node, memory.class_of(access, private)))
        {
            Some(op) => {
                let home = memory.events[event as usize].node;
                let forward = node > home || self.is_steady(access) == Some(true);
                !forward || self.is_observed_after(*op, node, access, private, access.location)
            }
            None => true,
        }
    }

    /// Does the base of `access` mean one address for the whole run of the
    /// function? `None` if its definition cannot be reached.
    fn is_steady(&self, access: &Access) -> Option<bool> {
        match access.location.address.root {
            Root::Value(value) => {
                let node = defining_node(self.memory.func, self.order, value)?;
                Some(!self.repeating[node as usize])
            }
            Root::Slot(_) | Root::Shared(..) | Root::Absolute => Some(true),
        }
    }

    /// May anyone see what the store `access` writes at `location`, behind `op` in `node`?
    fn is_observed_after(
        &mut self,
        op: OpIndex,
        node: Node,
        access: &Access,
        private: bool,
        location: Location,
    ) -> bool {
        let memory = self.memory;
        let class = memory.class_of(access, private);
        if op == NONE || !self.versions.is_tracked(class) {
            return true;
        }
        let Some(steady) = self.is_steady(access) else {
            return true;
        };
        let slot = access.slot().filter(|_| !private);
        let query = Query {
            upcoming: self,
            linked: slot.filter(|slot| self.links.follows(*slot)),
            location,
            private,
            traps_observe: !private && memory.survives_trap(class),
            returns_observe: !private && access.slot().is_none(),
            steady,
            seen: FxHashSet::default(),
            steps: MAX_STEPS,
        };
        let (observed, steps) = query.run(self.versions.before(op), node);
        if steps == 0 {
            self.limits_hit += 1;
        }
        observed
    }
}

/// Does someone see a store of `access` within a few events? `rest` are the events
/// behind it in `node`, and `graph` is the forward one. Most stores are seen so soon,
/// and need no versions.
///
/// What is not shown may be true all the same. A store into a slot is left to
/// the walk, which knows where the slot is found. Only edges that go forward in
/// reverse postorder are followed, so that the address means the same; see the
/// header.
///
/// Cost: [`MAX_SOON`] events and blocks.
pub fn is_seen_soon(
    memory: &Memory<'_>,
    graph: &Graph,
    access: &Access,
    node: Node,
    rest: Range<EventIndex>,
) -> bool {
    if access.slot().is_some() {
        return false;
    }
    let mut room = MAX_SOON;
    let mut ways: SmallVec<[(Node, Range<EventIndex>); 8]> = SmallVec::new();
    ways.push((node, rest));
    while let Some((node, events)) = ways.pop() {
        let mut is_gone = false;
        for event in events {
            match soon(memory, access, event) {
                _ if room == 0 => return false,
                Next::Observed => return true,
                Next::Gone => is_gone = true,
                // Others may overwrite the rest.
                Next::Part => return false,
                Next::Pass => room -= 1,
            }
            if is_gone {
                break;
            }
        }
        if is_gone {
            continue;
        }
        for succ in graph.succs(node).iter().filter(|succ| **succ > node) {
            if room == 0 {
                return false;
            }
            room -= 1;
            ways.push((*succ, memory.of_node(*succ)));
        }
    }
    false
}

/// What `event` is to a store of `access`, to no slot.
fn soon(memory: &Memory<'_>, access: &Access, event: EventIndex) -> Next {
    let class = access.class.unwrap_or(ANY);
    let survives_trap = memory.survives_trap(class);
    let seen = match &memory.events[event as usize].kind {
        EventKind::Access(other) => return soon_accessed(memory, access, other),
        EventKind::Call(call) => {
            let reads = match &call.reads {
                Classes::All => true,
                Classes::These(classes) => classes.contains(&class),
            };
            reads || (survives_trap && call.may_end)
        }
        EventKind::Barrier | EventKind::End => true,
        EventKind::Trap => survives_trap,
        EventKind::Compare | EventKind::Escape => false,
    };
    if seen { Next::Observed } else { Next::Pass }
}

fn soon_accessed(memory: &Memory<'_>, access: &Access, other: &Access) -> Next {
    let class = access.class.unwrap_or(ANY);
    let may_trap = other.trap.is_some();
    if may_trap && memory.survives_trap(class) {
        return Next::Observed;
    }
    if other.is_always_private(&memory.slots) {
        return Next::Pass;
    }
    // Without a region it may read any.
    if other.class.is_none() && other.stored.is_none() {
        return Next::Observed;
    }
    if class != ANY && other.class != Some(class) {
        return Next::Pass;
    }
    let overlap = memory.overlap(&other.location, &access.location, false);
    match other.stored {
        _ if overlap == Overlap::None => Next::Pass,
        None => Next::Observed,
        Some(_) if overlap.covers() => Next::Gone,
        Some(_) if matches!(overlap, Overlap::Inside | Overlap::Partial) => Next::Part,
        Some(_) => Next::Pass,
    }
}

/// One walk from a store in the direction of time.
struct Query<'q, 'a> {
    upcoming: &'q Upcoming<'a>,
    /// The slot in question, if it has escaped and is not found everywhere.
    linked: Option<StackSlot>,
    location: Location,
    private: bool,
    traps_observe: bool,
    /// Whoever knows the address of a slot of ours may read it until we return,
    /// and no longer.
    returns_observe: bool,
    /// Does the base mean one address for the whole run of the function?
    steady: bool,
    /// Branches whose ways on have been queued.
    seen: FxHashSet<Node>,
    steps: u32,
}

enum Next {
    Observed,
    /// Nobody sees it on this path.
    Gone,
    /// Nobody sees some of it on this path.
    Part,
    /// Go on behind this event.
    Pass,
}

impl Query<'_, '_> {
    /// Follows all paths; also returns the steps that are left.
    fn run(mut self, state: State, node: Node) -> (bool, u32) {
        let mut work = Vec::new();
        work.push((state, node));
        while let Some((mut state, mut from)) = work.pop() {
            loop {
                if self.steps == 0 {
                    return (true, 0);
                }
                self.steps -= 1;
                let own = self.upcoming.versions.definition(state.own);
                if self.something_observes_all(state, own) {
                    match self.pass_observer(&mut state, own, &mut work) {
                        Some(true) => continue,
                        Some(false) => break,
                        None => return (true, self.steps),
                    }
                }
                match own {
                    // The frame ends, or nothing ever happens again.
                    Definition::Entry => break,
                    Definition::Op(op) => {
                        let event = self.upcoming.event_of_op[op as usize];
                        let node = self.upcoming.memory.events[event as usize].node;
                        if !self.may_step(from, node) {
                            return (true, self.steps);
                        }
                        match self.event(op, event) {
                            Next::Observed => return (true, self.steps),
                            Next::Gone => break,
                            Next::Part | Next::Pass => {
                                state = self.upcoming.versions.before(op);
                                from = node;
                            }
                        }
                    }
                    Definition::Phi(phi) => {
                        let node = self.upcoming.versions.phi_node(phi);
                        if !self.may_step(from, node) {
                            return (true, self.steps);
                        }
                        if self.seen.insert(node) {
                            let versions = &self.upcoming.versions;
                            for (succ, state) in versions.phi_inputs(self.upcoming.graph, phi) {
                                let exit = succ as usize == self.upcoming.order.len();
                                if !exit && succ <= node && !self.steady {
                                    return (true, self.steps);
                                }
                                work.push((state, if exit { node } else { succ }));
                            }
                        }
                        break;
                    }
                }
            }
        }
        (false, self.steps)
    }

    /// Is there an observer of all memory before `own` happens?
    fn something_observes_all(&self, state: State, own: Definition) -> bool {
        if self.private {
            return false;
        }
        let at = self.state_at(own);
        state.epoch != at.epoch
            || (self.traps_observe && state.traps != at.traps)
            || (self.returns_observe && state.returns != at.returns)
    }

    /// Goes on behind the next observer of all memory, or behind the ways on
    /// which different ones come next, which are queued; then it is `false`.
    /// `None` if one of them can find the location.
    fn pass_observer(
        &mut self,
        state: &mut State,
        own: Definition,
        work: &mut Vec<(State, Node)>,
    ) -> Option<bool> {
        let slot = self.linked?;
        // Of the observers of all memory and of traps, which comes first is
        // not known here.
        if self.traps_observe || state.epoch == self.state_at(own).epoch {
            return None;
        }
        let versions = &self.upcoming.versions;
        match versions.definition(state.epoch) {
            Definition::Op(op) => {
                let event = self.upcoming.event_of_op[op as usize];
                if self.finds(slot, event) {
                    return None;
                }
                state.epoch = versions.before(op).epoch;
                Some(true)
            }
            Definition::Phi(phi) => {
                let node = versions.phi_node(phi);
                if self.seen.insert(node) {
                    let inputs = versions.inputs_without_phi(self.upcoming.graph, node, state.own);
                    for (succ, state) in inputs {
                        let exit = succ as usize == self.upcoming.order.len();
                        work.push((state, if exit { node } else { succ }));
                    }
                }
                Some(false)
            }
            Definition::Entry => None,
        }
    }

    /// May `event`, which sees all memory or no region, see the location?
    fn finds(&self, slot: StackSlot, event: EventIndex) -> bool {
        let memory = self.upcoming.memory;
        match memory.access(event) {
            Some(access) => {
                memory.overlap(&access.location, &self.location, false) != Overlap::None
            }
            None => self.upcoming.links.is_linked(slot, event),
        }
    }

    /// The state when `own` happens, as far as the epochs go.
    fn state_at(&self, own: Definition) -> State {
        let versions = &self.upcoming.versions;
        match own {
            Definition::Entry => Versions::entry_state(),
            Definition::Op(op) => versions.before(op),
            Definition::Phi(phi) => versions.at_phi(phi),
        }
    }

    /// Does the base still mean what it meant, one step on? See the header.
    ///
    /// Inside one block, the events behind the store are those that follow it
    /// without leaving: coming round again would mean passing a branch, which
    /// is a step to another block or, for a loop of one block, a phi.
    fn may_step(&self, from: Node, to: Node) -> bool {
        self.steady || to >= from
    }

    fn event(&self, op: OpIndex, event: EventIndex) -> Next {
        if !self.upcoming.is_access[op as usize] {
            let found = self
                .linked
                .is_none_or(|slot| self.upcoming.links.is_linked(slot, event));
            return if found { Next::Observed } else { Next::Pass };
        }
        let memory = self.upcoming.memory;
        let Some(access) = memory.access(event) else {
            return Next::Observed;
        };
        let private = self.private || access.is_always_private(&memory.slots);
        let overlap = memory.overlap(&access.location, &self.location, private);
        match (access.stored, overlap) {
            (_, Overlap::None) => Next::Pass,
            (None, _) => Next::Observed,
            (Some(_), overlap) if overlap.covers() => Next::Gone,
            (Some(_), _) => Next::Pass,
        }
    }
}

/// Turns events into operations, the last one first.
struct Builder<'a> {
    memory: &'a Memory<'a>,
    list: Vec<Op>,
    starts: Vec<u32>,
    event_of_op: Vec<EventIndex>,
    is_access: Vec<bool>,
    region_ops: Vec<OpIndex>,
    slot_ops: Vec<OpIndex>,
    start_ops: FxHashMap<(Node, Class), OpIndex>,
    /// The classes that are asked about, and the epochs.
    wanted: Vec<bool>,
    /// Operations of other classes.
    left_out: usize,
}

impl<'a> Builder<'a> {
    fn new(memory: &'a Memory<'a>, asked: impl IntoIterator<Item = Class>) -> Self {
        let events = memory.events.len();
        let mut wanted = alloc::vec![false; memory.classes() as usize];
        for class in (0..FIRST_CLASS).chain(asked) {
            wanted[class as usize] = true;
        }
        Self {
            memory,
            list: Vec::new(),
            starts: Vec::new(),
            event_of_op: Vec::new(),
            is_access: Vec::new(),
            region_ops: alloc::vec![NONE; events],
            slot_ops: alloc::vec![NONE; events],
            start_ops: FxHashMap::default(),
            wanted,
            left_out: 0,
        }
    }

    /// Adds an operation, unless nobody asks about its class.
    fn push(&mut self, event: EventIndex, class: Class, is_access: bool) -> OpIndex {
        if !self.wanted[class as usize] {
            self.left_out += 1;
            return NONE;
        }
        let op = self.list.len() as OpIndex;
        self.list.push(Op {
            class,
            defines: true,
        });
        self.event_of_op.push(event);
        self.is_access.push(is_access);
        op
    }

    /// Lets `class` be asked about at the start of `node`.
    fn ask(&mut self, node: Node, class: Class) {
        let op = self.list.len() as OpIndex;
        self.list.push(Op {
            class,
            defines: false,
        });
        // Nothing leads to an operation that defines nothing.
        self.event_of_op.push(EventIndex::MAX);
        self.is_access.push(false);
        self.start_ops.insert((node, class), op);
    }

    /// Adds what `event` does, last things first.
    fn add(&mut self, event: EventIndex) {
        let memory = self.memory;
        // From where an address escapes on, its slot is looked at as part of
        // its region; its private life ends there.
        for slot in memory.slots.escapes_at(memory.events[event as usize].inst) {
            self.observe_slot(event, *slot);
        }
        match &memory.events[event as usize].kind {
            EventKind::Access(access) => self.access(event, access),
            EventKind::Call(call) => self.call(event, call),
            EventKind::Barrier => {
                self.push(event, EPOCH, false);
            }
            EventKind::End => {
                self.push(event, RETURN_EPOCH, false);
            }
            EventKind::Trap => {
                self.push(event, TRAP_EPOCH, false);
            }
            EventKind::Compare | EventKind::Escape => {}
        }
    }

    fn observe_slot(&mut self, event: EventIndex, slot: StackSlot) {
        let class = self.memory.slot_class(slot);
        self.push(event, class, false);
    }

    fn access(&mut self, event: EventIndex, access: &Access) {
        let mut is_private = false;
        if let Some(slot) = access.slot() {
            let privacy = self.memory.slots.privacy(slot);
            if privacy != Privacy::Never {
                let class = self.memory.slot_class(slot);
                self.slot_ops[event as usize] = self.push(event, class, true);
            }
            is_private = privacy == Privacy::Always;
        }
        if !is_private {
            let op = self.push(event, access.class.unwrap_or(ANY), true);
            self.region_ops[event as usize] = op;
            match access.class {
                Some(_) => {
                    self.push(event, ANY, true);
                }
                // Without a region it may be in any class.
                None if access.stored.is_none() => {
                    self.push(event, EPOCH, false);
                }
                None => {}
            }
        }
        if access.trap.is_some() {
            self.push(event, TRAP_EPOCH, false);
        }
    }

    fn call(&mut self, event: EventIndex, call: &Call) {
        match &call.reads {
            Classes::All => {
                self.push(event, EPOCH, false);
            }
            Classes::These(classes) => {
                for class in classes {
                    self.push(event, *class, false);
                }
            }
        }
        if call.may_end {
            self.push(event, TRAP_EPOCH, false);
        }
        for slot in &call.mapped_slots {
            self.observe_slot(event, *slot);
        }
    }
}
