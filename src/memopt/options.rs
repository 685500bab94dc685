//! What an embedder may choose.

/// Which passes run, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Replace loads by values that memory is known to hold.
    pub forward_loads: bool,
    /// Remove stores that put back what is there.
    pub noop_stores: bool,
    /// Remove loads whose value nobody uses.
    pub unused_loads: bool,
    /// Remove stores that nobody observes.
    pub dead_stores: bool,
    /// Fold branches that memory facts decide.
    pub fold_branches: bool,
    /// Free stack slots that nothing names any more.
    pub unused_slots: bool,
    /// Let upstream's egraph pass run once more over what the edits uncovered.
    pub rerun_egraph: bool,
    /// Apply at most so many edits, for bisecting a miscompile.
    pub edit_limit: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            forward_loads: true,
            noop_stores: true,
            unused_loads: true,
            dead_stores: true,
            fold_branches: true,
            unused_slots: true,
            rerun_egraph: true,
            edit_limit: None,
        }
    }
}

impl Options {
    /// Every pass by name, with its switch.
    ///
    /// The pattern has no `..`, so that a new pass breaks the build here until
    /// it can be switched off.
    pub fn switches(&mut self) -> [(&'static str, &mut bool); 7] {
        let Self {
            forward_loads,
            noop_stores,
            unused_loads,
            dead_stores,
            fold_branches,
            unused_slots,
            rerun_egraph,
            edit_limit: _,
        } = self;
        [
            ("forward_loads", forward_loads),
            ("noop_stores", noop_stores),
            ("unused_loads", unused_loads),
            ("dead_stores", dead_stores),
            ("fold_branches", fold_branches),
            ("unused_slots", unused_slots),
            ("rerun_egraph", rerun_egraph),
        ]
    }
}
