//! Somebody who watches a run.

use crate::ir::Function;
use crate::memopt::edit::Edit;
use crate::memopt::refusal::Refusal;

/// Is shown the function while a run changes it, each time that it is whole: it
/// verifies, and no edit is half made.
///
/// The passes do not depend on who watches. A checker, or whoever explains a run,
/// compares what it is shown with what it was shown before.
pub trait Observer {
    /// This edit is about to be made to `func`, unless it cannot be written down there. The
    /// limit of edits lets it.
    fn edit(&mut self, _func: &Function, _edit: &Edit) {}

    /// Shall the passes say what they have refused, and why? They take a note of it only if
    /// somebody asks.
    fn wants_refusals(&self) -> bool {
        false
    }

    /// A pass has looked at `func` and leaves this as it is. A later round may find
    /// otherwise.
    fn refused(&mut self, _func: &Function, _refusal: &Refusal) {}

    /// A pass has made edits.
    fn step(&mut self, func: &Function);

    /// No pass finds anything any more, or a limit has ended the search, or upstream's egraph pass
    /// is worth its time now. It may run next; if not, the run is over.
    fn settled(&mut self, func: &Function);

    /// Upstream's egraph pass has run once more. What it has changed follows from
    /// rules that are not those of this crate.
    fn trusted(&mut self, func: &Function);
}
