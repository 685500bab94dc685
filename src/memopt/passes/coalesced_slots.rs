//! A stack slot that is copied to another one, or to a part of it, is in the place that it is copied
//! to.
//!
//! # The problem
//!
//! ```text
//!     call %make(ss0, v0)                         call %make(ss1+8, v0)
//!     v1 = load.i64 ss0                           v1 = load.i64 ss1+8
//!     store v1, ss1+8               ==>           store v1, ss1+8         ; what is there
//!     v2 = load.i64 ss0+8                         v2 = load.i64 ss1+16
//!     store v2, ss1+16                            store v2, ss1+16        ; what is there
//!     v3 = call %sum(ss1)                         v3 = call %sum(ss1)
//! ```
//!
//! Front ends make a value in one place and move it to another one. What is stored by a callee, or at
//! an index, is no value, so that the copy stays. Cranelift 0.137 lets it.
//!
//! # Soundness
//!
//! That of [`shared_slots`](super::shared_slots), for two slots, of which one lies in the other one from
//! some byte on: a byte of either slot is not written where the byte of the other one that is in its
//! place is live. What is written as a copy of that byte changes nothing there, so that both may be
//! read behind it:
//!
//! ```text
//!     call memcpy(ss1, ss0, 16)                   call memcpy(ss0, ss0, 16)
//!     v1 = call %sum(ss1)           ==>           v1 = call %sum(ss0)
//!     v2 = call %sum(ss0)                         v2 = call %sum(ss0)
//! ```
//!
//! ```text
//!     call memcpy(ss1, ss0, 16)                   call memcpy(ss0, ss0, 16)
//!     store v0, ss1                 ==/==>        store v0, ss0
//!     v2 = call %sum(ss0)                         v2 = call %sum(ss0)
//! ```
//!
//! A load and a store are such a copy if nothing writes what the load reads in between, and both
//! access the same bytes in one byte order. Both slots are one memory to whoever looks at the function
//! later, and what each access says of its slot is true of both.
//!
//! The inner slot keeps its alignment, that which it has declared and that of its accesses, and
//! reaches no byte outside of the outer one.
//!
//! # Cost
//!
//! A look at the accesses of slots, where two are declared. If one is copied to another: O(blocks) for
//! each pass over the graph, of which there is one more than loops are deep, for each of at most
//! [`MAX_PAIRS`].
//!
//! # Previous work
//!
//! Chaitin, "Register Allocation & Spilling via Graph Coloring", 1982 (coalescing); LLVM's
//! `MemCpyOptimizer.cpp` (call slots, stack moves), and rustc's `dest_prop.rs`.

use crate::ir::{Function, Inst, MemFlagsData, StackSlot};
use crate::memopt::cfg::graph::{Graph, Node};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::inst::effect::{Access, Effect, Place, effect};
use crate::memopt::inst::transfer::Transfer;
use crate::memopt::memory::slot_escape::Slots;
use crate::memopt::memory::slot_uses::{Bytes, SlotUse, SlotUses, Tag, WORD, private_bytes, room};
use crate::memopt::passes::slot_lives::masks;
use alloc::vec;
use alloc::vec::Vec;

/// Pairs of slots that are looked at in one round, those of which most bytes are copied first.
///
/// Most functions have one or two. What is given up are the others, and the run counts one hit.
const MAX_PAIRS: usize = 16;

/// Uses of the two slots between a load and the store of what it has loaded.
///
/// A record is copied word by word, or loaded first and stored then. What is given up is that both
/// slots may be read behind a copy whose halves are farther away.
const MAX_BETWEEN: usize = 32;

/// One edit for each slot that is put into another one, and how often a limit was hit. Every block of
/// `func` has to be in `graph`.
pub fn edits(func: &Function, graph: &Graph, slots: &Slots) -> (Vec<Edit>, u32) {
    let copies = copies(func, slots);
    if copies.is_empty() {
        return (Vec::new(), 0);
    }
    let mut pairs = pairs(func, &copies);
    let limits_hit = u32::from(pairs.len() > MAX_PAIRS);
    pairs.truncate(MAX_PAIRS);
    let uses = SlotUses::new(func, slots);
    let mut taken: Vec<StackSlot> = Vec::new();
    let mut edits = Vec::new();
    for pair in pairs {
        let both = [pair.inner, pair.outer];
        if both.iter().any(|slot| taken.contains(slot)) {
            continue;
        }
        let found = Found {
            func,
            slots,
            uses: &uses,
            copies: { copies.iter() }
                .filter(|copy| copy.pair(func) == Some(pair))
                .collect(),
            pair,
        };
        if found.is_one_memory() && found.is_aligned() && found.never_interfere(graph) {
            taken.extend(both);
            edits.push(found.edit());
        }
    }
    (edits, limits_hit)
}

