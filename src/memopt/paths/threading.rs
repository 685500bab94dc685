//! Jump threading: if an edge into a join determines the branch below, the blocks in between
//! are copied, and the edge leads through the copy straight to the branch's destination.
//!
//! ```text
//! block1:                                block1:
//!     store v1, v0+8                         store v1, v0+8
//!     jump block3                            jump block4
//! block2:                                block2:
//!     call fn0()                             call fn0()
//!     jump block3                    ==>     jump block3
//! block3:                                block3:
//!     v2 = load.i64 v0+8                     v2 = load.i64 v0+8
//!     v3 = icmp eq v2, v1                    v3 = icmp eq v2, v1
//!     brif v3, block4, block5                brif v3, block4, block5
//! ```
//!
//! An edge determines a condition by constants and values that it passes, or that
//! memory holds at the end of its block, or by an earlier branch on the same condition. If
//! an earlier branch dominates, no copy is needed: the branch is folded.
//!
//! What upstream misses here: it has no jump threading, and re-tests what a
//! dominating branch has decided.
//!
//! Soundness: the copy does what the original would have done behind this edge, in
//! the same order, and goes on where it would have gone.
//!
//! There may be further joins between the edge and the branch. Where memory has no part in what
//! determines it, no store is copied: code would have more of them.
//!
//! Loops: no edge that goes back in reverse postorder leads to a block that is
//! copied, so that it is the header of no loop, and no loop gets a second entry.
//!
//! Cost: for each edge before a branch, up to [`MAX_EDGES`], one query for each
//! load in between; copies within [`MAX_COPIED`].

mod chain;
mod entry;
pub mod locals;

pub use chain::may_copy;

use crate::FxHashMap;
use crate::FxHashSet;
use crate::entity::SecondaryMap;
use crate::ir::{Block, Function, Inst, InstructionData, Value, ValueDef};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node};
use crate::memopt::edit::{Change, Edge, Edit, Reason, Thread};
use crate::memopt::memory::clobber::Clobbers;
use crate::memopt::memory::insts::EventIndex;
use crate::memopt::memory::values::Values;
use crate::memopt::options::Effort;
use crate::memopt::passes::uses::for_each_use;
use crate::memopt::paths::conditions::{AT_END, Condition, Conditions};
use alloc::vec::Vec;
use chain::{Chain, MAX_COPIED, MAX_JOINS, copied_insts, is_jump};
use entry::Entry;
use smallvec::SmallVec;

/// Edges before one branch that are looked at.
const MAX_EDGES: usize = 24;

/// Operations that the search for one condition's value may look at.
const MAX_DEPTH: u32 = 8;

/// Blocks, for each block of the function, over which copied values may live.
///
/// The uses of a copied value are repaired one block after the other. Values
/// are rarely used more than a dozen blocks below; a function in which all of
/// them are used at its end would take quadratic time. What is given up is a
/// threaded edge, and the run counts one hit.
const LIVE_BLOCKS_PER_BLOCK: usize = 64;

/// Finds edges that determine a branch below, and branches that a dominating one decides.
///
/// The edits of one answer concern different blocks, so that all can be made. Below the utmost
/// effort memory has to decide, or a constant that was a local's, if the function `had_locals` in
/// slots. `copies` is how many instructions may still be copied.
pub fn edits(
    values: &Values<'_, '_>,
    graph: &Graph,
    clobbers: &mut Clobbers<'_>,
    effort: Effort,
    had_locals: bool,
    copies: &mut usize,
) -> Found {
    let mut pass = Pass {
        values,
        graph,
        clobbers,
        effort,
        had_locals,
        conditions: Conditions::new(values.memory, values.order, graph, values.dominance),
        events: None,
        last_uses: None,
        live_room: LIVE_BLOCKS_PER_BLOCK * graph.len(),
        limits_hit: 0,
        by_memory: false,
        copies,
        taken: FxHashSet::default(),
        edits: Vec::new(),
    };
    for node in 0..graph.len() as Node {
        pass.branch(node);
    }
    Found {
        edits: pass.edits,
        by_memory: pass.by_memory,
        limits_hit: pass.limits_hit,
    }
}

/// What [`edits`] finds.
pub struct Found {
    /// The edits.
    pub edits: Vec<Edit>,
    /// Does what memory holds determine one of the branches, or what a local was?
    pub by_memory: bool,
    /// How often [`LIVE_BLOCKS_PER_BLOCK`] has refused some.
    pub limits_hit: u32,
}

