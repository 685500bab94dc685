//! Hoisting: loads that every iteration of a loop repeats go in front of it, and those that
//! every destination of a branch begins with go above it.
//!
//! ```text
//!     jump block1(v3)                        v5 = load.i64 v0+56
//! block1(v4: i64):                           jump block1(v3)
//!     v5 = load.i64 v0+56            ==> block1(v4: i64):
//!     v6 = load.i32 v4                       v6 = load.i32 v4
//!     store v6, v1                           store v6, v1
//!     brif v6, block1(v5), block2            brif v6, block1(v5), block2
//! ```
//!
//! ```text
//!     brif v1, block1, block2                v2 = load.i32 v0
//! block1:                                    brif v1, block1, block2
//!     v2 = load.i32 v0               ==> block1:
//!     return v2                              return v2
//! block2:                                block2:
//!     v3 = load.i32 v0                       return v2
//!     return v3
//! ```
//!
//! What upstream misses here: its loop-invariant code motion takes loads that are
//! `readonly` and `can_move` alone.
//!
//! Soundness, in front of a loop: the address is computed outside of it, and no instruction of
//! the loop may write the bytes ([`mod_ref`]), so that each iteration finds what is there before
//! the first. The load may not trap, and every path from the header comes to it before it
//! leaves the loop or begins the next iteration, so that no path has a load that it had
//! not. No call and no barrier is passed, and what may trap only if the load
//! [may move](Access::may_move): a guard can be why it does not. Above a branch: all loads find
//! the bytes of one [source](Clobbers::source), which is above the branch then, and what
//! comes before them in their blocks is as above.
//!
//! Cost: O(memory instructions) where no load of a loop has an address from outside. Otherwise
//! one question for each such load and each instruction of the loops around it that may
//! write, up to [`MAX_LOADS`] and [`MAX_WRITES`].

use crate::FxHashMap;
use crate::ir::{Inst, MemFlagsData, Opcode};
use crate::loop_analysis::{Loop, LoopAnalysis};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::edit::{Change, Edge, Edit, Hoisted, Merged, Reason};
use crate::memopt::memory::clobber::Clobbers;
use crate::memopt::memory::insts::{Access, EventIndex, EventKind, Memory, defining_node};
use crate::memopt::memory::mod_ref::{Bytes, Writes, mod_ref};
use crate::memopt::memory::numbering::Meaning;
use crate::memopt::memory::values::{Key, Values};
use crate::memopt::refusal::{Obstacle, Refusals, Subject};
use alloc::vec::Vec;
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

/// Memory instructions in front of a load in its block.
const MAX_LEADING: usize = 32;

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

