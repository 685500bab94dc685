//! What a pass would have changed, and why it did not.
//!
//! Refusals are for people: nothing depends on them. They are traced, and none is kept unless
//! an [observer](super::Observer::wants_refusals) asks.

use crate::ir::{Block, Inst, StackSlot};
use crate::trace_log_enabled;
use alloc::vec::Vec;

/// A candidate that a pass leaves as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The pass, by its name in the table of passes.
    pub pass: &'static str,
    /// What it looked at.
    pub subject: Subject,
    /// Why it did nothing.
    pub obstacle: Obstacle,
}

/// What a [`Refusal`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An instruction.
    Inst(Inst),
    /// A stack slot.
    Slot(StackSlot),
}

/// The instruction or the missing fact that keeps a change from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It may trap.
    MayTrap,
    /// The world accesses the memory at any time.
    Asynchronous,
    /// How many bytes, or at which distance, is not known.
    UnknownPlace,
    /// The outside can name this slot at any time.
    PublicSlot(StackSlot),
    /// This instruction may read or see the bytes.
    SeenBy(Inst),
    /// This instruction may end the function, and the bytes outlive that.
    MayEndAt(Inst),
    /// Somebody may see the bytes on some path.
    SeenOnSomePath,
    /// This instruction may have written the bytes.
    ClobberedBy(Inst),
    /// This store has written the bytes, and no rule makes what is loaded of what it
    /// stored.
    OtherForm(Inst),
    /// Nothing has written the bytes since the function began, and nothing has read them.
    NotWritten,
    /// What memory holds at the start of this block depends on the path, and has no
    /// name on at least one.
    DependsOnPath(Block),
    /// The address may mean another place on the next iteration of a loop.
    AddressChanges,
    /// Memory holds something else, for all that is known.
    OtherValue,
    /// Nothing else in the function accesses the bytes.
    NothingToLearn,
    /// No path leads here.
    Unreachable,
    /// This instruction cannot be passed.
    CannotPass(Inst),
    /// This instruction names it.
    NamedBy(Inst),
    /// No path on which nobody needs it is worth the move.
    NoGain,
    /// The limit of this name has ended the search.
    Limit(&'static str),
}

impl Obstacle {
    /// The instruction that is to blame, if one is.
    pub fn inst(self) -> Option<Inst> {
        match self {
            Self::SeenBy(inst)
            | Self::MayEndAt(inst)
            | Self::ClobberedBy(inst)
            | Self::OtherForm(inst)
            | Self::CannotPass(inst)
            | Self::NamedBy(inst) => Some(inst),
            Self::MayTrap
            | Self::Asynchronous
            | Self::UnknownPlace
            | Self::PublicSlot(_)
            | Self::SeenOnSomePath
            | Self::NotWritten
            | Self::DependsOnPath(_)
            | Self::AddressChanges
            | Self::OtherValue
            | Self::NothingToLearn
            | Self::Unreachable
            | Self::NoGain
            | Self::Limit(_) => None,
        }
    }
}

/// Where passes note what they refuse, if anybody asks.
#[derive(Default)]
pub struct Refusals {
    noted: Option<Vec<Refusal>>,
}

impl Refusals {
    /// Notes are taken if `wanted`.
    pub fn new(wanted: bool) -> Self {
        Self {
            noted: wanted.then(Vec::new),
        }
    }

    /// Are notes taken? What costs anything to find out is found out only then.
    pub fn are_wanted(&self) -> bool {
        self.noted.is_some()
    }

    /// Are they taken, or traced?
    pub fn are_heard(&self) -> bool {
        self.are_wanted() || trace_log_enabled!()
    }

    /// `pass` leaves `subject` as it is.
    pub fn note(&mut self, pass: &'static str, subject: Subject, obstacle: Obstacle) {
        crate::trace!("memopt: {pass} leaves {subject:?}: {obstacle:?}");
        if let Some(noted) = &mut self.noted {
            noted.push(Refusal {
                pass,
                subject,
                obstacle,
            });
        }
    }

    /// What has been noted since the last time.
    pub fn take(&mut self) -> Vec<Refusal> {
        self.noted.as_mut().map_or_else(Vec::new, core::mem::take)
    }
}
