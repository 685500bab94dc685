//! Aggregates that are used for a while: filled, accessed where nobody knows, copied, lent, and
//! then left alone, but for a few.

use super::{Block8, Body};
use cranelift_codegen::ir::{
    InstBuilder, LibCall, StackSlotData, StackSlotKind, Type, Value, types,
};

/// Slots of a function beyond which old temporaries are used again.
const MAX_SLOTS: usize = 24;

impl Body<'_> {
    /// A temporary, or one of two that a condition chooses between.
    pub(super) fn temporary(&mut self) {
        let first = self.filled();
        for _ in 0..self.rng.usize(1..4) {
            self.use_temporary(first);
        }
        if self.rng.u8(..4) == 0 {
            let second = self.filled();
            self.select_one([first, second]);
        }
        if self.rng.u8(..6) == 0 {
            self.blocks.push(first);
        }
    }

    /// A new aggregate, most of which are written all over; or an old one.
    fn filled(&mut self) -> Block8 {
        let block = match self.some_block() {
            Some(old) if self.func.sized_stack_slots.len() >= MAX_SLOTS => old,
            _ => {
                let words = self.rng.i64(2..6);
                // The rest nobody accesses.
                let rest = if self.rng.u8(..4) == 0 { 24 } else { 0 };
                let align = self.rng.u8(3..5);
                let size = 8 * words as u32 + rest;
                let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, align);
                let slot = self.func.create_sized_stack_slot(data);
                Block8 { slot, words }
            }
        };
        let left_out = i64::from(self.rng.u8(..6) == 0);
        if self.rng.bool() {
            let target = self.address(block.slot, 0);
            let byte = self.value_of(types::I32);
            let count = self.number(8 * (block.words - left_out));
            let callee = self.libcall(LibCall::Memset);
            self.ins().ins().call(callee, &[target, byte, count]);
        } else {
            for word in 0..block.words - left_out {
                let value = self.word();
                self.store(value, block.slot, 8 * word as i32);
            }
        }
        block
    }

    fn use_temporary(&mut self, block: Block8) {
        let flags = self.flags;
        match self.rng.u8(..7) {
            0 => {
                let value = self.word();
                let element = self.element(block);
                self.ins().ins().store(flags, value, element, 0);
            }
            1 | 2 => {
                let element = self.element(block);
                let value = self.ins().ins().load(types::I64, flags, element, 0);
                self.assign_word(value);
            }
            3 => {
                // Words that overlap stay in memory.
                let at = self.rng.i32(0..=8 * block.words as i32 - 8);
                let value = self.load(types::I64, block.slot, at);
                self.assign_word(value);
            }
            4 => self.copy(),
            5 => {
                let p = self.address(block.slot, 0);
                let other = self.some_block().unwrap_or(block);
                let q = self.address(other.slot, 0);
                let callee = self.any_callee();
                let call = self.call(callee, p, q);
                let result = self.func.dfg.first_result(call);
                self.assign_word(result);
            }
            _ => self.record(),
        }
    }

    /// Fields of whichever a condition selects are read and written.
    pub(super) fn select_one(&mut self, records: [Block8; 2]) {
        let words = records[0].words.min(records[1].words);
        let condition = self.condition();
        let [first, second] = records.map(|record| self.address(record.slot, 0));
        let mut pointer = self.ins().ins().select(condition, first, second);
        let mut reach = words;
        if words > 2 && self.rng.u8(..4) == 0 {
            let eight = self.number(8);
            pointer = self.ins().ins().iadd(pointer, eight);
            reach -= 1;
        }
        for _ in 0..self.rng.usize(1..4) {
            self.access_selected(pointer, reach);
            if self.rng.u8(..4) == 0 {
                let record = records[self.rng.usize(..2)];
                let value = self.word();
                let at = 8 * self.rng.i64(0..record.words) as i32;
                self.store(value, record.slot, at);
            }
        }
    }

    fn access_selected(&mut self, pointer: Value, words: i64) {
        let (flags, at) = (self.flags, 8 * self.rng.i64(0..words) as i32);
        let ty: Type = [types::I64, types::I64, types::I32][self.rng.usize(..3)];
        match self.rng.u8(..3) {
            0 => {
                let value = self.value_of(ty);
                self.ins().ins().store(flags, value, pointer, at);
            }
            _ => {
                let value = self.ins().ins().load(ty, flags, pointer, at);
                let value = self.widened(value);
                self.assign_word(value);
            }
        }
    }
}
