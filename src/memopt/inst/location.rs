//! Places in memory, and how two of them overlap.

use crate::ir::{StackSlot, Value};

/// What an address is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Root {
    /// A value about which nothing else is known. It means one address only
    /// within one iteration of the loop that computes it.
    Value(Value),
    /// A stack slot.
    Slot(StackSlot),
    /// A value as in [`Self::Value`] that points into a stack slot, nobody knows where: two
    /// addresses behind one such value lie to each other as their offsets do.
    InSlot(StackSlot, Value),
    /// A pointer that the policy calls shared: region and offset of its load.
    Shared(u32, i64),
    /// Address zero: what is a constant is a distance from that.
    Absolute,
}

impl Root {
    /// The slot that an address behind it is in, if it is one.
    pub fn slot(self) -> Option<StackSlot> {
        match self {
            Self::Slot(slot) | Self::InSlot(slot, _) => Some(slot),
            Self::Value(_) | Self::Shared(..) | Self::Absolute => None,
        }
    }

    /// The value that it is, or whose place in a slot.
    pub fn value(self) -> Option<Value> {
        match self {
            Self::Value(value) | Self::InSlot(_, value) => Some(value),
            Self::Slot(_) | Self::Shared(..) | Self::Absolute => None,
        }
    }

    /// The same by another name of its value.
    pub fn named(self, value: Value) -> Self {
        match self {
            Self::Value(_) => Self::Value(value),
            Self::InSlot(slot, _) => Self::InSlot(slot, value),
            Self::Slot(_) | Self::Shared(..) | Self::Absolute => self,
        }
    }
}

/// `root + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// What the address is based on.
    pub root: Root,
    /// The constant distance; `None` if it is somewhere in a slot.
    pub offset: Option<i64>,
}

impl Address {
    /// The address `by` bytes further, wrapping like pointers of `bits` bits.
    pub fn plus(self, by: i64, bits: u32) -> Self {
        let offset = self
            .offset
            .map(|offset| wrap(offset.wrapping_add(by), bits));
        Self { offset, ..self }
    }
}

/// Some bytes at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// Where they begin.
    pub address: Address,
    /// How many there are; `None` if the target decides.
    pub bytes: Option<u32>,
}

/// How the bytes of one location lie to those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// They share no byte.
    None,
    /// They are the same bytes.
    Same,
    /// The first has all bytes of the second, which begin `at` bytes into it,
    /// and more.
    Covers {
        /// Where the second begins in the first.
        at: u32,
    },
    /// The second has all bytes of the first, and more.
    Inside,
    /// They share some bytes, and each has others.
    Partial,
    /// They may share bytes.
    Unknown,
}

impl Overlap {
    /// May a byte belong to both?
    pub fn may_share(self) -> bool {
        match self {
            Self::None => false,
            Self::Same | Self::Covers { .. } | Self::Inside | Self::Partial | Self::Unknown => true,
        }
    }

    /// Does the first certainly have all bytes of the second?
    pub fn covers(self) -> bool {
        match self {
            Self::Same | Self::Covers { .. } => true,
            Self::None | Self::Inside | Self::Partial | Self::Unknown => false,
        }
    }
}

impl Location {
    /// How `self` lies to `other` if both are based on the same root, and that
    /// has not changed its meaning between them. Pointers have `bits` bits.
    pub fn overlap_in_root(&self, other: &Self, bits: u32) -> Overlap {
        let (Some(mine), Some(theirs)) = (self.address.offset, other.address.offset) else {
            return Overlap::Unknown;
        };
        let (Some(size), Some(other_size)) = (self.bytes, other.bytes) else {
            return Overlap::Unknown;
        };
        let (size, other_size) = (i64::from(size), i64::from(other_size));
        let distance = wrap(theirs.wrapping_sub(mine), bits);
        if distance == 0 && size == other_size {
            Overlap::Same
        } else if distance >= size || distance <= -other_size {
            Overlap::None
        } else if distance >= 0 && distance + other_size <= size {
            Overlap::Covers {
                at: distance as u32,
            }
        } else if distance <= 0 && distance + other_size >= size {
            Overlap::Inside
        } else {
            Overlap::Partial
        }
    }
}

impl Location {
    /// How far behind the root it ends.
    pub fn end(&self) -> Option<i64> {
        self.address.offset?.checked_add(self.bytes?.into())
    }

    /// What is left of it where its root means something else: it is somewhere in its slot.
    pub fn anywhere_in_slot(&self) -> Option<Self> {
        let Root::InSlot(slot, _) = self.address.root else {
            return None;
        };
        let address = Address {
            root: Root::Slot(slot),
            offset: None,
        };
        Some(Self { address, ..*self })
    }

    /// How far behind `self` the bytes of `other` begin, which has the same root. Pointers have
    /// `bits` bits.
    pub fn distance(&self, other: &Self, bits: u32) -> Option<i64> {
        let (mine, theirs) = (self.address.offset?, other.address.offset?);
        Some(wrap(theirs.wrapping_sub(mine), bits))
    }
}

/// `offset` as a signed number of `bits` bits.
fn wrap(offset: i64, bits: u32) -> i64 {
    let unused = 64 - bits.min(64);
    offset.wrapping_shl(unused).wrapping_shr(unused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn at(offset: i64, bytes: u32) -> Location {
        let root = Root::Value(Value::from_u32(0));
        let address = Address {
            root,
            offset: Some(offset),
        };
        Location {
            address,
            bytes: Some(bytes),
        }
    }

    /// The bytes of a location in a small address space.
    fn bytes(location: &Location, bits: u32) -> Vec<i64> {
        let start = location.address.offset.unwrap();
        (0..i64::from(location.bytes.unwrap()))
            .map(|byte| wrap(start + byte, bits))
            .collect()
    }

    #[test]
    fn overlap_agrees_with_counting_bytes() {
        for (a, b) in (-9..9).flat_map(|a| (-9..9).map(move |b| (a, b))) {
            for (n, m) in [(1, 1), (1, 4), (4, 1), (4, 4), (8, 3), (3, 8)] {
                let (x, y) = (at(a, n), at(b, m));
                let (xs, ys) = (bytes(&x, 64), bytes(&y, 64));
                let shared = ys.iter().filter(|byte| xs.contains(byte)).count();
                let overlap = x.overlap_in_root(&y, 64);
                assert_eq!(overlap.may_share(), shared > 0, "{x:?} {y:?}");
                assert_eq!(overlap.covers(), shared == ys.len(), "{x:?} {y:?}");
                assert_eq!(
                    overlap == Overlap::Inside,
                    shared == xs.len() && n < m,
                    "{x:?} {y:?}"
                );
                if let Overlap::Covers { at } = overlap {
                    assert_eq!(xs[at as usize], ys[0]);
                }
            }
        }
    }

    #[test]
    fn offsets_wrap_at_the_width_of_a_pointer() {
        let high = at(i64::from(i32::MAX), 4);
        let low = at(i64::from(i32::MIN), 1);
        assert_eq!(high.overlap_in_root(&low, 32), Overlap::Covers { at: 1 });
        assert_eq!(high.overlap_in_root(&low, 64), Overlap::None);
    }
}
