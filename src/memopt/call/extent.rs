//! Bytes behind a pointer.

/// The bytes behind a pointer that may be concerned: none, those from one distance up to another,
/// or any.
///
/// Distances are in bytes, from where the pointer points to, and may be negative. An extent is an
/// upper bound: of the bytes within it some may not be concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Extent {
    /// The distance of the first one.
    start: i32,
    /// That behind the last one. Not more than `start` if there are none.
    end: i32,
}

impl Extent {
    /// How far from a pointer bytes are known by their distance. What is further away may be
    /// anywhere, so that neither sums of two distances nor those of pointers of 32 bits wrap.
    const MAX_DISTANCE: i64 = 1 << 28;

    /// No byte.
    pub const NONE: Self = Self { start: 0, end: 0 };

    /// Any byte.
    pub const ANY: Self = Self {
        start: i32::MIN,
        end: i32::MAX,
    };

    /// So many bytes, the first one of them at a distance; any if that is too far away.
    ///
    /// Cost: constant.
    pub fn of(start: i64, bytes: u32) -> Self {
        let end = start.saturating_add(bytes.into());
        let is_near = start >= -Self::MAX_DISTANCE && end <= Self::MAX_DISTANCE;
        match is_near {
            true if bytes == 0 => Self::NONE,
            // Both are small.
            true => Self {
                start: start as i32,
                end: end as i32,
            },
            false => Self::ANY,
        }
    }

    /// Is there no byte in it?
    ///
    /// Cost: constant.
    pub fn is_none(self) -> bool {
        self.start >= self.end
    }

    /// Where the bytes begin, and how many there are; `None` if they may be anywhere, or if there
    /// are none.
    ///
    /// Cost: constant.
    pub fn range(self) -> Option<(i64, u32)> {
        let is_known = self != Self::ANY && !self.is_none();
        is_known.then(|| (self.start.into(), self.start.abs_diff(self.end)))
    }

    /// The bytes of both, and those in between.
    ///
    /// Cost: constant.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self.is_none(), other.is_none()) {
            (true, _) => other,
            (_, true) => self,
            (false, false) => Self {
                start: self.start.min(other.start),
                end: self.end.max(other.end),
            },
        }
    }

    /// The same bytes, counted from somewhere else: from where the pointer is `by` bytes behind
    /// that; `None` if it is not known how far.
    ///
    /// Cost: constant.
    #[must_use]
    pub fn behind(self, by: Option<i64>) -> Self {
        match (self.range(), by) {
            (Some((start, bytes)), Some(by)) => Self::of(start.saturating_add(by), bytes),
            (Some(_), None) => Self::ANY,
            (None, _) => self,
        }
    }
}

/// Some bytes behind a pointer, each of them by itself, of at most [64](Self::MAX_BYTES) that lie
/// next to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ByteSet {
    /// The distance of the byte that the lowest bit stands for; 0 if there is none.
    start: i32,
    bits: u64,
}

impl ByteSet {
    /// How many bytes from the first to the last are told apart.
    pub const MAX_BYTES: u32 = u64::BITS;

    /// No byte.
    pub const NONE: Self = Self { start: 0, bits: 0 };

    /// The bytes of which the bits are set; the lowest stands for the one to which the pointer
    /// points.
    ///
    /// Cost: constant.
    pub fn of_bits(bits: u64) -> Self {
        Self { start: 0, bits }
    }

    /// The bits of so many bytes, the first one of them at a distance, as far as they have any.
    ///
    /// Cost: constant.
    pub fn bits_of(start: i64, bytes: u32) -> u64 {
        let below = |at: i64| match u32::try_from(at) {
            Ok(at) => 1u64.checked_shl(at).map_or(u64::MAX, |bit| bit - 1),
            Err(_) if at < 0 => 0,
            Err(_) => u64::MAX,
        };
        below(start.saturating_add(bytes.into())) & !below(start)
    }

    /// Is there none?
    ///
    /// Cost: constant.
    pub fn is_none(self) -> bool {
        self.bits == 0
    }

