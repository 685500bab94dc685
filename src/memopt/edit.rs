//! What a change is: edits as data, without the analyses that found them.
//!
//! The edits of one pass are all proven against the same function, and may be
//! applied together: none of them cites another as its reason unless their
//! pass says why it may. So may the first few of them.
//! The module `apply` alone makes them.

use crate::ir::{Block, Inst, StackSlot, Value};
use crate::memopt::inst::coercion::{Half, Recipe};
use alloc::vec::Vec;
use smallvec::SmallVec;

mod accesses;
mod loops;
mod paths;
mod promotion;

pub use accesses::{CombinedLoads, Expanded, Forwarded, MergedStores, NewStore, StoredWhole};
pub use loops::{Carried, Hoisted, Turned};
pub use paths::{
    Below, Bypass, Copied, Edge, JoinedStores, MAX_PASSED, Merged, Moved, Place, Sunk, Thread,
    Twin, Upward,
};
pub use promotion::{
    Choice, Constant, Content, FieldStep, Numbered, NumberedAccess, Promoted, Promotion,
};

/// One change of a function, and why it may be made.
#[derive(Clone, Debug)]
pub struct Edit {
    /// What is changed.
    pub change: Change,
    /// The instruction or fact that this rests on.
    pub reason: Reason,
}

/// What an [`Edit`] rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Memory holds what this store wrote.
    StoredBy(Inst),
    /// Memory holds what a load found, which is this value.
    LoadedAs(Value),
    /// Memory holds what these accesses, each for some of the bytes, have stored or found.
    KnownInParts(SmallVec<[Inst; 2]>),
    /// Memory held this value, and what may have written the bytes since has written all of
    /// them or none, and the same value.
    CopiedWhole(Value),
    /// At the end of every predecessor of this block it is known what memory holds.
    KnownOnAllPaths(Block),
    /// It is known what memory holds behind either pointer that this value may be.
    KnownBehindBoth(Value),
    /// At the ends of these predecessors it is known what memory holds.
    KnownAfter(SmallVec<[Block; 2]>),
    /// On every path these stores overwrite the bytes, or the frame ends, before anyone
    /// sees them.
    OverwrittenBy(SmallVec<[Inst; 2]>),
    /// Behind this branch, memory is known to hold the value.
    ComparedBy(Inst),
    /// What these copy has not changed since, so that memory holds it already.
    CopiedBy(SmallVec<[Inst; 2]>),
    /// Nothing reads this slot, which nobody else knows.
    NeverRead(StackSlot),
    /// No instruction uses the result.
    NoUses,
    /// A rule of `isle/folds.isle` decides it.
    Folded,
    /// The condition is a constant.
    Constant,
    /// This branch, or conditional trap, has decided the condition.
    DecidedBy(Inst),
    /// Whoever takes the edge at the end of this block determines the branch.
    DeterminedAfter(Block),
    /// There are paths on which nobody sees what the stores write.
    UnobservedOnSomePaths,
    /// Nothing in the loop of this header changes what it finds, and each entry into the loop
    /// leads to it.
    InvariantIn(Block),
    /// Every path from the end of this block comes to it first.
    NeededOnAllPaths(Block),
    /// Every block in front of this one ends with a store to the bytes.
    MadeInFrontOf(Block),
    /// These, which every iteration of the loop executes, could leave it.
    WouldLeaveLoop(SmallVec<[Inst; 2]>),
    /// All uses are below this block's start.
    UsedBelow(Block),
    /// Nobody but the accesses of this function touches the slot.
    Private(StackSlot),
    /// Nothing names the slot.
    Unnamed,
    /// The block does nothing but lead on.
    Empty,
    /// This block does the same, up to a trap.
    SameAs(Block),
    /// Only the jump in front of the block leads to it.
    NothingElseLeadsThere,
    /// No byte of the slot is live where this one is written, and the other way round.
    LivesApart(StackSlot),
    /// Nobody accesses the bytes.
    NotReached,
    /// A forwarded value reached an operation that is no access to memory.
    ReachedArithmetic,
    /// The value has been forwarded from another block, and an operation with a constant gives it.
    CheaperThanKept,
}

