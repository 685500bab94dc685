//! What stays the same while a loop runs.
//!
//! The loads of loops whose addresses are computed outside, what their loops may write, and
//! whether an instruction of a loop is sure to execute once it is entered.
//!
//! Cost: O(memory instructions) for the loads; one question for each load that is asked about and
//! each instruction of the loops around it that may write, up to [`MAX_LOADS`] and [`MAX_WRITES`].

use crate::ir::{Inst, MemFlagsData, Value};
use crate::isa::CallConv;
use crate::loop_analysis::{Loop, LoopAnalysis};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node, Order, defining_node};
use crate::memopt::cfg::trapping;
use crate::memopt::edit::Edge;
use crate::memopt::inst::bits::number;
use crate::memopt::inst::location::Root;
use crate::memopt::memory::insts::{Access, EventIndex, EventKind, Memory};
use crate::memopt::memory::mod_ref::{Bytes, Writes, mod_ref};
use crate::memopt::memory::numbering::Meaning;
use crate::memopt::passes::uses::for_each_use;
use crate::memopt::paths::computed::{Computed, Part, computed};
use crate::memopt::refusal::Obstacle;
use crate::{FxHashMap, FxHashSet};
use alloc::vec::Vec;
use core::cell::OnceCell;
use smallvec::SmallVec;

/// Loads of one innermost loop that are looked at.
///
/// Each needs a register through the loop, and there are not as many. What is given up is that
/// the others are loaded again.
const MAX_LOADS: usize = 8;

/// Instructions of one loop that may write memory.
///
/// Each is asked about for each load. What is given up are the loads of loops that have more.
const MAX_WRITES: usize = 128;

/// Blocks of a loop whose memory is looked at.
///
/// A loop with more is rarely the one that is hot. What is given up are its loads.
const MAX_NODES: usize = 1024;

/// Blocks of a loop that may come before a load.
///
/// What is sure to execute is near the header. What is given up is a load farther down.
const MAX_BEFORE: usize = 16;

/// The graph of a function, and its loops.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    /// The numbers of the blocks.
    pub order: &'a Order,
    /// The edges.
    pub graph: &'a Graph,
    /// The loops.
    pub loops: &'a LoopAnalysis,
}

impl Shape<'_> {
    /// The innermost loop around `node`.
    pub fn innermost(&self, node: Node) -> Option<Loop> {
        self.loops.innermost_loop(self.order.block(node))
    }

    /// Is `node` in the loop?
    pub fn is_inside(&self, node: Node, lp: Loop) -> bool {
        self.loops.is_in_loop(self.order.block(node), lp)
    }

    /// The header of the loop; `None` if no path leads there.
    pub fn header(&self, lp: Loop) -> Option<Node> {
        self.order.node(self.loops.loop_header(lp))
    }

    /// The edges into the loop from outside.
    pub fn entries(&self, memory: &Memory<'_>, lp: Loop) -> Vec<Edge> {
        let header = self.loops.loop_header(lp);
        let Some(node) = self.order.node(header) else {
            return Vec::new();
        };
        let outside = self.graph.preds(node).iter();
        let outside = outside.filter(|pred| !self.is_inside(**pred, lp));
        let edges = outside.flat_map(|pred| {
            let pred = self.order.block(*pred);
            cfg_edit::edges(memory.func, pred, header)
        });
        edges.collect()
    }
}

/// Which paths through a loop come to an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// All.
    Always,
    /// All but those that leave the loop for a trap alone.
    ButForTraps,
}

/// Loads of loops whose addresses are computed outside, and what their loops may write.
pub struct Invariants<'m, 'a> {
    /// What the function does to memory.
    pub memory: &'m Memory<'a>,
    /// The graph.
    pub shape: Shape<'m>,
    /// For each loop that was asked about, what may write memory in it; `None` beyond
    /// [`MAX_WRITES`].
    writes: FxHashMap<Loop, Option<Vec<EventIndex>>>,
    /// The nodes of loops, once anybody has asked.
    members: Option<Members>,
    /// From which nodes every path ends in a trap, once anybody has asked.
    traps: OnceCell<Vec<bool>>,
}

