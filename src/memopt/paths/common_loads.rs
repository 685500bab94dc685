//! Loads with which every destination of a branch begins go above it.
//!
//! ```text
//!     brif v1, block1, block2                v2 = load.i32 v0
//! block1:                                    brif v1, block1, block2
//!     v2 = load.i32 v0               ==> block1:
//!     return v2                              return v2
//! block2:                                block2:
//!     v3 = load.i32 v0                       return v2
//!     return v3
//! ```
//!
//! What upstream misses here: of two equal loads it replaces one that the other dominates.
//!
//! Soundness: all loads find the bytes of one [source](Clobbers::source), which is above the
//! branch then. None may trap, and what comes before them in their blocks is as for a load that
//! [leaves a loop](super::hoisting). The mid-end computes an address anew in each destination: what the
//! first one computes of it by pure operations goes above the branch as well. All need it.
//!
//! Cost: O(blocks), and one query for each load at the start of a destination, up to
//! [`MAX_LEADING`], where all begin with an access.

use crate::ir::Opcode;
use crate::memopt::cfg::graph::{Graph, Node, defining_node};
use crate::memopt::edit::{Change, Edit, Merged, Reason};
use crate::memopt::memory::clobber::Clobbers;
use crate::memopt::memory::insts::{EventIndex, EventKind, Memory};
use crate::memopt::memory::values::{Key, Values};
use crate::memopt::paths::computed::{Computed, Part, computed};
use crate::memopt::paths::invariants::{flags, may_be_elsewhere, passes};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Memory instructions in front of a load in its block.
const MAX_LEADING: usize = 32;

/// Finds the loads with which all destinations of a branch begin. `clobbers` and `values` serve
/// for the function as it is.
pub fn edits(values: &Values<'_, '_>, graph: &Graph, clobbers: &mut Clobbers<'_>) -> Vec<Edit> {
    let memory = values.memory;
    let mut edits = Vec::new();
    for node in 0..graph.len() as Node {
        let [first, others @ ..] = graph.succs(node) else {
            continue;
        };
        let alone = graph
            .succs(node)
            .iter()
            .all(|succ| graph.preds(*succ).len() == 1);
        let any = graph
            .succs(node)
            .iter()
            .all(|succ| !memory.of_node(*succ).is_empty());
        if others.is_empty() || !alone || !any || !ends_in_branch(values, node) {
            continue;
        }
        let mut taken: SmallVec<[EventIndex; 4]> = SmallVec::new();
        for event in leading(memory, *first) {
            let Some((found, computed)) = same_loads(values, clobbers, node, event, others, &taken)
            else {
                continue;
            };
            let insts = found.iter().map(|event| memory.inst(*event));
            let block = values.order.block(node);
            let merged = Merged {
                block,
                computed: computed.to_vec(),
                loads: insts.collect(),
            };
            taken.extend(found);
            let change = Change::MergeLoads(merged);
            edits.push(change.because(Reason::NeededOnAllPaths(block)));
        }
    }
    edits
}

/// Does the block do nothing at its end but choose where to go? A call does.
fn ends_in_branch(values: &Values<'_, '_>, node: Node) -> bool {
    let func = values.memory.func;
    let last = func.layout.last_inst(values.order.block(node));
    last.is_some_and(|inst| {
        let opcode = func.dfg.insts[inst].opcode();
        matches!(opcode, Opcode::Brif | Opcode::BrTable)
    })
}

/// The loads at the start of `node` that may go to the end of what comes before it, as far as
/// what they pass may trap.
fn leading<'m>(memory: &'m Memory<'_>, node: Node) -> impl Iterator<Item = EventIndex> + use<'m> {
    let start = memory.of_node(node).start;
    let events = memory.of_node(node).take(MAX_LEADING);
    let passing = events.take_while(move |event| {
        *event == start || {
            // What hardly a load can pass ends the search.
            let before = &memory.events[*event as usize - 1].kind;
            !matches!(
                before,
                EventKind::Call(_) | EventKind::Transfer(_) | EventKind::Barrier | EventKind::End
            )
        }
    });
    passing.filter(move |event| {
        let inst = memory.inst(*event);
        memory
            .access(*event)
            .is_some_and(|access| access.stored.is_none() && may_be_elsewhere(memory, inst, access))
            && (start..*event).all(|other| passes(memory, *event, other))
    })
}

/// `event`, and in each of `others` a load that finds the same bytes and is not in `taken`; all
/// of them alike.
fn same_loads(
    values: &Values<'_, '_>,
    clobbers: &mut Clobbers<'_>,
    above: Node,
    event: EventIndex,
    others: &[Node],
    taken: &[EventIndex],
) -> Option<(Vec<EventIndex>, Computed)> {
    let memory = values.memory;
    let computed = computed_above(values, above, event)?;
    let flags = flags(memory, event)?;
    let key = key(values, clobbers, event)?;
    let mut found = alloc::vec![event];
    for node in others {
        let same = leading(memory, *node).find(|other| {
            !taken.contains(other)
                && self::flags(memory, *other) == Some(flags)
                && self::key(values, clobbers, *other) == Some(key)
        });
        found.push(same?);
    }
    Some((found, computed))
}

/// What the block of `event` computes of its address, which can be computed at the end of `above`.
fn computed_above(values: &Values<'_, '_>, above: Node, event: EventIndex) -> Option<Computed> {
    let memory = values.memory;
    let (func, event) = (memory.func, &memory.events[event as usize]);
    computed(func, event.inst, |value| {
        match defining_node(func, values.order, value) {
            Some(node) if values.dominance.dominates(node, above) => Part::There,
            Some(node) if node == event.node => Part::Computed,
            _ => Part::Missing,
        }
    })
}

/// The bytes that a load finds, if it is known where they come from.
fn key(values: &Values<'_, '_>, clobbers: &mut Clobbers<'_>, event: EventIndex) -> Option<Key> {
    let memory = values.memory;
    let source = clobbers.source(event);
    let access = memory.access(event)?;
    let result = memory.func.dfg.first_result(memory.inst(event));
    (!source.is_unknown())
        .then(|| values.key(source, access, access.opcode, values.type_of(result)))
}
