//! Addresses, in many spellings.

use super::super::MAX_START;
use super::{Body, Home, Pointer, Slot};
use crate::layout::{self, HOME_BYTES};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};

impl Body<'_> {
    /// Some pointer, old or new.
    pub(super) fn pointer(&mut self) -> Pointer {
        if self.rng.u8(..4) == 0 {
            return self.new_pointer();
        }
        let at = self.pick(self.pool.pointers.len());
        self.pool.pointers[at]
    }

    pub(super) fn new_pointer(&mut self) -> Pointer {
        let pointer = match self.rng.u8(..10) {
            0..4 if !self.slots.is_empty() => {
                let slot = self.rng.usize(..self.slots.len());
                self.slot_pointer(slot)
            }
            4 => {
                let base = self.pool.pointers[self.rng.usize(..self.pool.pointers.len())];
                self.moved(base)
            }
            5 if self.rng.bool() => self.widened(),
            5 => {
                let base = self.pool.pointers[self.rng.usize(..self.pool.pointers.len())];
                self.masked(base)
            }
            6 if !self.plan.discreet => self.selected(),
            7 => self.loaded(),
            8 if self.plan.asynchronous => self.asynchronous(),
            _ => {
                let home = self.some_home();
                self.home_pointer(home)
            }
        };
        self.pool.pointers.push(pointer);
        pointer
    }

    pub(super) fn slot_pointer(&mut self, at: usize) -> Pointer {
        let Slot {
            slot, size, home, ..
        } = self.slots[at];
        // One address each is better known than several.
        let by = match self.plan.discreet && self.rng.u8(..3) != 0 {
            true => 0,
            false => 4 * self.rng.i64(0..=size / 4),
        };
        let value = self.ins().ins().stack_addr(types::I64, slot, by as i32);
        Pointer {
            value,
            home,
            low: -by,
            high: size - by,
            at: Some(by),
        }
    }

    pub(super) fn home_pointer(&mut self, home: usize) -> Pointer {
        let start = 8 * self.rng.i64(0..=6);
        let value = self.past_vmctx(layout::home(home) as i64 + start);
        Pointer {
            value,
            home: Home::Shared(home),
            low: -start,
            high: HOME_BYTES as i64 - start,
            at: None,
        }
    }

    pub(super) fn past_vmctx(&mut self, by: i64) -> Value {
        let vmctx = self.vmctx();
        self.plus(vmctx, by)
    }

    /// `base + by`, in one of its spellings.
    pub(super) fn plus(&mut self, base: Value, by: i64) -> Value {
        if self.rng.u8(..3) == 0 {
            let by = self.ins().ins().iconst(types::I64, by.wrapping_neg());
            return self.ins().ins().isub(base, by);
        }
        if self.rng.u8(..6) == 0 {
            // In two steps.
            let first = self.rng.i64(-64..64);
            let base = self.plus(base, first);
            return self.plus(base, by.wrapping_sub(first));
        }
        let by = self.ins().ins().iconst(types::I64, by);
        if self.rng.bool() {
            self.ins().ins().iadd(base, by)
        } else {
            self.ins().ins().iadd(by, base)
        }
    }

    pub(super) fn moved(&mut self, base: Pointer) -> Pointer {
        let by = self.rng.i64(base.low..=base.high.max(base.low));
        let by = if self.rng.u8(..4) == 0 { by } else { by & !7 };
        let by = by.clamp(base.low, base.high);
        Pointer {
            value: self.plus(base.value, by),
            home: base.home,
            low: base.low - by,
            high: base.high - by,
            at: base.at.map(|at| at + by),
        }
    }

    /// A pointer that depends on data.
    pub(super) fn masked(&mut self, base: Pointer) -> Pointer {
        let mask = match base.high {
            ..16 => return base,
            16..32 => 8,
            32..64 => [8, 16, 24][self.rng.usize(..3)],
            _ => [8, 24, 56, 4][self.rng.usize(..4)],
        };
        let data = self.data();
        let mask_value = self.ins().ins().iconst(types::I64, mask);
        let by = self.ins().ins().band(data, mask_value);
        Pointer {
            value: self.ins().ins().iadd(base.value, by),
            home: base.home,
            low: base.low,
            high: base.high - mask,
            at: None,
        }
    }

    pub(super) fn selected(&mut self) -> Pointer {
        let at = self.pick(self.pool.pointers.len());
        let x = self.pool.pointers[at];
        let same = self.pool.pointers.iter();
        let same: Vec<Pointer> = same.filter(|y| y.home == x.home).copied().collect();
        let y = same[self.pick(same.len())];
        let condition = self.data();
        Pointer {
            value: self.ins().ins().select(condition, x.value, y.value),
            home: x.home,
            low: x.low.max(y.low),
            high: x.high.min(y.high),
            at: None,
        }
    }

    /// A pointer that the read-only memory holds.
    pub(super) fn loaded(&mut self) -> Pointer {
        let (offset, home) = layout::POINTER_CELLS[self.rng.usize(..2)];
        let value = self.read_only_load(types::I64, offset);
        Pointer {
            value,
            home: Home::Shared(home),
            low: -16,
            high: HOME_BYTES as i64 - 16,
            at: None,
        }
    }

    pub(super) fn read_only_load(&mut self, ty: Type, offset: i32) -> Value {
        let copies = layout::READ_ONLY_OFFSETS;
        let base = copies[self.rng.usize(..2)] as i64;
        let known = self.pool.pointers.iter();
        let known: Vec<Pointer> = known
            .filter(|pointer| pointer.home == Home::ReadOnly)
            .copied()
            .collect();
        let pointer = if !known.is_empty() && self.rng.bool() {
            known[self.rng.usize(..known.len())].value
        } else {
            let value = self.past_vmctx(base);
            self.pool.pointers.push(Pointer {
                value,
                home: Home::ReadOnly,
                low: 0,
                high: 0,
                at: None,
            });
            value
        };
        let mut flags = MemFlagsData::trusted().with_readonly();
        flags.set_alias_region(self.region(layout::READ_ONLY));
        if self.rng.bool() {
            flags.set_can_move();
        }
        self.ins().ins().load(ty, flags, pointer, offset)
    }

    pub(super) fn asynchronous(&mut self) -> Pointer {
        Pointer {
            value: self.past_vmctx(layout::ASYNCHRONOUS_OFFSET as i64),
            home: Home::Asynchronous,
            low: 0,
            high: 32,
            at: None,
        }
    }

    /// A pointer of `home` with at least `high` bytes.
    pub(super) fn pointer_to(&mut self, home: Home, high: i64) -> Pointer {
        let known = self.pool.pointers.iter();
        let known: Vec<Pointer> = known
            .filter(|pointer| pointer.home == home && pointer.low <= 0 && pointer.high >= high)
            .copied()
            .collect();
        if !known.is_empty() && self.rng.u8(..4) != 0 {
            return known[self.pick(known.len())];
        }
        let slots: Vec<usize> = (0..self.slots.len())
            .filter(|slot| self.slots[*slot].home == home && self.slots[*slot].size >= high)
            .collect();
        let pointer = match home {
            Home::Shared(shared) if slots.is_empty() || self.rng.bool() => {
                let start = 8 * self.rng.u64(..=MAX_START / 8);
                let start = start as i64;
                Pointer {
                    value: self.past_vmctx(layout::home(shared) as i64 + start),
                    home,
                    low: -start,
                    high: HOME_BYTES as i64 - start,
                    at: None,
                }
            }
            _ => {
                let at = slots[self.rng.usize(..slots.len())];
                let Slot { slot, size, .. } = self.slots[at];
                let by = if self.rng.bool() { 0 } else { size - high };
                Pointer {
                    value: self.ins().ins().stack_addr(types::I64, slot, by as i32),
                    home,
                    low: -by,
                    high: size - by,
                    at: Some(by),
                }
            }
        };
        self.pool.pointers.push(pointer);
        pointer
    }

    /// A pointer that everybody may know.
    pub(super) fn public_pointer(&mut self) -> Value {
        for _ in 0..8 {
            let pointer = self.pointer();
            if matches!(pointer.home, Home::Shared(_)) {
                return pointer.value;
            }
        }
        self.vmctx()
    }
}
