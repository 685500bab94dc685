//! Dominators and dominance frontiers of a [`Graph`], in either direction.
//!
//! Upstream's tree gives the immediate dominators of the forward graph. For the
//! reversed one it does not serve, because that has edges that the function does
//! not have (see [`super::graph`]). There they are found by Semi-NCA (Georgiadis:
//! "Linear-Time Algorithms for Dominators and Related Problems", 2005), whose
//! path compression keeps a ladder with one common exit linear; frontiers, in
//! both, as in Cooper, Harvey and Kennedy: "A Simple, Fast Dominance Algorithm",
//! 2001.

use crate::dominator_tree::DominatorTree;
use crate::ir::Block;
use crate::memopt::cfg::graph::{Graph, Lists, Node, Order};
use alloc::vec::Vec;

/// Frontiers together may hold so many nodes for each edge of the graph.
///
/// Loop nests of depth d need d entries for their innermost block, so depth
/// 64 everywhere still fits. Beyond it no versions are computed, and nothing
/// is optimized; the run counts one hit.
const FRONTIER_ENTRIES_PER_EDGE: usize = 64;

/// The dominator tree of a graph and the frontier of every node.
#[derive(Default)]
pub struct Dominance {
    idom: Vec<Node>,
    frontier: Lists,
    /// The walk over the whole tree.
    steps: Vec<Step>,
    /// The steps that enter and leave a node.
    span: Vec<(u32, u32)>,
}

/// One step of the walk over a tree: it enters a node, or leaves it.
#[derive(Clone, Copy)]
struct Step {
    node: Node,
    enters: bool,
}

impl Dominance {
    /// Computes both; `None` when the frontiers are larger than their limit.
    ///
    /// Cost: O(edges · log nodes), and the size of the frontiers.
    pub fn new(graph: &Graph) -> Option<Self> {
        Self::default().find(graph, &mut Making::default())
    }

    /// The same in the lists of another one, with those of `making`.
    pub fn find(mut self, graph: &Graph, making: &mut Making) -> Option<Self> {
        making.tree.find(graph, &mut self.idom);
        self.within_limit(graph, making)
    }

    /// The same for the forward graph of a function, whose dominator tree is
    /// `domtree`.
    pub fn find_of_blocks(
        mut self,
        graph: &Graph,
        order: &Order,
        domtree: &DominatorTree,
        making: &mut Making,
    ) -> Option<Self> {
        let parent = |block: &Block| domtree.idom(*block).and_then(|above| order.node(above));
        let blocks = order.blocks().iter();
        let idom = blocks.map(|block| parent(block).unwrap_or(graph.entry));
        self.idom.clear();
        self.idom.extend(idom);
        self.within_limit(graph, making)
    }

    fn within_limit(self, graph: &Graph, making: &mut Making) -> Option<Self> {
        let room = (graph.edges() + 64) * FRONTIER_ENTRIES_PER_EDGE;
        self.finished(graph, room, making)
    }

    /// Computes both, however large the frontiers are.
    pub fn without_limit(graph: &Graph) -> Self {
        let (mut this, mut making) = (Self::default(), Making::default());
        making.tree.find(graph, &mut this.idom);
        let this = this.finished(graph, usize::MAX, &mut making);
        this.expect("there is no limit")
    }

    /// Computes all but the immediate dominators.
    fn finished(mut self, graph: &Graph, room: usize, making: &mut Making) -> Option<Self> {
        // No edge leads back to where a function begins or ends.
        debug_assert!(graph.preds(graph.entry).is_empty());
        making.find_frontiers(graph, &self.idom, room)?;
        self.frontier.collect(graph.len(), &making.pairs);
        self.number_tree(graph.entry, &mut making.links);
        Some(self)
    }

    /// The closest node that dominates `node` and is another; the entry's is
    /// the entry.
    pub fn parent(&self, node: Node) -> Node {
        self.idom[node as usize]
    }

    /// Calls `enter` and `leave` around each subtree, parents first.
    pub fn walk(&self, root: Node, mut visit: impl FnMut(Node, bool)) {
        let (enter, leave) = self.span[root as usize];
        for step in &self.steps[enter as usize..=leave as usize] {
            visit(step.node, step.enters);
        }
    }

    /// Does every path from the entry to `below` go through `above`?
    /// A node dominates itself.
    pub fn dominates(&self, above: Node, below: Node) -> bool {
        let (enter, leave) = self.span[above as usize];
        let (at, _) = self.span[below as usize];
        enter <= at && at < leave
    }

    /// When a walk over the tree comes to `node`, parents first.
    pub fn position(&self, node: Node) -> u32 {
        self.span[node as usize].0
    }

    /// [`Self::dominates`], and they differ.
    pub fn strictly_dominates(&self, above: Node, below: Node) -> bool {
        above != below && self.dominates(above, below)
    }

    /// The nodes where the dominance of `node` ends.
    pub fn frontier(&self, node: Node) -> &[Node] {
        self.frontier.get(node)
    }

