//! Edits as data that concern some paths and not others.

use crate::ir::{Block, Inst, Value};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// A block that nothing but a jump is in, and the edges into it.
#[derive(Clone, Debug)]
pub struct Bypass {
    /// The block.
    pub block: Block,
    /// The edges. Those that lead elsewhere by now are left alone.
    pub edges: SmallVec<[Edge; 4]>,
}

/// A block that does what another one does.
#[derive(Clone, Debug)]
pub struct Twin {
    /// The block, which nothing leads to any more.
    pub block: Block,
    /// The other one.
    pub other: Block,
    /// The edges into the block.
    pub edges: Vec<Edge>,
}

/// A value, and a copy of it in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Copied {
    /// The value.
    pub value: Value,
    /// The block of the copy.
    pub block: Block,
    /// The copy.
    pub copy: Value,
}

/// An edge out of a block: a branch, and the position of one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The branch that ends the block.
    pub branch: Inst,
    /// Which of its destinations.
    pub destination: usize,
}

/// Jump threading: one edge that determines a branch goes past it, through a copy of
/// the blocks up to it.
#[derive(Clone, Debug)]
pub struct Thread {
    /// The edge into the first block.
    pub edge: Edge,
    /// The blocks that are copied, each of which leads only to the next.
    pub chain: Vec<Block>,
    /// The destination of the branch that ends the last of them.
    pub taken: usize,
}

/// Where a store goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// To the start of a block.
    Start(Block),
    /// Onto all edges from one block to another.
    Edge(Block, Block),
    /// In front of the end of the function at a conditional trap, which becomes a branch to a
    /// block that traps.
    Trap(Inst),
}

/// Stores that move together.
#[derive(Clone, Debug, Default)]
pub struct Sunk {
    /// The stores, which leave their places.
    pub stores: Vec<Inst>,
    /// Where they go, in this order at each place.
    pub places: Vec<(Place, Vec<Inst>)>,
    /// Blocks that count as cold, and become so.
    pub cold: Vec<Block>,
}

impl Sunk {
    /// Is there a place that only a new block has?
    pub fn makes_blocks(&self) -> bool {
        let mut places = self.places.iter();
        places.any(|(place, _)| !matches!(place, Place::Start(_)))
    }
}

/// Where an instruction goes.
#[derive(Clone, Copy, Debug)]
pub struct Below {
    /// The block.
    pub block: Block,
    /// What it must not pass there.
    pub end: Option<Inst>,
}

/// Instructions that a value may pass in one block.
///
/// Closer to its use it needs a register for less time; farther is no gain.
pub const MAX_PASSED: usize = 64;

/// Accesses that move from the start of a block to some of the edges into it.
#[derive(Clone, Debug)]
pub struct Upward {
    /// The block.
    pub join: Block,
    /// The edges that need the accesses.
    pub edges: Vec<Edge>,
    /// Do those edges meet in a block that has to be made?
    pub splits: bool,
    /// What the block computes of the addresses, each behind its operands: it is copied.
    pub computed: SmallVec<[Inst; 4]>,
    /// What moves, in its order.
    pub moved: Vec<Moved>,
    /// The positions in it before which the function is whole again: what follows may concern
    /// the memory that one before it does, and is right because that has moved.
    pub steps: Vec<usize>,
}

/// One access that moves.
#[derive(Clone, Debug)]
pub enum Moved {
    /// A load, and its value at the predecessors that know it.
    Load(Inst, Vec<(Block, Value)>),
    /// A store.
    Store(Inst),
}

/// Loads of the same bytes behind one branch.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The block that the branch ends.
    pub block: Block,
    /// What the first successor computes of the address, each behind its operands; goes there, too.
    pub computed: Vec<Inst>,
    /// One load in each of its successors; the first goes in front of the branch, and the others
    /// are it.
    pub loads: Vec<Inst>,
}

/// Stores to one place with which all predecessors of a block end.
#[derive(Clone, Debug)]
pub struct JoinedStores {
    /// The block.
    pub join: Block,
    /// One store in each predecessor, all alike but for what they store.
    pub stores: Vec<(Block, Inst)>,
    /// The parameter of the block that is passed what they store, if it has one.
    pub param: Option<Value>,
}
