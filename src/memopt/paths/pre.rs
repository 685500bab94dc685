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
//! and that is where the load or store goes, once. A load becomes a parameter, and a store of
//! what it loads can move with it.
//!
//! What upstream misses here: it removes what is redundant on all paths only,
//! and of loads only where they have one name.
//!
//! Soundness: nothing between the start of the block and the access may read,
//! write or see its location, so that it may as well happen on an edge. On
//! the edges that lose it memory holds what the store would have written, or
//! the load's value has a name ([`Clobbers::at_predecessors_of_start`]), whatever else moves: a
//! store that moves has changed nothing there. It holds that, too, if it has held it at each arrival
//! at a join, each edge into which knows it, and nothing has written it since: a flag that each
//! iteration puts back. On the others a store that moves comes in front of
//! what moves behind it, which is known there only if it is to other bytes. Neither may trap, and
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
//! edges, so that the header stays the only entry of the loop. A load that all edges know goes here
//! and not where known values are looked for, if a back edge knows it by a load further down.
//!
//! Cost: one query for each access at the start of a join's block, up to
//! [`MAX_LEADING`], and input of that join.

mod availability;

use crate::FxHashSet;
use crate::ir::{Block, Function, Inst, Value};
use crate::memopt::Options;
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node};
use crate::memopt::edit::{Change, Edit, Moved, Reason, Upward};
use crate::memopt::inst::coercion::Recipe;
use crate::memopt::memory::clobber::Clobbers;
use crate::memopt::memory::insts::{Access, EventIndex, EventKind, Memory};
use crate::memopt::memory::mod_ref::may_meet;
use crate::memopt::memory::values::Values;
use alloc::vec::Vec;
use availability::{Availability, Known, Leading};
use smallvec::SmallVec;

/// Events at the start of a block that are looked at.
///
/// What has to move in front of everything before it is rarely far from the
/// start. What is given up is a later access.
const MAX_LEADING: usize = 32;

/// Predecessors of a join; it is not looked at if it has more.
const MAX_PREDECESSORS: usize = 16;

/// Finds what moves, and what all edges know. `clobbers` serves
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
        let mut leading = Leading::default();
        for event in memory.of_node(body).take(MAX_LEADING) {
            match &memory.events[event as usize].kind {
                EventKind::Access(access) if access.trap.is_none() => {
                    if access.stored.is_none()
                        && let Some(found) = self.availability(event, access, header, &leading)
                        && found.needed.iter().all(|pred| *pred < header)
                        && found.known.iter().all(|known| known.pred >= header)
                        && found.known.iter().any(|known| self.counts(known, header))
                    {
                        return Some(event);
                    }
                    leading.stay.push(event);
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
        let mut leading = Leading::default();
        let mut needed: Option<SmallVec<[Node; 4]>> = None;
        for event in memory.of_node(join).take(MAX_LEADING) {
            let inst = memory.inst(event);
            match &memory.events[event as usize].kind {
                EventKind::Access(access) => {
                    // That an access cannot trap may be known only behind
                    // what traps otherwise.
                    if access.trap.is_some() {
                        break;
                    }
                    let Some(availability) = self.availability(event, access, join, &leading)
                    else {
                        leading.stay.push(event);
                        continue;
                    };
                    let edges = needed.as_deref().unwrap_or(&[]);
                    let availability = self.behind_moved(event, availability, edges, &leading);
                    // On every edge, and behind what moves to some.
                    if availability.needed.is_empty()
                        && let Some(change) = self.known_on_all(inst, access, join, &availability)
                    {
                        let reason = Reason::KnownOnAllPaths(self.values.order.block(join));
                        self.edits.push(change.because(reason));
                        continue;
                    }
                    if !self.joins_in(&mut needed, &availability, join) {
                        leading.stay.push(event);
                        continue;
                    }
                    for inst in &availability.computed {
                        if !leading.computed.contains(inst) {
                            leading.computed.push(*inst);
                        }
                    }
                    let moved = self.moved(inst, access, &availability);
                    self.add(&mut leading, event, moved);
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
            self.push(join, &needed, leading);
        }
    }

    /// What becomes of an access that all edges into `join` know: of a store, which writes what is
    /// there, and of a load, of which that is found only here if an edge goes back that knows
    /// it by a load further down. `None` if a register would not keep it.
    fn known_on_all(
        &self,
        inst: Inst,
        access: &Access,
        join: Node,
        availability: &Availability,
    ) -> Option<Change> {
        if access.stored.is_some() {
            return Some(Change::RemoveNoopStore(inst));
        }
        let (func, order) = (self.func(), self.values.order);
        let (block, result) = (order.block(join), func.dfg.first_result(inst));
        let known = availability.known.iter();
        let args = known
            .clone()
            .map(|it| (order.block(it.pred), Some(it.value)));
        let args: Vec<(Block, Option<Value>)> = args.collect();
        if let Some(value) = self.values.known_at_join(join, &args, result) {
            let recipe = Recipe::new();
            return Some(Change::ReplaceLoad {
                load: inst,
                value,
                recipe,
            });
        }
        let is_kept = { known }.all(|known| !known.spilled);
        is_kept.then_some(Change::ReplaceLoadByParam {
            load: inst,
            block,
            args,
        })
    }

    /// `event` moves, too.
    fn add(&mut self, leading: &mut Leading, event: EventIndex, moved: Moved) {
        let private = self.clobbers.slot_is_private(event);
        let step = leading.steps.last().copied().unwrap_or(0);
        let mut others = leading.events[step..].iter();
        if others.any(|other| may_meet(self.values.memory, *other, event, private)) {
            leading.steps.push(leading.moved.len());
        }
        leading.events.push(event);
        leading.moved.push(moved);
    }

    fn push(&mut self, join: Node, needed: &[Node], leading: Leading) {
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
        let edges: Vec<_> = needed
            .iter()
            .flat_map(|pred| cfg_edit::edges(func, self.values.order.block(*pred), block))
            .collect();
        let splits = cfg_edit::splits(func, block, &edges);
        self.taken.extend(blocks);
        let known = preds.filter(|pred| !needed.contains(pred));
        let known = known.map(|pred| self.values.order.block(*pred)).collect();
        let upward = Upward {
            join: block,
            edges,
            splits,
            computed: leading.computed,
            moved: leading.moved,
            steps: leading.steps,
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
}