/// One change.
#[derive(Clone, Debug)]
pub enum Change {
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
        /// For each predecessor the value there, or for each of its edges, in their order;
        /// `None` for the parameter.
        args: Vec<(Block, Option<Value>)>,
    },
    /// The load is by a pointer that a `select` gives, and what is behind both pointers is known.
    ReplaceLoadBySelect {
        /// The load.
        load: Inst,
        /// The condition of the `select`.
        condition: Value,
        /// What is behind either pointer.
        values: [Value; 2],
    },
    /// The load gives a scalar that is these bits.
    ReplaceLoadByConstant(Inst, u64),
    /// The load gives an integer of two halves that are known, the lower one first.
    ReplaceLoadByHalves(Inst, [Half; 2]),
    /// The store writes what is there.
    RemoveNoopStore(Inst),
    /// Nobody sees what the store writes.
    RemoveDeadStore(Inst),
    /// The call of one of Cranelift's own functions on memory writes what is there. Its result is
    /// its destination.
    RemoveNoopCopy(Inst),
    /// Nobody sees what such a call writes.
    RemoveDeadCopy(Inst),
    /// Such a call copies from where another one has copied what it copies.
    ForwardCopy(Forwarded),
    /// Loads and stores take the place of such a call.
    ExpandCopy(Expanded),
    /// Two stores side by side, or one within the other, are one.
    MergeStores(MergedStores),
    /// The word that several loads are put together to is loaded at once.
    CombineLoads(CombinedLoads),
    /// Nobody sees some of the bytes at an end of what the store writes: it writes the others.
    TrimStore(NewStore),
    /// Nobody uses what the load reads.
    RemoveUnusedLoad(Inst),
    /// Nobody uses what the pure instruction computes.
    RemoveUnusedCode(Inst),
    /// Nobody uses the block parameters, but maybe each other's. The last of each block
    /// comes first.
    RemoveParams(Vec<Value>),
    /// Nobody uses these but each other.
    RemoveCycles {
        /// Parameters, the last of each block first.
        params: Vec<Value>,
        /// Loads and pure instructions.
        insts: Vec<Inst>,
    },
    /// The comparison always gives this.
    FoldCompare(Inst, bool),
    /// The branch always takes the destination at this position.
    FoldBranch(Inst, usize),
    /// The edges into an empty block lead to where its jump leads.
    Bypass(Bypass),
    /// The edges into a block lead to another one that does the same.
    MergeBlocks(Twin),
    /// A block to which one jump alone leads becomes the end of the block that jumps.
    Straighten {
        /// The block, which goes.
        block: Block,
        /// What it becomes the end of.
        into: Block,
    },
    /// A path goes past the branch that it determines.
    Thread(Thread),
    /// Stores sink to the paths that need them, all together: each may have been
    /// moved over the others.
    Sink(Sunk),
    /// Stores of different values in front of a join are one of a parameter behind it.
    JoinStores(JoinedStores),
    /// The load goes to a block behind which all its uses are.
    SinkLoad(Inst, Below),
    /// So does the pure instruction.
    SinkPure(Inst, Below),
    /// PRE: loads and stores go to the edges into their block that need them.
    MoveUp(Upward),
    /// Loads that find the same in every iteration of a loop go in front of it.
    HoistLoads(Hoisted),
    /// Loads of the same bytes in all blocks that a branch leads to become one above it.
    MergeLoads(Merged),
    /// What a loop keeps in memory goes round it as a value.
    CarryRound(Carried),
    /// A loop that tests before its body tests behind it.
    TurnLoop(Turned),
    /// Pointers to one slot or another are loaded from where it is known to which.
    LoadWhereChosen(Vec<Choice>),
    /// Accesses of the slot that a `select` gives become accesses of both.
    AccessBoth {
        /// The select, which goes.
        select: Inst,
        /// The accesses, and the distance of each from what is selected.
        accesses: Vec<(Inst, i32)>,
        /// What adds the distances, and goes.
        sums: Vec<Inst>,
    },
    /// Pointers to one of a few places in slots become numbers of places.
    NumberPlaces(Numbered),
    /// A field of a stack slot becomes a value.
    Promote(Promotion),
    /// Nothing names the slot.
    FreeSlot(StackSlot),
    /// Nothing names the slot but these computations of addresses, which nobody uses.
    FreeAddressed(StackSlot, Vec<Inst>),
    /// Bytes at the ends of a slot take no space.
    ShrinkSlot {
        /// The slot.
        slot: StackSlot,
        /// The first byte that stays.
        start: u32,
        /// How many stay.
        size: u32,
        /// Each `stack_addr` of the slot.
        addresses: Vec<Inst>,
    },
    /// Two slots have one place in the frame.
    ShareSlot {
        /// The slot that has none of its own.
        slot: StackSlot,
        /// Its place is in that of this one, which is as large.
        with: StackSlot,
        /// Where it begins there.
        start: u32,
        /// Each `stack_addr` of the slot.
        addresses: Vec<Inst>,
    },
    /// The block computes the value for itself, in front of its first use there.
    ComputeAgain(Value, Block),
    /// The conditional trap never traps.
    RemoveTrap(Inst),
    /// Upstream's egraph pass runs once more.
    RunEgraph,
}

