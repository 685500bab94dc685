//! Selects of the addresses of two slots, or of two fields of one, of which each outcome is followed by itself.
//!
//! Where the original selects one of two and the result has no such instruction, it accesses both:
//! which of them the original accesses depends on the condition. So the paths part there, up to the next
//! point. On each of them all selects on this condition are what it chooses, in both functions.

use super::product::{Path, Stop};
use super::walker::Walk;
use crate::side::Side;
use crate::state::State;
use crate::terms::{Node, Term};
use cranelift_codegen::ir::{Inst, Opcode};

/// Conditions that one path between points has parted at.
const MAX_CHOSEN: usize = 6;

impl Walk<'_> {
    /// Is a pointer that the original has, and the result does not, the address of one place in a slot in one
    /// state, and of another one, or zero, in the other?
    ///
    /// The result may have the number of the place instead: met, nobody would know that it is that of
    /// the pointer.
    pub(super) fn is_parted_by_pointer(&self, old: &State, state: &State) -> bool {
        let [original, result] = &old.values;
        let mut both = original.iter().zip(&state.values[Side::Original as usize]);
        both.any(|((value, mine), (_, theirs))| {
            mine != theirs
                && (self.is_place(*mine) && (self.is_place(*theirs) || self.is_zero(*theirs))
                    || self.is_place(*theirs) && self.is_zero(*mine))
                && !result.iter().any(|(other, _)| other == value)
        })
    }

    /// Is `term` the address of a place in a slot?
    fn is_place(&self, term: Term) -> bool {
        let (base, _) = self.terms.base(term);
        matches!(self.terms.node(base), Node::Slot(_))
    }

    fn is_zero(&self, term: Term) -> bool {
        self.terms.constant(term) == Some(0)
    }

    /// The condition of the select in front of which the original stands, if the paths are to part
    /// there.
    pub(super) fn asked_choice(&mut self, path: &Path, stop: Stop) -> Option<Term> {
        let Stop::At(inst) = stop else {
            return None;
        };
        let is_select = self.func(Side::Original).dfg.insts[inst].opcode() == Opcode::Select;
        if !is_select
            || self.bodies[Side::Result as usize].block_of(inst).is_some()
            || path.chosen.len() >= MAX_CHOSEN
        {
            return None;
        }
        let args = self.args(Side::Original, inst);
        let slots = [args[1], args[2]].map(|arg| self.terms.within(arg));
        let (condition, _) = self.terms.condition(args[0]);
        let is_known = self.terms.constant(condition).is_some()
            || path.chosen.iter().any(|(known, _)| *known == condition);
        let differ = slots[0].is_some() && slots[1].is_some() && args[1] != args[2];
        (differ && !is_known).then_some(condition)
    }

    /// Gives the select `inst` the term that the path chooses, if it does.
    pub(super) fn chosen(&mut self, path: &Path, side: Side, inst: Inst) -> bool {
        let func = self.func(side);
        if path.chosen.is_empty() || func.dfg.insts[inst].opcode() != Opcode::Select {
            return false;
        }
        let args = self.args(side, inst);
        let (condition, turned) = self.terms.condition(args[0]);
        let known = path.chosen.iter().find(|(known, _)| *known == condition);
        let Some((_, holds)) = known.copied() else {
            return false;
        };
        let result = func.dfg.first_result(inst);
        self.set(side, result, args[if holds != turned { 1 } else { 2 }]);
        true
    }
}
