//! What branches say about their conditions, further down.
//!
//! Behind one destination of a `brif` its condition is known: in every block that the
//! destination dominates, and on the edge itself.

use crate::FxHashMap;
use crate::ir::condcodes::IntCC;
use crate::ir::{Function, InstructionData, Opcode, Value};
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::inst::bits::number;
use smallvec::SmallVec;

/// Destinations of branches on one condition that are remembered.
///
/// A condition is tested a few times, if more than once. What is given up is a
/// branch that one of the others decides.
const MAX_DESTINATIONS: usize = 8;

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

/// The conditions that branches of a function decide.
pub struct Conditions<'a> {
    func: &'a Function,
    dominance: &'a Dominance,
    /// For each value: the blocks behind one destination of a branch on it, and
    /// whether it is something else than zero there.
    behind: FxHashMap<Value, SmallVec<[(Node, bool); 2]>>,
}

impl<'a> Conditions<'a> {
    /// Collects the branches. Cost: O(blocks).
    pub fn new(func: &'a Function, order: &Order, graph: &Graph, dominance: &'a Dominance) -> Self {
        let mut this = Self {
            func,
            dominance,
            behind: FxHashMap::default(),
        };
        for block in order.blocks() {
            if let Some((value, [then, otherwise])) = branch_on(func, order, *block)
                && then != otherwise
            {
                let condition = Condition::of(func, value);
                for (node, truth) in [(then, true), (otherwise, false)] {
                    if graph.preds(node).len() == 1 {
                        this.learn(condition, node, truth);
                    }
                }
            }
        }
        this
    }

    fn learn(&mut self, condition: Condition, node: Node, truth: bool) {
        let behind = self.behind.entry(condition.value).or_default();
        if behind.len() < MAX_DESTINATIONS {
            behind.push((node, truth ^ condition.negated));
        }
    }

    /// Is `value` zero at `node`, or something else, if a branch has decided?
    pub fn at(&self, node: Node, value: Value) -> Option<bool> {
        self.decided(node, value).map(|(truth, _)| truth)
    }

    /// [`Self::at`], and the node at whose start that is known. It has one predecessor,
    /// which ends in the branch.
    pub fn decided(&self, node: Node, value: Value) -> Option<(bool, Node)> {
        let condition = Condition::of(self.func, value);
        let behind = self.behind.get(&condition.value)?;
        let (node, truth) = behind
            .iter()
            .find(|(behind, _)| self.dominance.dominates(*behind, node))?;
        Some((truth ^ condition.negated, *node))
    }
}

/// The condition of the `brif` at the end of `block`, and where it leads.
fn branch_on(
    func: &Function,
    order: &Order,
    block: crate::ir::Block,
) -> Option<(Value, [Node; 2])> {
    let inst = func.layout.last_inst(block)?;
    let InstructionData::Brif { arg, blocks, .. } = func.dfg.insts[inst] else {
        return None;
    };
    let node = |at: usize| order.node(blocks[at].block(&func.dfg.value_lists));
    Some((arg, [node(0)?, node(1)?]))
}
