//! What a loop keeps in memory goes round it as a value.
//!
//! ```text
//!     store v3, v0                               jump block1(v1, v3)
//!     jump block1(v1)                        block1(v4: i64, v20: i32):
//! block1(v4: i64):                               v5 = load.i32 region1 v4
//!     v5 = load.i32 region1 v4
//!     v6 = load.i32 v0                           v7 = icmp ugt v5, v20
//!     v7 = icmp ugt v5, v6                       brif v7, block2, block3(v20)
//!     brif v7, block2, block3          ==>   block2:
//! block2:                                        jump block3(v5)
//!     store v5, v0
//!     jump block3                            block3(v21: i32):
//! block3:                                        …
//!     …                                          brif v10, block1(v9, v21), block4
//!     brif v10, block1(v9), block4           block4:
//! block4:                                        store v21, v0
//! ```
//!
//! What every iteration stores sinks to the exits of its loop, and what it loads again is known
//! at its header. What only some iterations store is neither there on all edges that meet, nor known
//! where they do, unless all of it is taken together, as [promotion](crate::memopt::promote) does it
//! with slots.
//!
//! # Soundness
//!
//! In front of the loop a store, the *first*, writes the bytes, and behind it nothing of its block, and
//! of the loop nothing but loads and stores of the very bytes, may read or write them, show
//! them to anybody, or end the function. So nobody sees what memory holds there between the first
//! store and the exits, where it is stored instead of that one: each path has at least as many
//! stores as before, and the last of them stores what is there now. On the edges from the block of the
//! first store that do not lead into the loop, it is stored as it was. All addresses mean one place
//! for the whole run of the loop, since the leaf that is defined last is outside of it.
//!
//! What upstream misses here: it knows no value of memory that depends on a path.
//!
//! # Cost
//!
//! Nothing unless the block in front of a loop stores something that the loop stores to, too; then
//! one question for each memory instruction of the loop, and for at most [`MAX_FIRST`] stores.
//!
//! # Previous work
//!
//! LLVM's `promoteLoopAccessesToScalars` in `LICM.cpp`, which asks for a store on all paths.

use crate::ir::{Block, Inst, Opcode, Type};
use crate::loop_analysis::Loop;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::Node;
use crate::memopt::edit::{
    Carried, Change, Content, Edit, FieldStep, Place, Promoted, Promotion, Reason,
};
use crate::memopt::inst::coercion::Recipe;
use crate::memopt::memory::insts::{Access, EventIndex, Memory};
use crate::memopt::memory::mod_ref::{Bytes, Writes, mod_ref};
use crate::memopt::memory::numbering::Meaning;
use crate::memopt::paths::invariants::{Invariants, Shape, may_be_elsewhere};
use crate::memopt::promote::reaching::{Asked, Reached, Reaching};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Stores at the end of the block in front of a loop that are looked at, the latest first. What is
/// given up are counters that are set before them.
const MAX_FIRST: usize = 8;

/// A loop with one entry, and stores in the block in front of it, the latest first.
pub struct Candidate {
    lp: Loop,
    entry: Node,
    first: SmallVec<[EventIndex; MAX_FIRST]>,
}

/// The loops in front of which something is stored, the outermost first.
pub fn candidates(memory: &Memory<'_>, shape: Shape<'_>) -> Vec<Candidate> {
    let candidates = shape.loops.loops().filter_map(|lp| {
        let header = shape.header(lp)?;
        let outside = shape.graph.preds(header).iter();
        let mut outside = outside.filter(|pred| !shape.is_inside(**pred, lp));
        let (Some(entry), None) = (outside.next().copied(), outside.next()) else {
            return None;
        };
        let is_first = |event: &EventIndex| {
            let access = memory.access(*event);
            access.is_some_and(|it| it.stored.is_some() && is_usable(memory, *event, it))
        };
        let latest = memory.of_node(entry).rev().take(2 * MAX_FIRST);
        let first: SmallVec<_> = latest.filter(is_first).take(MAX_FIRST).collect();
        (!first.is_empty()).then_some(Candidate { lp, entry, first })
    });
    let mut candidates: Vec<Candidate> = candidates.collect();
    candidates.sort_by_key(|it| {
        shape
            .loops
            .loop_level(shape.loops.loop_header(it.lp))
            .level()
    });
    candidates
}

/// The first location of the outermost loop that can go round as a value.
///
/// `is_private` says of an access to a slot whether nobody else knows the slot there.
pub fn round_loops(
    invariants: &mut Invariants<'_, '_>,
    candidates: Vec<Candidate>,
    dominance: &Dominance,
    is_private: &dyn Fn(EventIndex) -> bool,
) -> Vec<Edit> {
    if invariants.memory.func.layout.blocks().count() != invariants.shape.order.len() {
        return Vec::new();
    }
    let mut candidates = candidates.iter();
    let edit = candidates.find_map(|it| carried(invariants, dominance, is_private, it));
    edit.into_iter().collect()
}

