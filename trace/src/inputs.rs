//! What a run starts from.

use crate::heap::Heap;
use std::collections::BTreeSet;

/// What a run starts from.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// What memory holds and what the world does.
    pub seed: u64,
    /// The arguments of the first function.
    pub args: Vec<u128>,
    /// Instructions that it may execute.
    pub fuel: u64,
    /// Memory of its own, for functions that do not keep to the layout.
    pub heap: Heap,
    /// The slots, by frame and number, that a trap hides: those that this run, or
    /// the one that it is compared with, accesses under a region that is lost.
    pub lost: BTreeSet<(u32, u32)>,
}
