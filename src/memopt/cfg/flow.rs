//! The graph of a function and what follows from it alone, each part made when it is first
//! asked for.
//!
//! All of it stays true until a block or an edge comes or goes, whatever else changes.

use crate::Context;
use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::loop_analysis::LoopAnalysis;
use crate::memopt::cfg::dominance::{Dominance, Making};
use crate::memopt::cfg::graph::{Graph, Order};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{OnceCell, RefCell};

/// The graph of a function, in both directions.
#[derive(Default)]
pub struct Flow {
    /// The numbers of the blocks.
    pub order: Order,
    /// The graph along the edges.
    pub graph: Graph,
    dominance: OnceCell<Option<Dominance>>,
    repeating: OnceCell<Vec<bool>>,
    reversed: OnceCell<Graph>,
    reversed_dominance: OnceCell<Option<Dominance>>,
    loops: OnceCell<LoopAnalysis>,
    room: RefCell<Box<Room>>,
}

/// Lists in which a graph and what follows from it are made, of which nothing counts.
pub struct Lists {
    order: Order,
    graph: Graph,
    room: Box<Room>,
}

/// What the next parts are made in.
#[derive(Default)]
struct Room {
    reversed: Graph,
    dominances: Vec<Dominance>,
    making: Making,
    loops: Option<LoopAnalysis>,
}

impl Flow {
    /// The graph of the function that `cfg` and `domtree` belong to.
    ///
    /// Cost: O(blocks + edges).
    pub fn new(cfg: &ControlFlowGraph, domtree: &DominatorTree) -> Self {
        let mut this = Self::default();
        this.find(cfg, domtree);
        this
    }

    /// The same, in the lists of another graph.
    pub fn find(&mut self, cfg: &ControlFlowGraph, domtree: &DominatorTree) {
        self.forget();
        self.order.find(domtree);
        self.graph.find_forward(&self.order, cfg);
    }

    /// A graph of nothing, to be [found](Self::find) in `lists`.
    pub fn in_lists(lists: Lists) -> Self {
        let Lists { order, graph, room } = lists;
        Self {
            order,
            graph,
            room: RefCell::new(room),
            ..Self::default()
        }
    }

    /// The lists, for another graph.
    pub fn into_lists(mut self) -> Lists {
        self.forget();
        Lists {
            order: self.order,
            graph: self.graph,
            room: self.room.into_inner(),
        }
    }

    /// Leaves the lists of what follows from the graph to the next one.
    fn forget(&mut self) {
        let room = self.room.get_mut();
        self.repeating.take();
        if let Some(reversed) = self.reversed.take() {
            room.reversed = reversed;
        }
        for dominance in [&mut self.dominance, &mut self.reversed_dominance] {
            room.dominances.extend(dominance.take().flatten());
        }
        if let Some(loops) = self.loops.take() {
            room.loops = Some(loops);
        }
    }

    /// Dominators and frontiers along the edges; `None` as for [`Dominance::new`].
    pub fn dominance(&self, domtree: &DominatorTree) -> Option<&Dominance> {
        let make = || {
            let room = &mut **self.room.borrow_mut();
            let lists = room.dominances.pop().unwrap_or_default();
            lists.find_of_blocks(&self.graph, &self.order, domtree, &mut room.making)
        };
        self.dominance.get_or_init(make).as_ref()
    }

    /// Which blocks may run more than once.
    pub fn repeating(&self) -> &[bool] {
        self.repeating.get_or_init(|| self.graph.repeating_nodes())
    }

    /// Does a path lead out of the function from each block?
    pub fn all_end(&self) -> bool {
        let reversed = self.reversed();
        let mut ends = reversed.succs(reversed.entry).iter();
        ends.all(|end| self.graph.succs(*end).is_empty())
    }

    /// The graph against the edges.
    pub fn reversed(&self) -> &Graph {
        self.reversed.get_or_init(|| {
            let mut reversed = core::mem::take(&mut self.room.borrow_mut().reversed);
            reversed.find_reversed(&self.graph);
            reversed
        })
    }

    /// Dominators and frontiers against the edges; `None` as for [`Dominance::new`].
    pub fn reversed_dominance(&self) -> Option<&Dominance> {
        let reversed = self.reversed();
        let make = || {
            let room = &mut **self.room.borrow_mut();
            let lists = room.dominances.pop().unwrap_or_default();
            lists.find(reversed, &mut room.making)
        };
        self.reversed_dominance.get_or_init(make).as_ref()
    }

    /// The loops of the function in `ctx`.
    pub fn loops(&self, ctx: &Context) -> &LoopAnalysis {
        self.loops.get_or_init(|| {
            let stale = self.room.borrow_mut().loops.take();
            let mut loops = stale.unwrap_or_else(LoopAnalysis::new);
            loops.compute(&ctx.func, &ctx.cfg, &ctx.domtree);
            loops
        })
    }
}
