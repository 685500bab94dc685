//! What a run did.

use core::fmt;

/// What a run did: one counter for each kind of edit and each limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Loads replaced by a value that a store left or another load fetched.
    pub forwarded_loads: u32,
    /// Loads replaced by a block parameter, because every predecessor knew the
    /// value, each another one.
    pub joined_loads: u32,
    /// Stores removed because memory held the value already.
    pub noop_stores: u32,
    /// Loads removed because nobody used their value.
    pub unused_loads: u32,
    /// Stores removed because nobody observed them.
    pub dead_stores: u32,
    /// Comparisons turned into constants.
    pub folded_compares: u32,
    /// Branches turned into jumps.
    pub folded_branches: u32,
    /// Ways that go past a branch which they decide.
    pub threaded_branches: u32,
    /// Stores moved down to the ways that need them.
    pub sunk_stores: u32,
    /// Loads moved down to the ways that need them.
    pub sunk_loads: u32,
    /// Loads moved up to the ways into their block that need them.
    pub raised_loads: u32,
    /// Stores moved up to the ways into their block that need them.
    pub raised_stores: u32,
    /// Stack slots that no longer take space in the frame.
    pub freed_slots: u32,
    /// Rounds of all passes that made an edit.
    pub rounds: u32,
    /// How often a named limit stopped a search that might have led to an edit.
    pub limits_hit: u32,
}

impl Stats {
    /// Each counter with its name, in a fixed order.
    pub fn counters(&self) -> [(&'static str, u32); 15] {
        let Self {
            forwarded_loads,
            joined_loads,
            noop_stores,
            unused_loads,
            dead_stores,
            folded_compares,
            folded_branches,
            threaded_branches,
            sunk_stores,
            sunk_loads,
            raised_loads,
            raised_stores,
            freed_slots,
            rounds,
            limits_hit,
        } = *self;
        [
            ("forwarded_loads", forwarded_loads),
            ("joined_loads", joined_loads),
            ("noop_stores", noop_stores),
            ("unused_loads", unused_loads),
            ("dead_stores", dead_stores),
            ("folded_compares", folded_compares),
            ("folded_branches", folded_branches),
            ("threaded_branches", threaded_branches),
            ("sunk_stores", sunk_stores),
            ("sunk_loads", sunk_loads),
            ("raised_loads", raised_loads),
            ("raised_stores", raised_stores),
            ("freed_slots", freed_slots),
            ("rounds", rounds),
            ("limits_hit", limits_hit),
        ]
    }

    /// The number of edits of all kinds.
    pub fn edits(&self) -> u32 {
        self.forwarded_loads
            + self.joined_loads
            + self.noop_stores
            + self.unused_loads
            + self.dead_stores
            + self.folded_compares
            + self.folded_branches
            + self.threaded_branches
            + self.sunk_stores
            + self.sunk_loads
            + self.raised_loads
            + self.raised_stores
            + self.freed_slots
    }

    /// Adds the counters of another run.
    pub fn add(&mut self, other: &Stats) {
        let Self {
            forwarded_loads,
            joined_loads,
            noop_stores,
            unused_loads,
            dead_stores,
            folded_compares,
            folded_branches,
            threaded_branches,
            sunk_stores,
            sunk_loads,
            raised_loads,
            raised_stores,
            freed_slots,
            rounds,
            limits_hit,
        } = self;
        *forwarded_loads += other.forwarded_loads;
        *joined_loads += other.joined_loads;
        *noop_stores += other.noop_stores;
        *unused_loads += other.unused_loads;
        *dead_stores += other.dead_stores;
        *folded_compares += other.folded_compares;
        *folded_branches += other.folded_branches;
        *threaded_branches += other.threaded_branches;
        *sunk_stores += other.sunk_stores;
        *sunk_loads += other.sunk_loads;
        *raised_loads += other.raised_loads;
        *raised_stores += other.raised_stores;
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
