//! Loads and arithmetic that only sunk code uses.
//!
//! Where a store has moved to one side of a branch, what it stores is computed
//! above the branch for that side alone. This follows: a load that nothing
//! disturbs in between, and pure instructions.
//!
//! Soundness: a pure instruction gives the same wherever its operands are. A
//! load that cannot trap finds the same if it passes nothing that may write its
//! location; it is executed on fewer paths than before, and once on those.
//!
//! Loops and cost at run time: as for [`super::sink_stores`], a value goes to a
//! block with one predecessor, which its own block dominates; or to a cold one that leads to the end,
//! to which several paths lead past nothing that concerns it: that is executed once at most.
//!
//! ```text
//!     v1 = load.i64 v0+8                     brif v2, block1, block2
//!     brif v2, block1, block2            block2:
//! block2:                        ==>         brif v3, block1, block3
//!     brif v3, block1, block3            block1 cold:
//! block1 cold:                               v1 = load.i64 v0+8
//!     call fn0(v1)                           call fn0(v1)
//!     trap user1                             trap user1
//! ```
//!
//! Cost: O(instructions), a walk up the dominator tree for each use, and for each moved
//! instruction the events of the blocks that it passes, up to [`MAX_BLOCKS`].

use crate::ir::{Inst, InstructionData};
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::edit::{Below, Change, Edit, MAX_PASSED, Reason};
use crate::memopt::memory::insts::{EventIndex, Memory};
use crate::memopt::memory::mod_ref::may_meet;
use crate::memopt::passes::dead_code::{Removable, removable};
use crate::memopt::passes::uses::for_each_use;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Blocks that one value may pass, as for stores.
const MAX_BLOCKS: u32 = 48;

/// Steps up the dominator tree from one use of a value to where it meets the next.
///
/// Uses of what feeds a store are in few blocks. What is given up is a value with two uses that
/// are farther apart: they count as if they met at the entry, and it stays.
const MAX_CLIMB: u32 = 256;

/// Blocks from a cold one to the end of the function.
///
/// A call that reports a trap, what follows it, and its handler are three. What is given up is that a
/// value stays where it is.
const MAX_AHEAD: usize = 8;

/// Where a value is used that nobody uses.
const NOWHERE: Node = Node::MAX;

/// Finds what moves, the last instructions first; each goes in front of its
/// first use in its block, or what it cannot pass there.
pub fn edits(
    memory: &Memory<'_>,
    order: &Order,
    graph: &Graph,
    dominance: &Dominance,
    is_private: impl Fn(EventIndex) -> bool,
) -> Vec<Edit> {
    let mut pass = Pass {
        memory,
        order,
        graph,
        dominance,
        is_private,
        meets: alloc::vec![NOWHERE; memory.func.dfg.num_values()],
        edits: Vec::new(),
    };
    for node in (0..graph.len() as Node).rev() {
        pass.block(node);
    }
    pass.edits
}

struct Pass<'p, 'a, F> {
    memory: &'p Memory<'a>,
    order: &'p Order,
    graph: &'p Graph,
    dominance: &'p Dominance,
    is_private: F,
    /// For each value the closest node that dominates all of its uses. Who uses a value comes
    /// behind it in reverse postorder, so that it is known, and where it moves to, before the
    /// value is looked at.
    meets: Vec<Node>,
    edits: Vec<Edit>,
}

impl<F: Fn(EventIndex) -> bool> Pass<'_, '_, F> {
    /// `inst` uses its operands in `node`.
    fn use_operands(&mut self, inst: Inst, node: Node) {
        for_each_use(self.memory.func, inst, |value, _| {
            let at = value.as_u32() as usize;
            self.meets[at] = self.meet(self.meets[at], node);
        });
    }

    /// The closest node that dominates both.
    fn meet(&self, mut above: Node, node: Node) -> Node {
        if above == NOWHERE {
            return node;
        }
        for _ in 0..MAX_CLIMB {
            if self.dominance.dominates(above, node) {
                return above;
            }
            above = self.dominance.parent(above);
        }
        self.graph.entry
    }

    fn block(&mut self, node: Node) {
        let func = self.memory.func;
        let block = self.order.block(node);
        let mut events = self.memory.of_node(node).rev().peekable();
        // Events of the block behind the instruction.
        let mut behind: SmallVec<[EventIndex; 16]> = SmallVec::new();
        let mut next = func.layout.last_inst(block);
        while let Some(inst) = next {
            next = func.layout.prev_inst(inst);
            let event = events.next_if(|event| self.memory.inst(*event) == inst);
            let target = self.target(node, inst, event, &behind);
            self.use_operands(inst, target.unwrap_or(node));
            if let Some(target) = target {
                let to = Below {
                    block: self.order.block(target),
                    end: event.and_then(|event| self.end(event, target)),
                };
                let change = match event {
                    Some(_) => Change::SinkLoad(inst, to),
                    None => Change::SinkPure(inst, to),
                };
                self.edits.push(change.because(Reason::UsedBelow(to.block)));
            } else {
                behind.extend(event);
            }
        }
    }