/// The nodes of each loop.
struct Members {
    /// Of each loop the nodes that are in no loop inside of it.
    own: FxHashMap<Loop, Vec<Node>>,
    /// Of each loop those directly inside of it.
    inner: FxHashMap<Loop, Vec<Loop>>,
}

impl Members {
    /// Cost: O(blocks).
    fn new(shape: Shape<'_>) -> Self {
        let mut own: FxHashMap<Loop, Vec<Node>> = FxHashMap::default();
        for node in 0..shape.graph.len() as Node {
            if let Some(lp) = shape.innermost(node) {
                own.entry(lp).or_default().push(node);
            }
        }
        let mut inner: FxHashMap<Loop, Vec<Loop>> = FxHashMap::default();
        for lp in shape.loops.loops() {
            if let Some(parent) = shape.loops.loop_parent(lp) {
                inner.entry(parent).or_default().push(lp);
            }
        }
        Self { own, inner }
    }

    /// All nodes of a loop; `None` if there are more than [`MAX_NODES`].
    fn of(&self, lp: Loop) -> Option<Vec<Node>> {
        let mut nodes = Vec::new();
        let mut work = alloc::vec![lp];
        while let Some(lp) = work.pop() {
            nodes.extend_from_slice(self.own.get(&lp)?);
            work.extend(self.inner.get(&lp).into_iter().flatten());
            if nodes.len() + work.len() > MAX_NODES {
                return None;
            }
        }
        Some(nodes)
    }
}

impl<'m, 'a> Invariants<'m, 'a> {
    /// Nothing has been asked yet.
    pub fn new(memory: &'m Memory<'a>, shape: Shape<'m>) -> Self {
        Self {
            memory,
            shape,
            writes: FxHashMap::default(),
            members: None,
            traps: OnceCell::new(),
        }
    }

    /// The nodes of the loop, up to [`MAX_NODES`].
    pub fn nodes(&mut self, lp: Loop) -> Option<Vec<Node>> {
        let shape = self.shape;
        let members = self.members.get_or_insert_with(|| Members::new(shape));
        members.of(lp)
    }

    /// The loads that may be the same in each iteration of their loops: those at addresses that
    /// can be computed outside of the innermost loop around each. Each with that loop.
    pub fn candidates(&self) -> Vec<(EventIndex, Loop)> {
        let mut candidates: Vec<(EventIndex, Loop)> = Vec::new();
        let mut of_loop: FxHashMap<Loop, usize> = FxHashMap::default();
        for node in 0..self.shape.graph.len() as Node {
            let events = self.memory.of_node(node);
            if events.is_empty() {
                continue;
            }
            let Some(lp) = self.shape.innermost(node) else {
                continue;
            };
            for event in events.filter(|event| self.is_candidate(*event, lp)) {
                let count = of_loop.entry(lp).or_default();
                *count += 1;
                if *count <= MAX_LOADS {
                    candidates.push((event, lp));
                }
            }
        }
        candidates
    }

    fn is_candidate(&self, event: EventIndex, lp: Loop) -> bool {
        let memory = self.memory;
        memory.access(event).is_some_and(|access| {
            let inst = memory.inst(event);
            access.stored.is_none()
                && is_plain(memory, inst, access)
                && self.computed(inst, lp).is_some()
        })
    }

    /// What the loop computes of the address of `load`, so that it can be computed in front of it.
    pub fn computed(&self, load: Inst, lp: Loop) -> Option<Computed> {
        let (func, order) = (self.memory.func, self.shape.order);
        computed(func, load, |value| {
            match defining_node(func, order, value) {
                Some(node) if !self.shape.is_inside(node, lp) => Part::There,
                Some(_) => Part::Computed,
                None => Part::Missing,
            }
        })
    }

    /// Does the access mean one place for the whole run of the function, with a loop or
    /// without?
    pub fn is_steady(&self, access: &Access, lp: Loop) -> bool {
        let root = access.location.address.root;
        match self.memory.meaning(root, self.shape.order) {
            Some(Meaning::Always) => true,
            Some(Meaning::From(node)) => {
                !self.shape.is_inside(node, lp) && self.shape.innermost(node).is_none()
            }
            None => false,
        }
    }

