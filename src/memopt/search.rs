//! The first pass that finds something, all asking one set of analyses.
//!
//! In most functions no pass finds anything, and the analyses cost more than the
//! passes that ask them. So the passes are tried one after the other until one
//! has edits. Those change the function, and what follows from memory instructions alone
//! is gone; [`Analyses`] keeps the rest.

use crate::Context;
use crate::ir::Function;
use crate::memopt::TargetFacts;
use crate::memopt::analyses::Analyses;
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::flow::Flow;
use crate::memopt::cfg::graph::Graph;
use crate::memopt::edit::Edit;
use crate::memopt::memory::clobber::Clobbers;
use crate::memopt::memory::insts::{EventKind, Memory};
use crate::memopt::memory::next_access::NextAccess;
use crate::memopt::memory::overlapping::Pairs;
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use crate::memopt::memory::values::Values;
use crate::memopt::options::Options;
use crate::memopt::passes::{
    branches, coalesced_slots, combined_loads, compares, dead_cycles, dead_slots, dead_stores,
    load_store_elim, merged_stores, shared_slots, shrunk_slots,
};
use crate::memopt::refusal::Refusals;
use crate::memopt::stats::Stats;
use alloc::vec::Vec;
use core::cell::OnceCell;

#[cfg(memopt_paths)]
mod on_paths;

/// What is searched, and for what.
pub struct Job<'f> {
    /// The function, whose aliases are resolved, with its graph and dominator tree.
    pub ctx: &'f Context,
    /// What the embedder knows.
    pub policy: &'f dyn Policy,
    /// What the target says.
    pub target: TargetFacts,
    /// The passes that may run.
    pub options: &'f Options,
    /// May edits change the graph?
    pub may_change_graph: bool,
    /// Are passes tried that concern some paths and not others?
    pub on_paths: bool,
    /// Have stores moved, so that what feeds them can follow?
    pub has_sunk: bool,
    /// Instructions that may still be copied past branches.
    pub copies: &'f mut usize,
    /// Set to whether memory has a part in what is found.
    pub by_memory: &'f mut bool,
    /// Where passes note what they leave as it is.
    pub refusals: &'f mut Refusals,
    /// Where limits are counted that the search hits.
    pub stats: &'f mut Stats,
}

/// A row of the table of passes.
pub struct Pass {
    /// What it is called.
    pub name: &'static str,
    /// The edits that it finds in the function as it is.
    pub find: fn(&mut Search<'_, '_>) -> Vec<Edit>,
    /// Does it concern some paths and not others? Such a pass looks only at functions in which
    /// no other finds anything, and changes the graph, so that the others come first again.
    pub on_paths: bool,
    /// Is the next pass tried at once behind its edits, before they are cleaned up?
    pub with_next: bool,
    /// Are it and what comes behind it tried again behind its edits, before the passes in front of
    /// it? Only if it is `on_paths`.
    pub again_at_once: bool,
    /// What is removed behind its edits.
    pub clean_up: CleanUp,
}

/// What the edits of a pass leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanUp {
    /// Nothing.
    Nothing,
    /// Code that nobody uses.
    Code,
    /// Stores that have moved, what feeds them, and all of [`Self::Paths`].
    SunkStores,
    /// Code and parameters that nobody uses, and empty blocks.
    Paths,
}

/// A search with the analyses that the passes ask, each made when it is first asked for.
pub struct Search<'s, 'f> {
    pub(super) job: Job<'f>,
    analyses: &'s Analyses,
    memory: &'s OnceCell<Memory<'f>>,
    clobbers: Option<Clobbers<'s>>,
    /// The accesses that have to do with others, until [`Self::clobbers`] takes them.
    pairs: Option<Pairs>,
    /// Are there any, or other questions about what memory holds?
    asks: Option<bool>,
    /// What all loads find, once the search for known values knows.
    values: Option<Values<'s, 'f>>,
    /// The loads that may be the same in each iteration of a loop, once anybody has asked.
    #[cfg(memopt_paths)]
    in_loops: Option<on_paths::InLoops>,
    /// The pass that looks.
    name: &'static str,
}

