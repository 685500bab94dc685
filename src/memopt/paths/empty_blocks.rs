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
use crate::entity::SecondaryMap;
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
    let mut headers = Headers::default();
    let mut into: Option<EdgesInto> = None;
    // One that leads to another such has to come after that.
    for block in domtree.cfg_postorder() {
        if let Some(target) = target(func, *block, &leads_to)
            && is_bypassable(func, cfg, domtree, &mut headers, *block, target)
        {
            leads_to.insert(*block, target);
            let into = into.get_or_insert_with(|| EdgesInto::empty_blocks(func));
            let bypass = Bypass {
                block: *block,
                edges: into.of(*block).collect(),
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
    headers: &mut Headers,
    block: Block,
    target: Block,
) -> bool {
    if cfg.pred_iter(block).next().is_none() || func.layout.is_cold(block) {
        return false;
    }
    // Where `block` dominates nothing, its parameters are used by the jump alone.
    // That it dominates its target stays true when blocks in between go.
    let is_used = func.dfg.num_block_params(block) > 0 && domtree.block_dominates(block, target);
    target != block
        && !is_used
        && !headers.contain(cfg, domtree, target)
        && !is_where_exceptions_meet(func, cfg, block, target)
}

/// Is there nothing but a jump in `block`?
fn is_empty(func: &Function, block: Block) -> bool {
    let first = func.layout.first_inst(block);
    first.is_some_and(|inst| func.dfg.insts[inst].opcode() == Opcode::Jump)
}

/// The edges into some blocks. A branch may have very many, of which each block has
/// few, so that nobody looks for those of one block among those of a branch.
struct EdgesInto {
    /// For each block the edge that was found last.
    last: SecondaryMap<Block, Option<u32>>,
    /// Each with the one that was found before.
    edges: Vec<(Edge, Option<u32>)>,
}

impl EdgesInto {
    /// Those into the blocks that nothing but a jump is in. Cost: O(blocks + edges).
    fn empty_blocks(func: &Function) -> Self {
        let mut this = Self {
            last: SecondaryMap::new(),
            edges: Vec::new(),
        };
        let ends = func.layout.blocks();
        for branch in ends.filter_map(|block| func.layout.last_inst(block)) {
            let calls = cfg_edit::destinations(func, branch);
            for (destination, call) in calls.iter().enumerate() {
                let block = call.block(&func.dfg.value_lists);
                if is_empty(func, block) {
                    let number = this.edges.len() as u32;
                    let before = this.last[block].replace(number);
                    let edge = Edge {
                        branch,
                        destination,
                    };
                    this.edges.push((edge, before));
                }
            }
        }
        this
    }

    fn of(&self, block: Block) -> impl Iterator<Item = Edge> + '_ {
        let mut next = self.last[block];
        core::iter::from_fn(move || {
            let (edge, before) = self.edges[next? as usize];
            next = before;
            Some(edge)
        })
    }
}

/// The blocks of which it is known whether they are headers of loops, because very many
/// empty blocks may lead to one.
#[derive(Default)]
struct Headers {
    known: FxHashMap<Block, bool>,
}

impl Headers {
    fn contain(&mut self, cfg: &ControlFlowGraph, domtree: &DominatorTree, block: Block) -> bool {
        *self.known.entry(block).or_insert_with(|| {
            let mut preds = cfg.pred_iter(block);
            preds.any(|pred| domtree.block_dominates(block, pred.block))
        })
    }
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
