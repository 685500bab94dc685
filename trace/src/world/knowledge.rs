//! The slots that the world has come to know.

use super::World;
use crate::heap::Owner;
use crate::layout::{self, HOMES, Place};
use crate::memory::Memory;
use cranelift_memopt::Policy;

/// What becomes of an address that the world comes upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// It may use it ever after.
    Kept,
    /// It uses it at the time, and not again (see `Policy::forgets_addresses`).
    Forgotten,
}

impl World<'_> {
    /// Forgets slots whose frame is gone, and comes to know those that somebody
    /// names: keys, debug tags, and the arguments of a call.
    pub(super) fn learn_named(&mut self, memory: &Memory, args: &[u128]) {
        self.known
            .retain(|(frame, slot)| memory.slot(*frame, *slot).is_some());
        self.found.clone_from(&self.known);
        for frame in &memory.frames {
            for slot in &frame.named {
                self.learn(
                    memory,
                    layout::slot_address(frame.ordinal, *slot),
                    Keeping::Kept,
                );
            }
        }
        for arg in args {
            self.learn(memory, *arg as u64, Keeping::Kept);
        }
    }

    /// Does the world keep the addresses that it finds in this home?
    pub(super) fn keeping(&self, home: u32) -> Keeping {
        match home > 0 && self.policy.forgets_addresses(home) {
            true => Keeping::Forgotten,
            false => Keeping::Kept,
        }
    }

    /// The same, in a slot. Of one whose region is not known it keeps nothing if
    /// there is anything that it forgets.
    pub(super) fn keeping_in_slot(&self, memory: &Memory, slot: (u32, u32)) -> Keeping {
        match self.slot_region(memory, slot) {
            Some(region) => self.keeping(region),
            None => {
                let mut homes = 0..HOMES as u32;
                let forgets = homes.find(|home| self.keeping(*home) == Keeping::Forgotten);
                forgets.map_or(Keeping::Kept, |_| Keeping::Forgotten)
            }
        }
    }

    /// Comes to know the slots whose address lies in an object of the heap. It forgets
    /// what the owner of one of the bytes forgets.
    pub(super) fn learn_from_heap(&mut self, memory: &Memory, bytes: &[u8], owners: &[Owner]) {
        for (word, owners) in bytes.windows(8).zip(owners.windows(8)) {
            let mut regions = owners.iter().filter_map(|owner| owner.region);
            let keeping = match regions.any(|region| self.policy.forgets_addresses(region)) {
                true => Keeping::Forgotten,
                false => Keeping::Kept,
            };
            self.learn_from(memory, word, keeping);
        }
    }

    /// Comes to know the slots whose address lies in `bytes`, at any alignment.
    pub(super) fn learn_from(&mut self, memory: &Memory, bytes: &[u8], keeping: Keeping) {
        for window in bytes.windows(8) {
            let word = u64::from_le_bytes([
                window[0], window[1], window[2], window[3], window[4], window[5], window[6],
                window[7],
            ]);
            self.learn(memory, word, keeping);
        }
    }

    fn learn(&mut self, memory: &Memory, address: u64, keeping: Keeping) {
        let Some(Place::Slot(frame, slot, byte)) = layout::place(address) else {
            return;
        };
        let is_there = memory.slot(frame, slot);
        if is_there.is_none_or(|bytes| byte > bytes.len()) {
            return;
        }
        let slot = (frame, slot);
        if !self.found.contains(&slot) {
            self.found.push(slot);
        }
        if keeping == Keeping::Kept && !self.known.contains(&slot) {
            self.known.push(slot);
        }
    }
}
