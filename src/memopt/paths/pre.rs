//! PRE (partial redundancy elimination): loads and stores that some edges into a join make
//! needless.
//!
//! ```text
//! block1:                                block1:
//!     v1 = load.i64 v0+8                     v1 = load.i64 v0+8
//!     jump block3                            jump block3(v1)
//! block2:                                block2:
//!     call fn0()                             call fn0()
//!     jump block3                    ==>     v2 = load.i64 v0+8
//! block3:                                    store v3, v0+16
//!     v2 = load.i64 v0+8                     jump block3(v2)
//!     store v3, v0+16  ; there on block1 block3(v4: i64):
//!     return v2                              return v4
//! ```
//!
//! What a load finds is known on some edges into its block; what a store writes
//! is there already on some. The others meet first, in a block of their own,
//! and that is where the load or store goes, once. A load becomes a parameter.
//!
//! What upstream misses here: it removes what is redundant on all paths only,
//! and of loads only where they have one name.
//!
//! Soundness: nothing between the start of the block and the access may read,
//! write or see its location, so that it may as well happen on an edge. On
//! the edges that lose it memory holds what the store would have written, or
//! the load's value has a name ([`Clobbers::at_predecessors`]). Neither may trap, and
//! neither moves above what may: a guard can be why it does not. No path
//! has more accesses than before. All stores that move at one join keep their
//! order. What memory holds stays the same at every other point, so that the
//! edits may cite each other as those of known values may.
//!
//! Cost at run time: a call with exception handlers leaves no register as it was, so that a value
//! that has to survive one is spilled, and loaded again. So a load whose value is known from
//! before such a call stays, unless that is a constant.
//!
//! Loops: that the entry into a loop knows is no reason to move anything to the
//! back edges. At a loop header, the edges that meet first are all entries or all back
//! edges, so that the header stays the only entry of the loop.
//!
//! Cost: one query for each access at the start of a join's block, up to
//! [`MAX_LEADING`], and input of that join.

use crate::FxHashSet;
use crate::ir::{Block, Function, Inst, Opcode, Value, ValueDef};
use crate::memopt::Options;
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node};
use crate::memopt::edit::{Change, Edit, Moved, Reason, Upward};
use crate::memopt::memory::clobber::{Clobbers, Source};
use crate::memopt::memory::insts::{Access, EventIndex, EventKind, Memory, defining_node};
use crate::memopt::memory::mod_ref::may_meet;
use crate::memopt::memory::values::Values;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Events at the start of a block that are looked at.
///
/// What has to move in front of everything before it is rarely far from the
/// start. What is given up is a later access.
const MAX_LEADING: usize = 32;

/// Predecessors of a join; it is not looked at if it has more.
const MAX_PREDECESSORS: usize = 16;

/// Finds what moves, and stores that are there on all edges. `clobbers` serves
/// for the function as it is, `values` knows what all loads find, and `depth`
/// how many loops are around a block.
pub fn edits(
    values: &Values<'_, '_>,
    graph: &Graph,
    clobbers: &mut Clobbers<'_>,
    depth: &dyn Fn(Block) -> usize,
    options: &Options,
) -> Vec<Edit> {
    let mut pass = Pass::new(values, graph, clobbers, depth, options);
    for node in 0..graph.len() as Node {
        if (2..=MAX_PREDECESSORS).contains(&graph.preds(node).len()) {
            pass.join(node);
        }
    }
    pass.edits
}

/// What PRE knows of a function.
pub struct Pass<'p, 'a, 'r> {
    values: &'p Values<'p, 'a>,
    graph: &'p Graph,
    clobbers: &'p mut Clobbers<'r>,
    depth: &'p dyn Fn(Block) -> usize,
    options: &'p Options,
    edits: Vec<Edit>,
    /// Joins from which something moves, and blocks that end differently.
    taken: FxHashSet<Block>,
}

/// On which edges into its join an access is known, and on which it is needed.
struct Availability {
    known: SmallVec<[Known; 4]>,
    needed: SmallVec<[Node; 4]>,
}

/// An edge on which an access is known.
struct Known {
    pred: Node,
    /// The value there, for a load; anything for a store.
    value: Value,
    /// Is it in the frame there, for no register survives?
    spilled: bool,
}

impl<'p, 'a, 'r> Pass<'p, 'a, 'r> {
    /// Nothing has been found yet. For the arguments see [`edits`].
    pub fn new(
        values: &'p Values<'p, 'a>,
        graph: &'p Graph,
        clobbers: &'p mut Clobbers<'r>,
        depth: &'p dyn Fn(Block) -> usize,
        options: &'p Options,
    ) -> Self {
        Self {
            values,
            graph,
            depth,
            clobbers,
            options,
            edits: Vec::new(),
            taken: FxHashSet::default(),
        }
    }

    /// The accesses of the function.
    pub fn memory(&self) -> &'p Memory<'a> {
        self.values.memory
    }

