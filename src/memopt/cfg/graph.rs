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
use crate::ir::{Block, Function, Value, ValueDef};
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
        let mut this = Self::default();
        this.find(domtree);
        this
    }

    /// The same, in the lists of another one.
    pub fn find(&mut self, domtree: &DominatorTree) {
        let Self { blocks, numbers } = self;
        blocks.clear();
        blocks.extend(domtree.cfg_rpo());
        let last = blocks.iter().map(|block| block.as_u32()).max();
        numbers.clear();
        numbers.resize(last.map_or(0, |last| last as usize + 1));
        for (number, block) in blocks.iter().enumerate() {
            numbers[*block] = number as Node;
        }
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

impl Default for Order {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            numbers: SecondaryMap::with_default(UNREACHABLE),
        }
    }
}

/// The node in which `value` is defined; `None` if its definition is not in
/// the layout, or cannot be reached.
pub fn defining_node(func: &Function, order: &Order, value: Value) -> Option<Node> {
    let block = match func.dfg.value_def(value) {
        ValueDef::Result(inst, _) => func.layout.inst_block(inst)?,
        ValueDef::Param(block, _) => block,
        ValueDef::Union(..) => return None,
    };
    order.node(block)
}

/// A directed graph in which every node is reachable from `entry`.
#[derive(Default)]
pub struct Graph {
    /// Where every path begins.
    pub entry: Node,
    succs: Lists,
    preds: Lists,
    /// For each successor edge, its position among the predecessors of its end.
    positions: Vec<u32>,
}

/// Lists of nodes, one for each node, in one allocation.
#[derive(Default)]
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
        let mut this = Self::default();
        this.find_forward(order, cfg);
        this
    }

    /// The same, in the lists of another one.
    pub fn find_forward(&mut self, order: &Order, cfg: &ControlFlowGraph) {
        let len = order.len();
        let succs = &mut self.succs;
        succs.clear();
        succs.starts.reserve(len + 1);
        succs.items.reserve(len * 2);
        // The node from which each was come to last: a branch may name a block twice.
        let last = &mut self.positions;
        last.clear();
        last.resize(len, UNREACHABLE);
        for (from, block) in order.blocks.iter().enumerate() {
            succs.starts.push(succs.items.len() as u32);
            for to in cfg.succ_iter(*block).filter_map(|succ| order.node(succ)) {
                let from = from as Node;
                if core::mem::replace(&mut last[to as usize], from) != from {
                    succs.items.push(to);
                }
            }
        }
        succs.starts.push(succs.items.len() as u32);
        self.turn_round(0);
    }

    /// `forward` turned round, with an exit as its last node; in the lists of another one.
    pub fn find_reversed(&mut self, forward: &Self) {
        let len = forward.len();
        let Lists { starts, items } = &mut self.succs;
        starts.clear();
        starts.reserve(len + 2);
        starts.extend_from_slice(&forward.preds.starts);
        items.clear();
        items.reserve(forward.edges() + len);
        items.extend_from_slice(&forward.preds.items);
        items.extend((0..len as Node).filter(|from| forward.succs(*from).is_empty()));
        items.extend(forward.blocks_without_exit());
        starts.push(items.len() as u32);
        self.turn_round(len as Node);
    }

    /// Finds the rest of the graph in which the successors have each edge once.
    fn turn_round(&mut self, entry: Node) {
        let Self {
            succs,
            preds: Lists { starts, items },
            positions,
            ..
        } = self;
        let len = succs.starts.len() - 1;
        // How many have come to each node so far; in the end, all of them.
        starts.clear();
        starts.resize(len + 1, 0);
        positions.clear();
        positions.extend(succs.items.iter().map(|to| {
            let count = &mut starts[*to as usize];
            *count += 1;
            *count - 1
        }));
        begin(starts);
        items.clear();
        items.resize(positions.len(), 0);
        for from in 0..len as Node {
            for edge in succs.range(from) {
                let to = succs.items[edge] as usize;
                items[(starts[to] + positions[edge]) as usize] = from;
            }
        }
        self.entry = entry;
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.succs.starts.len() - 1
    }

    /// The number of edges.
    pub fn edges(&self) -> usize {
        self.succs.items.len()
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

    /// Does an edge of a forward graph go back in reverse postorder?
    pub fn has_back_edges(&self) -> bool {
        let mut nodes = 0..self.len() as Node;
        nodes.any(|from| self.succs(from).iter().any(|to| *to <= from))
    }

    /// One block of each group from which no path leads out of the function.
    fn blocks_without_exit(&self) -> Vec<Node> {
        // Without a cycle every path ends.
        if !self.has_back_edges() {
            return Vec::new();
        }
        let mut leaves = vec![false; self.len()];
        let mut work: Vec<Node> = Vec::with_capacity(self.len());
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
        if !self.has_back_edges() {
            return vec![false; self.len()];
        }
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
    fn clear(&mut self) {
        self.starts.clear();
        self.items.clear();
    }

    /// Takes over the second parts of the pairs with each first part, in their order.
    pub fn collect(&mut self, len: usize, pairs: &[(Node, Node)]) {
        let Self { starts, items } = self;
        starts.clear();
        starts.resize(len + 1, 0);
        for (node, _) in pairs {
            starts[*node as usize] += 1;
        }
        let mut next = begin(starts);
        items.clear();
        items.resize(pairs.len(), 0);
        for (node, item) in pairs {
            items[next.place(*node) as usize] = *item;
        }
        next.finish();
    }
}

/// Lists side by side that are being filled; see [`begin`].
pub struct Filling<'s> {
    starts: &'s mut [u32],
}

/// Makes places, behind each other, for lists of which `starts` has the lengths, and behind those
/// one entry more, which is 0.
pub fn begin(starts: &mut [u32]) -> Filling<'_> {
    let mut next = 0;
    for start in &mut *starts {
        next += core::mem::replace(start, next);
    }
    Filling { starts }
}

impl Filling<'_> {
    /// How many places there are in all, as long as none is taken.
    pub fn places(&self) -> usize {
        self.starts.last().map_or(0, |end| *end as usize)
    }

    /// The next place in this list.
    pub fn place(&mut self, list: u32) -> u32 {
        let at = &mut self.starts[list as usize];
        let place = *at;
        *at += 1;
        place
    }

    /// All places are taken: from now on the numbers are where the lists begin, and where the last
    /// one ends.
    pub fn finish(self) {
        // Each list has come to its end, and that is where the next one begins.
        let last = self.starts.len() - 1;
        self.starts.copy_within(..last, 1);
        if let Some(first) = self.starts.first_mut() {
            *first = 0;
        }
    }
}