    /// Walks over the tree, siblings in their order. `links` is a list to work with.
    fn number_tree(&mut self, entry: Node, links: &mut Vec<(Node, Node)>) {
        let nodes = self.idom.len();
        self.steps.clear();
        self.steps.reserve(2 * nodes);
        self.span.clear();
        self.span.resize(nodes, (0, 0));
        // The first child of each node, and its next sibling.
        links.clear();
        links.resize(nodes, (Node::MAX, Node::MAX));
        for node in (0..nodes as Node).rev().filter(|node| *node != entry) {
            let parent = self.idom[node as usize] as usize;
            links[node as usize].1 = core::mem::replace(&mut links[parent].0, node);
        }
        let mut node = entry;
        loop {
            self.span[node as usize].0 = self.steps.len() as u32;
            self.steps.push(Step { node, enters: true });
            let (child, _) = links[node as usize];
            if child != Node::MAX {
                node = child;
                continue;
            }
            // Leaves all nodes that end here.
            loop {
                self.span[node as usize].1 = self.steps.len() as u32;
                self.steps.push(Step {
                    node,
                    enters: false,
                });
                if node == entry {
                    return;
                }
                let (_, sibling) = links[node as usize];
                if sibling != Node::MAX {
                    node = sibling;
                    break;
                }
                node = self.idom[node as usize];
            }
        }
    }
}

/// Lists that dominators and frontiers are found with. What is in them does not count.
#[derive(Default)]
pub struct Making {
    tree: SemiNca,
    /// Nodes, each with one of its frontier.
    pairs: Vec<(Node, Node)>,
    last: Vec<Node>,
    links: Vec<(Node, Node)>,
}

impl Making {
    /// Finds the frontier of every node; `None` if they hold more than `room` together.
    fn find_frontiers(&mut self, graph: &Graph, idom: &[Node], room: usize) -> Option<()> {
        let Self { pairs, last, .. } = self;
        pairs.clear();
        last.clear();
        last.resize(graph.len(), Node::MAX);
        for join in 0..graph.len() as Node {
            let preds = graph.preds(join);
            if preds.len() < 2 {
                continue;
            }
            for pred in preds {
                let mut runner = *pred;
                while runner != idom[join as usize] {
                    // An earlier runner came through here and went on upwards.
                    if core::mem::replace(&mut last[runner as usize], join) == join {
                        break;
                    }
                    pairs.push((runner, join));
                    runner = idom[runner as usize];
                }
            }
            if pairs.len() > room {
                return None;
            }
        }
        Some(())
    }
}

/// The state of Semi-NCA. Except for `vertex`, everything is in preorder
/// numbers of a depth-first walk.
#[derive(Default)]
struct SemiNca {
    vertex: Vec<Node>,
    number: Vec<u32>,
    parent: Vec<u32>,
    /// The forest's links; compressed as it is searched.
    ancestor: Vec<u32>,
    label: Vec<u32>,
    semi: Vec<u32>,
    path: Vec<u32>,
    /// Nodes to be numbered, each with the number of its parent.
    stack: Vec<(Node, u32)>,
}

impl SemiNca {
    /// Numbers the nodes of another graph.
    fn begin(&mut self, graph: &Graph) {
        let len = graph.len();
        let Self {
            vertex,
            number,
            parent,
            ancestor,
            label,
            semi,
            path,
            stack,
        } = self;
        vertex.clear();
        parent.clear();
        path.clear();
        number.clear();
        number.resize(len, u32::MAX);
        stack.push((graph.entry, 0));
        while let Some((node, above)) = stack.pop() {
            if number[node as usize] != u32::MAX {
                continue;
            }
            let own = vertex.len() as u32;
            number[node as usize] = own;
            vertex.push(node);
            parent.push(above);
            let succs = graph.succs(node).iter().rev();
            stack.extend(succs.map(|succ| (*succ, own)));
        }
        debug_assert_eq!(vertex.len(), len, "every node is reachable");
        ancestor.clone_from(parent);
        for identity in [label, semi] {
            identity.clear();
            identity.extend(0..len as u32);
        }
    }

    /// The immediate dominators of `graph`, in the list `result`.
    fn find(&mut self, graph: &Graph, result: &mut Vec<Node>) {
        self.begin(graph);
        let len = self.vertex.len();
        for w in (1..len as u32).rev() {
            let mut semi = self.parent[w as usize];
            for pred in graph.preds(self.vertex[w as usize]) {
                let u = self.eval(self.number[*pred as usize], w);
                semi = semi.min(self.semi[u as usize]);
            }
            self.semi[w as usize] = semi;
        }
        let idom = &mut self.parent;
        for w in 1..len {
            while idom[w] > self.semi[w] {
                idom[w] = idom[idom[w] as usize];
            }
        }
        result.clear();
        result.resize(len, graph.entry);
        for w in 1..len {
            result[self.vertex[w] as usize] = self.vertex[idom[w] as usize];
        }
    }

    /// The vertex of least semidominator on the linked path above `v`, where
    /// vertices numbered above `w` are linked.
    fn eval(&mut self, v: u32, w: u32) -> u32 {
        if v <= w {
            return v;
        }
        debug_assert!(self.path.is_empty());
        let mut top = v;
        while self.ancestor[top as usize] > w {
            self.path.push(top);
            top = self.ancestor[top as usize];
        }
        // `top` is linked to something that is not; what hangs below it takes
        // over its ancestor, and its label where that is smaller.
        let mut above = top;
        while let Some(u) = self.path.pop() {
            let best = self.label[above as usize];
            if self.semi[best as usize] < self.semi[self.label[u as usize] as usize] {
                self.label[u as usize] = best;
            }
            self.ancestor[u as usize] = self.ancestor[above as usize];
            above = u;
        }
        self.label[v as usize]
    }
}
