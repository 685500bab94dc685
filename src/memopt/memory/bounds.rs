//! Between which bytes of its slot an address at an index lies.
//!
//! ```text
//! v1 = stack_addr.i64 ss0+4
//! v2 = band v0, 28                ; at most 28
//! v3 = iadd v1, v2
//! store v4, v3                    ; bytes 4 to 36 of ss0, and none before
//! ```
//!
//! An index is bounded if it is masked, shifted, the rest of a division, or of a narrow type. What is
//! bounded is added up, multiplied and selected from.
//!
//! Soundness: the bounds are those of a number that is added to an address, and hold wherever it is
//! computed. All of them are below [`MAX_BOUND`], so that no sum of them wraps, and the address is as
//! many bytes behind the start of its slot.
//!
//! Cost: at most [`MAX_LOOKS`] operations.

use crate::ir::{DataFlowGraph, InstructionData, Opcode, StackSlot, Type, Value};
use crate::memopt::inst::bits::number;
use crate::memopt::memory::slot_escape::Slots;

/// Operations that are looked at.
///
/// An index of two dimensions, masked and multiplied, takes eight. What is given up is that one that is
/// computed in a longer way may be anywhere in its slot.
const MAX_LOOKS: u32 = 16;

/// What no bound exceeds. No slot is as large.
const MAX_BOUND: u64 = 1 << 30;

/// The least and the greatest.
pub type Bounds = (i64, i64);

/// The slot in which `value` is an address, and how far behind its start.
pub fn in_slot(dfg: &DataFlowGraph, slots: &Slots, value: Value) -> Option<(StackSlot, Bounds)> {
    let looks = MAX_LOOKS;
    Finder { dfg, looks }.address(slots, value)
}

struct Finder<'a> {
    dfg: &'a DataFlowGraph,
    looks: u32,
}

