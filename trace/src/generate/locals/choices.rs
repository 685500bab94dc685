//! Records that a condition chooses: on each path another slot, and behind it a pointer to
//! one of them.

use super::{Block8, Body};
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};

/// Conditions in conditions.
const MAX_NESTED: usize = 2;

/// A pointer to a record of so many words.
struct Chosen {
    pointer: Value,
    words: i64,
}

impl Body<'_> {
    /// Fields of the chosen record are read, rarely behind stores to one that could be it.
    pub(super) fn choose(&mut self) {
        let (Some(first), Some(second)) = (self.some_block(), self.some_block()) else {
            return self.assign();
        };
        let Chosen { pointer, words } = self.chosen([first, second], 0);
        let flags = self.flags;
        for _ in 0..self.rng.usize(1..4) {
            if self.rng.u8(..8) == 0 {
                self.change_a_field(first);
            }
            let at = 8 * self.rng.i64(0..words) as i32;
            if self.rng.u8(..12) == 0 {
                let value = self.word();
                self.ins().ins().store(flags, value, pointer, at);
            }
            let value = self.ins().ins().load(types::I64, flags, pointer, at);
            self.assign_word(value);
        }
    }

    /// A condition whose value is one of the records, or that of another such condition.
    fn chosen(&mut self, records: [Block8; 2], nested: usize) -> Chosen {
        let condition = self.condition();
        let paths = [self.new_block(), self.new_block()];
        let [then, otherwise] = paths;
        self.ins().ins().brif(condition, then, &[], otherwise, &[]);
        let end = self.new_block();
        let pointer = self.func.dfg.append_block_param(end, types::I64);
        let mut words = i64::MAX;
        for (path, record) in paths.into_iter().zip(records) {
            self.go_to(path);
            words = words.min(self.choose_on_path(record, records, end, nested));
        }
        self.go_to(end);
        Chosen { pointer, words }
    }

    /// One path of a condition; the words of what it chooses.
    fn choose_on_path(
        &mut self,
        record: Block8,
        records: [Block8; 2],
        end: Block,
        nested: usize,
    ) -> i64 {
        let is_nested = nested < MAX_NESTED && self.rng.u8(..4) == 0;
        let Chosen { pointer, words } = match is_nested {
            true => self.chosen(records, nested + 1),
            false => Chosen {
                pointer: self.address(record.slot, 0),
                words: record.words,
            },
        };
        if is_nested && self.rng.u8(..3) == 0 {
            // What is passed on is of another block.
            let between = self.new_block();
            self.ins().ins().jump(between, &[]);
            self.go_to(between);
        }
        let is_changed = match is_nested {
            true => self.rng.u8(..4) == 0,
            false => self.rng.bool(),
        };
        if is_changed {
            self.change_a_field(record);
        }
        self.ins().ins().jump(end, &[pointer.into()]);
        words
    }

    fn change_a_field(&mut self, record: Block8) {
        let at = 8 * self.rng.i64(0..record.words) as i32;
        let value = self.word();
        self.store(value, record.slot, at);
    }
}
