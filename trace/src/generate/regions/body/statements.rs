//! What else a block does.

use super::Body;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{DebugTag, Inst, InstBuilder, types};

impl Body<'_> {
    pub(super) fn statement(&mut self) {
        if self.plan.sealed && self.index == 0 && self.rng.u8(..8) == 0 {
            self.sealed();
            return;
        }
        if self.plan.discreet && self.rng.bool() {
            return self.discreet_statement();
        }
        if self.plan.small_callees && self.style.calls && self.rng.u8(..4) == 0 {
            return self.call_between_accesses();
        }
        if self.plan.rare.outside && self.rng.u8(..16) == 0 {
            return match self.rng.bool() {
                true => self.outside_between_accesses(),
                false => self.constants_between_accesses(),
            };
        }
        if self.rng.u8(..24) == 0 {
            return self.rare();
        }
        match self.rng.u8(..100) {
            0..22 => self.load(),
            22..50 => self.store(),
            50..55 => self.publish(),
            55..62 => self.borrow(),
            62..66 => {
                self.new_pointer();
            }
            66..71 => self.compute(),
            71..78 if self.style.calls => self.call(),
            78..82 if self.style.calls => self.call_between_accesses(),
            82 if self.style.calls => self.adapter(),
            83..86 => self.wild_access(),
            86 | 87 if self.style.barriers => self.point(),
            88 if self.style.barriers => self.atomic(),
            89 | 90 if self.style.traps => self.trap_if(),
            91 | 92 => {
                let offset = 8 * self.rng.i32(3..8);
                let value = self.read_only_load(types::I64, offset);
                self.pool.data.push(value);
            }
            93 if self.style.calls => self.call_indirect(),
            94 => self.pay_debts(),
            95 => self.copied_cells(),
            96 if self.rng.u8(..3) == 0 => self.pieces(),
            97 => self.one_of_two(),
            98 => self.walk(),
            _ => {
                let compared = self.compare_pointers();
                let (x, y) = (self.data(), self.data());
                let value = self.ins().ins().select(compared, x, y);
                self.pool.data.push(value);
            }
        }
    }

    /// What few modules do.
    fn rare(&mut self) {
        let rare = self.plan.rare;
        match self.rng.u8(..8) {
            0 if rare.types => self.with_itself(),
            1 if rare.outside => self.outside_between_accesses(),
            2 if rare.dynamic => {
                self.dynamic_pointer();
            }
            3 if rare.stacks && self.style.barriers => self.switch_stacks(),
            4 if rare.records && self.style.calls => self.pass_record(),
            5 | 6 if rare.atomics && self.style.barriers => self.atomic(),
            7 if self.style.calls => self.safepoint(),
            _ => self.load(),
        }
    }

    pub(super) fn compute(&mut self) {
        let (x, y) = (self.data(), self.data());
        let opcode = self.rng.u8(..8);
        let mut cursor = self.ins();
        let ins = cursor.ins();
        let value = match opcode {
            0 | 1 => ins.iadd(x, y),
            2 => ins.isub(x, y),
            3 => ins.bxor(x, y),
            4 => ins.band(x, y),
            5 => ins.ushr(x, y),
            6 => ins.ishl(x, y),
            _ => ins.select(x, y, x),
        };
        self.pool.data.push(value);
    }

    pub(super) fn point(&mut self) {
        match self.rng.u8(..3) {
            0 => {
                self.ins().ins().fence();
            }
            1 => {
                self.ins().ins().debugtrap();
            }
            _ => {
                let inst = self.ins().ins().sequence_point();
                self.tag(inst);
            }
        }
    }

    pub(super) fn tag(&mut self, inst: Inst) {
        let tagged = self.slots.iter().filter(|slot| slot.tagged);
        let tags: Vec<DebugTag> = tagged.map(|slot| DebugTag::StackSlot(slot.slot)).collect();
        if !tags.is_empty() {
            self.func.debug_tags.set(inst, tags);
        }
    }

    pub(super) fn trap_if(&mut self) {
        let code = self.trap_code();
        match self.rng.u8(..3) {
            0 => {
                let condition = self.data();
                self.ins().ins().trapnz(condition, code);
            }
            1 => {
                let (x, y) = (self.data(), self.data());
                let value = self.ins().ins().udiv(x, y);
                self.pool.data.push(value);
            }
            _ => {
                let x = self.data();
                let limit = self.ins().ins().iconst(types::I64, 5);
                let small = self.ins().ins().icmp(IntCC::NotEqual, x, limit);
                self.ins().ins().trapz(small, code);
            }
        }
    }
}
