//! Product program points, and the paths between them.

use super::incoming::Incoming;
use crate::memory::Memory;
use crate::place::Access;
use crate::side::Side;
use crate::state::State;
use crate::terms::Term;
use crate::verdict::{Limit, Reason};
use cranelift_codegen::ir::{Block, Inst, Value};

/// Conditions that are remembered: the latest ones. A branch that a condition
/// from long before decides in one function only is not followed.
const MAX_ASSUMED: usize = 16;

/// Where one side stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Stop {
    /// At the beginning of a join: a block with several predecessors.
    Join(Block),
    /// In front of an instruction.
    At(Inst),
}

pub(super) type Stops = [Stop; 2];

/// How one side goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// From a stop.
    From(Stop),
    /// Along this edge of this branch.
    Edge(Inst, usize),
}

/// A path that has yet to be walked.
#[derive(Clone)]
pub(super) struct Path {
    pub(super) next: [Next; 2],
    pub(super) memory: Memory,
    pub(super) assumed: Vec<(Term, bool)>,
    /// Conditions of selects of which each outcome is followed by itself, since the last point.
    pub(super) chosen: Vec<(Term, bool)>,
    /// The walk starts here, so that a join is left without a new point.
    pub(super) starts: bool,
    /// Has either side gone on since the last node?
    pub(super) moved: [bool; 2],
    /// The arguments of the joins at which the sides stand, until a state has them.
    pub(super) join_args: [Vec<(Value, Term)>; 2],
    /// Has the last edge of a side led forward, to a block with a higher rank?
    pub(super) forward: [bool; 2],
    /// Has a side taken several edges of a branch by itself since the last point? Those paths
    /// are to meet while the other side waits.
    pub(super) forked: [bool; 2],
}

impl Path {
    /// Remembers that a condition holds, or that it does not.
    pub(super) fn learn(&mut self, condition: Term, holds: bool) {
        if self.assumed.len() == MAX_ASSUMED {
            self.assumed.remove(0);
        }
        self.assumed.push((condition, holds));
    }
}

/// A product program point: a stop of either function, and what is known there.
pub(super) struct ProductPoint {
    pub(super) stops: Stops,
    pub(super) state: State,
    pub(super) incoming: Incoming,
}

/// What is to be done at two stops.
pub(super) enum Decision {
    /// These sides leave the joins at which they stand.
    Pass([bool; 2]),
    /// One side makes an access that the other one does not see.
    OneSided(Side),
    /// Both make the same store.
    StoreBoth,
    /// Both make their access.
    Both,
    /// Both do the same that somebody may see.
    Match,
    /// One side takes each edge of its branch.
    Fork(Side),
    /// Both sides take the same edges of their branches.
    Branch { turned: bool },
}

/// What an instruction in front of which a side has stopped is.
pub(super) enum What {
    /// An access that nobody sees.
    Access(Access, Option<Term>),
    /// What one of Cranelift's own functions writes, which nobody sees and the result leaves out.
    Transfer,
    /// Something that somebody may see.
    Event,
    /// A branch that is not decided.
    Branch,
}

/// An edge between nodes, and which sides went on.
pub(super) type Edge = (u32, u32);

/// Why the walk ends early.
pub(super) enum Stopped {
    Refused(Reason),
    Limit(Limit),
    /// [`Walk::slots_are_left`] has become true.
    Restart,
}

impl From<Reason> for Stopped {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

pub(super) type Step<T> = Result<T, Stopped>;
