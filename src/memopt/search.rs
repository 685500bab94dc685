//! The first pass that finds something, all asking one set of analyses.
//!
//! In most functions no pass finds anything, and the analyses cost more than the
//! passes that ask them. So the passes are tried one after the other until one
//! has edits. Those change the function, and the analyses are gone.

use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::Function;
use crate::loop_analysis::LoopAnalysis;
use crate::memopt::TargetFacts;
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Order};
use crate::memopt::edit::Edit;
use crate::memopt::memory::clobber::Reaching;
use crate::memopt::memory::insts::Memory;
use crate::memopt::memory::next_access::Upcoming;
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use crate::memopt::memory::values::Values;
use crate::memopt::options::Options;
use crate::memopt::passes::{branches, compares, dead_slots, dead_stores, load_store_elim};
use crate::memopt::refusal::Refusals;
use crate::memopt::stats::Stats;
use alloc::vec::Vec;
use core::cell::OnceCell;

#[cfg(memopt_paths)]
mod on_paths;

/// The passes that ask the analyses, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// What memory holds where: forwarded loads, no-op stores, comparisons.
    Values,
    /// Branches on constants.
    Branches,
    /// Dead stores.
    DeadStores,
    /// Slots that nothing names.
    Slots,
    /// Ways past branches; and if there are none, accesses that only some ways
    /// into a block need. The first that concerns some ways and not others.
    Joins,
    /// Stores that only some ways need.
    Sinking,
    /// What feeds stores that have moved.
    SinkingValues,
}

impl Stage {
    /// The first.
    pub const FIRST: Self = Self::Values;

    /// What is tried behind this one.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Values => Some(Self::Branches),
            Self::Branches => Some(Self::DeadStores),
            Self::DeadStores => Some(Self::Slots),
            Self::Slots => Some(Self::Joins),
            Self::Joins => Some(Self::Sinking),
            Self::Sinking => Some(Self::SinkingValues),
            Self::SinkingValues => None,
        }
    }
}

/// What is searched, and for what.
pub struct Search<'a> {
    /// The function, whose aliases are resolved.
    pub func: &'a Function,
    /// Its graph.
    pub cfg: &'a ControlFlowGraph,
    /// Its dominator tree.
    pub domtree: &'a DominatorTree,
    /// What the embedder knows.
    pub policy: &'a dyn Policy,
    /// What the target says.
    pub target: TargetFacts,
    /// The passes that may run.
    pub options: &'a Options,
    /// May edits change the graph?
    pub may_change_graph: bool,
    /// Is what concerns some ways searched for too?
    pub ways: bool,
    /// Have stores moved, so that what feeds them can follow?
    pub has_sunk: bool,
    /// Instructions that may still be copied past branches.
    pub copies: &'a mut usize,
    /// Set to whether memory has a part in what is found.
    pub by_memory: &'a mut bool,
    /// Where passes note what they leave as it is.
    pub refusals: &'a mut Refusals,
    /// Where limits are counted that the search hits.
    pub stats: &'a mut Stats,
}

/// The edits of one pass; not none.
type Found = Option<(Stage, Vec<Edit>)>;

impl Search<'_> {
    /// The edits of the first pass from `first` on that has any.
    ///
    /// Cost: O(instructions + edges), and the queries of the passes.
    pub fn from(mut self, first: Stage) -> Found {
        if self.ways || first <= Stage::Branches {
            return self.all(first);
        }
        match first {
            Stage::DeadStores => self.what_happens_next(),
            Stage::Slots => self.slots(None),
            Stage::Values
            | Stage::Branches
            | Stage::Joins
            | Stage::Sinking
            | Stage::SinkingValues => None,
        }
    }

    /// Every pass from `first` on.
    fn all(&mut self, first: Stage) -> Found {
        let order = Order::new(self.domtree);
        let graph = Graph::forward(&order, self.cfg);
        let Some(dominance) = Dominance::of_blocks(&graph, &order, self.domtree) else {
            self.stats.limits_hit += u32::from(first == Stage::FIRST);
            return self.branches(first).or_else(|| match first {
                Stage::Values | Stage::Branches | Stage::DeadStores => self.what_happens_next(),
                Stage::Slots => self.slots(None),
                Stage::Joins | Stage::Sinking | Stage::SinkingValues => None,
            });
        };
        let memory = Memory::new(self.func, &order, self.policy, self.target);
        let mut looking = Looking {
            reaching: Reaching::new(&memory, &order, &graph, &dominance),
            order: &order,
            graph: &graph,
            dominance: &dominance,
            memory: &memory,
            values: None,
            loops: OnceCell::new(),
            search: self,
        };
        let found = looking.first(first);
        if first <= Stage::Joins {
            let hits = looking.reaching.limits_hit + u32::from(memory.slots.limit_hit);
            self.stats.limits_hit += hits;
        }
        found
    }

    /// Dead stores and unused slots, where nothing else is searched for and only
    /// what happens next to a store has to be known.
    fn what_happens_next(&mut self) -> Found {
        let order = Order::new(self.domtree);
        let memory = Memory::new(self.func, &order, self.policy, self.target);
        if self.options.dead_stores {
            let graph = Graph::forward(&order, self.cfg);
            let edits = dead_store_edits(&memory, &order, &graph, None, self.stats);
            if !edits.is_empty() {
                return Some((Stage::DeadStores, edits));
            }
        }
        self.slots(Some(&memory))
    }

    fn branches(&self, first: Stage) -> Found {
        let wanted =
            first <= Stage::Branches && self.options.fold_branches && self.may_change_graph;
        let edits = wanted.then(|| branches::edits(self.func))?;
        (!edits.is_empty()).then_some((Stage::Branches, edits))
    }

    fn slots(&mut self, memory: Option<&Memory<'_>>) -> Found {
        if self.refusals.are_wanted() {
            dead_slots::note_kept(self.func, "dead-slots", self.refusals);
        }
        let edits = match self.options.unused_slots {
            true => dead_slots::edits(self.func),
            false => Vec::new(),
        };
        if edits.is_empty() {
            return None;
        }
        // An access outside of its slot may be to one that nothing names.
        let are_left = match memory {
            Some(memory) => memory.slots.are_left,
            None => {
                let order = Order::new(self.domtree);
                Slots::new(self.func, &order, self.policy).are_left
            }
        };
        (!are_left).then_some((Stage::Slots, edits))
    }
}

