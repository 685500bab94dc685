//! Block parameters that only feed their own next values.
//!
//! ```text
//! block1(v4: i32, v5: i32):                   block1(v4: i32):
//!     v6 = load.i32 notrap v0
//!     v7 = iadd v5, v6                 ==>
//!     brif v4, block1(v3, v7), block2             brif v4, block1(v3), block2
//! ```
//!
//! Such a parameter has a use, and what it feeds has one: the parameter again. With it go the
//! loads that feed it, and what those leave in memory is seen by one less. Locals that a
//! program counts and never looks at become such cycles once they are values. Upstream removes no
//! parameter but one that is the same value on all edges.
//!
//! Soundness: a value is *needed* if an instruction uses it that does more than to compute, or
//! if it feeds a needed value: as an operand, or as what an edge passes to a parameter. All that
//! nobody needs can go at once; it is found by marking what is needed, so that a cycle does not
//! hold itself. What may trap is needed, and so are loads of memory that the world writes
//! ([`removable`]).
//!
//! One scan against the order of the function marks nearly all: a use comes behind what it uses,
//! and an edge that leads forward passes to a parameter that has been looked at. What edges back
//! pass to a header is followed from there.
//!
//! A private slot is such a cycle too, if what is loaded from it feeds nothing but what is stored
//! there: an array that counts, and that nobody looks at ([`own_slots`]). Its stores are needed if
//! one of its loads is.
//!
//! Cost: O(instructions + edges' arguments), and one scan over the parameters if there are none.
//! Previous work: the dead code elimination of Cytron et al., 1991, without its control
//! dependence: no branch goes.

mod own_slots;

use crate::ir::{Block, BlockArg, Function, Inst, Value, ValueDef};
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::edit::destinations;
use crate::memopt::cfg::flow::Flow;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::memory::insts::Memory;
use crate::memopt::passes::dead_code::{Removable, removable};
use crate::memopt::passes::uses::for_each_use;
use alloc::vec;
use alloc::vec::Vec;
use own_slots::OwnSlots;

/// Removes all parameters that nobody needs, with what feeds them, in one edit.
///
/// `flow` is that of `func`, which has no aliases. With `loads` false, loads stay, and so does
/// what they need. Values that nobody uses at all are for [`dead_code`](super::dead_code).
pub fn edits(func: &Function, flow: &Flow, policy: &dyn Policy, loads: bool) -> Vec<Edit> {
    let mut inner = flow.order.blocks().iter().skip(1);
    if inner.all(|block| func.dfg.block_params(*block).is_empty()) {
        return Vec::new();
    }
    let asks = cfg!(debug_assertions);
    let unneeded = Unneeded::find(func, flow, policy, loads, asks, OwnSlots::default());
    debug_assert!(!unneeded.has_aliases, "aliases are resolved");
    match unneeded.params.is_empty() {
        true => Vec::new(),
        false => unneeded.edits(func),
    }
}

/// The same, and removes what nobody uses at all: what [`dead_code`](super::dead_code) does, too.
/// `None` if an instruction uses another name of a value.
pub fn with_dead_code(
    func: &Function,
    flow: &Flow,
    policy: &dyn Policy,
    loads: bool,
) -> Option<Vec<Edit>> {
    let unneeded = Unneeded::find(func, flow, policy, loads, true, OwnSlots::default());
    (!unneeded.has_aliases).then(|| unneeded.edits(func))
}

/// Removes the stores to slots of which nobody needs what is loaded, with all that feeds them, in
/// one edit.
pub fn of_slots(memory: &Memory<'_>, flow: &Flow) -> Vec<Edit> {
    let slots = own_slots::find(memory, flow.repeating());
    if slots.is_none() {
        return Vec::new();
    }
    let (func, policy) = (memory.func, memory.policy);
    let unneeded = Unneeded::find(func, flow, policy, true, false, slots);
    let mut insts = unneeded.insts.iter();
    match insts.any(|inst| func.dfg.insts[*inst].opcode().can_store()) {
        true => unneeded.edits(func),
        false => Vec::new(),
    }
}