    /// A load at the start of `body` that only the entries into a loop need: what it finds is
    /// known where the loop goes round, by one edge, to its `header`, which `body` alone follows
    /// in the loop.
    pub fn known_round(&mut self, header: Node, body: Node) -> Option<EventIndex> {
        let memory = self.memory();
        let round = self.graph.preds(header).iter().filter(|it| **it >= header);
        if round.count() != 1 {
            return None;
        }
        let mut stay: SmallVec<[EventIndex; 8]> = SmallVec::new();
        for event in memory.of_node(body).take(MAX_LEADING) {
            match &memory.events[event as usize].kind {
                EventKind::Access(access) if access.trap.is_none() => {
                    if access.stored.is_none()
                        && let Some(found) = self.availability(event, access, header, &stay)
                        && found.needed.iter().all(|pred| *pred < header)
                        && found.known.iter().all(|known| known.pred >= header)
                        && found.known.iter().any(|known| self.counts(known, header))
                    {
                        return Some(event);
                    }
                    stay.push(event);
                }
                EventKind::Compare => {}
                EventKind::Access(_)
                | EventKind::Trap
                | EventKind::Call(_)
                | EventKind::Transfer(_)
                | EventKind::Barrier
                | EventKind::End
                | EventKind::Escape => return None,
            }
        }
        None
    }

    fn join(&mut self, join: Node) {
        let memory = self.values.memory;
        let mut stay: SmallVec<[EventIndex; 8]> = SmallVec::new();
        let mut needed: Option<SmallVec<[Node; 4]>> = None;
        let mut moved = Vec::new();
        for event in memory.of_node(join).take(MAX_LEADING) {
            let inst = memory.events[event as usize].inst;
            match &memory.events[event as usize].kind {
                EventKind::Access(access) => {
                    // That an access cannot trap may be known only behind
                    // what traps otherwise.
                    if access.trap.is_some() {
                        break;
                    }
                    let Some(availability) = self.availability(event, access, join, &stay) else {
                        stay.push(event);
                        continue;
                    };
                    if availability.needed.is_empty() && access.stored.is_some() {
                        let reason = Reason::KnownOnAllPaths(self.values.order.block(join));
                        self.edits
                            .push(Change::RemoveNoopStore(inst).because(reason));
                        continue;
                    }
                    if !self.joins_in(&mut needed, &availability, join) {
                        stay.push(event);
                        continue;
                    }
                    moved.push(self.moved(inst, access, &availability));
                }
                EventKind::Compare => {}
                EventKind::Trap
                | EventKind::Call(_)
                | EventKind::Transfer(_)
                | EventKind::Barrier
                | EventKind::End
                | EventKind::Escape => break,
            }
        }
        if let Some(needed) = needed {
            self.push(join, &needed, moved);
        }
    }

    fn push(&mut self, join: Node, needed: &[Node], moved: Vec<Moved>) {
        let func = self.func();
        let block = self.values.order.block(join);
        let preds = self.graph.preds(join).iter();
        let blocks: SmallVec<[Block; 8]> = preds
            .clone()
            .map(|pred| self.values.order.block(*pred))
            .chain([block])
            .collect();
        // An edge or a value that another edit has touched: next time.
        if blocks.iter().any(|block| self.taken.contains(block)) {
            return;
        }
        let edges = needed
            .iter()
            .flat_map(|pred| cfg_edit::edges(func, self.values.order.block(*pred), block))
            .collect();
        self.taken.extend(blocks);
        let known = preds.filter(|pred| !needed.contains(pred));
        let known = known.map(|pred| self.values.order.block(*pred)).collect();
        let upward = Upward {
            join: block,
            edges,
            moved,
        };
        self.edits
            .push(Change::MoveUp(upward).because(Reason::KnownAfter(known)));
    }

