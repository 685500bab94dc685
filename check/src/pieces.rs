//! What several facts say together about the bytes of an access.
//!
//! Each byte is looked up by itself. Up to eight together are a [sum](super::words) of what they are
//! of. Sixteen are known if all are constants, or if they are consecutive bytes of one integer, in
//! either order; or if both halves of them are known so.

use super::fact::{Extent, Fact, inserted, seen_through};
use super::memory::Memory;
use super::place::Access;
use super::side::Side;
use super::terms::{Node, Term, Terms};
use super::vectors::is_vector;
use cranelift_codegen::ir::{Endianness, InstructionData, Opcode, Type, Value, types};
use smallvec::SmallVec;

/// Bytes of an access that are looked up.
const MAX_BYTES: u32 = 16;

impl Memory {
    /// The value of the bytes, of the type of `access`, by the facts of which `is_usable` is true.
    pub(super) fn known_in_pieces(
        &self,
        terms: &mut Terms,
        access: &Access,
        is_usable: impl Fn(&Fact) -> bool,
    ) -> Option<Term> {
        let (_, count) = access.place.range?;
        let integer = Type::int(8 * count as u16).filter(|_| count <= MAX_BYTES)?;
        let is_big_vector = is_vector(access.ty) && access.order == Endianness::Big;
        let is_value = access.ty.is_int() || access.ty.is_float() || is_vector(access.ty);
        if !is_value || is_big_vector {
            return None;
        }
        let mut bytes = Vec::new();
        for place in access.place.bytes_one_by_one() {
            let byte = Access::plain(place, types::I8, access.order);
            let mut facts = self.facts.iter().rev().filter(|fact| is_usable(fact));
            bytes.push(facts.find_map(|fact| {
                let position = self.position_in(terms, &fact.place, &place)?;
                seen_through(terms, fact, position, &byte)
            })?);
        }
        if access.order == Endianness::Big {
            bytes.reverse();
        }
        let value = match integer.bits() {
            ..=64 => terms.of_bytes(&bytes, integer),
            _ => {
                let value = terms.together(&bytes, integer);
                value.or_else(|| terms.halves_together(&bytes))?
            }
        };
        Some(terms.cast(value, access.ty))
    }
}

impl Memory {
    /// `value`, which is what `side` has found in all of the bytes of `access`, with those parts
    /// of it in their places that are known.
    pub(super) fn with_known_parts(
        &self,
        terms: &mut Terms,
        side: Side,
        access: &Access,
        value: Term,
    ) -> Term {
        let same = !self.differs_at(terms, &access.place);
        let mut parts = Vec::new();
        for fact in &self.facts {
            let is_usable = !fact.outlived
                && fact.extent == Extent::Whole
                && (same || fact.sides & side.bit() != 0)
                && fact.is_for(access.place.class);
            if is_usable
                && fact.place.range.map(|it| it.1) < access.place.range.map(|it| it.1)
                && let Some(position) = self.position_in(terms, &access.place, &fact.place)
                && let Some(bytes) = fact.place.range.map(|(_, bytes)| bytes)
                && (bytes == 1 || fact.order == access.order)
            {
                parts.push((position, fact.value, bytes));
            }
        }
        let mut whole = Fact::of(access, value);
        for (position, part, bytes) in parts {
            if let Some(value) = inserted(terms, &whole, position, (part, bytes)) {
                whole.value = value;
            }
        }
        whole.value
    }
}

impl Terms {
    /// The sixteen bytes, if each half of them is known, as the optimizer spells it.
    fn halves_together(&mut self, bytes: &[Term]) -> Option<Term> {
        let (low, high) = bytes.split_at(bytes.len() / 2);
        let low = self.together(low, types::I64)?;
        let high = self.together(high, types::I64)?;
        let concat = InstructionData::Binary {
            opcode: Opcode::Iconcat,
            args: [Value::from_u32(0); 2],
        };
        Some(self.op(concat, 0, types::I128, SmallVec::from_slice(&[low, high])))
    }

    /// The integer of these bytes, the lowest first.
    pub(super) fn together(&mut self, bytes: &[Term], ty: Type) -> Option<Term> {
        let constants = bytes.iter().map(|byte| self.constant(*byte));
        if let Some(constants) = constants.collect::<Option<Vec<u64>>>() {
            let all = constants.iter().rev();
            let all = all.fold(0, |all: u128, byte| (all << 8) | u128::from(*byte));
            return Some(match ty == types::I128 {
                true => self.wide_number(all, ty),
                false => self.number(ty, all as u64),
            });
        }
        let run = |bytes: &mut dyn Iterator<Item = &Term>| {
            let mut bytes = bytes.zip(0..);
            let Node::Bits(whole, low) = *self.node(*bytes.next()?.0) else {
                return None;
            };
            let follow =
                bytes.all(|(byte, at)| *self.node(*byte) == Node::Bits(whole, low + 8 * at));
            let fits = low + ty.bits() <= self.ty(whole).bits();
            (follow && fits).then_some((whole, low))
        };
        if let Some((whole, low)) = run(&mut bytes.iter()) {
            return Some(self.bits(whole, low, ty));
        }
        let (whole, low) = run(&mut bytes.iter().rev())?;
        let swaps = InstructionData::Unary {
            opcode: Opcode::Bswap,
            arg: Value::from_u32(0),
        };
        let run = self.bits(whole, low, ty);
        (ty.bits() > 8).then(|| self.op(swaps, 0, ty, SmallVec::from_slice(&[run])))
    }
}
