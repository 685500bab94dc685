//! Removal of block parameters.

use crate::entity::SecondaryMap;
use crate::ir::{Block, Function, Value, ValueDef};
use smallvec::SmallVec;

/// Removes `params`, which nobody uses but to pass them to others of them, and what is
/// passed to them. The last of each block comes first.
pub fn remove(func: &mut Function, params: &[Value]) {
    let mut positions: SecondaryMap<Block, SmallVec<[usize; 2]>> = SecondaryMap::new();
    for param in params {
        if let ValueDef::Param(block, position) = func.dfg.value_def(*param) {
            positions[block].push(position);
        }
    }
    let mut next = func.layout.entry_block();
    while let Some(block) = next {
        next = func.layout.next_block(block);
        let Some(inst) = func.layout.last_inst(block) else {
            continue;
        };
        let dfg = &mut func.stencil.dfg;
        let calls =
            dfg.insts[inst].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
        for call in calls {
            let block = call.block(&dfg.value_lists);
            for position in &positions[block] {
                call.remove(*position, &mut dfg.value_lists);
            }
        }
    }
    for param in params {
        func.dfg.remove_block_param(*param);
    }
}
