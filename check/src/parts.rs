//! Integers that are put together from parts, by masks and shifts.
//!
//! A store of some bytes of a field changes some bits of its value: what was there is masked, and
//! what is stored is extended, shifted, and added. Both runs spell it like that, one in
//! instructions and one in memory, so that both have one term; and what is read of it again is
//! the part that was put there.

use super::terms::{Node, Term, Terms};
use cranelift_codegen::ir::{InstructionData, Opcode, Type, Value, types};
use smallvec::{SmallVec, smallvec};

/// How deep bits are looked for in an integer of parts, of which eight may have been put in one
/// after the other. What is given up is that two spellings of a part are equal where it was put in
/// before so many others.
const MAX_DEPTH: u32 = 40;

/// How many terms are looked at in all: both sides of a sum of parts are.
const MAX_LOOKS: u32 = 128;

/// Terms that are higher are not taken apart: it bounds the depth of recursion.
const MAX_HEIGHT: u8 = 96;

impl Terms {
    /// `whole`, an integer of at most 64 bits, with `part` in the place of its bits from `low` on.
    pub fn insert(&mut self, whole: Term, part: Term, low: u32) -> Term {
        let ty = self.ty(whole);
        if self.bits(whole, low, self.ty(part)) == part {
            return whole;
        }
        let part_mask = u64::MAX >> (64 - self.ty(part).bits());
        let mask = self.number(ty, !(part_mask << low));
        let rest = self.binary(Opcode::Band, ty, whole, mask);
        let extended = InstructionData::Unary {
            opcode: Opcode::Uextend,
            arg: Value::from_u32(0),
        };
        let mut wide = self.op(extended, 0, ty, smallvec![part]);
        if low != 0 {
            let by = self.number(ty, low.into());
            wide = self.binary(Opcode::Ishl, ty, wide, by);
        }
        self.binary(Opcode::Bor, ty, rest, wide)
    }

    fn binary(&mut self, opcode: Opcode, ty: Type, x: Term, y: Term) -> Term {
        let skeleton = InstructionData::Binary {
            opcode,
            args: [Value::from_u32(0); 2],
        };
        self.op(skeleton, 0, ty, smallvec![x, y])
    }

    /// The bits of `term` from `low` on, as a `ty`, if it is put together from parts of which one
    /// has them all.
    pub(super) fn bits_of_parts(&mut self, term: Term, low: u32, ty: Type) -> Option<Term> {
        if self.height(term) > MAX_HEIGHT {
            return None;
        }
        if let Some(Inserted { whole, part, at }) = self.inserted(term)
            && low <= at
            && at + self.ty(part).bits() <= low + ty.bits()
            && ty.bits() > self.ty(part).bits()
        {
            let rest = self.bits(whole, low, ty);
            return Some(self.insert(rest, part, at - low));
        }
        let mut looks = MAX_LOOKS;
        match self.find(term, low, ty.bits(), MAX_DEPTH, &mut looks)? {
            Found::Zero => Some(self.number(ty, 0)),
            Found::Bits(inner, _) if inner == term => match self.bytes_of_others(term, low, ty) {
                Some(bytes) if ty.bits() > 8 => Some(self.of_bytes(&bytes, ty)),
                _ => self.bits_of_masked(term, low, ty),
            },
            Found::Bits(inner, low) => Some(self.bits(inner, low, ty)),
        }
    }

    /// The bits of `term` from `low` on, if it is masked by a constant, or has one added: the bits that are
    /// not looked at do not matter.
    fn bits_of_masked(&mut self, term: Term, low: u32, ty: Type) -> Option<Term> {
        let Node::Op(data, 0, args) = self.node(term) else {
            return None;
        };
        let opcode = data.opcode();
        let (x, y) = match args[..] {
            [x, y] if matches!(opcode, Opcode::Band | Opcode::Bor) => (x, y),
            _ => return None,
        };
        let constant = self.constant(y)?.checked_shr(low)?;
        let (x, y) = (self.bits(x, low, ty), self.number(ty, constant));
        Some(self.binary(opcode, ty, x, y))
    }

