//! Records in slots that the world finds where they are published, and forgets.

use super::accesses::fits;
use super::{Body, Home, Spot};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Body<'_> {
    /// What is done with records that the world finds and forgets.
    pub(super) fn discreet_statement(&mut self) {
        match self.rng.u8(..8) {
            0..3 => self.write_record(),
            3 => self.publish(),
            4 => self.adapter(),
            5 => self.pay_debts(),
            _ if self.style.calls => self.call(),
            _ => self.load(),
        }
    }

    /// Does the address of a slot go nowhere else this time? Nobody is discreet all
    /// the time.
    pub(super) fn is_discreet(&mut self) -> bool {
        self.plan.discreet && self.rng.u8(..6) != 0
    }

    /// May the address of a slot be stored here?
    pub(super) fn may_hold_address(&mut self, spot: &Spot) -> bool {
        !self.is_discreet()
            || match spot.pointer.home {
                Home::Shared(home) => self.plan.forgotten.contains(&home),
                Home::Secret(_) | Home::Asynchronous | Home::ReadOnly => false,
            }
    }

    /// Eight bytes in which the world forgets the addresses that it finds.
    pub(super) fn forgotten_cell(&mut self) -> Option<Spot> {
        let homes = &self.plan.forgotten;
        let at = self.rng.usize(..homes.len().max(1));
        let home = Home::Shared(*homes.get(at)?);
        // Mostly one of few, so that they meet.
        let pointer = match self.rng.u8(..4) {
            0 => self.pointer_to(home, 8),
            _ => self.home_pointer(*self.plan.forgotten.get(at)?),
        };
        let spot = Spot {
            pointer,
            offset: pointer.low + 8 * self.rng.i64(0..2),
            ty: types::I64,
        };
        fits(&spot).then_some(spot)
    }

    /// Looks at what was loaded from `spot`. That it is an address is not for
    /// everybody to know.
    pub(super) fn found_in(&mut self, spot: &Spot, value: Value) {
        let is_quiet = self.plan.discreet && self.rng.u8(..12) != 0;
        let may_hold_one = !matches!(spot.pointer.home, Home::Secret(_) | Home::ReadOnly);
        if !is_quiet || !may_hold_one || self.func.dfg.value_type(value) != types::I64 {
            return self.found(value);
        }
        let other = self.pointer().value;
        let order = [IntCC::Equal, IntCC::NotEqual][self.rng.usize(..2)];
        let is_it = self.ins().ins().icmp(order, value, other);
        let (x, y) = (self.data(), self.data());
        let value = self.ins().ins().select(is_it, x, y);
        self.pool.data.push(value);
    }

    /// The slots that others may come to know.
    pub(super) fn public_slots(&self) -> Vec<usize> {
        let slots = 0..self.slots.len();
        let public = |slot: &usize| matches!(self.slots[*slot].home, Home::Shared(_));
        slots.filter(public).collect()
    }

    /// Writes to a slot that others may come to know.
    pub(super) fn write_record(&mut self) {
        let slots = self.public_slots();
        if slots.is_empty() {
            return;
        }
        let slot = slots[self.rng.usize(..slots.len())];
        let record = self.slot_pointer(slot);
        let field = Spot {
            pointer: record,
            offset: record.low + 8 * self.rng.i64(0..2),
            ty: types::I64,
        };
        if fits(&field) {
            let value = self.data();
            self.store_to(field, value);
        }
    }

    /// Is an address still where it has been published?
    pub(super) fn published_condition(&mut self) -> Option<Value> {
        let len = self.pool.published.len();
        if len == 0 {
            return None;
        }
        let at = self.pick(len);
        let (cell, address) = self.pool.published[at];
        let found = self.load_from(cell);
        let order = [IntCC::Equal, IntCC::NotEqual][self.rng.usize(..2)];
        Some(self.ins().ins().icmp(order, found, address))
    }
}
