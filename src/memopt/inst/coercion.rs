//! Making a loaded value out of a stored one.

use crate::cursor::FuncCursor;
use crate::ir::immediates::{Ieee32, Ieee64};
use crate::ir::{Function, InstBuilder, MemFlagsData, Type, Value, types};
use crate::memopt::inst::bits::{self, Bits};
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
    /// The same bits, as this type. Of vectors, the lanes lie in little-endian order.
    Bitcast(Type),
    /// The lane of a vector with lanes of this type.
    Lane(Type, u8),
}

/// The conversions in their order; none if the stored value will do.
pub type Recipe = SmallVec<[Conversion; 4]>;

/// Can the flags be written down that conversions need? There can be too many.
pub fn has_flags(func: &mut Function) -> bool {
    let flags = &mut func.dfg.mem_flags;
    let mut needed = [MemFlagsData::new(), bits::little()].into_iter();
    needed.all(|needed| flags.insert(needed).is_ok())
}

/// Half of the bits of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// An integer of as many bits.
    Value(Value),
    /// These bits.
    Constant(u64),
}

/// The integer of type `ty` that has these halves, the lower one first. One of them is no constant.
pub fn joined(cursor: &mut FuncCursor<'_>, halves: [Half; 2], ty: Type) -> Value {
    let half = ty.bits() / 2;
    if ty == types::I128 {
        let [low, high] = halves.map(|it| match it {
            Half::Value(value) => value,
            Half::Constant(bits) => cursor.ins().iconst(types::I64, bits as i64),
        });
        return cursor.ins().iconcat(low, high);
    }
    let [low, high] = halves.map(|it| match it {
        Half::Value(value) => Half::Value(cursor.ins().uextend(ty, value)),
        Half::Constant(_) => it,
    });
    let high = match high {
        Half::Value(value) => {
            let by = cursor.ins().iconst(ty, i64::from(half));
            Half::Value(cursor.ins().ishl(value, by))
        }
        Half::Constant(bits) => Half::Constant(bits << half),
    };
    let [low, high] = match (low, high) {
        (Half::Value(value), Half::Constant(0)) | (Half::Constant(0), Half::Value(value)) => {
            return value;
        }
        both => [both.0, both.1].map(|it| match it {
            Half::Value(value) => value,
            Half::Constant(bits) => cursor.ins().iconst(ty, bits as i64),
        }),
    };
    cursor.ins().bor(low, high)
}

/// Inserts the instructions of `recipe`, applied to `value`, at the cursor. Bits that it selects
/// are taken from where they come from, as far as that is seen.
pub fn build(cursor: &mut FuncCursor<'_>, recipe: &Recipe, value: Value) -> Value {
    let value = cursor.func.dfg.resolve_aliases(value);
    let selected = Selected::of(recipe, cursor.func.dfg.value_type(value));
    let known = match selected {
        Some(Selected { low, ty, .. }) => match bits::find(&cursor.func.dfg, value, low, ty.bits())
        {
            Bits::Of(from, at) if from == value && at == low && !is_split(cursor, value) => None,
            found => made(cursor, found, ty),
        },
        None => None,
    };
    let (value, rest) = match (known, selected) {
        (Some(known), Some(selected)) => (known, &recipe[selected.conversions..]),
        _ => (value, &recipe[..]),
    };
    rest.iter().fold(value, |value, conversion| {
        convert(cursor, *conversion, value)
    })
}

/// The bits of a value that the first conversions of a recipe select, as a scalar.
#[derive(Clone, Copy)]
struct Selected {
    conversions: usize,
    low: u32,
    ty: Type,
}

impl Selected {
    /// What `recipe` selects of a value of type `from`; `None` if that is no part of it.
    fn of(recipe: &Recipe, from: Type) -> Option<Self> {
        let mut this = Self {
            conversions: 0,
            low: 0,
            ty: from,
        };
        for conversion in recipe {
            match *conversion {
                Conversion::Bitcast(to) => this.ty = to,
                Conversion::ShiftRight(_, by) => this.low += by,
                Conversion::Reduce(to) => this.ty = to,
                Conversion::Lane(lane, number) => {
                    this.low += lane.bits() * u32::from(number);
                    this.ty = lane;
                }
                Conversion::ZeroExtend(_) | Conversion::SignExtend(_) => break,
            }
            this.conversions += 1;
        }
        // What is shifted and not reduced has zeros above.
        let fits = this.low + this.ty.bits() <= from.bits();
        (this.conversions > 0 && fits && !this.ty.is_vector()).then_some(this)
    }
}

