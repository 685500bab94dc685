//! Stores that nobody observes.
//!
//! ```text
//! store v1, v0+8   ; nobody looks
//! call fn0(v0)     ; does not read it        call fn0(v0)
//! store v2, v0+8                       ==>   store v2, v0+8
//! v3 = stack_addr ss0
//! store v2, v3     ; the frame ends          return
//! return
//! ```
//!
//! What upstream misses here: every call and return observes every region; a
//! store into a slot is dead only if overwritten; and only a store to the same
//! address value, offset, type and width overwrites.
//!
//! Soundness: [`NextAccess`] proves that on every path the bytes are overwritten
//! before anyone can see them, or that nobody ever will. A store that may trap
//! stays. All dead stores can go at once: if D is dead because K overwrites
//! its bytes, and K is dead, then whoever looks behind K looks behind the
//! store that made K dead. But a store must not be dead because of one that is
//! a no-op because of it, so the two passes see different functions.
//!
//! A store that several later ones overwrite together is cut into parts where they begin and
//! end, and each part is a question of its own:
//!
//! ```text
//! store v0, v9        ; sixteen bytes
//! store v1, v9        ; eight            ==>   store v1, v9
//! store v2, v9+8      ; the others             store v2, v9+8
//! ```
//!
//! If somebody sees some of the parts, the store may be [trimmed](super::trimmed_stores) to them.
//!
//! What Cranelift's own functions copy or fill is stored like that, and they overwrite what
//! was stored before. So does a callee with the bytes of a slot that it is lent, if it overwrites
//! them wherever it returns, and does not read them before.
//!
//! Cost: one query for each store, see [`NextAccess::fate_of_part`], and at most [`MAX_PARTS`] for a
//! store into which others reach.

use crate::FxHashMap;
use crate::memopt::cfg::graph::Graph;
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::inst::location::{Address, Location, Root};
use crate::memopt::memory::insts::{Access, EventIndex, EventKind, Memory, Transfer};
use crate::memopt::memory::mod_ref::slots_that_are_read;
use crate::memopt::memory::next_access::{Fate, NextAccess};
use crate::memopt::memory::seen_soon::seen_soon;
use crate::memopt::memory::slot_escape::Privacy;
use crate::memopt::passes::trimmed_stores::trimmed;
use crate::memopt::refusal::{Obstacle, Refusals, Subject};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The stores that could go, as far as the next few events tell. Most functions
/// have none, and need not know what happens next.
pub fn candidates(
    memory: &Memory<'_>,
    graph: &Graph,
    pass: &'static str,
    refusals: &mut Refusals,
) -> Vec<EventIndex> {
    let events = 0..memory.events.len() as EventIndex;
    let candidates = events.filter(|event| {
        if let Some(transfer) = memory.transfer(*event) {
            return is_candidate_transfer(memory, *event, transfer);
        }
        memory.access(*event).is_some_and(|access| {
            let obstacle = match is_candidate(memory, access) {
                true => {
                    let node = memory.node(*event);
                    let rest = *event + 1..memory.of_node(node).end;
                    let seen = seen_soon(memory, graph, access, node, rest);
                    seen.map(|by| Obstacle::SeenBy(memory.inst(by)))
                }
                false => why_not(memory, access),
            };
            if let Some(obstacle) = obstacle {
                let subject = Subject::Inst(memory.inst(*event));
                refusals.note(pass, subject, obstacle);
            }
            obstacle.is_none() && access.stored.is_some()
        })
    });
    candidates.collect()
}

