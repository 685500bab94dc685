//! What a path has compared with what memory holds.

use super::product::Path;
use super::walker::Walk;
use crate::place::Access;
use crate::side::Side;
use crate::terms::{Node, Term};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Inst, InstructionData};

impl Walk<'_> {
    /// `value`, which the store `inst` of `side` alone writes, or what memory holds there, if the path has
    /// found that they are equal and the result makes no such store. What comes behind it is told what memory
    /// held before, as in the result; of slots that nobody else knows nobody asks.
    pub(super) fn as_compared(
        &mut self,
        path: &mut Path,
        (side, inst): (Side, Inst),
        access: &Access,
        value: Term,
    ) -> Term {
        let is_gone =
            side == Side::Original && self.bodies[Side::Result as usize].block_of(inst).is_none();
        if !is_gone
            || !access.ty.is_int()
            || path.memory.is_private(&self.terms, &access.place)
            || path.memory.holds(&mut self.terms, side, access, value)
        {
            return value;
        }
        for at in 0..path.assumed.len() {
            let (condition, holds) = path.assumed[at];
            let Some(both) = self.equal(condition, holds) else {
                continue;
            };
            if both
                .iter()
                .any(|it| self.terms.ty(*it).bits() < access.ty.bits())
            {
                continue;
            }
            let [x, y] = both.map(|it| self.terms.bits(it, 0, access.ty));
            let other = match (x == value, y == value) {
                (true, _) => y,
                (_, true) => x,
                _ => continue,
            };
            if path.memory.holds(&mut self.terms, side, access, other) {
                return other;
            }
        }
        value
    }

    /// The two values that are equal if `condition` is as it is.
    fn equal(&mut self, condition: Term, holds: bool) -> Option<[Term; 2]> {
        let ty = self.terms.ty(condition);
        if !ty.is_int() || ty.bits() > 64 {
            return None;
        }
        match self.terms.node(condition) {
            Node::Op(InstructionData::IntCompare { cond, .. }, 0, operands) => {
                let equal = match cond {
                    IntCC::Equal => holds,
                    IntCC::NotEqual => !holds,
                    _ => false,
                };
                equal.then(|| [operands[0], operands[1]])
            }
            _ => (!holds).then(|| [condition, self.terms.number(ty, 0)]),
        }
    }
}
