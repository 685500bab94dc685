//! The control-flow graph as dense numbers, and the same graph reversed.
//!
//! The analyses ask two mirrored questions: which write reaches this load
//! (along the edges), and what happens next to this store (against them). Both
//! are answered by one engine over a [`Graph`], of which a function has two:
//!
//! - forward: a node is a reachable block, numbered in reverse postorder;
//! - reversed: the same numbers, every edge turned round, and one more node,
//!   the *exit*, which every returning or trapping block leads to. Blocks of a
//!   loop that never ends would not reach it; for each such group one edge to
//!   the exit is added, which stands for "nothing more is observed".

use crate::dominator_tree::DominatorTree;
use crate::entity::SecondaryMap;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::Block;
use alloc::vec;
use alloc::vec::Vec;

/// A block as a number in reverse postorder, or the exit of a reversed graph.
pub type Node = u32;

/// Marks a block that no path from the entry reaches.
const UNREACHABLE: Node = u32::MAX;

/// The reachable blocks of a function in reverse postorder.
pub struct Order {
    blocks: Vec<Block>,
    numbers: SecondaryMap<Block, Node>,
}

impl Order {
    /// Numbers the blocks that `domtree` has found to be reachable.
    pub fn new(domtree: &DominatorTree) -> Self {
        let blocks: Vec<Block> = domtree.cfg_rpo().copied().collect();
        let mut numbers = SecondaryMap::with_default(UNREACHABLE);
        let last = blocks.iter().map(|block| block.as_u32()).max();
        numbers.resize(last.map_or(0, |last| last as usize + 1));
        for (number, block) in blocks.iter().enumerate() {
            numbers[*block] = number as Node;
        }
        Self { blocks, numbers }
    }

    /// The number of reachable blocks.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The blocks, the entry first.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The block with this number.
    pub fn block(&self, node: Node) -> Block {
        self.blocks[node as usize]
    }

    /// The number of `block`; `None` if it is unreachable.
    pub fn node(&self, block: Block) -> Option<Node> {
        Some(self.numbers[block]).filter(|node| *node != UNREACHABLE)
    }
}

/// A directed graph in which every node is reachable from `entry`.
pub struct Graph {
    /// Where every path begins.
    pub entry: Node,
    succs: Lists,
    preds: Lists,
    /// For each successor edge, its position among the predecessors of its end.
    positions: Vec<u32>,
}

/// Lists of nodes, one for each node, in one allocation.
pub struct Lists {
    starts: Vec<u32>,
    items: Vec<Node>,
}

impl Lists {
    /// The list of `node`.
    pub fn get(&self, node: Node) -> &[Node] {
        &self.items[self.range(node)]
    }

    fn range(&self, node: Node) -> core::ops::Range<usize> {
        let node = node as usize;
        self.starts[node] as usize..self.starts[node + 1] as usize
    }
}

impl Graph {
    /// The graph of the function whose flow graph is `cfg`.
    pub fn forward(order: &Order, cfg: &ControlFlowGraph) -> Self {
        let mut edges = Vec::with_capacity(order.len() * 2);
        for (from, block) in order.blocks.iter().enumerate() {
            for succ in cfg.succ_iter(*block) {
                if let Some(to) = order.node(succ) {
                    edges.push((from as Node, to));
                }
            }
        }
        Self::from_edges(order.len(), 0, &edges)
    }

    /// `forward` turned round, with an exit as its last node.
    pub fn reversed(forward: &Self) -> Self {
        let exit = forward.len() as Node;
        let mut edges = Vec::with_capacity(forward.succs.items.len() + forward.len());
        for from in 0..exit {
            if forward.succs(from).is_empty() {
                edges.push((exit, from));
            }
            edges.extend(forward.succs(from).iter().map(|to| (*to, from)));
        }
        for stuck in forward.blocks_without_exit() {
            edges.push((exit, stuck));
        }
        Self::from_edges(forward.len() + 1, exit, &edges)
    }

