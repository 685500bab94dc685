//! What a run did.

use crate::memopt::edit::{Change, Moved};
use core::fmt;
use core::iter::Sum;
use core::ops::AddAssign;

/// Makes [`Stats`], and whatever goes through all of its fields.
macro_rules! stats {
    (
        $(#[$about:meta])*
        runs { $($(#[$run_doc:meta])* $run:ident,)* }
        edits { $($(#[$edit_doc:meta])* $edit:ident,)* }
        others { $($(#[$other_doc:meta])* $other:ident,)* }
    ) => {
        $(#[$about])*
        pub struct Stats {
            $($(#[$run_doc])* pub $run: u32,)*
            $($(#[$edit_doc])* pub $edit: u32,)*
            $($(#[$other_doc])* pub $other: u32,)*
        }

        impl Stats {
            /// Each counter of edits and of limits with its name, in a fixed order; not
            /// [`Self::applied`], which counts the same edits in another unit.
            ///
            /// Cost: constant.
            pub fn counters(&self) -> impl Iterator<Item = (&'static str, u32)> + use<> {
                [
                    $((stringify!($edit), self.$edit),)*
                    $((stringify!($other), self.$other),)*
                ]
                .into_iter()
            }

            /// What was done to memory traffic, slots and branches: all kinds of edits but
            /// clean-up.
            ///
            /// Cost: constant.
            pub fn edits(&self) -> u32 {
                0 $(+ self.$edit)*
            }
        }

        impl AddAssign<&Stats> for Stats {
            fn add_assign(&mut self, other: &Stats) {
                $(self.$run += other.$run;)*
                $(self.$edit += other.$edit;)*
                $(self.$other += other.$other;)*
            }
        }
    };
}

stats! {
    /// What runs did: counters of what was done to memory traffic, of clean-up, of rounds and of
    /// limits, and how many runs there were.
    ///
    /// A run that found nothing differs from one that did not look: [`Self::runs`] counts
    /// the first, [`Self::skipped_by_opt_level`] and [`Self::skipped_by_effort`] the others.
    /// It displays as the counters that are not zero, or as why there are none. The
    /// statistics of several runs add up, with `+=` or [`Iterator::sum`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    runs {
        /// Runs that looked for edits.
        runs,
        /// Runs that did nothing because the ISA has `opt_level=none`, as flags have by
        /// default.
        skipped_by_opt_level,
        /// Runs that did not look at the function: with [`Effort::Gated`](super::Effort) it
        /// has no stack slot and names no transient region; with full effort it does not
        /// access memory.
        skipped_by_effort,
        /// Edits of all kinds, clean-up included: what
        /// [`edit_limit`](super::Options::edit_limit) limits. Some are counted below more than
        /// once, because they concern several instructions.
        applied,
    }
    edits {
        /// Loads replaced by a value that a store left or another load fetched.
        forwarded_loads,
        /// Loads replaced by a block parameter, because every predecessor knew the
        /// value, each another one.
        joined_loads,
        /// Stores removed because memory held the value already.
        noop_stores,
        /// Loads removed because nobody used their value.
        unused_loads,
        /// Stores removed because nobody observed them.
        dead_stores,
        /// Stores that became one with another beside it.
        merged_stores,
        /// Words loaded at once that several loads were put together to.
        combined_loads,
        /// Stores of which nobody saw some bytes, which they do not write any more.
        trimmed_stores,
        /// Comparisons turned into constants.
        folded_compares,
        /// Branches turned into jumps, and conditional traps that went.
        folded_branches,
        /// Edges that go past a branch which they determine.
        threaded_branches,
        /// Stores moved down to the paths that need them.
        sunk_stores,
        /// Loads moved down to the paths that need them.
        sunk_loads,
        /// Loads moved up to the edges into their block that need them.
        raised_loads,
        /// Stores moved up to the edges into their block that need them.
        raised_stores,
        /// Loads moved in front of a loop in which they find the same each time.
        hoisted_loads,
        /// Loads that are one with another behind the same branch, which went above it.
        merged_loads,
        /// Loops that test behind their body and no longer before it.
        turned_loops,
        /// Calls of `memcpy` and its kin that copy from where another one has copied what they copy.
        forwarded_copies,
        /// Calls that copied or filled a few bytes of stack slots, and are loads and stores now.
        expanded_copies,
        /// Accesses of one of a few places in slots, which are accesses of each now.
        split_accesses,
        /// Fields of stack slots that have become values.
        promoted_fields,
        /// Stack slots that no longer take space in the frame.
        freed_slots,
        /// Stack slots of which only a part takes space in the frame.
        shrunk_slots,
        /// Stack slots that are in the place of another one, whose life does not meet theirs.
        shared_slots,
    }
    others {
        /// Pure instructions removed because nobody used their results.
        unused_code,
        /// Pure instructions moved down to the paths that need them.
        sunk_values,
        /// Block parameters removed because nobody used them.
        unused_params,
        /// Empty blocks that nothing leads to any more.
        bypassed_blocks,
        /// Blocks that can only end in a trap, and have become one with another that does the same.
        merged_blocks,
        /// Blocks that have become the end of the one that alone led to them.
        straightened_blocks,
        /// Values that blocks compute for themselves, because they came from memory and would
        /// have been kept.
        recomputed_values,
        /// Runs of upstream's egraph pass over what the edits have uncovered.
        egraph_runs,
        /// Rounds of all passes that made an edit.
        rounds,
        /// How often a named limit stopped a search that might have led to an edit.
        limits_hit,
    }
}

/// Why a run does not look at a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// As [`Stats::skipped_by_opt_level`].
    ByOptLevel,
    /// As [`Stats::skipped_by_effort`].
    ByEffort,
}

impl Skipped {
    /// The statistics of such a run.
    ///
    /// Cost: constant. They are made where they are wanted: to move them costs as much as the look
    /// at most functions.
    #[inline]
    pub fn stats(self) -> Stats {
        Stats {
            skipped_by_opt_level: u32::from(self == Self::ByOptLevel),
            skipped_by_effort: u32::from(self == Self::ByEffort),
            ..Stats::default()
        }
    }
}

impl Stats {
    /// Counts a change that was made.
    pub(super) fn count(&mut self, change: &Change) {
        self.applied += 1;
        match change {
            Change::ReplaceLoad { .. }
            | Change::ReplaceLoadByConstant(..)
            | Change::ReplaceLoadByHalves(..)
            | Change::ReplaceLoadBySelect { .. } => {
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
            Change::CombineLoads(_) => self.combined_loads += 1,
            Change::TrimStore(_) => self.trimmed_stores += 1,
            Change::FoldBranch(..) | Change::RemoveTrap(_) => self.folded_branches += 1,
            Change::FoldCompare(..) => self.folded_compares += 1,
            Change::ForwardCopy(_) => self.forwarded_copies += 1,
            Change::ExpandCopy(_) => self.expanded_copies += 1,
            Change::LoadWhereChosen(choices) => {
                let loads = choices.iter().map(|choice| choice.loads.len() as u32);
                self.raised_loads += loads.sum::<u32>();
            }
            Change::AccessBoth { accesses, .. } => self.split_accesses += accesses.len() as u32,
            Change::NumberPlaces(numbered) => {
                self.split_accesses += numbered.accesses.len() as u32;
            }
            Change::Promote(_) => self.promoted_fields += 1,
            Change::FreeSlot(_) | Change::FreeAddressed(..) => self.freed_slots += 1,
            Change::ShrinkSlot { .. } => self.shrunk_slots += 1,
            Change::ShareSlot { .. } => self.shared_slots += 1,
            Change::Bypass(_) => self.bypassed_blocks += 1,
            Change::MergeBlocks(_) => self.merged_blocks += 1,
            Change::Straighten { .. } => self.straightened_blocks += 1,
            Change::Thread(_) => self.threaded_branches += 1,
            Change::Sink(sunk) => self.sunk_stores += sunk.stores.len() as u32,
            Change::JoinStores(joined) => self.sunk_stores += joined.stores.len() as u32,
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
            Change::CarryRound(carried) => {
                let accesses = carried.value.accesses.iter();
                self.sunk_stores += accesses.filter(|it| it.step.writes()).count() as u32;
            }
            Change::TurnLoop(_) => self.turned_loops += 1,
            Change::ComputeAgain(..) => self.recomputed_values += 1,
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
