//! Sets of slots.

use cranelift_codegen::ir::StackSlot;

/// Slots, one a bit; the last bit stands for all slots with higher numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotSet(u64);

impl SlotSet {
    /// Every slot.
    pub const ALL: Self = Self(u64::MAX);

    /// One slot.
    pub fn of(slot: StackSlot) -> Self {
        Self(1 << slot.as_u32().min(63))
    }

    /// May `slot` be in it?
    pub fn has(self, slot: StackSlot) -> bool {
        self.0 & Self::of(slot).0 != 0
    }

    /// Those in either.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Is everything in `self` in `other` too?
    pub fn is_in(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Is any in both?
    pub fn may_share(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Is there none in it?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}
