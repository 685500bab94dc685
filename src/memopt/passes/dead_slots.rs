//! Stack slots that nothing names any more.
//!
//! A slot cannot be taken out of a function, but one of size 0 takes no space
//! in the frame. What keeps a slot: a `stack_addr`, a `key`, a debug tag, an
//! entry of a user stack map.

use crate::entity::EntitySet;
use crate::ir::{DebugTag, Function, InstructionData, StackSlot};
use crate::memopt::edit::Edit;
use alloc::vec::Vec;

/// Finds the slots that take space for nothing.
pub fn edits(func: &Function) -> Vec<Edit> {
    if func.sized_stack_slots.values().all(|slot| slot.size == 0) {
        return Vec::new();
    }
    let named = named_slots(func);
    let slots = func.sized_stack_slots.iter();
    let unused =
        slots.filter(|(slot, data)| data.size != 0 && data.key.is_none() && !named.contains(*slot));
    unused.map(|(slot, _)| Edit::FreeSlot(slot)).collect()
}

fn named_slots(func: &Function) -> EntitySet<StackSlot> {
    let mut named = EntitySet::new();
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            if let InstructionData::StackAddr { stack_slot, .. } = func.dfg.insts[inst] {
                named.insert(stack_slot);
            }
            for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
                named.insert(entry.slot);
            }
            for tag in func.debug_tags.get(inst) {
                match tag {
                    DebugTag::StackSlot(slot) => {
                        named.insert(*slot);
                    }
                    DebugTag::User(_) => {}
                }
            }
        }
    }
    named
}
