//! What a store goes past in one block.

use super::outcome::{Outcome, StoreIndex, Stores};
use super::{MAX_BLOCKS, Sinking, Store};
use crate::ir::{Function, Opcode};
use crate::memopt::cfg::flow::Flow;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::edit::Place;
use crate::memopt::memory::insts::{ANY, Access, EventIndex, Memory};
use crate::memopt::memory::mod_ref::{Bytes, Writes, may_meet, mod_ref};
use smallvec::SmallVec;

/// Events of a block that stay behind stores and are compared with them.
///
/// Real blocks have a few; a store that would have to pass more stays.
const MAX_PASSED: usize = 64;

/// A block, visited from its end to its start.
struct Visit {
    node: Node,
    /// May a store go past the end of the block?
    leads_on: bool,
    /// What stays, the last one first.
    stay: SmallVec<[EventIndex; 16]>,
    /// Is a conditional trap in `stay`?
    has_trap: bool,
    /// What goes past the end, the last one first.
    leaving: Stores,
    /// Stores that go onto the path of a conditional trap, the last one first.
    on_traps: SmallVec<[(EventIndex, StoreIndex); 2]>,
}

/// How far a store gets in a block.
#[derive(PartialEq, Eq)]
enum Reach {
    /// Not past what stays behind it.
    Nowhere,
    /// To a store that overwrites it.
    Overwritten,
    /// To the end of the block.
    End,
}

/// What an instruction is to a store in front of it.
#[derive(PartialEq, Eq)]
enum Meeting {
    /// Nothing: they can change places.
    Nothing,
    /// A conditional trap that sees the store.
    Trap,
    /// A store of all of its bytes.
    Overwrites,
    /// Anything else.
    Stops,
}

/// Can a store of the function leave its block, or go past a conditional trap, as far as the events
/// of the block tell? A slot counts as known to nobody until an event gives its address away.
///
/// Cost: O(events), and [`MAX_PASSED`] for each store.
pub fn can_any_move(memory: &Memory<'_>, flow: &Flow) -> bool {
    (0..memory.events.len() as EventIndex).any(|event| {
        memory.access(event).is_some_and(|access| {
            access.stored.is_some()
                && access.trap.is_none()
                && can_move(memory, flow, event, access)
        })
    })
}

fn can_move(memory: &Memory<'_>, flow: &Flow, event: EventIndex, store: &Access) -> bool {
    let node = memory.node(event);
    let slot = store.slot();
    let survives = slot.is_none() && memory.survives_trap(store.class.unwrap_or(ANY));
    for other in (event + 1..memory.of_node(node).end).take(MAX_PASSED) {
        let private = slot.is_some_and(|slot| !memory.lets_go(other, slot));
        let answer = mod_ref(memory, other, &Bytes::of(store, private));
        if is_conditional_trap(memory, other) {
            return true;
        }
        let ends = survives && (answer.ends || answer.leaves);
        if answer.reads || ends || answer.writes != Writes::None {
            return false;
        }
    }
    leads_on(memory.func, &flow.order, &flow.graph, node)
}

/// Is `event` a trap that a branch to a trap can take the place of?
fn is_conditional_trap(memory: &Memory<'_>, event: EventIndex) -> bool {
    let inst = memory.inst(event);
    let opcode = memory.func.dfg.insts[inst].opcode();
    matches!(opcode, Opcode::Trapz | Opcode::Trapnz)
}

/// May a store go past the end of the block `node`?
fn leads_on(func: &Function, order: &Order, graph: &Graph, node: Node) -> bool {
    let last = func.layout.last_inst(order.block(node));
    last.is_some_and(|inst| match func.dfg.insts[inst].opcode() {
        Opcode::Brif | Opcode::BrTable => true,
        Opcode::Jump => {
            let mut succs = graph.succs(node).iter();
            succs.all(|succ| is_passed(graph, *succ))
        }
        _ => false,
    })
}

/// Can a store go past the start of `node` if it comes over all edges? A header of a loop
/// would let it in.
pub(super) fn is_passed(graph: &Graph, node: Node) -> bool {
    graph.preds(node).iter().all(|pred| *pred < node)
}