    /// What in the loop may write the bytes of `access`, the first; `Err` if that is not known.
    pub fn clobber(&mut self, access: &Access, lp: Loop) -> Result<Option<EventIndex>, Obstacle> {
        let (memory, shape) = (self.memory, self.shape);
        let members = self.members.get_or_insert_with(|| Members::new(shape));
        let make = || writes(memory, members, lp);
        let Some(writes) = self.writes.entry(lp).or_insert_with(make) else {
            return Err(Obstacle::Limit("MAX_WRITES"));
        };
        let bytes = Bytes::of(access, access.is_always_private(&memory.slots));
        let mut writes = writes.iter().copied();
        Ok(writes.find(|event| mod_ref(memory, *event, &bytes).writes != Writes::None))
    }

    /// Does every path through the loop from the start of `from` come to `event`, before
    /// anything that it may not pass? Or what keeps it.
    ///
    /// A load that may move past a guard need not be on a path that leaves the loop for a trap alone.
    pub fn is_certain(
        &self,
        from: Node,
        event: EventIndex,
        lp: Loop,
    ) -> Result<Certainty, Obstacle> {
        let memory = self.memory;
        let home = memory.node(event);
        let depends = Obstacle::DependsOnPath(self.shape.order.block(from));
        let moves = moves_past_guards(memory, event);
        let mut seen: SmallVec<[Node; MAX_BEFORE]> = SmallVec::new();
        seen.push(from);
        let mut next = 0;
        let mut certainty = Certainty::Always;
        while let Some(node) = seen.get(next).copied() {
            next += 1;
            if node == home {
                self.passes_all(event, memory.of_node(home).start..event)?;
                continue;
            }
            self.passes_all(event, memory.of_node(node))?;
            let succs = self.shape.graph.succs(node);
            for succ in succs {
                if moves && self.leaves_for_a_trap(*succ, lp) {
                    certainty = Certainty::ButForTraps;
                    continue;
                }
                if *succ <= node || !self.shape.is_inside(*succ, lp) {
                    return Err(depends);
                }
                if !seen.contains(succ) {
                    seen.push(*succ);
                }
            }
            if succs.is_empty() || seen.len() > MAX_BEFORE {
                return Err(depends);
            }
        }
        Ok(certainty)
    }

    /// How many values from in front of the loop it uses, and how many go round it; `None` if it is too
    /// large, or if it calls where no register outlives a call.
    ///
    /// Cost: O(instructions of the loop).
    pub fn kept(&mut self, lp: Loop) -> Option<usize> {
        let nodes = self.nodes(lp)?;
        let (func, shape) = (self.memory.func, self.shape);
        let saves = func.signature.call_conv != CallConv::Tail;
        let mut kept: FxHashSet<Value> = FxHashSet::default();
        for node in nodes {
            for inst in func.layout.block_insts(shape.order.block(node)) {
                if !saves && func.dfg.insts[inst].opcode().is_call() {
                    return None;
                }
                for_each_use(func, inst, |value, _| {
                    let value = func.dfg.resolve_aliases(value);
                    let is_there = number(&func.dfg, value).is_none()
                        && defining_node(func, shape.order, value)
                            .is_some_and(|node| !shape.is_inside(node, lp));
                    if is_there {
                        kept.insert(value);
                    }
                });
            }
        }
        Some(kept.len() + func.dfg.num_block_params(shape.loops.loop_header(lp)))
    }

    /// Is `node` outside of the loop, and does every path from there end in a trap?
    fn leaves_for_a_trap(&self, node: Node, lp: Loop) -> bool {
        let (func, shape) = (self.memory.func, self.shape);
        let traps = || trapping::nodes(func, shape.order, shape.graph);
        !shape.is_inside(node, lp) && self.traps.get_or_init(traps)[node as usize]
    }

