//! Which bytes of which private slots an instruction touches.

use crate::entity::SecondaryMap;
use crate::ir::{Endianness, Function, Inst, InstructionData, Opcode, StackSlot, Type, Value};
use crate::memopt::TargetFacts;
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::cfg::graph::Node;
use crate::memopt::inst::coercion::Load;
use crate::memopt::inst::effect::{self, Place};
use crate::memopt::inst::transfer::Transfer;
use crate::memopt::memory::bounds;
use crate::memopt::memory::slot_escape::Slots;
use crate::memopt::memory::slot_uses::room;
use alloc::vec::Vec;

/// What is done to some bytes.
#[derive(Clone, Copy, Debug)]
pub enum Use {
    /// A plain load.
    Load(Load),
    /// A plain store of a value of this type, or of its low bits.
    Store(Value, Type),
    /// A load that makes something else of the bytes than a value of them, or a copy.
    Kept,
}

/// One access of bytes of a slot.
#[derive(Clone, Copy, Debug)]
pub struct Touched {
    /// The slot.
    pub slot: StackSlot,
    /// The first byte.
    pub start: u32,
    /// The byte behind the last one.
    pub end: u32,
    /// The instruction.
    pub inst: Inst,
    /// The node of its block.
    pub node: Node,
    /// What it does.
    pub usage: Use,
    /// The order of the bytes.
    pub endianness: Endianness,
}

impl Touched {
    /// How many bytes.
    pub fn bytes(&self) -> u32 {
        self.end - self.start
    }

    /// The type that the bytes have in memory; `None` if they have to stay there.
    pub fn type_in_memory(&self) -> Option<Type> {
        match self.usage {
            Use::Load(Load::Plain { ty }) => Some(ty),
            Use::Load(Load::Zero { narrow, .. } | Load::Sign { narrow, .. }) => Some(narrow),
            Use::Store(_, ty) if ty.bytes() == self.bytes() => Some(ty),
            Use::Store(..) => Type::int_with_byte_size(self.bytes().try_into().ok()?),
            Use::Kept => None,
        }
    }
}

/// How the addresses of a slot are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Used {
    /// By accesses at known offsets, or between known ones, alone.
    #[default]
    Accessed,
    /// Something else names the slot, and nobody accesses it by that at an offset that is not
    /// known.
    Named,
    /// All of its bytes may be accessed, or somebody outside may look at them.
    Whole,
}

/// The accesses of private slots.
pub struct Traffic {
    /// Those at known offsets, in reverse postorder.
    pub touched: Vec<Touched>,
    /// What else is done to each slot.
    pub used: SecondaryMap<StackSlot, Used>,
    /// The instructions that compute addresses in each slot, in their order.
    pub addresses: Vec<(StackSlot, Inst)>,
}

impl Traffic {
    /// Finds the accesses of all slots that are always private.
    ///
    /// Cost: O(instructions that are [concerned](Slots::concerned)).
    pub fn new(func: &Function, slots: &Slots, target: TargetFacts) -> Self {
        let mut scan = Scan {
            func,
            slots,
            endianness: target.endianness,
            traffic: Self {
                touched: Vec::with_capacity(slots.concerned().len() / 2),
                used: SecondaryMap::new(),
                addresses: Vec::with_capacity(slots.concerned().len() / 2),
            },
        };
        for concerned in slots.concerned() {
            // Whatever else touches memory by itself lets its address escape.
            match slots.access(concerned) {
                Some(access) => scan.access(concerned.inst, concerned.node, access),
                None => scan.names(concerned.inst, concerned.node),
            }
        }
        scan.traffic
    }
}

struct Scan<'a> {
    func: &'a Function,
    slots: &'a Slots,
    endianness: Endianness,
    traffic: Traffic,
}