/// The position in `passes` of the first pass from `from` on that finds something, and its
/// edits.
///
/// Cost: O(instructions + edges) for what `analyses` does not have, and the queries of the
/// passes.
pub fn first<'f>(
    passes: &[Pass],
    from: usize,
    job: Job<'f>,
    analyses: &mut Analyses,
) -> Option<(usize, Vec<Edit>)> {
    let memory = OnceCell::new();
    let mut search = Search {
        job,
        analyses,
        memory: &memory,
        clobbers: None,
        pairs: None,
        asks: None,
        values: None,
        #[cfg(memopt_paths)]
        in_loops: None,
        name: "",
    };
    let mut found = None;
    for (at, pass) in passes.iter().enumerate().skip(from) {
        if pass.on_paths && !(search.job.on_paths && search.job.may_change_graph) {
            continue;
        }
        search.name = pass.name;
        let edits = (pass.find)(&mut search);
        if !edits.is_empty() {
            found = Some((at, edits));
            break;
        }
    }
    // One pass alone hits what the search before it has hit.
    if from + 1 < passes.len() {
        search.count_limits();
    }
    search.give_lists();
    drop(search);
    if let Some(memory) = memory.into_inner() {
        analyses.give_back(memory);
    }
    found
}

impl<'s, 'f> Search<'s, 'f> {
    fn flow(&self) -> &'s Flow {
        self.analyses.flow(self.job.ctx)
    }

    fn dominance(&self) -> Option<&'s Dominance> {
        self.flow().dominance(&self.job.ctx.domtree)
    }

    fn memory(&self) -> &'s Memory<'f> {
        let Job {
            ctx,
            policy,
            target,
            ..
        } = self.job;
        let make = || self.analyses.memory(ctx, policy, target);
        self.memory.get_or_init(make)
    }

    /// The clobber walker; `None` if the graph is too deep.
    fn clobbers(&mut self) -> Option<&mut Clobbers<'s>> {
        let (memory, flow) = (self.memory(), self.flow());
        let dominance = self.dominance()?;
        if self.clobbers.is_none() {
            let pairs = self.pairs.take().unwrap_or_else(|| self.find_pairs());
            let (order, graph) = (&flow.order, &flow.graph);
            let room = self.analyses.room();
            let clobbers = Clobbers::in_room(memory, order, graph, dominance, pairs, room);
            self.clobbers = Some(clobbers);
        }
        self.clobbers.as_mut()
    }

    fn find_pairs(&self) -> Pairs {
        let flow = self.flow();
        // Whoever hears refusals hears of what is between two accesses.
        let graph = Some(&flow.graph).filter(|_| !self.job.refusals.are_heard());
        let stale = self.analyses.pairs();
        stale.again(self.memory(), flow.repeating(), graph)
    }

    /// Gives the lists to the next search.
    fn give_lists(&mut self) {
        if let Some(clobbers) = self.clobbers.take() {
            let (room, pairs) = clobbers.into_lists();
            self.analyses.give_room(room);
            self.analyses.give_pairs(pairs);
        } else if let Some(pairs) = self.pairs.take() {
            self.analyses.give_pairs(pairs);
        }
    }

    /// Is there anything to be asked about what memory holds, and about slots that are compared?
    ///
    /// Cost: that of [`Pairs::new`], once.
    fn asks(&mut self) -> bool {
        if let Some(asks) = self.asks {
            return asks;
        }
        let (memory, pairs) = (self.memory(), self.find_pairs());
        let mut events = memory.events.iter();
        let asks = !pairs.are_none()
            || memory.has_transfers
            || events.any(|event| matches!(event.kind, EventKind::Compare));
        self.pairs = Some(pairs);
        self.asks = Some(asks);
        asks
    }

    fn count_limits(&mut self) {
        let clobbers = self.clobbers.as_ref();
        self.job.stats.limits_hit += clobbers.map_or(0, |clobbers| clobbers.limits_hit);
        let memory = self.memory.get();
        self.job.stats.limits_hit += u32::from(memory.is_some_and(|it| it.slots.limit_hit()));
        self.job.stats.limits_hit += memory.map_or(0, |memory| memory.translations.limits_hit);
    }

    /// What memory holds where: forwarded loads, no-op stores, comparisons.
    pub fn load_store(&mut self) -> Vec<Edit> {
        let options = self.job.options;
        if !self.asks() {
            return Vec::new();
        }
        let (memory, flow) = (self.memory(), self.flow());
        self.clobbers();
        let (Some(dominance), Some(clobbers)) = (self.dominance(), &mut self.clobbers) else {
            self.job.stats.limits_hit += 1;
            return Vec::new();
        };
        let mut edits = Vec::new();
        if options.fold_branches {
            edits.extend(compares::edits(memory, clobbers));
        }
        if options.forward_loads || options.noop_stores {
            let mut values = Values::new(memory, &flow.order, dominance);
            edits.extend(load_store_elim::edits(
                &mut values,
                &flow.graph,
                clobbers,
                options,
                self.name,
                self.job.refusals,
            ));
            // Without edits it has learnt every load.
            self.values = (edits.is_empty() && options.forward_loads).then_some(values);
        }
        edits
    }

    /// Branches on constants.
    pub fn branches(&mut self) -> Vec<Edit> {
        match self.job.options.fold_branches && self.job.may_change_graph {
            true => branches::edits(&self.job.ctx.func),
            false => Vec::new(),
        }
    }

    /// Stores that nobody observes.
    pub fn dead_stores(&mut self) -> Vec<Edit> {
        if !self.job.options.dead_stores {
            return Vec::new();
        }
        let (memory, flow) = (self.memory(), self.flow());
        let candidates = dead_stores::candidates(memory, &flow.graph, self.name, self.job.refusals);
        if candidates.is_empty() {
            return Vec::new();
        }
        let Some(dominance) = flow.reversed_dominance() else {
            self.job.stats.limits_hit += 1;
            return Vec::new();
        };
        let written = candidates.iter().filter_map(|event| {
            let access = memory.access(*event).map(|it| (&it.location, it.class));
            access.or_else(|| Some((memory.transfer(*event)?.writes.as_ref()?, None)))
        });
        let asked = written.flat_map(|(location, class)| {
            [true, false].map(|it| memory.class_at(location, class, it))
        });
        let (reversed, repeating) = (flow.reversed(), flow.repeating());
        let (order, room) = (&flow.order, self.analyses.room());
        let mut next_access =
            NextAccess::new(memory, order, reversed, dominance, repeating, asked, room);
        let slots = memory.slots.used().iter();
        let mut privacy = slots.map(|slot| memory.slots.privacy(*slot));
        // Where an escape lies decides only for slots that have one.
        if privacy.any(|privacy| privacy == Privacy::UntilEscape) {
            self.clobbers();
        }
        let clobbers = self.clobbers.as_ref();
        let is_private = |event| {
            if let Some(transfer) = memory.transfer(event) {
                let to = transfer.writes.as_ref();
                return to.is_some_and(|to| to.is_always_private(&memory.slots))
                    || clobbers.is_some_and(|clobbers| clobbers.written_slot_is_private(event));
            }
            let access = memory.access(event);
            access.is_some_and(|access| access.is_always_private(&memory.slots))
                || clobbers.is_some_and(|clobbers| clobbers.slot_is_private(event))
        };
        let edits = dead_stores::edits(
            memory,
            &candidates,
            &mut next_access,
            is_private,
            self.name,
            self.job.refusals,
        );
        self.job.stats.limits_hit += next_access.limits_hit;
        self.analyses.give_room(next_access.into_room());
        edits
    }

    /// Loads side by side.
    pub fn combine_loads(&mut self) -> Vec<Edit> {
        let options = self.job.options;
        match options.combine_loads && options.unused_loads {
            true => combined_loads::edits(self.memory()),
            false => Vec::new(),
        }
    }

    /// Stores side by side.
    pub fn merge_stores(&mut self) -> Vec<Edit> {
        match self.job.options.merge_stores {
            true => merged_stores::edits(self.memory()),
            false => Vec::new(),
        }
    }

    /// Stores to slots of which nobody needs what is loaded.
    pub fn own_slots(&mut self) -> Vec<Edit> {
        match self.job.options.dead_stores && self.job.options.unused_loads {
            true => dead_cycles::of_slots(self.memory(), self.flow()),
            false => Vec::new(),
        }
    }

    /// Slots of which some bytes at an end are not accessed.
    pub fn shrunk_slots(&mut self) -> Vec<Edit> {
        shrunk_slots::edits(&self.job.ctx.func, &self.memory().slots)
    }

    /// Slots that are copied to others.
    pub fn coalesced_slots(&mut self) -> Vec<Edit> {
        self.places(coalesced_slots::edits)
    }

    /// Slots whose lives do not meet.
    pub fn shared_slots(&mut self) -> Vec<Edit> {
        self.places(shared_slots::edits)
    }

    /// What `find` makes of slots, of which there are two or more, with how often it hits a limit.
    fn places(&mut self, find: fn(&Function, &Graph, &Slots) -> (Vec<Edit>, u32)) -> Vec<Edit> {
        let func = &self.job.ctx.func;
        if !shared_slots::may_be_any(func) {
            return Vec::new();
        }
        let (edits, limits_hit) = find(func, &self.flow().graph, &self.memory().slots);
        self.job.stats.limits_hit += limits_hit;
        edits
    }

    /// Slots that nothing names.
    pub fn dead_slots(&mut self) -> Vec<Edit> {
        let func = &self.job.ctx.func;
        if self.job.refusals.are_wanted() {
            dead_slots::note_kept(func, self.name, self.job.refusals);
        }
        let slots = &self.memory().slots;
        // An access outside of its slot may be to one that nothing names.
        match self.job.options.unused_slots && !slots.are_left {
            true => dead_slots::edits(func, slots),
            false => Vec::new(),
        }
    }
}
