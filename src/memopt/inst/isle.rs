//! The ISLE rules of memopt, as Rust.
//!
//! The rules are in `isle/`; this file gives them the terms that their prelude
//! declares, over a function and what the analyses know about it.

use crate::ir::condcodes::IntCC;
use crate::ir::{
    DataFlowGraph, Endianness, InstructionData, Opcode, StackSlot, Type, Value, types,
};
use crate::memopt::call::effects::Policy;
use crate::memopt::inst::bits;
use crate::memopt::inst::coercion::{Conversion, Load, Recipe};
use generated::Context;
pub use generated::Step;

#[allow(
    dead_code,
    unused_imports,
    unused_variables,
    unreachable_patterns,
    unreachable_code,
    missing_docs,
    non_snake_case,
    clippy::all,
    reason = "generated code"
)]
mod generated {
    use super::*;
    include!(concat!(env!("ISLE_DIR"), "/isle_memopt.rs"));
}

/// What the rules may ask about stack slots, at one point of the function.
pub trait SlotFacts {
    /// The slot and the constant offset that `value` is the address of.
    fn slot_address(&self, value: Value) -> Option<(StackSlot, i64)>;
    /// Is `value` certainly not derived from the address of `slot`?
    fn is_foreign(&self, value: Value, slot: StackSlot) -> bool;
}

/// Knows nothing about slots.
struct NoSlotFacts;

impl SlotFacts for NoSlotFacts {
    fn slot_address(&self, _value: Value) -> Option<(StackSlot, i64)> {
        None
    }

    fn is_foreign(&self, _value: Value, _slot: StackSlot) -> bool {
        false
    }
}

/// One step from an address towards what it is based on.
pub fn address_step(dfg: &DataFlowGraph, policy: &dyn Policy, value: Value) -> Step {
    step(dfg, Some(policy), value)
}

/// Without a policy, no load is looked through.
fn step(dfg: &DataFlowGraph, policy: Option<&dyn Policy>, value: Value) -> Step {
    let Some(inst) = dfg.value_def(value).inst() else {
        return Step::Root;
    };
    let data = &dfg.insts[inst];
    if !may_step(dfg, policy.is_some(), data) {
        return Step::Root;
    }
    let mut rules = Rules {
        dfg,
        policy,
        slots: &NoSlotFacts,
        known: Some((value, data)),
    };
    generated::constructor_step(&mut rules, value)
}

/// Could a rule for [`Step`] match? `tests/address_rules.rs` sees to it that none is
/// forgotten. Most addresses are roots, and to see that here
/// takes a tenth of asking the rules.
fn may_step(dfg: &DataFlowGraph, sees_loads: bool, data: &InstructionData) -> bool {
    let is_constant = |value: Value| {
        let inst = dfg.value_def(value).inst();
        inst.is_some_and(|inst| dfg.insts[inst].opcode() == Opcode::Iconst)
    };
    match *data {
        InstructionData::Binary {
            opcode: Opcode::Iadd | Opcode::Isub,
            args,
            // The mid-end has put constants to the right.
        } => is_constant(args[1]) || is_constant(args[0]),
        InstructionData::StackAddr { .. } => true,
        InstructionData::Load { flags, .. } => {
            sees_loads && {
                let flags = dfg.mem_flags[flags];
                flags.readonly() && flags.notrap() && flags.alias_region().is_some()
            }
        }
        _ => false,
    }
}

/// The value that `address` is based on, and the constant distance from it.
///
/// Follows the additions to their end, however many.
pub fn displacement(dfg: &DataFlowGraph, address: Value) -> (Value, i64) {
    let mut base = dfg.resolve_aliases(address);
    let mut distance = 0i64;
    while let Step::Offset { base: next, by } = step(dfg, None, base) {
        base = next;
        distance = distance.wrapping_add(by);
    }
    (base, distance)
}

/// The result of `icmp cc x, y`, where facts about memory decide it.
pub fn fold_icmp(
    dfg: &DataFlowGraph,
    policy: &dyn Policy,
    slots: &dyn SlotFacts,
    cc: IntCC,
    [x, y]: [Value; 2],
) -> Option<bool> {
    let mut rules = Rules {
        dfg,
        policy: Some(policy),
        slots,
        known: None,
    };
    generated::constructor_fold_icmp(&mut rules, &cc, x, y)
}

/// How to make what `load` fetches out of a stored value of type `stored`, whose bytes are in
/// `order` and of which `shift` low bits lie outside of what is loaded.
pub fn coerce(
    dfg: &DataFlowGraph,
    policy: &dyn Policy,
    stored: Type,
    order: Endianness,
    shift: u32,
    load: &Load,
) -> Option<Recipe> {
    // In big-endian order the first lane is not at the lowest bits of all.
    let is_same = shift == 0 && *load == Load::Plain { ty: stored };
    if stored.is_vector() && order == Endianness::Big && !is_same {
        return None;
    }
    let mut rules = Rules {
        dfg,
        policy: Some(policy),
        slots: &NoSlotFacts,
        known: None,
    };
    generated::constructor_coerce(&mut rules, stored, shift, load)
}

struct Rules<'a> {
    dfg: &'a DataFlowGraph,
    policy: Option<&'a dyn Policy>,
    slots: &'a dyn SlotFacts,
    /// A value that several rules ask about, with the instruction that defines it.
    known: Option<(Value, &'a InstructionData)>,
}

