//! Sums of multiples: `base + 8 * i + 16`, however they are put together.

use super::operation::{Operation, both, sum_of_two};
use super::{Named, Numberer};
use crate::ir::{InstructionData, Opcode, Type, Value};
use crate::memopt::cfg::graph::Node;
use crate::memopt::inst::bits::number;
use smallvec::SmallVec;

/// Values of which multiples are added up.
///
/// An element of an array of two dimensions has three. What is given up is that a longer sum is one in
/// this order only.
const MAX_TERMS: usize = 4;

/// Operations that are looked at for one sum.
///
/// An index of two dimensions takes six. What is given up is as for [`MAX_TERMS`].
const MAX_STEPS: u32 = 12;

/// A sum of multiples, modulo the width of its type.
#[derive(Default)]
struct Sum {
    /// What is multiplied, by what, and the leaf of it that is defined last.
    terms: SmallVec<[Term; MAX_TERMS]>,
    constant: u64,
}

#[derive(Clone, Copy)]
struct Term {
    value: Value,
    by: u64,
    deepest: Option<(Node, Value)>,
}

impl Sum {
    /// Adds a multiple; `false` if there are too many.
    fn add(&mut self, term: Term) -> bool {
        match self.terms.iter_mut().find(|it| it.value == term.value) {
            Some(there) => there.by = there.by.wrapping_add(term.by),
            None => self.terms.push(term),
        }
        self.terms.len() <= MAX_TERMS
    }
}

