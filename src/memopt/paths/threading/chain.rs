//! What is copied for an edge: the blocks from a join to a branch, with the joins among them.

use super::Pass;
use crate::ir::{Block, Function, Inst, Opcode};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::Node;
use crate::memopt::edit::Thread;
use crate::memopt::inst::effect::{Effect, effect};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Instructions that are copied for one edge.
///
/// The load, comparison and branch of a check are three; what stands between a
/// join and the check in real adapters stays below ten. What is given up is a
/// longer block's branch, which is tested again.
pub(super) const MAX_COPIED: usize = 24;

/// Joins between an edge and the branch.
///
/// Behind an adapter its two exits meet, then those of its callee;
/// each is a join or two.
pub(super) const MAX_JOINS: usize = 4;

/// The blocks from a join to a branch, and the joins among them.
#[derive(Clone)]
pub(super) struct Chain {
    /// The last one first.
    pub(super) blocks: Vec<Block>,
    /// The last one first, each with the predecessor from which it is entered.
    pub(super) joins: SmallVec<[(Node, Node); MAX_JOINS]>,
    /// Instructions that may still be copied.
    pub(super) room: usize,
    pub(super) branch: Inst,
}

impl Chain {
    /// The join at which the chain begins.
    pub(super) fn head(&self) -> Node {
        self.joins[self.joins.len() - 1].0
    }

    /// The predecessor from which it is entered.
    pub(super) fn pred(&self) -> Node {
        self.joins[self.joins.len() - 1].1
    }

    pub(super) fn enter_from(&mut self, pred: Node) {
        let last = self.joins.len() - 1;
        self.joins[last].1 = pred;
    }

    pub(super) fn in_order(&self) -> Vec<Block> {
        self.blocks.iter().rev().copied().collect()
    }

    /// Does a store stand between the edge and the branch? Memory grows by it, and is no part of
    /// what the path is worth.
    pub(super) fn copies_store(&self, func: &Function) -> bool {
        let blocks = self.blocks.iter();
        let mut insts = blocks.flat_map(|block| func.layout.block_insts(*block));
        insts.any(|inst| func.dfg.insts[inst].opcode().can_store())
    }
}

impl Pass<'_, '_, '_> {
    /// `chain` with the blocks from the last join to the end of `node`, if they
    /// can be copied too.
    pub(super) fn extended(&self, mut chain: Chain, node: Node) -> Option<Chain> {
        if !self.has_join_above(node) {
            return None;
        }
        let func = self.func();
        let mut head = node;
        loop {
            let block = self.values.order.block(head);
            for inst in func.layout.block_insts(block) {
                let is_end = func.dfg.insts[inst].opcode().is_terminator();
                if !is_end && !may_copy(func, inst) {
                    return None;
                }
                chain.room = chain.room.checked_sub(1)?;
            }
            chain.blocks.push(block);
            let preds = self.graph.preds(head);
            if let [pred] = preds
                && let pred_block = self.values.order.block(*pred)
                && cfg_edit::edges(func, pred_block, block).len() == 1
            {
                if !is_jump(func, pred_block) {
                    return None;
                }
                head = *pred;
                continue;
            }
            // Only from edges that do not go back.
            if preds.is_empty() || preds.iter().any(|pred| *pred >= head) {
                return None;
            }
            chain.joins.push((head, head));
            return Some(chain);
        }
    }

    /// Is there a join that leads to `node` by jumps alone, close enough for what
    /// lies in between to be copied? There rarely is, and to see that is cheaper
    /// than to look at what would be copied.
    fn has_join_above(&self, node: Node) -> bool {
        let func = self.func();
        let mut head = node;
        for _ in 0..MAX_COPIED {
            let preds = self.graph.preds(head);
            if let [pred] = preds {
                let pred_block = self.values.order.block(*pred);
                if is_jump(func, pred_block) {
                    head = *pred;
                    continue;
                }
                let block = self.values.order.block(head);
                if cfg_edit::edges(func, pred_block, block).len() == 1 {
                    return false;
                }
            }
            return !preds.is_empty() && preds.iter().all(|pred| *pred < head);
        }
        false
    }
}

/// How many instructions `thread` copies, but for the ends of blocks.
pub(super) fn copied_insts(func: &Function, thread: &Thread) -> usize {
    let blocks = thread.chain.iter();
    let insts = blocks.map(|block| func.layout.block_insts(*block).count() - 1);
    insts.sum()
}

pub(super) fn is_jump(func: &Function, block: Block) -> bool {
    let last = func.layout.last_inst(block);
    last.is_some_and(|inst| func.dfg.insts[inst].opcode() == Opcode::Jump)
}

/// May there be two of this instruction? Calls are too much code, and what a
/// debugger or an unwinder knows by its place has one.
pub fn may_copy(func: &Function, inst: Inst) -> bool {
    let plain = match effect(func, inst) {
        Effect::None | Effect::Access(_) | Effect::Trap => true,
        Effect::Call | Effect::Transfer(_) | Effect::Barrier(_) | Effect::End => false,
    };
    plain
        && !func.dfg.insts[inst].opcode().is_branch()
        && func.debug_tags.get(inst).is_empty()
        && func.dfg.user_stack_map_entries(inst).is_none()
}
