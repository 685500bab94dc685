//! Putting a part into a value, in the place of some of its bits.
//!
//! A store of some bytes of a word that is a value masks what was there, and adds what is stored. Where it is
//! seen what either is, less will do: a word that is taken apart and put together again is the word.
//!
//! ```text
//! v1 = ireduce.i32 v0         ; v0: i64             v1 = ireduce.i32 v0
//! v2 = ushr v0, 32                                  v2 = ushr v0, 32
//! v3 = ireduce.i32 v2                         ==>   v3 = ireduce.i32 v2
//! v4 = uextend.i64 v1                               v4 = uextend.i64 v1
//! store v3 to the high half of v4                   v0
//! ```
//!
//! Soundness: what [`bits::find`] finds is there wherever the value is that it is looked for in, and has the
//! same bits.

use crate::cursor::FuncCursor;
use crate::ir::{InstBuilder, Type, Value, types};
use crate::memopt::inst::bits::{self, Bits};
use crate::memopt::inst::coercion::{cast, made, select};
use smallvec::SmallVec;

/// Can [`insert`] put a `part` in the place of the bits from `shift` on of a value of type `whole`,
/// whose bytes lie in little-endian order if it is a vector?
pub fn inserts(whole: Type, part: Type, shift: u32) -> bool {
    let within = |bits: u32| part.bits() <= bits && shift % bits + part.bits() <= bits;
    match () {
        () if whole.is_int() && whole.bits() <= 64 => true,
        // A mask of more bits is no constant.
        () if whole == types::I128 => within(64),
        () => bits::has_lanes(whole) && within(part.bits()) && part.bits() <= 64,
    }
}

/// `whole` with `part`, an integer, in the place of its bits from `shift` on; both with their
/// types, for which [`inserts`] is true.
pub fn insert(
    cursor: &mut FuncCursor<'_>,
    (whole, ty): (Value, Type),
    (part, part_type): (Value, Type),
    shift: u32,
) -> Value {
    if bits::has_lanes(ty) {
        let lane = (shift / part_type.bits()) as u8;
        let lanes = bits::vector_of(part_type).unwrap_or(ty);
        let whole = cast(cursor, whole, lanes);
        let whole = cursor.ins().insertlane(whole, part, lane);
        return cast(cursor, whole, ty);
    }
    if ty == types::I128 {
        let half = |cursor: &mut FuncCursor<'_>, low| select(cursor, whole, low, types::I64);
        let (low, high) = (half(cursor, 0), half(cursor, 64));
        return match shift < 64 {
            true => {
                let low = insert(cursor, (low, types::I64), (part, part_type), shift);
                cursor.ins().iconcat(low, high)
            }
            false => {
                let high = insert(cursor, (high, types::I64), (part, part_type), shift - 64);
                cursor.ins().iconcat(low, high)
            }
        };
    }
    if ty == part_type {
        return part;
    }
    let word = Word::of(cursor, whole, ty);
    let hole = Hole {
        bits: part_type.bits(),
        shift,
    };
    word.with(cursor, hole, part)
}

/// The bits that a part takes the place of.
#[derive(Clone, Copy)]
struct Hole {
    bits: u32,
    shift: u32,
}

impl Hole {
    fn mask(self) -> u64 {
        (u64::MAX >> (64 - self.bits)) << self.shift
    }

    fn has(self, bit: u32) -> bool {
        (self.shift..self.shift + self.bits).contains(&bit)
    }
}

/// An integer of at most 64 bits, and what each of its bytes is.
struct Word {
    value: Value,
    ty: Type,
    bytes: SmallVec<[Bits; 8]>,
}

impl Word {
    fn of(cursor: &FuncCursor<'_>, value: Value, ty: Type) -> Self {
        let find = |at: u32| bits::find(&cursor.func.dfg, value, 8 * at, 8);
        Self {
            value,
            ty,
            bytes: (0..ty.bytes()).map(find).collect(),
        }
    }

    /// The word with `part` in the hole.
    fn with(&self, cursor: &mut FuncCursor<'_>, hole: Hole, part: Value) -> Value {
        let dfg = &cursor.func.dfg;
        let put = bits::find(dfg, part, 0, hole.bits);
        if bits::find(dfg, self.value, hole.shift, hole.bits) == put {
            return self.value;
        }
        if let Some(source) = self.source(cursor, hole, put) {
            return source;
        }
        let rest = self.without(cursor, hole);
        let wide = match put {
            Bits::Constant(0) => None,
            Bits::Constant(bits) => Some(self.number(cursor, bits << hole.shift)),
            Bits::Of(..) => Some(self.placed(cursor, part, hole.shift)),
        };
        match (rest, wide) {
            (Some(rest), Some(wide)) => cursor.ins().bor(rest, wide),
            (Some(value), None) | (None, Some(value)) => value,
            (None, None) => self.number(cursor, 0),
        }
    }

