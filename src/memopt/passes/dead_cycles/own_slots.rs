//! Slots whose loads may feed nothing but their own stores.
//!
//! Soundness: nobody but plain accesses knows such a slot, so that what is stored there is seen by its
//! loads alone. Where nobody needs what they load, nobody does what is stored.

use crate::FxHashMap;
use crate::entity::EntitySet;
use crate::ir::{Inst, StackSlot};
use crate::memopt::memory::insts::{Access, EventIndex, EventKind, Memory};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The slots, and which of them are needed.
#[derive(Default)]
pub(super) struct OwnSlots {
    /// The position in `slots` of the slot that an instruction accesses, and whether it stores.
    accessed: FxHashMap<Inst, (u32, bool)>,
    slots: Vec<OwnSlot>,
    /// Slots that are needed, whose stores nobody has looked at.
    work: Vec<u32>,
}

#[derive(Default)]
struct OwnSlot {
    is_needed: bool,
    stores: Vec<Inst>,
}

/// The slots of which a load is in a loop. Only there may it feed a store in front of it, and what feeds
/// nothing at all has gone.
///
/// Cost: O(memory instructions) if there is such a load and the slot is stored to, or O(slots).
pub(super) fn find(memory: &Memory<'_>, repeating: &[bool]) -> OwnSlots {
    let mut found = OwnSlots::default();
    if memory.slots.used().is_empty() || memory.slots.are_left {
        return found;
    }
    let mut wanted: EntitySet<StackSlot> = EntitySet::new();
    for event in &memory.events {
        if let EventKind::Access(access) = &event.kind
            && access.stored.is_none()
            && repeating[event.node as usize]
            && let Some(slot) = access.slot()
            && access.is_always_private(&memory.slots)
        {
            wanted.insert(slot);
        }
    }
    if wanted.is_empty() {
        return found;
    }
    let mut at: FxHashMap<StackSlot, u32> = FxHashMap::default();
    for index in 0..memory.events.len() as EventIndex {
        for_each_other_use(memory, index, |slot| {
            wanted.remove(slot);
        });
    }
    for (index, event) in memory.events.iter().enumerate() {
        let Some(access) = memory.access(index as EventIndex) else {
            continue;
        };
        let Some(slot) = access.slot().filter(|slot| wanted.contains(*slot)) else {
            continue;
        };
        let next = found.slots.len() as u32;
        let at = *at.entry(slot).or_insert(next);
        if at == next {
            found.slots.push(OwnSlot::default());
        }
        found
            .accessed
            .insert(event.inst, (at, access.stored.is_some()));
        if access.stored.is_some() {
            found.slots[at as usize].stores.push(event.inst);
        }
    }
    found
}

/// Calls `visit` with the slots that the memory instruction `index` does anything else to than to
/// load from them or to store to them.
fn for_each_other_use(memory: &Memory<'_>, index: EventIndex, mut visit: impl FnMut(StackSlot)) {
    let event = &memory.events[index as usize];
    match &event.kind {
        EventKind::Access(access) => {
            let stored = access.stored.and_then(|stored| memory.slots.slot(stored));
            stored.into_iter().for_each(|(slot, _)| visit(slot));
            if !is_plain(access) {
                access.slot().into_iter().for_each(&mut visit);
            }
        }
        EventKind::Call(call) => call.used_slots().for_each(visit),
        EventKind::Transfer(transfer) => {
            let slots = transfer.locations().filter_map(|location| location.slot());
            slots.for_each(visit);
        }
        EventKind::Barrier
        | EventKind::Trap
        | EventKind::End
        | EventKind::Compare
        | EventKind::Escape => {
            let values = memory.func.dfg.inst_values(event.inst);
            let slots: SmallVec<[StackSlot; 2]> = values
                .filter_map(|value| Some(memory.slots.slot(value)?.0))
                .collect();
            slots.into_iter().for_each(visit);
        }
    }
}

/// May the access go if nobody needs what it loads, or stores?
fn is_plain(access: &Access) -> bool {
    access.trap.is_none() && !access.asynchronous
}

impl OwnSlots {
    /// Are there none that are stored to?
    pub(super) fn is_none(&self) -> bool {
        self.slots.iter().all(|slot| slot.stores.is_empty())
    }

    fn of(&self, inst: Inst) -> Option<(u32, bool)> {
        match self.slots.is_empty() {
            true => None,
            false => self.accessed.get(&inst).copied(),
        }
    }

    /// Is `inst` a store to one of the slots? Whether that is needed, as far as is known.
    pub(super) fn store(&self, inst: Inst) -> Option<bool> {
        let (at, stores) = self.of(inst)?;
        stores.then_some(self.slots[at as usize].is_needed)
    }

    /// What `inst` gives is needed: so is what it loads from.
    pub(super) fn need(&mut self, inst: Inst) {
        if let Some((at, false)) = self.of(inst)
            && !core::mem::replace(&mut self.slots[at as usize].is_needed, true)
        {
            self.work.push(at);
        }
    }

    /// The stores of the next slot that has become needed.
    pub(super) fn take_needed(&mut self) -> Option<Vec<Inst>> {
        let at = self.work.pop()?;
        Some(self.slots[at as usize].stores.clone())
    }
}