impl Rules<'_> {
    fn instruction(&self, value: Value) -> Option<&InstructionData> {
        match self.known {
            Some((known, data)) if known == value => Some(data),
            _ => Some(&self.dfg.insts[self.dfg.value_def(value).inst()?]),
        }
    }

    fn binary(&self, wanted: Opcode, value: Value) -> Option<(Value, Value)> {
        match *self.instruction(value)? {
            InstructionData::Binary {
                opcode,
                args: [x, y],
            } if opcode == wanted => {
                Some((self.dfg.resolve_aliases(x), self.dfg.resolve_aliases(y)))
            }
            _ => None,
        }
    }
}

impl Context for Rules<'_> {
    fn iadd(&mut self, value: Value) -> Option<(Value, Value)> {
        self.binary(Opcode::Iadd, value)
    }

    fn isub(&mut self, value: Value) -> Option<(Value, Value)> {
        self.binary(Opcode::Isub, value)
    }

    fn iconst(&mut self, value: Value) -> Option<i64> {
        match *self.instruction(value)? {
            InstructionData::UnaryImm { imm, .. } => {
                let bits = self.dfg.value_type(value).bits();
                Some(imm.sign_extend_from_width(bits).bits())
            }
            _ => None,
        }
    }

    fn stack_addr(&mut self, value: Value) -> Option<(StackSlot, i64)> {
        match *self.instruction(value)? {
            InstructionData::StackAddr {
                stack_slot, offset, ..
            } => Some((stack_slot, offset.into())),
            _ => None,
        }
    }

    fn shared_load(&mut self, value: Value) -> Option<(u32, i64)> {
        let policy = self.policy?;
        let InstructionData::Load {
            opcode: Opcode::Load,
            arg,
            flags,
            offset,
        } = *self.instruction(value)?
        else {
            return None;
        };
        let flags = self.dfg.mem_flags[flags];
        let region = self.dfg.alias_regions[flags.alias_region()?].user_id;
        let (_, by) = displacement(self.dfg, arg);
        let offset = by.wrapping_add(offset.into());
        (flags.readonly() && flags.notrap() && policy.is_shared_pointer(region, offset))
            .then_some((region, offset))
    }

    fn i64_neg(&mut self, x: i64) -> i64 {
        x.wrapping_neg()
    }

    fn i64_eq(&mut self, x: i64, y: i64) -> bool {
        x == y
    }

    fn bool_not(&mut self, x: bool) -> bool {
        !x
    }

    fn inside_slot(&mut self, value: Value) -> Option<(StackSlot, i64)> {
        self.slots.slot_address(value)
    }

    fn foreign_to(&mut self, value: Value, slot: StackSlot) -> bool {
        self.slots.is_foreign(value, slot)
    }

    fn as_is(&mut self) -> Recipe {
        Recipe::new()
    }

    fn then_shift_right(&mut self, mut recipe: Recipe, ty: Type, by: u32) -> Recipe {
        if by != 0 {
            recipe.push(Conversion::ShiftRight(ty, by));
        }
        recipe
    }

    fn then_reduce(&mut self, recipe: Recipe, from: Type, to: Type) -> Recipe {
        then(recipe, from, to, Conversion::Reduce)
    }

    fn then_zero_extend(&mut self, recipe: Recipe, from: Type, to: Type) -> Recipe {
        then(recipe, from, to, Conversion::ZeroExtend)
    }

    fn then_sign_extend(&mut self, recipe: Recipe, from: Type, to: Type) -> Recipe {
        then(recipe, from, to, Conversion::SignExtend)
    }

    fn then_bitcast(&mut self, recipe: Recipe, from: Type, to: Type) -> Recipe {
        then(recipe, from, to, Conversion::Bitcast)
    }

    fn then_lane(&mut self, recipe: Recipe, from: Type, to: Type, lane: u32) -> Recipe {
        let Some(lanes) = bits::vector_of(to) else {
            return recipe;
        };
        let mut recipe = self.then_bitcast(recipe, from, lanes);
        recipe.push(Conversion::Lane(to, lane as u8));
        recipe
    }

    fn lane_at(&mut self, from: Type, shift: u32, to: Type) -> Option<u32> {
        let is_lane = bits::has_lanes(from) && bits::vector_of(to).is_some();
        (is_lane && shift.is_multiple_of(to.bits())).then(|| shift / to.bits())
    }

    fn vector_type(&mut self, ty: Type) -> Option<Type> {
        bits::has_lanes(ty).then_some(ty)
    }

    fn int_type(&mut self, ty: Type) -> Option<Type> {
        ty.is_int().then_some(ty)
    }

    fn float_type(&mut self, ty: Type) -> Option<Type> {
        match ty {
            types::F16 => Some(types::I16),
            types::F32 => Some(types::I32),
            types::F64 => Some(types::I64),
            types::F128 => Some(types::I128),
            _ => None,
        }
    }
}

/// `recipe`, and `conversion` behind it if `from` and `to` differ.
fn then(mut recipe: Recipe, from: Type, to: Type, conversion: fn(Type) -> Conversion) -> Recipe {
    if from != to {
        recipe.push(conversion(to));
    }
    recipe
}