impl Finder<'_> {
    fn look(&mut self, value: Value) -> Option<InstructionData> {
        self.looks = self.looks.checked_sub(1)?;
        let inst = self.dfg.value_def(value).inst()?;
        Some(self.dfg.insts[inst])
    }

    fn address(&mut self, slots: &Slots, value: Value) -> Option<(StackSlot, Bounds)> {
        let value = self.dfg.resolve_aliases(value);
        if let (slot, Some(at)) = slots.slot(value)? {
            return Some((slot, (at, at)));
        }
        match self.look(value)? {
            InstructionData::Binary {
                opcode: Opcode::Iadd,
                args: [x, y],
            } => {
                let is_first = slots.slot(self.dfg.resolve_aliases(x)).is_some();
                let (base, index) = if is_first { (x, y) } else { (y, x) };
                let (slot, base) = self.address(slots, base)?;
                Some((slot, sum(base, self.signed(index)?)?))
            }
            InstructionData::Binary {
                opcode: Opcode::Isub,
                args: [base, index],
            } => {
                let (slot, base) = self.address(slots, base)?;
                let (least, most) = self.signed(index)?;
                Some((slot, sum(base, (-most, -least))?))
            }
            InstructionData::Ternary {
                opcode: Opcode::Select | Opcode::SelectSpectreGuard,
                args: [_, x, y],
            } => {
                let (slot, one) = self.address(slots, x)?;
                let (other_slot, other) = self.address(slots, y)?;
                (slot == other_slot).then(|| (slot, either(one, other)))
            }
            _ => None,
        }
    }

    /// A number that is added to an address: a constant may be negative.
    fn signed(&mut self, value: Value) -> Option<Bounds> {
        let value = self.dfg.resolve_aliases(value);
        match number(self.dfg, value) {
            Some(bits) => {
                let unused = 64 - self.dfg.value_type(value).bits();
                let number = (bits << unused) as i64 >> unused;
                (number.unsigned_abs() <= MAX_BOUND).then_some((number, number))
            }
            None => self.index(value),
        }
    }

    /// What an integer is, as a number without a sign.
    fn index(&mut self, value: Value) -> Option<Bounds> {
        let value = self.dfg.resolve_aliases(value);
        let ty = self.dfg.value_type(value);
        if !ty.is_int() || ty.bits() > 64 {
            return None;
        }
        if let Some(bits) = number(self.dfg, value) {
            return below(bits, bits);
        }
        let found = self.look(value).and_then(|data| self.result(data, ty));
        found.or_else(|| of_type(ty))
    }

    fn result(&mut self, data: InstructionData, ty: Type) -> Option<Bounds> {
        match data {
            InstructionData::Unary {
                opcode: Opcode::Uextend,
                arg,
            } => self.index(arg),
            InstructionData::Load { opcode, .. } => match opcode {
                Opcode::Uload8 => of_type(Type::int(8)?),
                Opcode::Uload16 => of_type(Type::int(16)?),
                _ => None,
            },
            InstructionData::IntCompare { .. } => Some((0, 1)),
            InstructionData::Ternary {
                opcode: Opcode::Select | Opcode::SelectSpectreGuard,
                args: [_, x, y],
            } => Some(either(self.index(x)?, self.index(y)?)),
            InstructionData::Binary { opcode, args } => self.of_two(opcode, args, ty),
            _ => None,
        }
    }

    fn of_two(&mut self, opcode: Opcode, [x, y]: [Value; 2], ty: Type) -> Option<Bounds> {
        let constant = number(self.dfg, self.dfg.resolve_aliases(y));
        match opcode {
            // No bit is set that is not set in both, and the least of both is either of them.
            Opcode::Band | Opcode::Umin => match (self.index(y), self.index(x)) {
                (Some((_, y)), Some((_, x))) => Some((0, x.min(y))),
                (Some((_, most)), None) | (None, Some((_, most))) => Some((0, most)),
                (None, None) => None,
            },
            Opcode::Urem => below(0, constant?.checked_sub(1)?),
            Opcode::Ushr => {
                // The amount wraps at the width of the type.
                let by = constant? & u64::from(ty.bits() - 1);
                match self.index(x) {
                    Some((least, most)) => Some((least >> by, most >> by)),
                    None => below(0, (u64::MAX >> (64 - ty.bits())) >> by),
                }
            }
            Opcode::Ishl => {
                let by = constant? & u64::from(ty.bits() - 1);
                self.times(x, 1 << by, ty)
            }
            Opcode::Imul => self.times(x, constant?, ty),
            Opcode::Iadd => in_type(sum(self.index(x)?, self.index(y)?)?, ty),
            _ => None,
        }
    }

    fn times(&mut self, value: Value, times: u64, ty: Type) -> Option<Bounds> {
        let (least, most) = self.index(value)?;
        let product = |number: i64| (number as u64).checked_mul(times);
        in_type(below(product(least)?, product(most)?)?, ty)
    }
}

/// Of numbers that are small enough.
fn below(least: u64, most: u64) -> Option<Bounds> {
    (most <= MAX_BOUND).then_some((least as i64, most as i64))
}

/// All integers of a narrow type.
fn of_type(ty: Type) -> Option<Bounds> {
    (ty.bits() <= 16).then(|| (0, (1 << ty.bits()) - 1))
}

/// The same, if none of them wraps at the width of the type.
fn in_type((least, most): Bounds, ty: Type) -> Option<Bounds> {
    (ty.bits() > 32 || most < 1 << ty.bits()).then_some((least, most))
}

fn sum(x: Bounds, y: Bounds) -> Option<Bounds> {
    let (least, most) = (x.0 + y.0, x.1 + y.1);
    let are_small = [least, most]
        .iter()
        .all(|it| it.unsigned_abs() <= MAX_BOUND);
    are_small.then_some((least, most))
}

fn either(x: Bounds, y: Bounds) -> Bounds {
    (x.0.min(y.0), x.1.max(y.1))
}
