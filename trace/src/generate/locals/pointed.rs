//! Pointers to one local or another, which are stored through: `*(c ? &a : &b) += d`, the larger of
//! two by reference, references to what may be none, cursors that a loop lets change places.

use super::{Block8, Body};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, StackSlot, Type, Value, types};

/// Conditions in conditions.
const MAX_NESTED: usize = 2;

/// A word of a slot.
#[derive(Clone, Copy)]
struct Place {
    slot: StackSlot,
    offset: i32,
}

/// What a pointer may be.
struct Targets {
    places: Vec<Place>,
    /// May it be zero?
    is_optional: bool,
    /// What it was before.
    before: Option<Value>,
}

impl Body<'_> {
    /// A pointer is chosen, and used.
    pub(super) fn point(&mut self) {
        let Some(mut targets) = self.targets() else {
            return self.assign();
        };
        match self.rng.u8(..4) {
            0 => {
                let pointer = self.select_place(&targets, 0);
                targets.is_optional = false;
                self.use_pointer(pointer, &targets);
            }
            1 => self.point_in_loop(targets),
            _ => {
                let pointer = self.pointed(&targets, 0);
                self.use_pointer(pointer, &targets);
            }
        }
    }

    fn targets(&mut self) -> Option<Targets> {
        let words = self.locals.iter().filter(|local| local.ty == types::I64);
        let mut places: Vec<Place> = words
            .map(|local| Place {
                slot: local.slot,
                offset: 0,
            })
            .collect();
        if let Some(Block8 { slot, words }) = self.some_block() {
            for _ in 0..2 {
                let offset = 8 * self.rng.i64(0..words) as i32;
                places.push(Place { slot, offset });
            }
        }
        self.rng.shuffle(&mut places);
        places.truncate(self.rng.usize(2..5));
        (places.len() > 1).then(|| Targets {
            places,
            is_optional: self.rng.u8(..3) == 0,
            before: None,
        })
    }

    /// The address of one of the places, or another pointer.
    fn some_target(&mut self, targets: &Targets) -> Value {
        if let Some(before) = targets.before
            && self.rng.u8(..3) == 0
        {
            return before;
        }
        if targets.is_optional && self.rng.u8(..3) == 0 {
            return self.number(0);
        }
        let place = targets.places[self.rng.usize(..targets.places.len())];
        self.address(place.slot, place.offset)
    }

    /// A condition whose value is a pointer, on each path another one.
    fn pointed(&mut self, targets: &Targets, nested: usize) -> Value {
        let condition = self.condition();
        let paths = [self.new_block(), self.new_block()];
        let [then, otherwise] = paths;
        self.ins().ins().brif(condition, then, &[], otherwise, &[]);
        let end = self.new_block();
        let pointer = self.func.dfg.append_block_param(end, types::I64);
        for path in paths {
            self.go_to(path);
            let target = match nested < MAX_NESTED && self.rng.u8(..4) == 0 {
                true => self.pointed(targets, nested + 1),
                false => self.some_target(targets),
            };
            if self.rng.u8(..4) == 0 {
                self.change(targets);
            }
            self.ins().ins().jump(end, &[target.into()]);
        }
        self.go_to(end);
        pointer
    }

    fn select_place(&mut self, targets: &Targets, nested: usize) -> Value {
        let condition = self.condition();
        let both = [0, 1].map(|_| match nested < MAX_NESTED && self.rng.u8(..3) == 0 {
            true => self.select_place(targets, nested + 1),
            false => {
                let place = targets.places[self.rng.usize(..targets.places.len())];
                self.address(place.slot, place.offset)
            }
        });
        self.ins().ins().select(condition, both[0], both[1])
    }

    /// Two pointers change places in a loop, or one is chosen anew.
    fn point_in_loop(&mut self, mut targets: Targets) {
        let (head, end) = (self.new_block(), self.new_block());
        let count = self.small();
        let one = self.number(1);
        let count = self.ins().ins().bor(count, one);
        let start = [0, 1].map(|_| self.some_target(&targets));
        let args = [count, start[0], start[1]].map(Into::into);
        self.ins().ins().jump(head, &args);
        let [count, p, q] = [0; 3].map(|_| self.func.dfg.append_block_param(head, types::I64));
        self.go_to(head);
        self.use_pointer(p, &targets);
        let next = match self.rng.bool() {
            true => p,
            false => {
                targets.before = Some(p);
                self.pointed(&targets, 1)
            }
        };
        let minus_one = self.number(-1);
        let left = self.ins().ins().iadd(count, minus_one);
        let args = [left, q, next].map(Into::into);
        self.ins().ins().brif(left, head, &args, end, &[]);
        self.go_to(end);
        if self.rng.bool() {
            self.use_pointer(q, &targets);
        }
    }

    /// Something is done with what `pointer` points to, if it is not zero.
    fn use_pointer(&mut self, pointer: Value, targets: &Targets) {
        if !targets.is_optional {
            return self.access(pointer, targets);
        }
        let (some, end) = (self.new_block(), self.new_block());
        let zero = self.number(0);
        match self.rng.u8(..3) {
            0 => self.ins().ins().brif(pointer, some, &[], end, &[]),
            1 => {
                let is_some = self.ins().ins().icmp(IntCC::NotEqual, pointer, zero);
                self.ins().ins().brif(is_some, some, &[], end, &[])
            }
            _ => {
                let is_none = self.ins().ins().icmp(IntCC::Equal, pointer, zero);
                self.ins().ins().brif(is_none, end, &[], some, &[])
            }
        };
        self.go_to(some);
        self.access(pointer, targets);
        self.ins().ins().jump(end, &[]);
        self.go_to(end);
    }

    fn access(&mut self, pointer: Value, targets: &Targets) {
        for _ in 0..self.rng.usize(1..4) {
            match self.rng.u8(..16) {
                0..4 => {
                    let value = self.word();
                    self.store_through(value, pointer, 0);
                }
                4..8 => {
                    let value = self.load_through(types::I64, pointer, 0);
                    let more = self.word();
                    let value = self.ins().ins().iadd(value, more);
                    self.store_through(value, pointer, 0);
                }
                8..10 => {
                    let value = self.load_through(types::I64, pointer, 0);
                    self.assign_word(value);
                }
                10 => {
                    let value = self.word();
                    let value = self.ins().ins().ireduce(types::I32, value);
                    let half = 4 * self.rng.i32(0..2);
                    self.store_through(value, pointer, half);
                }
                11 => {
                    let four = self.number(4);
                    let half = self.ins().ins().iadd(pointer, four);
                    let value = self.load_through(types::I32, half, 0);
                    let value = self.widened(value);
                    self.assign_word(value);
                }
                12 => {
                    let place = targets.places[self.rng.usize(..targets.places.len())];
                    let address = self.address(place.slot, place.offset);
                    let is_it = self.ins().ins().icmp(IntCC::Equal, pointer, address);
                    let value = self.ins().ins().uextend(types::I64, is_it);
                    self.assign_word(value);
                }
                13 | 14 => self.change(targets),
                _ if self.rng.u8(..3) != 0 => self.assign(),
                _ => {
                    // Others get to know it.
                    let other = self.parameter();
                    let callee = self.any_callee();
                    self.call(callee, pointer, other);
                }
            }
        }
    }

    /// One of the places changes by its own address.
    fn change(&mut self, targets: &Targets) {
        let place = targets.places[self.rng.usize(..targets.places.len())];
        let value = self.word();
        self.store(value, place.slot, place.offset);
    }

    fn store_through(&mut self, value: Value, pointer: Value, offset: i32) {
        let flags = self.flags;
        self.ins().ins().store(flags, value, pointer, offset);
    }

    fn load_through(&mut self, ty: Type, pointer: Value, offset: i32) -> Value {
        let flags = self.flags;
        self.ins().ins().load(ty, flags, pointer, offset)
    }
}
