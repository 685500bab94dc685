//! Integers of two halves, and vectors.
//!
//! A vector is the integer that it is in little-endian order, and one of 128 bits is its two
//! halves, each an integer of 64 bits. So a lane is bits of a half, in whichever lanes the vector was filled,
//! and whoever fills one puts a part into a half.

use super::terms::{Node, Term, Terms};
use cranelift_codegen::ir::types::{I64, I128};
use cranelift_codegen::ir::{InstructionData, Opcode, Type, Value};
use smallvec::smallvec;

/// Is it a vector of which lanes are known?
pub fn is_vector(ty: Type) -> bool {
    ty.is_vector() && matches!(ty.bits(), 16 | 32 | 64 | 128)
}

/// The integer that a vector is.
fn integer_of(vector: Type) -> Option<Type> {
    Type::int(vector.bits() as u16).filter(|_| is_vector(vector))
}

impl Terms {
    /// The integer whose low half is `low`, and whose high one is `high`.
    pub fn concat(&mut self, low: Term, high: Term) -> Term {
        if let (Node::Bits(whole, 0), Node::Bits(other, 64)) = (self.node(low), self.node(high))
            && whole == other
            && self.ty(*whole) == I128
        {
            return *whole;
        }
        let skeleton = InstructionData::Binary {
            opcode: Opcode::Iconcat,
            args: [Value::from_u32(0); 2],
        };
        self.raw_op(skeleton, 0, I128, smallvec![low, high])
    }

    /// A constant of at most 128 bits.
    pub fn wide_number(&mut self, bits: u128, ty: Type) -> Term {
        if let Some(integer) = Type::int(ty.bits() as u16).filter(|ty| ty.bits() <= 64) {
            let number = self.number(integer, bits as u64);
            return self.cast(number, ty);
        }
        let [low, high] = [bits as u64, (bits >> 64) as u64].map(|half| self.number(I64, half));
        let whole = self.concat(low, high);
        self.cast(whole, ty)
    }

    /// `whole`, an integer of at most 128 bits, with `part` in the place of its bits from `low` on;
    /// `None` if it is in both halves.
    pub fn insert_wide(&mut self, whole: Term, part: Term, low: u32) -> Option<Term> {
        let bits = self.ty(part).bits();
        if self.ty(whole) != I128 {
            return Some(match self.ty(whole) == self.ty(part) {
                true => part,
                false => self.insert(whole, part, low),
            });
        }
        if low % 64 + bits > 64 {
            return None;
        }
        let mut halves = [0, 64].map(|at| self.bits(whole, at, I64));
        let half = &mut halves[low as usize / 64];
        *half = self.insert_wide(*half, part, low % 64)?;
        Some(self.concat(halves[0], halves[1]))
    }

    /// A lane of `vector`, as a value of type `ty`.
    pub fn lane(&mut self, vector: Term, number: u32, ty: Type) -> Option<Term> {
        let (integer, all) = (Type::int(ty.bits() as u16)?, integer_of(self.ty(vector))?);
        let whole = self.cast(vector, all);
        let lane = self.bits(whole, number * ty.bits(), integer);
        Some(self.cast(lane, ty))
    }

    /// `vector` with `lane` as the one of this number.
    pub fn with_lane(&mut self, vector: Term, lane: Term, number: u32) -> Option<Term> {
        let (ty, bits) = (self.ty(vector), self.ty(lane).bits());
        let (integer, all) = (Type::int(bits as u16)?, integer_of(ty)?);
        let whole = self.cast(vector, all);
        let lane = self.cast(lane, integer);
        let whole = self.insert_wide(whole, lane, number * bits)?;
        Some(self.cast(whole, ty))
    }

    /// The bits of `term`, of 128 bits, from `low` on, if what it is made of says what they are.
    pub(super) fn bits_of_halves(&mut self, term: Term, low: u32, ty: Type) -> Option<Term> {
        match self.node(term).clone() {
            Node::Op(data, 0, args) if data.opcode() == Opcode::Iconcat => {
                if let Some((below, above)) = self.constant(args[0]).zip(self.constant(args[1])) {
                    let all = u128::from(above) << 64 | u128::from(below);
                    return Some(self.number(ty, all.checked_shr(low)? as u64))
                        .filter(|_| ty.bits() <= 64);
                }
                let half = args[low as usize / 64];
                (low % 64 + ty.bits() <= 64).then(|| self.bits(half, low % 64, ty))
            }
            Node::Cast(vector) => match self.node(vector).clone() {
                Node::Op(data, 0, args) if data.opcode() == Opcode::Splat => {
                    let lane = args[0];
                    let width = self.ty(lane).bits();
                    let integer = Type::int(width as u16)?;
                    let fits = low % width + ty.bits() <= width;
                    fits.then(|| {
                        let lane = self.cast(lane, integer);
                        self.bits(lane, low % width, ty)
                    })
                }
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot_set::SlotSet;
    use cranelift_codegen::ir::types::{F64, I8X16, I32, I64X2};

    #[test]
    fn a_lane_is_what_was_put_there_in_whichever_lanes() {
        let mut terms = Terms::new(Vec::new());
        let vector = terms.leaf(I8X16, SlotSet::default(), None);
        let wide = terms.cast(vector, I64X2);
        let lane = terms.leaf(I64, SlotSet::default(), None);
        let filled = terms.with_lane(wide, lane, 1).unwrap();
        assert_eq!(terms.lane(filled, 1, I64), Some(lane));
        assert_eq!(terms.lane(filled, 0, I64), terms.lane(wide, 0, I64));
        let high = terms.bits(lane, 32, I32);
        assert_eq!(terms.lane(filled, 3, I32), Some(high));
        let before = terms.lane(wide, 0, I64).unwrap();
        let again = terms.with_lane(wide, before, 0).unwrap();
        assert_eq!(again, wide);
    }

    #[test]
    fn halves_of_an_integer_make_it_again() {
        let mut terms = Terms::new(Vec::new());
        let whole = terms.leaf(I128, SlotSet::default(), None);
        let [low, high] = [0, 64].map(|at| terms.bits(whole, at, I64));
        assert_eq!(terms.concat(low, high), whole);
        assert_ne!(terms.concat(high, low), whole);
        let number = terms.wide_number(1 << 64, I64X2);
        let one = terms.number(I64, 1);
        assert_eq!(terms.lane(number, 1, I64), Some(one));
        assert_ne!(terms.lane(number, 1, F64), Some(one));
    }
}
