//! Random modules.
//!
//! Everything that a module does is defined: an access that cannot trap stays
//! inside its object, each region is accessed through its own pointers, what is read
//! has been written, and the policy is true of the host. What looks like waste is
//! there on purpose.

pub mod locals;
mod module;
mod regions;

pub use module::Module;

use crate::inputs::Inputs;

/// A kind of modules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Functions with regions and a policy.
    Regions,
    /// Functions that keep locals in stack slots, see [`locals`].
    Locals,
    /// Of 64 seeds in a row 48 are [`Self::Regions`], 16 are [`Self::Locals`].
    #[default]
    Mixed,
}

/// The seeds of one family that follow each other, so that it meets all settings.
const IN_A_ROW: u64 = 16;
/// Of so many rows one has functions with locals.
const LOCALS_EVERY: u64 = 4;

impl Family {
    /// All families.
    pub const ALL: [Self; 3] = [Self::Regions, Self::Locals, Self::Mixed];

    /// The name of the family.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regions => "regions",
            Self::Locals => "locals",
            Self::Mixed => "mixed",
        }
    }

    /// The family of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// The module of a seed.
    pub fn module(self, seed: u64) -> Module {
        match self.has_locals(seed) {
            true => locals::of_seed(seed),
            false => regions::module(seed),
        }
    }

    /// A few inputs for the module of a seed. In some of them pointers are equal, in
    /// others they overlap or lie apart.
    pub fn inputs(self, seed: u64, count: usize) -> Vec<Inputs> {
        match self.has_locals(seed) {
            true => locals::inputs(seed, count),
            false => regions::inputs(seed, count),
        }
    }

    fn has_locals(self, seed: u64) -> bool {
        match self {
            Self::Regions => false,
            Self::Locals => true,
            Self::Mixed => seed / IN_A_ROW % LOCALS_EVERY == LOCALS_EVERY - 1,
        }
    }
}

/// The module of this seed, of mixed family.
pub fn module(seed: u64) -> Module {
    Family::Mixed.module(seed)
}

/// A few inputs for the module of this seed.
pub fn inputs(seed: u64, count: usize) -> Vec<Inputs> {
    Family::Mixed.inputs(seed, count)
}
