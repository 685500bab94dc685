//! What a run did.

use crate::memopt::edit::{Change, Moved};
use core::fmt;
use core::iter::Sum;
use core::ops::AddAssign;

/// What runs did: counters of what was done to memory traffic, of clean-up, of rounds and of
/// limits, and how many runs there were.
///
/// A run that found nothing differs from one that did not look: [`Self::runs`] counts
/// the first, [`Self::skipped_by_opt_level`] and [`Self::skipped_by_effort`] the others.
/// It displays as the counters that are not zero, or as why there are none. The
/// statistics of several runs add up, with `+=` or [`Iterator::sum`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Runs that looked for edits.
    pub runs: u32,
    /// Runs that did nothing because the ISA has `opt_level=none`, as flags have by
    /// default.
    pub skipped_by_opt_level: u32,
    /// Runs that did not look at the function: with [`Effort::Gated`](super::Effort) it
    /// has no stack slot and names no transient region; with full effort it does not
    /// access memory.
    pub skipped_by_effort: u32,
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
    /// Stores that became one with another beside it.
    pub merged_stores: u32,
    /// Stores of which nobody saw some bytes, which they do not write any more.
    pub trimmed_stores: u32,
    /// Comparisons turned into constants.
    pub folded_compares: u32,
    /// Branches turned into jumps.
    pub folded_branches: u32,
    /// Edges that go past a branch which they determine.
    pub threaded_branches: u32,
    /// Stores moved down to the paths that need them.
    pub sunk_stores: u32,
    /// Loads moved down to the paths that need them.
    pub sunk_loads: u32,
    /// Loads moved up to the edges into their block that need them.
    pub raised_loads: u32,
    /// Stores moved up to the edges into their block that need them.
    pub raised_stores: u32,
    /// Loads moved in front of a loop in which they find the same each time.
    pub hoisted_loads: u32,
    /// Loads that are one with another behind the same branch, which went above it.
    pub merged_loads: u32,
    /// Loops that test behind their body and no longer before it.
    pub turned_loops: u32,
    /// Calls of `memcpy` and its kin that copy from where another one has copied what they copy.
    pub forwarded_copies: u32,
    /// Calls that copied or filled a few bytes of stack slots, and are loads and stores now.
    pub expanded_copies: u32,
    /// Accesses of the slot that a `select` gives, which are accesses of both now.
    pub split_accesses: u32,
    /// Fields of stack slots that have become values.
    pub promoted_fields: u32,
    /// Stack slots that no longer take space in the frame.
    pub freed_slots: u32,
    /// Stack slots of which only a part takes space in the frame.
    pub shrunk_slots: u32,
    /// Stack slots that are in the place of another one, whose life does not meet theirs.
    pub shared_slots: u32,
    /// Pure instructions removed because nobody used their results.
    pub unused_code: u32,
    /// Pure instructions moved down to the paths that need them.
    pub sunk_values: u32,
    /// Block parameters removed because nobody used them.
    pub unused_params: u32,
    /// Empty blocks that nothing leads to any more.
    pub bypassed_blocks: u32,
    /// Runs of upstream's egraph pass over what the edits have uncovered.
    pub egraph_runs: u32,
    /// Edits of all kinds, clean-up included: what
    /// [`edit_limit`](super::Options::edit_limit) limits. Some are counted above more than
    /// once, because they concern several instructions.
    pub applied: u32,
    /// Rounds of all passes that made an edit.
    pub rounds: u32,
    /// How often a named limit stopped a search that might have led to an edit.
    pub limits_hit: u32,
}