/// What nobody needs.
struct Unneeded {
    /// Parameters, the last of each block first.
    params: Vec<Value>,
    /// Instructions, against the order of the function: what uses a result comes before it.
    insts: Vec<Inst>,
    /// Has a value that is used another name? `false` if nobody asks.
    has_aliases: bool,
}

impl Unneeded {
    fn find(
        func: &Function,
        flow: &Flow,
        policy: &dyn Policy,
        loads: bool,
        asks_aliases: bool,
        slots: OwnSlots,
    ) -> Self {
        let order = &flow.order;
        let mut marking = Marking {
            func,
            order,
            graph: &flow.graph,
            needed: vec![false; func.dfg.num_values()],
            scanned: order.len() as Node,
            asks_aliases,
            has_aliases: false,
            work: Vec::new(),
            slots,
        };
        let mut insts = marking.mark(policy, loads);
        insts.retain(|inst| !marking.feeds(*inst) && marking.slots.store(*inst) != Some(true));
        let inner = order.blocks().iter().skip(1);
        let params = inner.flat_map(|block| func.dfg.block_params(*block).iter().rev());
        let params = params.filter(|param| !marking.is_needed(**param));
        Self {
            params: params.copied().collect(),
            insts,
            has_aliases: marking.has_aliases,
        }
    }

    /// One edit if there are parameters or stores, because they may need each other.
    fn edits(mut self, func: &Function) -> Vec<Edit> {
        let mut insts = self.insts.iter();
        let has_stores = insts.any(|inst| func.dfg.insts[*inst].opcode().can_store());
        if self.params.is_empty() && !has_stores {
            let removed = self.insts.into_iter().map(|inst| {
                let change = match func.dfg.insts[inst].opcode().can_load() {
                    true => Change::RemoveUnusedLoad(inst),
                    false => Change::RemoveUnusedCode(inst),
                };
                change.because(Reason::NoUses)
            });
            return removed.collect();
        }
        // In the order of the function.
        self.insts.reverse();
        let change = Change::RemoveCycles {
            params: self.params,
            insts: self.insts,
        };
        Vec::from([change.because(Reason::NoUses)])
    }
}

struct Marking<'a> {
    func: &'a Function,
    order: &'a Order,
    graph: &'a Graph,
    /// By the number of the value.
    needed: Vec<bool>,
    /// The nodes from this one on have been scanned.
    scanned: Node,
    /// Does somebody want to know whether values have other names?
    asks_aliases: bool,
    /// Has a value that is used another name?
    has_aliases: bool,
    /// Needed values whose definition may have been scanned before that was known.
    work: Vec<Value>,
    /// Slots whose stores are needed only if their loads are.
    slots: OwnSlots,
}

