//! Branches and traps on conditions on which a conditional trap has decided, and traps on those on
//! which a branch has.
//!
//! ```text
//!     v3 = icmp ult v1, v2                   v3 = icmp ult v1, v2
//!     trapz v3, user1                        trapz v3, user1
//!     v4 = load.i32 v0               ==>     v4 = load.i32 v0
//!     trapz v3, user1                        jump block1
//!     brif v3, block1, block2
//! ```
//!
//! So checks are left that were made twice, once the bounds that they have loaded are known to be one.
//!
//! What upstream misses here: it decides on constants alone.
//!
//! Soundness: behind the trap, in its block and in all that this dominates, the condition is what lets
//! it come through: the same value, since whatever leads from where that is computed to below leads by
//! the trap. No code is copied.
//!
//! Cost: O(memory instructions); if there is a conditional trap, O(blocks), and if another instruction
//! has its condition, a walk over the dominator tree.

use crate::ir::Value;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Order};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::memory::insts::Memory;
use crate::memopt::paths::conditions::{AT_END, Condition, Conditions, Trap, branch_on, traps};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Finds those that are decided. `dominance` is asked for if there may be any.
pub fn edits<'a>(
    memory: &Memory<'a>,
    order: &Order,
    graph: &Graph,
    dominance: impl FnOnce() -> Option<&'a Dominance>,
) -> Vec<Edit> {
    let func = memory.func;
    let traps: SmallVec<[Trap; 8]> = traps(memory).collect();
    if traps.is_empty() || !is_asked_again(memory, order, &traps) {
        return Vec::new();
    }
    let Some(dominance) = dominance() else {
        return Vec::new();
    };
    let conditions = Conditions::new(memory, order, graph, dominance);
    let mut edits = Vec::new();
    for trap in traps {
        let node = memory.node(trap.event);
        if let Some((truth, by)) = conditions.decided(node, trap.event, trap.condition)
            && truth == trap.comes_through
            && func.debug_tags.get(trap.inst).is_empty()
        {
            edits.push(Change::RemoveTrap(trap.inst).because(Reason::DecidedBy(by)));
        }
    }
    for (node, block) in (0..).zip(order.blocks()) {
        if let Some(branch) = branch_on(func, order, *block)
            && let condition = Condition::of(func, branch.arg)
            && let Some((truth, by)) = conditions.decided(node, AT_END, condition)
        {
            let taken = usize::from(!truth);
            edits.push(Change::FoldBranch(branch.inst, taken).because(Reason::DecidedBy(by)));
        }
    }
    edits
}

/// Does another trap, or a branch, depend on what one of `traps` does?
fn is_asked_again(memory: &Memory<'_>, order: &Order, traps: &[Trap]) -> bool {
    let func = memory.func;
    let mut asked: SmallVec<[Value; 8]> = traps.iter().map(|it| it.condition.value).collect();
    asked.sort_unstable();
    asked.windows(2).any(|both| both[0] == both[1])
        || order.blocks().iter().any(|block| {
            branch_on(func, order, *block).is_some_and(|branch| {
                let value = Condition::of(func, branch.arg).value;
                asked.binary_search(&value).is_ok()
            })
        })
}
