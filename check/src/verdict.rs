//! What a check comes to.

use super::side::Side;
use cranelift_codegen::ir::{Block, Inst, SourceLoc};

use std::fmt;

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody can tell the two functions apart.
    Proven,
    /// There is no proof, and this is where it broke.
    Refused(Box<Refusal>),
    /// There is no proof within the limits of the checker.
    Limit(Limit),
}

/// A named limit of the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Too many values are live in too many blocks.
    LiveValues,
    /// What is known at joins would take too much room, or something about
    /// memory was forgotten that a proof may have needed.
    Facts,
    /// Too many terms.
    Terms,
    /// Joins were visited too often.
    Visits,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LiveValues => "too many live values",
            Self::Facts => "too many facts about memory",
            Self::Terms => "too many terms",
            Self::Visits => "too many visits",
        })
    }
}

/// Why two functions could not be proven to be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// They differ in what is not code: in the named table.
    Tables(&'static str),
    /// One of them is not as the verifier wants it: the named thing.
    Shape(&'static str),
    /// They observe different things.
    Event,
    /// They observe the same with other values.
    Arguments,
    /// They branch on different conditions.
    Condition,
    /// A callee may see memory in which they differ.
    MemoryAtCall,
    /// Memory in which they differ can be seen after a trap.
    MemoryAtTrap,
    /// Memory in which they differ can be seen at this point.
    MemoryAtBarrier,
    /// Memory in which they differ outlives the function.
    MemoryAtEnd,
    /// The result stores what the original does not.
    InventedStore,
    /// The result loads where the original does not, or more often.
    InventedLoad,
    /// Their stack maps differ.
    StackMap,
    /// Their debug tags differ.
    DebugTags,
    /// They handle exceptions differently.
    Handlers,
    /// A slot may not be where the result has put it: it is read where another one may have written,
    /// or somebody knows its address.
    SharedSlots,
    /// One of them may go on for ever while the other one does not.
    OneSideLoops(Side),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Tables(which) => return write!(f, "they have different {which}"),
            Self::Shape(what) => return write!(f, "{what} is not as the verifier wants it"),
            Self::Event => "they do different things that can be observed",
            Self::Arguments => "they do the same with values that may differ",
            Self::Condition => "they branch on conditions that may differ",
            Self::MemoryAtCall => "the callee may see memory that differs",
            Self::MemoryAtTrap => "memory that differs can be seen after a trap",
            Self::MemoryAtBarrier => "memory that differs can be seen here",
            Self::MemoryAtEnd => "memory that differs outlives the function",
            Self::InventedStore => "the result stores what the original does not",
            Self::InventedLoad => "the result loads what the original has not loaded here",
            Self::StackMap => "their stack maps differ",
            Self::DebugTags => "their debug tags differ",
            Self::Handlers => "they handle exceptions differently",
            Self::SharedSlots => "a stack slot may not be where the result has put it",
            Self::OneSideLoops(Side::Original) => "the result may loop where the original goes on",
            Self::OneSideLoops(Side::Result) => "the original may loop where the result goes on",
        };
        f.write_str(text)
    }
}

/// Where one of the functions was when the proof broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The block.
    pub block: Block,
    /// The instruction; `None` for the beginning of the block.
    pub inst: Option<Inst>,
    /// Where that comes from.
    pub location: SourceLoc,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            block,
            inst,
            location,
        } = self;
        match inst {
            Some(inst) => write!(f, "{inst} in {block}")?,
            None => write!(f, "the beginning of {block}")?,
        }
        if !location.is_default() {
            write!(f, " (location {location})")?;
        }
        Ok(())
    }
}

/// Why, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Where the original was.
    pub original: Option<Spot>,
    /// Where the result was.
    pub result: Option<Spot>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        for (spot, side) in [(&self.original, "original"), (&self.result, "result")] {
            if let Some(spot) = spot {
                write!(f, "; {side}: {spot}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proven => f.write_str("proven"),
            Self::Refused(refusal) => write!(f, "not proven: {refusal}"),
            Self::Limit(limit) => write!(f, "not proven within the limits: {limit}"),
        }
    }
}
