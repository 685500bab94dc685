//! Pure operations, in few bits.

use crate::ir::{InstructionData, Opcode, Type, Value};

/// A pure operation on the values that stand for its arguments, in few bits: all that makes
/// two of them different is in it.
pub type Operation = [u64; 2];

/// Is the result of the opcode a function of its arguments alone, wherever it is executed?
///
/// Of integers only: the bits of a float that is no number may differ.
pub fn is_pure(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Iconst
            | Opcode::SymbolValue
            | Opcode::FuncAddr
            | Opcode::StackAddr
            | Opcode::Iadd
            | Opcode::Isub
            | Opcode::Ineg
            | Opcode::Imul
            | Opcode::Ishl
            | Opcode::Ushr
            | Opcode::Sshr
            | Opcode::Rotl
            | Opcode::Rotr
            | Opcode::Band
            | Opcode::Bor
            | Opcode::Bxor
            | Opcode::Bnot
            | Opcode::Umin
            | Opcode::Umax
            | Opcode::Smin
            | Opcode::Smax
            | Opcode::Icmp
            | Opcode::Select
            | Opcode::SelectSpectreGuard
            | Opcode::Uextend
            | Opcode::Sextend
            | Opcode::Ireduce
    )
}

/// May the arguments change places?
fn is_commutative(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Iadd
            | Opcode::Imul
            | Opcode::Band
            | Opcode::Bor
            | Opcode::Bxor
            | Opcode::Umin
            | Opcode::Umax
            | Opcode::Smin
            | Opcode::Smax
    )
}

/// `data`, of which [`is_pure`] or a load, with a result of type `ty`, in the same bits for all
/// that are sure to have the same result. Opcodes of different formats differ.
pub fn operation(data: &InstructionData, ty: Type) -> Option<Operation> {
    // A type is a number of 16 bits; the opcode takes 8, and what is left is free.
    let what = u32::from(data.opcode() as u8) | (ty.index() as u32) << 8;
    Some(match *data {
        InstructionData::UnaryImm { imm, .. } => [both(what, 0), imm.bits() as u64],
        InstructionData::Unary { arg, .. } => [both(what, 0), arg.as_u32().into()],
        InstructionData::Binary {
            args: [x, y],
            opcode,
        } => {
            let (x, y) = match is_commutative(opcode) {
                true => (x.min(y), x.max(y)),
                false => (x, y),
            };
            [both(what, 0), both(x.as_u32(), y.as_u32())]
        }
        InstructionData::IntCompare {
            args: [x, y], cond, ..
        } => [both(what, cond as u32), both(x.as_u32(), y.as_u32())],
        InstructionData::Ternary {
            args: [x, y, z], ..
        } => [both(what, x.as_u32()), both(y.as_u32(), z.as_u32())],
        InstructionData::Load {
            arg, flags, offset, ..
        } => {
            let offset: i32 = offset.into();
            [
                both(what, arg.as_u32()),
                both(flags.as_u32(), offset as u32),
            ]
        }
        InstructionData::UnaryGlobalValue { global_value, .. } => {
            [both(what, 0), global_value.as_u32().into()]
        }
        InstructionData::FuncAddr { func_ref, .. } => [both(what, 0), func_ref.as_u32().into()],
        InstructionData::StackAddr {
            stack_slot, offset, ..
        } => {
            let offset: i32 = offset.into();
            [both(what, 0), both(stack_slot.as_u32(), offset as u32)]
        }
        _ => return None,
    })
}

/// The sum of two values, as [`operation`] has it.
pub(super) fn sum_of_two(x: Value, y: Value, ty: Type) -> Operation {
    let what = u32::from(Opcode::Iadd as u8) | (ty.index() as u32) << 8;
    [both(what, 0), both(x.min(y).as_u32(), x.max(y).as_u32())]
}

/// Two numbers in one.
pub(super) fn both(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// The arguments of a pure operation, or of a load, all of which stand in it.
pub fn own_arguments(data: &mut InstructionData) -> &mut [Value] {
    match data {
        InstructionData::Unary { arg, .. } | InstructionData::Load { arg, .. } => {
            core::slice::from_mut(arg)
        }
        InstructionData::Binary { args, .. } | InstructionData::IntCompare { args, .. } => args,
        InstructionData::Ternary { args, .. } => args,
        _ => &mut [],
    }
}