struct Pass<'p, 'a, 'r> {
    values: &'p Values<'p, 'a>,
    graph: &'p Graph,
    clobbers: &'p mut Clobbers<'r>,
    effort: Effort,
    had_locals: bool,
    conditions: Conditions<'p>,
    /// The events of loads; made when first asked for.
    events: Option<FxHashMap<Inst, EventIndex>>,
    /// The last node in which each value is used; made when first asked for.
    last_uses: Option<SecondaryMap<Value, Node>>,
    /// What is left of [`LIVE_BLOCKS_PER_BLOCK`].
    live_room: usize,
    limits_hit: u32,
    /// See [`Found::by_memory`]; also of edits that were not made in the end.
    by_memory: bool,
    /// What is left of the run's room for copies.
    copies: &'p mut usize,
    /// Blocks that an edit concerns.
    taken: FxHashSet<Block>,
    edits: Vec<Edit>,
}

impl Pass<'_, '_, '_> {
    fn func(&self) -> &Function {
        self.values.memory.func
    }

    /// Looks at the branch that ends the block `node`, if one does.
    fn branch(&mut self, node: Node) {
        let block = self.values.order.block(node);
        let Some(branch) = self.func().layout.last_inst(block) else {
            return;
        };
        if condition(self.func(), branch).is_none() {
            return;
        }
        if let Some((taken, by)) = self.decided_before(node, branch) {
            if self.taken.insert(block) {
                let edit = Change::FoldBranch(branch, taken).because(Reason::DecidedBy(by));
                self.edits.push(edit);
            }
            return;
        }
        let chain = Chain {
            blocks: Vec::new(),
            joins: SmallVec::new(),
            room: MAX_COPIED,
            branch,
        };
        let Some(chain) = self.extended(chain, node) else {
            return;
        };
        let mut threads: Vec<Thread> = Vec::new();
        let mut tries = MAX_EDGES;
        self.edges_into(chain, &mut tries, &mut threads);
        if !threads.is_empty() && self.take(&threads) {
            let func = self.func();
            let edit = |thread: Thread| {
                let pred = func.layout.inst_block(thread.edge.branch)?;
                Some(Change::Thread(thread).because(Reason::DeterminedAfter(pred)))
            };
            let edits: Vec<Edit> = threads.into_iter().filter_map(edit).collect();
            self.edits.extend(edits);
        }
    }

    /// Adds the edges into `chain` that determine its branch.
    fn edges_into(&mut self, mut chain: Chain, tries: &mut usize, threads: &mut Vec<Thread>) {
        let func = self.values.memory.func;
        let graph = self.graph;
        let head = chain.head();
        for pred in graph.preds(head) {
            let pred_block = self.values.order.block(*pred);
            let edges = cfg_edit::edges(func, pred_block, self.values.order.block(head));
            chain.enter_from(*pred);
            for edge in &edges {
                let Some(left) = tries.checked_sub(1) else {
                    return;
                };
                *tries = left;
                if let Some(taken) = self.decided(&chain, *edge) {
                    threads.push(Thread {
                        edge: *edge,
                        chain: chain.in_order(),
                        taken,
                    });
                } else if edges.len() == 1
                    && is_jump(func, pred_block)
                    && chain.joins.len() < MAX_JOINS
                    && let Some(longer) = self.extended(chain.clone(), *pred)
                {
                    self.edges_into(longer, tries, threads);
                }
            }
        }
    }

    /// Claims the blocks of `threads`; `false` if another edit has one of them.
    fn take(&mut self, threads: &[Thread]) -> bool {
        let func = self.values.memory.func;
        let mut blocks: SmallVec<[Block; 8]> = SmallVec::new();
        for thread in threads {
            blocks.extend(func.layout.inst_block(thread.edge.branch));
            blocks.extend(thread.chain.iter().copied());
        }
        if blocks.iter().any(|block| self.taken.contains(block)) {
            return false;
        }
        let live = threads.iter().map(|thread| self.live_blocks(thread)).sum();
        let Some(room) = self.live_room.checked_sub(live) else {
            self.limits_hit += 1;
            return false;
        };
        let copied = threads
            .iter()
            .map(|thread| copied_insts(func, thread))
            .sum();
        let Some(copies) = self.copies.checked_sub(copied) else {
            // Whatever else would fit: the run counts one hit.
            *self.copies = 0;
            return false;
        };
        (self.live_room, *self.copies) = (room, copies);
        self.taken.extend(blocks);
        true
    }

    /// About how many blocks the values that `thread` copies live in.
    fn live_blocks(&mut self, thread: &Thread) -> usize {
        let (func, order) = (self.values.memory.func, self.values.order);
        let uses = self
            .last_uses
            .get_or_insert_with(|| last_uses(func, order.blocks()));
        let mut live = 0;
        for block in &thread.chain {
            let Some(node) = order.node(*block) else {
                continue;
            };
            let insts = func.layout.block_insts(*block);
            let results = insts.flat_map(|inst| func.dfg.inst_results(inst));
            for value in results.chain(func.dfg.block_params(*block)) {
                live += uses[*value].saturating_sub(node) as usize;
            }
        }
        live
    }

    /// The destination that the branch takes because of another branch or a trap, which dominates
    /// it, and that.
    fn decided_before(&self, node: Node, branch: Inst) -> Option<(usize, Inst)> {
        let InstructionData::Brif { arg, .. } = self.func().dfg.insts[branch] else {
            return None;
        };
        let condition = Condition::of(self.func(), arg);
        let (truth, by) = self.conditions.decided(node, AT_END, condition)?;
        Some((usize::from(!truth), by))
    }

    /// The destination that the branch of `chain` takes when it is entered by
    /// `edge`.
    fn decided(&mut self, chain: &Chain, edge: Edge) -> Option<usize> {
        let (effort, had_locals) = (self.effort, self.had_locals);
        let mut entry = Entry {
            pred: chain.pred(),
            pass: self,
            chain,
            edge,
            room: MAX_DEPTH,
            asked_memory: false,
            is_passed_constant: false,
        };
        let taken = entry.destination(chain.branch)?;
        let by_local = had_locals && entry.is_passed_constant;
        let by_memory = entry.asked_memory || self.asks_for_slot(chain);
        let is_asked = match effort {
            Effort::Gated | Effort::Full => by_memory || by_local,
            Effort::Max => true,
        };
        if !is_asked || !by_memory && chain.copies_store(self.func()) {
            return None;
        }
        self.by_memory |= by_memory || by_local;
        Some(taken)
    }

    /// Does the branch of `chain` ask for what is the address of a slot on another edge? Memory
    /// has a part in it: behind the branch it is known whether an access is to that slot.
    fn asks_for_slot(&self, chain: &Chain) -> bool {
        let slots = &self.values.memory.slots;
        if slots.used().is_empty() {
            return false;
        }
        let func = self.func();
        let Some(arg) = condition(func, chain.branch) else {
            return false;
        };
        let asked = Condition::of(func, arg).value;
        match func
            .dfg
            .value_def(asked)
            .inst()
            .map(|inst| &func.dfg.insts[inst])
        {
            Some(InstructionData::IntCompare { args, .. }) => {
                args.iter().any(|arg| self.may_pass_slot(chain, *arg))
            }
            _ => self.may_pass_slot(chain, asked),
        }
    }

    /// Is `value` a parameter of `chain` to which some edge passes the address of a slot?
    fn may_pass_slot(&self, chain: &Chain, value: Value) -> bool {
        let (func, order) = (self.func(), self.values.order);
        let value = func.dfg.resolve_aliases(value);
        let ValueDef::Param(block, _) = func.dfg.value_def(value) else {
            return false;
        };
        let is_inside = chain.blocks.contains(&block);
        let Some(node) = order.node(block).filter(|_| is_inside) else {
            return false;
        };
        let preds = self.graph.preds(node).iter();
        let mut edges = preds.flat_map(|pred| cfg_edit::edges(func, order.block(*pred), block));
        edges.any(|edge| {
            let passed = cfg_edit::passed(func, edge, value);
            passed.is_some_and(|value| self.values.memory.slots.slot(value).is_some())
        })
    }

    /// What the load `inst` finds at the end of each predecessor of `head`.
    fn event_of(&mut self, inst: Inst) -> Option<EventIndex> {
        let memory = self.values.memory;
        let events = self.events.get_or_insert_with(|| {
            let events = memory.events.iter().enumerate();
            events
                .map(|(index, event)| (event.inst, index as EventIndex))
                .collect()
        });
        events.get(&inst).copied()
    }
}

/// The last of `blocks`, which are in their order, in which each value is used.
fn last_uses(func: &Function, blocks: &[Block]) -> SecondaryMap<Value, Node> {
    let mut last = SecondaryMap::new();
    last.resize(func.dfg.num_values());
    for (node, block) in blocks.iter().enumerate() {
        for inst in func.layout.block_insts(*block) {
            for_each_use(func, inst, |value, _| last[value] = node as Node);
        }
    }
    last
}

/// The value that the branch at the end of a block depends on.
fn condition(func: &Function, branch: Inst) -> Option<Value> {
    match func.dfg.insts[branch] {
        InstructionData::Brif { arg, .. } | InstructionData::BranchTable { arg, .. } => Some(arg),
        _ => None,
    }
}