    /// Can `event` pass all of `others`, as far as these may end the function?
    fn passes_all(
        &self,
        event: EventIndex,
        others: core::ops::Range<EventIndex>,
    ) -> Result<(), Obstacle> {
        let mut others = others;
        match others.find(|other| !passes(self.memory, event, *other)) {
            Some(other) => {
                let inst = self.memory.inst(other);
                Err(Obstacle::CannotPass(inst))
            }
            None => Ok(()),
        }
    }
}

/// May the access be made somewhere else, for all that it says itself?
pub fn may_be_elsewhere(memory: &Memory<'_>, inst: Inst, access: &Access) -> bool {
    access.trap.is_none() && is_plain(memory, inst, access)
}

/// May the access be made earlier where nobody sees whether it traps there?
fn is_plain(memory: &Memory<'_>, inst: Inst, access: &Access) -> bool {
    !access.asynchronous
        && access.location.bytes.is_some()
        && memory.func.debug_tags.get(inst).is_empty()
}

/// May `event` be made before `other`, as far as either may end the function, or `other` be the
/// reason for which `event` does not trap? Not whether it writes the bytes.
///
/// What may trap itself shows at a trap what has been stored before: it passes no store that
/// anybody else may know. Nor does it pass an access of memory that the world writes at any time,
/// which would not be made any more.
///
/// A load that cannot trap passes a call. That may end the function or go on for ever, and a load that
/// no path comes to does not say that its bytes are there: they have to be there anyway, as those of a
/// slot are, or the load has to say so wherever it is.
pub fn passes(memory: &Memory<'_>, event: EventIndex, other: EventIndex) -> bool {
    let access = memory.access(event);
    let traps = access.is_some_and(|access| access.trap.is_some());
    let moves = !traps && flags(memory, event).is_some_and(|flags| flags.can_move());
    let shows = |other: &Access| {
        let is_known = other.stored.is_some() && !other.is_always_private(&memory.slots);
        traps && (is_known || other.asynchronous)
    };
    match &memory.events[other as usize].kind {
        EventKind::Access(other) => (moves || other.trap.is_none()) && !shows(other),
        EventKind::Trap => moves,
        EventKind::Compare | EventKind::Escape => true,
        EventKind::Call(_) => {
            let is_load = access.is_some_and(|access| access.stored.is_none());
            let is_there = || access.is_some_and(|access| is_always_there(memory, access));
            is_load && !traps && (moves || is_there())
        }
        EventKind::Transfer(_) | EventKind::Barrier | EventKind::End => false,
    }
}

/// Are the bytes of the access there wherever it is made? Those of a slot are; at an offset that is
/// not known it need not be one.
fn is_always_there(memory: &Memory<'_>, access: &Access) -> bool {
    let address = access.location.address;
    matches!(address.root, Root::Slot(_)) && address.offset.is_some() && !memory.slots.are_left
}

/// Is the event a load of which it does not depend on a guard whether it traps?
fn moves_past_guards(memory: &Memory<'_>, event: EventIndex) -> bool {
    let is_load = |access: &Access| access.stored.is_none() && access.trap.is_none();
    memory.access(event).is_some_and(is_load)
        && flags(memory, event).is_some_and(|flags| flags.can_move())
}

/// The flags of an access.
pub fn flags(memory: &Memory<'_>, event: EventIndex) -> Option<MemFlagsData> {
    let inst = memory.inst(event);
    memory.func.dfg.insts[inst].memflags_data(&memory.func.dfg)
}

/// What may write memory in a loop. None if that is too much, or if a collector may run in
/// it: what is in a register then is not a reference any more.
fn writes(memory: &Memory<'_>, members: &Members, lp: Loop) -> Option<Vec<EventIndex>> {
    let mut writes = Vec::new();
    for node in members.of(lp)? {
        for event in memory.of_node(node) {
            let inst = memory.inst(event);
            if memory.func.dfg.user_stack_map_entries(inst).is_some() {
                return None;
            }
            let is_load = memory
                .access(event)
                .is_some_and(|access| access.stored.is_none());
            if !is_load {
                writes.push(event);
            }
        }
        if writes.len() > MAX_WRITES {
            return None;
        }
    }
    Some(writes)
}
