//! Stack slots that nothing names any more.
//!
//! A slot cannot be taken out of a function, but one of size 0 takes no space
//! in the frame. What keeps a slot: a `stack_addr`, a `key`, a debug tag, an
//! entry of a user stack map.

use crate::entity::EntitySet;
use crate::ir::{DebugTag, Function, Inst, InstructionData, StackSlot};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::memory::slot_escape::Slots;
use crate::memopt::refusal::{Obstacle, Refusals, Subject};
use alloc::vec::Vec;

/// Finds the slots that take space for nothing. `slots` are those of `func`.
///
/// Cost: O(slots), and one scan if there is one whose address nothing takes.
pub fn edits(func: &Function, slots: &Slots) -> Vec<Edit> {
    let all = func.sized_stack_slots.iter();
    let mut unused = all
        .filter(|(_, data)| data.size != 0 && data.key.is_none())
        .map(|(slot, _)| slot)
        .filter(|slot| slots.used_at(*slot).is_none())
        .peekable();
    if unused.peek().is_none() {
        return Vec::new();
    }
    let named = named_slots(func);
    let unused = unused.filter(|slot| !named.contains(*slot));
    let edit = |slot| Change::FreeSlot(slot).because(Reason::Unnamed);
    unused.map(edit).collect()
}

/// Notes which instruction keeps each slot that takes space.
pub fn note_kept(func: &Function, pass: &'static str, refusals: &mut Refusals) {
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            for_each_named(func, inst, |slot| {
                if func.sized_stack_slots[slot].size != 0 {
                    refusals.note(pass, Subject::Slot(slot), Obstacle::NamedBy(inst));
                }
            });
        }
    }
}

fn named_slots(func: &Function) -> EntitySet<StackSlot> {
    let mut named = EntitySet::new();
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            for_each_named(func, inst, |slot| {
                named.insert(slot);
            });
        }
    }
    named
}

/// Calls `visit` with each slot that `inst` names.
fn for_each_named(func: &Function, inst: Inst, mut visit: impl FnMut(StackSlot)) {
    if let InstructionData::StackAddr { stack_slot, .. } = func.dfg.insts[inst] {
        visit(stack_slot);
    }
    for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
        visit(entry.slot);
    }
    for tag in func.debug_tags.get(inst) {
        match tag {
            DebugTag::StackSlot(slot) => visit(*slot),
            DebugTag::User(_) => {}
        }
    }
}
