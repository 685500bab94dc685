//! How stores enter the buffers of both runs, and leave them.

use super::memory::Memory;
use super::place::Place;
use super::side::Side;
use super::store_buffer::{Store, StoreBuffers};
use super::terms::Terms;

/// Stores of each run that are kept in their order. Beyond it the oldest is a
/// place in which the bases differ.
const MAX_STORES: usize = 16;

impl Memory {
    /// These sides have made a store that changes their memory, and the
    /// differences tell so.
    pub fn append(&mut self, terms: &mut Terms, sides: &[Side], store: Store) {
        if self.are_equal() {
            self.buffers = StoreBuffers::default();
            return;
        }
        for side in sides {
            self.append_one(terms, *side, store);
        }
        self.apply_to_both(terms);
        self.forget_settled(terms);
    }

    fn append_one(&mut self, terms: &Terms, side: Side, store: Store) {
        let mut buffers = std::mem::take(&mut self.buffers);
        let covers =
            |outer: &Store, inner: &Place| self.position_in(terms, &outer.place, inner).is_some();
        let mine = &mut buffers.stores[side as usize];
        mine.retain(|old| !covers(&store, &old.place));
        mine.push(store);
        let oldest = (mine.len() > MAX_STORES).then(|| mine.remove(0));
        // What both write all over may as well be equal before.
        let theirs = &buffers.stores[side.other() as usize];
        buffers.apart.retain(|place| {
            !(covers(&store, place) && theirs.iter().any(|other| covers(other, place)))
        });
        if let Some(oldest) = oldest {
            self.add_place(terms, &mut buffers.apart, oldest.place);
        }
        self.buffers = buffers;
    }

    /// Applies stores to the bases that both runs have, and that may come first.
    fn apply_to_both(&mut self, terms: &mut Terms) {
        let mut buffers = std::mem::take(&mut self.buffers);
        let mut narrower = false;
        while let Some([x, y]) = self.first_of_both(terms, &buffers) {
            let [mine, theirs] = &mut buffers.stores;
            let store = mine.remove(x);
            theirs.remove(y);
            self.escape(terms.taint(store.value));
            buffers.apart = self.without(terms, &buffers.apart, &store.place);
            narrower = true;
        }
        self.buffers = buffers;
        if narrower {
            self.narrow_differences(terms);
        }
    }

    fn first_of_both(&self, terms: &Terms, buffers: &StoreBuffers) -> Option<[usize; 2]> {
        let [mine, theirs] = &buffers.stores;
        (0..mine.len()).find_map(|x| {
            let y = theirs.iter().position(|store| *store == mine[x])?;
            let first =
                self.may_come_first(terms, mine, x) && self.may_come_first(terms, theirs, y);
            first.then_some([x, y])
        })
    }

    /// May the store at `at` change places with all those before it?
    fn may_come_first(&self, terms: &Terms, stores: &[Store], at: usize) -> bool {
        let mut before = stores[..at].iter();
        !before.any(|store| self.keep_order(terms, store, &stores[at]))
    }

    /// The last store in `mine` and in `theirs` (of another memory) that are the
    /// same and may come last.
    pub fn last_of_both(
        &self,
        terms: &Terms,
        [mine, theirs]: [&[Store]; 2],
        are_same: impl Fn(&Store, &Store) -> bool,
    ) -> Option<[usize; 2]> {
        (0..mine.len()).rev().find_map(|x| {
            let y = theirs.iter().rposition(|store| are_same(&mine[x], store))?;
            let last = self.may_come_last(terms, mine, x) && self.may_come_last(terms, theirs, y);
            last.then_some([x, y])
        })
    }

    fn may_come_last(&self, terms: &Terms, stores: &[Store], at: usize) -> bool {
        let mut behind = stores[at + 1..].iter();
        !behind.any(|store| self.keep_order(terms, store, &stores[at]))
    }

    /// Does it matter which of two stores comes first?
    ///
    /// One of them may have been made while their slot was private, where tags
    /// mean nothing.
    fn keep_order(&self, terms: &Terms, a: &Store, b: &Store) -> bool {
        let slot = |store: &Store| store.place.root.and_then(|root| terms.within(root));
        let untagged = |store: &Store| Place {
            class: None,
            ..store.place
        };
        if slot(a).is_some() && slot(a) == slot(b) {
            return self.may_overlap(terms, &untagged(a), &untagged(b));
        }
        self.may_overlap(terms, &a.place, &b.place)
    }

    /// Where the bases are equal, the memories differ only where a buffered store or [`StoreBuffers::apart`] says so.
    fn narrow_differences(&mut self, terms: &mut Terms) {
        let stored = self.buffers.all().map(|store| store.place);
        let buffers: Vec<Place> = self.buffers.apart.iter().copied().chain(stored).collect();
        let overlaps = |place: &Place| {
            let mut buffers = buffers.iter();
            buffers.any(|other| self.may_overlap(terms, other, place))
        };
        let mut in_private = self.in_private.clone();
        in_private.retain(|(_, place)| overlaps(place));
        self.in_private = in_private;
        for difference in std::mem::take(&mut self.differences) {
            let covers = |place: &&Place| self.has_all(terms, place, &difference);
            if buffers.iter().any(|place| covers(&place)) {
                self.open(terms, difference);
                continue;
            }
            for place in &buffers {
                if self.may_overlap(terms, place, &difference) {
                    // What differs is in both, and so of the class of either.
                    let class = place.class.or(difference.class);
                    let is_in_slot =
                        |place: &Place| place.root.is_none_or(|root| terms.within(root).is_some());
                    let class = if is_in_slot(place) || is_in_slot(&difference) {
                        place.class
                    } else {
                        class
                    };
                    self.open(terms, Place { class, ..*place });
                }
            }
        }
    }

    /// Drops each buffered store at whose place the memories are equal, if no other
    /// buffered store, and no place in which the bases differ, may overlap it.
    fn forget_settled(&mut self, terms: &Terms) {
        if self.are_equal() {
            self.buffers = StoreBuffers::default();
            return;
        }
        for side in Side::BOTH {
            let mut at = 0;
            while at < self.buffers.stores[side as usize].len() {
                if self.is_settled(terms, side, at) {
                    self.buffers.stores[side as usize].remove(at);
                } else {
                    at += 1;
                }
            }
        }
    }

    fn is_settled(&self, terms: &Terms, side: Side, at: usize) -> bool {
        let StoreBuffers { apart, stores } = &self.buffers;
        let store = &stores[side as usize][at];
        let mut other_stores = Side::BOTH.into_iter().flat_map(|other| {
            let stores = stores[other as usize].iter().enumerate();
            stores.filter(move |(index, _)| other != side || *index != at)
        });
        let overlaps = |place: &Place| self.may_overlap(terms, place, &store.place);
        !self.differs_at(terms, &store.place)
            && !apart.iter().any(overlaps)
            && !other_stores.any(|(_, other)| self.keep_order(terms, other, store))
    }

    /// The outside may have written over a buffered store: the memories as they are now
    /// become the bases, which differ wherever the memories do.
    pub fn forget_order(&mut self) {
        let in_private = self.in_private.iter().map(|(_, place)| place);
        self.buffers = StoreBuffers {
            apart: self.differences.iter().chain(in_private).copied().collect(),
            stores: Default::default(),
        };
    }
}
