//! Blocks that do nothing but lead on.
//!
//! Once its stores are gone, a join that leads to another join hides from that one by
//! which predecessor it was entered. The edges into it lead straight on, as do those into
//! what is left of a copied block; lowering would let them anyway.
//!
//! Loops: a header keeps the edges that it has, so that there is one entry.
//!
//! Where nothing but exceptions meets, one empty block stays: each of its edges has
//! to be split, and what the block behind needs in a register would be loaded on
//! each of them.
//!
//! Cost: O(blocks + edges).

use crate::FxHashMap;
use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{Block, Function, Inst, Opcode};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::edit::{Bypass, Change, Edge, Edit, Reason};
use alloc::vec::Vec;

/// Finds the empty blocks of `func` whose predecessors can go straight on. The graph and the
/// tree have to be those of `func`.
///
/// Each edit relies on those before it.
pub fn edits(func: &Function, cfg: &ControlFlowGraph, domtree: &DominatorTree) -> Vec<Edit> {
    let mut edits = Vec::new();
    // Where a jump leads that is led on itself.
    let mut leads_to: FxHashMap<Block, Block> = FxHashMap::default();
    // One that leads to another such has to come after that.
    for block in domtree.cfg_postorder() {
        if let Some(target) = target(func, *block, &leads_to)
            && is_bypassable(func, cfg, domtree, *block, target)
        {
            leads_to.insert(*block, target);
            let branches = cfg.pred_iter(*block).map(|pred| pred.inst).collect();
            let bypass = Bypass {
                block: *block,
                branches,
            };
            edits.push(Change::Bypass(bypass).because(Reason::Empty));
        }
    }
    edits
}

/// Where `block` leads if nothing but a jump is in it.
fn target(func: &Function, block: Block, leads_to: &FxHashMap<Block, Block>) -> Option<Block> {
    let jump = func.layout.first_inst(block)?;
    if func.dfg.insts[jump].opcode() != Opcode::Jump {
        return None;
    }
    let onward = Edge {
        branch: jump,
        destination: 0,
    };
    let next = cfg_edit::target(func, onward);
    Some(leads_to.get(&next).copied().unwrap_or(next))
}

fn is_bypassable(
    func: &Function,
    cfg: &ControlFlowGraph,
    domtree: &DominatorTree,
    block: Block,
    target: Block,
) -> bool {
    if cfg.pred_iter(block).next().is_none() || func.layout.is_cold(block) {
        return false;
    }
    // Where `block` dominates nothing, its parameters are used by the jump alone.
    // That it dominates its target stays true when blocks in between go.
    let is_used = func.dfg.num_block_params(block) > 0 && domtree.block_dominates(block, target);
    let is_header = cfg
        .pred_iter(target)
        .any(|pred| domtree.block_dominates(target, pred.block));
    target != block && !is_used && !is_header && !is_where_exceptions_meet(func, cfg, block, target)
}

/// Is `block` the only predecessor of `target`, and do several calls that may end in an
/// exception lead there, and nothing else?
fn is_where_exceptions_meet(
    func: &Function,
    cfg: &ControlFlowGraph,
    block: Block,
    target: Block,
) -> bool {
    let is_try_call = |branch: Inst| {
        let opcode = func.dfg.insts[branch].opcode();
        matches!(opcode, Opcode::TryCall | Opcode::TryCallIndirect)
    };
    cfg.pred_iter(block).nth(1).is_some()
        && cfg.pred_iter(block).all(|pred| is_try_call(pred.inst))
        && cfg.pred_iter(target).all(|pred| pred.block == block)
}
