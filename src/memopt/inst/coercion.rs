//! Making a loaded value out of a stored one.

use crate::cursor::FuncCursor;
use crate::ir::{InstBuilder, Type, Value};
use smallvec::SmallVec;

/// How a load turns bytes into a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Load {
    /// The bytes are a value of this type.
    Plain {
        /// The type of the result.
        ty: Type,
    },
    /// The bytes are a `narrow` integer, zero-extended to `wide`.
    Zero {
        /// The type in memory.
        narrow: Type,
        /// The type of the result.
        wide: Type,
    },
    /// The bytes are a `narrow` integer, sign-extended to `wide`.
    Sign {
        /// The type in memory.
        narrow: Type,
        /// The type of the result.
        wide: Type,
    },
}

/// One instruction of those that make a loaded value of a stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Logical shift of a value of this type, by so many bits.
    ShiftRight(Type, u32),
    /// The low bits, as this type.
    Reduce(Type),
    /// Zero-extension to this type.
    ZeroExtend(Type),
    /// Sign-extension to this type.
    SignExtend(Type),
    /// The same bits, as this type.
    Bitcast(Type),
}

/// The conversions in their order; none if the stored value will do.
pub type Recipe = SmallVec<[Conversion; 4]>;

/// `whole`, an integer of at most 64 bits, with `part` in the place of its bits from `shift` on;
/// both with their types.
pub fn insert(
    cursor: &mut FuncCursor<'_>,
    (whole, ty): (Value, Type),
    (part, part_type): (Value, Type),
    shift: u32,
) -> Value {
    let part_mask = u64::MAX >> (64 - part_type.bits());
    // Constants are written zero-extended.
    let mask = !(part_mask << shift) & (u64::MAX >> (64 - ty.bits()));
    let mask = cursor.ins().iconst(ty, mask as i64);
    let rest = cursor.ins().band(whole, mask);
    let mut wide = cursor.ins().uextend(ty, part);
    if shift != 0 {
        let by = cursor.ins().iconst(ty, i64::from(shift));
        wide = cursor.ins().ishl(wide, by);
    }
    cursor.ins().bor(rest, wide)
}

/// Inserts the instructions of `recipe`, applied to `value`, at the cursor.
pub fn build(cursor: &mut FuncCursor<'_>, recipe: &Recipe, value: Value) -> Value {
    recipe.iter().fold(value, |value, conversion| {
        let ins = cursor.ins();
        match *conversion {
            Conversion::ShiftRight(ty, by) => {
                // Half of an i128 is shifted by an i64: any integer will do.
                let amount_type = if ty.bits() > 64 {
                    crate::ir::types::I64
                } else {
                    ty
                };
                let by = ins.iconst(amount_type, i64::from(by));
                cursor.ins().ushr(value, by)
            }
            Conversion::Reduce(ty) => ins.ireduce(ty, value),
            Conversion::ZeroExtend(ty) => ins.uextend(ty, value),
            Conversion::SignExtend(ty) => ins.sextend(ty, value),
            Conversion::Bitcast(ty) => ins.bitcast(ty, crate::ir::MemFlagsData::new(), value),
        }
    })
}