    fn func(&self) -> &'_ Function {
        self.values.memory.func
    }

    /// May an access that is needed there move with those that move already?
    fn joins_in(
        &self,
        needed: &mut Option<SmallVec<[Node; 4]>>,
        availability: &Availability,
        join: Node,
    ) -> bool {
        match needed {
            // It may be known on more edges than those.
            Some(needed) => {
                let mut known = availability.known.iter();
                availability.needed.iter().all(|pred| needed.contains(pred))
                    && known.any(|known| !known.spilled)
            }
            None => {
                let mut known = availability.known.iter();
                let worthwhile = known.any(|known| self.counts(known, join));
                let round = availability
                    .needed
                    .iter()
                    .filter(|pred| **pred >= join)
                    .count();
                let one_side = round == 0 || round == availability.needed.len();
                if availability.needed.is_empty() || !worthwhile || !one_side {
                    return false;
                }
                *needed = Some(availability.needed.clone());
                true
            }
        }
    }

    /// Is it worth anything to lose the access on the edge where it is `known`? Not if that is
    /// hardly taken, or less often than the join is reached, or if a spilled value is loaded.
    fn counts(&self, known: &Known, join: Node) -> bool {
        let block = |node| self.values.order.block(node);
        let is_cold = self.func().layout.is_cold(block(known.pred));
        let depth = |node| (self.depth)(block(node));
        !is_cold && !known.spilled && depth(known.pred) >= depth(join)
    }

    /// Does `value`, which a load would find at the end of `pred` where its bytes come from
    /// `source`, have to survive a call with handlers from where it was loaded or stored until
    /// there? Calls on some of the paths alone do not count.
    ///
    /// Cost: O(events) of the blocks in between that dominate `pred`.
    fn is_spilled(&self, value: Value, source: Source, pred: Node) -> bool {
        let (memory, func) = (self.values.memory, self.func());
        let definition = func.dfg.value_def(value).inst();
        if definition.is_some_and(|inst| is_constant(func.dfg.insts[inst].opcode())) {
            return false;
        }
        let start = match source {
            Source::Store(store) => Some(store),
            _ => defining_node(func, self.values.order, value).and_then(|node| {
                let mut events = memory.of_node(node);
                events.find(|event| Some(memory.events[*event as usize].inst) == definition)
            }),
        };
        let Some(start) = start else {
            return false;
        };
        let top = memory.events[start as usize].node;
        let is_call = |event: EventIndex| {
            let inst = memory.events[event as usize].inst;
            let opcode = func.dfg.insts[inst].opcode();
            event > start && matches!(opcode, Opcode::TryCall | Opcode::TryCallIndirect)
        };
        let mut node = pred;
        loop {
            if memory.of_node(node).any(is_call) {
                return true;
            }
            if node <= top {
                return false;
            }
            node = self.values.dominance.parent(node);
        }
    }

    fn moved(&self, inst: Inst, access: &Access, availability: &Availability) -> Moved {
        match access.stored {
            Some(_) => Moved::Store(inst),
            None => {
                let order = self.values.order;
                let known = availability.known.iter();
                let known = known.map(|known| (order.block(known.pred), known.value));
                Moved::Load(inst, known.collect())
            }
        }
    }

    /// On which edges the access is known and needed; `None` if it cannot move.
    fn availability(
        &mut self,
        event: EventIndex,
        access: &Access,
        join: Node,
        stay: &[EventIndex],
    ) -> Option<Availability> {
        let wanted = match access.stored {
            None => self.options.forward_loads,
            Some(_) => self.options.noop_stores,
        };
        if !wanted || access.asynchronous {
            return None;
        }
        let memory = self.values.memory;
        let inst = memory.events[event as usize].inst;
        // A debugger may know it by its place.
        if !memory.func.debug_tags.get(inst).is_empty() {
            return None;
        }
        let mut operands = memory.func.dfg.inst_args(inst).iter();
        if !operands.all(|value| self.is_there(*value, join)) {
            return None;
        }
        let private = self.clobbers.slot_is_private(event);
        if stay
            .iter()
            .any(|other| may_meet(memory, *other, event, private))
        {
            return None;
        }
        if self.clobbers.source(event) != Source::Join(join) {
            return None;
        }
        let sources = self.clobbers.at_predecessors(event, join)?;
        let mut sorted = Availability {
            known: SmallVec::new(),
            needed: SmallVec::new(),
        };
        for (pred, source) in sources {
            match self.known(access, inst, join, pred, source) {
                Some(value) => sorted.known.push(Known {
                    pred,
                    value,
                    spilled: access.stored.is_none() && self.is_spilled(value, source, pred),
                }),
                None => sorted.needed.push(pred),
            }
        }
        Some(sorted)
    }

    /// Is `value` there before `join`, under this name or by its parameters?
    fn is_there(&self, value: Value, join: Node) -> bool {
        let memory = self.values.memory;
        let value = memory.func.dfg.resolve_aliases(value);
        if let ValueDef::Param(block, _) = memory.func.dfg.value_def(value)
            && block == self.values.order.block(join)
        {
            return true;
        }
        defining_node(memory.func, self.values.order, value)
            .is_some_and(|node| self.values.dominance.strictly_dominates(node, join))
    }

    /// What a load would find at the end of `pred`, or what a store would write
    /// if memory holds it there. Bytes come from `source` there.
    fn known(
        &self,
        access: &Access,
        inst: Inst,
        join: Node,
        pred: Node,
        source: Source,
    ) -> Option<Value> {
        let func = self.func();
        let Some(stored) = access.stored else {
            if source == Source::Join(join) {
                return None;
            }
            let ty = self.values.type_of(func.dfg.first_result(inst));
            let key = self.values.key(source, access, access.opcode, ty);
            return self.values.value_at_end(pred, source, access, key);
        };
        let stored = self.passed(stored, join, pred)?;
        self.values
            .holds_at_end(pred, source, access, stored)
            .then_some(stored)
    }

    /// What `value` is at the end of `pred`.
    fn passed(&self, value: Value, join: Node, pred: Node) -> Option<Value> {
        let func = self.func();
        let (join, pred) = (self.values.order.block(join), self.values.order.block(pred));
        match func.dfg.value_def(value) {
            ValueDef::Param(block, _) if block == join => {
                match cfg_edit::edges(func, pred, join)[..] {
                    [edge] => cfg_edit::passed(func, edge, value),
                    _ => None,
                }
            }
            _ => Some(value),
        }
    }
}

/// Is it made anew where it is used?
fn is_constant(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::Iconst | Opcode::F32const | Opcode::F64const)
}
