//! Removes stores to stack slots that nothing reads.
//!
//! ```text
//! v1 = stack_addr.i64 ss0
//! store notrap v0, v1+8      ==>   (nothing)
//! return
//! ```
//!
//! A stack slot is memory of one frame, and its address comes from its
//! `stack_addr` alone. Where each address of a slot is only ever the address of
//! a store, no instruction reads the slot, and nobody else can: the stores have
//! no effect. Alias analysis does not see that, because it takes a return, a
//! trap and a call to observe every store that comes before them.
//!
//! Slots like that are what other passes leave behind: a record whose address
//! was published and taken back, once the store that published it is dead.
//!
//! # What keeps a slot
//!
//! - Any use of an address of the slot other than as the address of a store: a
//!   load, a store *of* the address, a call, a block argument, arithmetic.
//! - A store that may trap, or that is not within the slot. The first would no
//!   longer trap; the second may be to other memory.
//! - An access that leaves its slot keeps all slots, because it is to another one.
//! - A name from outside of the code: a `key`, an entry of a user stack map, a
//!   debug tag.
//!
//! # Cost
//!
//! Two walks over the instructions of a function that has stack slots, and
//! none over another.

use crate::entity::EntitySet;
use crate::inst_predicates::inst_addr_offset_type;
use crate::ir::{DebugTag, Function, Inst, InstructionData, Opcode, StackSlot, Value};
use alloc::vec::Vec;
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;

/// Removes the stores to slots that nothing reads, and the addresses of these
/// slots. Returns whether there were any.
pub fn remove_stores_to_unread_slots(func: &mut Function) -> bool {
    if func.sized_stack_slots.is_empty() {
        return false;
    }
    let addresses = Addresses::new(func);
    if addresses.insts.is_empty() {
        return false;
    }
    let Some((stores, kept)) = addresses.stores(func) else {
        return false;
    };
    let unread = |(_, slot): &&(Inst, StackSlot)| !kept.contains(*slot);
    let mut changed = false;
    for (inst, _) in stores.iter().chain(&addresses.insts).filter(unread) {
        func.layout.remove_inst(*inst);
        changed = true;
    }
    changed
}

/// The `stack_addr` instructions of a function.
struct Addresses {
    insts: Vec<(Inst, StackSlot)>,
    /// The slot and offset that a value is the address of.
    of_values: SecondaryMap<Value, (PackedOption<StackSlot>, i32)>,
}

impl Addresses {
    fn new(func: &Function) -> Self {
        let mut this = Self {
            insts: Vec::new(),
            of_values: SecondaryMap::new(),
        };
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                if let InstructionData::StackAddr {
                    stack_slot, offset, ..
                } = func.dfg.insts[inst]
                {
                    let result = func.dfg.first_result(inst);
                    this.of_values[result] = (stack_slot.into(), offset.into());
                    this.insts.push((inst, stack_slot));
                }
            }
        }
        this
    }

    fn slot(&self, func: &Function, value: Value) -> Option<(StackSlot, i32)> {
        let (slot, offset) = self.of_values[func.dfg.resolve_aliases(value)];
        Some((slot.expand()?, offset))
    }

    /// The stores that can go if nothing keeps their slot, and the slots that
    /// something keeps. `None` if an access leaves its slot, for another one then.
    fn stores(&self, func: &Function) -> Option<(Vec<(Inst, StackSlot)>, EntitySet<StackSlot>)> {
        let mut stores = Vec::new();
        let mut kept = EntitySet::new();
        for (slot, data) in func.sized_stack_slots.iter() {
            if data.key.is_some() {
                kept.insert(slot);
            }
        }
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                if self.leaves_its_slot(func, inst) {
                    return None;
                }
                let stored = self.stored_to(func, inst);
                for value in func.dfg.inst_values(inst) {
                    let slot = self.slot(func, value).map(|(slot, _)| slot);
                    // A store of an address to where it points to publishes it
                    // in the slot alone, but is not worth the distinction.
                    let is_published = stored.is_some_and(|(data, _)| data == value);
                    if let Some(slot) = slot
                        && (stored.is_none() || is_published)
                    {
                        kept.insert(slot);
                    }
                }
                stores.extend(stored.map(|(_, slot)| (inst, slot)));
                for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
                    kept.insert(entry.slot);
                }
                for tag in func.debug_tags.get(inst) {
                    if let DebugTag::StackSlot(slot) = tag {
                        kept.insert(*slot);
                    }
                }
            }
        }
        Some((stores, kept))
    }

    fn leaves_its_slot(&self, func: &Function, inst: Inst) -> bool {
        let Some((address, offset, ty)) = inst_addr_offset_type(func, inst) else {
            return false;
        };
        self.slot(func, address).is_some_and(|(slot, start)| {
            let start = i64::from(start) + i64::from(i32::from(offset));
            let end = start + i64::from(ty.bytes());
            start < 0 || end > i64::from(func.sized_stack_slots[slot].size)
        })
    }

    /// What `inst` stores and the slot that it stores to, if that is known to be
    /// all that it does.
    fn stored_to(&self, func: &Function, inst: Inst) -> Option<(Value, StackSlot)> {
        let InstructionData::Store {
            opcode,
            flags,
            offset,
            args: [data, address],
        } = func.dfg.insts[inst]
        else {
            return None;
        };
        let bytes = match opcode {
            Opcode::Store => func.dfg.value_type(data).bytes(),
            Opcode::Istore8 => 1,
            Opcode::Istore16 => 2,
            Opcode::Istore32 => 4,
            _ => return None,
        };
        let (slot, start) = self.slot(func, address)?;
        let start = i64::from(start) + i64::from(i32::from(offset));
        let end = start + i64::from(bytes);
        let is_inside = start >= 0 && end <= i64::from(func.sized_stack_slots[slot].size);
        (is_inside && func.dfg.mem_flags[flags].notrap()).then_some((data, slot))
    }
}
