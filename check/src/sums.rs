//! Sums of multiples: `base + 8 * i + 16`, in one normal form however they are put together.
//!
//! The summands stand in the order of their terms, the constant last. What is shifted or multiplied
//! by a constant is a multiple. A difference is a sum with a multiple of -1, if it has to be taken
//! apart; where one of an address of a slot would be, the sum stays as it is spelled.

use super::terms::{Node, Term, Terms, sign_extend};
use cranelift_codegen::ir::{InstructionData, Opcode, Type, Value};
use smallvec::SmallVec;

/// Summands of a sum that has a normal form.
const MAX_SUMMANDS: usize = 4;

/// Terms that are looked at for one.
const MAX_LOOKS: u32 = 24;

/// A sum, modulo the width of its type.
struct Sum {
    multiples: SmallVec<[(Term, u64); MAX_SUMMANDS]>,
    constant: u64,
    looks: u32,
}

impl Terms {
    /// The normal form of a sum, a difference, or a product with a constant, of type `ty`; none if
    /// it is long, or what it is of is no sum.
    pub(super) fn sum_of_multiples(
        &mut self,
        opcode: Opcode,
        (x, y): (Term, Term),
        ty: Type,
    ) -> Option<Term> {
        let mut sum = Sum {
            multiples: SmallVec::new(),
            constant: 0,
            looks: MAX_LOOKS,
        };
        // Of fewer bits than a pointer are mostly numbers, which loops add up: those stay as they are
        // spelled, so that paths on which one more has been added can meet.
        let is_number = ty.bits() < 64 && opcode == Opcode::Iadd;
        if is_number && !self.is_multiple(x) && !self.is_multiple(y) {
            return None;
        }
        let is_whole = match (opcode, self.constant(y)) {
            (Opcode::Iadd, _) => self.add_up(x, 1, &mut sum) && self.add_up(y, 1, &mut sum),
            (Opcode::Isub, _) => self.add_up(x, 1, &mut sum) && self.add_up(y, u64::MAX, &mut sum),
            (Opcode::Ishl, Some(by)) => self.add_up(x, 1 << (by & 63 & bits(ty)), &mut sum),
            (Opcode::Imul, Some(by)) => self.add_up(x, by, &mut sum),
            (Opcode::Imul, None) => self.add_up(y, self.constant(x)?, &mut sum),
            _ => return None,
        };
        let mask = u64::MAX >> (64 - ty.bits());
        let multiples = &mut sum.multiples;
        multiples.iter_mut().for_each(|(_, by)| *by &= mask);
        multiples.retain(|(_, by)| *by != 0);
        multiples.sort_unstable();
        // Whether something is in a slot is seen by how it is spelled.
        let in_slots = multiples
            .iter()
            .filter(|(term, _)| !self.taint(*term).is_empty());
        let has_slot = { in_slots }.any(|(term, by)| *by != 1 || self.within(*term).is_none());
        let slots = multiples
            .iter()
            .filter(|(term, _)| self.within(*term).is_some());
        if !is_whole || has_slot || slots.count() > 1 {
            return None;
        }
        let multiples = sum.multiples;
        let mut whole = None;
        for (term, by) in multiples {
            let multiple = self.multiple(term, by, ty);
            whole = Some(match whole {
                Some(before) => self.raw_two(Opcode::Iadd, before, multiple, ty),
                None => multiple,
            });
        }
        let constant = sign_extend(sum.constant, ty);
        Some(match whole {
            Some(whole) => self.plus(whole, constant),
            None => self.number(ty, constant as u64),
        })
    }

    /// A sum of two with the constants of both behind it. Of what is widened to an address nobody
    /// adds up one more.
    pub(super) fn with_constant_last(&mut self, sum: Term) -> Term {
        let (whole, behind) = self.base(sum);
        let Node::Op(data, 0, args) = self.node(whole) else {
            return sum;
        };
        let (Opcode::Iadd, [x, y]) = (data.opcode(), &args[..]) else {
            return sum;
        };
        let ((x, ahead), (y, further)) = (self.base(*x), self.base(*y));
        if (ahead, further) == (0, 0) {
            return sum;
        }
        let whole = self.raw_two(Opcode::Iadd, x, y, self.ty(sum));
        self.plus(whole, ahead.wrapping_add(further).wrapping_add(behind))
    }

    /// Is it a multiple, or a sum with one?
    fn is_multiple(&self, term: Term) -> bool {
        let (term, _) = self.base(term);
        match self.node(term) {
            Node::Op(data, 0, args) => match data.opcode() {
                Opcode::Ishl | Opcode::Imul => self.constant(args[1]).is_some(),
                Opcode::Iadd => args.iter().any(|arg| self.is_multiple(*arg)),
                _ => false,
            },
            _ => false,
        }
    }

    fn raw_two(&mut self, opcode: Opcode, x: Term, y: Term, ty: Type) -> Term {
        let args = [Value::from_u32(0); 2];
        let data = InstructionData::Binary { opcode, args };
        self.raw_op(data, 0, ty, SmallVec::from_slice(&[x, y]))
    }

    /// `term` times `by`.
    fn multiple(&mut self, term: Term, by: u64, ty: Type) -> Term {
        match by {
            1 => term,
            _ if by.is_power_of_two() => {
                let by = self.number(ty, by.trailing_zeros().into());
                self.raw_two(Opcode::Ishl, term, by, ty)
            }
            _ => {
                let by = self.number(ty, by);
                self.raw_two(Opcode::Imul, term, by, ty)
            }
        }
    }

    /// Adds `term` times `by`; `false` if there are too many.
    fn add_up(&self, term: Term, by: u64, sum: &mut Sum) -> bool {
        let Some(left) = sum.looks.checked_sub(1) else {
            return false;
        };
        sum.looks = left;
        match self.node(term) {
            Node::Const(bits) => {
                sum.constant = sum.constant.wrapping_add(bits.wrapping_mul(by));
                return true;
            }
            Node::Plus(base, ahead) => {
                sum.constant = sum.constant.wrapping_add((*ahead as u64).wrapping_mul(by));
                return self.add_up(*base, by, sum);
            }
            Node::Op(data, 0, args) => match (data.opcode(), &args[..]) {
                (Opcode::Iadd, [x, y]) => {
                    return self.add_up(*x, by, sum) && self.add_up(*y, by, sum);
                }
                (Opcode::Isub, [x, y]) => {
                    return self.add_up(*x, by, sum) && self.add_up(*y, by.wrapping_neg(), sum);
                }
                (Opcode::Ineg, [x]) => return self.add_up(*x, by.wrapping_neg(), sum),
                (Opcode::Ishl, [x, y]) => {
                    if let Some(amount) = self.constant(*y) {
                        let amount = amount & 63 & bits(self.ty(term));
                        return self.add_up(*x, by << amount, sum);
                    }
                }
                (Opcode::Imul, [x, y]) => {
                    if let Some(times) = self.constant(*y) {
                        return self.add_up(*x, by.wrapping_mul(times), sum);
                    }
                    if let Some(times) = self.constant(*x) {
                        return self.add_up(*y, by.wrapping_mul(times), sum);
                    }
                }
                _ => {}
            },
            _ => {}
        }
        match sum.multiples.iter_mut().find(|(there, _)| *there == term) {
            Some((_, there)) => *there = there.wrapping_add(by),
            None => sum.multiples.push((term, by)),
        }
        sum.multiples.len() <= MAX_SUMMANDS
    }
}

/// The greatest amount of a shift.
fn bits(ty: Type) -> u64 {
    u64::from(ty.bits() - 1)
}
