//! Where stores end that move.

use crate::ir::Block;
use crate::memopt::cfg::graph::Node;
use crate::memopt::edit::Place;
use crate::memopt::memory::ssa::Class;
use crate::memopt::paths::same_traps::Twins;
use crate::{FxHashMap, FxHashSet};
use alloc::vec;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// A store that may move, by its position in the list of all.
pub(super) type StoreIndex = usize;

/// Some of the stores, in their order.
pub(super) type Stores = SmallVec<[StoreIndex; 8]>;

/// Stores by which a function may grow though few move.
const MORE: u32 = 3;

/// What became of the stores in one walk.
#[derive(Default)]
pub(super) struct Outcome {
    /// Edges on which each store was dropped, and stores that overwrite it behind a trap; but for
    /// cold ones.
    pub drops: Vec<u32>,
    pub copies: Vec<u32>,
    /// Those of the copies that are executed about as often as the store.
    pub warm: Vec<u32>,
    /// Branches that each store has passed.
    pub splits: Vec<u32>,
    pub blocks: Vec<u32>,
    pub moved: Vec<bool>,
    pub places: Vec<(Place, Stores)>,
    by_place: FxHashMap<Place, usize>,
    /// What has to be asked to know on which edges stores are dropped.
    pub questions: Vec<(Node, Class)>,
    /// Is any such edge worth it to the store?
    pub may_gain: Vec<bool>,
}

impl Outcome {
    /// Nothing yet, for so many stores.
    pub fn of(count: usize) -> Self {
        Self {
            drops: vec![0; count],
            copies: vec![0; count],
            warm: vec![0; count],
            splits: vec![0; count],
            blocks: vec![0; count],
            moved: vec![false; count],
            may_gain: vec![false; count],
            ..Self::default()
        }
    }

    /// The most copies that a store may have if the function is to get no more stores than
    /// [`MORE`] and as many as move.
    ///
    /// Of three adapters, one around the other, each of which calls the host on a cold path, the
    /// outermost one's record is needed on three paths, the next one's on two, and the innermost
    /// one's on one. Of a callee with eight such paths the record would be copied to each.
    ///
    /// Cost: O(stores · log stores).
    pub fn affordable(&self) -> u32 {
        let moved = self.moved.iter().zip(&self.copies);
        let moved = moved.filter(|(moved, _)| **moved);
        let mut copies: Vec<u32> = moved.map(|(_, copies)| *copies).collect();
        copies.sort_unstable();
        while let Some(most) = copies.last().copied() {
            let (stores, all) = (copies.len() as u32, copies.iter().sum::<u32>());
            if all <= 2 * stores + MORE {
                return most;
            }
            copies.retain(|count| *count < most);
        }
        0
    }

    /// Does a store gain by moving, and go to several places?
    pub fn has_copies(&self) -> bool {
        let mut stores = self.drops.iter().zip(&self.copies);
        stores.any(|(drops, copies)| *drops > 0 && *copies > 1)
    }

    /// The blocks to which a store that gains by it goes twice, because another one is its twin.
    pub fn needed_twice(&self, twins: &Twins) -> Vec<Block> {
        let mut needed: FxHashSet<(StoreIndex, Block)> = FxHashSet::default();
        let mut twice = Vec::new();
        for (place, stores) in &self.places {
            let (Place::Start(block) | Place::Edge(_, block)) = place else {
                continue;
            };
            let block = twins.get(block).copied().unwrap_or(*block);
            for store in stores.iter().filter(|store| self.drops[**store] > 0) {
                if !needed.insert((*store, block)) {
                    twice.push(block);
                }
            }
        }
        twice
    }

    /// The store ends at `place`, behind those that end there already.
    pub fn land(&mut self, store: StoreIndex, place: Place, warm: bool) {
        self.copies[store] += 1;
        self.warm[store] += u32::from(warm);
        let places = &mut self.places;
        let at = *self.by_place.entry(place).or_insert_with(|| {
            places.push((place, Stores::new()));
            places.len() - 1
        });
        self.places[at].1.push(store);
    }
}
