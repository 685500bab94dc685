//! The control-flow graph of a function as a picture: layers from top to bottom.
//!
//! A block stands one layer below the lowest of its predecessors, back edges aside
//! (Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
//! structures", 1981, without its search for the fewest crossings): inside a layer blocks
//! are ordered by where their predecessors stand.

use cranelift_codegen::ir::{Block, Function};
use serde::Serialize;
use std::collections::HashMap;

/// A function's blocks in their places.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Graph {
    /// The blocks.
    pub nodes: Vec<Node>,
    /// From one to another, by position, and whether it leads back.
    pub edges: Vec<Edge>,
}

/// A block.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its instructions.
    pub insts: Vec<String>,
    /// Is it seldom run?
    pub cold: bool,
    /// The layer, from the top.
    pub layer: usize,
    /// The place in the layer, from the left.
    pub column: usize,
}

/// A branch.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Edge {
    /// From this node.
    pub from: usize,
    /// To this one.
    pub to: usize,
    /// Does it lead up?
    pub back: bool,
}

impl Graph {
    /// The graph of `func`.
    ///
    /// Cost: O(instructions + edges), and a sort of each layer.
    pub fn of(func: &Function) -> Self {
        let blocks: Vec<Block> = func.layout.blocks().collect();
        let at: HashMap<Block, usize> = blocks.iter().copied().zip(0..).collect();
        let successors: Vec<Vec<usize>> = blocks
            .iter()
            .map(|block| {
                let mut next: Vec<usize> =
                    func.block_successors(*block).map(|to| at[&to]).collect();
                next.dedup();
                next
            })
            .collect();
        let order = order(&successors);
        let layers = layers(&successors, &order);
        let columns = columns(&successors, &order, &layers);
        let node = |(index, block): (usize, &Block)| Node {
            name: block.to_string(),
            insts: func
                .layout
                .block_insts(*block)
                .map(|inst| format!("{inst}\t{}", func.dfg.display_inst(inst)))
                .collect(),
            cold: func.layout.is_cold(*block),
            layer: layers[index],
            column: columns[index],
        };
        let edges = successors.iter().enumerate().flat_map(|(from, next)| {
            let rank = &order.rank;
            next.iter().map(move |to| Edge {
                from,
                to: *to,
                back: rank[*to] <= rank[from],
            })
        });
        Self {
            edges: edges.collect(),
            nodes: blocks.iter().enumerate().map(node).collect(),
        }
    }
}

/// Reverse postorder.
struct Order {
    blocks: Vec<usize>,
    /// The position of each block in it.
    rank: Vec<usize>,
}

/// Reverse postorder from the entry; what it does not lead to comes last.
fn order(successors: &[Vec<usize>]) -> Order {
    let mut seen = vec![false; successors.len()];
    let mut blocks = Vec::new();
    for root in 0..successors.len() {
        if seen[root] {
            continue;
        }
        seen[root] = true;
        let mut found = Vec::new();
        let mut stack = vec![(root, 0)];
        while let Some((block, next)) = stack.pop() {
            match successors[block].get(next) {
                Some(to) => {
                    stack.push((block, next + 1));
                    if !std::mem::replace(&mut seen[*to], true) {
                        stack.push((*to, 0));
                    }
                }
                None => found.push(block),
            }
        }
        blocks.extend(found.into_iter().rev());
    }
    let mut rank = vec![0; blocks.len()];
    for (at, block) in blocks.iter().enumerate() {
        rank[*block] = at;
    }
    Order { blocks, rank }
}

/// For each block one more than the lowest of its predecessors, back edges aside.
fn layers(successors: &[Vec<usize>], order: &Order) -> Vec<usize> {
    let mut layers = vec![0; successors.len()];
    for from in &order.blocks {
        for to in successors[*from]
            .iter()
            .filter(|to| order.rank[**to] > order.rank[*from])
        {
            layers[*to] = layers[*to].max(layers[*from] + 1);
        }
    }
    layers
}

/// For each block its place in its layer, by the mean place of its predecessors.
fn columns(successors: &[Vec<usize>], order: &Order, layers: &[usize]) -> Vec<usize> {
    let mut columns = vec![0; successors.len()];
    let mut predecessors = vec![Vec::new(); successors.len()];
    for from in &order.blocks {
        for to in successors[*from]
            .iter()
            .filter(|to| order.rank[**to] > order.rank[*from])
        {
            predecessors[*to].push(*from);
        }
    }
    let last = layers.iter().max().copied().unwrap_or(0);
    for layer in 0..=last {
        let members = order
            .blocks
            .iter()
            .copied()
            .filter(|block| layers[*block] == layer);
        let mut members: Vec<(usize, usize)> = members
            .map(|block| {
                let of = &predecessors[block];
                let sum: usize = of.iter().map(|from| columns[*from]).sum();
                // In thousandths, so that the order is one of integers.
                (1000 * sum / of.len().max(1), block)
            })
            .collect();
        members.sort_by_key(|(mean, block)| (*mean, order.rank[*block]));
        for (column, (_, block)) in members.into_iter().enumerate() {
            columns[block] = column;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(text: &str) -> Graph {
        let functions = cranelift_reader::parse_functions(text).unwrap();
        Graph::of(&functions[0])
    }

    #[test]
    fn a_diamond_has_three_layers() {
        let graph = graph(
            "function %f(i32) {\nblock0(v0: i32):\n    brif v0, block1, block2\n\
             block1:\n    jump block3\nblock2:\n    jump block3\nblock3:\n    return\n}",
        );
        let places: Vec<_> = graph
            .nodes
            .iter()
            .map(|node| (node.layer, node.column))
            .collect();
        assert_eq!(places[0], (0, 0));
        assert_eq!((places[1].0, places[2].0), (1, 1));
        assert_ne!(places[1].1, places[2].1);
        assert_eq!(places[3].0, 2);
    }

    #[test]
    fn a_loop_leads_back() {
        let graph = graph(
            "function %f(i32) {\nblock0(v0: i32):\n    jump block1\n\
             block1:\n    brif v0, block1, block2\nblock2:\n    return\n}",
        );
        let back: Vec<_> = graph.edges.iter().filter(|edge| edge.back).collect();
        assert_eq!(back.len(), 1);
        assert_eq!((back[0].from, back[0].to), (1, 1));
        assert_eq!(graph.nodes[2].layer, 2);
    }
}
