//! The graph of a function and what follows from it alone, each part made when it is first
//! asked for.
//!
//! All of it stays true until a block or an edge comes or goes, whatever else changes.

use crate::Context;
use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::loop_analysis::LoopAnalysis;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Order};
use alloc::vec::Vec;
use core::cell::OnceCell;

/// The graph of a function, in both directions.
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
}

impl Flow {
    /// The graph of the function that `cfg` and `domtree` belong to.
    ///
    /// Cost: O(blocks + edges).
    pub fn new(cfg: &ControlFlowGraph, domtree: &DominatorTree) -> Self {
        let order = Order::new(domtree);
        let graph = Graph::forward(&order, cfg);
        Self {
            order,
            graph,
            dominance: OnceCell::new(),
            repeating: OnceCell::new(),
            reversed: OnceCell::new(),
            reversed_dominance: OnceCell::new(),
            loops: OnceCell::new(),
        }
    }

    /// Dominators and frontiers along the edges; `None` as for [`Dominance::new`].
    pub fn dominance(&self, domtree: &DominatorTree) -> Option<&Dominance> {
        let make = || Dominance::of_blocks(&self.graph, &self.order, domtree);
        self.dominance.get_or_init(make).as_ref()
    }

    /// Which blocks may run more than once.
    pub fn repeating(&self) -> &[bool] {
        self.repeating.get_or_init(|| self.graph.repeating_nodes())
    }

    /// The graph against the edges.
    pub fn reversed(&self) -> &Graph {
        self.reversed.get_or_init(|| Graph::reversed(&self.graph))
    }

    /// Dominators and frontiers against the edges; `None` as for [`Dominance::new`].
    pub fn reversed_dominance(&self) -> Option<&Dominance> {
        let make = || Dominance::new(self.reversed());
        self.reversed_dominance.get_or_init(make).as_ref()
    }

    /// The loops of the function in `ctx`.
    pub fn loops(&self, ctx: &Context) -> &LoopAnalysis {
        self.loops.get_or_init(|| {
            let mut loops = LoopAnalysis::new();
            loops.compute(&ctx.func, &ctx.cfg, &ctx.domtree);
            loops
        })
    }
}
