//! Somebody who watches a run.

use crate::ir::Function;

/// Is shown the function while a run changes it, each time that it is whole: it
/// verifies, and no edit is half made.
///
/// The passes do not depend on who watches. A checker, or whoever explains a run,
/// compares what it is shown with what it was shown before.
pub trait Observer {
    /// A pass has made edits.
    fn step(&mut self, func: &Function);

    /// No pass finds anything any more, or a limit has ended the search. Upstream's
    /// egraph pass may run next; if not, the run is over.
    fn settled(&mut self, func: &Function);

    /// Upstream's egraph pass has run once more. What it has changed follows from
    /// rules that are not those of this crate.
    fn trusted(&mut self, func: &Function);
}
