//! Accesses that leave their slot by a constant, addresses that are constants, and slots whose
//! size the target says.
//!
//! Where a slot lies is known here: frames are numbered, and the first function has
//! the first frame. One later function may have the second, if it is called before
//! all others.

use super::{Body, Home, Pointer};
use crate::layout::{self, HOME_BYTES, VMCTX};
use cranelift_codegen::ir::{
    DynamicStackSlotData, DynamicTypeData, GlobalValueData, InstBuilder, StackSlotKind, types,
};

impl Body<'_> {
    /// The number of the frame of this function, if it is always the same.
    fn frame(&self) -> Option<u32> {
        match self.index {
            0 => Some(0),
            index if self.plan.outsider == Some(index) => Some(1),
            _ => None,
        }
    }

    /// A pointer to a home, or to another slot, that is made of the address of a slot.
    ///
    /// It is no pointer for others: nothing defines what they make of it, whether the slot
    /// that lies there is still there, and what is accessed at a distance that is not known,
    /// which counts as inside of the first slot.
    fn outside(&mut self) -> Option<Pointer> {
        let frame = self.frame()?;
        let from = self.rng.usize(..self.slots.len().max(1));
        let from = self.slots.get(from)?.slot;
        let to = self.rng.usize(..self.slots.len());
        let (target, pointer) = if self.plan.outsider != Some(self.index) && self.rng.bool() {
            let (slot, size, home) = (
                self.slots[to].slot,
                self.slots[to].size,
                self.slots[to].home,
            );
            let target = layout::slot_address(frame, slot.as_u32());
            (target, (home, 0, size, Some(0)))
        } else {
            let home = match self.plan.outsider {
                Some(index) if index == self.index => self.plan.pointers[index][0],
                _ => self.some_home(),
            };
            let target = VMCTX + layout::home(home);
            (target, (Home::Shared(home), 0, HOME_BYTES as i64, None))
        };
        let base = self.ins().ins().stack_addr(types::I64, from, 0);
        let by = target.wrapping_sub(layout::slot_address(frame, from.as_u32())) as i64;
        let (home, low, high, at) = pointer;
        let pointer = Pointer {
            value: self.plus(base, by),
            home,
            low,
            high,
            at,
        };
        Some(pointer)
    }

    /// Accesses of some bytes by the address of another slot, between accesses of them
    /// by their own.
    pub(super) fn outside_between_accesses(&mut self) {
        let Some(pointer) = self.outside() else {
            return;
        };
        let spot = super::Spot {
            pointer,
            offset: 8 * self.rng.i64(0..3),
            ty: types::I64,
        };
        if !super::accesses::fits(&spot) {
            return;
        }
        let own = self.own_pointer(pointer.home);
        let own = own.map(|pointer| super::Spot { pointer, ..spot });
        let own = own.filter(super::accesses::fits);
        if let Some(own) = own {
            self.access_once(own);
        }
        match self.style.barriers && self.rng.bool() {
            true => self.atomic_of(spot),
            false => self.access_once(spot),
        }
        if let Some(own) = own {
            let value = self.load_from(own);
            self.found_in(&own, value);
        }
    }

    /// Accesses of one home by two addresses that are constants.
    pub(super) fn constants_between_accesses(&mut self) {
        let home = self.some_home();
        let [one, other] = [(); 2].map(|()| {
            let start = 8 * self.rng.i64(0..4);
            let at = (VMCTX + layout::home(home)) as i64 + start;
            super::Spot {
                pointer: Pointer {
                    value: self.ins().ins().iconst(types::I64, at),
                    home: Home::Shared(home),
                    low: -start,
                    high: HOME_BYTES as i64 - start,
                    at: None,
                },
                offset: 8 * self.rng.i64(0..3),
                ty: types::I64,
            }
        });
        self.access_once(one);
        self.access_once(other);
        let value = self.load_from(one);
        self.found_in(&one, value);
    }

    /// A pointer to the first byte of a slot, by its own address.
    fn own_pointer(&mut self, home: Home) -> Option<Pointer> {
        let Home::Secret(slot) = home else {
            return None;
        };
        let stack_slot = self.slots[slot].slot;
        let value = self.ins().ins().stack_addr(types::I64, stack_slot, 0);
        Some(Pointer {
            value,
            home,
            low: 0,
            high: self.slots[slot].size,
            at: Some(0),
        })
    }

    fn access_once(&mut self, spot: super::Spot) {
        if self.rng.u8(..3) != 0 {
            let value = self.data();
            self.store_to(spot, value);
        } else {
            let value = self.load_from(spot);
            self.found_in(&spot, value);
        }
    }

    /// Writes, out of a slot, where the caller may look.
    pub(super) fn write_outside(&mut self) {
        if let Some(pointer) = self.outside() {
            let spot = super::Spot {
                pointer,
                offset: 8 * self.rng.i64(0..6),
                ty: types::I64,
            };
            if super::accesses::fits(&spot) {
                let value = self.data();
                self.store_to(spot, value);
                self.pool.spots.push(spot);
            }
        }
    }

    /// Declares a slot whose size is a multiple of a vector's, by the target.
    pub(super) fn declare_dynamic_slot(&mut self) {
        let scale = self
            .func
            .create_global_value(GlobalValueData::DynScaleTargetConst {
                vector_type: types::I32X4,
            });
        let ty = DynamicTypeData::new(types::I32X4, scale);
        let ty = self.func.dfg.make_dynamic_ty(ty);
        let data = DynamicStackSlotData::new(StackSlotKind::ExplicitDynamicSlot, ty);
        self.dynamic = Some(self.func.create_dynamic_stack_slot(data));
    }

    /// The address of that slot, which others may know.
    pub(super) fn dynamic_pointer(&mut self) -> Option<Pointer> {
        let slot = self.dynamic?;
        let pointer = Pointer {
            value: self.ins().ins().dynamic_stack_addr(types::I64, slot),
            home: Home::Shared(if self.style.tagged { 2 } else { 0 }),
            low: 0,
            high: i64::from(types::I32X4.bytes()),
            at: None,
        };
        self.pool.pointers.push(pointer);
        Some(pointer)
    }
}
