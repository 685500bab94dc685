//! Types for which upstream's rules have no zero.

use super::Body;
use cranelift_codegen::ir::{InstBuilder, Type, types};

/// Types that are moved and hardly computed with.
pub(super) const ODD: [Type; 6] = [
    types::F16,
    types::F128,
    types::I32X2,
    types::I16X4,
    types::I8X8,
    types::F32X2,
];

impl Body<'_> {
    /// A value combined with itself, which one can only tell after memory was read.
    pub(super) fn with_itself(&mut self) {
        let ty = match self.rng.u8(..3) {
            0 => self.access_type(),
            _ => ODD[self.rng.usize(..ODD.len())],
        };
        let value = self.value_of(ty);
        let Some(cell) = self.kept_by(value, ty) else {
            return;
        };
        let same = self.load_plainly(cell, ty);
        let subtracts = ty.lane_type().is_int() && self.rng.bool();
        let mut cursor = self.ins();
        let ins = cursor.ins();
        let result = match subtracts {
            true => ins.isub(value, same),
            false => ins.bxor(value, same),
        };
        self.found(result);
        if let Some(mut spot) = self.spot() {
            spot.ty = ty;
            if super::accesses::fits(&spot) {
                self.store_to(spot, result);
            }
        }
    }
}
