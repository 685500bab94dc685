//! Functions that change memory for a while, and put back what they have found.

use super::accesses::fits;
use super::{Body, Spot};
use cranelift_codegen::ir::{Endianness, InstBuilder, types};

impl Body<'_> {
    /// A later function that puts back what it changes.
    pub(super) fn lender(&mut self) -> Option<usize> {
        let later = self.index + 1..self.plan.functions;
        let lenders: Vec<usize> = later.filter(|at| self.plan.styles[*at].lends).collect();
        let at = self.rng.usize(..lenders.len().max(1));
        lenders.get(at).copied()
    }

    /// Changes some memory, looks at it, and puts back what it has found there: on
    /// entry, or just behind a store that a load of another type or byte order does
    /// not see through.
    pub(super) fn lend(&mut self) {
        let Some(home) = self.home_of(self.index) else {
            return;
        };
        let cell = match self.rolling_pointer(home) {
            Some(pointer) if self.rng.u8(..3) != 0 => Spot {
                offset: pointer.low,
                pointer,
                ty: types::I64,
            },
            _ => self.cell_of(home),
        };
        if self.rng.bool() {
            self.store_otherwise(cell);
        }
        self.borrow_of(cell);
        if self.rng.bool() {
            self.store_otherwise(cell);
        }
        match self.rng.u8(..3) {
            0 if self.style.traps => self.trap_if(),
            0 | 1 => {
                let value = self.load_from(cell);
                self.found(value);
            }
            _ => {}
        }
        if self.rng.u8(..3) != 0 {
            self.pay_debts();
        }
    }

    /// A store to these bytes, or to some of them, in any type and byte order.
    pub(super) fn store_otherwise(&mut self, spot: Spot) {
        let ty = match self.rng.u8(..3) {
            0 => self.access_type(),
            1 => types::F64,
            _ => spot.ty,
        };
        let other = Spot { ty, ..spot };
        if !fits(&other) {
            return;
        }
        let value = self.value_of(ty);
        let mut flags = self.spot_flags(&other);
        if flags.explicit_endianness().is_none() && self.rng.bool() {
            flags.set_endianness(Endianness::Big);
        }
        let (address, offset) = (spot.pointer.value, spot.offset as i32);
        self.ins().ins().store(flags, value, address, offset);
    }
}
