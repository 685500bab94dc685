//! What real code does with memory, a piece at a time.

use super::accesses::fits;
use super::{Body, Home, Param, Pointer, Spot};
use crate::layout::{self, HOME_BYTES};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Body<'_> {
    /// Eight bytes somewhere, of which the world has no say.
    fn cell(&mut self) -> Option<Spot> {
        let mut spot = self.spot()?;
        spot.ty = types::I64;
        (fits(&spot) && spot.pointer.home != Home::Asynchronous).then_some(spot)
    }

    /// What an adapter does: a record in the frame is published, something is
    /// called, and the old pointer is put back, here or in a later block.
    pub(super) fn adapter(&mut self) {
        let slots = self.public_slots();
        let cell = match self.is_discreet() {
            true => self.forgotten_cell(),
            false => self.cell(),
        };
        let Some(cell) = cell else { return };
        if slots.is_empty() {
            return;
        }
        let slot = slots[self.rng.usize(..slots.len())];
        let record = self.slot_pointer(slot);
        let old = self.load_from(cell);
        for value in [self.data(), old] {
            let field = Spot {
                pointer: record,
                offset: record.low + 8 * self.rng.i64(0..2),
                ty: types::I64,
            };
            if fits(&field) {
                self.store_to(field, value);
            }
        }
        self.store_to(cell, record.value);
        self.pool.published.push((cell, record.value));
        if self.rng.u8(..4) != 0 {
            self.call();
        }
        let now = self.load_from(cell);
        let is_ours = self.ins().ins().icmp(IntCC::Equal, now, record.value);
        if self.style.traps && self.rng.bool() {
            let code = self.trap_code();
            self.ins().ins().trapz(is_ours, code);
        } else {
            let (value, other) = match self.plan.discreet {
                true => (self.data(), self.data()),
                false => (self.data(), now),
            };
            let value = self.ins().ins().select(is_ours, value, other);
            self.pool.data.push(value);
        }
        self.debts.push((cell, old));
    }

    /// A call, and accesses of the same bytes before and after it.
    pub(super) fn call_between_accesses(&mut self) {
        let callee = match self.lender() {
            Some(lender) if self.rng.bool() => lender,
            _ => self.callee(),
        };
        let limit = self.plan.limits.get(callee).copied().flatten();
        let limit = limit.filter(|home| *home > 0 || !self.style.tagged);
        let spot = match (limit, self.home_of(callee)) {
            (Some(home), _) if self.rng.bool() => {
                let cell = self.limit_cell(home);
                self.lower_limit(cell);
                Some(cell)
            }
            (_, Some(home)) if self.rng.bool() => Some(self.cell_of(home)),
            _ => self.cell(),
        };
        let Some(spot) = spot else { return };
        let stores = [self.rng.bool(), self.rng.bool()];
        self.access(spot, stores[0]);
        self.call_of(callee);
        self.access(spot, stores[1]);
    }

    /// Sets a stack limit, now and then, to one that its function traps at.
    fn lower_limit(&mut self, cell: Spot) {
        if self.rng.u8(..3) == 0 {
            let low = 8 * self.rng.i64(0..4) + 3;
            let low = self.ins().ins().iconst(types::I64, low);
            self.store_to(cell, low);
        }
    }

    /// A home that the callee at this position is passed a pointer to.
    pub(super) fn home_of(&mut self, callee: usize) -> Option<usize> {
        let homes = self.plan.pointers.get(callee)?;
        let home = homes[self.rng.usize(..2)];
        (home > 0 || !self.style.tagged).then_some(home)
    }

    /// The first bytes of what a pointer into a home points to.
    pub(super) fn cell_of(&mut self, home: usize) -> Spot {
        let ty = types::I64;
        Spot {
            pointer: self.pointer_to(Home::Shared(home), ty.bytes().into()),
            offset: 0,
            ty,
        }
    }

    fn access(&mut self, spot: Spot, stores: bool) {
        if stores {
            let value = self.data();
            self.store_to(spot, value);
        } else {
            let value = self.load_from(spot);
            self.found_in(&spot, value);
        }
    }

    /// Where the stack limit in a home lies.
    fn limit_cell(&mut self, home: usize) -> Spot {
        let pointer = Pointer {
            value: self.past_vmctx(layout::home(home) as i64),
            home: Home::Shared(home),
            low: 0,
            high: HOME_BYTES as i64,
            at: None,
        };
        Spot {
            pointer,
            offset: 0,
            ty: types::I64,
        }
    }

    /// A store to an address that each round computes anew.
    pub(super) fn rolling_store(&mut self) {
        let home = self.some_home();
        let Some(pointer) = self.rolling_pointer(home) else {
            return;
        };
        let offset = pointer.low;
        let spot = Spot {
            pointer,
            offset,
            ty: types::I64,
        };
        if fits(&spot) {
            let value = self.data();
            self.store_to(spot, value);
            self.pool.spots.push(spot);
        }
    }

    /// An address in a home that each round computes anew.
    pub(super) fn rolling_pointer(&mut self, home: usize) -> Option<Pointer> {
        let tick = self.pool.ticks.last().copied()?;
        let base = self.home_pointer(home);
        let one = self.ins().ins().iconst(types::I64, 1);
        let odd = self.ins().ins().band(tick, one);
        let three = self.ins().ins().iconst(types::I64, 3);
        let by = self.ins().ins().ishl(odd, three);
        Some(Pointer {
            value: self.ins().ins().iadd(base.value, by),
            high: base.high - 8,
            ..base
        })
    }

    /// A call of the function that writes out of its slots, and accesses around it of
    /// where it may write.
    pub(super) fn call_outsider(&mut self, outsider: usize) {
        let spot = self.cell_of(self.plan.pointers[outsider][0]);
        self.access(spot, self.index % 2 == 1);
        self.call_of(outsider);
        self.access(spot, false);
    }

    /// A condition on what memory holds.
    pub(super) fn loaded_condition(&mut self) -> Value {
        if self.plan.discreet
            && self.rng.u8(..3) != 0
            && let Some(condition) = self.published_condition()
        {
            return condition;
        }
        let Some(cell) = self.cell() else {
            return self.data();
        };
        let found = self.load_from(cell);
        self.pool.wild.push(found);
        let other = match self.rng.u8(..3) {
            0 => return found,
            1 => self.data(),
            _ => {
                let small = self.rng.i64(-1..3);
                self.ins().ins().iconst(types::I64, small)
            }
        };
        let order = match self.rng.bool() {
            true => self.any_order(),
            false => IntCC::Equal,
        };
        self.ins().ins().icmp(order, found, other)
    }

    /// A condition on a parameter of the block.
    pub(super) fn passed_condition(&mut self) -> Value {
        let params = self.params[self.block].iter().enumerate();
        let data = params.filter(|(_, param)| matches!(param, Param::Data));
        let data: Vec<usize> = data.map(|(at, _)| at).collect();
        if data.is_empty() {
            return self.data();
        }
        let at = data[self.rng.usize(..data.len())];
        let passed = self.func.dfg.block_params(self.blocks[self.block])[at];
        if self.rng.bool() {
            return passed;
        }
        let small = self.rng.i64(-1..3);
        let small = self.ins().ins().iconst(types::I64, small);
        let order = self.any_order();
        self.ins().ins().icmp(order, passed, small)
    }

    /// What a cell holds is copied to another one, which may be the same, and is then put back,
    /// or looked at again.
    pub(super) fn copied_cells(&mut self) {
        let home = self.some_home();
        let [from, to] = [self.indexed_cell(home), self.indexed_cell(home)];
        let unaligned = self.flags(Home::Shared(home));
        let mut flags = unaligned;
        if self.rng.u8(..4) != 0 {
            flags.set_aligned();
        }
        let value = self.ins().ins().load(types::I64, flags, from, 0);
        let copied = match self.rng.u8(..6) {
            0 => self.data(),
            _ => value,
        };
        // One that begins in the middle of a cell is not aligned.
        let (copy, at) = match self.rng.u8(..6) {
            0 => (unaligned, 4),
            _ => (flags, 0),
        };
        self.ins().ins().store(copy, copied, to, at);
        let again = match self.rng.bool() {
            true => {
                self.ins().ins().store(flags, value, from, 0);
                value
            }
            false => self.ins().ins().load(types::I64, flags, from, 0),
        };
        self.pool.data.push(again);
    }

    /// The address of a cell of eight bytes in a home, by an index.
    fn indexed_cell(&mut self, home: usize) -> Value {
        let index = self.data();
        let mask = self.ins().ins().iconst(types::I64, 0x38);
        let by = self.ins().ins().band(index, mask);
        let base = self.past_vmctx(layout::home(home) as i64);
        self.ins().ins().iadd(base, by)
    }
}
