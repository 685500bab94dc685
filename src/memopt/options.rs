//! What an embedder may choose.

/// Which functions the passes look at, and how far they go there.
///
/// Optimizing compilers differ in what they may spend. The figures are in the
/// README: gated costs next to nothing on functions that hold no work for the
/// passes, which is most of them; full is for ahead-of-time builds, and the last for
/// whoever wants to see all that can be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Only functions that have a stack slot, or that name a region of which
    /// the policy says that it [is transient](super::Policy::is_transient). In those,
    /// everything but jump threading of branches that memory has no part in.
    #[default]
    Gated,
    /// The same in all functions. In those that gated effort leaves alone, parameters that only feed
    /// themselves are looked for where something else has changed.
    Full,
    /// All functions, all passes.
    ///
    /// Of WebAssembly every second function has a path that determines a branch without memory.
    /// To thread those costs 5 % of a compile. Code becomes up to 1 % smaller by it or 0.3 %
    /// larger.
    Max,
}

impl Effort {
    /// Each effort with its name.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("gated", Self::Gated),
        ("full", Self::Full),
        ("max", Self::Max),
    ];
}

/// Which passes run, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Which functions are looked at, and how far that goes.
    pub effort: Effort,
    /// Let blocks that one jump alone leads to become the end of the block that jumps, before the
    /// mid-end.
    pub straighten: bool,
    /// Replace loads by values that memory is known to hold.
    pub forward_loads: bool,
    /// Remove stores that put back what is there.
    pub noop_stores: bool,
    /// Remove loads whose value nobody uses.
    pub unused_loads: bool,
    /// Remove stores that nobody observes.
    pub dead_stores: bool,
    /// Let stores side by side become one.
    pub merge_stores: bool,
    /// Load at once what several loads are put together to.
    pub combine_loads: bool,
    /// Fold branches that memory facts decide.
    pub fold_branches: bool,
    /// Thread edges past branches that they determine.
    pub thread_branches: bool,
    /// Move stores, and what feeds them, to the paths that need them.
    pub sink_stores: bool,
    /// Move loads and stores to those edges into their block that need them.
    pub partly_redundant: bool,
    /// Move loads in front of loops and above branches, and turn loops round where that lets
    /// accesses leave them.
    pub hoist_loads: bool,
    /// Make values of the fields of private stack slots.
    pub promote_slots: bool,
    /// Free stack slots that nothing names any more.
    pub unused_slots: bool,
    /// Let stack slots shrink to what is accessed, and share a place if their lives do not meet.
    pub pack_slots: bool,
    /// Let upstream's egraph pass run once more over what the edits uncovered.
    pub rerun_egraph: bool,
    /// Apply at most so many edits, for bisecting a miscompile.
    pub edit_limit: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            effort: Effort::Gated,
            straighten: true,
            forward_loads: true,
            noop_stores: true,
            unused_loads: true,
            dead_stores: true,
            merge_stores: true,
            combine_loads: true,
            fold_branches: true,
            thread_branches: true,
            sink_stores: true,
            partly_redundant: true,
            hoist_loads: true,
            promote_slots: true,
            unused_slots: true,
            pack_slots: true,
            rerun_egraph: true,
            edit_limit: None,
        }
    }
}

impl Options {
    /// All functions: [`Effort::Full`].
    ///
    /// Cost: constant.
    pub fn full() -> Self {
        Self {
            effort: Effort::Full,
            ..Self::default()
        }
    }

    /// All passes on all functions: [`Effort::Max`].
    ///
    /// Cost: constant.
    pub fn max() -> Self {
        Self {
            effort: Effort::Max,
            ..Self::default()
        }
    }

    /// The same for a run that goes on after `made` edits: of [`Self::edit_limit`] that is left.
    ///
    /// Cost: constant.
    #[must_use]
    pub fn behind(&self, made: u32) -> Self {
        Self {
            edit_limit: self.edit_limit.map(|limit| limit.saturating_sub(made)),
            ..self.clone()
        }
    }

    /// Every pass by name, with its switch.
    ///
    /// The pattern has no `..`, so that a new pass breaks the build here until
    /// it can be switched off.
    ///
    /// Cost: constant.
    pub fn switches(&mut self) -> impl Iterator<Item = (&'static str, &mut bool)> {
        let Self {
            effort: _,
            straighten,
            forward_loads,
            noop_stores,
            unused_loads,
            dead_stores,
            merge_stores,
            combine_loads,
            fold_branches,
            thread_branches,
            sink_stores,
            partly_redundant,
            hoist_loads,
            promote_slots,
            unused_slots,
            pack_slots,
            rerun_egraph,
            edit_limit: _,
        } = self;
        [
            ("straighten", straighten),
            ("forward_loads", forward_loads),
            ("noop_stores", noop_stores),
            ("unused_loads", unused_loads),
            ("dead_stores", dead_stores),
            ("merge_stores", merge_stores),
            ("combine_loads", combine_loads),
            ("fold_branches", fold_branches),
            ("thread_branches", thread_branches),
            ("sink_stores", sink_stores),
            ("partly_redundant", partly_redundant),
            ("hoist_loads", hoist_loads),
            ("promote_slots", promote_slots),
            ("unused_slots", unused_slots),
            ("pack_slots", pack_slots),
            ("rerun_egraph", rerun_egraph),
        ]
        .into_iter()
    }
}
