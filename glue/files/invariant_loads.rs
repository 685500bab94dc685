//! Loads that leave a loop because nothing in the loop writes what they read.
//!
//! ```text
//! block1:                                       v1 = load.i64 notrap can_move region0 v0
//!   v1 = load.i64 notrap can_move region0 v0    jump block2
//!   store notrap region1 v2, v3            ==>
//!   brif v4, block1, block2                   block1:
//!                                               store notrap region1 v2, v3
//!                                               brif v4, block1, block3
//! ```
//!
//! Elaboration takes pure nodes out of loops, and of the loads these are the ones
//! that are `readonly`. A load whose memory is written somewhere, but not in this
//! loop, stays: the base of a memory that may move is one. Such a load is still part
//! of the side-effect skeleton, so that it is moved where the skeleton is walked.
//! Whatever is computed from it is then available outside of the loop as well, and
//! elaboration takes it along.
//!
//! # When a load may leave
//!
//! - It cannot trap, it has an alias region, and its address is available in the
//!   block that it goes to: the one from which the loop is entered, in front of
//!   that block's terminator.
//! - Nothing in the loop may write the region: no store to it, no store without a
//!   region, no call, and nothing else that is a memory fence. And the loop is entered
//!   from that block alone, so that the load is executed anew each time. A cycle that
//!   enters the loop past its header's dominator may write in between.
//! - To execute it where the loop is entered is right. Either the load is `can_move`,
//!   which says so; or it is executed whenever the loop is entered, and before
//!   anything that may trap or leave.
//!
//! - The loop is an innermost one, and what the load goes to is the loop around it. A
//!   value that is kept in a register across a longer stretch is spilled, and
//!   to load it where it is used costs less than that.
//!
//! The last but one keeps loads in place that are guarded by a condition which is not
//! among their operands:
//!
//! ```text
//! block1:
//!   trapz v1, user1                      v2 = load.i64 notrap region0 v0
//!   v2 = load.i64 notrap region0 v0      jump block1
//!                                ==/==>
//!                                      block1:
//!                                        trapz v1, user1
//! ```
//!
//! # Cost
//!
//! A test for each instruction of the skeleton that is in a loop. The instructions of
//! a loop are looked at once, and only if some load of it fulfills the other
//! conditions.

use crate::FxHashMap;
use crate::alias_analysis::has_memory_fence_semantics;
use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{AliasRegion, Block, Function, Inst, InstructionData, Opcode, Value};
use crate::loop_analysis::{Loop, LoopAnalysis};
use alloc::{vec, vec::Vec};
use cranelift_entity::{EntitySet, SecondaryMap};

/// Finds the loads that may leave their loops, while blocks are visited in a
/// preorder of the dominator tree.
pub(super) struct InvariantLoads<'a> {
    domtree: &'a DominatorTree,
    loop_analysis: &'a LoopAnalysis,

    /// The loops that have others in them.
    outer: EntitySet<Loop>,

    /// What the loops that were asked about write.
    writes: FxHashMap<Loop, Writes>,

    /// The current block, and the innermost loop that it is in.
    current: Option<(Block, Loop)>,

    /// Whether control that enters `current` gets to the current instruction
    /// before anything that may trap or leave the loop.
    is_certain: bool,

    /// The blocks at whose end `is_certain` held.
    certain_at_end: EntitySet<Block>,
}

/// The memory that a loop may write.
#[derive(Default)]
struct Writes {
    all: bool,
    regions: EntitySet<AliasRegion>,
}

impl<'a> InvariantLoads<'a> {
    pub(super) fn new(domtree: &'a DominatorTree, loop_analysis: &'a LoopAnalysis) -> Self {
        let mut outer = EntitySet::new();
        let loops = loop_analysis.loops();
        outer.extend(loops.filter_map(|lp| loop_analysis.loop_parent(lp)));
        Self {
            domtree,
            loop_analysis,
            outer,
            writes: FxHashMap::default(),
            current: None,
            is_certain: false,
            certain_at_end: EntitySet::new(),
        }
    }

    /// Goes from the end of the current block to the first instruction of `block`,
    /// whose immediate dominator has been visited.
    pub(super) fn enter_block(&mut self, func: &Function, cfg: &ControlFlowGraph, block: Block) {
        if let Some((last, _)) = self.current
            && self.is_certain
        {
            self.certain_at_end.insert(last);
        }
        let innermost = self.loop_analysis.innermost_loop(block);
        self.current = innermost.map(|lp| (block, lp));
        let Some(lp) = innermost else { return };
        self.is_certain = self.loop_analysis.loop_header(lp) == block || {
            let mut preds = cfg.pred_iter(block).map(|pred| pred.block);
            match (preds.next(), preds.next()) {
                (Some(pred), None) => {
                    self.loop_analysis.innermost_loop(pred) == innermost
                        && self.certain_at_end.contains(pred)
                        && ends_in_jump(func, pred)
                }
                _ => false,
            }
        };
    }

