//! Stack slots that only their own function can reach, as alias regions.
//!
//! ```text
//! v1 = stack_addr.i64 ss0
//! store notrap v0, v1            store notrap region0 v0, v1
//! call fn0()                ==>  call fn0()
//! v2 = load.i64 notrap v1        v2 = load.i64 notrap region0 v1
//! ```
//!
//! The address of a stack slot is known to nobody until it is stored, passed or
//! computed with. If every use of it in the function is as the address of a load or
//! a store, the slot is *private*: no callee, no trap handler and no access
//! through another pointer reaches it, and it is gone when the function returns.
//!
//! For as long as the egraph pass runs, the accesses to a private slot are in an alias
//! region of their own, with a number beyond those that are declared. Alias
//! analysis takes such a region to be clobbered and observed by its own accesses
//! alone ([`is_private`]): not by calls and other fences, and not by traps and
//! returns. So a value is forwarded through a slot across a call, and a store to a
//! slot that is overwritten behind a call is dead.
//!
//! A comparison of the address is no use that makes it known. It is decided: a value
//! that is not derived from the address does not equal it.
//!
//! # What makes a slot public
//!
//! - Any other use of its address: stored itself, an argument of a call or a block,
//!   an operand of arithmetic. No analysis goes further.
//! - An access that may trap. One that leaves the slot is to another one, and makes all
//!   slots public.
//! - A name from outside of the code: a `key`, an entry of a user stack map, a debug
//!   tag.
//!
//! A slot that becomes private in the egraph pass is public in it.
//!
//! # Cost
//!
//! Two walks over the instructions of a function that has stack slots, one walk more
//! if a slot is private.

use crate::entity::{EntityRef, EntitySet, SecondaryMap};
use crate::ir::condcodes::IntCC;
use crate::ir::immediates::Imm64;
use crate::ir::{
    AliasRegion, DebugTag, Function, Inst, InstructionData, MemFlags, Opcode, StackSlot, Value,
    ValueDef,
};
use alloc::vec::Vec;
use cranelift_entity::packed_option::PackedOption;

/// Is `region` that of a private stack slot?
pub(crate) fn is_private(func: &Function, region: AliasRegion) -> bool {
    region.index() >= func.dfg.alias_regions.len()
}

/// Forgets what is known of the declared regions, and nothing of private slots.
pub(crate) fn clear_declared<V>(func: &Function, regions: &mut SecondaryMap<AliasRegion, V>)
where
    V: Clone + Default,
{
    let declared = func.dfg.alias_regions.len();
    if regions.keys().len() <= declared {
        regions.clear();
        return;
    }
    for (_region, value) in regions.iter_mut().take(declared) {
        *value = V::default();
    }
}

/// The accesses to private slots, and the flags that they had.
pub(crate) struct PrivateSlots {
    accesses: Vec<(Inst, MemFlags)>,
}

impl PrivateSlots {
    /// Gives the accesses to each private slot of `func` a region, and decides
    /// comparisons of its address. Nothing between this and
    /// [`PrivateSlots::forget`] may declare alias regions.
    pub(crate) fn name(func: &mut Function) -> Self {
        let mut this = Self {
            accesses: Vec::new(),
        };
        if func.sized_stack_slots.is_empty() {
            return this;
        }
        let uses = Uses::new(func);
        let declared = func.dfg.alias_regions.len();
        for (inst, slot) in uses.accesses {
            if uses.public.contains(slot) {
                continue;
            }
            let old = func.dfg.insts[inst].memflags().unwrap();
            let region = AliasRegion::new(declared + slot.index());
            let flags = func.dfg.mem_flags[old].with_alias_region(Some(region));
            // A function with too many kinds of flags keeps what it has. Some
            // accesses alone must not change, so that it is all or nothing.
            let Ok(flags) = func.dfg.mem_flags.insert(flags) else {
                this.forget(func);
                return Self {
                    accesses: Vec::new(),
                };
            };
            *func.dfg.insts[inst].memflags_mut().unwrap() = flags;
            this.accesses.push((inst, old));
        }
        for (inst, slot) in uses.comparisons {
            if !uses.public.contains(slot) {
                decide(func, inst);
            }
        }
        this
    }

    /// Gives the accesses that are left the flags that they had.
    pub(crate) fn forget(self, func: &mut Function) {
        for (inst, flags) in self.accesses {
            *func.dfg.insts[inst].memflags_mut().unwrap() = flags;
        }
    }
}

/// Replaces a comparison for equality whose operands are known to differ.
fn decide(func: &mut Function, inst: Inst) {
    if let InstructionData::IntCompare { cond, .. } = func.dfg.insts[inst] {
        func.dfg.insts[inst] = InstructionData::UnaryImm {
            opcode: Opcode::Iconst,
            imm: Imm64::new(i64::from(cond == IntCC::NotEqual)),
        };
    }
}

