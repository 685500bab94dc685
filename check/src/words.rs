//! One form for an integer that is put together from bytes of several values, however they are added
//! up.
//!
//! The bytes are those of the lowest value first; of each value as many at once as there are, in
//! powers of two.

use super::parts::Found;
use super::terms::{Node, Term, Terms};
use cranelift_codegen::ir::{InstructionData, Opcode, Type, Value, types};
use smallvec::SmallVec;

impl Terms {
    /// The integer of these bytes, the lowest first, at most eight.
    pub(super) fn of_bytes(&mut self, bytes: &[Term], ty: Type) -> Term {
        if let Some(whole) = self.together(bytes, ty) {
            return whole;
        }
        let known = self.taken_apart(bytes, ty);
        if let Some(known) = known.or_else(|| self.masked_together(bytes, ty)) {
            return known;
        }
        let mut sum = None;
        let mut at = 0;
        while at < bytes.len() {
            let (part, count) = self.longest(&bytes[at..]);
            if self.constant(part) != Some(0) {
                let part = self.placed(part, 8 * at as u64, ty);
                sum = Some(match sum {
                    Some(sum) => {
                        let bor = binary(Opcode::Bor);
                        self.raw_op(bor, 0, ty, SmallVec::from_slice(&[sum, part]))
                    }
                    None => part,
                });
            }
            at += count;
        }
        sum.unwrap_or_else(|| self.number(ty, 0))
    }

    /// The integer that has been taken apart into these bytes, some of which are spelled as bits of others.
    fn taken_apart(&mut self, bytes: &[Term], ty: Type) -> Option<Term> {
        let places = bytes.iter().zip((0..).step_by(8));
        let whole = { places }.find_map(|(byte, at)| match *self.node(*byte) {
            Node::Bits(whole, low) if low == at && self.ty(whole) == ty => Some(whole),
            _ => None,
        })?;
        let mut places = bytes.iter().zip((0..).step_by(8));
        let is_it = places.all(|(byte, at)| self.bits(whole, at, types::I8) == *byte);
        is_it.then_some(whole)
    }

    /// The integer of these bytes, if they are of one value where they are not zero, in their order: masked, if
    /// that is no single part of it.
    fn masked_together(&mut self, bytes: &[Term], ty: Type) -> Option<Term> {
        let mut mask = 0;
        let mut source = None;
        for (byte, at) in bytes.iter().zip((0..).step_by(8)) {
            if self.constant(*byte) == Some(0) {
                continue;
            }
            let Node::Bits(whole, low) = *self.node(*byte) else {
                return None;
            };
            let from = (whole, low.checked_sub(at)?);
            if *source.get_or_insert(from) != from {
                return None;
            }
            mask |= 0xff << at;
        }
        let (whole, base) = source.filter(|_| !is_one_part(mask))?;
        if base + ty.bits() > self.ty(whole).bits() {
            return None;
        }
        let (whole, mask) = (self.bits(whole, base, ty), self.number(ty, mask));
        let args = SmallVec::from_slice(&[whole, mask]);
        Some(self.raw_op(binary(Opcode::Band), 0, ty, args))
    }

    /// The bits of `term` that are set in `mask`, if they are one part of it.
    pub(super) fn one_part(&mut self, term: Term, mask: u64, ty: Type) -> Option<Term> {
        if !is_one_part(mask) {
            return None;
        }
        let (low, bits) = (mask.trailing_zeros(), mask.count_ones());
        let part = self.bits(term, low, Type::int(bits as u16)?);
        Some(self.placed(part, low.into(), ty))
    }

    /// The bytes of `term`, an integer, if each is zero or a byte of another one.
    pub(super) fn bytes_of_others(&mut self, term: Term, low: u32, ty: Type) -> Option<Vec<Term>> {
        if !low.is_multiple_of(8) || !ty.bits().is_multiple_of(8) {
            return None;
        }
        let mut bytes = Vec::new();
        for at in (low..low + ty.bits()).step_by(8) {
            bytes.push(match self.source_of_byte(term, at)? {
                Found::Zero => self.number(types::I8, 0),
                Found::Bits(inner, _) if inner == term => return None,
                Found::Bits(inner, low) => self.bits(inner, low, types::I8),
            });
        }
        Some(bytes)
    }

