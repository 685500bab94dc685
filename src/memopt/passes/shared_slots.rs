//! Stack slots whose lives do not meet share one place in the frame.
//!
//! # The problem
//!
//! ```text
//!     memset(ss0, 0, 64)                          memset(ss0, 0, 64)
//!     v1 = call %sum(ss0)                         v1 = call %sum(ss0)
//!     memset(ss1, 1, 64)            ==/==>        memset(ss0, 1, 64)
//!     v2 = call %sum(ss1)                         v2 = call %sum(ss0)
//! ```
//!
//! Cranelift 0.137 gives every slot its own bytes of the frame.
//!
//! # Soundness
//!
//! A byte of a private slot is *live* where it may be read before it is overwritten. Two slots
//! *interfere* if one is written, by a store, a copy or a callee that it is lent, where a byte of
//! the other is live behind that. Slots share a place if no two of them interfere. Then, at each
//! point, the place holds what each live byte of each of its slots would hold:
//! - at the entry, zero, as all bytes that nobody has written ([`promote`](crate::memopt::promote)):
//!   also of slots that are live there, because their bytes are those of the place;
//! - what is written to one of them is live in no other.
//!
//! What a callee [overwrites](crate::memopt::call::summary::PointerUse::overwrites) is not live in
//! front of the call: it has read none of it before, and where it does not return, by a trap or by
//! unwinding, nobody sees a private slot any more, as only a `call` is lent one.
//!
//! ```text
//!     call %init(ss0, v0)                         call %init(ss0, v0)
//!     v1 = call %sum(ss0)                         v1 = call %sum(ss0)
//!     call %init(ss1, v1)           ==/==>        call %init(ss0, v1)     ; stores a part, or on
//!     v2 = call %sum(ss1)                         v2 = call %sum(ss0)     ; some paths
//! ```
//!
//! Nobody can tell the addresses apart, which are not compared, but with addresses of the same slot,
//! leave the function at most to a callee that forgets them, and only one of a place to each call.
//!
//! ```text
//!     store v1, ss0                               store v1, ss0
//!     store v2, ss1                 ==/==>        store v2, ss0
//!     v3 = load ss0                               v3 = load ss0
//! ```
//!
//! Accesses of one place carry one region, or none of them does: two regions are two memories to
//! whoever looks at the function later. Nor do they promise that nobody writes it.
//!
//! It runs when all else is found: that two slots are two memories is true no more.
//!
//! # Cost
//!
//! A look at the slots that are declared. If two are left that are private: O(blocks · slots) for
//! each pass over the graph, of which there is one more than loops are deep; [`MAX_SLOTS`].
//!
//! # Previous work
//!
//! Chaitin, "Register Allocation & Spilling via Graph Coloring", 1982; LLVM's
//! `StackColoring.cpp`, which is told the lives by markers of the front end.

use crate::entity::SecondaryMap;
use crate::ir::{Function, Inst, StackSlot};
use crate::memopt::cfg::graph::Graph;
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use crate::memopt::memory::slot_uses::{SlotUses, Tag};
use crate::memopt::passes::slot_lives::{MAX_SLOTS, interference};
use alloc::vec::Vec;

/// Does `func` declare two slots that could share a place? Cost: O(slots).
pub fn may_be_any(func: &Function) -> bool {
    let slots = func.sized_stack_slots.values();
    slots.filter(|it| it.size != 0 && it.key.is_none()).count() > 1
}

/// One edit for each slot that gets the place of another one, which is at least as large, and how
/// often a limit was hit. Every block of `func` has to be in `graph`.
pub fn edits(func: &Function, graph: &Graph, slots: &Slots) -> (Vec<Edit>, u32) {
    let used = slots.used().iter().copied();
    let private = used.filter(|slot| slots.privacy(*slot) == Privacy::Always);
    let mut found: Vec<StackSlot> = private.collect();
    if found.len() < 2 {
        return (Vec::new(), 0);
    }
    let uses = SlotUses::new(func, slots);
    let size = |slot: StackSlot| func.sized_stack_slots[slot].size;
    let may_move = |slot: StackSlot| !uses.fixed[slot] && uses.tags[slot] != Tag::Several;
    found.retain(|slot| may_move(*slot) && size(*slot) != 0);
    found.sort_by_key(|slot| (core::cmp::Reverse(size(*slot)), *slot));
    let limits_hit = u32::from(found.len() > MAX_SLOTS);
    found.truncate(MAX_SLOTS);
    if found.len() < 2 {
        return (Vec::new(), 0);
    }
    let apart = interference(func, graph, &uses, &found);
    let mut addresses = SecondaryMap::<StackSlot, Vec<Inst>>::new();
    for (slot, inst) in uses.addresses {
        addresses[slot].push(inst);
    }
    // The slots that have a place of their own, which of `found` are in it, and what they say.
    let mut places: Vec<(StackSlot, u64, Tag)> = Vec::new();
    let mut edits = Vec::new();
    for (at, slot) in found.into_iter().enumerate() {
        let tag = uses.tags[slot];
        let mut free = places.iter_mut();
        let free = free
            .find(|(_, in_it, other)| *in_it & apart[at] == 0 && other.join(tag) != Tag::Several);
        match free {
            Some((with, in_it, other)) => {
                *in_it |= 1 << at;
                *other = other.join(tag);
                let change = Change::ShareSlot {
                    slot,
                    with: *with,
                    start: 0,
                    addresses: core::mem::take(&mut addresses[slot]),
                };
                edits.push(change.because(Reason::LivesApart(*with)));
            }
            None => places.push((slot, 1 << at, tag)),
        }
    }
    (edits, limits_hit)
}
