//! Bytes at the ends of a private stack slot that nobody accesses take no space.
//!
//! What is left of a record when some of its fields have become values may be a few bytes in the
//! middle of it. Cranelift 0.137 keeps the size that the front end has declared.
//!
//! # Soundness
//!
//! All accesses of the slot are at known offsets, and nobody else has its address. What begins in
//! the slot may end in its last word, which the new size has too. At the beginning go multiples of
//! the alignment, and of 16 bytes, which no access of CLIF is aligned beyond; and only so
//! many that each `stack_addr` stays in the slot.
//!
//! Cost: that of the list of uses, where a private slot is larger than a word.

use crate::entity::SecondaryMap;
use crate::ir::{Function, InstructionData, StackSlot};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use crate::memopt::memory::slot_uses::{Bytes, SlotUses, WORD, room};
use alloc::vec::Vec;

/// What no access of CLIF is aligned beyond.
const MAX_ALIGN: u32 = 16;

/// One edit for each slot that takes fewer words.
pub fn edits(func: &Function, slots: &Slots) -> Vec<Edit> {
    let size = |slot: StackSlot| func.sized_stack_slots[slot].size;
    let used = slots.used().iter().copied();
    let private = used.filter(|it| slots.privacy(*it) == Privacy::Always && size(*it) > WORD);
    let private: Vec<StackSlot> = private.collect();
    if private.is_empty() {
        return Vec::new();
    }
    let uses = SlotUses::new(func, slots);
    let mut reached: SecondaryMap<StackSlot, Option<Bytes>> = SecondaryMap::new();
    for usage in &uses.uses {
        let (start, end) = usage.bytes.unwrap_or((0, u32::MAX));
        let reached = &mut reached[usage.slot];
        let (first, last) = reached.unwrap_or((start, end));
        *reached = Some((first.min(start), last.max(end)));
    }
    let shrunk = private.into_iter().filter_map(|slot| {
        let (first, last) = reached[slot].filter(|_| !uses.fixed[slot])?;
        let of_slot = uses.addresses.iter().filter(|(it, _)| *it == slot);
        let addresses: Vec<_> = of_slot.map(|(_, inst)| *inst).collect();
        let offsets = addresses.iter().map(|inst| match func.dfg.insts[*inst] {
            InstructionData::StackAddr { offset, .. } => u32::try_from(i32::from(offset)).ok(),
            _ => None,
        });
        let lowest = offsets.min().flatten().unwrap_or(0).min(first);
        let align = (1 << func.sized_stack_slots[slot].align_shift).max(MAX_ALIGN);
        let start = lowest / align * align;
        let end = room(last).min(size(slot));
        let saves = (end - start).div_ceil(WORD) < size(slot).div_ceil(WORD);
        saves.then(|| {
            let change = Change::ShrinkSlot {
                slot,
                start,
                size: end - start,
                addresses,
            };
            change.because(Reason::NotReached)
        })
    });
    shrunk.collect()
}