/// A search with the analyses that most passes ask.
struct Looking<'f, 's, 'a> {
    order: &'f Order,
    graph: &'f Graph,
    dominance: &'f Dominance,
    memory: &'f Memory<'f>,
    reaching: Reaching<'f>,
    /// What all loads find, once the search for known values knows.
    values: Option<Values<'f, 'f>>,
    loops: OnceCell<LoopAnalysis>,
    search: &'s mut Search<'a>,
}

impl Looking<'_, '_, '_> {
    fn first(&mut self, first: Stage) -> Found {
        let mut stage = Some(first);
        while let Some(at) = stage {
            let found = self.stage(at);
            if found.is_some() {
                return found;
            }
            stage = at.next();
        }
        None
    }

    fn stage(&mut self, stage: Stage) -> Found {
        let ways = self.search.ways && self.search.may_change_graph;
        let edits = match stage {
            Stage::Values => self.known(),
            Stage::Branches => return self.search.branches(stage),
            Stage::DeadStores => self.dead_stores(),
            Stage::Slots => return self.search.slots(Some(self.memory)),
            Stage::Joins | Stage::Sinking | Stage::SinkingValues if ways => {
                self.find_on_paths(stage)
            }
            Stage::Joins | Stage::Sinking | Stage::SinkingValues => Vec::new(),
        };
        (!edits.is_empty()).then_some((stage, edits))
    }

    fn known(&mut self) -> Vec<Edit> {
        let options = self.search.options;
        let mut edits = Vec::new();
        if options.fold_branches {
            edits.extend(compares::edits(self.memory, &self.reaching));
        }
        if options.forward_loads || options.noop_stores {
            let mut values = Values::new(self.memory, self.order, self.dominance);
            edits.extend(load_store_elim::edits(
                &mut values,
                self.graph,
                &mut self.reaching,
                options,
            ));
            // Without edits it has learnt every load.
            self.values = (edits.is_empty() && options.forward_loads).then_some(values);
        }
        edits
    }

    fn dead_stores(&mut self) -> Vec<Edit> {
        if !self.search.options.dead_stores {
            return Vec::new();
        }
        let reaching = Some(&self.reaching);
        dead_store_edits(
            self.memory,
            self.order,
            self.graph,
            reaching,
            self.search.stats,
        )
    }
}

#[cfg(not(memopt_paths))]
impl Looking<'_, '_, '_> {
    /// Without the wing there are none.
    fn find_on_paths(&mut self, _: Stage) -> Vec<Edit> {
        Vec::new()
    }
}

fn dead_store_edits(
    memory: &Memory<'_>,
    order: &Order,
    graph: &Graph,
    reaching: Option<&Reaching<'_>>,
    stats: &mut Stats,
) -> Vec<Edit> {
    let candidates = dead_stores::candidates(memory, graph);
    if candidates.is_empty() {
        return Vec::new();
    }
    let reversed = Graph::reversed(graph);
    let repeating = graph.repeating_nodes();
    let accesses = candidates.iter().filter_map(|event| memory.access(*event));
    let asked = accesses.flat_map(|access| [true, false].map(|it| memory.class_of(access, it)));
    let Some(mut upcoming) = Upcoming::new(memory, order, &reversed, &repeating, asked) else {
        stats.limits_hit += 1;
        return Vec::new();
    };
    let slots = memory.slots.used().iter();
    let mut privacy = slots.map(|slot| memory.slots.privacy(*slot));
    // Where an escape lies decides only for slots that have one.
    let asks = reaching.is_none() && privacy.any(|privacy| privacy == Privacy::UntilEscape);
    let dominance = asks.then(|| Dominance::new(graph)).flatten();
    let own = dominance
        .as_ref()
        .map(|dominance| Reaching::new(memory, order, graph, dominance));
    let reaching = reaching.or(own.as_ref());
    let edits = dead_stores::edits(memory, &candidates, &mut upcoming, |event| {
        let access = memory.access(event);
        access.is_some_and(|access| access.is_always_private(&memory.slots))
            || reaching.is_some_and(|reaching| reaching.slot_is_private(event))
    });
    stats.limits_hit += upcoming.limits_hit;
    edits
}