    /// The graph of `edges`, which may repeat themselves.
    fn from_edges(len: usize, entry: Node, edges: &[(Node, Node)]) -> Self {
        let mut succs = Lists::collect(len, edges.iter().copied());
        succs.dedup();
        let turned =
            (0..len as Node).flat_map(|from| succs.get(from).iter().map(move |to| (*to, from)));
        let preds = Lists::collect(len, turned);
        // Both visit the edges to one node in the order of their beginnings.
        let mut seen = vec![0; len];
        let positions = succs.items.iter().map(|to| {
            let position = seen[*to as usize];
            seen[*to as usize] += 1;
            position
        });
        let positions = positions.collect();
        Self {
            entry,
            succs,
            preds,
            positions,
        }
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.succs.starts.len() - 1
    }

    /// The nodes that an edge from `node` leads to.
    pub fn succs(&self, node: Node) -> &[Node] {
        self.succs.get(node)
    }

    /// The nodes from which an edge leads to `node`.
    pub fn preds(&self, node: Node) -> &[Node] {
        self.preds.get(node)
    }

    /// The edges that leave `node`: where each leads, and its position among
    /// the predecessors there.
    pub fn edges_out(&self, node: Node) -> impl Iterator<Item = (Node, u32)> + '_ {
        let range = self.succs.range(node);
        let succs = self.succs.items[range.clone()].iter().copied();
        succs.zip(self.positions[range].iter().copied())
    }

    /// One block of each group from which no path leads out of the function.
    fn blocks_without_exit(&self) -> Vec<Node> {
        let mut leaves = vec![false; self.len()];
        let mut work: Vec<Node> = Vec::new();
        for node in 0..self.len() as Node {
            if self.succs(node).is_empty() {
                leaves[node as usize] = true;
                work.push(node);
            }
        }
        let mut chosen = Vec::new();
        // Late blocks first: the end of a loop stands for the whole loop.
        let mut candidates = (0..self.len() as Node).rev();
        loop {
            while let Some(node) = work.pop() {
                for pred in self.preds(node) {
                    if !core::mem::replace(&mut leaves[*pred as usize], true) {
                        work.push(*pred);
                    }
                }
            }
            let Some(stuck) = candidates.find(|node| !leaves[*node as usize]) else {
                return chosen;
            };
            leaves[stuck as usize] = true;
            work.push(stuck);
            chosen.push(stuck);
        }
    }

    /// For each node of a forward graph: may it run more than once?
    ///
    /// A superset of the nodes on cycles, found in linear time: a cycle through
    /// a node has an edge that goes back over it in reverse postorder.
    pub fn repeating_nodes(&self) -> Vec<bool> {
        let mut opened = vec![0i32; self.len() + 1];
        for from in 0..self.len() as Node {
            for to in self.succs(from).iter().filter(|to| **to <= from) {
                opened[*to as usize] += 1;
                opened[from as usize + 1] -= 1;
            }
        }
        let mut depth = 0;
        let nodes = opened[..self.len()].iter().map(|change| {
            depth += change;
            depth > 0
        });
        nodes.collect()
    }
}

impl Lists {
    /// The second parts of the pairs with each first part, in their order.
    pub fn collect(len: usize, pairs: impl Iterator<Item = (Node, Node)> + Clone) -> Self {
        let mut starts = vec![0u32; len + 1];
        let mut count = 0;
        for (node, _) in pairs.clone() {
            starts[node as usize + 1] += 1;
            count += 1;
        }
        for at in 0..len {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut items = vec![0; count];
        for (node, item) in pairs {
            let at = &mut next[node as usize];
            items[*at as usize] = item;
            *at += 1;
        }
        Self { starts, items }
    }

    /// Drops what repeats itself in each list.
    fn dedup(&mut self) {
        let nodes = self.starts.len() - 1;
        let mut last_list = vec![UNREACHABLE; nodes];
        let mut kept = 0;
        for node in 0..nodes as Node {
            let range = self.range(node);
            self.starts[node as usize] = kept;
            for at in range {
                // Items only move towards the front, behind the reader.
                let item = self.items[at];
                if core::mem::replace(&mut last_list[item as usize], node) != node {
                    self.items[kept as usize] = item;
                    kept += 1;
                }
            }
        }
        self.starts[nodes] = kept;
        self.items.truncate(kept as usize);
    }
}
