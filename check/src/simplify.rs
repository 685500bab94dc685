//! The normal form of operations on terms, and what a comparison comes to.

use super::slot_set::SlotSet;
use super::terms::{Node, Term, Terms, sign_extend};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{InstructionData, Opcode, StackSlot, Type, types};
use smallvec::SmallVec;

impl Terms {
    /// The result number `index`, of type `ty`, of the pure instruction
    /// `skeleton`, which has its arguments left out.
    pub fn op(
        &mut self,
        skeleton: InstructionData,
        index: u8,
        ty: Type,
        args: SmallVec<[Term; 3]>,
    ) -> Term {
        if let (Opcode::Isplit, [whole]) = (skeleton.opcode(), &args[..])
            && ty == types::I64
        {
            return self.bits(*whole, 64 * u32::from(index), ty);
        }
        match self.simplify(&skeleton, ty, &args) {
            Some(simple) => simple,
            None => self.raw_op(skeleton, index, ty, args),
        }
    }

    /// The same, as it stands.
    pub(super) fn raw_op(
        &mut self,
        skeleton: InstructionData,
        index: u8,
        ty: Type,
        args: SmallVec<[Term; 3]>,
    ) -> Term {
        let opcode = skeleton.opcode();
        if let (Opcode::Iadd | Opcode::Imul, [x, y]) = (opcode, &args[..]) {
            // The order in which it came first.
            let turned = Node::Op(skeleton, index, SmallVec::from_slice(&[*y, *x]));
            if let Some(term) = self.made(&turned, ty) {
                return term;
            }
        }
        let taint = match opcode {
            // A comparison tells nobody where something is.
            Opcode::Icmp | Opcode::Fcmp => SlotSet::default(),
            _ => args
                .iter()
                .fold(SlotSet::default(), |all, arg| all.and(self.taint(*arg))),
        };
        let within = self.result_within(opcode, &args);
        let below = args.clone();
        self.make(Node::Op(skeleton, index, args), ty, taint, within, &below)
    }

    /// The slot in which the result of an instruction is an address.
    fn result_within(&self, opcode: Opcode, args: &[Term]) -> Option<StackSlot> {
        match (opcode, args) {
            (Opcode::Iadd, [x, y]) => match (self.within(*x), self.within(*y)) {
                (Some(slot), None) | (None, Some(slot)) => Some(slot),
                (Some(_), Some(_)) | (None, None) => None,
            },
            (Opcode::Isub, [x, y]) => self.within(*x).filter(|_| self.within(*y).is_none()),
            (Opcode::Select | Opcode::SelectSpectreGuard, [_, x, y]) => self
                .within(*x)
                .filter(|_| self.within(*x) == self.within(*y)),
            _ => None,
        }
    }

