//! Slots that the function hands out at once, found without following addresses.
//!
//! An adapter builds a record in its slot and publishes it: the address goes to memory that was
//! there before the function. Nothing in such a slot becomes a value, and to see that takes
//! neither a graph nor the facts about all other addresses.

use crate::ir::{Function, Inst, InstructionData, Opcode, StackSlot, Value, ValueDef};
use smallvec::SmallVec;

/// Addresses that are looked for among what stores write.
///
/// Whoever publishes a slot computes a few addresses in it. A front end that keeps its locals in
/// slots computes one for each access, and what is given up is nothing: such slots are followed.
const MAX_ADDRESSES: usize = 16;

/// Loads from the memory that a parameter of the function points to until an address is reached
/// that something is published at.
const MAX_LOADS: u32 = 4;

/// Is the address of every slot that takes space stored, as it is, to memory that the function
/// has got from its caller? Then none is private. `false` if that is not clear.
///
/// What a chain of loads from a parameter leads to is in memory of others, or in a slot whose
/// address the function has put there, which is not private either.
///
/// Cost: O(instructions), and one scan over the slots if none of them is named.
pub fn are_all(func: &Function) -> bool {
    let slots = func.sized_stack_slots.iter();
    let mut left: SmallVec<[StackSlot; 4]> = slots
        .filter(|(_, data)| data.size != 0 && data.key.is_none())
        .map(|(slot, _)| slot)
        .collect();
    if left.len() > MAX_ADDRESSES {
        return false;
    }
    let mut addresses: SmallVec<[(Value, StackSlot); MAX_ADDRESSES]> = SmallVec::new();
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            match func.dfg.insts[inst] {
                InstructionData::StackAddr { stack_slot, .. } => {
                    if addresses.len() == MAX_ADDRESSES {
                        return false;
                    }
                    addresses.push((func.dfg.first_result(inst), stack_slot));
                }
                InstructionData::Store {
                    opcode: Opcode::Store,
                    args: [value, at],
                    ..
                } => {
                    let known = addresses.iter().find(|(address, _)| *address == value);
                    if let Some((_, slot)) = known
                        && is_of_others(func, at)
                    {
                        left.retain(|other| other != slot);
                    }
                }
                _ => {}
            }
            if left.is_empty() {
                return true;
            }
        }
    }
    left.is_empty()
}

/// Is `address` a parameter of the function, or loaded from what one points to?
fn is_of_others(func: &Function, address: Value) -> bool {
    let mut at = func.dfg.resolve_aliases(address);
    for _ in 0..=MAX_LOADS {
        match func.dfg.value_def(at) {
            ValueDef::Param(block, _) => return func.layout.entry_block() == Some(block),
            ValueDef::Result(inst, _) => match loaded_from(func, inst) {
                Some(below) => at = func.dfg.resolve_aliases(below),
                None => return false,
            },
            ValueDef::Union(..) => return false,
        }
    }
    false
}

/// The address from which `inst` loads its result.
fn loaded_from(func: &Function, inst: Inst) -> Option<Value> {
    match func.dfg.insts[inst] {
        InstructionData::Load {
            opcode: Opcode::Load,
            arg,
            ..
        } => Some(arg),
        _ => None,
    }
}