/// Bytes of one slot that are written to another one.
#[derive(Clone, Copy, Debug)]
struct Copy {
    from: (StackSlot, Bytes),
    to: (StackSlot, Bytes),
    /// What reads them, and what writes them: a load and a store, or one call.
    by: [Inst; 2],
}

/// Two slots, of which one can be in the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    inner: StackSlot,
    outer: StackSlot,
    /// Where it begins there.
    at: u32,
}

impl Copy {
    /// Where the slots lie if what is copied stays in its place.
    fn pair(&self, func: &Function) -> Option<Pair> {
        let ((from, (start, _)), (to, (there, _))) = (self.from, self.to);
        let of = |inner, outer, at| Pair { inner, outer, at };
        let forward = there.checked_sub(start).map(|at| of(from, to, at));
        let backward = start.checked_sub(there).map(|at| of(to, from, at));
        { [forward, backward].into_iter().flatten() }.find(|pair| pair.fits(func))
    }
}

impl Pair {
    /// Has the outer slot all bytes of the inner one, and what an access may reach behind it?
    fn fits(&self, func: &Function) -> bool {
        let sizes = [self.inner, self.outer].map(|slot| func.sized_stack_slots[slot].size);
        let [inner, outer] = sizes;
        let [reach, room] = sizes.map(room);
        let end = |size: u32| self.at.checked_add(size);
        end(inner).is_some_and(|end| end <= outer) && end(reach).is_some_and(|end| end <= room)
    }
}

/// The copies between slots that are always private, at known bytes.
fn copies(func: &Function, slots: &Slots) -> Vec<Copy> {
    let concerned = slots.concerned().iter();
    let concerned = concerned.filter(|it| func.layout.inst_block(it.inst).is_some());
    let copies = concerned.filter_map(|it| match slots.access(it) {
        Some(access) => stored(func, slots, it.inst, access),
        None => transferred(func, slots, it.inst),
    });
    copies.filter(|copy| copy.from.0 != copy.to.0).collect()
}

fn known(slots: &Slots, place: Place) -> Option<(StackSlot, Bytes)> {
    let (slot, bytes) = private_bytes(slots, place)?;
    Some((slot, bytes?))
}

/// The copy that a store is of what a load has found.
fn stored(func: &Function, slots: &Slots, store: Inst, access: &Access) -> Option<Copy> {
    let load = func.dfg.value_def(access.stored?).inst()?;
    if !func.dfg.insts[load].opcode().can_load() {
        return None;
    }
    let to = known(slots, access.place())?;
    let Effect::Access(loaded) = effect(func, load) else {
        return None;
    };
    let order = |flags: MemFlagsData| flags.explicit_endianness();
    let is_whole = loaded.stored.is_none()
        && loaded.load.is_some()
        && loaded.bytes == access.bytes
        && order(loaded.flags) == order(access.flags);
    let place = Place {
        address: func.dfg.resolve_aliases(loaded.address),
        ..loaded.place()
    };
    let from = known(slots, place).filter(|_| is_whole)?;
    let by = [load, store];
    Some(Copy { from, to, by })
}

/// The copy that the call of one of Cranelift's own functions is.
fn transferred(func: &Function, slots: &Slots, call: Inst) -> Option<Copy> {
    let transfer = Transfer::of(func, call)?;
    let place = |range| known(slots, Place::of_range(range));
    let to = place(transfer.written()?)?;
    let from = place(transfer.read().next()?)?;
    let by = [call; 2];
    Some(Copy { from, to, by })
}

/// The pairs of slots between which bytes are copied, those with most of them first.
fn pairs(func: &Function, copies: &[Copy]) -> Vec<Pair> {
    let mut pairs: Vec<(u32, Pair)> = Vec::new();
    for copy in copies {
        let is_named = |slot: StackSlot| func.sized_stack_slots[slot].key.is_some();
        let Some(pair) = copy.pair(func) else {
            continue;
        };
        if is_named(pair.inner) || is_named(pair.outer) {
            continue;
        }
        let (start, end) = copy.to.1;
        match pairs.iter_mut().find(|(_, other)| *other == pair) {
            Some((bytes, _)) => *bytes += end - start,
            None => pairs.push((end - start, pair)),
        }
    }
    pairs.sort_by_key(|(bytes, pair)| (core::cmp::Reverse(*bytes), pair.inner));
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

/// A pair, and what is done to it.
struct Found<'a> {
    func: &'a Function,
    slots: &'a Slots,
    uses: &'a SlotUses,
    copies: Vec<&'a Copy>,
    pair: Pair,
}