impl Sinking<'_> {
    /// The stores that get to the end of `node`, of its own and those that
    /// `arrived`, and beyond it. The others that arrived end at its start.
    pub(super) fn leaving(
        &self,
        node: Node,
        arrived: &[StoreIndex],
        outcome: &mut Outcome,
    ) -> Stores {
        let mut visit = Visit {
            node,
            leads_on: leads_on(self.memory.func, self.order, self.graph, node),
            stay: SmallVec::new(),
            has_trap: false,
            leaving: Stores::new(),
            on_traps: SmallVec::new(),
        };
        for event in self.memory.of_node(node).rev() {
            match self.by_event[event as usize] {
                Some(store) if self.goes(store, &mut visit, outcome) => {
                    outcome.moved[store] = true;
                }
                Some(_) | None => {
                    visit.stay.push(event);
                    visit.has_trap |= self.is_splittable(event);
                }
            }
        }
        let mut stuck = Stores::new();
        for store in arrived.iter().rev() {
            if !self.goes(*store, &mut visit, outcome) {
                visit.stay.push(self.stores[*store].event);
                stuck.push(*store);
            }
        }
        let place = Place::Start(self.order.block(node));
        for store in stuck.into_iter().rev() {
            outcome.land(store, place, self.is_warm(store, node));
        }
        for (trap, store) in visit.on_traps.into_iter().rev() {
            let trap = self.memory.inst(trap);
            outcome.land(store, Place::Trap(trap), false);
        }
        visit.leaving.reverse();
        visit.leaving
    }

    /// Lets the store go as far as it can, from where the visit is; does it move?
    fn goes(&self, index: StoreIndex, visit: &mut Visit, outcome: &mut Outcome) -> bool {
        let store = &self.stores[index];
        if !visit.leads_on && !visit.has_trap {
            return false;
        }
        outcome.blocks[index] += 1;
        if store.pinned || outcome.blocks[index] > MAX_BLOCKS || visit.stay.len() > MAX_PASSED {
            return false;
        }
        let mut traps = SmallVec::new();
        match self.reach(store, visit, &mut traps) {
            Reach::Nowhere => return false,
            Reach::Overwritten => {
                outcome.drops[index] += u32::from(self.counts(store, visit.node));
            }
            Reach::End => visit.leaving.push(index),
        }
        let on_traps = traps.into_iter().rev().map(|trap| (trap, index));
        visit.on_traps.extend(on_traps);
        true
    }

    /// How far the store gets, and the conditional traps that it goes past and that see it.
    fn reach(&self, store: &Store, visit: &Visit, traps: &mut SmallVec<[EventIndex; 2]>) -> Reach {
        for other in visit.stay.iter().rev() {
            match self.meeting(store, *other) {
                Meeting::Nothing => {}
                Meeting::Trap => traps.push(*other),
                // In front of all traps it is dead, which others find.
                Meeting::Overwrites if !traps.is_empty() => return Reach::Overwritten,
                Meeting::Overwrites | Meeting::Stops => return Reach::Nowhere,
            }
        }
        match visit.leads_on {
            true => Reach::End,
            false => Reach::Nowhere,
        }
    }

    /// Can `store` and `other`, which is behind it, change places?
    pub(super) fn passes_one(&self, store: &Store, other: EventIndex) -> bool {
        self.meeting(store, other) == Meeting::Nothing
    }

    fn meeting(&self, store: &Store, other: EventIndex) -> Meeting {
        let memory = self.memory;
        let Some(access) = memory.access(store.event) else {
            return Meeting::Stops;
        };
        let answer = mod_ref(memory, other, &Bytes::of(access, store.private));
        let survives = !store.private && memory.survives_trap(store.class);
        let may_end = answer.ends || answer.leaves;
        let ends = may_end && survives;
        match may_meet(memory, other, store.event, store.private) {
            true if answer.writes == Writes::All && !ends => Meeting::Overwrites,
            true => Meeting::Stops,
            false if !ends => Meeting::Nothing,
            false if self.is_splittable(other) && !self.publishes(store) => Meeting::Trap,
            false => Meeting::Stops,
        }
    }

    /// Can a branch to a trap take its place?
    fn is_splittable(&self, event: EventIndex) -> bool {
        is_conditional_trap(self.memory, event) && !self.is_tagged(event)
    }

    /// Does the store let the address of a slot go?
    fn publishes(&self, store: &Store) -> bool {
        let inst = self.memory.inst(store.event);
        !self.memory.slots.escapes_at(inst).is_empty()
    }
}
