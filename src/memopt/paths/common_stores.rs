//! A store with which every block in front of a join ends is one at its start.
//!
//! ```text
//! block1:                                block1:
//!     store v1, v0                           v3 = load.i32 region1 v2
//!     v3 = load.i32 region1 v2               jump block3(v3)
//!     jump block3(v3)                ==> block2:
//! block2:                                    jump block3(v4)
//!     store v1, v0                       block3(v5: i32):
//!     jump block3(v4)                        store v1, v0
//! block3(v5: i32):                           return v5
//!     return v5
//! ```
//!
//! What upstream misses here: it moves no store.
//!
//! Soundness: each path into the join comes from one of the blocks, which lead nowhere else, and
//! made the store there; it makes it as often at the start of the join. Nothing behind the store in its
//! block reads, writes or sees the bytes, or may end the function where the memory survives that. The
//! stores are alike, of one value to one address, by which flags they are made as well: what they are
//! passed is defined above all of the blocks, and so above the join.
//!
//! Not done: stores of different values, for which the join would take a parameter.
//!
//! Cost: O(blocks), and [`MAX_TRAILING`] squared for each block that ends with a jump to such a join.

use crate::ir::{InstructionData, Opcode, Value};
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::edit::{Change, Edit, Place, Reason, Sunk};
use crate::memopt::memory::insts::{EventIndex, Memory};
use crate::memopt::memory::slot_escape::Privacy;
use crate::memopt::paths::invariants::{flags, may_be_elsewhere};
use crate::memopt::paths::turning::concerns;
use alloc::vec;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Memory instructions at the end of a block that are looked at. A store in front of them stays.
const MAX_TRAILING: u32 = 8;

/// Finds the stores with which all blocks in front of a join end.
pub fn edits(memory: &Memory<'_>, order: &Order, graph: &Graph) -> Vec<Edit> {
    let mut edits = Vec::new();
    for node in 0..graph.len() as Node {
        let [first, others @ ..] = graph.preds(node) else {
            continue;
        };
        let all_jump = || {
            let mut preds = graph.preds(node).iter();
            preds.all(|pred| *pred < node && jumps(memory, order, graph, *pred))
        };
        if others.is_empty() || !all_jump() {
            continue;
        }
        let mut taken: SmallVec<[EventIndex; 4]> = SmallVec::new();
        for store in trailing(memory, *first) {
            let Some(stores) = same_stores(memory, store, others, &taken) else {
                continue;
            };
            let insts = stores.iter().map(|event| memory.inst(*event));
            let block = order.block(node);
            let sunk = Sunk {
                stores: insts.collect(),
                places: vec![(Place::Start(block), vec![memory.inst(store)])],
                cold: Vec::new(),
            };
            taken.extend(stores);
            edits.push(Change::Sink(sunk).because(Reason::MadeInFrontOf(block)));
        }
    }
    edits
}

/// Does the block end with a jump, with a memory instruction somewhere before it?
fn jumps(memory: &Memory<'_>, order: &Order, graph: &Graph, node: Node) -> bool {
    let func = memory.func;
    let last = func.layout.last_inst(order.block(node));
    !memory.of_node(node).is_empty()
        && graph.succs(node).len() == 1
        && last.is_some_and(|inst| func.dfg.insts[inst].opcode() == Opcode::Jump)
}

/// The stores of a block that may go past its end, the last one first.
fn trailing(memory: &Memory<'_>, node: Node) -> impl Iterator<Item = EventIndex> {
    let events = memory.of_node(node);
    let end = events.end;
    let start = events.start.max(end.saturating_sub(MAX_TRAILING));
    (start..end).rev().filter(move |event| {
        may_move(memory, *event) && (*event + 1..end).all(|other| !concerns(memory, other, *event))
    })
}

/// May the store be anywhere else?
fn may_move(memory: &Memory<'_>, event: EventIndex) -> bool {
    let inst = memory.inst(event);
    memory.access(event).is_some_and(|access| {
        let slot = access.slot();
        access.stored.is_some()
            && may_be_elsewhere(memory, inst, access)
            && !slot.is_some_and(|slot| memory.slots.privacy(slot) == Privacy::Never)
            && memory.slots.escapes_at(inst).is_empty()
    })
}

/// `store`, and in each of `others` one that is like it and not in `taken`.
fn same_stores(
    memory: &Memory<'_>,
    store: EventIndex,
    others: &[Node],
    taken: &[EventIndex],
) -> Option<Vec<EventIndex>> {
    let meant = meaning(memory, store)?;
    let mut stores = vec![store];
    for node in others {
        let same = trailing(memory, *node).find(|other| {
            !taken.contains(other)
                && meaning(memory, *other) == Some(meant)
                && flags(memory, *other) == flags(memory, store)
        });
        stores.push(same?);
    }
    Some(stores)
}

/// What is stored, where, and how.
fn meaning(memory: &Memory<'_>, event: EventIndex) -> Option<(Opcode, [Value; 2], i32)> {
    let dfg = &memory.func.dfg;
    match dfg.insts[memory.inst(event)] {
        InstructionData::Store {
            opcode,
            args,
            offset,
            ..
        } => {
            let args = args.map(|arg| dfg.resolve_aliases(arg));
            Some((opcode, args, offset.into()))
        }
        _ => None,
    }
}