    /// The sum of `x` and `y`. If one of them is a part, as of [`Self::insert`], all of its bytes may
    /// be known by now: as constants, or as consecutive ones of another value.
    pub(super) fn sum_of_parts(&mut self, x: Term, y: Term, ty: Type) -> Option<Term> {
        let skeleton = InstructionData::Binary {
            opcode: Opcode::Bor,
            args: [Value::from_u32(0); 2],
        };
        let sum = self.raw_op(skeleton, 0, ty, smallvec![x, y]);
        if self.height(sum) <= MAX_HEIGHT
            && let Some(Inserted { whole, part, at }) = self.inserted(sum)
            && self.bits(whole, at, self.ty(part)) == part
        {
            // The part was there already.
            return Some(whole);
        }
        if self.height(sum) > MAX_HEIGHT {
            return Some(sum);
        }
        if !(self.is_masked(x) || self.is_masked(y))
            && let Some(bytes) = self.bytes_of_others(sum, 0, ty)
        {
            return Some(self.of_bytes(&bytes, ty));
        }
        let is_part = |term: Term| match self.node(term) {
            Node::Op(data, 0, args) => match data.opcode() {
                Opcode::Ishl => self.constant(args[1]).is_some(),
                opcode => opcode == Opcode::Uextend || self.is_masked(term),
            },
            _ => false,
        };
        if !(is_part(x) || is_part(y)) {
            return Some(sum);
        }
        let bytes = (0..ty.bytes()).map(|at| self.bits(sum, 8 * at, types::I8));
        let bytes: Vec<Term> = bytes.collect();
        let whole = self.together(&bytes, ty);
        Some(whole.unwrap_or(sum))
    }

    /// Is `term` masked by a constant?
    fn is_masked(&self, term: Term) -> bool {
        match self.node(term) {
            Node::Op(data, 0, args) => {
                data.opcode() == Opcode::Band && self.constant(args[1]).is_some()
            }
            _ => false,
        }
    }

    /// `term` with only those of its bits that are set in `mask`: zero, if all of these are zero; itself,
    /// if all others are; of a sum of parts, the one that has them; and what is masked twice is masked once.
    pub(super) fn masked(&mut self, term: Term, mask: u64, ty: Type) -> Option<Term> {
        if self.height(term) > MAX_HEIGHT {
            return None;
        }
        if self.is_zero_in(term, mask) {
            return Some(self.number(ty, 0));
        }
        if self.is_zero_in(term, !mask & all_bits(ty)) {
            return Some(term);
        }
        let opcode = match self.node(term) {
            Node::Op(data, 0, args) if args.len() == 2 => Some((data.opcode(), args[0], args[1])),
            _ => None,
        };
        let (rest, mask) = match opcode {
            Some((Opcode::Band, x, y)) if self.constant(y).is_some() => {
                (x, mask & self.constant(y)?)
            }
            Some((Opcode::Bor, x, y)) if self.is_zero_in(y, mask) => (x, mask),
            Some((Opcode::Bor, x, y)) if self.is_zero_in(x, mask) => (y, mask),
            _ => return self.one_part(term, mask, ty),
        };
        let mask = self.number(ty, mask);
        Some(self.binary(Opcode::Band, ty, rest, mask))
    }

    /// Are all bits of `term` zero that are set in `mask`?
    fn is_zero_in(&self, term: Term, mut mask: u64) -> bool {
        let mut looks = MAX_LOOKS;
        while mask != 0 {
            let low = mask.trailing_zeros();
            let bits = (mask >> low).trailing_ones();
            let found = self.find(term, low, bits, MAX_DEPTH, &mut looks);
            if !matches!(found, Some(Found::Zero)) {
                return false;
            }
            mask &= !((u64::MAX >> (64 - bits)) << low);
        }
        true
    }

