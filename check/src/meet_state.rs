//! The meet of two states: the live values, then the memories, then the conditions.

use super::meet::{Meet, first_pair};
use super::side::Side;
use super::state::State;
use super::terms::{Term, Terms};

/// Meetings of a state after which none makes two facts of one. In a loop they
/// could become more and more.
const MAX_MEETS: u8 = 6;

impl State {
    /// Meets `other` into `self`, where the same values are live; has anything
    /// changed?
    pub fn meet(&mut self, terms: &mut Terms, other: &State) -> bool {
        let mut meet = Meet::new(terms);
        meet.only_fewer = self.meets == MAX_MEETS;
        self.meets = MAX_MEETS.min(self.meets + 1);
        meet.keep_common_names(self, other);
        for side in Side::BOTH {
            let both = self.values[side as usize]
                .iter_mut()
                .zip(&other.values[side as usize]);
            for ((value, mine), (other_value, theirs)) in both {
                debug_assert_eq!(value, other_value);
                *mine = meet.meet(*mine, *theirs);
            }
        }
        meet.memory(&mut self.memory, &other.memory);
        meet.assumed(&mut self.assumed, &other.assumed);
        meet.changed
    }
}

impl Meet<'_> {
    /// What both states call the same keeps its name: a fact or a buffered store
    /// may know it by that.
    pub fn keep_common_names(&mut self, mine: &State, theirs: &State) {
        for side in Side::BOTH {
            let both = mine.values[side as usize].iter();
            for ((_, x), (_, y)) in both.zip(&theirs.values[side as usize]) {
                if x == y {
                    self.meet(*x, *y);
                }
            }
            let stores = mine.memory.buffers.stores[side as usize].iter();
            let others = &theirs.memory.buffers.stores[side as usize];
            for store in stores.filter(|store| others.contains(store)) {
                self.meet(store.value, store.value);
                if let Some(root) = store.place.root {
                    self.meet(root, root);
                }
            }
        }
    }

    /// Keeps the conditions that are known on both paths.
    pub fn assumed(&mut self, mine: &mut Vec<(Term, bool)>, theirs: &[(Term, bool)]) {
        let before = std::mem::take(mine);
        for (condition, holds) in &before {
            let same = first_pair(&(*condition, *holds), theirs, |x, y| {
                let is_one = x.1 == y.1;
                is_one.then(|| self.same_term(x.0, y.0)).flatten()
            });
            mine.extend(same.map(|(_, condition)| (condition, *holds)));
        }
        self.changed |= *mine != before;
    }
}