impl Numberer<'_> {
    /// What the sum `value` is congruent to, which `data` computes of values that have names; `None`
    /// if it is no sum, or a long one.
    ///
    /// Whatever is added in whichever order is one sum. All that differ in a constant have one
    /// value that stands for them, and are some bytes ahead of it.
    pub(super) fn name_sum(&mut self, value: Value, data: &InstructionData) -> Option<Named> {
        let ty = self.func.dfg.value_type(value);
        if !is_linear(data.opcode()) || !ty.is_int() || ty.bits() > 64 {
            return None;
        }
        if let Some(named) = self.name_plain_sum(value, data, ty) {
            return Some(named);
        }
        let sum = self.sum(data, ty)?;
        let deepest = sum.terms.iter().filter_map(|term| term.deepest).max();
        let operation = match sum.terms[..] {
            [] => return None,
            [Term { value, by: 1, .. }] => {
                return Some(Named {
                    value,
                    ahead: wrap(sum.constant, ty),
                    deepest,
                });
            }
            [x, y] if x.by == 1 && y.by == 1 => sum_of_two(x.value, y.value, ty),
            _ => self.sum_of_terms(&sum, ty),
        };
        Some(self.name_first(operation, (value, sum.constant), deepest, ty))
    }

    /// The same, if it is a value and a constant, or two values that are no sums, as most are.
    fn name_plain_sum(&mut self, value: Value, data: &InstructionData, ty: Type) -> Option<Named> {
        let InstructionData::Binary {
            opcode: Opcode::Iadd,
            args: [x, y],
        } = *data
        else {
            return None;
        };
        let dfg = &self.func.dfg;
        if let Some(bits) = number(dfg, y) {
            let named = self.known(x)?;
            return Some(Named {
                ahead: wrap((named.ahead as u64).wrapping_add(bits), ty),
                ..named
            });
        }
        let is_sum = |value| {
            let inst = dfg.value_def(value).inst();
            let opcode = inst.map(|inst| dfg.insts[inst].opcode());
            opcode.is_some_and(|opcode| is_linear(opcode) || opcode == Opcode::Iconst)
        };
        if is_sum(x) || is_sum(y) {
            return None;
        }
        let (x, y) = (self.known(x)?, self.known(y)?);
        let operation = sum_of_two(x.value, y.value, ty);
        let deepest = x.deepest.max(y.deepest);
        (x.value != y.value).then(|| self.name_first(operation, (value, 0), deepest, ty))
    }

    /// The name of a sum, that of the first one with the same `operation`.
    fn name_first(
        &mut self,
        operation: Operation,
        (value, constant): (Value, u64),
        deepest: Option<(Node, Value)>,
        ty: Type,
    ) -> Named {
        let first = &mut self.found.first;
        let (first, before) = *first.entry(operation).or_insert((value, constant as i64));
        Named {
            value: first,
            ahead: wrap(constant.wrapping_sub(before as u64), ty),
            deepest,
        }
    }

    /// The result of `data`, taken apart.
    fn sum(&self, data: &InstructionData, ty: Type) -> Option<Sum> {
        let dfg = &self.func.dfg;
        let mask = u64::MAX >> (64 - ty.bits());
        let mut sum = Sum::default();
        let mut steps = MAX_STEPS;
        let mut work: SmallVec<[(Value, u64); 8]> = SmallVec::new();
        if !self.parts(data, 1, ty, &mut work) {
            return None;
        }
        while let Some((at, by)) = work.pop() {
            if let Some(bits) = number(dfg, at) {
                sum.constant = sum.constant.wrapping_add(bits.wrapping_mul(by));
                continue;
            }
            let inst = dfg.value_def(at).inst().filter(|_| steps > 0);
            if inst.is_some_and(|inst| self.parts(&dfg.insts[inst], by, ty, &mut work)) {
                steps -= 1;
                continue;
            }
            let named = self.known(at)?;
            sum.constant = sum
                .constant
                .wrapping_add((named.ahead as u64).wrapping_mul(by));
            let term = Term {
                value: named.value,
                by,
                deepest: named.deepest,
            };
            if !sum.add(term) {
                return None;
            }
        }
        sum.constant &= mask;
        sum.terms.iter_mut().for_each(|term| term.by &= mask);
        sum.terms.retain(|term| term.by != 0);
        sum.terms.sort_unstable_by_key(|term| term.value);
        Some(sum)
    }

    /// Adds what `data`, a multiple `by` of which is in a sum, is the sum of; `false` if it is none.
    fn parts(
        &self,
        data: &InstructionData,
        by: u64,
        ty: Type,
        parts: &mut SmallVec<[(Value, u64); 8]>,
    ) -> bool {
        let dfg = &self.func.dfg;
        match *data {
            InstructionData::Unary {
                opcode: Opcode::Ineg,
                arg,
            } => parts.push((arg, by.wrapping_neg())),
            InstructionData::Binary {
                opcode: Opcode::Iadd,
                args: [x, y],
            } => parts.extend([(y, by), (x, by)]),
            InstructionData::Binary {
                opcode: Opcode::Isub,
                args: [x, y],
            } => parts.extend([(y, by.wrapping_neg()), (x, by)]),
            InstructionData::Binary {
                opcode: Opcode::Ishl,
                args: [x, y],
            } => match number(dfg, y) {
                // The amount wraps at the width of the type.
                Some(bits) => parts.push((x, by << (bits & u64::from(ty.bits() - 1)))),
                None => return false,
            },
            InstructionData::Binary {
                opcode: Opcode::Imul,
                args: [x, y],
            } => match (number(dfg, x), number(dfg, y)) {
                (_, Some(times)) => parts.push((x, by.wrapping_mul(times))),
                (Some(times), None) => parts.push((y, by.wrapping_mul(times))),
                (None, None) => return false,
            },
            _ => return false,
        }
        true
    }

    /// The same bits for all sums of these terms.
    fn sum_of_terms(&mut self, sum: &Sum, ty: Type) -> Operation {
        // No number of a list is a type, which comes first.
        let mut list = u32::MAX - ty.index() as u32;
        let lists = &mut self.found.sums;
        for term in &sum.terms {
            let next = lists.len() as u32;
            let key = [both(term.value.as_u32(), list), term.by];
            list = *lists.entry(key).or_insert(next);
        }
        [both(super::SUM, list), 0]
    }
}

/// May the result be a sum of multiples of what the operation is made of?
fn is_linear(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Iadd | Opcode::Isub | Opcode::Ineg | Opcode::Ishl | Opcode::Imul
    )
}

/// `bits` as a signed number of type `ty`.
pub(super) fn wrap(bits: u64, ty: Type) -> i64 {
    let unused = 64 - ty.bits();
    ((bits << unused) as i64) >> unused
}