impl Found<'_> {
    /// Can nobody tell one slot from the other?
    fn is_one_memory(&self) -> bool {
        let Pair { inner, outer, .. } = self.pair;
        let (fixed, tags) = (&self.uses.fixed, &self.uses.tags);
        let meets =
            |x: StackSlot, y: StackSlot| (x, y) == (inner, outer) || (y, x) == (inner, outer);
        let copies = |inst: Inst| self.copies.iter().any(|copy| copy.by[1] == inst);
        let mut together = self.uses.together.iter();
        !fixed[inner]
            && !fixed[outer]
            && tags[inner].join(tags[outer]) != Tag::Several
            && !together.any(|(x, y, inst)| meets(*x, *y) && !copies(*inst))
    }

    /// Is the inner slot as aligned as it was, where it begins in the outer one?
    fn is_aligned(&self) -> bool {
        let data = &self.func.sized_stack_slots[self.pair.inner];
        let declared = match data.align_shift {
            // The frame gives it a word.
            0 => WORD,
            shift => 1 << shift,
        };
        let accesses = self.slots.concerned().iter();
        let mut accesses = accesses.filter_map(|it| self.slots.access(it));
        self.pair.at.is_multiple_of(declared)
            && accesses.all(|access| {
                let size = access.bytes.filter(|_| access.flags.aligned());
                let slot = self.slots.private(access.address).map(|(slot, _)| slot);
                slot != Some(self.pair.inner)
                    || size.is_none_or(|size| self.pair.at.is_multiple_of(size.max(1)))
            })
    }

    fn edit(&self) -> Edit {
        let Pair { inner, outer, at } = self.pair;
        let addresses = self.uses.addresses.iter();
        let change = Change::ShareSlot {
            slot: inner,
            with: outer,
            start: at,
            addresses: addresses
                .filter(|(slot, _)| *slot == inner)
                .map(|(_, inst)| *inst)
                .collect(),
        };
        change.because(Reason::LivesApart(outer))
    }

    /// Is no byte of either slot written with something else where that of the other one in its place is
    /// live?
    fn never_interfere(&self, graph: &Graph) -> bool {
        let steps = self.steps();
        // The bytes of both slots that are live into each node.
        let mut live_in = vec![[0u64; 2]; graph.len()];
        loop {
            let mut changed = false;
            let mut end = steps.len();
            for node in (0..graph.len() as Node).rev() {
                let start = steps[..end].partition_point(|step| step.node < node);
                let mut live = [0; 2];
                for succ in graph.succs(node) {
                    let [inner, outer] = live_in[*succ as usize];
                    live = [live[0] | inner, live[1] | outer];
                }
                for step in steps[start..end].iter().rev() {
                    if step.changes & live[1 - step.which] != 0 {
                        return false;
                    }
                    let mine = &mut live[step.which];
                    *mine = (*mine & !step.clears) | step.reads;
                }
                end = start;
                let known = &mut live_in[node as usize];
                changed |= core::mem::replace(known, live) != live;
            }
            if !changed {
                return true;
            }
        }
    }

    /// What is done to the bytes of both slots that are in one place, in order.
    fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for usage in &self.uses.uses {
            if let Some(mut step) = self.step(usage) {
                if self.is_copy(usage, &steps) {
                    step.changes = 0;
                }
                steps.push(step);
            }
        }
        steps
    }

    fn step(&self, usage: &SlotUse) -> Option<Step> {
        let Pair { inner, outer, at } = self.pair;
        let which = [inner, outer].iter().position(|it| *it == usage.slot)?;
        let size = room(self.func.sized_stack_slots[inner].size);
        let begin = [0, at][which];
        let (touched, covered) = match usage.bytes {
            Some((start, end)) => {
                let inside = |byte: u32| byte.saturating_sub(begin).min(size);
                let bytes = (inside(start), inside(end));
                if bytes.0 == bytes.1 {
                    return None;
                }
                masks(bytes, size)
            }
            None => (masks((0, size), size).0, 0),
        };
        Some(Step {
            inst: usage.inst,
            node: usage.node,
            which,
            reads: if usage.reads { touched } else { 0 },
            changes: if usage.writes { touched } else { 0 },
            clears: if usage.surely { covered } else { 0 },
        })
    }

    /// Does it write what the other slot holds in the same place? `steps` are those in front of it.
    fn is_copy(&self, usage: &SlotUse, steps: &[Step]) -> bool {
        let mut copies = self.copies.iter();
        let copy = copies.find(|copy| usage.writes && copy.by[1] == usage.inst);
        copy.is_some_and(|copy| {
            let source = usize::from(copy.from.0 == self.pair.outer);
            let before = steps.iter().rev().take(MAX_BETWEEN);
            let mut before = before.take_while(|step| step.node == usage.node);
            // The load, if it comes before whatever writes the source.
            let first = before.find(|step| {
                step.inst == copy.by[0] || (step.which == source && step.changes != 0)
            });
            first.is_some_and(|step| step.inst == copy.by[0])
        })
    }
}

/// What is done to one of the slots, of the bytes that are in one place with those of the other.
struct Step {
    inst: Inst,
    node: Node,
    /// The inner slot, or the outer one.
    which: usize,
    /// May be read.
    reads: u64,
    /// May become something else than they were in the other slot.
    changes: u64,
    /// Are overwritten for sure.
    clears: u64,
}
