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
//! What is stored need not be the same on all paths: then the join takes it as a parameter, or has
//! one already that is passed just that.
//!
//! ```text
//! block1:                                block1:
//!     store v1, v0                           jump block3(v1)
//!     jump block3                        block2:
//! block2:                        ==>         jump block3(v2)
//!     store v2, v0                       block3(v3: i64):
//!     jump block3                            store v3, v0
//! block3:
//! ```
//!
//! Soundness: each path into the join comes from one of the blocks, which lead nowhere else, and
//! made the store there; it makes it as often at the start of the join. Nothing behind the store in its
//! block reads, writes or sees the bytes, or may end the function where the memory survives that. The
//! stores are alike, of values of one type to one address, by which flags they are made as well: the
//! address is defined above all of the blocks, and so above the join, and what is stored is known at
//! the end of its block. The address of a slot is no such value: of a parameter it would not be known
//! whose it is.
//!
//! Not done: constants on all paths, each of which a store has in itself, and a parameter would have to
//! be loaded with.
//!
//! Cost: O(blocks), and [`MAX_TRAILING`] squared for each block that ends with a jump to such a join.

use crate::ir::{Block, Inst, InstructionData, Opcode, Type, Value};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::edit::{Change, Edit, JoinedStores, Place, Reason, Sunk};
use crate::memopt::inst::bits::number;
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
            let block = order.block(node);
            if let Some(change) = change(memory, order, block, graph.preds(node), &stores) {
                edits.push(change.because(Reason::MadeInFrontOf(block)));
                taken.extend(stores);
            }
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

/// `store`, and in each of `others` one that is like it, but for what it stores, and not in `taken`.
fn same_stores(
    memory: &Memory<'_>,
    store: EventIndex,
    others: &[Node],
    taken: &[EventIndex],
) -> Option<Vec<EventIndex>> {
    let place = place(memory, store)?;
    let mut stores = vec![store];
    for node in others {
        let same = trailing(memory, *node).find(|other| {
            !taken.contains(other)
                && self::place(memory, *other) == Some(place)
                && flags(memory, *other) == flags(memory, store)
        });
        stores.push(same?);
    }
    Some(stores)
}

/// How many bytes are stored, of which type, and where.
fn place(memory: &Memory<'_>, event: EventIndex) -> Option<(Opcode, Type, Value, i32)> {
    let dfg = &memory.func.dfg;
    match dfg.insts[memory.inst(event)] {
        InstructionData::Store {
            opcode,
            args: [stored, address],
            offset,
            ..
        } => {
            let address = dfg.resolve_aliases(address);
            Some((opcode, dfg.value_type(stored), address, offset.into()))
        }
        _ => None,
    }
}

/// Lets the stores at the ends of `preds` be one at the start of `join`, if that is any gain.
fn change(
    memory: &Memory<'_>,
    order: &Order,
    join: Block,
    preds: &[Node],
    stores: &[EventIndex],
) -> Option<Change> {
    let insts = stores.iter().map(|event| memory.inst(*event));
    let stored = stores.iter().map(|event| memory.access(*event)?.stored);
    let values: SmallVec<[Value; 4]> = stored.collect::<Option<_>>()?;
    if values.iter().all(|value| *value == values[0]) {
        let stores: Vec<Inst> = insts.collect();
        let places = vec![(Place::Start(join), vec![stores[0]])];
        let cold = Vec::new();
        return Some(Change::Sink(Sunk {
            stores,
            places,
            cold,
        }));
    }
    let preds = preds.iter().map(|node| order.block(*node));
    let stores: Vec<(Block, Inst)> = preds.zip(insts).collect();
    let dfg = &memory.func.dfg;
    let passed = stores.iter().zip(&values);
    let passed: Vec<_> = passed.map(|((pred, _), it)| (*pred, Some(*it))).collect();
    let param = cfg_edit::param_passed(memory.func, join, &passed, |it| it);
    let mut all = values.iter();
    let is_constant = |value: &Value| number(dfg, *value).is_some();
    let is_gain = param.is_some() || !all.clone().all(is_constant);
    let is_address = all.any(|value| memory.slots.address(*value).is_some());
    (is_gain && !is_address).then_some(Change::JoinStores(JoinedStores {
        join,
        stores,
        param,
    }))
}
