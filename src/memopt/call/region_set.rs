//! Sets of alias regions.

use smallvec::SmallVec;

/// A set of alias regions, by user id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegionSet(Regions);

/// Sorted and without duplicates, which is why nobody else makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Regions {
    These(SmallVec<[u32; 4]>),
    All,
}

impl RegionSet {
    /// No memory at all.
    ///
    /// Cost: constant.
    pub fn none() -> Self {
        Self(Regions::These(SmallVec::new()))
    }

    /// Any memory but the caller's private stack slots.
    ///
    /// Cost: constant.
    pub fn all() -> Self {
        Self(Regions::All)
    }

    /// The regions with these user ids, in any order.
    ///
    /// Cost: O(n log n) for n ids.
    pub fn of(ids: impl IntoIterator<Item = u32>) -> Self {
        let mut ids: SmallVec<[u32; 4]> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self(Regions::These(ids))
    }

    /// The user ids of the regions, in their order; `None` if it is any memory.
    ///
    /// Cost: constant.
    pub fn ids(&self) -> Option<&[u32]> {
        match &self.0 {
            Regions::These(ids) => Some(ids),
            Regions::All => None,
        }
    }

    /// Is no region in this set?
    ///
    /// Cost: constant.
    pub fn is_empty(&self) -> bool {
        self.ids().is_some_and(<[u32]>::is_empty)
    }

    /// Is it any memory?
    ///
    /// Cost: constant.
    pub fn is_all(&self) -> bool {
        self.ids().is_none()
    }

    /// Is the region with user id `id` in this set?
    ///
    /// Cost: O(log regions).
    pub fn contains(&self, id: u32) -> bool {
        self.ids().is_none_or(|ids| ids.binary_search(&id).is_ok())
    }

    /// Is all memory of this set in `other`?
    ///
    /// Cost: O(regions of both).
    pub fn is_subset(&self, other: &Self) -> bool {
        match (self.ids(), other.ids()) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(mine), Some(theirs)) => missing(mine, theirs) == 0,
        }
    }

    /// Adds one region.
    ///
    /// Cost: O(regions), because those behind it move; where there are many, make a
    /// set of them first.
    pub fn insert(&mut self, id: u32) {
        if let Regions::These(ids) = &mut self.0
            && let Err(at) = ids.binary_search(&id)
        {
            ids.insert(at, id);
        }
    }

    /// Adds all regions of `other`.
    ///
    /// Cost: O(regions of both), by one merge; nothing is moved if none is new.
    pub fn union_with(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Regions::All, _) => {}
            (Regions::These(_), Regions::All) => *self = Self::all(),
            (Regions::These(mine), Regions::These(theirs)) => merge(mine, theirs),
        }
    }
}

/// How many of `ids` are not in `others`; both are sorted and without duplicates.
fn missing(ids: &[u32], others: &[u32]) -> usize {
    let mut others = others.iter().peekable();
    let mut missing = 0;
    for id in ids {
        while others.next_if(|other| *other < id).is_some() {}
        missing += usize::from(others.peek() != Some(&id));
    }
    missing
}

/// Adds `theirs` to `mine`; both are sorted and without duplicates.
fn merge(mine: &mut SmallVec<[u32; 4]>, theirs: &[u32]) {
    let new = missing(theirs, mine);
    if new == 0 {
        return;
    }
    let mut read = mine.len();
    let mut from = theirs.len();
    mine.resize(read + new, 0);
    // From the back, so that what is not read yet is not written over.
    for write in (0..mine.len()).rev() {
        let next = from.checked_sub(1).map(|at| theirs[at]);
        let old = read.checked_sub(1).map(|at| mine[at]);
        if next >= old {
            from -= 1;
        }
        if old >= next {
            read -= 1;
        }
        // Whoever has none left is `None`, which is the least.
        mine[write] = old.max(next).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn subsets() -> impl Iterator<Item = Vec<u32>> {
        (0..64u32).map(|bits| (0..6).filter(|id| bits & (1 << id) != 0).collect())
    }

    #[test]
    fn a_union_is_what_either_has() {
        for (a, b) in subsets().flat_map(|a| subsets().map(move |b| (a.clone(), b))) {
            let mut union = RegionSet::of(a.clone());
            union.union_with(&RegionSet::of(b.clone()));
            let both = RegionSet::of(a.iter().chain(&b).copied());
            assert_eq!(union, both, "{a:?} {b:?}");
            assert!(RegionSet::of(a).is_subset(&union) && RegionSet::of(b).is_subset(&union));
        }
    }

    #[test]
    fn a_set_is_a_subset_of_one_with_the_same_ids() {
        for (a, b) in subsets().flat_map(|a| subsets().map(move |b| (a.clone(), b))) {
            let contained = a.iter().all(|id| b.contains(id));
            assert_eq!(RegionSet::of(a).is_subset(&RegionSet::of(b)), contained);
        }
    }

    #[test]
    fn any_memory_has_every_region_and_is_in_no_list_of_them() {
        let mut some = RegionSet::of([3, 1]);
        assert!(some.is_subset(&RegionSet::all()) && !RegionSet::all().is_subset(&some));
        some.union_with(&RegionSet::all());
        assert!(some.is_all() && some.contains(7));
        some.union_with(&RegionSet::of([2]));
        assert!(some.is_all() && !some.is_empty());
    }

    #[test]
    fn the_order_in_which_regions_are_given_makes_no_difference() {
        let set = RegionSet::of(vec![5, 1, 5, 3]);
        assert_eq!(set.ids(), Some(&[1, 3, 5][..]));
        assert!([1, 3, 5].into_iter().all(|id| set.contains(id)) && !set.contains(2));
    }
}
