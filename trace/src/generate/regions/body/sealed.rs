//! Memory that this function writes, and loads as `readonly`.

use super::{Body, Home};
use crate::layout;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, MemFlagsData, Value, types};

impl Body<'_> {
    /// Loads as `readonly` what this function writes as well.
    pub(super) fn sealed(&mut self) {
        let cell = layout::SEALED as i32 + 8 * self.rng.i32(0..2);
        // In one of the copies alone, which would differ afterwards.
        let base = layout::READ_ONLY_OFFSETS[0] as i64;
        let pointer = self.past_vmctx(base);
        let region = self.region(layout::READ_ONLY);
        let plain = MemFlagsData::trusted().with_alias_region(region);
        let readonly = plain.with_readonly();
        let old = self.ins().ins().load(types::I64, readonly, pointer, cell);
        self.pool.data.push(old);
        let written = match self.rng.bool() {
            true => Some(self.write_sealed(plain, pointer, cell, old)),
            false => None,
        };
        if self.style.calls && self.rng.u8(..4) == 0 {
            self.call();
        }
        if self.rng.bool() {
            self.ins().ins().store(plain, old, pointer, cell);
        }
        let alias = self.past_vmctx(base);
        let flags = match self.rng.bool() {
            true => readonly,
            false => plain,
        };
        let now = self.ins().ins().load(types::I64, flags, alias, cell);
        match written {
            // What was stored may be the address of a slot.
            Some(written) if self.rng.bool() => {
                let order = [IntCC::Equal, IntCC::NotEqual][self.rng.usize(..2)];
                let is_it = self.ins().ins().icmp(order, now, written);
                let (x, y) = (self.data(), self.data());
                let value = self.ins().ins().select(is_it, x, y);
                self.pool.data.push(value);
            }
            _ => self.pool.data.push(now),
        }
    }

    /// Writes the cell, by an instruction of some kind; what may be there then.
    fn write_sealed(
        &mut self,
        flags: MemFlagsData,
        pointer: Value,
        cell: i32,
        old: Value,
    ) -> Value {
        let new = match self.rng.u8(..3) {
            0 => self.public_slot().unwrap_or(old),
            _ => self.data(),
        };
        if self.rng.bool() {
            self.ins().ins().store(flags, new, pointer, cell);
            return new;
        }
        let offset = self.ins().ins().iconst(types::I64, i64::from(cell));
        let address = self.ins().ins().iadd(pointer, offset);
        // An atomic access may leave its region out.
        let flags = match self.rng.u8(..3) {
            0 => MemFlagsData::trusted(),
            _ => flags,
        };
        let operation = [AtomicRmwOp::Add, AtomicRmwOp::Xchg][self.rng.usize(..2)];
        let which = self.rng.u8(..3);
        let mut cursor = self.ins();
        let ins = cursor.ins();
        match which {
            0 => {
                ins.atomic_store(flags, new, address);
            }
            1 => {
                ins.atomic_rmw(types::I64, flags, operation, address, new);
            }
            _ => {
                ins.atomic_cas(flags, address, old, new);
            }
        }
        new
    }

    /// The address of a slot that others may come to know.
    fn public_slot(&mut self) -> Option<Value> {
        let slots = self.public_slots();
        let at = self.rng.usize(..slots.len().max(1));
        let pointer = self.slot_pointer(*slots.get(at)?);
        matches!(pointer.home, Home::Shared(_)).then_some(pointer.value)
    }
}