/// How the addresses of stack slots are used.
struct Uses {
    /// The slot and offset that a value is the address of.
    of_values: SecondaryMap<Value, (PackedOption<StackSlot>, i32)>,

    accesses: Vec<(Inst, StackSlot)>,

    /// The comparisons for equality of an address with a value that does not
    /// equal it, if its slot is private.
    comparisons: Vec<(Inst, StackSlot)>,

    /// The slots that are not private.
    public: EntitySet<StackSlot>,
}

impl Uses {
    fn new(func: &Function) -> Self {
        let mut this = Self {
            of_values: SecondaryMap::new(),
            accesses: Vec::new(),
            comparisons: Vec::new(),
            public: EntitySet::new(),
        };
        for (slot, data) in func.sized_stack_slots.iter() {
            if data.key.is_some() {
                this.public.insert(slot);
            }
        }
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                if let InstructionData::StackAddr {
                    stack_slot, offset, ..
                } = func.dfg.insts[inst]
                {
                    let result = func.dfg.first_result(inst);
                    this.of_values[result] = (stack_slot.into(), offset.into());
                }
            }
        }
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                this.add(func, inst);
            }
        }
        this
    }

    fn slot(&self, func: &Function, value: Value) -> Option<(StackSlot, i32)> {
        let (slot, offset) = self.of_values[func.dfg.resolve_aliases(value)];
        Some((slot.expand()?, offset))
    }

    fn add(&mut self, func: &Function, inst: Inst) {
        for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
            self.public.insert(entry.slot);
        }
        for tag in func.debug_tags.get(inst) {
            if let DebugTag::StackSlot(slot) = tag {
                self.public.insert(*slot);
            }
        }
        let known = match func.dfg.insts[inst] {
            InstructionData::Load { arg, .. } => self.accessed(func, inst, arg),
            InstructionData::Store {
                args: [data, address],
                ..
            } => {
                self.publish(func, data);
                self.accessed(func, inst, address)
            }
            InstructionData::IntCompare {
                cond: IntCC::Equal | IntCC::NotEqual,
                args: [a, b],
                ..
            } => self.compared(func, inst, a, b) || self.compared(func, inst, b, a),
            _ => false,
        };
        if !known {
            for value in func.dfg.inst_values(inst) {
                self.publish(func, value);
            }
        }
    }

    fn publish(&mut self, func: &Function, value: Value) {
        if let Some((slot, _)) = self.slot(func, value) {
            self.public.insert(slot);
        }
    }

    /// Notes an access to a slot, if that is all that it can be.
    fn accessed(&mut self, func: &Function, inst: Inst, address: Value) -> bool {
        let Some((slot, start)) = self.slot(func, address) else {
            return true;
        };
        let data = &func.dfg.insts[inst];
        let (InstructionData::Load { flags, offset, .. }
        | InstructionData::Store { flags, offset, .. }) = *data
        else {
            return false;
        };
        let ty = match *data {
            InstructionData::Store { args, .. } => func.dfg.value_type(args[0]),
            _ => func.dfg.value_type(func.dfg.first_result(inst)),
        };
        // An access that extends or truncates has fewer bytes.
        let start = i64::from(start) + i64::from(i32::from(offset));
        let end = start + i64::from(ty.bytes());
        let is_inside = start >= 0 && end <= i64::from(func.sized_stack_slots[slot].size);
        if !is_inside {
            // It is to another slot.
            self.public.extend(func.sized_stack_slots.keys());
        }
        let flags = func.dfg.mem_flags[flags];
        let is_known = is_inside && flags.notrap() && !flags.readonly();
        if is_known {
            self.accesses.push((inst, slot));
        }
        is_known
    }

    /// Notes that an address in a slot is compared with a value that cannot equal it.
    fn compared(&mut self, func: &Function, inst: Inst, address: Value, other: Value) -> bool {
        let is_inside = |(slot, offset): (StackSlot, i32)| {
            offset >= 0 && i64::from(offset) < i64::from(func.sized_stack_slots[slot].size)
        };
        let Some(address) = self.slot(func, address).filter(|known| is_inside(*known)) else {
            return false;
        };
        let differs = match self.slot(func, other) {
            Some(other) => other.0 != address.0 && is_inside(other),
            None => match func.dfg.value_def(func.dfg.resolve_aliases(other)) {
                ValueDef::Result(def, _) => {
                    let opcode = func.dfg.insts[def].opcode();
                    opcode == Opcode::Load || opcode == Opcode::Iconst || opcode.is_call()
                }
                ValueDef::Param(block, _) => func.layout.entry_block() == Some(block),
                ValueDef::Union(..) => false,
            },
        };
        if differs {
            self.comparisons.push((inst, address.0));
        }
        differs
    }
}