/// The bits of `value` from `low` on, as an integer `ty`.
pub fn select(cursor: &mut FuncCursor<'_>, value: Value, low: u32, ty: Type) -> Value {
    let found = bits::find(&cursor.func.dfg, value, low, ty.bits());
    let found = made(cursor, found, ty);
    found
        .or_else(|| taken(cursor, value, low, ty))
        .unwrap_or(value)
}

/// What was found, as a scalar `ty`; `None` if that takes more than a shift and a lane.
pub fn made(cursor: &mut FuncCursor<'_>, found: Bits, ty: Type) -> Option<Value> {
    let integer = Type::int(ty.bits().try_into().ok()?)?;
    let value = match found {
        Bits::Constant(bits) => return Some(constant(cursor, bits, ty, integer)),
        Bits::Of(value, low) => taken(cursor, value, low, ty)?,
    };
    Some(cast(cursor, value, ty))
}

/// The scalar `ty` of these bits, those of `integer`.
fn constant(cursor: &mut FuncCursor<'_>, bits: u64, ty: Type, integer: Type) -> Value {
    match ty {
        types::F32 => cursor.ins().f32const(Ieee32::with_bits(bits as u32)),
        types::F64 => cursor.ins().f64const(Ieee64::with_bits(bits)),
        _ => {
            let value = cursor.ins().iconst(integer, bits as i64);
            cast(cursor, value, ty)
        }
    }
}

/// The bits of `value` from `low` on, as some scalar of as many bits as `ty`.
fn taken(cursor: &mut FuncCursor<'_>, value: Value, low: u32, ty: Type) -> Option<Value> {
    let from = cursor.func.dfg.value_type(value);
    if from.is_vector() {
        let lanes = bits::vector_of(ty)?;
        let fits = bits::has_lanes(from) && low.is_multiple_of(ty.bits());
        let vector = fits.then(|| cast(cursor, value, lanes))?;
        return Some(cursor.ins().extractlane(vector, (low / ty.bits()) as u8));
    }
    if from.bits() == ty.bits() {
        return Some(value);
    }
    let (integer, wide) = (
        Type::int(ty.bits().try_into().ok()?)?,
        Type::int(from.bits().try_into().ok()?)?,
    );
    let value = cast(cursor, value, wide);
    if wide == types::I128
        && let Some(half) = half(cursor, value, low, ty.bits())
    {
        return taken(cursor, half, low % 64, ty);
    }
    let value = shifted(cursor, value, low);
    Some(cursor.ins().ireduce(integer, value))
}

/// Is the value in two registers, each of which is there without a shift?
fn is_split(cursor: &FuncCursor<'_>, value: Value) -> bool {
    cursor.func.dfg.value_type(value) == types::I128
}

/// The half of `value`, an `i128`, that has all of these bits.
fn half(cursor: &mut FuncCursor<'_>, value: Value, low: u32, bits: u32) -> Option<Value> {
    match low {
        64.. => Some(cursor.ins().isplit(value).1),
        _ if low + bits <= 64 => Some(cursor.ins().ireduce(types::I64, value)),
        _ => None,
    }
}

/// `value`, an integer, shifted right by so many bits, zeros above.
pub fn shifted(cursor: &mut FuncCursor<'_>, value: Value, by: u32) -> Value {
    let value = cursor.func.dfg.resolve_aliases(value);
    let ty = cursor.func.dfg.value_type(value);
    match by {
        0 => value,
        _ => convert(cursor, Conversion::ShiftRight(ty, by), value),
    }
}

/// The same bits as a `ty`.
pub fn cast(cursor: &mut FuncCursor<'_>, value: Value, ty: Type) -> Value {
    match cursor.func.dfg.value_type(value) == ty {
        true => value,
        false => convert(cursor, Conversion::Bitcast(ty), value),
    }
}

fn convert(cursor: &mut FuncCursor<'_>, conversion: Conversion, value: Value) -> Value {
    let from = cursor.func.dfg.value_type(value);
    let ins = cursor.ins();
    match conversion {
        Conversion::ShiftRight(ty, by) => {
            // Half of an i128 is shifted by an i64: any integer will do.
            let amount_type = if ty.bits() > 64 { types::I64 } else { ty };
            let by = ins.iconst(amount_type, i64::from(by));
            cursor.ins().ushr(value, by)
        }
        Conversion::Reduce(ty) => ins.ireduce(ty, value),
        Conversion::ZeroExtend(ty) => ins.uextend(ty, value),
        Conversion::SignExtend(ty) => ins.sextend(ty, value),
        Conversion::Bitcast(ty) if ty.is_vector() || from.is_vector() => {
            ins.bitcast(ty, bits::little(), value)
        }
        Conversion::Bitcast(ty) => ins.bitcast(ty, MemFlagsData::new(), value),
        Conversion::Lane(_, number) => ins.extractlane(value, number),
    }
}