impl Stats {
    /// Each counter of edits and of limits with its name, in a fixed order; not
    /// [`Self::applied`], which counts the same edits in another unit.
    ///
    /// Cost: constant.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u32)> + use<> {
        let Self {
            runs: _,
            skipped_by_opt_level: _,
            skipped_by_effort: _,
            forwarded_loads,
            joined_loads,
            noop_stores,
            unused_loads,
            dead_stores,
            merged_stores,
            trimmed_stores,
            folded_compares,
            folded_branches,
            threaded_branches,
            sunk_stores,
            sunk_loads,
            raised_loads,
            raised_stores,
            hoisted_loads,
            merged_loads,
            turned_loops,
            forwarded_copies,
            expanded_copies,
            split_accesses,
            promoted_fields,
            freed_slots,
            shrunk_slots,
            shared_slots,
            unused_code,
            sunk_values,
            unused_params,
            bypassed_blocks,
            egraph_runs,
            applied: _,
            rounds,
            limits_hit,
        } = *self;
        [
            ("forwarded_loads", forwarded_loads),
            ("joined_loads", joined_loads),
            ("noop_stores", noop_stores),
            ("unused_loads", unused_loads),
            ("dead_stores", dead_stores),
            ("merged_stores", merged_stores),
            ("trimmed_stores", trimmed_stores),
            ("folded_compares", folded_compares),
            ("folded_branches", folded_branches),
            ("threaded_branches", threaded_branches),
            ("sunk_stores", sunk_stores),
            ("sunk_loads", sunk_loads),
            ("raised_loads", raised_loads),
            ("raised_stores", raised_stores),
            ("hoisted_loads", hoisted_loads),
            ("merged_loads", merged_loads),
            ("turned_loops", turned_loops),
            ("forwarded_copies", forwarded_copies),
            ("expanded_copies", expanded_copies),
            ("split_accesses", split_accesses),
            ("promoted_fields", promoted_fields),
            ("freed_slots", freed_slots),
            ("shrunk_slots", shrunk_slots),
            ("shared_slots", shared_slots),
            ("unused_code", unused_code),
            ("sunk_values", sunk_values),
            ("unused_params", unused_params),
            ("bypassed_blocks", bypassed_blocks),
            ("egraph_runs", egraph_runs),
            ("rounds", rounds),
            ("limits_hit", limits_hit),
        ]
        .into_iter()
    }

    /// What was done to memory traffic, slots and branches: all kinds of edits but clean-up.
    ///
    /// Cost: constant.
    pub fn edits(&self) -> u32 {
        self.forwarded_loads
            + self.joined_loads
            + self.noop_stores
            + self.unused_loads
            + self.dead_stores
            + self.merged_stores
            + self.trimmed_stores
            + self.folded_compares
            + self.folded_branches
            + self.threaded_branches
            + self.sunk_stores
            + self.sunk_loads
            + self.raised_loads
            + self.raised_stores
            + self.hoisted_loads
            + self.merged_loads
            + self.turned_loops
            + self.forwarded_copies
            + self.expanded_copies
            + self.split_accesses
            + self.promoted_fields
            + self.freed_slots
            + self.shrunk_slots
            + self.shared_slots
    }

    /// Counts a change that was made.
    pub(super) fn count(&mut self, change: &Change) {
        self.applied += 1;
        match change {
            Change::ReplaceLoad { .. } | Change::ReplaceLoadByConstant(..) => {
                self.forwarded_loads += 1;
            }
            Change::ReplaceLoadByParam { .. } => self.joined_loads += 1,
            Change::RemoveNoopStore(_) | Change::RemoveNoopCopy(_) => self.noop_stores += 1,
            Change::RemoveUnusedLoad(_) => self.unused_loads += 1,
            Change::RemoveUnusedCode(_) => self.unused_code += 1,
            Change::RemoveParams(params) => self.unused_params += params.len() as u32,
            Change::RemoveCycles { params, insts } => {
                self.unused_params += params.len() as u32;
                self.unused_code += insts.len() as u32;
            }
            Change::RemoveDeadStore(_) | Change::RemoveDeadCopy(_) => self.dead_stores += 1,
            Change::MergeStores(_) => self.merged_stores += 1,
            Change::TrimStore(_) => self.trimmed_stores += 1,
            Change::FoldBranch(..) => self.folded_branches += 1,
            Change::FoldCompare(..) => self.folded_compares += 1,
            Change::ForwardCopy(_) => self.forwarded_copies += 1,
            Change::ExpandCopy(_) => self.expanded_copies += 1,
            Change::LoadWhereChosen(choices) => {
                let loads = choices.iter().map(|choice| choice.loads.len() as u32);
                self.raised_loads += loads.sum::<u32>();
            }
            Change::AccessBoth { accesses, .. } => self.split_accesses += accesses.len() as u32,
            Change::Promote(_) => self.promoted_fields += 1,
            Change::FreeSlot(_) | Change::FreeAddressed(..) => self.freed_slots += 1,
            Change::ShrinkSlot { .. } => self.shrunk_slots += 1,
            Change::ShareSlot { .. } => self.shared_slots += 1,
            Change::Bypass(_) => self.bypassed_blocks += 1,
            Change::Thread(_) => self.threaded_branches += 1,
            Change::Sink(sunk) => self.sunk_stores += sunk.stores.len() as u32,
            Change::SinkLoad(..) => self.sunk_loads += 1,
            Change::SinkPure(..) => self.sunk_values += 1,
            Change::MoveUp(upward) => {
                for moved in &upward.moved {
                    match moved {
                        Moved::Load(..) => self.raised_loads += 1,
                        Moved::Store(_) => self.raised_stores += 1,
                    }
                }
            }
            Change::HoistLoads(hoisted) => self.hoisted_loads += hoisted.loads.len() as u32,
            Change::MergeLoads(merged) => self.merged_loads += merged.loads.len() as u32 - 1,
            Change::TurnLoop(_) => self.turned_loops += 1,
            Change::RunEgraph => self.egraph_runs += 1,
        }
    }

    /// What is said where no counter has moved.
    fn nothing(&self) -> &'static str {
        match self {
            Self { runs: 1.., .. } => "found nothing",
            Self {
                skipped_by_opt_level: 1..,
                ..
            } => "did not run: opt_level=none",
            Self {
                skipped_by_effort: 1..,
                ..
            } => "did not look: it has nothing that this effort looks at",
            _ => "did not run",
        }
    }
}

