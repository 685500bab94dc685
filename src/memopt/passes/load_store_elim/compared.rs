//! Stores of what a branch has compared with what is there.
//!
//! ```text
//!     v2 = load.i64 v0
//!     v3 = icmp eq v2, v1
//!     brif v3, block1, block2
//! block1:
//!     store v1, v0            ; no-op: v1 is v2 here
//! ```
//!
//! Soundness: behind a destination of the branch that has no other predecessor two values are equal,
//! as long as neither is defined anew. Both dominate the branch, which dominates the store, so that whoever
//! comes from a new definition to the store comes through the branch again.
//!
//! Slots are left to promotion, and to whoever overwrites what nobody reads.
//!
//! Cost: [`MAX_BRANCHES`] steps up the dominator tree, for a block with a store of which it is known
//! where its bytes come from, and that is no no-op otherwise.

use super::{Pass, Stored};
use crate::ir::condcodes::IntCC;
use crate::ir::{Inst, InstructionData, Value};
use crate::memopt::cfg::graph::Node;
use crate::memopt::edit::Reason;
use crate::memopt::inst::bits::number;
use smallvec::SmallVec;

/// Blocks above a store at whose ends branches are looked at.
///
/// What is compared is stored right behind, or behind another test. What is given up is a no-op further
/// down.
const MAX_BRANCHES: u32 = 4;

/// What is equal behind a branch.
#[derive(Clone, Copy)]
struct Equal {
    branch: Inst,
    value: Value,
    /// Another value; `None` of zero.
    other: Option<Value>,
}

/// What is equal in a block, the nearest branch first.
#[derive(Default)]
pub(super) struct Compared {
    /// The block that was last asked about.
    node: Option<Node>,
    equal: SmallVec<[Equal; 1]>,
}

impl Pass<'_, '_, '_, '_> {
    /// Does memory hold what the store writes, as a branch above it has found?
    pub(super) fn is_compared(&mut self, store: Stored<'_>) -> Option<Reason> {
        if store.source.is_unknown() || store.access.slot().is_some() {
            return None;
        }
        if self.compared.node != Some(store.node) {
            self.compared.node = Some(store.node);
            self.compared.equal = self.equal_in(store.node);
        }
        for at in 0..self.compared.equal.len() {
            let equal = self.compared.equal[at];
            if let Some(value) = self.equal_to(equal, store.value)
                && self.is_there(Stored { value, ..store }).is_some()
            {
                return Some(Reason::ComparedBy(equal.branch));
            }
        }
        None
    }

    /// What branches say is equal in `node`.
    fn equal_in(&self, node: Node) -> SmallVec<[Equal; 1]> {
        let mut found = SmallVec::new();
        let mut below = node;
        for _ in 0..MAX_BRANCHES {
            let above = self.facts.dominance.parent(below);
            if above == below {
                break;
            }
            if let [pred] = self.graph.preds(below) {
                found.extend(self.equal_on(*pred, below));
            }
            below = above;
        }
        found
    }

    /// What is equal on the only edge from `pred` to `node`.
    fn equal_on(&self, pred: Node, node: Node) -> Option<Equal> {
        let func = self.facts.memory.func;
        let branch = func.layout.last_inst(self.facts.order.block(pred))?;
        let InstructionData::Brif { arg, blocks, .. } = func.dfg.insts[branch] else {
            return None;
        };
        let [then, otherwise] = blocks.map(|call| {
            let block = call.block(&func.dfg.value_lists);
            self.facts.order.node(block) == Some(node)
        });
        if then == otherwise {
            return None;
        }
        let arg = func.dfg.resolve_aliases(arg);
        let compared = func.dfg.value_def(arg).inst();
        match compared.map(|inst| func.dfg.insts[inst]) {
            Some(InstructionData::IntCompare {
                cond: cond @ (IntCC::Equal | IntCC::NotEqual),
                args: [value, other],
                ..
            }) => (then == (cond == IntCC::Equal)).then_some(Equal {
                branch,
                value,
                other: Some(other),
            }),
            // A number that is tested by itself is zero on the other edge.
            _ => otherwise.then_some(Equal {
                branch,
                value: arg,
                other: None,
            }),
        }
    }

    /// The value that `stored` is equal to, by what a branch says.
    fn equal_to(&self, equal: Equal, stored: Value) -> Option<Value> {
        let value = self.facts.canonical(equal.value);
        let Some(other) = equal.other else {
            let is_zero = number(&self.facts.memory.func.dfg, stored) == Some(0)
                && self.facts.type_of(value) == self.facts.type_of(stored);
            return is_zero.then_some(value);
        };
        let other = self.facts.canonical(other);
        match () {
            () if self.facts.is_same(value, stored) => Some(other),
            () if self.facts.is_same(other, stored) => Some(value),
            () => None,
        }
    }
}
