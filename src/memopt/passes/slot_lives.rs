//! Which private stack slots interfere: one of them is written where the other one is live.
//!
//! Backward dataflow over the blocks, with a bit for each byte of a slot, or for as many bytes that
//! 64 bits are enough.

use crate::entity::SecondaryMap;
use crate::ir::{Function, StackSlot};
use crate::memopt::cfg::graph::{Graph, Node};
use crate::memopt::memory::slot_uses::{Bytes, SlotUse, SlotUses, room};
use alloc::vec;
use alloc::vec::Vec;

/// The slots that are looked at, the largest first. What is given up is the space of the smaller
/// ones, and the run counts one hit.
pub const MAX_SLOTS: usize = 64;

/// For each of `slots`, at most [`MAX_SLOTS`], those that it interferes with, one a bit.
///
/// Cost: O(blocks · slots) for each pass over the graph.
pub fn interference(
    func: &Function,
    graph: &Graph,
    uses: &SlotUses,
    slots: &[StackSlot],
) -> Vec<u64> {
    let mut at = SecondaryMap::with_default(usize::MAX);
    for (position, slot) in slots.iter().enumerate() {
        at[*slot] = position;
    }
    let steps = { uses.uses.iter() }.filter(|it| at[it.slot] != usize::MAX);
    let steps: Vec<Step> = steps
        .map(|usage| {
            Step::of(
                usage,
                at[usage.slot],
                func.sized_stack_slots[usage.slot].size,
            )
        })
        .collect();
    let lives = Lives {
        graph,
        starts: starts(graph.len(), &steps),
        steps,
        slots: slots.len(),
    };
    let mut found = lives.interference();
    for (x, y, _) in &uses.together {
        if let (Some(x), Some(y)) = (position(&at, *x), position(&at, *y)) {
            meet(&mut found, x, y);
        }
    }
    found
}

fn position(at: &SecondaryMap<StackSlot, usize>, slot: StackSlot) -> Option<usize> {
    Some(at[slot]).filter(|at| *at != usize::MAX)
}

fn meet(found: &mut [u64], x: usize, y: usize) {
    found[x] |= 1 << y;
    found[y] |= 1 << x;
}

/// Where the steps of each node begin.
fn starts(nodes: usize, steps: &[Step]) -> Vec<usize> {
    let starts = 0..=nodes as Node;
    { starts }
        .map(|node| steps.partition_point(|step| step.node < node))
        .collect()
}

/// What is done to the slot at a position.
struct Step {
    node: Node,
    slot: usize,
    /// May be read.
    reads: u64,
    writes: bool,
    /// Is overwritten for sure.
    clears: u64,
}

impl Step {
    fn of(usage: &SlotUse, slot: usize, size: u32) -> Self {
        // An access may reach to the end of the last word.
        let size = room(size);
        let (touched, covered) = match usage.bytes {
            Some(bytes) => masks(bytes, size),
            None => (masks((0, size), size).0, 0),
        };
        Self {
            node: usage.node,
            slot,
            reads: if usage.reads { touched } else { 0 },
            writes: usage.writes,
            clears: if usage.surely { covered } else { 0 },
        }
    }
}

/// The bits of the bytes of a slot of `size` bytes that are touched, and of those of which all that
/// share the bit are.
pub fn masks((start, end): Bytes, size: u32) -> (u64, u64) {
    let unit = size.div_ceil(64).max(1);
    let below = |bit: u32| 1u64.checked_shl(bit).map_or(u64::MAX, |bit| bit - 1);
    let touched = below(end.div_ceil(unit)) & !below(start / unit);
    // The last bit may stand for fewer bytes.
    let end = if end >= size {
        size.div_ceil(unit)
    } else {
        end / unit
    };
    (touched, below(end) & !below(start.div_ceil(unit)))
}

struct Lives<'a> {
    graph: &'a Graph,
    steps: Vec<Step>,
    starts: Vec<usize>,
    slots: usize,
}

impl Lives<'_> {
    fn interference(&self) -> Vec<u64> {
        // The bytes of each slot that are live into each node.
        let mut live_in = vec![0u64; self.graph.len() * self.slots];
        let mut found = vec![0u64; self.slots];
        let mut live = vec![0u64; self.slots];
        loop {
            let mut changed = false;
            for node in (0..self.graph.len() as Node).rev() {
                self.live_out(node, &live_in, &mut live);
                self.backward(node, &mut live, &mut found);
                let known = &mut live_in[self.range(node)];
                if *known != live[..] {
                    known.copy_from_slice(&live);
                    changed = true;
                }
            }
            if !changed {
                return found;
            }
        }
    }

    fn range(&self, node: Node) -> core::ops::Range<usize> {
        let start = node as usize * self.slots;
        start..start + self.slots
    }

    fn live_out(&self, node: Node, live_in: &[u64], live: &mut [u64]) {
        live.fill(0);
        for succ in self.graph.succs(node) {
            for (live, other) in live.iter_mut().zip(&live_in[self.range(*succ)]) {
                *live |= other;
            }
        }
    }

    /// Makes of what is live behind a node what is live in front of it. What is live only grows from
    /// pass to pass, so that what interferes in one does in the last.
    fn backward(&self, node: Node, live: &mut [u64], found: &mut [u64]) {
        let node = node as usize;
        for step in self.steps[self.starts[node]..self.starts[node + 1]]
            .iter()
            .rev()
        {
            if step.writes {
                for (other, bytes) in live.iter().enumerate() {
                    if *bytes != 0 && other != step.slot {
                        meet(found, other, step.slot);
                    }
                }
            }
            live[step.slot] = (live[step.slot] & !step.clears) | step.reads;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_bytes() {
        assert_eq!(masks((0, 8), 16), (0xff, 0xff));
        assert_eq!(masks((8, 16), 16), (0xff00, 0xff00));
        assert_eq!(masks((0, 64), 64), (u64::MAX, u64::MAX));
        // Two bytes a bit: half of one is touched, and not covered.
        assert_eq!(masks((1, 4), 128), (0b11, 0b10));
        assert_eq!(masks((0, 128), 128), (u64::MAX, u64::MAX));
        // Three bytes a bit, and the last one stands for two.
        assert_eq!(masks((0, 152), 152).1, (1 << 51) - 1);
    }
}