impl Marking<'_> {
    fn is_needed(&self, value: Value) -> bool {
        self.needed[value.as_u32() as usize]
    }

    fn need(&mut self, value: Value) {
        self.needed[value.as_u32() as usize] = true;
    }

    /// Is a result of `inst` needed?
    fn feeds(&self, inst: Inst) -> bool {
        self.needs_any(self.func.dfg.inst_results(inst))
    }

    fn needs_any(&self, values: &[Value]) -> bool {
        values.iter().any(|value| self.is_needed(*value))
    }

    /// Marks all that is needed; the instructions that are needed only if their results are, and
    /// were not when the scan came to them, the last one first.
    fn mark(&mut self, policy: &dyn Policy, loads: bool) -> Vec<Inst> {
        let func = self.func;
        let mut candidates = Vec::new();
        self.unreachable_blocks();
        for node in (0..self.order.len() as Node).rev() {
            let block = self.order.block(node);
            for inst in func.layout.block_insts(block).rev() {
                let results = func.dfg.inst_results(inst);
                if self.slots.store(inst) == Some(false) {
                    candidates.push(inst);
                    continue;
                }
                let is_candidate = !results.is_empty()
                    && !self.needs_any(results)
                    && match removable(func, policy, inst) {
                        Removable::Pure => true,
                        Removable::Load => loads,
                        Removable::No => false,
                    };
                match is_candidate {
                    true => candidates.push(inst),
                    false => self.need_operands(inst, node),
                }
            }
            self.scanned = node;
            self.follow_slots();
            let params = func.dfg.block_params(block).iter();
            let needed = params.filter(|param| self.is_needed(**param));
            if needed.count() > 0 {
                // What edges back pass to them.
                self.need_passed(block, |this, param| this.is_needed(param));
                self.follow();
                self.follow_slots();
            }
        }
        candidates
    }

    /// What is stored to slots that have become needed is needed.
    fn follow_slots(&mut self) {
        let func = self.func;
        while let Some(stores) = self.slots.take_needed() {
            for store in stores {
                for_each_use(func, store, |value, _| {
                    self.note_name(value);
                    self.need_late(value);
                });
            }
            self.follow();
        }
    }

    /// Nobody has numbered these blocks, and what they use stays.
    fn unreachable_blocks(&mut self) {
        let func = self.func;
        let blocks = func.layout.blocks();
        let unreachable = blocks.filter(|block| self.order.node(*block).is_none());
        for block in unreachable.collect::<Vec<_>>() {
            for inst in func.layout.block_insts(block) {
                for_each_use(func, inst, |value, _| {
                    self.note_name(value);
                    self.need(value);
                });
            }
        }
    }

    /// The operands of `inst`, which is in `node`, are needed, and so is what it passes to a
    /// needed parameter of a node that has been scanned.
    fn need_operands(&mut self, inst: Inst, node: Node) {
        let func = self.func;
        self.slots.need(inst);
        for_each_use(func, inst, |value, passed| {
            self.note_name(value);
            if !passed {
                self.need(value);
            }
        });
        if func.dfg.insts[inst].opcode().is_branch() {
            for call in destinations(func, inst) {
                let target = call.block(&func.dfg.value_lists);
                if self.order.node(target) > Some(node) {
                    let params = func.dfg.block_params(target).iter();
                    for (param, arg) in params.zip(call.args(&func.dfg.value_lists)) {
                        if let BlockArg::Value(value) = arg
                            && self.is_needed(*param)
                        {
                            self.need(value);
                        }
                    }
                }
            }
        }
    }

    /// What nodes that have been scanned pass to those parameters of `block` that are `wanted`
    /// is needed.
    fn need_passed(&mut self, block: Block, wanted: impl Fn(&Self, Value) -> bool) {
        let (func, graph) = (self.func, self.graph);
        let Some(node) = self.order.node(block) else {
            return;
        };
        let scanned = self.scanned;
        for pred in graph.preds(node).iter().filter(|pred| **pred >= scanned) {
            let Some(branch) = func.layout.last_inst(self.order.block(*pred)) else {
                continue;
            };
            for call in destinations(func, branch) {
                if call.block(&func.dfg.value_lists) == block {
                    let params = func.dfg.block_params(block).iter();
                    for (param, arg) in params.zip(call.args(&func.dfg.value_lists)) {
                        if let BlockArg::Value(value) = arg
                            && wanted(self, *param)
                        {
                            self.need_late(value);
                        }
                    }
                }
            }
        }
    }

    /// An instruction that is needed uses this.
    fn note_name(&mut self, value: Value) {
        self.has_aliases |= self.asks_aliases && self.func.dfg.value_is_alias(value);
    }

    fn need_late(&mut self, value: Value) {
        if !self.is_needed(value) {
            self.need(value);
            self.work.push(value);
        }
    }

    /// Marks what feeds the values on the list, as far as the scan has gone past it.
    fn follow(&mut self) {
        let func = self.func;
        while let Some(value) = self.work.pop() {
            match func.dfg.value_def(value) {
                ValueDef::Result(inst, _) => {
                    let block = func.layout.inst_block(inst);
                    if block.and_then(|block| self.order.node(block)) >= Some(self.scanned) {
                        self.slots.need(inst);
                        for_each_use(func, inst, |value, passed| {
                            self.note_name(value);
                            if !passed {
                                self.need_late(value);
                            }
                        });
                    }
                }
                ValueDef::Param(block, _) if self.order.node(block) >= Some(self.scanned) => {
                    self.need_passed(block, |_, param| param == value);
                }
                ValueDef::Param(..) | ValueDef::Union(..) => {}
            }
        }
    }
}