    /// What [`Self::insert`] has put together, as it is spelled if the part is no constant. Nothing is
    /// masked where what it was put into was zero.
    fn inserted(&self, term: Term) -> Option<Inserted> {
        let op = |term: Term, wanted: Opcode| match self.node(term) {
            Node::Op(data, 0, args) if data.opcode() == wanted => Some(args),
            _ => None,
        };
        let [rest, wide] = op(term, Opcode::Bor)?[..] else {
            return None;
        };
        let (extended, at) = match op(wide, Opcode::Ishl).map(|args| &args[..]) {
            Some([inner, by]) => (*inner, u32::try_from(self.constant(*by)?).ok()?),
            _ => (wide, 0),
        };
        let [part] = op(extended, Opcode::Uextend)?[..] else {
            return None;
        };
        let bits = self.ty(part).bits();
        let hole = (u64::MAX >> (64 - bits)).checked_shl(at)?;
        let mask = !hole & all_bits(self.ty(term));
        let whole = match op(rest, Opcode::Band).map(|args| &args[..]) {
            Some([whole, by]) if self.constant(*by) == Some(mask) => *whole,
            _ => rest,
        };
        (whole != rest || self.is_zero_in(rest, hole)).then_some(Inserted { whole, part, at })
    }

    /// `term` with its bytes the other way round, if they are bytes of others.
    pub(super) fn swapped(&mut self, term: Term, ty: Type) -> Option<Term> {
        if self.height(term) > MAX_HEIGHT {
            return None;
        }
        let mut bytes = self.bytes_of_others(term, 0, ty)?;
        bytes.reverse();
        Some(self.of_bytes(&bytes, ty))
    }

    /// Where the byte of `term` from the bit `low` on comes from.
    pub(super) fn source_of_byte(&self, term: Term, low: u32) -> Option<Found> {
        let mut looks = MAX_LOOKS;
        self.find(term, low, 8, MAX_DEPTH, &mut looks)
    }

    /// Where some bits of `term` come from.
    fn find(&self, term: Term, low: u32, bits: u32, depth: u32, looks: &mut u32) -> Option<Found> {
        let here = Some(Found::Bits(term, low));
        let (Some(depth), Some(left)) = (depth.checked_sub(1), looks.checked_sub(1)) else {
            return here;
        };
        *looks = left;
        if let Some(value) = self.constant(term) {
            let mask = u64::MAX >> (64 - bits.clamp(1, 64));
            let is_zero = value.checked_shr(low).unwrap_or(0) & mask == 0;
            return if is_zero { Some(Found::Zero) } else { here };
        }
        let (data, args): (_, SmallVec<[Term; 3]>) = match self.node(term) {
            Node::Op(data, 0, args) => (*data, args.clone()),
            _ => return here,
        };
        match (data.opcode(), &args[..]) {
            (Opcode::Uextend, [inner]) if low >= self.ty(*inner).bits() => Some(Found::Zero),
            (Opcode::Uextend, [inner]) if low + bits <= self.ty(*inner).bits() => {
                self.find(*inner, low, bits, depth, looks)
            }
            (Opcode::Ishl, [inner, by]) => {
                let by = u32::try_from(self.constant(*by)?).ok()?;
                if by >= self.ty(term).bits() {
                    here
                } else if low + bits <= by {
                    Some(Found::Zero)
                } else if low >= by {
                    self.find(*inner, low - by, bits, depth, looks)
                } else {
                    here
                }
            }
            (Opcode::Band, [inner, mask]) => {
                let Some(mask) = self.constant(*mask) else {
                    return here;
                };
                let all = u64::MAX >> (64 - bits.clamp(1, 64));
                match mask.checked_shr(low).unwrap_or(0) & all {
                    0 => Some(Found::Zero),
                    wanted if wanted == all => self.find(*inner, low, bits, depth, looks),
                    _ => here,
                }
            }
            (Opcode::Bswap, [inner]) if bits == 8 && low.is_multiple_of(8) => {
                let low = self.ty(term).bits() - 8 - low;
                self.find(*inner, low, bits, depth, looks)
            }
            (Opcode::Bor, [x, y]) => {
                let both = [*x, *y].map(|arg| self.find(arg, low, bits, depth, looks));
                match both {
                    [Some(Found::Zero), found] | [found, Some(Found::Zero)] => found,
                    _ => here,
                }
            }
            _ => here,
        }
    }
}

