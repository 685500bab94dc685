//! Values that are no addresses.

use super::Body;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, TrapCode, Type, Value, types};

impl Body<'_> {
    /// One of `len` things, the last ones more often.
    pub(super) fn pick(&mut self, len: usize) -> usize {
        if self.rng.bool() {
            len - 1 - self.rng.usize(..len.min(4))
        } else {
            self.rng.usize(..len)
        }
    }

    pub(super) fn data(&mut self) -> Value {
        if self.pool.data.is_empty() || self.rng.u8(..5) == 0 {
            return self.constant();
        }
        let at = self.pick(self.pool.data.len());
        self.pool.data[at]
    }

    pub(super) fn constant(&mut self) -> Value {
        let constant = match self.rng.u8(..4) {
            0 => self.rng.i64(..),
            1 => 0,
            _ => self.rng.i64(-2..8),
        };
        let value = self.ins().ins().iconst(types::I64, constant);
        self.pool.data.push(value);
        value
    }

    pub(super) fn condition(&mut self) -> Value {
        if self.plan.discreet && self.rng.u8(..3) == 0 {
            return self.loaded_condition();
        }
        match self.rng.u8(..12) {
            0 => self.data(),
            1 => self.compare_pointers(),
            // What memory holds decides, as often as not what was just stored.
            8 | 9 => self.loaded_condition(),
            // So does what a predecessor passed.
            10 | 11 => self.passed_condition(),
            2 => {
                let (x, y) = (self.data(), self.data());
                self.ins().ins().icmp(IntCC::Equal, x, y)
            }
            _ => {
                let x = self.data();
                let limit = self.rng.i64(-1..6);
                let limit = self.ins().ins().iconst(types::I64, limit);
                let order = match self.rng.u8(..3) {
                    0 => self.any_order(),
                    _ => IntCC::UnsignedLessThan,
                };
                self.ins().ins().icmp(order, x, limit)
            }
        }
    }

    pub(super) fn any_order(&mut self) -> IntCC {
        let all = IntCC::all();
        all[self.rng.usize(..all.len())]
    }

    pub(super) fn compare_pointers(&mut self) -> Value {
        let x = self.pointer().value;
        let y = if self.rng.bool() && !self.pool.wild.is_empty() {
            let at = self.pick(self.pool.wild.len());
            self.pool.wild[at]
        } else {
            self.pointer().value
        };
        let condition = match self.rng.u8(..5) {
            0 | 1 => IntCC::Equal,
            2 | 3 => IntCC::NotEqual,
            // Which slot lies lower is the machine's choice, and fixed.
            _ => IntCC::UnsignedLessThan,
        };
        self.ins().ins().icmp(condition, x, y)
    }

    /// A value of type `ty`.
    pub(super) fn value_of(&mut self, ty: Type) -> Value {
        if ty == types::I64 {
            return self.data();
        }
        let known: Vec<Value> = self
            .pool
            .typed
            .iter()
            .copied()
            .filter(|value| self.func.dfg.value_type(*value) == ty)
            .collect();
        if !known.is_empty() && self.rng.u8(..3) != 0 {
            return known[self.pick(known.len())];
        }
        let data = self.data();
        let little = MemFlagsData::new().with_endianness(Endianness::Little);
        let value = if ty.is_int() && ty.bits() < 64 {
            self.ins().ins().ireduce(ty, data)
        } else if ty == types::F64 {
            self.ins().ins().bitcast(ty, MemFlagsData::new(), data)
        } else if ty == types::F32 {
            let half = self.ins().ins().ireduce(types::I32, data);
            self.ins().ins().bitcast(ty, MemFlagsData::new(), half)
        } else if ty == types::F16 {
            let half = self.ins().ins().ireduce(types::I16, data);
            self.ins().ins().bitcast(ty, MemFlagsData::new(), half)
        } else if ty.bits() == 64 {
            self.ins().ins().bitcast(ty, little, data)
        } else {
            let high = self.data();
            let both = self.ins().ins().iconcat(data, high);
            if ty == types::I128 {
                both
            } else {
                self.ins().ins().bitcast(ty, little, both)
            }
        };
        self.pool.typed.push(value);
        value
    }

    /// Makes a loaded value available.
    pub(super) fn found(&mut self, value: Value) {
        if self.func.dfg.value_type(value) == types::I64 {
            self.pool.data.push(value);
            self.pool.wild.push(value);
        } else {
            self.pool.typed.push(value);
            if self.func.dfg.value_type(value).is_int() && self.rng.bool() {
                self.widen(value);
            }
        }
    }

    pub(super) fn widen(&mut self, value: Value) {
        let ty = self.func.dfg.value_type(value);
        let wide = if ty == types::I128 {
            self.ins().ins().isplit(value).1
        } else if self.rng.bool() {
            self.ins().ins().uextend(types::I64, value)
        } else {
            self.ins().ins().sextend(types::I64, value)
        };
        self.pool.data.push(wide);
    }

    pub(super) fn trap_code(&mut self) -> TrapCode {
        TrapCode::unwrap_user(self.rng.u8(1..4))
    }
}
