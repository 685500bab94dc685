//! Branches that are decided on the way to their block.
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
//! The way goes past the branch, through a copy of what comes before it. A
//! condition is decided by constants and values that the way passes or that
//! memory holds at its end, or by an earlier branch on the same condition. If
//! such a branch decides for every way, no copy is needed: the branch is folded.
//!
//! What upstream misses here: it has no jump threading, and re-tests what a
//! dominating branch has decided.
//!
//! Soundness: the copy does what the original would have done on this way, in
//! the same order, and goes on where it would have gone.
//!
//! A way may pass further joins between the one that decides and the branch.
//!
//! Loops: no edge that goes back in reverse postorder leads to a block that is
//! copied, so that it is the header of no loop, and no loop gets a second entry.
//!
//! Cost: for each way before a branch, up to [`MAX_WAYS`], one query for each
//! load in between; copies within [`MAX_COPIED`].

use crate::FxHashMap;
use crate::FxHashSet;
use crate::entity::SecondaryMap;
use crate::ir::condcodes::IntCC;
use crate::ir::{Block, Function, Inst, InstructionData, Opcode, Value, ValueDef};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node};
use crate::memopt::edit::{Change, Edge, Edit, Reason, Thread};
use crate::memopt::inst::effect::{Effect, effect};
use crate::memopt::memory::clobber::{Reaching, Source};
use crate::memopt::memory::insts::EventIndex;
use crate::memopt::memory::values::Values;
use crate::memopt::options::Effort;
use crate::memopt::passes::uses::for_each_use;
use crate::memopt::paths::conditions::{Condition, Conditions};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Instructions that one way may copy.
///
/// The load, comparison and branch of a check are three; what stands between a
/// join and the check in real adapters stays below ten. What is given up is a
/// longer block's branch, which is tested again.
const MAX_COPIED: usize = 24;

/// Ways to one branch that are looked at.
const MAX_WAYS: usize = 24;

/// Joins that one way may pass.
///
/// Behind an adapter the two ways out of it meet, then the ways of its callee;
/// each is a join or two.
const MAX_JOINS: usize = 4;

/// Operations that the search for one condition's value may look at.
const MAX_DEPTH: u32 = 8;

/// Blocks, for each block of the function, over which copied values may live.
///
/// The uses of a copied value are repaired one block after the other. Values
/// are rarely used more than a dozen blocks below; a function in which all of
/// them are used at its end would take quadratic time. What is given up is a
/// way past a branch, and the run counts one hit.
const LIVE_BLOCKS_PER_BLOCK: usize = 64;