    /// The value of which all bytes are bits that are not zero, in their order, with `put` in the hole.
    fn source(&self, cursor: &mut FuncCursor<'_>, hole: Hole, put: Bits) -> Option<Value> {
        let mut bytes = (0..).step_by(8).zip(self.bytes.iter().copied());
        let other = bytes.find(|(bit, byte)| !hole.has(*bit) && *byte != Bits::Constant(0))?;
        let found = self.is_source(cursor, (hole, put), (hole.shift, put));
        let (source, base, mask) = found.or_else(|| self.is_source(cursor, (hole, put), other))?;
        let value = made(cursor, Bits::Of(source, base), self.ty)?;
        if mask == u64::MAX >> (64 - self.ty.bits()) {
            return Some(value);
        }
        let mask = self.number(cursor, mask);
        Some(cursor.ins().band(value, mask))
    }

    /// The value that has the bits `found` at some bit, from which of its bits on, and which ones, if
    /// that is [the source](Self::source).
    fn is_source(
        &self,
        cursor: &FuncCursor<'_>,
        (hole, put): (Hole, Bits),
        (at, found): (u32, Bits),
    ) -> Option<(Value, u32, u64)> {
        let Bits::Of(source, low) = found else {
            return None;
        };
        let base = low.checked_sub(at)?;
        let dfg = &cursor.func.dfg;
        if base + self.ty.bits() > dfg.value_type(source).bits() || source == self.value {
            return None;
        }
        if bits::find(dfg, source, base + hole.shift, hole.bits) != put {
            return None;
        }
        let mut mask = hole.mask();
        for (bit, byte) in (0..).step_by(8).zip(&self.bytes) {
            let is_its = || bits::find(dfg, source, base + bit, 8) == *byte;
            match *byte {
                _ if hole.has(bit) => {}
                Bits::Constant(0) => {}
                _ if is_its() => mask |= 0xff << bit,
                Bits::Of(..) | Bits::Constant(_) => return None,
            }
        }
        Some((source, base, mask))
    }

    /// The word with zeros in the hole; `None` if it is zero then.
    fn without(&self, cursor: &mut FuncCursor<'_>, hole: Hole) -> Option<Value> {
        let zero = Bits::Constant(0);
        let bytes = || (0..).step_by(8).zip(&self.bytes);
        if bytes().all(|(bit, byte)| hole.has(bit) || *byte == zero) {
            return None;
        }
        if bytes().all(|(bit, byte)| !hole.has(bit) || *byte == zero) {
            return Some(self.value);
        }
        if let Some(part) = self.only_part(cursor, hole) {
            return Some(part);
        }
        let mask = self.number(cursor, !hole.mask());
        Some(cursor.ins().band(self.value, mask))
    }

    /// The word with zeros in the hole, where the rest is zero but for the bits of one integer.
    fn only_part(&self, cursor: &mut FuncCursor<'_>, hole: Hole) -> Option<Value> {
        let is_rest = |bit: u32, byte: Bits| !hole.has(bit) && byte != Bits::Constant(0);
        let bytes = (0..).step_by(8).zip(self.bytes.iter().copied());
        let mut rest = bytes.filter(|(bit, byte)| is_rest(*bit, *byte));
        let (shift, first) = rest.next()?;
        let Bits::Of(part, 0) = first else {
            return None;
        };
        let part_bits = cursor.func.dfg.value_type(part).bits();
        let mut next = 8;
        let follows = rest.all(|(bit, byte)| {
            let is_next = byte == Bits::Of(part, next) && bit == shift + next;
            next += 8;
            is_next
        });
        if !follows || next != part_bits {
            return None;
        }
        let narrow = Type::int(part_bits.try_into().ok()?)?;
        let part = made(cursor, first, narrow)?;
        Some(self.placed(cursor, part, shift))
    }

    /// `part`, zero-extended and shifted.
    fn placed(&self, cursor: &mut FuncCursor<'_>, part: Value, shift: u32) -> Value {
        let wide = cursor.ins().uextend(self.ty, part);
        if shift == 0 {
            return wide;
        }
        let by = self.number(cursor, shift.into());
        cursor.ins().ishl(wide, by)
    }

    /// A constant. It is written zero-extended.
    fn number(&self, cursor: &mut FuncCursor<'_>, bits: u64) -> Value {
        let bits = bits & (u64::MAX >> (64 - self.ty.bits()));
        cursor.ins().iconst(self.ty, bits as i64)
    }
}
