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
//! Cost: [`MAX_BRANCHES`] steps up the dominator tree, for a store of which it is known where its
//! bytes come from, and that is no no-op otherwise.

use super::Pass;
use crate::ir::condcodes::IntCC;
use crate::ir::{Inst, InstructionData, Value};
use crate::memopt::cfg::graph::Node;
use crate::memopt::edit::Reason;
use crate::memopt::inst::bits::number;
use crate::memopt::memory::clobber::Source;
use crate::memopt::memory::insts::{Access, EventIndex};

/// Blocks above a store at whose ends branches are looked at.
///
/// What is compared is stored right behind, or behind another test. What is given up is a no-op further
/// down.
const MAX_BRANCHES: u32 = 4;

/// A branch, and a value that what is stored equals behind it.
struct Equal {
    branch: Inst,
    value: Value,
}

impl Pass<'_, '_, '_, '_> {
    /// Does memory hold what the store writes, as a branch above `node` has found?
    pub(super) fn is_compared(
        &mut self,
        node: Node,
        event: EventIndex,
        source: Source,
        access: &Access,
        stored: Value,
    ) -> Option<Reason> {
        if source.is_unknown() || access.slot().is_some() {
            return None;
        }
        let mut below = node;
        for _ in 0..MAX_BRANCHES {
            let above = self.facts.dominance.parent(below);
            if above == below {
                return None;
            }
            if let [pred] = self.graph.preds(below)
                && let Some(Equal { branch, value }) = self.equal_on(*pred, below, stored)
                && self.is_there(node, event, source, access, value).is_some()
            {
                return Some(Reason::ComparedBy(branch));
            }
            below = above;
        }
        None
    }

    /// What `stored` is equal to on the only edge from `pred` to `node`.
    fn equal_on(&self, pred: Node, node: Node, stored: Value) -> Option<Equal> {
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
        let equal = match compared.map(|inst| func.dfg.insts[inst]) {
            Some(InstructionData::IntCompare {
                cond: cond @ (IntCC::Equal | IntCC::NotEqual),
                args,
                ..
            }) => {
                let [x, y] = args.map(|arg| self.facts.canonical(arg));
                let other = |value| match value {
                    _ if self.facts.is_same(x, value) => Some(y),
                    _ if self.facts.is_same(y, value) => Some(x),
                    _ => None,
                };
                other(stored).filter(|_| then == (cond == IntCC::Equal))
            }
            // A number that is tested by itself is zero on the other edge.
            _ => {
                let is_zero = number(&func.dfg, stored) == Some(0)
                    && self.facts.type_of(arg) == self.facts.type_of(stored);
                is_zero
                    .then(|| self.facts.canonical(arg))
                    .filter(|_| otherwise)
            }
        };
        equal.map(|value| Equal { branch, value })
    }
}
