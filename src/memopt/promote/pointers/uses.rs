//! What is done with pointers, and with the slots that they point to.

use super::{Access, Pointers, ZERO, place_bit};
use crate::ir::condcodes::IntCC;
use crate::ir::{Block, Inst, InstructionData, Opcode, Value};
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::inst::bits::number;
use crate::memopt::inst::effect::{self, Effect, effect};
use crate::memopt::memory::slot_escape::Privacy;
use crate::memopt::promote::selects::is_selectable;

/// Blocks above an access in which a branch on its pointer is looked for. What is given up are the slots of a
/// pointer that may be zero and was compared far above.
const MAX_ABOVE: usize = 32;

impl Pointers<'_> {
    /// Notes what is done with pointers, and spoils the groups of those with other uses than this
    /// is about.
    pub(super) fn uses(&mut self) {
        let func = self.func;
        for block in self.order.blocks() {
            for inst in func.layout.block_insts(*block) {
                self.uses_of(inst);
            }
        }
    }

    fn uses_of(&mut self, inst: Inst) {
        let func = self.func;
        let data = &func.dfg.insts[inst];
        let opcode = data.opcode();
        if let [result] = func.dfg.inst_results(inst)
            && self.made(*result).is_some()
        {
            // A sum, or a select: what it selects has been looked at.
            if let Some([condition, ..]) = super::selected(data) {
                self.spoil(condition);
            }
            return;
        }
        match data {
            InstructionData::IntCompare {
                cond: IntCC::Equal | IntCC::NotEqual,
                args,
                ..
            } => return self.compare(inst, *args),
            InstructionData::Brif { arg, .. } => {
                match self.pointer(*arg) {
                    Some(at) => self.test(inst, at),
                    None => self.spoil(*arg),
                }
                return;
            }
            _ => {}
        }
        if let Effect::Access(access) = effect(func, inst) {
            access
                .stored
                .into_iter()
                .for_each(|value| self.spoil(value));
            return self.access(inst, &access);
        }
        if opcode.is_branch() && !opcode.is_call() {
            // What is passed to blocks has been looked at.
            let args = data.arguments(&func.dfg.value_lists);
            args.iter().for_each(|arg| self.spoil(*arg));
        } else {
            func.dfg.inst_values(inst).for_each(|arg| self.spoil(arg));
        }
    }

    /// Notes a comparison of a pointer with zero, a place, or another pointer.
    fn compare(&mut self, inst: Inst, args: [Value; 2]) {
        let pointers = args.map(|arg| self.pointer(arg));
        match pointers {
            [Some(x), Some(y)] => {
                self.groups.join(x, y);
                self.test(inst, x);
            }
            [Some(at), None] | [None, Some(at)] => {
                let other = args[usize::from(pointers[0].is_some())];
                self.spoil(other);
                match self.bit_of(other) {
                    Some(ZERO) => self.test(inst, at),
                    // Where it never is, the comparison is folded without this.
                    Some(bit) if self.all[at as usize].places & bit != 0 => {
                        self.test(inst, at);
                    }
                    Some(_) | None => self.groups.spoil(at),
                }
            }
            [None, None] => args.iter().for_each(|arg| self.spoil(*arg)),
        }
    }

    fn test(&mut self, inst: Inst, pointer: u32) {
        self.tests.push((inst, pointer));
        self.tested.insert(inst);
    }

    /// Notes an access by a pointer.
    fn access(&mut self, inst: Inst, access: &effect::Access) {
        let Some((pointer, by)) = self.made(access.address) else {
            return;
        };
        let offset = by.checked_add(i64::from(access.offset));
        let offset = offset.and_then(|offset| i32::try_from(offset).ok());
        let is_plain = access.region().is_none()
            && !access.flags.readonly()
            && !access.flags.can_move()
            && is_selectable(access.ty)
            && (access.stored.is_some() || access.load.is_some());
        match offset.filter(|_| is_plain) {
            Some(offset) => self.accesses.push(Access {
                inst,
                pointer,
                offset,
            }),
            None => self.groups.spoil(pointer),
        }
    }

    /// Spoils the groups of pointers by which is accessed what may be no bytes of their slots.
    pub(super) fn check_accesses(&mut self) {
        for at in 0..self.accesses.len() {
            let Access {
                inst,
                pointer,
                offset,
            } = self.accesses[at];
            if !self.is_inside(inst, pointer, offset) || !self.is_some(inst, pointer) {
                self.groups.spoil(pointer);
            }
        }
    }

    /// Does an access at this distance lie inside of each place that the pointer may be?
    fn is_inside(&self, inst: Inst, pointer: u32, offset: i32) -> bool {
        let Effect::Access(access) = effect(self.func, inst) else {
            return false;
        };
        let bits = self.all[pointer as usize].places & !ZERO;
        let places = self.places.iter().enumerate();
        let mut possible = places.filter(|(at, _)| bits & place_bit(*at) != 0);
        bits != 0
            && possible.all(|(_, (_, address))| {
                let mut place = access.place();
                place.address = *address;
                place.offset = offset;
                self.slots.is_inside(self.func, place)
            })
    }

    /// Is the pointer not zero where `inst` accesses by it?
    ///
    /// A block that dominates the access is only entered by an edge on which it is not. The pointer is
    /// not computed again between that edge and the access: a path from there to the access that
    /// does not take the edge would make one from the entry that does not.
    fn is_some(&self, inst: Inst, pointer: u32) -> bool {
        let pointer = &self.all[pointer as usize];
        if pointer.places & ZERO == 0 {
            return true;
        }
        let mut block = self.func.layout.inst_block(inst);
        for _ in 0..MAX_ABOVE {
            let Some(below) = block else {
                return false;
            };
            if self.is_entered_with(below, pointer.value) {
                return true;
            }
            block = self.domtree.idom(below);
        }
        false
    }

    /// Is `block` only entered by an edge on which `pointer` is not zero?
    fn is_entered_with(&self, block: Block, pointer: Value) -> bool {
        let func = self.func;
        let mut preds = self.cfg.pred_iter(block);
        let (Some(pred), None) = (preds.next(), preds.next()) else {
            return false;
        };
        let InstructionData::Brif { arg, blocks, .. } = &func.dfg.insts[pred.inst] else {
            return false;
        };
        let [then, otherwise] = blocks.map(|it| it.block(&func.dfg.value_lists) == block);
        if then == otherwise {
            return false;
        }
        if *arg == pointer {
            return then;
        }
        let compared = func.dfg.value_def(*arg).inst();
        match compared.map(|it| &func.dfg.insts[it]) {
            Some(InstructionData::IntCompare { cond, args, .. }) => {
                let is_zero = |value: &Value| number(&func.dfg, *value) == Some(0);
                let is_with_zero = args.contains(&pointer) && args.iter().any(is_zero);
                match cond {
                    IntCC::NotEqual => is_with_zero && then,
                    IntCC::Equal => is_with_zero && otherwise,
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// Spoils the groups of slots that somebody else knows, or that would stay in memory.
    pub(super) fn other_uses(&mut self) {
        let func = self.func;
        for slot in self.slots.used() {
            if self.slots.privacy(*slot) == Privacy::Never {
                self.groups.spoil(self.slot(*slot));
            }
        }
        for concerned in self.slots.concerned() {
            let inst = concerned.inst;
            let is_fine = match self.slots.access(concerned) {
                Some(access) => {
                    access
                        .stored
                        .is_none_or(|value| self.slots.slot(value).is_none())
                        && self.is_known(access.address)
                }
                None => self.is_only_followed(inst),
            };
            if is_fine {
                continue;
            }
            for value in func.dfg.inst_values(inst) {
                if let Some((slot, _)) = self.slots.slot(value) {
                    self.groups.spoil(self.slot(slot));
                }
            }
            for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
                self.groups.spoil(self.slot(entry.slot));
            }
        }
    }

    /// Is it known at which bytes of its slot `value` points, or is it made of a pointer?
    fn is_known(&self, value: Value) -> bool {
        self.made(value).is_some() || !matches!(self.slots.slot(value), Some((_, None)))
    }

    /// Does `inst` only compute addresses that are known, or pass them on to such?
    fn is_only_followed(&self, inst: Inst) -> bool {
        let func = self.func;
        let data = &func.dfg.insts[inst];
        let result = func.dfg.inst_results(inst).first();
        let is_address = |value: &Value| self.slots.slot(*value).is_some() && self.is_known(*value);
        match data {
            InstructionData::StackAddr { .. } => true,
            InstructionData::Binary { .. } | InstructionData::Ternary { .. } => {
                result.is_some_and(|it| is_address(it) || self.made(*it).is_some())
            }
            InstructionData::IntCompare { .. } => self.tested.contains(inst),
            _ if data.opcode().is_branch() && !data.opcode().is_call() => {
                let fixed = data.arguments(&func.dfg.value_lists).iter();
                let is_tested = |value: &Value| self.pointer(*value).is_some();
                let mut is_fine = fixed
                    .clone()
                    .all(|it| self.slots.slot(*it).is_none() || is_tested(it));
                for_each_block_arg(func, inst, |param, arg| {
                    if arg.is_some_and(|arg| self.slots.slot(arg).is_some()) {
                        is_fine &= is_address(&param) || self.pointer(param).is_some();
                    }
                });
                is_fine && data.opcode() != Opcode::GetExceptionHandlerAddress
            }
            _ => false,
        }
    }
}
