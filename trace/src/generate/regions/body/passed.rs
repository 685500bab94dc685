//! Pointers that are one of several: what the edges into a block pass, what a `select` gives, and
//! what walks on from one turn of a loop to the next.

use super::{Body, Home, Pointer, Spot};
use crate::layout;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};

impl Body<'_> {
    /// Accesses by one of two pointers; what is behind either has often been accessed before.
    pub(super) fn one_of_two(&mut self) {
        let home = Home::Shared(self.some_home());
        let pointers = [(); 2].map(|()| self.pointer_to(home, 16));
        let offset = 8 * self.rng.i64(0..2);
        let value = match self.rng.u8(..3) {
            0 => {
                self.behind_each(pointers, offset);
                let condition = self.data();
                let [x, y] = pointers.map(|pointer| pointer.value);
                self.ins().ins().select(condition, x, y)
            }
            1 => self.by_both_edges(pointers, offset),
            _ => self.by_either_block(pointers, offset),
        };
        let pointer = Pointer {
            value,
            home,
            low: 0,
            high: 16,
            at: None,
        };
        for _ in 0..self.rng.usize(1..4) {
            self.behind(pointer, offset);
        }
        self.pool.pointers.push(pointer);
    }

    /// One branch passes both.
    fn by_both_edges(&mut self, pointers: [Pointer; 2], offset: i64) -> Value {
        self.behind_each(pointers, offset);
        let condition = self.condition();
        let (join, param) = self.block_with_pointer();
        let [x, y] = pointers.map(|pointer| [pointer.value.into()]);
        self.ins().ins().brif(condition, join, &x, join, &y);
        self.current = Some(join);
        param
    }

    /// Each is passed by a block of its own.
    fn by_either_block(&mut self, pointers: [Pointer; 2], offset: i64) -> Value {
        let condition = self.condition();
        let blocks = pointers.map(|_| self.new_block());
        let (join, param) = self.block_with_pointer();
        let [a, b] = blocks;
        self.ins().ins().brif(condition, a, &[], b, &[]);
        for (block, pointer) in blocks.into_iter().zip(pointers) {
            self.current = Some(block);
            // What it computes is not there behind it.
            let pool = self.pool.clone();
            for _ in 0..self.rng.usize(..3) {
                self.behind(pointer, offset);
            }
            self.pool = pool;
            self.ins().ins().jump(join, &[pointer.value.into()]);
        }
        self.current = Some(join);
        param
    }

    /// A loop in which a pointer walks on, and words around it are accessed in each turn.
    pub(super) fn walk(&mut self) {
        let home = self.some_home();
        let start = 8 * self.rng.i64(3..6);
        let step = [8, 8, 16, -8][self.rng.usize(..4)];
        let rounds = self.rng.i64(1..4);
        let pointer = |value: Value| Pointer {
            value,
            home: Home::Shared(home),
            low: -8,
            high: 16,
            at: None,
        };
        let first = self.past_vmctx(layout::home(home) as i64 + start);
        for _ in 0..self.rng.usize(..3) {
            let offset = 8 * self.rng.i64(-1..2);
            self.behind(pointer(first), offset);
        }
        let rounds = self.ins().ins().iconst(types::I64, rounds);
        let (header, at) = self.block_with_pointer();
        let left = self.func.dfg.append_block_param(header, types::I64);
        self.ins()
            .ins()
            .jump(header, &[first.into(), rounds.into()]);
        self.current = Some(header);
        for _ in 0..self.rng.usize(2..5) {
            let offset = 8 * self.rng.i64(-1..2);
            self.behind(pointer(at), offset);
        }
        let next = self.plus(at, step);
        let one = self.ins().ins().iconst(types::I64, 1);
        let left = self.ins().ins().isub(left, one);
        let behind = self.new_block();
        let args = [next.into(), left.into()];
        self.ins().ins().brif(left, header, &args, behind, &[]);
        self.current = Some(behind);
    }

    fn behind_each(&mut self, pointers: [Pointer; 2], offset: i64) {
        for pointer in pointers {
            self.behind(pointer, offset);
        }
    }

    /// An access of what is so many bytes behind a pointer, most often of a word.
    fn behind(&mut self, pointer: Pointer, offset: i64) {
        let ty = match self.rng.u8(..8) {
            0 => types::I32,
            1 => types::F64,
            _ => types::I64,
        };
        let spot = Spot {
            pointer,
            offset,
            ty,
        };
        if self.rng.u8(..5) < 3 {
            let value = self.load_from(spot);
            self.found_in(&spot, value);
        } else {
            let value = self.value_of(ty);
            self.store_to(spot, value);
        }
    }

    fn new_block(&mut self) -> Block {
        let block = self.func.dfg.make_block();
        self.func.layout.append_block(block);
        block
    }

    fn block_with_pointer(&mut self) -> (Block, Value) {
        let block = self.new_block();
        let param = self.func.dfg.append_block_param(block, types::I64);
        (block, param)
    }
}
