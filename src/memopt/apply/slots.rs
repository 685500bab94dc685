//! Edits of the frame.

use crate::ir::{Function, Inst, InstructionData, StackSlot};

/// Takes the space of a slot that nothing names out of the frame.
pub(super) fn free(func: &mut Function, slot: StackSlot) {
    let data = &mut func.sized_stack_slots[slot];
    data.size = 0;
    data.align_shift = 0;
}

/// Gives `slot`, whose addresses are all of `addresses`, the place of `with` from the byte `start` on.
pub(super) fn share(
    func: &mut Function,
    slot: StackSlot,
    (with, start): (StackSlot, u32),
    addresses: &[Inst],
) {
    for inst in addresses {
        if let InstructionData::StackAddr {
            stack_slot, offset, ..
        } = &mut func.dfg.insts[*inst]
        {
            *stack_slot = with;
            *offset = (i32::from(*offset) + start as i32).into();
        }
    }
    let (size, align) = {
        let data = &func.sized_stack_slots[slot];
        (data.size, data.align_shift)
    };
    let data = &mut func.sized_stack_slots[with];
    data.size = data.size.max(start + size);
    data.align_shift = data.align_shift.max(align);
    free(func, slot);
}

/// Leaves `size` bytes of `slot` from `start` on.
pub(super) fn shrink(
    func: &mut Function,
    slot: StackSlot,
    start: u32,
    size: u32,
    addresses: &[Inst],
) {
    for inst in addresses {
        if let InstructionData::StackAddr { offset, .. } = &mut func.dfg.insts[*inst] {
            *offset = (i32::from(*offset) - start as i32).into();
        }
    }
    func.sized_stack_slots[slot].size = size;
}
