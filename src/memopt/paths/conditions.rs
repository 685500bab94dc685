//! What branches and conditional traps say about their conditions, further down.
//!
//! Behind one destination of a `brif` its condition is known: in every block that the
//! destination dominates, and on the edge itself. So is that of a `trapz` or `trapnz` behind it, in
//! its block and in those that it dominates.

use crate::FxHashMap;
use crate::ir::condcodes::IntCC;
use crate::ir::{Function, Inst, InstructionData, Opcode, Value};
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::inst::bits::number;
use crate::memopt::memory::insts::{EventIndex, EventKind, Memory};
use smallvec::SmallVec;

/// Destinations of branches on one condition, and traps, that are remembered.
///
/// A condition is tested a few times, if more than once. What is given up is a
/// branch that one of the others decides.
const MAX_DESTINATIONS: usize = 8;

/// Behind what a block does to memory: at its end.
pub const AT_END: EventIndex = EventIndex::MAX;

/// A value whose truth is that of another, or its opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Zero, or something else.
    pub value: Value,
    /// Is the condition true where the value is zero?
    pub negated: bool,
}

impl Condition {
    /// What decides whether `value` is zero, seen through extensions and
    /// comparisons with zero. Cost: O(1).
    pub fn of(func: &Function, value: Value) -> Self {
        let mut condition = Self {
            value: func.dfg.resolve_aliases(value),
            negated: false,
        };
        // Longer chains are the mid-end's to shorten.
        for _ in 0..4 {
            match condition.peel(func) {
                Some(inner) => condition = inner,
                None => break,
            }
        }
        condition
    }

    fn peel(self, func: &Function) -> Option<Self> {
        let inst = func.dfg.value_def(self.value).inst()?;
        let (value, flip) = match func.dfg.insts[inst] {
            InstructionData::Unary {
                opcode: Opcode::Uextend | Opcode::Sextend,
                arg,
            } => (arg, false),
            InstructionData::IntCompare {
                cond: cond @ (IntCC::Equal | IntCC::NotEqual),
                args: [x, y],
                ..
            } if number(&func.dfg, y) == Some(0) => (x, cond == IntCC::Equal),
            _ => return None,
        };
        Some(Self {
            value: func.dfg.resolve_aliases(value),
            negated: self.negated ^ flip,
        })
    }
}

/// Where it is known whether a value is zero.
struct Decision {
    /// The block from which on it is known, which dominates all others.
    node: Node,
    /// In that block, from this event on.
    from: EventIndex,
    /// Is it something else than zero?
    truth: bool,
    /// The branch or the trap that says so.
    by: Inst,
}

/// The conditions that branches and traps of a function decide.
pub struct Conditions<'a> {
    func: &'a Function,
    dominance: &'a Dominance,
    /// For each value where a branch or a trap has decided on it.
    behind: FxHashMap<Value, SmallVec<[Decision; 2]>>,
}

impl<'a> Conditions<'a> {
    /// Collects the branches, and the traps of `memory`, which is that of the function. Cost:
    /// O(blocks + memory instructions).
    pub fn new(
        memory: &Memory<'a>,
        order: &Order,
        graph: &Graph,
        dominance: &'a Dominance,
    ) -> Self {
        let func = memory.func;
        let mut this = Self {
            func,
            dominance,
            behind: FxHashMap::default(),
        };
        for block in order.blocks() {
            if let Some(branch) = branch_on(func, order, *block)
                && branch.leads[0] != branch.leads[1]
            {
                let condition = Condition::of(func, branch.arg);
                for (node, truth) in branch.leads.into_iter().zip([true, false]) {
                    if graph.preds(node).len() == 1 {
                        this.learn(condition, node, 0, truth, branch.inst);
                    }
                }
            }
        }
        for trap in traps(memory) {
            let (node, from) = (memory.node(trap.event), trap.event + 1);
            this.learn(trap.condition, node, from, trap.comes_through, trap.inst);
        }
        this
    }

    fn learn(&mut self, condition: Condition, node: Node, from: EventIndex, truth: bool, by: Inst) {
        let behind = self.behind.entry(condition.value).or_default();
        if behind.len() < MAX_DESTINATIONS {
            let truth = truth ^ condition.negated;
            behind.push(Decision {
                node,
                from,
                truth,
                by,
            });
        }
    }

    /// Is `value` zero at the end of `node`, or something else, if that has been decided?
    pub fn at(&self, node: Node, value: Value) -> Option<bool> {
        let condition = Condition::of(self.func, value);
        self.decided(node, AT_END, condition)
            .map(|(truth, _)| truth)
    }

    /// Is the condition true in `node`, in front of the event `at`, and what has decided that?
    pub fn decided(
        &self,
        node: Node,
        at: EventIndex,
        condition: Condition,
    ) -> Option<(bool, Inst)> {
        let behind = self.behind.get(&condition.value)?;
        let found = behind.iter().find(|decision| match decision.node == node {
            true => decision.from <= at,
            false => self.dominance.dominates(decision.node, node),
        })?;
        Some((found.truth ^ condition.negated, found.by))
    }
}

/// A conditional trap.
#[derive(Clone, Copy)]
pub struct Trap {
    /// It.
    pub inst: Inst,
    /// What it does to memory: it may end the function.
    pub event: EventIndex,
    /// What it depends on.
    pub condition: Condition,
    /// What the condition is where it does not trap.
    pub comes_through: bool,
}

/// The conditional traps of a function. Cost: O(memory instructions).
pub fn traps(memory: &Memory<'_>) -> impl Iterator<Item = Trap> {
    let events = memory.events.iter().zip(0..);
    let traps = events.filter(|(event, _)| matches!(event.kind, EventKind::Trap));
    traps.filter_map(|(event, index)| {
        let func = memory.func;
        let InstructionData::CondTrap { opcode, arg, .. } = func.dfg.insts[event.inst] else {
            return None;
        };
        Some(Trap {
            inst: event.inst,
            event: index,
            condition: Condition::of(func, arg),
            comes_through: opcode == Opcode::Trapz,
        })
    })
}

/// A `brif` at the end of a block.
pub struct Branch {
    /// It.
    pub inst: Inst,
    /// What it depends on.
    pub arg: Value,
    /// Where it leads if that is not zero, and if it is.
    pub leads: [Node; 2],
}

/// The `brif` at the end of `block`, if there is one.
pub fn branch_on(func: &Function, order: &Order, block: crate::ir::Block) -> Option<Branch> {
    let inst = func.layout.last_inst(block)?;
    let InstructionData::Brif { arg, blocks, .. } = func.dfg.insts[inst] else {
        return None;
    };
    let node = |at: usize| order.node(blocks[at].block(&func.dfg.value_lists));
    let leads = [node(0)?, node(1)?];
    Some(Branch { inst, arg, leads })
}
