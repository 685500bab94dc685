//! Blocks that do nothing but lead on.
//!
//! Once its stores are gone, a join of ways that meet others hides from the
//! next join which way led to it. Its ways go straight on, as do those through
//! what is left of a copied block; lowering would let them anyway.
//!
//! Loops: a header keeps the edges that it has, so that there is one way in.
//!
//! Where nothing but exceptions meets, one empty block stays: each of its edges has
//! to be split, and what the block behind needs in a register would be loaded on
//! each of them.
//!
//! Cost: O(blocks + edges).

use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{Block, BlockArg, BlockCall, Function, Inst, Opcode};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::edit::Edge;
use alloc::vec::Vec;

/// Lets the ways into empty blocks of `func` go on; did any? The graph and the
/// tree have to be those of `func`, and hold no longer if so.
pub fn bypass(func: &mut Function, cfg: &ControlFlowGraph, domtree: &DominatorTree) -> bool {
    let mut any = false;
    // One that leads to another such has to come after that.
    for block in domtree.cfg_postorder() {
        if is_bypassable(func, cfg, domtree, *block) {
            let preds: Vec<Inst> = cfg.pred_iter(*block).map(|pred| pred.inst).collect();
            for branch in preds {
                any |= lead_on(func, branch, *block);
            }
        }
    }
    any
}

fn is_bypassable(
    func: &Function,
    cfg: &ControlFlowGraph,
    domtree: &DominatorTree,
    block: Block,
) -> bool {
    let Some(jump) = func.layout.first_inst(block) else {
        return false;
    };
    let leads_on = func.dfg.insts[jump].opcode() == Opcode::Jump;
    if !leads_on || cfg.pred_iter(block).next().is_none() || func.layout.is_cold(block) {
        return false;
    }
    let target = cfg_edit::target(
        func,
        Edge {
            branch: jump,
            destination: 0,
        },
    );
    // Where `block` dominates nothing, its parameters are used by the jump alone.
    // That it dominates its target stays true when blocks in between go.
    let is_used = func.dfg.num_block_params(block) > 0 && domtree.block_dominates(block, target);
    let is_header = cfg
        .pred_iter(target)
        .any(|pred| domtree.block_dominates(target, pred.block));
    target != block && !is_used && !is_header && !is_where_exceptions_meet(func, cfg, block, target)
}

/// Is `block` the only way to `target`, and do several calls that may end in an
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

/// Lets every edge of `branch` to `block` go where the jump in it goes.
fn lead_on(func: &mut Function, branch: Inst, block: Block) -> bool {
    let Some(jump) = func.layout.first_inst(block) else {
        return false;
    };
    let onward = Edge {
        branch: jump,
        destination: 0,
    };
    let target = cfg_edit::target(func, onward);
    let args = cfg_edit::arguments(func, onward);
    let calls = cfg_edit::destinations(func, branch).iter().enumerate();
    let edges = calls.filter(|(_, call)| call.block(&func.dfg.value_lists) == block);
    let edges: Vec<usize> = edges.map(|(destination, _)| destination).collect();
    for destination in &edges {
        let passed = cfg_edit::arguments(
            func,
            Edge {
                branch,
                destination: *destination,
            },
        );
        let args: Vec<BlockArg> = args
            .iter()
            .map(|arg| through(func, block, &passed, *arg))
            .collect();
        let dfg = &mut func.stencil.dfg;
        let call = BlockCall::new(target, args, &mut dfg.value_lists);
        let calls = dfg.insts[branch]
            .branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
        calls[*destination] = call;
    }
    !edges.is_empty()
}

/// `arg`, as it is where `block` is entered with the arguments `passed`.
fn through(func: &Function, block: Block, passed: &[BlockArg], arg: BlockArg) -> BlockArg {
    let BlockArg::Value(value) = arg else {
        return arg;
    };
    let value = func.dfg.resolve_aliases(value);
    let params = func.dfg.block_params(block).iter();
    let at = { params }.position(|param| *param == value);
    match at {
        Some(at) => passed[at],
        None => BlockArg::Value(value),
    }
}
