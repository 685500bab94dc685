//! Loads and stores.

use super::types::ODD;
use super::{Body, Home, Spot};
use crate::layout::{self};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};

impl Body<'_> {
    /// Where to access memory: often where it has been accessed before.
    pub(super) fn spot(&mut self) -> Option<Spot> {
        if !self.pool.spots.is_empty() && self.rng.u8(..5) < 3 {
            let at = self.pick(self.pool.spots.len());
            let mut spot = self.pool.spots[at];
            if self.rng.u8(..4) == 0 {
                spot.ty = self.access_type();
                spot.offset += [0, 0, 4, -4, 1][self.rng.usize(..5)];
            }
            if fits(&spot) {
                return Some(spot);
            }
        }
        let pointer = self.pointer();
        let ty = self.access_type();
        let room = pointer.high - i64::from(ty.bytes());
        if pointer.home == Home::ReadOnly || room < pointer.low {
            return None;
        }
        let offset = self.rng.i64(pointer.low..=room);
        let offset = if self.rng.u8(..6) == 0 {
            offset
        } else {
            offset & !7
        };
        let spot = Spot {
            pointer,
            offset: offset.clamp(pointer.low, room),
            ty,
        };
        self.pool.spots.push(spot);
        Some(spot)
    }

    pub(super) fn access_type(&mut self) -> Type {
        if self.plan.rare.types && self.rng.u8(..6) == 0 {
            return ODD[self.rng.usize(..ODD.len())];
        }
        match self.rng.u8(..20) {
            0..11 => types::I64,
            11..14 => types::I32,
            14 => types::I16,
            15 | 16 => types::I8,
            17 => types::F64,
            18 => types::F32,
            _ => [types::I128, types::I64X2, types::I8X16][self.rng.usize(..3)],
        }
    }

    /// The region of the word that a spot in a secret slot lies in.
    pub(super) fn region_of_word(&self, spot: &Spot) -> Option<u32> {
        let Home::Secret(slot) = spot.pointer.home else {
            return None;
        };
        let start = spot.pointer.at? + spot.offset;
        let last = start + i64::from(spot.ty.bytes()) - 1;
        (start / 8 == last / 8).then_some(1 + (start / 8 + slot as i64) as u32 % 3)
    }

    pub(super) fn spot_flags(&mut self, spot: &Spot) -> MemFlagsData {
        let flags = self.flags(spot.pointer.home);
        let word = self.region_of_word(spot).filter(|_| self.rng.u8(..4) != 0);
        match word.and_then(|id| self.region(id)) {
            Some(region) => flags.with_alias_region(Some(region)),
            None => flags,
        }
    }

    pub(super) fn flags(&mut self, home: Home) -> MemFlagsData {
        let mut flags = MemFlagsData::new().with_notrap();
        let rate = if self.is_small() { 2 } else { 8 };
        if self.style.traps && self.rng.u8(..rate) == 0 {
            flags = flags.with_trap_code(Some(self.trap_code()));
        }
        // Whatever is accessed here is there all the time.
        if flags.notrap() && self.rng.u8(..16) == 0 {
            flags.set_can_move();
        }
        match self.rng.u8(..if self.style.lends { 10 } else { 14 }) {
            0 => flags.set_endianness(Endianness::Big),
            1 => flags.set_endianness(Endianness::Little),
            _ => {}
        }
        let id = match home {
            Home::Asynchronous => Some(layout::ASYNCHRONOUS),
            Home::Shared(0) | Home::Secret(_) => None,
            Home::Shared(_) if !self.style.tagged && self.rng.u8(..4) == 0 => None,
            Home::Shared(1) if self.plan.joined && self.rng.bool() => Some(layout::JOINED),
            Home::Shared(home) => Some(home as u32),
            Home::ReadOnly => Some(layout::READ_ONLY),
        };
        let region = id.and_then(|id| self.region(id));
        flags.with_alias_region(region)
    }

    pub(super) fn load(&mut self) {
        if let Some(spot) = self.spot() {
            let value = self.load_from(spot);
            self.found_in(&spot, value);
        }
    }

    pub(super) fn load_from(&mut self, spot: Spot) -> Value {
        let flags = self.spot_flags(&spot);
        let (address, offset) = (spot.pointer.value, spot.offset as i32);
        let narrow = self.rng.u8(..4) == 0;
        let sign = self.rng.bool();
        let mut cursor = self.ins();
        let ins = cursor.ins();
        match spot.ty {
            types::I8 if narrow && sign => ins.sload8(types::I64, flags, address, offset),
            types::I8 if narrow => ins.uload8(types::I64, flags, address, offset),
            types::I16 if narrow && sign => ins.sload16(types::I64, flags, address, offset),
            types::I16 if narrow => ins.uload16(types::I64, flags, address, offset),
            types::I32 if narrow && sign => ins.sload32(flags, address, offset),
            types::I32 if narrow => ins.uload32(flags, address, offset),
            ty => ins.load(ty, flags, address, offset),
        }
    }

    pub(super) fn store(&mut self) {
        if let Some(spot) = self.spot() {
            let narrow = self.rng.u8(..4) == 0 && spot.ty.is_int() && spot.ty.bits() < 64;
            let value = if narrow {
                self.data()
            } else {
                self.value_of(spot.ty)
            };
            self.store_to(spot, value);
        }
    }

    /// Stores `value`, or the low bits of it that `spot` has room for.
    pub(super) fn store_to(&mut self, spot: Spot, value: Value) {
        let flags = self.spot_flags(&spot);
        let (address, offset) = (spot.pointer.value, spot.offset as i32);
        let ty = self.func.dfg.value_type(value);
        let mut cursor = self.ins();
        let ins = cursor.ins();
        match spot.ty.bytes() {
            _ if ty == spot.ty => ins.store(flags, value, address, offset),
            1 => ins.istore8(flags, value, address, offset),
            2 => ins.istore16(flags, value, address, offset),
            _ => ins.istore32(flags, value, address, offset),
        };
    }

    /// Stores the address of something.
    pub(super) fn publish(&mut self) {
        let value = self.public_pointer();
        let spot = match self.is_discreet() {
            true => self.forgotten_cell(),
            false => self.spot(),
        };
        if let Some(mut spot) = spot {
            spot.ty = types::I64;
            if fits(&spot) && spot.pointer.home != Home::Asynchronous {
                self.store_to(spot, value);
                self.pool.published.push((spot, value));
            }
        }
    }

    /// Replaces what some memory holds, and remembers to put it back.
    pub(super) fn borrow(&mut self) {
        let Some(mut spot) = self.spot() else {
            return;
        };
        spot.ty = types::I64;
        if fits(&spot) && spot.pointer.home != Home::Asynchronous {
            self.borrow_of(spot);
        }
    }

    pub(super) fn borrow_of(&mut self, spot: Spot) {
        let old = self.load_from(spot);
        self.pool.wild.push(old);
        self.debts.push((spot, old));
        let new = match self.rng.bool() {
            true if self.may_hold_address(&spot) => self.public_pointer(),
            _ => self.data(),
        };
        self.store_to(spot, new);
        if self.style.calls && self.rng.bool() {
            self.call();
        }
    }

    pub(super) fn pay_debts(&mut self) {
        while let Some((spot, old)) = self.debts.pop() {
            self.store_to(spot, old);
        }
        if self.rng.u8(..3) == 0
            && let Some((spot, old)) = self.pool.owed.pop()
        {
            self.store_to(spot, old);
        }
    }

    /// Accesses memory, or the address zero.
    fn stray_access(&mut self) {
        let Some(spot) = self.spot() else { return };
        if spot.pointer.home == Home::Asynchronous {
            return;
        }
        let code = self.trap_code();
        let flags = self.spot_flags(&spot).with_trap_code(Some(code));
        let condition = self.data();
        let zero = self.ins().ins().iconst(types::I64, 0);
        let address = spot.pointer.value;
        let address = self.ins().ins().select(condition, address, zero);
        let offset = spot.offset as i32;
        for _ in 0..self.rng.usize(1..3) {
            if self.rng.bool() {
                let value = self.ins().ins().load(spot.ty, flags, address, offset);
                self.found_in(&spot, value);
            } else {
                let value = self.value_of(spot.ty);
                self.ins().ins().store(flags, value, address, offset);
            }
        }
    }

    /// Loads, at the start of a block, through a word that may be a pointer, from in front of it:
    /// around a loop it stays the same.
    pub(super) fn guess(&mut self) {
        if self.style.tagged || self.pool.wild.is_empty() {
            return;
        }
        let at = self.pick(self.pool.wild.len());
        let (address, code) = (self.pool.wild[at], self.trap_code());
        let flags = MemFlagsData::new().with_trap_code(Some(code));
        let value = self.ins().ins().load(types::I64, flags, address, 8);
        self.pool.data.push(value);
    }

    /// Follows a word that may be a pointer.
    pub(super) fn wild_access(&mut self) {
        if self.style.traps && self.style.tagged {
            return self.stray_access();
        }
        if self.pool.wild.is_empty() || !self.style.traps {
            return;
        }
        let at = self.pick(self.pool.wild.len());
        let address = self.pool.wild[at];
        let flags = MemFlagsData::new().with_trap_code(Some(self.trap_code()));
        let offset = 8 * self.rng.i32(0..2);
        for _ in 0..self.rng.usize(1..3) {
            if self.rng.bool() {
                let value = self.ins().ins().load(types::I64, flags, address, offset);
                self.found(value);
            } else {
                let value = self.data();
                self.ins().ins().store(flags, value, address, offset);
            }
        }
    }
}

pub(super) fn fits(spot: &Spot) -> bool {
    spot.offset >= spot.pointer.low && spot.offset + i64::from(spot.ty.bytes()) <= spot.pointer.high
}