/// Finds those of `candidates` that nobody observes. `is_private` says whether
/// the slot of an access is known to nobody else when it executes.
pub fn edits(
    memory: &Memory<'_>,
    candidates: &[EventIndex],
    next_access: &mut NextAccess<'_>,
    is_private: impl Fn(EventIndex) -> bool,
    pass: &'static str,
    refusals: &mut Refusals,
) -> Vec<Edit> {
    let read = slots_that_are_read(memory);
    let stores = Stores::new(memory, candidates);
    let inst = |event: EventIndex| memory.inst(event);
    let mut edits = Vec::new();
    for index in candidates.iter().copied() {
        let slot = written(memory, index).and_then(|location| location.slot());
        let unread = slot
            .filter(|slot| memory.slots.privacy(*slot) == Privacy::Always && !read.contains(*slot));
        let obstacle = match unread {
            Some(slot) => Err(removal(memory, index).because(Reason::NeverRead(slot))),
            None => match fate(memory, &stores, next_access, index, is_private(index)) {
                Outcome::Trimmed(change) => {
                    Err(change.because(Reason::OverwrittenBy(SmallVec::new())))
                }
                Outcome::Whole(fate) => match fate {
                    Fate::Unobserved(kills) => {
                        let kills = kills.into_iter().map(inst).collect();
                        Err(removal(memory, index).because(Reason::OverwrittenBy(kills)))
                    }
                    Fate::SeenBy(event) => Ok(Obstacle::SeenBy(inst(event))),
                    Fate::SeenOnSomePath => Ok(Obstacle::SeenOnSomePath),
                    Fate::AddressChanges => Ok(Obstacle::AddressChanges),
                    Fate::Unreachable => Ok(Obstacle::Unreachable),
                    Fate::NotAsked => Ok(Obstacle::NothingToLearn),
                    Fate::NotTracked => Ok(Obstacle::Limit("PHI_ARGS_PER_ITEM")),
                    Fate::GaveUp => Ok(Obstacle::Limit("MAX_STEPS")),
                },
            },
        };
        match obstacle {
            Err(edit) => edits.push(edit),
            Ok(obstacle) => refusals.note(pass, Subject::Inst(inst(index)), obstacle),
        }
    }
    edits
}

/// What a store or a copy writes.
fn written<'m>(memory: &'m Memory<'_>, event: EventIndex) -> Option<&'m Location> {
    match memory.transfer(event) {
        Some(transfer) => transfer.writes.as_ref(),
        None => {
            let access = memory.access(event).filter(|it| it.stored.is_some())?;
            Some(&access.location)
        }
    }
}

/// How the store or the copy goes.
fn removal(memory: &Memory<'_>, event: EventIndex) -> Change {
    let inst = memory.inst(event);
    match memory.transfer(event) {
        Some(_) => Change::RemoveDeadCopy(inst),
        None => Change::RemoveDeadStore(inst),
    }
}

/// What becomes of a store.
enum Outcome {
    /// What becomes of all that it writes.
    Whole(Fate),
    /// Nobody sees a part of it.
    Trimmed(Change),
}

/// What becomes of what the store `index` writes, also if several stores overwrite it, or a part
/// of it, together.
fn fate(
    memory: &Memory<'_>,
    stores: &Stores,
    next_access: &mut NextAccess<'_>,
    index: EventIndex,
    private: bool,
) -> Outcome {
    let is_copy = memory.transfer(index).is_some();
    let mut fate_of = |part: Location| match is_copy {
        true => next_access.fate_of_transfer(index, private, part),
        false => next_access.fate_of_part(index, private, part),
    };
    let Some(location) = written(memory, index) else {
        return Outcome::Whole(Fate::NotAsked);
    };
    let whole = fate_of(*location);
    if !whole.is_observed() {
        return Outcome::Whole(whole);
    }
    let Some(parts) = stores.parts(location) else {
        return Outcome::Whole(whole);
    };
    let parts: SmallVec<[(Location, bool); 4]> = parts
        .into_iter()
        .map(|part| (part, fate_of(part).is_observed()))
        .collect();
    if !parts.iter().any(|(_, seen)| *seen) {
        return Outcome::Whole(Fate::Unobserved(SmallVec::new()));
    }
    match trimmed(memory, index, &parts) {
        Some(change) => Outcome::Trimmed(change),
        None => Outcome::Whole(whole),
    }
}

/// Parts into which a store is cut.
///
/// A vector of bytes has as many. What is given up is a store that more narrow ones cover.
const MAX_PARTS: usize = 16;