fn carried(
    invariants: &mut Invariants<'_, '_>,
    dominance: &Dominance,
    is_private: &dyn Fn(EventIndex) -> bool,
    candidate: &Candidate,
) -> Option<Edit> {
    let memory = invariants.memory;
    let Candidate { lp, entry, first } = candidate;
    let end = memory.of_node(*entry).end;
    let nodes = invariants.nodes(*lp)?;
    first.iter().find_map(|first| {
        let access = memory.access(*first)?;
        let is_private = access.slot().is_some() && is_private(*first);
        let carrying = Carrying {
            memory,
            first: access,
            bytes: Bytes::of(access, is_private),
        };
        let stays = (first + 1..end).all(|event| carrying.passes(event));
        match stays && carrying.is_steady(*lp, invariants) {
            true => carrying.edit((*first, *entry), *lp, &nodes, invariants, dominance),
            false => None,
        }
    })
}

/// Can the access be a use of a value?
fn is_usable(memory: &Memory<'_>, event: EventIndex, access: &Access) -> bool {
    let inst = memory.inst(event);
    may_be_elsewhere(memory, inst, access)
        && !access.readonly
        && matches!(access.opcode, Opcode::Load | Opcode::Store)
        && access.location.address.offset.is_some()
}

/// The location of one store in front of a loop.
struct Carrying<'m, 'a> {
    memory: &'m Memory<'a>,
    first: &'m Access,
    bytes: Bytes,
}

impl Carrying<'_, '_> {
    /// Does the location mean one place while the loop runs?
    fn is_steady(&self, lp: Loop, invariants: &Invariants<'_, '_>) -> bool {
        let (memory, shape) = (self.memory, invariants.shape);
        let root = self.first.location.address.root;
        match memory.meaning(root, shape.order) {
            Some(Meaning::Always) => true,
            Some(Meaning::From(node)) => !shape.is_inside(node, lp),
            None => false,
        }
    }

    /// Does `event` neither see the bytes nor change them, nor end the function, nor run a collector,
    /// who does not know what is in a register?
    fn passes(&self, event: EventIndex) -> bool {
        let slot = self.first.slot();
        let lets_go = slot.is_some_and(|slot| self.memory.lets_go(event, slot));
        let dfg = &self.memory.func.dfg;
        let collects = dfg.user_stack_map_entries(self.inst(event)).is_some();
        let answer = mod_ref(self.memory, event, &self.bytes);
        let is_seen = answer.reads || answer.ends || answer.leaves;
        !lets_go && !collects && !is_seen && answer.writes == Writes::None
    }

    /// Is `event` a load or store of the very bytes?
    fn member(&self, event: EventIndex) -> Option<&Access> {
        let (memory, first) = (self.memory, self.first);
        let access = memory.access(event)?;
        let is_alike = access.location == first.location
            && access.endianness == first.endianness
            && self.type_of(event) == Some(self.stored_type()?)
            && is_usable(memory, event, access);
        is_alike.then_some(access)
    }

    fn stored_type(&self) -> Option<Type> {
        let stored = self.first.stored?;
        Some(self.memory.func.dfg.value_type(stored))
    }

    fn type_of(&self, event: EventIndex) -> Option<Type> {
        let dfg = &self.memory.func.dfg;
        let value = match self.memory.access(event)?.stored {
            Some(stored) => stored,
            None => dfg.first_result(self.inst(event)),
        };
        Some(dfg.value_type(value))
    }

    fn inst(&self, event: EventIndex) -> Inst {
        self.memory.inst(event)
    }

    fn edit(
        &self,
        (first, entry): (EventIndex, Node),
        lp: Loop,
        nodes: &[Node],
        invariants: &Invariants<'_, '_>,
        dominance: &Dominance,
    ) -> Option<Edit> {
        let (memory, shape) = (self.memory, invariants.shape);
        let mut found = Found::default();
        found.access(entry, Some((self.inst(first), self.first)));
        let mut nodes = nodes.to_vec();
        nodes.sort_unstable();
        let mut stores = 0;
        for node in &nodes {
            for event in memory.of_node(*node) {
                match self.member(event) {
                    Some(access) => {
                        stores += usize::from(access.stored.is_some());
                        found.access(*node, Some((self.inst(event), access)));
                    }
                    None if self.passes(event) => {}
                    None => return None,
                }
            }
            for succ in shape.graph.succs(*node) {
                if !shape.is_inside(*succ, lp) {
                    found.exit(shape, (*node, *succ), lp);
                }
            }
        }
        found.ask_at_starts(shape);
        let is_worth_it = stores > 0 && !found.exits.is_empty();
        // The first store goes where it does not lead into the loop.
        let block = shape.order.block(entry);
        let others = shape.graph.succs(entry).iter();
        let others = others.filter(|succ| Some(**succ) != shape.header(lp));
        let others: Vec<Place> = others
            .map(|succ| match shape.graph.preds(*succ) {
                [_] => Place::Start(shape.order.block(*succ)),
                _ => Place::Edge(block, shape.order.block(*succ)),
            })
            .collect();
        if !is_worth_it || found.exits.len() + others.len() > stores + 1 {
            return None;
        }
        let mut reaching = Reaching::new(shape.graph, dominance, found.asked.len());
        let reached = reaching.definitions(found.asked.iter().copied())?;
        let header = shape.loops.loop_header(lp);
        let carried = found.carried(reached, shape, self.stored_type()?, others)?;
        Some(Change::CarryRound(carried).because(Reason::InvariantIn(header)))
    }
}

