//! Turning loops round: a loop that tests before its body is entered behind a copy of its test,
//! where that lets an access leave it.
//!
//! ```text
//!     jump block1(v3)                        v8 = icmp ult v3, v1
//! block1(v4: i64):                           brif v8, block2(v3), block3
//!     v5 = icmp ult v4, v1               block1(v4: i64):
//!     brif v5, block2, block3                v5 = icmp ult v4, v1
//! block2:                        ==>         brif v5, block2(v4), block3
//!     v6 = load.i64 v0+56                block2(v9: i64):
//!     v7 = iadd v4, v6                       v6 = load.i64 v0+56
//!     jump block1(v7)                        v7 = iadd v9, v6
//!                                            jump block1(v7)
//! ```
//!
//! The body is the header then, and what it is sure to execute is sure wherever the loop is
//! entered: its loads [leave it](super::hoisting), also those of which only the first iteration
//! does not know what they find ([`pre`](super::pre)), and its stores
//! [sink](super::sink_stores) to its exits.
//!
//! What upstream misses here: it has no such pass.
//!
//! Soundness: a copy of a block executes what the block would have executed.
//!
//! Code grows by the test, of at most [`MAX_TEST`] instructions, which executes as often as
//! before. The body keeps one predecessor from outside.
//!
//! Cost: that of hoisting for loops that end their header in a test; one query more for each
//! access at the start of their bodies, see [`pre::Pass`].

use crate::ir::{Function, Inst, InstructionData};
use crate::loop_analysis::Loop;
use crate::memopt::cfg::graph::{Graph, Node};
use crate::memopt::edit::{Change, Edit, Reason, Turned};
use crate::memopt::memory::insts::{EventIndex, Memory};
use crate::memopt::memory::mod_ref::{Bytes, may_meet, mod_ref};
use crate::memopt::paths::invariants::{Certainty, Invariants, Shape, may_be_elsewhere};
use crate::memopt::paths::pre;
use crate::memopt::paths::threading::may_copy;
use crate::{FxHashMap, FxHashSet};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Instructions of a test, without the branch.
///
/// Most tests are a comparison of a counter with a bound, and what loads and converts that. What
/// is given up are the loops that have more; code would grow by it.
const MAX_TEST: usize = 8;

/// Memory instructions of one loop of which a store is asked whether they meet it.
const MAX_EVENTS: usize = 128;

/// A loop that tests before its body.
struct TestedFirst {
    lp: Loop,
    header: Node,
    /// The block behind the test that is in the loop.
    body: Node,
}

/// Finds the loops, of each nest one. `candidates` are those of
/// `invariants`; `pass` knows the function as it is.
pub fn edits(
    invariants: &mut Invariants<'_, '_>,
    candidates: &[(EventIndex, Loop)],
    pass: &mut pre::Pass<'_, '_, '_>,
) -> Vec<Edit> {
    let shape = invariants.shape;
    let memory = pass.memory();
    let mut of_loop: FxHashMap<Loop, SmallVec<[EventIndex; 4]>> = FxHashMap::default();
    for (event, lp) in candidates {
        of_loop.entry(*lp).or_default().push(*event);
    }
    let mut taken: FxHashSet<Loop> = FxHashSet::default();
    let mut edits = Vec::new();
    for lp in shape.loops.loops() {
        let Some(tested) = tested_first(memory.func, shape, lp) else {
            continue;
        };
        let nest = outermost(shape, lp);
        if taken.contains(&nest) {
            continue;
        }
        let candidates = of_loop.get(&lp).map_or(&[][..], |list| &list[..]);
        let Some(inst) = leaves(invariants, shape, candidates, pass, &tested) else {
            continue;
        };
        let turned = Turned {
            header: shape.order.block(tested.header),
            entries: shape.entries(memory, lp),
        };
        taken.insert(nest);
        let reason = Reason::WouldLeaveLoop(SmallVec::from_slice(&[inst]));
        edits.push(Change::TurnLoop(turned).because(reason));
    }
    edits
}

/// The outermost loop around `lp`.
fn outermost(shape: Shape<'_>, lp: Loop) -> Loop {
    let mut outermost = lp;
    while let Some(parent) = shape.loops.loop_parent(outermost) {
        outermost = parent;
    }
    outermost
}

