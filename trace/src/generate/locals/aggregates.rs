//! Records, arrays, unions, and copies of them.

use super::{Block8, Body};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, LibCall, Type, Value, types};

/// What a word of a union may be read and written as.
const WIDTHS: [Type; 6] = [
    types::I64,
    types::I32,
    types::I16,
    types::I8,
    types::F64,
    types::I32,
];

impl Body<'_> {
    pub(super) fn some_block(&mut self) -> Option<Block8> {
        let len = self.blocks.len();
        (len > 0).then(|| self.blocks[self.rng.usize(..len)])
    }

    /// A field is assigned, or a record is copied by words, or by two of them at once.
    pub(super) fn record(&mut self) {
        let (Some(to), Some(from)) = (self.some_block(), self.some_block()) else {
            return self.assign();
        };
        if self.rng.bool() {
            let at = 8 * self.rng.i64(0..to.words) as i32;
            let value = self.word();
            return self.store(value, to.slot, at);
        }
        let words = to.words.min(from.words);
        let pairs = if self.rng.u8(..10) == 0 { words / 2 } else { 0 };
        for pair in 0..pairs {
            let value = self.load(types::I64X2, from.slot, 16 * pair as i32);
            self.store(value, to.slot, 16 * pair as i32);
        }
        for word in 2 * pairs..words {
            let value = self.load(types::I64, from.slot, 8 * word as i32);
            self.store(value, to.slot, 8 * word as i32);
        }
    }

    /// The address of an element, at an index that is not known.
    pub(super) fn element(&mut self, block: Block8) -> Value {
        let index = self.word();
        let mask = if block.words >= 4 { 3 } else { 1 };
        let mask = self.number(mask);
        let index = self.ins().ins().band(index, mask);
        let three = self.number(3);
        let by = self.ins().ins().ishl(index, three);
        let base = self.address(block.slot, 0);
        self.ins().ins().iadd(base, by)
    }

    pub(super) fn array(&mut self) {
        let Some(block) = self.some_block() else {
            return self.assign();
        };
        let flags = self.flags;
        match self.rng.u8(..4) {
            0 => {
                let value = self.word();
                let element = self.element(block);
                self.ins().ins().store(flags, value, element, 0);
            }
            1 => {
                let element = self.element(block);
                let value = self.ins().ins().load(types::I64, flags, element, 0);
                self.assign_word(value);
            }
            2 => {
                // An element is changed in place.
                let element = self.element(block);
                let value = self.ins().ins().load(types::I64, flags, element, 0);
                let one = self.number(1);
                let value = self.ins().ins().iadd(value, one);
                self.ins().ins().store(flags, value, element, 0);
            }
            _ => self.record(),
        }
    }

    /// Assigns a word to some local.
    pub(super) fn assign_word(&mut self, value: Value) {
        let local = self.some_local();
        let value = self.narrowed(value, local.ty);
        self.store(value, local.slot, 0);
    }

    /// A word is accessed in other widths than it was written in.
    pub(super) fn union(&mut self) {
        let Some(block) = self.some_block() else {
            return self.assign();
        };
        let ty = WIDTHS[self.rng.usize(..WIDTHS.len())];
        let bytes = i64::from(ty.bytes());
        let at = match self.rng.u8(..8) {
            // Across words.
            0 => self.rng.i64(0..=8 * block.words - bytes),
            _ => 8 * self.rng.i64(0..block.words) + bytes * self.rng.i64(0..8 / bytes),
        };
        if self.rng.bool() {
            let value = self.value_of(ty);
            self.store(value, block.slot, at as i32);
        } else {
            let value = self.load(ty, block.slot, at as i32);
            let value = self.widened(value);
            self.assign_word(value);
        }
    }

    /// Copies or fills a range: by a libcall, or in a loop over bytes or words.
    pub(super) fn copy(&mut self) {
        let (Some(to), Some(from)) = (self.some_block(), self.some_block()) else {
            return self.assign();
        };
        let words = to.words.min(from.words);
        let count = match self.rng.u8(..4) {
            0 => self.rng.i64(0..=8 * words),
            _ => 8 * self.rng.i64(1..=words),
        };
        let target = self.address(to.slot, 0);
        let source = self.address(from.slot, 0);
        match self.rng.u8(..5) {
            0 | 1 => {
                let (source, count) = match self.rng.u8(..4) {
                    0 => (self.parameter(), count.min(2 * 8)),
                    _ => (source, count),
                };
                // One that may be to itself has to be a move.
                self.call_copy(to.slot == from.slot, target, source, count);
                if count > 0 && self.rng.bool() {
                    self.copy_on(to, count);
                }
            }
            2 => {
                let byte = self.value_of(types::I32);
                let count = self.number(count);
                let callee = self.libcall(LibCall::Memset);
                self.ins().ins().call(callee, &[target, byte, count]);
            }
            3 => self.copy_in_loop(target, source, count, types::I8),
            _ => self.copy_in_loop(target, source, count & !7, types::I64),
        }
    }

    /// Some of the first `count` bytes of a record that has been copied go on to another one.
    fn copy_on(&mut self, through: Block8, count: i64) {
        let Some(to) = self.some_block() else { return };
        if self.rng.u8(..4) == 0 {
            self.record();
        }
        let start = match self.rng.u8(..3) {
            0 => self.rng.i64(0..count),
            _ => 0,
        };
        let bytes = (count - start).min(8 * to.words);
        let target = self.address(to.slot, 0);
        let source = self.address(through.slot, start as i32);
        self.call_copy(to.slot == through.slot, target, source, bytes);
        let flags = self.flags;
        let value = match self.rng.u8(..4) {
            0 => self.load(types::I64, through.slot, 0),
            1 => return,
            // What is read at an index that is not known stays in memory.
            _ => {
                let element = self.element(to);
                self.ins().ins().load(types::I64, flags, element, 0)
            }
        };
        self.assign_word(value);
    }

    /// Calls `memcpy`, or `memmove`, which it has to be if the ranges may overlap.
    fn call_copy(&mut self, overlaps: bool, target: Value, source: Value, bytes: i64) {
        let which = match overlaps || self.rng.bool() {
            true => LibCall::Memmove,
            false => LibCall::Memcpy,
        };
        let bytes = self.number(bytes);
        let callee = self.libcall(which);
        self.ins().ins().call(callee, &[target, source, bytes]);
    }

    /// Copies elements of a type, one a turn. The count is a multiple of their size.
    fn copy_in_loop(&mut self, target: Value, source: Value, count: i64, ty: Type) {
        let flags = self.flags;
        let (head, body, end) = (self.new_block(), self.new_block(), self.new_block());
        let at = self.func.dfg.append_block_param(head, types::I64);
        let zero = self.number(0);
        self.ins().ins().jump(head, &[zero.into()]);
        self.go_to(head);
        let count = self.number(count);
        let goes_on = self.ins().ins().icmp(IntCC::UnsignedLessThan, at, count);
        self.ins().ins().brif(goes_on, body, &[], end, &[]);
        self.go_to(body);
        let from = self.ins().ins().iadd(source, at);
        let value = self.ins().ins().load(ty, flags, from, 0);
        let to = self.ins().ins().iadd(target, at);
        self.ins().ins().store(flags, value, to, 0);
        let step = self.number(ty.bytes().into());
        let next = self.ins().ins().iadd(at, step);
        self.ins().ins().jump(head, &[next.into()]);
        self.go_to(end);
    }
}