    /// A sum of bytes of others, as a wider integer.
    pub(super) fn extended_sum(&mut self, sum: Term, ty: Type) -> Option<Term> {
        match self.node(sum) {
            Node::Op(data, 0, _) if data.opcode() == Opcode::Bor => {}
            _ => return None,
        }
        let mut bytes = self.bytes_of_others(sum, 0, self.ty(sum))?;
        bytes.resize(ty.bytes() as usize, self.number(types::I8, 0));
        Some(self.of_bytes(&bytes, ty))
    }

    /// The first of `bytes`, as many as are of one value.
    fn longest(&mut self, bytes: &[Term]) -> (Term, usize) {
        for count in [4, 2] {
            let Some(bytes) = bytes.get(..count) else {
                continue;
            };
            let ty = Type::int(8 * count as u16);
            if let Some(part) = ty.and_then(|ty| self.together(bytes, ty)) {
                return (part, count);
            }
        }
        (bytes[0], 1)
    }

    /// `part` as a `ty`, shifted left.
    fn placed(&mut self, part: Term, by: u64, ty: Type) -> Term {
        let mut placed = part;
        if self.ty(part) != ty {
            let extend = InstructionData::Unary {
                opcode: Opcode::Uextend,
                arg: Value::from_u32(0),
            };
            placed = self.op(extend, 0, ty, SmallVec::from_slice(&[part]));
        }
        if by == 0 {
            return placed;
        }
        let by = self.number(ty, by);
        let args = SmallVec::from_slice(&[placed, by]);
        self.op(binary(Opcode::Ishl), 0, ty, args)
    }
}

/// Are the bits of a mask those of a narrower integer, from a whole byte on?
fn is_one_part(mask: u64) -> bool {
    let (low, bits) = (mask.trailing_zeros(), mask.count_ones());
    matches!(bits, 8 | 16 | 32) && low.is_multiple_of(8) && mask >> low == u64::MAX >> (64 - bits)
}

fn binary(opcode: Opcode) -> InstructionData {
    let args = [Value::from_u32(0); 2];
    InstructionData::Binary { opcode, args }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot_set::SlotSet;
    use cranelift_codegen::ir::types::{I8, I16, I32};

    /// The sum of `parts`, each shifted left by its number of bits, added up in this order.
    fn sum(terms: &mut Terms, parts: &[(Term, u64)]) -> Term {
        let placed = parts.iter().map(|(part, by)| terms.placed(*part, *by, I32));
        let placed: Vec<Term> = placed.collect();
        let add = |sum, part| {
            let args = SmallVec::from_slice(&[sum, part]);
            terms.op(binary(Opcode::Bor), 0, I32, args)
        };
        placed.into_iter().reduce(add).expect("some parts")
    }

    fn leaves<const N: usize>(terms: &mut Terms, ty: Type) -> [Term; N] {
        [(); N].map(|()| terms.leaf(ty, SlotSet::default(), None))
    }

    #[test]
    fn parts_may_be_added_in_any_order() {
        let mut terms = Terms::new(Vec::new());
        let [a, b] = leaves(&mut terms, I8);
        let [c] = leaves(&mut terms, I16);
        let one = sum(&mut terms, &[(a, 0), (b, 8), (c, 16)]);
        let other = sum(&mut terms, &[(c, 16), (b, 8), (a, 0)]);
        assert_eq!(one, other);
        let halves: Vec<Term> = [0, 8].map(|low| terms.bits(c, low, I8)).to_vec();
        let bytes = [&[a, b], &halves[..]].concat();
        assert_eq!(terms.of_bytes(&bytes, I32), one);
    }

    #[test]
    fn parts_in_other_places_are_another_sum() {
        let mut terms = Terms::new(Vec::new());
        let [a, b] = leaves(&mut terms, I8);
        let one = sum(&mut terms, &[(a, 0), (b, 8)]);
        assert_ne!(one, sum(&mut terms, &[(b, 0), (a, 8)]));
        assert_ne!(one, sum(&mut terms, &[(a, 0), (b, 16)]));
        assert_ne!(one, sum(&mut terms, &[(a, 0), (b, 7)]));
        let swapped = InstructionData::Unary {
            opcode: Opcode::Bswap,
            arg: Value::from_u32(0),
        };
        let there = terms.op(swapped, 0, I32, SmallVec::from_slice(&[one]));
        assert_eq!(there, sum(&mut terms, &[(a, 24), (b, 16)]));
        assert_ne!(there, one);
    }
}
