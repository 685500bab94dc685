//! What an operation gives, as far as its operands are known at one place.
//!
//! Only what threading meets between a join and a branch: comparisons, extensions, and the
//! arithmetic that makes a flag of a word.

use crate::ir::condcodes::IntCC;
use crate::ir::{Function, Opcode, Value};

/// What a value is behind one edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// This number, zero-extended.
    Constant(u64),
    /// This value, which is defined before that edge.
    Value(Value),
}

/// The width of a scalar integer of at most 64 bits.
pub fn scalar_bits(func: &Function, value: Value) -> Option<u32> {
    let ty = func.dfg.value_type(value);
    (ty.is_int() && ty.bits() <= 64).then(|| ty.bits())
}

fn sign_extend(number: u64, bits: u32) -> i64 {
    ((number << (64 - bits)) as i64) >> (64 - bits)
}

fn zero_extend(number: u64, bits: u32) -> u64 {
    (number << (64 - bits)) >> (64 - bits)
}

/// `icmp cond x, y` of integers of `bits` bits.
pub fn compare(cond: IntCC, x: Known, y: Known, bits: u32) -> Option<bool> {
    let (x, y) = match (x, y) {
        (Known::Constant(x), Known::Constant(y)) => (x, y),
        // Any two that are equal.
        (Known::Value(x), Known::Value(y)) if x == y => (0, 0),
        _ => return None,
    };
    let (sx, sy) = (sign_extend(x, bits), sign_extend(y, bits));
    Some(match cond {
        IntCC::Equal => x == y,
        IntCC::NotEqual => x != y,
        IntCC::UnsignedLessThan => x < y,
        IntCC::UnsignedLessThanOrEqual => x <= y,
        IntCC::UnsignedGreaterThan => x > y,
        IntCC::UnsignedGreaterThanOrEqual => x >= y,
        IntCC::SignedLessThan => sx < sy,
        IntCC::SignedLessThanOrEqual => sx <= sy,
        IntCC::SignedGreaterThan => sx > sy,
        IntCC::SignedGreaterThanOrEqual => sx >= sy,
    })
}

/// A conversion between integers of `from` and `to` bits.
pub fn extended(opcode: Opcode, known: Known, from: u32, to: u32) -> Option<Known> {
    let Known::Constant(number) = known else {
        return None;
    };
    if to > 64 {
        return None;
    }
    let number = match opcode {
        Opcode::Uextend => number,
        Opcode::Sextend => zero_extend(sign_extend(number, from) as u64, to),
        Opcode::Ireduce => zero_extend(number, to),
        _ => return None,
    };
    Some(Known::Constant(number))
}

/// An operation on integers of `bits` bits.
pub fn computed(opcode: Opcode, x: Known, y: Known, bits: u32) -> Option<Known> {
    let number = match (opcode, x, y) {
        (Opcode::Band, Known::Constant(0), _) | (Opcode::Band, _, Known::Constant(0)) => 0,
        (_, Known::Constant(x), Known::Constant(y)) => match opcode {
            Opcode::Band => x & y,
            Opcode::Bor => x | y,
            Opcode::Bxor => x ^ y,
            Opcode::Iadd => zero_extend(x.wrapping_add(y), bits),
            Opcode::Isub => zero_extend(x.wrapping_sub(y), bits),
            _ => return None,
        },
        _ => return None,
    };
    Some(Known::Constant(number))
}