/// Finds ways past branches, and branches that are decided on all ways.
///
/// The edits of one answer concern different blocks, so that all can be made.
/// `copies` is how many instructions may still be copied.
pub fn edits(
    values: &Values<'_, '_>,
    graph: &Graph,
    reaching: &mut Reaching<'_>,
    effort: Effort,
    copies: &mut usize,
) -> Found {
    let func = values.memory.func;
    let mut pass = Pass {
        values,
        graph,
        reaching,
        effort,
        conditions: Conditions::new(func, values.order, graph, values.dominance),
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
    /// Does what memory holds determine one of the branches?
    pub by_memory: bool,
    /// How often [`LIVE_BLOCKS_PER_BLOCK`] has refused some.
    pub limits_hit: u32,
}

struct Pass<'p, 'a, 'r> {
    values: &'p Values<'p, 'a>,
    graph: &'p Graph,
    reaching: &'p mut Reaching<'r>,
    effort: Effort,
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

/// The blocks from a join to a branch, and the joins on the way.
#[derive(Clone)]
struct Chain {
    /// The last one first.
    blocks: Vec<Block>,
    /// The last one first, each with the predecessor from which it is entered.
    joins: SmallVec<[(Node, Node); MAX_JOINS]>,
    /// Instructions that may still be copied.
    room: usize,
    branch: Inst,
}

impl Chain {
    /// The join at which the chain begins.
    fn head(&self) -> Node {
        self.joins[self.joins.len() - 1].0
    }

    /// The predecessor from which it is entered.
    fn pred(&self) -> Node {
        self.joins[self.joins.len() - 1].1
    }

    fn enter_from(&mut self, pred: Node) {
        let last = self.joins.len() - 1;
        self.joins[last].1 = pred;
    }

    fn in_order(&self) -> Vec<Block> {
        self.blocks.iter().rev().copied().collect()
    }
}

/// What a value is on one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// This number, zero-extended.
    Constant(u64),
    /// This value, which is there on that way.
    Value(Value),
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
        let mut tries = MAX_WAYS;
        self.ways(chain, &mut tries, &mut threads);
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

    /// Adds the ways into `chain` that decide its branch.
    fn ways(&mut self, mut chain: Chain, tries: &mut usize, threads: &mut Vec<Thread>) {
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
                    self.ways(longer, tries, threads);
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

    /// The destination that the branch takes because of another branch, which dominates
    /// it, and that branch.
    fn decided_before(&self, node: Node, branch: Inst) -> Option<(usize, Inst)> {
        let InstructionData::Brif { arg, .. } = self.func().dfg.insts[branch] else {
            return None;
        };
        let (truth, behind) = self.conditions.decided(node, arg)?;
        let [pred] = self.graph.preds(behind) else {
            return None;
        };
        let by = self
            .func()
            .layout
            .last_inst(self.values.order.block(*pred))?;
        Some((usize::from(!truth), by))
    }

    /// `chain` with the blocks from the last join to the end of `node`, if they
    /// can be copied too.
    fn extended(&self, mut chain: Chain, node: Node) -> Option<Chain> {
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

    /// The destination that the branch of `chain` takes when it is entered by
    /// `edge`.
    fn decided(&mut self, chain: &Chain, edge: Edge) -> Option<usize> {
        let effort = self.effort;
        let mut way = Way {
            pred: chain.pred(),
            pass: self,
            chain,
            edge,
            room: MAX_DEPTH,
            asked_memory: false,
        };
        let taken = way.destination(chain.branch)?;
        let by_memory = way.asked_memory;
        self.by_memory |= by_memory;
        match effort {
            Effort::Gated if !by_memory => None,
            Effort::Gated | Effort::Full => Some(taken),
        }
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

/// One way into a chain.
struct Way<'w, 'p, 'a, 'r> {
    pass: &'w mut Pass<'p, 'a, 'r>,
    chain: &'w Chain,
    pred: Node,
    edge: Edge,
    room: u32,
    /// Has what a load finds been part of the answer?
    asked_memory: bool,
}

impl Way<'_, '_, '_, '_> {
    /// The destination that `branch` takes.
    fn destination(&mut self, branch: Inst) -> Option<usize> {
        let func = self.pass.values.memory.func;
        match func.dfg.insts[branch] {
            InstructionData::Brif { arg, .. } => {
                let truth = self.truth(arg)?;
                Some(usize::from(!truth))
            }
            InstructionData::BranchTable { arg, table, .. } => {
                let Known::Constant(index) = self.value(arg)? else {
                    return None;
                };
                let entries = func.dfg.jump_tables[table].as_slice().len() as u64;
                Some(if index < entries {
                    index as usize + 1
                } else {
                    0
                })
            }
            _ => None,
        }
    }
    /// Is `condition` something else than zero on this way?
    fn truth(&mut self, value: Value) -> Option<bool> {
        match self.value(value)? {
            Known::Constant(number) => Some(number != 0),
            Known::Value(value) => self.decided_truth(value),
        }
    }

    /// Has a branch decided on `value`, which is there at the end of the
    /// predecessor?
    fn decided_truth(&self, value: Value) -> Option<bool> {
        let func = self.pass.func();
        if let Some(truth) = self.pass.conditions.at(self.pred, value) {
            return Some(truth);
        }
        let InstructionData::Brif { arg, blocks, .. } = func.dfg.insts[self.edge.branch] else {
            return None;
        };
        let (own, asked) = (Condition::of(func, arg), Condition::of(func, value));
        let lists = &func.dfg.value_lists;
        let decides = own.value == asked.value && blocks[0].block(lists) != blocks[1].block(lists);
        decides.then_some((self.edge.destination == 0) ^ own.negated ^ asked.negated)
    }

    /// What `value` is on this way.
    fn value(&mut self, value: Value) -> Option<Known> {
        let func = self.pass.values.memory.func;
        self.room = self.room.checked_sub(1)?;
        let value = self.pass.values.canonical(value);
        match func.dfg.value_def(value) {
            ValueDef::Param(block, _) if self.chain.blocks.contains(&block) => {
                let edge = self.edge_into(block)?;
                let passed = cfg_edit::passed(func, edge, value)?;
                if self.chain.blocks.last() == Some(&block) {
                    Some(self.outside(passed))
                } else {
                    self.value(passed)
                }
            }
            ValueDef::Result(inst, _) if self.is_inside(inst) => self.result(inst),
            ValueDef::Param(..) | ValueDef::Result(..) => Some(self.outside(value)),
            ValueDef::Union(..) => None,
        }
    }

    /// A value that is there before the chain.
    fn outside(&self, value: Value) -> Known {
        match constant(self.pass.func(), value) {
            Some(number) => Known::Constant(number),
            None => Known::Value(self.pass.values.canonical(value)),
        }
    }

    fn is_inside(&self, inst: Inst) -> bool {
        let block = self.pass.func().layout.inst_block(inst);
        block.is_some_and(|block| self.chain.blocks.contains(&block))
    }

    /// The edge by which this way enters a block of the chain.
    fn edge_into(&self, block: Block) -> Option<Edge> {
        let blocks = &self.chain.blocks;
        let position = blocks.iter().position(|other| *other == block)?;
        match blocks.get(position + 1) {
            None => Some(self.edge),
            Some(before) => Some(Edge {
                branch: self.pass.func().layout.last_inst(*before)?,
                destination: 0,
            }),
        }
    }

    /// What an instruction in the chain gives.
    fn result(&mut self, inst: Inst) -> Option<Known> {
        let func = self.pass.values.memory.func;
        let result = func.dfg.first_result(inst);
        let ty = func.dfg.value_type(result);
        match func.dfg.insts[inst] {
            InstructionData::Load { .. } => self.loaded(inst),
            InstructionData::UnaryImm { .. } => constant(func, result).map(Known::Constant),
            InstructionData::IntCompare { cond, args, .. } => {
                let bits = scalar_bits(func, args[0])?;
                let (x, y) = (self.value(args[0])?, self.value(args[1])?);
                let truth =
                    compare(cond, x, y, bits).or_else(|| self.compared_with_zero(cond, x, y));
                truth.map(|truth| Known::Constant(truth.into()))
            }
            InstructionData::Unary { opcode, arg } => {
                let from = scalar_bits(func, arg)?;
                let known = self.value(arg)?;
                extended(opcode, known, from, ty.bits())
            }
            InstructionData::Binary { opcode, args } => {
                let bits = scalar_bits(func, args[0])?;
                let (x, y) = (self.value(args[0])?, self.value(args[1])?);
                computed(opcode, x, y, bits)
            }
            _ => None,
        }
    }

    /// Has a branch on the value decided how it compares with zero?
    fn compared_with_zero(&self, cond: IntCC, x: Known, y: Known) -> Option<bool> {
        let (Known::Value(value), Known::Constant(0)) = (x, y) else {
            return None;
        };
        let truth = self.decided_truth(value)?;
        match cond {
            IntCC::Equal => Some(!truth),
            IntCC::NotEqual => Some(truth),
            _ => None,
        }
    }

    /// What the load `inst` finds on this way, if that has a name.
    fn loaded(&mut self, inst: Inst) -> Option<Known> {
        let event = self.pass.event_of(inst)?;
        let values = self.pass.values;
        let access = values.memory.access(event)?;
        if access.asynchronous {
            return None;
        }
        let source = self.pass.reaching.source_on_path(event, &self.chain.joins);
        let ty = values.type_of(values.memory.func.dfg.first_result(inst));
        let key = values.key(source, access, access.opcode, ty);
        if let Source::Store(store) = source
            && self.is_inside(values.memory.events[store as usize].inst)
        {
            let (stored, recipe) = values.seen_through(source, access)?;
            self.asked_memory = true;
            return if recipe.is_empty() {
                self.value(stored)
            } else {
                None
            };
        }
        let value = values.value_at_end(self.pred, source, access, key)?;
        self.asked_memory = true;
        Some(self.outside(value))
    }
}

/// How many instructions `thread` copies, but for the ends of blocks.
fn copied_insts(func: &Function, thread: &Thread) -> usize {
    let blocks = thread.chain.iter();
    let insts = blocks.map(|block| func.layout.block_insts(*block).count() - 1);
    insts.sum()
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

fn is_jump(func: &Function, block: Block) -> bool {
    let last = func.layout.last_inst(block);
    last.is_some_and(|inst| func.dfg.insts[inst].opcode() == Opcode::Jump)
}

/// May there be two of this instruction? Calls are too much code, and what a
/// debugger or an unwinder knows by its place has one.
fn may_copy(func: &Function, inst: Inst) -> bool {
    let plain = match effect(func, inst) {
        Effect::None | Effect::Access(_) | Effect::Trap => true,
        Effect::Call | Effect::Barrier(_) | Effect::End => false,
    };
    plain
        && !func.dfg.insts[inst].opcode().is_branch()
        && func.debug_tags.get(inst).is_empty()
        && func.dfg.user_stack_map_entries(inst).is_none()
}

/// The constant that `value` is, zero-extended.
fn constant(func: &Function, value: Value) -> Option<u64> {
    let value = func.dfg.resolve_aliases(value);
    let inst = func.dfg.value_def(value).inst()?;
    match func.dfg.insts[inst] {
        InstructionData::UnaryImm { imm, .. } => {
            let bits = func.dfg.value_type(value).bits();
            Some(imm.zero_extend_from_width(bits).bits() as u64)
        }
        _ => None,
    }
}

/// The width of a scalar integer of at most 64 bits.
fn scalar_bits(func: &Function, value: Value) -> Option<u32> {
    let ty = func.dfg.value_type(value);
    (ty.is_int() && ty.bits() <= 64).then(|| ty.bits())
}

fn sign_extend(number: u64, bits: u32) -> i64 {
    ((number << (64 - bits)) as i64) >> (64 - bits)
}

fn zero_extend(number: u64, bits: u32) -> u64 {
    (number << (64 - bits)) >> (64 - bits)
}

/// `icmp cond x, y` of integers of `bits` bits.
fn compare(cond: IntCC, x: Known, y: Known, bits: u32) -> Option<bool> {
    let (x, y) = match (x, y) {
        (Known::Constant(x), Known::Constant(y)) => (x, y),
        // Any two that are equal.
        (Known::Value(x), Known::Value(y)) if x == y => (0, 0),
        _ => return None,
    };
    let (sx, sy) = (sign_extend(x, bits), sign_extend(y, bits));
    Some(match cond {
        IntCC::Equal => x == y,
        IntCC::NotEqual => x != y,
        IntCC::UnsignedLessThan => x < y,
        IntCC::UnsignedLessThanOrEqual => x <= y,
        IntCC::UnsignedGreaterThan => x > y,
        IntCC::UnsignedGreaterThanOrEqual => x >= y,
        IntCC::SignedLessThan => sx < sy,
        IntCC::SignedLessThanOrEqual => sx <= sy,
        IntCC::SignedGreaterThan => sx > sy,
        IntCC::SignedGreaterThanOrEqual => sx >= sy,
    })
}

/// A conversion between integers of `from` and `to` bits.
fn extended(opcode: Opcode, known: Known, from: u32, to: u32) -> Option<Known> {
    let Known::Constant(number) = known else {
        return None;
    };
    if to > 64 {
        return None;
    }
    let number = match opcode {
        Opcode::Uextend => number,
        Opcode::Sextend => zero_extend(sign_extend(number, from) as u64, to),
        Opcode::Ireduce => zero_extend(number, to),
        _ => return None,
    };
    Some(Known::Constant(number))
}

/// An operation on integers of `bits` bits.
fn computed(opcode: Opcode, x: Known, y: Known, bits: u32) -> Option<Known> {
    let number = match (opcode, x, y) {
        (Opcode::Band, Known::Constant(0), _) | (Opcode::Band, _, Known::Constant(0)) => 0,
        (_, Known::Constant(x), Known::Constant(y)) => match opcode {
            Opcode::Band => x & y,
            Opcode::Bor => x | y,
            Opcode::Bxor => x ^ y,
            Opcode::Iadd => zero_extend(x.wrapping_add(y), bits),
            Opcode::Isub => zero_extend(x.wrapping_sub(y), bits),
            _ => return None,
        },
        _ => return None,
    };
    Some(Known::Constant(number))
}