    /// Goes past `inst`, which stays where it is.
    pub(super) fn pass(&mut self, func: &Function, inst: Inst) {
        if self.current.is_some() && self.is_certain {
            let data = &func.dfg.insts[inst];
            let opcode = data.opcode();
            self.is_certain = !opcode.can_trap()
                && !opcode.is_call()
                && !opcode.other_side_effects()
                && data.memflags_trap_code(&func.dfg).is_none();
        }
    }

    /// The block at whose end `inst`, the current instruction, is to be executed in
    /// place of where it is now, if it may leave a loop.
    ///
    /// A value can be used from its block in `available_block` on.
    pub(super) fn outside(
        &mut self,
        func: &Function,
        cfg: &ControlFlowGraph,
        available_block: &SecondaryMap<Value, Block>,
        inst: Inst,
    ) -> Option<Block> {
        let (block, lp) = self.current?;
        let InstructionData::Load { flags, arg, .. } = func.dfg.insts[inst] else {
            return None;
        };
        let flags = func.dfg.mem_flags[flags];
        let region = flags.alias_region()?;
        // What only a cold path of the loop needs is not worth a load on each way in.
        let can_move = flags.can_move() && !func.layout.is_cold(block);
        if !flags.notrap() || !(can_move || self.is_certain) {
            return None;
        }

        if self.outer.contains(lp) {
            return None;
        }
        let entry = self.entry(func, cfg, lp)?;
        let may_leave = self.domtree.block_dominates(available_block[arg], entry)
            && (can_move || ends_in_jump(func, entry))
            && !self.may_write(func, cfg, lp, region);
        may_leave.then_some(entry)
    }

    /// The block from which `lp` is entered, if there is one.
    ///
    /// It is not in a loop that `lp` is not in, so that nothing is executed more
    /// often there, and its terminator has no effect on memory.
    fn entry(&self, func: &Function, cfg: &ControlFlowGraph, lp: Loop) -> Option<Block> {
        let header = self.loop_analysis.loop_header(lp);
        let mut entries = cfg
            .pred_iter(header)
            .filter(|pred| !self.loop_analysis.is_in_loop(pred.block, lp))
            .map(|pred| pred.block);
        let entry = entries.next()?;
        let terminator = func.layout.last_inst(entry)?;
        (entries.next().is_none()
            && self.loop_analysis.innermost_loop(entry) == self.loop_analysis.loop_parent(lp)
            && !func.dfg.insts[terminator].opcode().is_call())
        .then_some(entry)
    }

    /// May an instruction in `lp` write memory of `region`?
    fn may_write(
        &mut self,
        func: &Function,
        cfg: &ControlFlowGraph,
        lp: Loop,
        region: AliasRegion,
    ) -> bool {
        let loop_analysis = self.loop_analysis;
        let writes = self
            .writes
            .entry(lp)
            .or_insert_with(|| Writes::of_loop(func, cfg, loop_analysis, lp));
        writes.all || writes.regions.contains(region)
    }
}

impl Writes {
    fn of_loop(func: &Function, cfg: &ControlFlowGraph, loops: &LoopAnalysis, lp: Loop) -> Self {
        let mut writes = Self::default();
        let header = loops.loop_header(lp);
        let mut seen = EntitySet::new();
        let mut stack: Vec<Block> = vec![header];
        seen.insert(header);
        while let Some(block) = stack.pop() {
            for inst in func.layout.block_insts(block) {
                writes.add(func, inst);
                if writes.all {
                    return writes;
                }
            }
            stack.extend(
                cfg.succ_iter(block)
                    .filter(|succ| loops.is_in_loop(*succ, lp) && seen.insert(*succ)),
            );
        }
        writes
    }

    fn add(&mut self, func: &Function, inst: Inst) {
        let data = &func.dfg.insts[inst];
        let opcode = data.opcode();
        if has_memory_fence_semantics(opcode) || opcode.is_call() {
            self.all = true;
        } else if opcode.can_store() {
            match data.alias_region(&func.dfg) {
                Some(region) => {
                    self.regions.insert(region);
                }
                None => self.all = true,
            }
        }
    }
}

/// Does `block` have one successor, to which it jumps?
fn ends_in_jump(func: &Function, block: Block) -> bool {
    func.layout
        .last_inst(block)
        .is_some_and(|inst| func.dfg.insts[inst].opcode() == Opcode::Jump)
}