/// The accesses of a location, and where it is stored instead.
#[derive(Default)]
struct Found {
    /// In reverse postorder: accesses, and questions what is there at the ends of nodes.
    asked: Vec<Asked>,
    /// For each of them the access.
    accesses: Vec<Option<(Inst, FieldStep)>>,
    /// Places behind the loop, and the questions what to store there.
    exits: Vec<(Place, usize)>,
    /// Nodes that are entered from the loop alone, at the starts of which it is asked.
    starts: Vec<Node>,
}

impl Found {
    fn access(&mut self, node: Node, access: Option<(Inst, &Access)>) {
        let writes = access.is_some_and(|(_, access)| access.stored.is_some());
        self.asked.push(Asked {
            node,
            reads: !writes,
            writes,
        });
        let step = access.map(|(inst, access)| match access.stored {
            Some(stored) => (inst, FieldStep::Store(stored, Recipe::new())),
            None => (inst, FieldStep::Load(Recipe::new())),
        });
        self.accesses.push(step);
    }

    /// An edge that leaves the loop.
    fn exit(&mut self, shape: Shape<'_>, (from, to): (Node, Node), lp: Loop) {
        let [pred, block] = [from, to].map(|node| shape.order.block(node));
        let mut preds = shape.graph.preds(to).iter();
        if preds.all(|pred| shape.is_inside(*pred, lp)) {
            if !self.starts.contains(&to) {
                self.starts.push(to);
            }
            return;
        }
        let place = Place::Edge(pred, block);
        if self.exits.iter().all(|(other, _)| *other != place) {
            self.exits.push((place, self.asked.len()));
            self.access(from, None);
        }
    }

    /// Asks at the starts of blocks. They are behind the loop, and so nothing else is asked there.
    fn ask_at_starts(&mut self, shape: Shape<'_>) {
        for node in core::mem::take(&mut self.starts) {
            let place = Place::Start(shape.order.block(node));
            self.exits.push((place, self.asked.len()));
            self.access(node, None);
        }
    }

    /// The edit, by what reaches each question; `others` get what the first access stores.
    fn carried(
        self,
        reached: Reached,
        shape: Shape<'_>,
        ty: Type,
        others: Vec<Place>,
    ) -> Option<Carried> {
        // The questions that are no accesses have no numbers.
        let numbers: Vec<u32> = { self.accesses.iter() }
            .scan(0, |next, access| {
                let number = *next;
                *next += u32::from(access.is_some());
                Some(number)
            })
            .collect();
        let named = |content: Content| match content {
            Content::Store(at) => Some(Content::Store(numbers[at as usize])),
            Content::Param(_) | Content::Constant(_) => Some(content),
            Content::Unwritten => None,
        };
        let block = |node: &Node| shape.order.block(*node);
        let params: Vec<Block> = reached.params.iter().map(block).collect();
        let args = reached.args.iter().map(|(pred, param, content)| {
            Some((block(pred), params[*param as usize], named(*content)?))
        });
        let mut args = args.collect::<Option<Vec<_>>>()?;
        args.sort_unstable_by_key(|(pred, join, _)| (*pred, *join));
        args.dedup_by_key(|(pred, join, _)| (*pred, *join));
        let places = { self.exits.into_iter() }
            .map(|(place, at)| Some((place, named(reached.before[at])?)))
            .chain(
                others
                    .into_iter()
                    .map(|place| Some((place, Content::Store(0)))),
            );
        let places = places.collect::<Option<Vec<_>>>()?;
        let mut accesses = Vec::new();
        for (access, before) in self.accesses.into_iter().zip(&reached.before) {
            let Some((inst, step)) = access else {
                continue;
            };
            let before = match step.reads() {
                true => named(*before)?,
                false => Content::Unwritten,
            };
            accesses.push(Promoted { inst, before, step });
        }
        Some(Carried {
            value: Promotion {
                slot: None,
                ty,
                params,
                args,
                accesses,
            },
            places,
        })
    }
}
