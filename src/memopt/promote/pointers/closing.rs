//! What is passed to pointers, and what they may be.

use super::{MAX_PLACES, MAX_SCANS, Pointers, ZERO, place_bit, selected};
use crate::ir::{Inst, InstructionData, Value};
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::inst::bits::number;
use crate::memopt::inst::isle::{self, Step};
use crate::memopt::promote::groups::Groups;

impl Pointers<'_> {
    /// Adds the parameters that pointers are passed to, the selects of them, and what is made of
    /// them by adding constants; `false` beyond the limit.
    pub(super) fn close(&mut self) -> bool {
        let func = self.func;
        for _ in 0..MAX_SCANS {
            let mut changed = false;
            for block in self.order.blocks() {
                for inst in func.layout.block_insts(*block) {
                    changed |= self.follow(inst);
                }
                if let Some(branch) = func.layout.last_inst(*block) {
                    for_each_block_arg(func, branch, |param, arg| {
                        if arg.is_some_and(|arg| self.pointer(arg).is_some()) {
                            changed |= self.add(param, None);
                        }
                    });
                }
            }
            if !changed {
                self.groups = Groups::new(self.all.len() + func.sized_stack_slots.len());
                return true;
            }
        }
        false
    }

    /// Is the result of `inst` made of a pointer, which was not known before?
    fn follow(&mut self, inst: Inst) -> bool {
        let func = self.func;
        let data = &func.dfg.insts[inst];
        if let Some([_, x, y]) = selected(data) {
            let is_of_pointers = self.pointer(x).is_some() || self.pointer(y).is_some();
            return is_of_pointers && self.add(func.dfg.first_result(inst), Some(inst));
        }
        let InstructionData::Binary { .. } = data else {
            return false;
        };
        let Some(result) = func.dfg.inst_results(inst).first() else {
            return false;
        };
        if self.made[*result].0 == 0
            && let Step::Offset { base, by } = isle::address_step(&func.dfg, self.policy, *result)
            && let Some((at, from)) = self.made(base)
            && let Some(by) = from.checked_add(by)
        {
            self.made[*result] = (at + 1, by);
            self.sums.push((inst, at));
            return true;
        }
        false
    }

    /// Notes what each pointer is one of.
    pub(super) fn sources(&mut self) {
        let func = self.func;
        for block in self.order.blocks() {
            let Some(branch) = func.layout.last_inst(*block) else {
                continue;
            };
            let is_plain = !func.dfg.insts[branch].opcode().is_call();
            for_each_block_arg(func, branch, |param, arg| {
                if let Some(to) = self.pointer(param) {
                    match arg.filter(|_| is_plain) {
                        Some(arg) => self.source(arg, to),
                        None => self.groups.spoil(to),
                    }
                } else if let Some(arg) = arg {
                    self.spoil(arg);
                }
            });
        }
        for to in 0..self.all.len() as u32 {
            let select = self.all[to as usize].select;
            if let Some([_, x, y]) = select.and_then(|it| selected(&func.dfg.insts[it])) {
                self.source(x, to);
                self.source(y, to);
            }
        }
    }

    /// The pointer `to` may be `value`.
    fn source(&mut self, value: Value, to: u32) {
        if let Some(from) = self.pointer(value) {
            self.groups.join(from, to);
            self.passed.push((from, to));
            return;
        }
        // What is some bytes behind a pointer has no number.
        self.spoil(value);
        match self.bit_of(value) {
            Some(bit) => {
                self.all[to as usize].places |= bit;
                if let Some((slot, _)) = self.slots.slot(value) {
                    self.groups.join(self.slot(slot), to);
                }
            }
            None => self.groups.spoil(to),
        }
    }

    /// The bit of zero, or of the place of which `value` is the address.
    pub(super) fn bit_of(&mut self, value: Value) -> Option<u64> {
        if let Some(bit) = self.known.get(&value) {
            return Some(*bit);
        }
        let bit = match self.slots.slot(value) {
            Some((slot, Some(offset))) => {
                let size = self.func.sized_stack_slots[slot].size;
                if !(0..i64::from(size)).contains(&offset) {
                    return None;
                }
                let place = (slot, offset);
                let known = self.places.iter().position(|(it, _)| *it == place);
                if known.is_none() && self.places.len() == MAX_PLACES {
                    self.limits_hit += 1;
                    return None;
                }
                place_bit(known.unwrap_or_else(|| {
                    self.places.push((place, value));
                    self.places.len() - 1
                }))
            }
            Some((_, None)) => return None,
            None if number(&self.func.dfg, value) == Some(0) => ZERO,
            None => return None,
        };
        self.known.insert(value, bit);
        Some(bit)
    }

    /// What a pointer may be, those may be that it is passed to.
    pub(super) fn spread(&mut self) {
        for _ in 0..MAX_SCANS {
            let mut changed = false;
            for (from, to) in &self.passed {
                let places = self.all[*from as usize].places;
                let known = &mut self.all[*to as usize].places;
                changed |= places & !*known != 0;
                *known |= places;
            }
            if !changed {
                return;
            }
        }
        for at in 0..self.all.len() as u32 {
            self.groups.spoil(at);
        }
        self.limits_hit += 1;
    }
}