    fn simplify(&mut self, skeleton: &InstructionData, ty: Type, args: &[Term]) -> Option<Term> {
        match (skeleton.opcode(), args) {
            // A float is the bits that it has.
            (Opcode::F32const | Opcode::F64const, []) => {
                let bits = match skeleton {
                    InstructionData::UnaryIeee32 { imm, .. } => imm.bits().into(),
                    InstructionData::UnaryIeee64 { imm, .. } => imm.bits(),
                    _ => return None,
                };
                let integer = Type::int(ty.bits() as u16)?;
                let bits = self.number(integer, bits);
                Some(self.cast(bits, ty))
            }
            (Opcode::Iadd, [x, y]) if is_small_int(ty) => {
                if let Some(by) = self.signed_constant(*y) {
                    Some(self.plus(*x, by))
                } else if let Some(by) = self.signed_constant(*x) {
                    Some(self.plus(*y, by))
                } else {
                    self.sum_of_multiples(Opcode::Iadd, (*x, *y), ty)
                }
            }
            (Opcode::Isub, [x, y]) if is_small_int(ty) => match self.signed_constant(*y) {
                Some(by) => Some(self.plus(*x, by.wrapping_neg())),
                None => self.sum_of_multiples(Opcode::Isub, (*x, *y), ty),
            },
            (Opcode::Ineg, [x]) if is_small_int(ty) => {
                let zero = self.number(ty, 0);
                self.sum_of_multiples(Opcode::Isub, (zero, *x), ty)
            }
            (
                opcode @ (Opcode::Band
                | Opcode::Bor
                | Opcode::Bxor
                | Opcode::Imul
                | Opcode::Ishl
                | Opcode::Ushr
                | Opcode::Sshr),
                [x, y],
            ) if is_small_int(ty) => {
                let zero = [x, y].into_iter().any(|arg| self.constant(*arg) == Some(0));
                if zero && matches!(opcode, Opcode::Band | Opcode::Imul) {
                    return Some(self.number(ty, 0));
                }
                if let Some(rest) = self.without_zero(opcode, *x, *y) {
                    return Some(rest);
                }
                let both = self.constant(*x).zip(self.constant(*y));
                let Some((a, b)) = both else {
                    return match opcode {
                        Opcode::Bor => self.sum_of_parts(*x, *y, ty),
                        Opcode::Imul | Opcode::Ishl => self.sum_of_multiples(opcode, (*x, *y), ty),
                        Opcode::Band => match self.constant(*x) {
                            Some(mask) => {
                                let args = SmallVec::from_slice(&[*y, *x]);
                                let masked = self.masked(*y, mask, ty);
                                Some(masked.unwrap_or_else(|| self.raw_op(*skeleton, 0, ty, args)))
                            }
                            None => self.masked(*x, self.constant(*y)?, ty),
                        },
                        _ => None,
                    };
                };
                // The amount of a shift wraps at the width of the type.
                let by = b & u64::from(ty.bits() - 1);
                let bits = match opcode {
                    Opcode::Band => a & b,
                    Opcode::Bor => a | b,
                    Opcode::Bxor => a ^ b,
                    Opcode::Imul => a.wrapping_mul(b),
                    Opcode::Ishl => a << by,
                    Opcode::Ushr => a >> by,
                    _ => (sign_extend(a, ty) >> by) as u64,
                };
                Some(self.number(ty, bits))
            }
            (Opcode::Bswap, [x]) if is_small_int(ty) => self.swapped(*x, ty),
            (Opcode::Ireduce, [x]) => Some(self.bits(*x, 0, ty)),
            (Opcode::Uextend, [x]) if is_small_int(ty) => match self.constant(*x) {
                Some(bits) => Some(self.number(ty, bits)),
                None => self.extended_sum(*x, ty).or_else(|| {
                    let sum = self.with_constant_last(*x);
                    let args = SmallVec::from_slice(&[sum]);
                    (sum != *x).then(|| self.raw_op(*skeleton, 0, ty, args))
                }),
            },
            (Opcode::Uextend, [x]) if ty == types::I128 => {
                let bits = self.constant(*x)?;
                Some(self.wide_number(bits.into(), ty))
            }
            (Opcode::Sextend, [x]) if is_small_int(ty) => {
                let bits = self.signed_constant(*x)?;
                Some(self.number(ty, bits as u64))
            }
            (Opcode::Bitcast, [x]) if is_scalar(ty) && is_scalar(self.ty(*x)) => {
                Some(self.cast(*x, ty))
            }
            (Opcode::Iconcat, [low, high]) if ty == types::I128 => Some(self.concat(*low, *high)),
            (Opcode::Extractlane, [vector]) => match skeleton {
                InstructionData::BinaryImm8 { imm, .. } => self.lane(*vector, (*imm).into(), ty),
                _ => None,
            },
            (Opcode::Insertlane, [vector, lane]) => match skeleton {
                InstructionData::TernaryImm8 { imm, .. } => {
                    self.with_lane(*vector, *lane, (*imm).into())
                }
                _ => None,
            },
            (Opcode::Select | Opcode::SelectSpectreGuard, [condition, x, y]) => {
                match self.constant(*condition) {
                    Some(0) => Some(*y),
                    Some(_) => Some(*x),
                    None => (x == y).then_some(*x),
                }
            }
            (Opcode::Icmp, [x, y]) => {
                let InstructionData::IntCompare { cond, .. } = *skeleton else {
                    return None;
                };
                let result = self.compare(cond, *x, *y)?;
                Some(self.number(ty, result.into()))
            }
            _ => None,
        }
    }

    /// The other one, if one of `x` and `y` is zero and adds nothing.
    fn without_zero(&self, opcode: Opcode, x: Term, y: Term) -> Option<Term> {
        match (self.constant(x), self.constant(y)) {
            (_, Some(0)) if opcode != Opcode::Band && opcode != Opcode::Imul => Some(x),
            (Some(0), _) if matches!(opcode, Opcode::Bor | Opcode::Bxor) => Some(y),
            _ => None,
        }
    }

    /// The integer and the constant by which `term` shifts it to the right.
    pub(super) fn shifted(&self, term: Term) -> Option<(Term, u32)> {
        match self.node(term) {
            Node::Op(InstructionData::Binary { opcode, .. }, _, args)
                if *opcode == Opcode::Ushr =>
            {
                let by = u32::try_from(self.constant(args[1])?).ok()?;
                (by < self.ty(term).bits()).then_some((args[0], by))
            }
            _ => None,
        }
    }

