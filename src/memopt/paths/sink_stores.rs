//! Code sinking: stores that only some paths need.
//!
//! ```text
//!     store v1, v0+8                         brif v2, block1, block2
//!     brif v2, block1, block2            block1:
//! block1:                                    store v1, v0+8
//!     call fn0()               ==>           call fn0()
//!     jump block3                            jump block3
//! block2:                                block2:
//!     jump block3                            jump block3
//! block3:                                block3:
//!     store v3, v0+8                         store v3, v0+8
//! ```
//!
//! A store moves in the direction of time, over everything that does not
//! concern it, to where something does, and is dropped on every path on which
//! nobody observes it (partial dead code elimination: Knoop, Rüthing, Steffen,
//! 1994). It moves only if it is dropped somewhere.
//!
//! A conditional trap that sees the store is a branch to a trap for it: the store goes onto
//! that path, and past the trap.
//!
//! ```text
//!     store v1, v0+8                         brif v2, block1, block2
//!     trapz v2, user1                    block1:
//!     store v3, v0+8           ==>           store v3, v0+8
//!                                        block2 cold:
//!                                            store v1, v0+8
//!                                            trap user1
//! ```
//!
//! What upstream misses here: it removes no store that anything observes.
//!
//! Soundness: a store passes what neither reads, writes nor sees its location,
//! which may end the function only if its memory does not survive that; other
//! stores that move with it keep their order. It is dropped where [`NextAccess`]
//! proves that nobody sees it before its bytes are overwritten. If that is by
//! another store that moves, then what that one passes does not see the bytes
//! either, and where it is dropped nobody sees them. If it is by the store
//! itself, one iteration on, the same holds for that iteration. A store into a
//! slot is dropped as one that nobody else knows only where every store that
//! lets the address go, and moves too, is dropped as well.
//!
//! A conditional trap becomes a branch on the same condition, and its path ends in the same trap
//! code, behind copies of the stores that went past it, in their order: whoever sees the memory
//! there sees what it was. What went past the trap without a copy is memory that does not survive
//! it, and slots that nobody knows; so a store that lets the address of a slot go gets no copy
//! there, and stays in front of the trap.
//!
//! Loops and cost at run time: exits of a loop are no reason to move a store
//! of the loop, since the others would pay for them. A store passes the start of a join that is
//! no loop header if it comes over all edges. So it goes only to blocks that its own
//! dominates, or onto an edge between two blocks;
//! no such place is in a loop that its block is not in, and no path passes two
//! of them. Code does not grow for nothing: of the copies of a store, no more are where control
//! comes about as often as to the store itself than there are such edges that lose it, or
//! branches on the way: one adapter around another has a path to its host behind each. The
//! others are outside of its loop or on cold paths, which are those that can only end in a trap, and
//! blocks that say so. Where many paths need what moves, the function would grow by a multiple of
//! it: see [`Outcome::affordable`]. Where stores move, blocks that can only end in a trap become
//! cold, so that the back end puts them out of the way, with the copies. The path of a conditional trap is cold, and a branch costs what
//! the trap did; a trap that no store goes past stays as it is.
//!
//! Cost: O(stores · [`MAX_BLOCKS`]) steps, one query for each block a store
//! could go to, see [`NextAccess::fate_from`].

use crate::FxHashMap;
use crate::ir::{Block, StackSlot};
use crate::memopt::cfg::flow::Flow;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::cfg::trapping;
use crate::memopt::edit::{Change, Edit, Place, Reason, Sunk};
use crate::memopt::memory::clobber::Clobbers;
use crate::memopt::memory::insts::{ANY, Access, EventIndex, Memory};
use crate::memopt::memory::next_access::NextAccess;
use crate::memopt::memory::seen_soon::seen_soon;
use crate::memopt::memory::slot_escape::Privacy;
use crate::memopt::memory::ssa::Class;
use crate::memopt::paths::same_traps;
use crate::memopt::refusal::{Obstacle, Refusals, Subject};
use alloc::vec;
use alloc::vec::Vec;
use outcome::{Outcome, StoreIndex, Stores};
pub use passing::can_any_move;
use passing::is_passed;
use smallvec::SmallVec;

mod outcome;
mod passing;

/// Blocks that one store may pass.
///
/// From an adapter to the call on its cold path there are fewer than ten, and
/// ten more for each adapter in between. Beyond it the store stays.
const MAX_BLOCKS: u32 = 48;

/// Places in which one store may end.
///
/// One for each path that needs it: an adapter around another has the cold paths
/// of both. Beyond it the store stays, so that code does not grow.
const MAX_COPIES: u32 = 8;