/// Loads of loops whose addresses are computed outside, and what their loops may write.
pub struct Invariants<'m, 'a> {
    memory: &'m Memory<'a>,
    /// The graph.
    pub shape: Shape<'m>,
    /// For each loop that was asked about, what may write memory in it; `None` beyond
    /// [`MAX_WRITES`].
    writes: FxHashMap<Loop, Option<Vec<EventIndex>>>,
    /// The nodes of loops, once anybody has asked.
    members: Option<Members>,
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
        }
    }

    /// The nodes of the loop, up to [`MAX_NODES`].
    pub fn nodes(&mut self, lp: Loop) -> Option<Vec<Node>> {
        let shape = self.shape;
        let members = self.members.get_or_insert_with(|| Members::new(shape));
        members.of(lp)
    }

    /// The loads that may be the same in each iteration of their loops: those that may not
    /// trap, at addresses from outside of the innermost loop around each. Each with that loop.
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
            let inst = memory.events[event as usize].inst;
            access.stored.is_none()
                && may_be_elsewhere(memory, inst, access)
                && self.comes_from_outside(inst, lp)
        })
    }

    /// Are all operands there in front of the loop?
    pub fn comes_from_outside(&self, inst: Inst, lp: Loop) -> bool {
        let (func, order) = (self.memory.func, self.shape.order);
        let mut operands = func.dfg.inst_args(inst).iter();
        operands.all(|value| {
            let value = func.dfg.resolve_aliases(*value);
            defining_node(func, order, value).is_some_and(|node| !self.shape.is_inside(node, lp))
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
    pub fn is_certain(&self, from: Node, event: EventIndex, lp: Loop) -> Result<(), Obstacle> {
        let memory = self.memory;
        let home = memory.events[event as usize].node;
        let depends = Obstacle::DependsOnPath(self.shape.order.block(from));
        let mut seen: SmallVec<[Node; MAX_BEFORE]> = SmallVec::new();
        seen.push(from);
        let mut next = 0;
        while let Some(node) = seen.get(next).copied() {
            next += 1;
            if node == home {
                self.passes_all(event, memory.of_node(home).start..event)?;
                continue;
            }
            self.passes_all(event, memory.of_node(node))?;
            let succs = self.shape.graph.succs(node);
            for succ in succs {
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
        Ok(())
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
                let inst = self.memory.events[other as usize].inst;
                Err(Obstacle::CannotPass(inst))
            }
            None => Ok(()),
        }
    }
}

/// May the access be made somewhere else, for all that it says itself?
pub fn may_be_elsewhere(memory: &Memory<'_>, inst: Inst, access: &Access) -> bool {
    access.trap.is_none()
        && !access.asynchronous
        && access.location.bytes.is_some()
        && memory.func.debug_tags.get(inst).is_empty()
}

/// May `event` be made before `other`, as far as that may end the function or be the reason for
/// which `event` does not trap? Not whether it writes the bytes.
fn passes(memory: &Memory<'_>, event: EventIndex, other: EventIndex) -> bool {
    let moves = flags(memory, event).is_some_and(|flags| flags.can_move());
    match &memory.events[other as usize].kind {
        EventKind::Access(other) => moves || other.trap.is_none(),
        EventKind::Trap => moves,
        EventKind::Compare | EventKind::Escape => true,
        EventKind::Call(_) | EventKind::Barrier | EventKind::End => false,
    }
}

fn flags(memory: &Memory<'_>, event: EventIndex) -> Option<MemFlagsData> {
    let inst = memory.events[event as usize].inst;
    memory.func.dfg.insts[inst].memflags_data(&memory.func.dfg)
}

/// What may write memory in a loop. None if that is too much, or if a collector may run in
/// it: what is in a register then is not a reference any more.
fn writes(memory: &Memory<'_>, members: &Members, lp: Loop) -> Option<Vec<EventIndex>> {
    let mut writes = Vec::new();
    for node in members.of(lp)? {
        for event in memory.of_node(node) {
            let inst = memory.events[event as usize].inst;
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

/// Finds the loads that leave loops, each to the outermost that it can.
pub fn out_of_loops(
    invariants: &mut Invariants<'_, '_>,
    candidates: &[(EventIndex, Loop)],
    pass: &'static str,
    refusals: &mut Refusals,
) -> Vec<Edit> {
    let memory = invariants.memory;
    let mut loads: Vec<(Node, Loop, Inst)> = Vec::new();
    for (event, innermost) in candidates {
        let inst = memory.events[*event as usize].inst;
        match outermost(invariants, *event, *innermost) {
            Ok((header, lp)) => loads.push((header, lp, inst)),
            Err(obstacle) => refusals.note(pass, Subject::Inst(inst), obstacle),
        }
    }
    loads.sort_by_key(|(header, ..)| *header);
    let groups = loads.chunk_by(|(a, ..), (b, ..)| a == b);
    let edits = groups.filter_map(|group| {
        let (node, lp, _) = *group.first()?;
        let header = invariants.shape.order.block(node);
        let hoisted = Hoisted {
            header,
            entries: invariants.shape.entries(memory, lp),
            loads: group.iter().map(|(.., inst)| *inst).collect(),
        };
        let change = Change::HoistLoads(hoisted);
        Some(change.because(Reason::InvariantIn(header)))
    });
    edits.collect()
}

/// The outermost loop that the load can leave, and its header; or why it cannot leave the
/// innermost.
fn outermost(
    invariants: &mut Invariants<'_, '_>,
    event: EventIndex,
    innermost: Loop,
) -> Result<(Node, Loop), Obstacle> {
    let (memory, shape) = (invariants.memory, invariants.shape);
    let Some(access) = memory.access(event) else {
        return Err(Obstacle::NothingToLearn);
    };
    let inst = memory.events[event as usize].inst;
    let mut found = Err(Obstacle::NothingToLearn);
    let mut next = Some(innermost);
    while let Some(lp) = next
        && invariants.comes_from_outside(inst, lp)
        && let Some(header) = shape.header(lp)
    {
        let leaves = match invariants.clobber(access, lp) {
            Ok(None) => invariants.is_certain(header, event, lp),
            Ok(Some(clobber)) => {
                let clobber = memory.events[clobber as usize].inst;
                Err(Obstacle::ClobberedBy(clobber))
            }
            Err(obstacle) => Err(obstacle),
        };
        match leaves {
            Ok(()) => found = Ok((header, lp)),
            Err(obstacle) => return found.or(Err(obstacle)),
        }
        next = shape.loops.loop_parent(lp);
    }
    found
}

/// Finds the loads with which all destinations of a branch begin. `clobbers` and `values` serve
/// for the function as it is.
pub fn above_branches(
    values: &Values<'_, '_>,
    graph: &Graph,
    clobbers: &mut Clobbers<'_>,
) -> Vec<Edit> {
    let memory = values.memory;
    let mut edits = Vec::new();
    for node in 0..graph.len() as Node {
        let [first, others @ ..] = graph.succs(node) else {
            continue;
        };
        let alone = graph
            .succs(node)
            .iter()
            .all(|succ| graph.preds(*succ).len() == 1);
        let any = graph
            .succs(node)
            .iter()
            .all(|succ| !memory.of_node(*succ).is_empty());
        if others.is_empty() || !alone || !any || !ends_in_branch(values, node) {
            continue;
        }
        let mut taken: SmallVec<[EventIndex; 4]> = SmallVec::new();
        for event in leading(memory, *first) {
            let Some(found) = same_loads(values, clobbers, node, event, others, &taken) else {
                continue;
            };
            let insts = found
                .iter()
                .map(|event| memory.events[*event as usize].inst);
            let block = values.order.block(node);
            let merged = Merged {
                block,
                loads: insts.collect(),
            };
            taken.extend(found);
            let change = Change::MergeLoads(merged);
            edits.push(change.because(Reason::NeededOnAllPaths(block)));
        }
    }
    edits
}

/// Does the block do nothing at its end but choose where to go? A call does.
fn ends_in_branch(values: &Values<'_, '_>, node: Node) -> bool {
    let func = values.memory.func;
    let last = func.layout.last_inst(values.order.block(node));
    last.is_some_and(|inst| {
        let opcode = func.dfg.insts[inst].opcode();
        matches!(opcode, Opcode::Brif | Opcode::BrTable)
    })
}

/// The loads at the start of `node` that may go to the end of what comes before it, as far as
/// what they pass may trap.
fn leading<'m>(memory: &'m Memory<'_>, node: Node) -> impl Iterator<Item = EventIndex> + use<'m> {
    let start = memory.of_node(node).start;
    let events = memory.of_node(node).take(MAX_LEADING);
    let passing = events.take_while(move |event| {
        *event == start || {
            // What even a load that may move cannot pass ends the search.
            let before = &memory.events[*event as usize - 1].kind;
            !matches!(
                before,
                EventKind::Call(_) | EventKind::Barrier | EventKind::End
            )
        }
    });
    passing.filter(move |event| {
        let inst = memory.events[*event as usize].inst;
        memory
            .access(*event)
            .is_some_and(|access| access.stored.is_none() && may_be_elsewhere(memory, inst, access))
            && (start..*event).all(|other| passes(memory, *event, other))
    })
}

/// `event`, and in each of `others` a load that finds the same bytes and is not in `taken`; all
/// of them alike.
fn same_loads(
    values: &Values<'_, '_>,
    clobbers: &mut Clobbers<'_>,
    above: Node,
    event: EventIndex,
    others: &[Node],
    taken: &[EventIndex],
) -> Option<Vec<EventIndex>> {
    let memory = values.memory;
    let inst = memory.events[event as usize].inst;
    let mut operands = memory.func.dfg.inst_args(inst).iter();
    let there = operands.all(|value| {
        let value = memory.func.dfg.resolve_aliases(*value);
        let node = defining_node(memory.func, values.order, value);
        node.is_some_and(|node| values.dominance.dominates(node, above))
    });
    if !there {
        return None;
    }
    let flags = flags(memory, event)?;
    let key = key(values, clobbers, event)?;
    let mut found = alloc::vec![event];
    for node in others {
        let same = leading(memory, *node).find(|other| {
            !taken.contains(other)
                && self::flags(memory, *other) == Some(flags)
                && self::key(values, clobbers, *other) == Some(key)
        });
        found.push(same?);
    }
    Some(found)
}

/// The bytes that a load finds, if it is known where they come from.
fn key(values: &Values<'_, '_>, clobbers: &mut Clobbers<'_>, event: EventIndex) -> Option<Key> {
    let memory = values.memory;
    let source = clobbers.source(event);
    let access = memory.access(event)?;
    let result = memory
        .func
        .dfg
        .first_result(memory.events[event as usize].inst);
    (!source.is_unknown())
        .then(|| values.key(source, access, access.opcode, values.type_of(result)))
}
