//! Edits of loops as data.

use super::{Content, Edge, Place, Promotion};
use crate::ir::{Block, Inst};
use alloc::vec::Vec;

/// Loads that go in front of a loop.
#[derive(Clone, Debug)]
pub struct Hoisted {
    /// The header of the loop.
    pub header: Block,
    /// The edges into the loop, which meet first.
    pub entries: Vec<Edge>,
    /// Do they meet in a block that has to be made?
    pub splits: bool,
    /// What the loop computes of their addresses, each behind its operands: it is copied.
    pub computed: Vec<Inst>,
    /// The loads, in their order.
    pub loads: Vec<Inst>,
}

/// A loop that is entered behind a copy of its test.
#[derive(Clone, Debug)]
pub struct Turned {
    /// The header, which ends in the test.
    pub header: Block,
    /// The edges into the loop.
    pub entries: Vec<Edge>,
}

/// How what a loop keeps in memory becomes a value that goes round it.
#[derive(Clone, Debug)]
pub struct Carried {
    /// The value. Its first access is the store in front of the loop.
    pub value: Promotion,
    /// Where it is stored instead, and what.
    pub places: Vec<(Place, Content)>,
}

impl Carried {
    /// Is there a place that only a new block has?
    pub fn makes_blocks(&self) -> bool {
        let mut places = self.places.iter();
        places.any(|(place, _)| !matches!(place, Place::Start(_)))
    }
}