/// How often the stores that turn out to stay are found.
///
/// A store that stays can keep one before it from moving, which adds a round
/// for each link of such a chain. Beyond it no store of the function moves, and
/// the run counts one hit.
const MAX_SETTLING: u32 = 8;

struct Store {
    event: EventIndex,
    private: bool,
    class: Class,
    /// It stays after all.
    pinned: bool,
}

/// What comes to a node, and from where.
type Incoming = SmallVec<[(Node, Stores); 2]>;

/// The stores of a function that may move, before it is known whether they do.
pub struct Sinking<'a> {
    memory: &'a Memory<'a>,
    order: &'a Order,
    graph: &'a Graph,
    /// How many loops are around a block.
    depth: &'a dyn Fn(Block) -> usize,
    /// From which nodes every path ends in a trap, see [`trapping`].
    traps: Vec<bool>,
    /// Which blocks hardly run: those, and blocks that say so.
    cold: Vec<bool>,
    /// May a store be dropped on all paths? That is what dead stores are.
    dead_stores: bool,
    stores: Vec<Store>,
    /// The store that each event is, if it is one.
    by_event: Vec<Option<StoreIndex>>,
    /// Is there one in the node?
    in_node: Vec<bool>,
    /// How often [`MAX_SETTLING`] has kept everything where it is.
    pub limits_hit: u32,
}

impl<'a> Sinking<'a> {
    /// Collects the stores; `clobbers` know which slots are private, and which accesses share
    /// bytes. `None` if there are none that could move.
    ///
    /// `flow` is the graph.
    ///
    /// Memory of others is left with what the last store to it wrote, unless control comes to no end
    /// or only to traps that lose it. Else a store to it can be dropped only in front of another that
    /// is to its bytes, or of itself.
    pub fn new(
        memory: &'a Memory<'a>,
        flow: &'a Flow,
        depth: &'a dyn Fn(Block) -> usize,
        dead_stores: bool,
        clobbers: &Clobbers<'_>,
    ) -> Option<Self> {
        let (order, graph) = (&flow.order, &flow.graph);
        let mut this = Self {
            memory,
            order,
            graph,
            depth,
            traps: Vec::new(),
            cold: Vec::new(),
            dead_stores,
            stores: Vec::new(),
            by_event: vec![None; memory.events.len()],
            in_node: vec![false; graph.len()],
            limits_hit: 0,
        };
        let all_end = flow.all_end();
        // What hardly runs gains nothing, and without loops that is all that only leads to traps.
        let has_loops = graph.has_back_edges();
        let is_left = |access: &Access| {
            let survives_trap = || memory.survives_trap(access.class.unwrap_or(ANY));
            all_end && (!has_loops || survives_trap())
        };
        for event in 0..memory.events.len() as EventIndex {
            let Some(access) = memory.access(event) else {
                continue;
            };
            let node = memory.node(event);
            let private = clobbers.slot_is_private(event);
            let in_slot = access.slot().is_some();
            let may_gain = in_slot || clobbers.is_shared(event) || !is_left(access);
            if may_gain && this.may_move(event, access) {
                this.by_event[event as usize] = Some(this.stores.len());
                this.in_node[node as usize] = true;
                this.stores.push(Store {
                    event,
                    private,
                    class: memory.class_of(access, private),
                    pinned: false,
                });
            }
        }
        if this.stores.is_empty() {
            return None;
        }
        this.traps = trapping::nodes(memory.func, order, graph);
        let is_cold = |(node, traps): (usize, &bool)| {
            *traps || memory.func.layout.is_cold(order.block(node as Node))
        };
        this.cold = this.traps.iter().enumerate().map(is_cold).collect();
        Some(this)
    }

    /// May the store be anywhere else?
    fn may_move(&self, event: EventIndex, access: &Access) -> bool {
        let public = access
            .slot()
            .is_some_and(|slot| self.memory.slots.privacy(slot) == Privacy::Never);
        access.stored.is_some()
            && access.trap.is_none()
            && access.location.bytes.is_some()
            && !access.asynchronous
            && !public
            && !self.is_tagged(event)
    }

    /// Does a debugger know the instruction by its place?
    fn is_tagged(&self, event: EventIndex) -> bool {
        let inst = self.memory.inst(event);
        !self.memory.func.debug_tags.get(inst).is_empty()
    }

