//! The control-flow graph of a function as a picture.

use crate::explain::layout::Layout;
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
#[derive(Clone, Debug, Serialize)]
pub struct Edge {
    /// From this node.
    pub from: usize,
    /// To this one.
    pub to: usize,
    /// Does it lead up?
    pub back: bool,
    /// The places in the layers between both, from the top, through which it is drawn.
    pub via: Vec<usize>,
}

impl Graph {
    /// The graph of `func`.
    ///
    /// Cost: O(instructions), and that of [`Layout::of`].
    pub fn of(func: &Function) -> Self {
        let blocks: Vec<Block> = func.layout.blocks().collect();
        let at: HashMap<Block, usize> = blocks.iter().copied().zip(0..).collect();
        let successors = blocks.iter().map(|block| {
            let next = func.block_successors(*block);
            let mut next: Vec<usize> = next.map(|to| at[&to]).collect();
            next.dedup();
            next
        });
        let layout = Layout::of(&successors.collect::<Vec<_>>());
        let node = |(index, block): (usize, &Block)| Node {
            name: block.to_string(),
            insts: func
                .layout
                .block_insts(*block)
                .map(|inst| format!("{inst}\t{}", func.dfg.display_inst(inst)))
                .collect(),
            cold: func.layout.is_cold(*block),
            layer: layout.layers[index],
            column: layout.columns[index],
        };
        Self {
            nodes: blocks.iter().enumerate().map(node).collect(),
            edges: layout.edges,
        }
    }
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

    #[test]
    fn a_long_edge_has_a_place_in_each_layer_that_it_crosses() {
        let graph = graph(
            "function %f(i32) {\nblock0(v0: i32):\n    brif v0, block1, block3\n\
             block1:\n    jump block2\nblock2:\n    jump block3\nblock3:\n    return\n}",
        );
        let long = graph
            .edges
            .iter()
            .find(|edge| edge.to == 3 && edge.from == 0);
        let via = &long.unwrap().via;
        assert_eq!(via.len(), 2);
        for (layer, column) in (1..).zip(via) {
            let taken = |node: &Node| node.layer == layer && node.column == *column;
            assert!(!graph.nodes.iter().any(taken), "{graph:?}");
        }
    }
}
