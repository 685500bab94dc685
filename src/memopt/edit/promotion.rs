//! Promotion as data: how the accesses of a field become values.

use crate::ir::{Block, Inst, StackSlot, Type, Value};
use crate::memopt::inst::coercion::Recipe;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// A block parameter that is the address of one slot or of another, and is only loaded from, or
/// passed to other such parameters.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The parameter, which goes.
    pub param: Value,
    /// The loads of it, which go, and which of `places` each reads.
    pub loads: Vec<(Inst, u32)>,
    /// A load for each place that is loaded from it, or from what it is passed to. These loads are
    /// what the loads of the predecessors look like, but for the address.
    pub places: Vec<Inst>,
}

/// Pointers to one of a few places in slots, which become numbers of places.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// The places: slot and first byte.
    pub places: Vec<(StackSlot, i64)>,
    /// The number of the first place. If it is 1, then 0 is the pointer that is zero.
    pub first: u8,
    /// The values that are zero or the address of a place, and their numbers; sorted.
    pub known: Vec<(Value, u8)>,
    /// The block parameters that are pointers, which go, and the numbers of the places that each may be.
    pub params: Vec<(Value, SmallVec<[u8; 4]>)>,
    /// The selects of pointers, which go.
    pub selects: Vec<Inst>,
    /// The accesses by the pointers.
    pub accesses: Vec<NumberedAccess>,
    /// Comparisons of pointers, and branches on them.
    pub tests: Vec<Inst>,
    /// What adds distances to pointers, and goes.
    pub sums: Vec<Inst>,
}

/// An access by a pointer that becomes a number.
#[derive(Clone, Copy, Debug)]
pub struct NumberedAccess {
    /// The access, which becomes one of each place.
    pub inst: Inst,
    /// The parameter, or what the select gives.
    pub pointer: Value,
    /// How far from the pointer it accesses.
    pub offset: i32,
}

/// How a field of a slot becomes a value: its pruned SSA form.
#[derive(Clone, Debug)]
pub struct Promotion {
    /// The slot; `None` if it is other memory, while a loop runs.
    pub slot: Option<StackSlot>,
    /// The type of the value.
    pub ty: Type,
    /// The blocks that take it as a parameter.
    pub params: Vec<Block>,
    /// For each of their predecessors what it passes: predecessor, block, content; sorted.
    pub args: Vec<(Block, Block, Content)>,
    /// The accesses, each behind those that its content comes from.
    pub accesses: Vec<Promoted>,
}

impl Promotion {
    /// What is read by accesses, and what is passed to blocks.
    pub fn asked(&self) -> impl Iterator<Item = Content> + '_ {
        let passed = self.args.iter().map(|(_, _, content)| *content);
        let reading = self.accesses.iter().filter(|access| access.step.reads());
        passed.chain(reading.map(|access| access.before))
    }

    /// Does an access need another type than that of the value?
    pub fn converts(&self) -> bool {
        let mut steps = self.accesses.iter().map(|access| &access.step);
        steps.any(|step| match step {
            FieldStep::Load(recipe) | FieldStep::Store(_, recipe) => !recipe.is_empty(),
            FieldStep::StorePart { .. } => true,
        })
    }
}

/// What a field holds at some point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nobody has written it: zero.
    Unwritten,
    /// A value of these bits, on all paths.
    Constant(Constant),
    /// The parameter of the block at this position in [`Promotion::params`].
    Param(u32),
    /// What the access at this position in [`Promotion::accesses`] has stored.
    Store(u32),
}

/// The bits of a constant of at most 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constant(pub u64);

impl Constant {
    /// No bit is set.
    pub const ZERO: Self = Self(0);
}

/// One access of a field that becomes a value.
#[derive(Clone, Debug)]
pub struct Promoted {
    /// The access.
    pub inst: Inst,
    /// What the field holds in front of it.
    pub before: Content,
    /// What takes its place.
    pub step: FieldStep,
}

/// What an access of a field does to its value.
#[derive(Clone, Debug)]
pub enum FieldStep {
    /// It gives the value, converted.
    Load(Recipe),
    /// The value is this one from now on, converted.
    Store(Value, Recipe),
    /// Some bits of the value are these from now on.
    StorePart {
        /// What is stored.
        value: Value,
        /// How it becomes a `part`.
        recipe: Recipe,
        /// An integer as wide as what is stored.
        part: Type,
        /// The bits of the value below it.
        shift: u32,
    },
}

impl FieldStep {
    /// Does it need what the field held before?
    pub fn reads(&self) -> bool {
        matches!(self, Self::Load(_) | Self::StorePart { .. })
    }

    /// Does the field hold something else afterwards?
    pub fn writes(&self) -> bool {
        matches!(self, Self::Store(..) | Self::StorePart { .. })
    }
}