    /// What [`NextAccess`] will be asked, sorted; `None` if no store can be dropped anywhere.
    pub fn questions(&mut self) -> Option<Vec<(Node, Class)>> {
        let mut outcome = self.walk(None);
        for (index, store) in self.stores.iter_mut().enumerate() {
            // Where others stay it gets no further, and is dropped nowhere else.
            let gains = outcome.may_gain[index] || outcome.drops[index] > 0;
            let stays = outcome.moved[index] && !gains;
            store.pinned |= outcome.blocks[index] > MAX_BLOCKS || stays;
        }
        outcome.questions.sort_unstable();
        outcome.questions.dedup();
        let drops = outcome.drops.iter().any(|it| *it > 0);
        let can_gain = drops || outcome.may_gain.contains(&true);
        can_gain.then_some(outcome.questions)
    }

    /// Finds the stores that move, or the blocks that become one first. `next_access` can answer
    /// [`Self::questions`].
    pub fn edits(
        &mut self,
        next_access: &mut NextAccess<'_>,
        pass: &'static str,
        refusals: &mut Refusals,
    ) -> Vec<Edit> {
        for settled in 0..MAX_SETTLING {
            let outcome = self.walk(Some(next_access));
            if settled == 0 && outcome.has_copies() {
                let same = self.same_traps(&outcome);
                if !same.is_empty() {
                    return same;
                }
            }
            let any_stays = self.pin(&outcome);
            let mut stores = self.stores.iter().zip(&outcome.moved);
            let any_moves = stores.any(|(store, moved)| *moved && !store.pinned);
            // Where more stores stay, no other goes further than it did.
            if !any_stays || !any_moves {
                self.note_pinned(pass, refusals);
                let sunk = any_moves.then(|| self.sunk(&outcome)).flatten();
                let edit = |sunk| Change::Sink(sunk).because(Reason::UnobservedOnSomePaths);
                return sunk.map(edit).into_iter().collect();
            }
        }
        self.limits_hit += 1;
        Vec::new()
    }

    /// Blocks to which a store would go, each of which ends in a trap and does the same as another.
    fn same_traps(&self, outcome: &Outcome) -> Vec<Edit> {
        let (func, order, graph) = (self.memory.func, self.order, self.graph);
        let twins = same_traps::twins(func, order, graph, &self.traps);
        let wanted = outcome.needed_twice(&twins);
        same_traps::edits(func, order, graph, &twins, &wanted)
    }

    /// Notes the stores that could move and gain nothing by it.
    fn note_pinned(&self, pass: &'static str, refusals: &mut Refusals) {
        for store in self.stores.iter().filter(|store| store.pinned) {
            let inst = self.memory.inst(store.event);
            refusals.note(pass, Subject::Inst(inst), Obstacle::NoGain);
        }
    }

    /// Pins the stores that gain nothing; were there any?
    fn pin(&mut self, outcome: &Outcome) -> bool {
        let most = outcome.affordable().min(MAX_COPIES);
        let mut any = false;
        for (index, store) in self.stores.iter_mut().enumerate() {
            let copies = outcome.copies[index];
            let is_dead = copies == 0 && !self.dead_stores;
            let paid = outcome.drops[index].max(outcome.splits[index]);
            let pays = outcome.warm[index] <= paid && copies <= most;
            let gains = outcome.drops[index] > 0 && pays && !is_dead;
            if outcome.moved[index] && !gains {
                store.pinned = true;
                any = true;
            }
        }
        any
    }

    fn sunk(&self, outcome: &Outcome) -> Option<Sunk> {
        let inst = |store: &StoreIndex| {
            let event = self.stores[*store].event;
            self.memory.inst(event)
        };
        let moved = (0..self.stores.len()).filter(|store| outcome.moved[*store]);
        let sunk = Sunk {
            stores: moved.map(|store| inst(&store)).collect(),
            places: outcome
                .places
                .iter()
                .map(|(place, stores)| (*place, stores.iter().map(inst).collect()))
                .collect(),
            cold: self.cold_blocks().collect(),
        };
        (!sunk.stores.is_empty()).then_some(sunk)
    }