    /// The bits of those that a pointer `by` bytes further back has; none if that is not known,
    /// or for those that are too far from it.
    ///
    /// Cost: constant.
    pub fn bits_behind(self, by: Option<i64>) -> u64 {
        let distance = by.and_then(|by| by.checked_add(self.start.into()));
        match distance {
            Some(by @ 0..64) => self.bits << by,
            Some(by @ -63..0) => self.bits >> -by,
            Some(_) | None => 0,
        }
    }

    /// The same bytes, counted from somewhere else, as [`Extent::behind`]; none if that is not
    /// known or too far away.
    ///
    /// Cost: constant.
    #[must_use]
    pub fn behind(self, by: Option<i64>) -> Self {
        let start = by.and_then(|by| i64::from(self.start).checked_add(by));
        let start = start.filter(|start| start.abs() <= Extent::MAX_DISTANCE);
        match start {
            Some(start) if self.bits != 0 => Self {
                // It is small.
                start: start as i32,
                bits: self.bits,
            },
            Some(_) | None => Self::NONE,
        }
    }

    /// Those that are in both.
    ///
    /// Cost: constant.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        let by = i64::from(other.start) - i64::from(self.start);
        let others = Self::of_bits(other.bits).bits_behind(Some(by));
        match self.bits & others {
            0 => Self::NONE,
            bits => Self { bits, ..self },
        }
    }

    /// Are so many bytes in it, the first one of them at a distance? And is there one?
    ///
    /// Cost: constant.
    pub fn has_all(self, start: i64, bytes: u32) -> bool {
        let at = start - i64::from(self.start);
        let is_within = at >= 0 && at.saturating_add(bytes.into()) <= Self::MAX_BYTES.into();
        let wanted = Self::bits_of(at, bytes);
        is_within && bytes > 0 && self.bits & wanted == wanted
    }

    /// The ranges that they make: where each begins, and how many bytes it has.
    ///
    /// Cost: O(ranges).
    pub fn ranges(self) -> impl Iterator<Item = (i64, u32)> {
        let mut left = self.bits;
        core::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let at = left.trailing_zeros();
            let bytes = (left >> at).trailing_ones();
            left &= !Self::bits_of(at.into(), bytes);
            Some((i64::from(self.start) + i64::from(at), bytes))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn extents_join_to_what_lies_around_both() {
        let (x, y) = (Extent::of(0, 8), Extent::of(16, 4));
        assert_eq!(x.join(y), Extent::of(0, 20));
        assert_eq!(x.join(Extent::NONE), x);
        assert_eq!(Extent::NONE.join(x), x);
        assert_eq!(x.join(Extent::ANY), Extent::ANY);
        assert_eq!(x.behind(Some(-8)).range(), Some((-8, 8)));
        assert_eq!(x.behind(None), Extent::ANY);
        assert_eq!(Extent::NONE.behind(None), Extent::NONE);
        assert_eq!(Extent::ANY.behind(Some(8)), Extent::ANY);
        assert_eq!(Extent::of(i64::MAX, 8), Extent::ANY);
        assert_eq!(Extent::of(1 << 28, 8), Extent::ANY);
    }

    #[test]
    fn sets_of_bytes() {
        let set = ByteSet::of_bits(0xff0f);
        assert_eq!(set.ranges().collect::<Vec<_>>(), vec![(0, 4), (8, 8)]);
        assert!(set.has_all(8, 8) && set.has_all(0, 4));
        assert!(!set.has_all(0, 5) && !set.has_all(4, 8) && !set.has_all(0, 0));
        assert!(!set.has_all(-1, 2) && !set.has_all(8, 64));
        let moved = set.behind(Some(100));
        assert!(moved.has_all(108, 8) && !moved.has_all(8, 8));
        assert_eq!(moved.bits_behind(Some(-100)), 0xff0f);
        assert_eq!(moved.bits_behind(Some(-108)), 0xff);
        assert_eq!(moved.bits_behind(None), 0);
        assert_eq!(
            set.common(ByteSet::of_bits(0xf).behind(Some(8))),
            ByteSet::of_bits(0xf00)
        );
        assert_eq!(
            set.common(ByteSet::of_bits(0xf).behind(Some(64))),
            ByteSet::NONE
        );
        assert_eq!(ByteSet::bits_of(60, 8), 0xf << 60);
        assert_eq!(ByteSet::bits_of(-4, 8), 0xf);
        assert_eq!(ByteSet::bits_of(0, 64), u64::MAX);
    }
}
