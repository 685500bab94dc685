//! Addresses that are kept, passed on, and followed; references of a collector.

use super::{Body, Pointer, REACH};
use cranelift_codegen::ir::{Inst, InstBuilder, UserStackMapEntry, Value, types};

impl Body<'_> {
    /// A parameter that points to a home, as it is or as its local has it.
    pub(super) fn parameter(&mut self) -> Value {
        let at = self.rng.usize(..2);
        match self.rng.bool() {
            true => self.params[1 + at],
            false => {
                let local = self.locals[at];
                self.read(local)
            }
        }
    }

    /// An offset of a word behind a parameter. Only what the first function is given
    /// reaches far.
    fn offset(&mut self) -> i32 {
        8 * self.rng.i32(0..2)
    }

    pub(super) fn word_behind_parameter(&mut self) -> Value {
        let (pointer, offset) = (self.parameter(), self.offset());
        let flags = self.flags;
        self.ins().ins().load(types::I64, flags, pointer, offset)
    }

    pub(super) fn store_behind_parameter(&mut self) {
        let value = self.word();
        let (pointer, offset) = (self.parameter(), self.offset());
        let flags = self.flags;
        self.ins().ins().store(flags, value, pointer, offset);
    }

    /// A word of a pointer's aggregate.
    pub(super) fn dereference(&mut self) {
        let len = self.pointers.len();
        if len == 0 {
            return self.assign();
        }
        let pointer = self.pointers[self.rng.usize(..len)];
        let offset = 8 * self.rng.i32(0..pointer.reach / 8);
        let flags = self.flags;
        let address = self.load(types::I64, pointer.slot, 0);
        if self.rng.bool() {
            let value = self.word();
            let address = match self.rng.u8(..3) {
                // The address is loaded before the value is computed, or again.
                0 => self.load(types::I64, pointer.slot, 0),
                _ => address,
            };
            self.ins().ins().store(flags, value, address, offset);
        } else {
            let value = self.ins().ins().load(types::I64, flags, address, offset);
            self.assign_word(value);
        }
    }

    /// An address goes into a pointer, to a callee, or to where others find it.
    pub(super) fn escape(&mut self) {
        if self.blocks.is_empty() {
            return self.plain_call();
        }
        let block = self.blocks[self.rng.usize(..self.blocks.len())];
        match self.rng.u8(..4) {
            0 => {
                let address = self.address(block.slot, 0);
                let fitting = self.pointers.iter();
                let fitting = fitting.filter(|p| i64::from(p.reach) <= 8 * block.words);
                let fitting: Vec<Pointer> = fitting.copied().collect();
                if let Some(pointer) = fitting.first() {
                    self.store(address, pointer.slot, 0);
                }
            }
            1 => {
                let address = self.address(block.slot, 0);
                let other = self.parameter();
                let callee = self.any_callee();
                let call = self.call(callee, address, other);
                self.use_result(call);
            }
            2 => {
                let address = self.address(block.slot, 0);
                let (pointer, offset) = (self.parameter(), self.offset());
                let flags = self.flags;
                self.ins().ins().store(flags, address, pointer, offset);
            }
            _ => self.dereference(),
        }
    }

    /// A call that is given nothing of this function's own.
    pub(super) fn plain_call(&mut self) {
        let (p, q) = (self.parameter(), self.parameter());
        let callee = match self.rng.bool() {
            true => self.host(),
            false => self.any_callee(),
        };
        let call = self.call(callee, p, q);
        self.use_result(call);
    }

    fn use_result(&mut self, call: Inst) {
        let result = self.func.dfg.first_result(call);
        self.assign_word(result);
    }

    /// References live across a safepoint: each is spilled to a word of an aggregate,
    /// the collector rewrites it at the call, and it is loaded again.
    pub(super) fn reference(&mut self) {
        if self.blocks.is_empty() {
            return self.plain_call();
        }
        let block = self.blocks[self.rng.usize(..self.blocks.len())];
        let ty = [types::I64, types::I32][self.rng.usize(..2)];
        let count = self.rng.i64(1..=block.words.min(3));
        for word in 0..count {
            if self.rng.u8(..4) != 0 {
                let value = self.value_of(ty);
                self.store(value, block.slot, 8 * word as i32);
            }
        }
        let (p, q) = (self.parameter(), self.parameter());
        let callee = self.any_callee();
        let call = self.call(callee, p, q);
        for word in 0..count {
            let entry = UserStackMapEntry {
                ty,
                slot: block.slot,
                offset: 8 * word as u32,
            };
            self.func.dfg.append_user_stack_map_entry(call, entry);
        }
        self.use_result(call);
        for word in 0..count {
            if self.rng.u8(..3) != 0 {
                let value = self.load(ty, block.slot, 8 * word as i32);
                let value = self.widened(value);
                self.assign_word(value);
            }
        }
    }
}

// A callee is given words of a home or an aggregate: both are as large as this.
const _: () = assert!(REACH >= 16);
