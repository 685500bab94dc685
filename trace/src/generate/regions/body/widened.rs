//! Addresses through sums of 32 bits that are widened behind, as WebAssembly has them.

use super::{Body, Home, Pointer};
use crate::layout::{self, HOME_BYTES};
use cranelift_codegen::ir::{InstBuilder, Value, types};

/// The greatest index.
const GREATEST: i64 = 24;

/// An index less this has wrapped: no index is greater.
const BELOW: i64 = 32;

impl Body<'_> {
    /// A pointer `base + uextend(x + c) * s`, or with `sextend`, where `x` is an index that has
    /// wrapped below 0.
    ///
    /// Either the sum wraps back, or what is added behind the extension makes up for it.
    pub(super) fn widened(&mut self) -> Pointer {
        let home = self.some_home();
        let narrow = self.narrow_index();
        let (times, most) = match self.rng.u8(..3) {
            0 => (2, 2),
            _ => (1, 10),
        };
        let is_signed = self.rng.u8(..4) == 0;
        let start = 4 * self.rng.i64(0..=most);
        let base = self.vmctx();
        let at = layout::home(home) as i64;
        let wraps = if is_signed { 0 } else { 1 << 32 };
        let (inside, outside) = match self.rng.u8(..4) {
            0 => (0, at + times * (start + BELOW - wraps)),
            _ => (start + BELOW, at),
        };
        let inside = self.ins().ins().iconst(types::I32, inside);
        let sum = self.ins().ins().iadd(narrow, inside);
        let wide = match is_signed {
            true => self.ins().ins().sextend(types::I64, sum),
            false => self.ins().ins().uextend(types::I64, sum),
        };
        let multiple = match times {
            1 => wide,
            _ => self.twice(wide),
        };
        let value = self.ins().ins().iadd(base, multiple);
        let outside = self.ins().ins().iconst(types::I64, outside);
        Pointer {
            value: self.ins().ins().iadd(value, outside),
            home: Home::Shared(home),
            low: -times * start,
            high: HOME_BYTES as i64 - times * (start + GREATEST),
            at: None,
        }
    }

    fn twice(&mut self, wide: Value) -> Value {
        let is_shifted = self.rng.bool();
        let by = if is_shifted { 1 } else { 2 };
        let by = self.ins().ins().iconst(types::I64, by);
        match is_shifted {
            true => self.ins().ins().ishl(wide, by),
            false => self.ins().ins().imul(wide, by),
        }
    }

    /// An index of 32 bits less [`BELOW`], often one that was used before.
    fn narrow_index(&mut self) -> Value {
        if !self.pool.narrow.is_empty() && self.rng.u8(..5) != 0 {
            let at = self.pick(self.pool.narrow.len());
            return self.pool.narrow[at];
        }
        let data = self.data();
        let mask = self.ins().ins().iconst(types::I64, GREATEST);
        let index = self.ins().ins().band(data, mask);
        let index = self.ins().ins().ireduce(types::I32, index);
        let below = self
            .ins()
            .ins()
            .iconst(types::I32, i64::from(-BELOW as u32));
        let narrow = self.ins().ins().iadd(index, below);
        self.pool.narrow.push(narrow);
        narrow
    }
}