/// All bits of an integer of at most 64.
fn all_bits(ty: Type) -> u64 {
    u64::MAX >> (64 - ty.bits())
}

/// An integer with a part in the place of some of its bits.
struct Inserted {
    whole: Term,
    part: Term,
    at: u32,
}

/// Where bits come from.
#[derive(Clone, Copy)]
pub(super) enum Found {
    /// They are zero.
    Zero,
    /// They are those of this term from this one on.
    Bits(Term, u32),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot_set::SlotSet;
    use cranelift_codegen::ir::types::{I8, I16, I32};

    #[test]
    fn what_is_put_in_is_found_again() {
        let mut terms = Terms::new(Vec::new());
        let whole = terms.leaf(I32, SlotSet::default(), None);
        let part = terms.leaf(I8, SlotSet::default(), None);
        let put = terms.insert(whole, part, 8);
        assert_eq!(terms.bits(put, 8, I8), part);
        let untouched = terms.bits(whole, 16, I16);
        assert_eq!(terms.bits(put, 16, I16), untouched);
        let across = terms.bits(put, 0, I16);
        let before = terms.bits(whole, 0, I16);
        assert_ne!(across, before);
    }

    #[test]
    fn half_of_a_whole_with_a_part_is_half_with_the_part() {
        let mut terms = Terms::new(Vec::new());
        let whole = terms.leaf(I32, SlotSet::default(), None);
        let part = terms.leaf(I8, SlotSet::default(), None);
        let put = terms.insert(whole, part, 24);
        let half = terms.bits(whole, 16, I16);
        let expected = terms.insert(half, part, 8);
        assert_eq!(terms.bits(put, 16, I16), expected);
    }

    #[test]
    fn a_part_that_is_put_in_twice_is_there_once() {
        let mut terms = Terms::new(Vec::new());
        let whole = terms.leaf(I32, SlotSet::default(), None);
        let [part, other] = [(); 2].map(|()| terms.leaf(I8, SlotSet::default(), None));
        let put = terms.insert(whole, part, 8);
        assert_eq!(terms.insert(put, part, 8), put);
        let [over, expected] = [put, whole].map(|whole| terms.insert(whole, other, 8));
        assert_eq!(over, expected);
        assert_ne!(over, put);
        let beside = terms.insert(put, other, 16);
        assert_ne!(beside, terms.insert(whole, other, 16));
    }

    #[test]
    fn bits_that_are_zero_are_masked_to_zero() {
        let mut terms = Terms::new(Vec::new());
        let byte = terms.leaf(I8, SlotSet::default(), None);
        let zero = terms.number(I32, 0);
        let wide = terms.insert(zero, byte, 8);
        assert_eq!(terms.masked(wide, 0xffff_0000, I32), Some(zero));
        assert_eq!(terms.masked(wide, 0xff, I32), Some(zero));
        assert_eq!(terms.masked(wide, 0xff00_00ff, I32), Some(zero));
        assert_ne!(terms.masked(wide, 0xffff, I32), Some(zero));
        assert_eq!(terms.masked(wide, 0xffff, I32), Some(wide));
        assert_ne!(terms.masked(wide, 0xefff, I32), Some(wide));
    }

    #[test]
    fn a_part_that_is_put_where_zero_was_is_found_among_others() {
        let mut terms = Terms::new(Vec::new());
        let [low, high] = [(); 2].map(|()| terms.leaf(I8, SlotSet::default(), None));
        let zero = [I16, I32].map(|ty| terms.number(ty, 0));
        let [narrow, wide] = zero.map(|zero| {
            let first = terms.insert(zero, low, 0);
            terms.insert(first, high, 8)
        });
        assert_eq!(terms.bits(wide, 0, I16), narrow);
        assert_eq!(terms.masked(wide, 0xffff, I32), Some(wide));
    }

    #[test]
    fn parts_of_a_constant_are_constants() {
        let mut terms = Terms::new(Vec::new());
        let whole = terms.number(I32, 0x1122_3344);
        let part = terms.number(I8, 0xab);
        let put = terms.insert(whole, part, 16);
        assert_eq!(terms.constant(put), Some(0x11ab_3344));
    }
}
