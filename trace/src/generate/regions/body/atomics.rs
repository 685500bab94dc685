//! Atomic accesses, of any width, in either byte order, and again and again.

use super::accesses::fits;
use super::{Body, Home, Spot};
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, Type, Value, types};

const OPERATIONS: [AtomicRmwOp; 11] = [
    AtomicRmwOp::Add,
    AtomicRmwOp::Sub,
    AtomicRmwOp::And,
    AtomicRmwOp::Nand,
    AtomicRmwOp::Or,
    AtomicRmwOp::Xor,
    AtomicRmwOp::Xchg,
    AtomicRmwOp::Umin,
    AtomicRmwOp::Umax,
    AtomicRmwOp::Smin,
    AtomicRmwOp::Smax,
];

impl Body<'_> {
    /// A pointer at whose first bytes an atomic access may be.
    fn atomic_spot(&mut self) -> Option<Spot> {
        let pointer = self.pointer();
        let ty = match self.rng.u8(..6) {
            0 => [types::I8, types::I16, types::I32][self.rng.usize(..3)],
            _ => types::I64,
        };
        let spot = Spot {
            pointer,
            offset: 0,
            ty,
        };
        (pointer.home != Home::ReadOnly && fits(&spot)).then_some(spot)
    }

    pub(super) fn atomic(&mut self) {
        let Some(spot) = self.atomic_spot() else {
            return;
        };
        match self.rng.u8(..4) {
            0 => self.repeated_store(spot),
            _ => self.atomic_of(spot),
        }
    }

    pub(super) fn atomic_of(&mut self, spot: Spot) {
        let flags = self.spot_flags(&spot);
        let (value, other) = (self.value_of(spot.ty), self.value_of(spot.ty));
        let address = spot.pointer.value;
        let which = self.rng.u8(..4);
        let operation = OPERATIONS[self.rng.usize(..OPERATIONS.len())];
        let mut cursor = self.ins();
        let ins = cursor.ins();
        let result = match which {
            0 => ins.atomic_load(spot.ty, flags, address),
            1 => {
                ins.atomic_store(flags, value, address);
                return;
            }
            2 => ins.atomic_rmw(spot.ty, flags, operation, address, value),
            _ => ins.atomic_cas(flags, address, other, value),
        };
        self.found_in(&spot, result);
    }

    /// An atomic store of what has just been stored, which one can only tell after
    /// some other memory has been read.
    fn repeated_store(&mut self, spot: Spot) {
        let flags = self.spot_flags(&spot);
        let address = spot.pointer.value;
        let value = self.value_of(spot.ty);
        let kept = self.kept_by(value, spot.ty);
        self.ins().ins().atomic_store(flags, value, address);
        let again = match kept {
            Some(cell) => self.load_plainly(cell, spot.ty),
            None => value,
        };
        self.ins().ins().atomic_store(flags, again, address);
    }

    /// Keeps a value in a slot that only this function knows, if it has one: where.
    pub(super) fn kept_by(&mut self, value: Value, ty: Type) -> Option<Spot> {
        let slots = 0..self.slots.len();
        let secret = |slot: &usize| matches!(self.slots[*slot].home, Home::Secret(_));
        let secret: Vec<usize> = slots.filter(secret).collect();
        let at = self.rng.usize(..secret.len().max(1));
        let pointer = self.slot_pointer(*secret.get(at)?);
        let cell = Spot {
            pointer,
            offset: pointer.low,
            ty,
        };
        if !fits(&cell) {
            return None;
        }
        self.store_to(cell, value);
        if self.rng.bool() {
            // Upstream sees no further back than the last store.
            let next = Spot {
                offset: cell.offset + 8,
                ty: types::I64,
                ..cell
            };
            if fits(&next) && ty.bytes() <= 8 {
                let other = self.data();
                self.store_to(next, other);
            }
        }
        Some(cell)
    }

    /// Loads a whole value, in the order in which [`Body::store_to`] may have stored it.
    pub(super) fn load_plainly(&mut self, cell: Spot, ty: Type) -> Value {
        let flags = self.spot_flags(&cell);
        let (address, offset) = (cell.pointer.value, cell.offset as i32);
        self.ins().ins().load(ty, flags, address, offset)
    }
}
