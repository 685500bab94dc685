//! Lists that outlive a run, for whoever compiles one function after the other.

use crate::ir::Function;
use crate::memopt::analyses::{Analyses, Lists};
use alloc::boxed::Box;

/// The largest function, in values, whose lists are kept.
///
/// In a larger one they are a small part of what it costs, and all smaller ones behind it would
/// have the memory for nothing.
const MAX_KEPT: usize = 1 << 15;

/// The lists in which a run looks at a function, left to the next run, as `regalloc2` leaves
/// those of its `Ctx`. Nothing that was found in one function is known in another.
///
/// What is kept is a few hundred bytes for each value of the largest function so far, and nothing
/// behind one of more than 32,768 values. Without a run it allocates nothing.
#[derive(Default)]
pub struct Scratch(Option<Box<Lists>>);

impl Scratch {
    /// Analyses for a run, of which nothing is known yet.
    pub(super) fn begin(&mut self) -> Analyses {
        let lists = self.0.as_mut().map(|lists| core::mem::take(&mut **lists));
        Analyses::in_lists(lists.unwrap_or_default())
    }

    /// The run over `func` is at its end, and leaves the lists of its analyses.
    pub(super) fn end(&mut self, func: &Function, analyses: Analyses) {
        match func.dfg.num_values() <= MAX_KEPT {
            true => **self.0.get_or_insert_default() = analyses.into_lists(),
            false => self.0 = None,
        }
    }
}

// A `Context` that has one can be shared between threads, as one without.
const fn is_shared<T: Send + Sync>() {}
const _: () = is_shared::<Scratch>();

impl core::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}
