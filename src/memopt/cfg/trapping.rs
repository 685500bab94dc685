//! Blocks from which every path ends in a trap.

use crate::ir::{Function, Opcode};
use crate::memopt::cfg::graph::{Graph, Node, Order};
use alloc::vec;
use alloc::vec::Vec;

/// From which nodes every path ends in a trap. Whoever takes such a path takes it once.
///
/// A path that goes back is none that ends. Cost: O(blocks + edges).
pub fn nodes(func: &Function, order: &Order, graph: &Graph) -> Vec<bool> {
    let mut ends = vec![false; graph.len()];
    for node in (0..graph.len() as Node).rev() {
        let last = func.layout.last_inst(order.block(node));
        let traps = last.is_some_and(|inst| func.dfg.insts[inst].opcode() == Opcode::Trap);
        let succs = graph.succs(node);
        let mut onward = succs
            .iter()
            .map(|succ| *succ > node && ends[*succ as usize]);
        ends[node as usize] = traps || !succs.is_empty() && onward.all(|ends| ends);
    }
    ends
}
