//! Memory that is written in pieces and read whole, or the other way round.

use super::accesses::fits;
use super::{Body, Home, Spot};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};

/// What a word consists of.
const PARTS: [Type; 3] = [types::I8, types::I16, types::I32];

impl Body<'_> {
    /// Accesses of a word, or of two, and of its parts.
    pub(super) fn pieces(&mut self) {
        let Some(mut spot) = self.spot() else { return };
        spot.ty = match self.rng.u8(..3) {
            0 => types::I64X2,
            _ => types::I64,
        };
        if !fits(&spot) || spot.pointer.home == Home::Asynchronous {
            return;
        }
        let flags = self.spot_flags(&spot);
        let value = match (spot.ty, self.rng.u8(..3)) {
            (types::I64X2, _) => self.lanes(spot, flags),
            (_, 0) => self.taken_apart(spot, flags),
            (_, 1) => self.parts_of_load(spot, flags),
            _ => self.put_together(spot, flags),
        };
        self.found_in(&spot, value);
    }

    /// A word is stored part by part, and loaded or stored whole.
    fn taken_apart(&mut self, spot: Spot, flags: MemFlagsData) -> Value {
        let (address, offset) = (spot.pointer.value, spot.offset as i32);
        let part = PARTS[self.rng.usize(..PARTS.len())];
        let count = 8 / part.bytes() as i32;
        let whole = self.data();
        let of_constants = self.rng.bool();
        let odd = self.rng.i32(..).rem_euclid(2 * count);
        let is_big = self.rng.bool();
        for at in 0..count {
            let bits = part.bits() as i32 * if is_big { count - 1 - at } else { at };
            let value = match of_constants {
                true => {
                    let number = self.rng.i64(0..256);
                    self.ins().ins().iconst(types::I64, number)
                }
                false if at == odd => self.data(),
                false => self.shifted(whole, bits),
            };
            let value = self.ins().ins().ireduce(part, value);
            let at = offset + at * part.bytes() as i32;
            self.ins().ins().store(flags, value, address, at);
        }
        match self.rng.u8(..3) {
            0 => {
                self.ins().ins().store(flags, whole, address, offset);
                whole
            }
            1 => {
                let at = offset + 4 * self.rng.i32(0..2);
                self.ins().ins().uload32(flags, address, at)
            }
            _ => self.ins().ins().load(types::I64, flags, address, offset),
        }
    }

    /// A part of a word that has been loaded is loaded, or stored back.
    fn parts_of_load(&mut self, spot: Spot, flags: MemFlagsData) -> Value {
        let (address, offset) = (spot.pointer.value, spot.offset as i32);
        let whole = self.ins().ins().load(types::I64, flags, address, offset);
        let part = PARTS[self.rng.usize(..PARTS.len())];
        let at = |this: &mut Self| this.rng.i32(0..8 / part.bytes() as i32);
        let from = at(self);
        let to = if self.rng.u8(..4) == 0 {
            at(self)
        } else {
            from
        };
        match self.rng.u8(..6) {
            0 => self.store(),
            1 if self.style.calls => self.call(),
            _ => {}
        }
        let place = offset + to * part.bytes() as i32;
        if self.rng.bool() {
            let value = self.shifted(whole, from * part.bits() as i32);
            let value = self.ins().ins().ireduce(part, value);
            self.ins().ins().store(flags, value, address, place);
            return whole;
        }
        let value = self.ins().ins().load(part, flags, address, place);
        self.ins().ins().uextend(types::I64, value)
    }

    /// A word is put together from parts that are loaded one after the other, and maybe stored
    /// back.
    fn put_together(&mut self, spot: Spot, flags: MemFlagsData) -> Value {
        let (address, offset) = (spot.pointer.value, spot.offset as i32);
        let part = PARTS[self.rng.usize(..PARTS.len())];
        let all = 8 / part.bytes() as i32;
        let count = match self.rng.bool() {
            true => all,
            false => self.rng.i32(2..=all),
        };
        let between = self.rng.i32(..).rem_euclid(3 * count);
        let is_big = self.rng.bool();
        let mut sum = self.ins().ins().iconst(types::I64, 0);
        for at in 0..count {
            if at == between {
                self.write_between(address, offset, flags);
            }
            let place = if is_big { count - 1 - at } else { at } * part.bytes() as i32;
            let value = match part {
                types::I8 if self.rng.bool() => {
                    self.ins()
                        .ins()
                        .uload8(types::I64, flags, address, offset + place)
                }
                _ => {
                    let value = self.ins().ins().load(part, flags, address, offset + place);
                    self.ins().ins().uextend(types::I64, value)
                }
            };
            let by = i64::from(at * part.bits() as i32);
            let by = self.ins().ins().iconst(types::I64, by);
            let value = self.ins().ins().ishl(value, by);
            sum = self.ins().ins().bor(sum, value);
        }
        if count == all && self.rng.bool() {
            self.ins().ins().store(flags, sum, address, offset);
        }
        sum
    }

    /// Something between two loads of parts of a word that may write the word, or does.
    fn write_between(&mut self, address: Value, offset: i32, flags: MemFlagsData) {
        match self.rng.u8(..3) {
            0 => self.store(),
            1 if self.style.calls => self.call(),
            _ => {
                let (value, at) = (self.data(), self.rng.i32(0..8));
                self.ins().ins().istore8(flags, value, address, offset + at);
            }
        }
    }

    /// Lanes of a vector, which is loaded and stored as a whole.
    fn lanes(&mut self, spot: Spot, flags: MemFlagsData) -> Value {
        let (address, offset) = (spot.pointer.value, spot.offset as i32);
        let from = self.rng.u8(..2);
        let to = match self.rng.u8(..4) {
            0 => 1 - from,
            _ => from,
        };
        let place = offset + 8 * i32::from(to);
        if self.rng.bool() {
            let vector = self.ins().ins().load(spot.ty, flags, address, offset);
            let lane = self.ins().ins().extractlane(vector, from);
            self.ins().ins().store(flags, lane, address, place);
            return lane;
        }
        let (x, y) = (self.data(), self.data());
        let vector = self.ins().ins().splat(spot.ty, x);
        let vector = self.ins().ins().insertlane(vector, y, from);
        self.ins().ins().store(flags, vector, address, offset);
        self.ins().ins().load(types::I64, flags, address, place)
    }

    fn shifted(&mut self, value: Value, by: i32) -> Value {
        let by = self.ins().ins().iconst(types::I64, i64::from(by));
        self.ins().ins().ushr(value, by)
    }
}