impl Scan<'_> {
    fn access(&mut self, inst: Inst, node: Node, access: &effect::Access) {
        let usage = match (access.stored, access.load) {
            (Some(value), _) => Use::Store(value, access.ty),
            (None, Some(load)) => Use::Load(load),
            (None, None) => Use::Kept,
        };
        let endianness = access.flags.endianness(self.endianness);
        self.touch(inst, node, access.place(), usage, endianness);
    }

    fn touch(&mut self, inst: Inst, node: Node, place: Place, usage: Use, endianness: Endianness) {
        let Some((slot, offset)) = self.slots.private(place.address) else {
            return;
        };
        // What is known to lie in the slot fits into it, or no slot were private.
        let start = offset.and_then(|at| u32::try_from(at + i64::from(place.offset)).ok());
        let touched = |start, end, usage| Touched {
            slot,
            start,
            end,
            inst,
            node,
            usage,
            endianness,
        };
        let touched = match (start, place.bytes) {
            (Some(start), Some(bytes)) => touched(start, start + bytes, usage),
            _ => match self.between(slot, place) {
                // Some of them, which stay where they are.
                Some((start, end)) => touched(start, end, Use::Kept),
                None => {
                    self.traffic.used[slot] = Used::Whole;
                    return;
                }
            },
        };
        self.traffic.touched.push(touched);
    }

    /// The bytes that an access at an index may touch, if those are fewer than its slot has.
    fn between(&self, slot: StackSlot, place: Place) -> Option<(u32, u32)> {
        let found = bounds::in_slot(&self.func.dfg, self.slots, place.address);
        let (_, (least, most)) = found.filter(|(it, _)| *it == slot)?;
        let offset = i64::from(place.offset);
        let end = offset + most + i64::from(place.bytes?);
        // It lies in the slot and its last word, or nothing is promised.
        let size = room(self.func.sized_stack_slots[slot].size);
        let end = u32::try_from(end).unwrap_or(0).min(size);
        let start = u32::try_from((offset + least).max(0)).ok()?;
        (start < end && end - start < size).then_some((start, end))
    }

    /// Notes the slots that `inst`, which is no access, names.
    ///
    /// Of a private slot comparisons, conditions and block parameters may have the address
    /// besides, and what is computed from it is an address of the slot as well.
    fn names(&mut self, inst: Inst, node: Node) {
        let func = self.func;
        let data = &func.dfg.insts[inst];
        let opcode = data.opcode();
        if may_compute_address(opcode)
            && let Some((slot, _)) = self.slots.private(func.dfg.first_result(inst))
        {
            self.traffic.addresses.push((slot, inst));
            if let InstructionData::Ternary { args, .. } = data {
                self.name(args[0]);
            }
        } else {
            data.arguments(&func.dfg.value_lists)
                .iter()
                .for_each(|arg| self.name(*arg));
            if opcode.is_branch() {
                for_each_block_arg(func, inst, |_, arg| {
                    arg.into_iter().for_each(|arg| self.name(arg));
                });
            }
        }
        if opcode.is_call() {
            self.called(inst, node);
        }
    }

    /// Notes what the callee of the call `inst` does with slots.
    fn called(&mut self, inst: Inst, node: Node) {
        let func = self.func;
        if let Some(transfer) = Transfer::of(func, inst) {
            for range in transfer.touched() {
                let (place, order) = (Place::of_range(range), self.endianness);
                self.touch(inst, node, place, Use::Kept, order);
            }
        }
        for (slot, usage) in self.slots.lent_at(inst) {
            if !usage.accesses_nothing() {
                self.traffic.used[*slot] = Used::Whole;
            }
        }
        for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
            self.traffic.used[entry.slot] = Used::Whole;
        }
    }

    fn name(&mut self, value: Value) {
        let value = self.func.dfg.resolve_aliases(value);
        if let Some((slot, _)) = self.slots.private(value) {
            let used = &mut self.traffic.used[slot];
            if *used == Used::Accessed {
                *used = Used::Named;
            }
        }
    }
}

/// May the result of such an instruction be followed as an address ([`Slots::address`])?
fn may_compute_address(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::StackAddr
            | Opcode::Iadd
            | Opcode::Isub
            | Opcode::Select
            | Opcode::SelectSpectreGuard
    )
}
