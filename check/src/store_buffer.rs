//! Stores that only one run has made so far, in their order.
//!
//! *Invariant.* There are two memories, the *bases*, that are equal outside of
//! [`StoreBuffers::apart`], and the memory of each run is what its base becomes by
//! its [`StoreBuffers::stores`], applied in order.
//!
//! Two stores that may be to one place keep their order, and everything else may
//! change places. A store that both runs have, and that may come first in both,
//! is applied to the bases. So stores that may overlap can be moved together,
//! also out of loops, into several successors, and above joins.

use super::place::{Access, Place};
use super::terms::Term;
use cranelift_codegen::ir::Endianness;

/// A store that one run has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// Where.
    pub place: Place,
    /// What.
    pub value: Term,
    /// In which order of bytes.
    pub order: Endianness,
}

impl Store {
    /// Of `value`, as `access` says.
    pub fn new(access: &Access, value: Term) -> Self {
        Self {
            place: access.place,
            value,
            order: access.order,
        }
    }
}

/// What makes the memories of both runs out of bases that are nearly equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreBuffers {
    /// Where the bases may differ.
    pub apart: Vec<Place>,
    /// The stores of each run, the oldest first.
    pub stores: [Vec<Store>; 2],
}

impl StoreBuffers {
    /// All stores.
    pub fn all(&self) -> impl Iterator<Item = &Store> {
        self.stores.iter().flatten()
    }

    /// How much room it takes.
    pub fn size(&self) -> usize {
        self.apart.len() + self.all().count()
    }
}
