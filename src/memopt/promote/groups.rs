//! Things that have to do with each other: union-find, in which what is wrong with one is wrong with
//! all.

use alloc::vec;
use alloc::vec::Vec;

/// Disjoint sets, each of which may be spoilt.
#[derive(Default)]
pub struct Groups {
    parent: Vec<u32>,
    /// By the representative of a set.
    spoilt: Vec<bool>,
}

impl Groups {
    /// So many sets of one member each.
    pub fn new(len: usize) -> Self {
        Self {
            parent: (0..len as u32).collect(),
            spoilt: vec![false; len],
        }
    }

    /// The representative of the set of `at`.
    pub fn of(&mut self, mut at: u32) -> u32 {
        while self.parent[at as usize] != at {
            let above = self.parent[at as usize];
            self.parent[at as usize] = self.parent[above as usize];
            at = above;
        }
        at
    }

    /// Makes one set of those of `a` and `b`.
    pub fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.of(a), self.of(b));
        self.parent[a as usize] = b;
        self.spoilt[b as usize] |= self.spoilt[a as usize];
    }

    /// Spoils the set of `at`, and whatever it becomes a part of.
    pub fn spoil(&mut self, at: u32) {
        let set = self.of(at);
        self.spoilt[set as usize] = true;
    }

    /// Is the set of `at` spoilt?
    pub fn is_spoilt(&mut self, at: u32) -> bool {
        let set = self.of(at);
        self.spoilt[set as usize]
    }
}
