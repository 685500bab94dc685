//! What a change is: edits as data, without the analyses that found them.
//!
//! The edits of one pass are all proven against the same function, and may be
//! applied together: none of them cites another as its reason unless their
//! pass says why it may. [`apply`](super::apply) alone makes them.

use crate::ir::{Block, Inst, StackSlot, Value};
use crate::memopt::inst::coercion::Recipe;
use alloc::vec::Vec;

/// One change.
#[derive(Clone, Debug)]
pub enum Edit {
    /// The load gives a value that is known: this one, converted.
    ReplaceLoad {
        /// The load.
        load: Inst,
        /// What memory holds is made of this.
        value: Value,
        /// How.
        recipe: Recipe,
    },
    /// The load gives a value that every predecessor of `block` knows, each
    /// under its own name: `block` takes it as a parameter.
    ReplaceLoadByParam {
        /// The load, which `block` dominates.
        load: Inst,
        /// Where the values meet.
        block: Block,
        /// For each predecessor the value there; `None` for the parameter.
        args: Vec<(Block, Option<Value>)>,
    },
    /// The store writes what is there.
    RemoveNoopStore(Inst),
    /// Nobody sees what the store writes.
    RemoveDeadStore(Inst),
    /// Nobody uses what the load reads.
    RemoveUnusedLoad(Inst),
    /// The comparison always gives this.
    FoldCompare(Inst, bool),
    /// The branch always takes the destination at this position.
    FoldBranch(Inst, usize),
    /// A path goes past the branch that it determines.
    Thread(Thread),
    /// Stores sink to the paths that need them, all together: each may have been
    /// moved over the others.
    Sink(Sunk),
    /// The load goes to a block behind which all its uses are.
    SinkLoad(Inst, Below),
    /// So does the pure instruction, which is no edit of its own.
    SinkPure(Inst, Below),
    /// PRE: loads and stores go to the edges into their block that need them.
    MoveUp(Upward),
    /// Nothing names the slot.
    FreeSlot(StackSlot),
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
}

/// Stores that move together.
#[derive(Clone, Debug, Default)]
pub struct Sunk {
    /// The stores, which leave their places.
    pub stores: Vec<Inst>,
    /// Where they go, in this order at each place.
    pub places: Vec<(Place, Vec<Inst>)>,
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
    /// What moves, in its order.
    pub moved: Vec<Moved>,
}

/// One access that moves.
#[derive(Clone, Debug)]
pub enum Moved {
    /// A load, and its value at the predecessors that know it.
    Load(Inst, Vec<(Block, Value)>),
    /// A store.
    Store(Inst),
}

/// What else the edits of a pass have changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    /// Any edit was made.
    pub any: bool,
    /// The control-flow graph is another.
    pub graph: bool,
    /// A known value took the place of a loaded one in an operation that is
    /// not a memory access: the mid-end may find something new.
    pub values: bool,
}

impl Changes {
    /// Changes of `self`, and of `other`.
    pub fn and(self, other: Self) -> Self {
        Self {
            any: self.any | other.any,
            graph: self.graph | other.graph,
            values: self.values | other.values,
        }
    }
}