    /// The block to which `inst`, in `node`, moves.
    fn target(
        &self,
        node: Node,
        inst: Inst,
        event: Option<EventIndex>,
        behind: &[EventIndex],
    ) -> Option<Node> {
        let func = self.memory.func;
        let [result] = func.dfg.inst_results(inst) else {
            return None;
        };
        let uses = self.meets[result.as_u32() as usize];
        if uses == NOWHERE || uses == node || !self.is_movable(inst) {
            return None;
        }
        if !self.passes(event, behind.iter().copied()) {
            return None;
        }
        let mut at = node;
        let mut target = None;
        let mut behind_branch = false;
        for _ in 0..MAX_BLOCKS {
            let mut succs = self.graph.succs(at).iter();
            let Some(succ) = succs.find(|succ| self.has_all(**succ, uses)) else {
                return match self.ends_coldly(uses) && self.passes_between(event, at, uses) {
                    true => Some(uses),
                    false => target,
                };
            };
            behind_branch |= self.graph.succs(at).len() > 1;
            at = *succ;
            if behind_branch {
                target = Some(at);
            }
            if at == uses || !self.passes(event, self.memory.of_node(at)) {
                break;
            }
        }
        target
    }

    /// Is the block a cold one from which control goes on to the end of the function, and so is
    /// executed once at most?
    fn ends_coldly(&self, node: Node) -> bool {
        if !self.memory.func.layout.is_cold(self.order.block(node)) {
            return false;
        }
        let mut ahead: SmallVec<[Node; MAX_AHEAD]> = SmallVec::new();
        ahead.push(node);
        let mut next = 0;
        while let Some(node) = ahead.get(next).copied() {
            next += 1;
            for succ in self.graph.succs(node) {
                if *succ <= node || ahead.len() == MAX_AHEAD {
                    return false;
                }
                if !ahead.contains(succ) {
                    ahead.push(*succ);
                }
            }
        }
        true
    }

    /// Does `above` dominate `below`, and can the load `event` pass all blocks in between? Those that
    /// lead round a loop are among them.
    fn passes_between(&self, event: Option<EventIndex>, above: Node, below: Node) -> bool {
        if !self.dominance.dominates(above, below) {
            return false;
        }
        let mut between: SmallVec<[Node; 8]> = SmallVec::new();
        between.push(below);
        let mut next = 0;
        while let Some(node) = between.get(next).copied() {
            next += 1;
            for pred in self.graph.preds(node) {
                if *pred == above || between.contains(pred) {
                    continue;
                }
                let is_passed = self.passes(event, self.memory.of_node(*pred));
                if !is_passed || between.len() == MAX_BLOCKS as usize {
                    return false;
                }
                between.push(*pred);
            }
        }
        true
    }

    /// What the load `event` cannot pass in the block `node`.
    fn end(&self, event: EventIndex, node: Node) -> Option<Inst> {
        let private = (self.is_private)(event);
        let mut others = self.memory.of_node(node);
        let other = others.find(|other| may_meet(self.memory, *other, event, private))?;
        Some(self.memory.inst(other))
    }

    /// Is all use, which meets in `uses`, behind `succ`, which has one predecessor?
    fn has_all(&self, succ: Node, uses: Node) -> bool {
        self.graph.preds(succ).len() == 1 && self.dominance.dominates(succ, uses)
    }

    /// Can the load `event` pass all of `others`? Anything can if it is none.
    fn passes(
        &self,
        event: Option<EventIndex>,
        others: impl ExactSizeIterator<Item = EventIndex>,
    ) -> bool {
        let Some(event) = event else {
            return true;
        };
        let private = (self.is_private)(event);
        others.len() <= MAX_PASSED && { others }
            .all(|other| !may_meet(self.memory, other, event, private))
    }

    fn is_movable(&self, inst: Inst) -> bool {
        let func = self.memory.func;
        // Constants are made where they are needed, by the backend.
        let is_constant = matches!(
            func.dfg.insts[inst],
            InstructionData::UnaryImm { .. }
                | InstructionData::UnaryIeee32 { .. }
                | InstructionData::UnaryIeee64 { .. }
        );
        let fixed = is_constant || !func.debug_tags.get(inst).is_empty();
        !fixed
            && match removable(func, self.memory.policy, inst) {
                Removable::Pure | Removable::Load => true,
                Removable::No => false,
            }
    }
}
