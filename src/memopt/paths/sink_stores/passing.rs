//! What a store goes past in one block.

use super::outcome::{Outcome, StoreIndex};
use super::{MAX_BLOCKS, Sinking, Store};
use crate::ir::Opcode;
use crate::memopt::cfg::graph::Node;
use crate::memopt::edit::Place;
use crate::memopt::memory::insts::EventIndex;
use crate::memopt::memory::mod_ref::{Bytes, Writes, may_meet, mod_ref};
use alloc::vec::Vec;
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
    stay: Vec<EventIndex>,
    /// Is a conditional trap in `stay`?
    has_trap: bool,
    /// What goes past the end, the last one first.
    leaving: Vec<StoreIndex>,
    /// Stores that go onto the path of a conditional trap, the last one first.
    on_traps: Vec<(EventIndex, StoreIndex)>,
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

impl Sinking<'_> {
    /// The stores that get to the end of `node`, of its own and those that
    /// `arrived`, and beyond it. The others that arrived end at its start.
    pub(super) fn leaving(
        &self,
        node: Node,
        arrived: &[StoreIndex],
        outcome: &mut Outcome,
    ) -> Vec<StoreIndex> {
        let mut visit = Visit {
            node,
            leads_on: self.leads_on(node),
            stay: Vec::new(),
            has_trap: false,
            leaving: Vec::new(),
            on_traps: Vec::new(),
        };
        for event in self.memory.of_node(node).rev() {
            match self.by_event.get(&event) {
                Some(store) if self.goes(*store, &mut visit, outcome) => {
                    outcome.moved[*store] = true;
                }
                Some(_) | None => {
                    visit.stay.push(event);
                    visit.has_trap |= self.is_splittable(event);
                }
            }
        }
        let mut stuck = Vec::new();
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
            let trap = self.memory.events[trap as usize].inst;
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
        let inst = self.memory.events[event as usize].inst;
        let opcode = self.memory.func.dfg.insts[inst].opcode();
        matches!(opcode, Opcode::Trapz | Opcode::Trapnz) && !self.is_tagged(event)
    }

    /// Does the store let the address of a slot go?
    fn publishes(&self, store: &Store) -> bool {
        let inst = self.memory.events[store.event as usize].inst;
        !self.memory.slots.escapes_at(inst).is_empty()
    }

    /// May a store go past the end of the block?
    fn leads_on(&self, node: Node) -> bool {
        let func = self.memory.func;
        let last = func.layout.last_inst(self.order.block(node));
        last.is_some_and(|inst| match func.dfg.insts[inst].opcode() {
            Opcode::Brif | Opcode::BrTable => true,
            Opcode::Jump => {
                let succs = self.graph.succs(node);
                succs.iter().all(|succ| self.is_passed(*succ))
            }
            _ => false,
        })
    }
}