impl AddAssign<&Stats> for Stats {
    fn add_assign(&mut self, other: &Stats) {
        let Self {
            runs,
            skipped_by_opt_level,
            skipped_by_effort,
            forwarded_loads,
            joined_loads,
            noop_stores,
            unused_loads,
            dead_stores,
            merged_stores,
            trimmed_stores,
            folded_compares,
            folded_branches,
            threaded_branches,
            sunk_stores,
            sunk_loads,
            raised_loads,
            raised_stores,
            hoisted_loads,
            merged_loads,
            turned_loops,
            forwarded_copies,
            expanded_copies,
            split_accesses,
            promoted_fields,
            freed_slots,
            shrunk_slots,
            shared_slots,
            unused_code,
            sunk_values,
            unused_params,
            bypassed_blocks,
            egraph_runs,
            applied,
            rounds,
            limits_hit,
        } = self;
        *runs += other.runs;
        *skipped_by_opt_level += other.skipped_by_opt_level;
        *skipped_by_effort += other.skipped_by_effort;
        *forwarded_loads += other.forwarded_loads;
        *joined_loads += other.joined_loads;
        *noop_stores += other.noop_stores;
        *unused_loads += other.unused_loads;
        *dead_stores += other.dead_stores;
        *merged_stores += other.merged_stores;
        *trimmed_stores += other.trimmed_stores;
        *folded_compares += other.folded_compares;
        *folded_branches += other.folded_branches;
        *threaded_branches += other.threaded_branches;
        *sunk_stores += other.sunk_stores;
        *sunk_loads += other.sunk_loads;
        *raised_loads += other.raised_loads;
        *raised_stores += other.raised_stores;
        *hoisted_loads += other.hoisted_loads;
        *merged_loads += other.merged_loads;
        *turned_loops += other.turned_loops;
        *forwarded_copies += other.forwarded_copies;
        *expanded_copies += other.expanded_copies;
        *split_accesses += other.split_accesses;
        *promoted_fields += other.promoted_fields;
        *freed_slots += other.freed_slots;
        *shrunk_slots += other.shrunk_slots;
        *shared_slots += other.shared_slots;
        *unused_code += other.unused_code;
        *sunk_values += other.sunk_values;
        *unused_params += other.unused_params;
        *bypassed_blocks += other.bypassed_blocks;
        *egraph_runs += other.egraph_runs;
        *applied += other.applied;
        *rounds += other.rounds;
        *limits_hit += other.limits_hit;
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Stats) {
        *self += &other;
    }
}

impl Sum for Stats {
    fn sum<I: Iterator<Item = Stats>>(runs: I) -> Stats {
        runs.fold(Stats::default(), |mut sum, run| {
            sum += &run;
            sum
        })
    }
}

impl<'a> Sum<&'a Stats> for Stats {
    fn sum<I: Iterator<Item = &'a Stats>>(runs: I) -> Stats {
        runs.copied().sum()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for (name, count) in self.counters().filter(|(_, count)| *count != 0) {
            write!(f, "{space}{name}={count}")?;
            space = " ";
        }
        match space {
            "" => f.write_str(self.nothing()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_run_that_did_not_look_differs_from_one_that_found_nothing() {
        let said = |stats: Stats| stats.to_string();
        let mut stats = Stats::default();
        assert_eq!(said(stats), "did not run");
        stats.skipped_by_effort = 1;
        assert!(said(stats).starts_with("did not look: "));
        stats.skipped_by_opt_level = 1;
        assert_eq!(said(stats), "did not run: opt_level=none");
        stats.runs = 1;
        assert_eq!(said(stats), "found nothing");
        stats.dead_stores = 2;
        stats.rounds = 1;
        assert_eq!(said(stats), "dead_stores=2 rounds=1");
    }

    #[test]
    fn a_sum_has_every_counter() {
        let one = Stats {
            runs: 1,
            skipped_by_opt_level: 2,
            skipped_by_effort: 3,
            limits_hit: 4,
            ..Stats::default()
        };
        let sum: Stats = [one, one].iter().sum();
        assert_eq!((sum.runs, sum.skipped_by_opt_level), (2, 4));
        assert_eq!((sum.skipped_by_effort, sum.limits_hit), (6, 8));
    }
}