/// An access that could leave the loop if it were turned round.
fn leaves(
    invariants: &mut Invariants<'_, '_>,
    shape: Shape<'_>,
    candidates: &[EventIndex],
    pass: &mut pre::Pass<'_, '_, '_>,
    tested: &TestedFirst,
) -> Option<Inst> {
    let memory = pass.memory();
    let inst = |event: EventIndex| memory.inst(event);
    let load = candidates.iter().find(|event| {
        memory.access(**event).is_some_and(|access| {
            invariants.clobber(access, tested.lp) == Ok(None)
                && invariants.is_certain(tested.body, **event, tested.lp) == Ok(Certainty::Always)
        })
    });
    if let Some(event) = load {
        return Some(inst(*event));
    }
    let first = pass.known_round(tested.header, tested.body);
    first
        .or_else(|| store(invariants, shape, memory, tested))
        .map(inst)
}

/// The loop `lp`, if its header ends in a test of which one destination is in it and has no
/// other predecessor, and may be copied.
fn tested_first(func: &Function, shape: Shape<'_>, lp: Loop) -> Option<TestedFirst> {
    let block = shape.loops.loop_header(lp);
    let header = shape.order.node(block)?;
    let branch = func.layout.last_inst(block)?;
    if !matches!(func.dfg.insts[branch], InstructionData::Brif { .. }) {
        return None;
    }
    let body = match shape.graph.succs(header) {
        [a, b] if shape.is_inside(*a, lp) && !shape.is_inside(*b, lp) => *a,
        [a, b] if shape.is_inside(*b, lp) && !shape.is_inside(*a, lp) => *b,
        _ => return None,
    };
    let insts = func.layout.block_insts(block);
    let test = insts.take_while(|inst| *inst != branch);
    let copied = test.take(MAX_TEST + 1).map(|inst| may_copy(func, inst));
    let copied: SmallVec<[bool; MAX_TEST]> = copied.collect();
    let fits = copied.len() <= MAX_TEST && copied.iter().all(|may| *may);
    (fits && body != header && is_alone(shape.graph, body)).then_some(TestedFirst {
        lp,
        header,
        body,
    })
}

fn is_alone(graph: &Graph, node: Node) -> bool {
    graph.preds(node).len() == 1
}

/// A store that every iteration repeats at one place, and that nothing in the loop concerns.
fn store(
    invariants: &mut Invariants<'_, '_>,
    shape: Shape<'_>,
    memory: &Memory<'_>,
    tested: &TestedFirst,
) -> Option<EventIndex> {
    let mut events: Vec<EventIndex> = Vec::new();
    let mut stores: SmallVec<[EventIndex; 4]> = SmallVec::new();
    for node in invariants.nodes(tested.lp)? {
        let own = memory.of_node(node);
        events.extend(own.clone());
        if events.len() > MAX_EVENTS {
            return None;
        }
        if shape.innermost(node) == Some(tested.lp) {
            stores.extend(own.filter(|event| is_repeated(invariants, memory, *event, tested.lp)));
        }
    }
    let mut stores = stores.into_iter();
    stores.find(|store| {
        let mut others = events.iter().filter(|other| *other != store);
        others.all(|other| !concerns(memory, *other, *store))
            && invariants
                .is_certain(tested.body, *store, tested.lp)
                .is_ok()
    })
}

/// Is it a store to a place outside of whose loop its address is computed?
fn is_repeated(
    invariants: &Invariants<'_, '_>,
    memory: &Memory<'_>,
    event: EventIndex,
    lp: Loop,
) -> bool {
    let inst = memory.inst(event);
    memory.access(event).is_some_and(|access| {
        access.stored.is_some()
            && may_be_elsewhere(memory, inst, access)
            && invariants.is_steady(access, lp)
    })
}

/// May `other` see or change what `store` writes?
pub(super) fn concerns(memory: &Memory<'_>, other: EventIndex, store: EventIndex) -> bool {
    memory.access(store).is_none_or(|access| {
        let private = access.is_always_private(&memory.slots);
        let class = memory.class_of(access, private);
        let answer = mod_ref(memory, other, &Bytes::of(access, private));
        let ends = (answer.ends || answer.leaves) && !private && memory.survives_trap(class);
        ends || may_meet(memory, other, store, private)
    })
}