    /// The result of a comparison of integers, where it is certain.
    fn compare(&self, cond: IntCC, x: Term, y: Term) -> Option<bool> {
        if !self.ty(x).is_int() {
            return None;
        }
        if let (Some(a), Some(b)) = (self.constant(x), self.constant(y)) {
            let (c, d) = (self.signed_constant(x)?, self.signed_constant(y)?);
            return Some(match cond {
                IntCC::Equal => a == b,
                IntCC::NotEqual => a != b,
                IntCC::UnsignedLessThan => a < b,
                IntCC::UnsignedLessThanOrEqual => a <= b,
                IntCC::UnsignedGreaterThan => a > b,
                IntCC::UnsignedGreaterThanOrEqual => a >= b,
                IntCC::SignedLessThan => c < d,
                IntCC::SignedLessThanOrEqual => c <= d,
                IntCC::SignedGreaterThan => c > d,
                IntCC::SignedGreaterThanOrEqual => c >= d,
            });
        }
        if x == y {
            return Some(matches!(
                cond,
                IntCC::Equal
                    | IntCC::SignedGreaterThanOrEqual
                    | IntCC::SignedLessThanOrEqual
                    | IntCC::UnsignedGreaterThanOrEqual
                    | IntCC::UnsignedLessThanOrEqual
            ));
        }
        match cond {
            IntCC::Equal => self.are_equal(x, y),
            IntCC::NotEqual => self.are_equal(x, y).map(|equal| !equal),
            _ => None,
        }
    }

    fn are_equal(&self, x: Term, y: Term) -> Option<bool> {
        if self.base(x).0 == self.base(y).0 {
            // Both are in normal form, so that the constants differ.
            return Some(false);
        }
        let apart = match (self.byte_of_slot(x), self.byte_of_slot(y)) {
            (Some(_), Some(_)) => true,
            // An address is fresh: what is not made from it is another one.
            (Some(slot), None) => !self.taint(y).has(slot),
            (None, Some(slot)) => !self.taint(x).has(slot),
            (None, None) => false,
        };
        apart.then_some(false)
    }

    /// The slot of which `term` is the address of a byte. One past its end is
    /// none: the next slot may begin there.
    pub(super) fn byte_of_slot(&self, term: Term) -> Option<StackSlot> {
        let (base, by) = self.base(term);
        let Node::Slot(slot) = *self.node(base) else {
            return None;
        };
        let size = i64::from(self.slot_size(slot));
        (0..size).contains(&by).then_some(slot)
    }

    fn signed_constant(&self, term: Term) -> Option<i64> {
        Some(sign_extend(self.constant(term)?, self.ty(term)))
    }

    /// A condition of a branch, and whether it is turned round, so that two
    /// spellings of one question have one form.
    pub fn condition(&mut self, mut term: Term) -> (Term, bool) {
        let mut turned = false;
        loop {
            let (opcode, args, cond, index, operands) = match self.node(term).clone() {
                Node::Op(InstructionData::IntCompare { opcode, args, cond }, index, operands) => {
                    (opcode, args, cond, index, operands)
                }
                Node::Op(
                    InstructionData::Unary {
                        opcode: Opcode::Uextend | Opcode::Sextend,
                        ..
                    },
                    _,
                    operands,
                ) => {
                    term = operands[0];
                    continue;
                }
                _ => return (term, turned),
            };
            let is_zero = self.constant(operands[1]) == Some(0);
            match cond {
                IntCC::Equal | IntCC::NotEqual if is_zero => {
                    turned ^= cond == IntCC::Equal;
                    term = operands[0];
                }
                IntCC::NotEqual
                | IntCC::SignedGreaterThanOrEqual
                | IntCC::SignedLessThanOrEqual
                | IntCC::UnsignedGreaterThanOrEqual
                | IntCC::UnsignedLessThanOrEqual => {
                    let straight = InstructionData::IntCompare {
                        opcode,
                        args,
                        cond: cond.complement(),
                    };
                    let ty = self.ty(term);
                    return (self.op(straight, index, ty, operands), !turned);
                }
                _ => return (term, turned),
            }
        }
    }
}

fn is_small_int(ty: Type) -> bool {
    ty.is_int() && ty.bits() <= 64
}

fn is_scalar(ty: Type) -> bool {
    ty.is_int() || ty.is_float()
}