/// Where stores to each root begin and end.
struct Stores {
    ends: FxHashMap<Root, Vec<i64>>,
}

impl Stores {
    /// Of the roots that wide candidates have. Nothing, if no two stores are to one root.
    fn new(memory: &Memory<'_>, candidates: &[EventIndex]) -> Self {
        let mut ends: FxHashMap<Root, Vec<i64>> = FxHashMap::default();
        for index in candidates {
            if let Some(location) = written(memory, *index)
                && location.bytes.is_some_and(|bytes| bytes > 1)
            {
                ends.entry(location.address.root).or_default();
            }
        }
        if !ends.is_empty() {
            for event in 0..memory.events.len() as EventIndex {
                for_each_written(memory, event, |root, (start, bytes)| {
                    if let Some(ends) = ends.get_mut(&root) {
                        ends.extend([start, start.wrapping_add(bytes.into())]);
                    }
                });
            }
        }
        for ends in ends.values_mut() {
            ends.sort_unstable();
            ends.dedup();
        }
        Self { ends }
    }

    /// The parts of what is `stored`, at least two.
    fn parts(&self, stored: &Location) -> Option<SmallVec<[Location; 4]>> {
        let (start, bytes) = range(stored)?;
        let end = start.checked_add(bytes.into())?;
        let ends = self.ends.get(&stored.address.root)?;
        let first = ends.partition_point(|at| *at <= start);
        let inside = ends[first..].iter().take_while(|at| **at < end);
        let mut parts = SmallVec::new();
        let mut from = start;
        for at in inside.copied().chain([end]) {
            if parts.len() == MAX_PARTS {
                return None;
            }
            let address = Address {
                offset: Some(from),
                ..stored.address
            };
            let bytes = u32::try_from(at - from).ok();
            parts.push(Location { address, bytes });
            from = at;
        }
        (parts.len() > 1).then_some(parts)
    }
}

/// Calls `visit` with the bytes that `event` certainly writes, by their root.
fn for_each_written(
    memory: &Memory<'_>,
    event: EventIndex,
    mut visit: impl FnMut(Root, (i64, u32)),
) {
    if let EventKind::Call(call) = &memory.events[event as usize].kind {
        for (slot, usage) in &call.lent {
            let ranges = usage.overwrites.ranges();
            ranges.for_each(|range| visit(Root::Slot(*slot), range));
        }
    } else if let Some(location) = written(memory, event)
        && let Some(range) = range(location)
    {
        visit(location.address.root, range);
    }
}

fn range(location: &Location) -> Option<(i64, u32)> {
    Some((location.address.offset?, location.bytes?))
}

/// Why a store is no candidate; `None` of a load.
fn why_not(memory: &Memory<'_>, access: &Access) -> Option<Obstacle> {
    access.stored?;
    Some(match access.slot() {
        _ if access.trap.is_some() => Obstacle::MayTrap,
        Some(slot) if memory.slots.privacy(slot) == Privacy::Never => Obstacle::PublicSlot(slot),
        _ => Obstacle::Asynchronous,
    })
}

/// May the copy go if nobody observes it? Nobody may know it by its place.
fn is_candidate_transfer(memory: &Memory<'_>, event: EventIndex, transfer: &Transfer) -> bool {
    let inst = memory.inst(event);
    let is_known = memory.func.debug_tags.get(inst).is_empty();
    let location = transfer
        .writes
        .filter(|it| it.bytes.is_some() || it.slot().is_some());
    let is_public = |slot| memory.slots.privacy(slot) == Privacy::Never;
    let is_ours = location.is_some_and(|it| !it.slot().is_some_and(is_public));
    is_known && is_ours && !transfer.asynchronous
}

/// May the store go if nobody observes it?
fn is_candidate(memory: &Memory<'_>, access: &Access) -> bool {
    let public = access
        .slot()
        .is_some_and(|slot| memory.slots.privacy(slot) == Privacy::Never);
    access.stored.is_some() && access.trap.is_none() && !access.asynchronous && !public
}
