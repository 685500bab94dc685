//! Scalars: reading, computing, assigning.

use super::{Body, Local};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};

impl Body<'_> {
    pub(super) fn scalar_type(&mut self) -> Type {
        match self.rng.u8(..12) {
            0..6 => types::I64,
            6..9 => types::I32,
            9 => types::I8,
            10 => types::I16,
            _ => types::F64,
        }
    }

    /// Some local in scope; there are always the parameters.
    pub(super) fn some_local(&mut self) -> Local {
        let len = self.locals.len();
        // The first three hold pointers and the number that was passed.
        match self.rng.u8(..3) {
            0 if len > 3 => self.locals[3 + self.rng.usize(..len - 3)],
            _ if len > 3 => self.locals[len - 1 - self.rng.usize(..(len - 3).min(5))],
            _ => self.locals[2],
        }
    }

    pub(super) fn read(&mut self, local: Local) -> Value {
        self.load(local.ty, local.slot, 0)
    }

    /// The bits of a value as a word.
    pub(super) fn widened(&mut self, value: Value) -> Value {
        match self.func.dfg.value_type(value) {
            types::I64 => value,
            types::F64 => {
                let flags = MemFlagsData::new();
                self.ins().ins().bitcast(types::I64, flags, value)
            }
            _ if self.rng.bool() => self.ins().ins().uextend(types::I64, value),
            _ => self.ins().ins().sextend(types::I64, value),
        }
    }

    pub(super) fn narrowed(&mut self, value: Value, ty: Type) -> Value {
        match ty {
            types::I64 => value,
            types::F64 => {
                let flags = MemFlagsData::new();
                self.ins().ins().bitcast(ty, flags, value)
            }
            _ => self.ins().ins().ireduce(ty, value),
        }
    }

    /// A small number, which one cannot tell.
    pub(super) fn small(&mut self) -> Value {
        let number = self.locals[2];
        let number = self.read(number);
        match self.rng.u8(..3) {
            0 => number,
            _ => {
                let seven = self.number(7);
                self.ins().ins().band(number, seven)
            }
        }
    }

    /// An expression of a type.
    pub(super) fn value_of(&mut self, ty: Type) -> Value {
        let word = self.word();
        self.narrowed(word, ty)
    }

    /// An expression over locals, constants and what parameters point to.
    pub(super) fn word(&mut self) -> Value {
        let leaf = |body: &mut Self| match body.rng.u8(..6) {
            0 | 1 => {
                let number = body.rng.i64(-3..9);
                body.number(number)
            }
            2 if body.rng.bool() => body.word_behind_parameter(),
            _ => {
                let local = body.some_local();
                let value = body.read(local);
                body.widened(value)
            }
        };
        let x = leaf(self);
        if self.rng.u8(..3) == 0 {
            return x;
        }
        let y = leaf(self);
        let which = self.rng.u8(..7);
        let mut cursor = self.ins();
        let ins = cursor.ins();
        match which {
            0..3 => ins.iadd(x, y),
            3 => ins.isub(x, y),
            4 => ins.bxor(x, y),
            5 => ins.imul(x, y),
            _ => ins.band(x, y),
        }
    }

    pub(super) fn assign(&mut self) {
        let local = self.some_local();
        let value = self.value_of(local.ty);
        self.store(value, local.slot, 0);
    }

    /// A condition over locals.
    pub(super) fn condition(&mut self) -> Value {
        let local = self.some_local();
        let x = self.read(local);
        let x = self.widened(x);
        let y = match self.rng.bool() {
            true => {
                let number = self.rng.i64(-1..6);
                self.number(number)
            }
            false => self.word(),
        };
        let orders = [
            IntCC::Equal,
            IntCC::NotEqual,
            IntCC::SignedLessThan,
            IntCC::UnsignedGreaterThan,
        ];
        let order = orders[self.rng.usize(..4)];
        self.ins().ins().icmp(order, x, y)
    }
}
