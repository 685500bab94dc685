//! Instructions that only compute.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Opcode, TrapCode};

/// The low `bits` bits.
pub fn mask(value: u128, bits: u32) -> u128 {
    if bits >= 128 {
        value
    } else {
        value & ((1 << bits) - 1)
    }
}

/// `value`, of `bits` bits, with its sign.
pub fn signed(value: u128, bits: u32) -> i128 {
    let unused = 128 - bits.min(128);
    ((value << unused) as i128) >> unused
}

/// The result of a binary operation on integers of `bits` bits; `None` if this
/// is not known here.
pub fn binary(opcode: Opcode, bits: u32, x: u128, y: u128) -> Option<Result<u128, TrapCode>> {
    let (sx, sy) = (signed(x, bits), signed(y, bits));
    let by = (y % u128::from(bits)) as u32;
    let value = match opcode {
        Opcode::Iadd => x.wrapping_add(y),
        Opcode::Isub => x.wrapping_sub(y),
        Opcode::Imul => x.wrapping_mul(y),
        Opcode::Umulhi if bits <= 64 => x.wrapping_mul(y) >> bits,
        Opcode::Smulhi if bits <= 64 => (sx.wrapping_mul(sy) >> bits) as u128,
        Opcode::Band => x & y,
        Opcode::Bor => x | y,
        Opcode::Bxor => x ^ y,
        Opcode::Ishl => x << by,
        Opcode::Ushr => x >> by,
        Opcode::Sshr => (sx >> by) as u128,
        Opcode::Rotl => rotate_left(x, by, bits),
        Opcode::Rotr => rotate_left(x, (bits - by) % bits, bits),
        Opcode::Umin => x.min(y),
        Opcode::Umax => x.max(y),
        Opcode::Smin => sx.min(sy) as u128,
        Opcode::Smax => sx.max(sy) as u128,
        Opcode::Udiv | Opcode::Urem | Opcode::Sdiv | Opcode::Srem => {
            return Some(divide(opcode, bits, x, y));
        }
        _ => return None,
    };
    Some(Ok(mask(value, bits)))
}

/// The result of an operation that is done on each lane of `lane` bits of a value of
/// `bits` bits by itself; `None` if this is not known here, or may trap.
pub fn lanes(opcode: Opcode, lane: u32, bits: u32, x: u128, y: u128) -> Option<u128> {
    (0..bits / lane).try_fold(0, |all, at| {
        let by = at * lane;
        let one = binary(opcode, lane, mask(x >> by, lane), mask(y >> by, lane))?;
        Some(all | one.ok()? << by)
    })
}

fn rotate_left(x: u128, by: u32, bits: u32) -> u128 {
    if by == 0 {
        x
    } else {
        (x << by) | (x >> (bits - by))
    }
}

fn divide(opcode: Opcode, bits: u32, x: u128, y: u128) -> Result<u128, TrapCode> {
    if y == 0 {
        return Err(TrapCode::INTEGER_DIVISION_BY_ZERO);
    }
    let (sx, sy) = (signed(x, bits), signed(y, bits));
    let overflows = sy == -1 && x == mask(1 << (bits - 1), bits);
    let value = match opcode {
        Opcode::Udiv => x / y,
        Opcode::Urem => x % y,
        Opcode::Sdiv if overflows => return Err(TrapCode::INTEGER_OVERFLOW),
        Opcode::Sdiv => sx.wrapping_div(sy) as u128,
        _ => sx.wrapping_rem(sy) as u128,
    };
    Ok(mask(value, bits))
}

/// The result of a unary operation, from `from` bits to `to` bits.
pub fn unary(opcode: Opcode, from: u32, to: u32, x: u128) -> Option<u128> {
    let value = match opcode {
        Opcode::Uextend | Opcode::Ireduce | Opcode::Bitcast => x,
        Opcode::Sextend => signed(x, from) as u128,
        Opcode::Bnot => !x,
        Opcode::Ineg => x.wrapping_neg(),
        Opcode::Iabs => signed(x, from).wrapping_abs() as u128,
        Opcode::Bmask => {
            if x == 0 {
                0
            } else {
                u128::MAX
            }
        }
        Opcode::Popcnt => x.count_ones().into(),
        Opcode::Clz => u128::from(x.leading_zeros()) - u128::from(128 - from),
        Opcode::Ctz => x.trailing_zeros().min(from).into(),
        Opcode::Bswap => x.swap_bytes() >> (128 - from),
        Opcode::Bitrev => x.reverse_bits() >> (128 - from),
        _ => return None,
    };
    Some(mask(value, to))
}

/// The result of a comparison of integers of `bits` bits.
pub fn compare(cond: IntCC, bits: u32, x: u128, y: u128) -> bool {
    let (sx, sy) = (signed(x, bits), signed(y, bits));
    match cond {
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
    }
}
