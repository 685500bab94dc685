//! Removal of block parameters.

use crate::FxHashMap;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{Block, Function, Inst, Value, ValueDef};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Removes `params`, which nobody uses but to pass them to others of them, and what is
/// passed to them. The last of each block comes first. `cfg` is the graph of `func`.
///
/// Cost: O(destinations of the branches to their blocks).
pub fn remove(func: &mut Function, cfg: &ControlFlowGraph, params: &[Value]) {
    let mut positions: FxHashMap<Block, SmallVec<[usize; 2]>> = FxHashMap::default();
    for param in params {
        if let ValueDef::Param(block, position) = func.dfg.value_def(*param) {
            positions.entry(block).or_default().push(position);
        }
    }
    let mut branches: Vec<Inst> = Vec::new();
    for param in params {
        if let ValueDef::Param(block, _) = func.dfg.value_def(*param) {
            branches.extend(cfg.pred_iter(block).map(|pred| pred.inst));
        }
    }
    branches.sort_unstable();
    branches.dedup();
    for inst in branches {
        let dfg = &mut func.stencil.dfg;
        let calls =
            dfg.insts[inst].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
        for call in calls {
            let block = call.block(&dfg.value_lists);
            for position in positions.get(&block).into_iter().flatten() {
                call.remove(*position, &mut dfg.value_lists);
            }
        }
    }
    for param in params {
        func.dfg.remove_block_param(*param);
    }
}