    /// The blocks that count as cold, but for the entry.
    fn cold_blocks(&self) -> impl Iterator<Item = Block> + '_ {
        let nodes = (0..self.graph.len() as Node).filter(|node| self.cold[*node as usize]);
        let nodes = nodes.filter(|node| *node != self.graph.entry);
        nodes.map(|node| self.order.block(node))
    }

    /// Moves every store that is not pinned as far as it goes. Without
    /// `next_access`, none is dropped on an edge.
    fn walk(&self, mut next_access: Option<&mut NextAccess<'_>>) -> Outcome {
        let mut outcome = Outcome::of(self.stores.len());
        let mut incoming: FxHashMap<Node, Incoming> = FxHashMap::default();
        for node in 0..self.graph.len() as Node {
            let arrived = match incoming.remove(&node) {
                Some(arriving) => self.arrived(node, arriving, &mut outcome),
                None => Stores::new(),
            };
            if arrived.is_empty() && !self.in_node[node as usize] {
                continue;
            }
            let leaving = self.leaving(node, &arrived, &mut outcome);
            if self.graph.succs(node).len() > 1 {
                leaving.iter().for_each(|store| outcome.splits[*store] += 1);
            }
            for succ in self.graph.succs(node) {
                let going = self.going(*succ, &leaving, &mut outcome, next_access.as_deref_mut());
                if is_passed(self.graph, *succ) {
                    incoming.entry(*succ).or_default().push((node, going));
                } else {
                    self.land_on_edge(node, *succ, &going, &mut outcome);
                }
            }
        }
        outcome
    }

    /// The stores that come over all edges to `node`, in their order. The others end on their
    /// edges.
    fn arrived(&self, node: Node, arriving: Incoming, outcome: &mut Outcome) -> Stores {
        let on_all = arriving.len() == self.graph.preds(node).len();
        let mut common = match arriving.first() {
            Some((_, first)) if on_all => first.clone(),
            Some(_) | None => Stores::new(),
        };
        // One that does not go on may keep one before it.
        loop {
            let before = common.clone();
            for (_, going) in &arriving {
                common.retain(|store| self.goes_on(*store, going, &before));
            }
            if common.len() == before.len() {
                break;
            }
        }
        for (pred, mut going) in arriving {
            going.retain(|store| !common.contains(store));
            self.land_on_edge(pred, node, &going, outcome);
        }
        common
    }

    /// Is `store` one of `going`, and can it pass those behind it that are not in `common`?
    fn goes_on(&self, store: StoreIndex, going: &[StoreIndex], common: &[StoreIndex]) -> bool {
        let at = going.iter().position(|other| *other == store);
        at.is_some_and(|at| {
            let behind = going[at + 1..].iter();
            let mut stay = behind.filter(|other| !common.contains(other));
            stay.all(|other| self.passes_one(&self.stores[store], self.stores[*other].event))
        })
    }

    fn land_on_edge(&self, from: Node, to: Node, going: &[StoreIndex], outcome: &mut Outcome) {
        let place = Place::Edge(self.order.block(from), self.order.block(to));
        for store in going {
            outcome.land(*store, place, self.is_warm(*store, to));
        }
    }

    /// Those of the stores in `leaving` that go on to `succ`.
    fn going(
        &self,
        succ: Node,
        leaving: &[StoreIndex],
        outcome: &mut Outcome,
        mut next_access: Option<&mut NextAccess<'_>>,
    ) -> Stores {
        let mut going = Stores::new();
        // Slots whose address goes along that edge.
        let mut escaping: SmallVec<[StackSlot; 2]> = SmallVec::new();
        for index in leaving.iter().rev() {
            let store = &self.stores[*index];
            let dropped = match next_access.as_deref_mut() {
                None => {
                    if self.could_drop(store, succ) {
                        outcome.questions.push((succ, store.class));
                        outcome.may_gain[*index] |= self.counts(store, succ);
                    }
                    false
                }
                Some(next_access) => {
                    let access = self.memory.access(store.event);
                    let slot = access.and_then(|access| access.slot());
                    let known = slot.is_some_and(|slot| escaping.contains(&slot));
                    let leaves = store.private && known;
                    let fate = next_access.fate_from(succ, store.event, store.private);
                    !leaves && !fate.is_observed()
                }
            };
            if dropped {
                outcome.drops[*index] += u32::from(self.counts(store, succ));
            } else {
                let inst = self.memory.inst(store.event);
                escaping.extend_from_slice(self.memory.slots.escapes_at(inst));
                going.push(*index);
            }
        }
        going.reverse();
        going
    }

    /// May the store be dropped on the edge to `succ`, as far as the first events
    /// there tell? Where nobody asks about it, it is not.
    fn could_drop(&self, store: &Store, succ: Node) -> bool {
        let (memory, events) = (self.memory, self.memory.of_node(succ));
        let access = memory.access(store.event);
        access.is_some_and(|access| seen_soon(memory, self.graph, access, succ, events).is_none())
    }

    /// Is it worth anything to drop the store on the edge to `succ`? Not if that
    /// hardly runs, or less often than where the store is.
    fn counts(&self, store: &Store, succ: Node) -> bool {
        let home = self.memory.node(store.event);
        let depth = |node| (self.depth)(self.order.block(node));
        !self.cold[succ as usize] && depth(succ) >= depth(home)
    }

    /// Does a store that goes to `node` execute there about as often as where it is?
    fn is_warm(&self, store: StoreIndex, node: Node) -> bool {
        self.counts(&self.stores[store], node)
    }
}