impl Change {
    /// The change, and why it may be made.
    pub fn because(self, reason: Reason) -> Edit {
        Edit {
            change: self,
            reason,
        }
    }
}

/// What the edits of one pass have touched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Touched {
    /// Any edit was made.
    pub any: bool,
    /// The control-flow graph is another.
    pub graph: bool,
    /// Values have become aliases of others.
    pub aliases: bool,
    /// Blocks have got parameters.
    pub params: bool,
    /// Known values took the place of loaded ones in operations that are
    /// no memory accesses: the mid-end may find something new.
    pub values: bool,
}

impl Touched {
    /// What `self` has touched, and `other`.
    pub fn and(self, other: Self) -> Self {
        Self {
            any: self.any | other.any,
            graph: self.graph | other.graph,
            aliases: self.aliases | other.aliases,
            params: self.params | other.params,
            values: self.values | other.values,
        }
    }
}

impl Change {
    /// What the change touches, as far as the change alone tells.
    pub fn touches(&self) -> Touched {
        let (graph, aliases) = match self {
            Self::FoldBranch(..)
            | Self::Bypass(_)
            | Self::MergeBlocks(_)
            | Self::Thread(_)
            | Self::TurnLoop(_) => (true, false),
            Self::ReplaceLoad { .. }
            | Self::ReplaceLoadByConstant(..)
            | Self::ReplaceLoadByHalves(..)
            | Self::ReplaceLoadByParam { .. }
            | Self::ReplaceLoadBySelect { .. }
            | Self::RemoveNoopCopy(_)
            | Self::RemoveDeadCopy(_)
            | Self::ForwardCopy(_)
            | Self::ExpandCopy(_)
            | Self::Promote(_)
            | Self::LoadWhereChosen(_)
            | Self::AccessBoth { .. }
            | Self::NumberPlaces(_)
            | Self::CombineLoads(_)
            | Self::MergeLoads(_) => (false, true),
            Self::Straighten { .. } => (true, true),
            Self::Sink(sunk) => (sunk.makes_blocks(), false),
            Self::HoistLoads(hoisted) => (hoisted.splits, false),
            Self::CarryRound(carried) => (carried.makes_blocks(), true),
            Self::MoveUp(upward) => (upward.splits, true),
            Self::JoinStores(_)
            | Self::SinkLoad(..)
            | Self::SinkPure(..)
            | Self::FoldCompare(..)
            | Self::RemoveNoopStore(_)
            | Self::RemoveDeadStore(_)
            | Self::MergeStores(_)
            | Self::TrimStore(_)
            | Self::RemoveUnusedLoad(_)
            | Self::RemoveUnusedCode(_)
            | Self::RemoveParams(_)
            | Self::RemoveCycles { .. }
            | Self::FreeSlot(_)
            | Self::FreeAddressed(..)
            | Self::ShrinkSlot { .. }
            | Self::ShareSlot { .. }
            | Self::ComputeAgain(..)
            | Self::RemoveTrap(_)
            | Self::RunEgraph => (false, false),
        };
        Touched {
            any: true,
            graph,
            aliases,
            params: matches!(self, Self::MoveUp(_)),
            // What the entry passes to a copied test is often a constant.
            values: matches!(self, Self::TurnLoop(_)),
        }
    }
}
