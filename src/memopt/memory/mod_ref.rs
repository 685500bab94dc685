//! What a memory instruction may do to the bytes of a location: the one answer that the
//! walkers in both directions, the filters before them, PRE and sinking go by.
//!
//! A new kind of effect is a case of [`effect`](crate::memopt::inst::effect) and, if it
//! is neither a call nor a barrier, a case here.

use crate::entity::EntitySet;
use crate::ir::StackSlot;
use crate::memopt::call::extent::{ByteSet, Extent};
use crate::memopt::call::summary::PointerUse;
use crate::memopt::inst::location::{Address, Location, Overlap, Root};
use crate::memopt::memory::insts::{Access, Call, EventIndex, EventKind, Memory, Transfer};
use crate::memopt::memory::regions::Classes;
use crate::memopt::memory::ssa::Class;

/// The bytes that are asked about.
#[derive(Clone, Copy)]
pub struct Bytes {
    /// Where they are.
    pub location: Location,
    /// The class of the region that they are accessed by; `None` if that may be any.
    pub class: Option<Class>,
    /// Is the slot that they are in known to nobody else, where the instruction executes?
    pub private: bool,
}

impl Bytes {
    /// The bytes of an access.
    pub fn of(access: &Access, private: bool) -> Self {
        Self {
            location: access.location,
            class: access.class,
            private,
        }
    }
}

/// What an instruction may do to some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModRef {
    /// May it read them, or let somebody look at them?
    pub reads: bool,
    /// What it may leave of them.
    pub writes: Writes,
    /// May it end the function by a trap, or by unwinding out of it?
    pub ends: bool,
    /// Does it leave the function?
    pub leaves: bool,
}

/// What an instruction leaves of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// All as they are.
    None,
    /// Any of them may be others.
    Some,
    /// It certainly overwrites a part of them, and no others.
    Part,
    /// It overwrites all of them: it kills whatever was stored there.
    All,
}

impl ModRef {
    const NOTHING: Self = Self {
        reads: false,
        writes: Writes::None,
        ends: false,
        leaves: false,
    };

    /// Everything, if the bytes are within `reach`, and an end in any case.
    fn barrier(reach: bool) -> Self {
        Self {
            reads: reach,
            writes: if reach { Writes::Some } else { Writes::None },
            ends: true,
            leaves: false,
        }
    }
}

/// What `event` may do to `bytes`.
///
/// Both have to mean the same iteration of any loop around them.
#[inline]
pub fn mod_ref(memory: &Memory<'_>, event: EventIndex, bytes: &Bytes) -> ModRef {
    match &memory.events[event as usize].kind {
        EventKind::Access(other) => {
            let nothing = ModRef {
                ends: other.trap.is_some(),
                ..ModRef::NOTHING
            };
            // Most of what is around an access is an access of another region.
            match may_be_one_memory(other, bytes) {
                false => nothing,
                true => accessed(memory, other, bytes, nothing),
            }
        }
        EventKind::Transfer(transfer) => transferred(memory, transfer, bytes),
        kind => otherwise(memory, kind, bytes),
    }
}

/// What is no access may do.
fn otherwise(memory: &Memory<'_>, kind: &EventKind, bytes: &Bytes) -> ModRef {
    match kind {
        EventKind::Call(call) => called(memory, call, bytes),
        EventKind::Barrier => ModRef::barrier(!bytes.private),
        EventKind::Trap => ModRef {
            ends: true,
            ..ModRef::NOTHING
        },
        EventKind::End => ModRef {
            leaves: true,
            ..ModRef::NOTHING
        },
        EventKind::Access(_) | EventKind::Transfer(_) | EventKind::Compare | EventKind::Escape => {
            ModRef::NOTHING
        }
    }
}

/// What an access may do that [may be of the same memory](may_be_one_memory); `nothing` if it
/// is of other bytes.
fn accessed(memory: &Memory<'_>, other: &Access, bytes: &Bytes, nothing: ModRef) -> ModRef {
    let overlap = overlap(memory, &other.location, bytes);
    match other.stored {
        _ if !overlap.may_share() => nothing,
        None => ModRef {
            reads: true,
            ..nothing
        },
        Some(_) => ModRef {
            writes: written(overlap),
            ..nothing
        },
    }
}

/// How `location` lies to the bytes.
fn overlap(memory: &Memory<'_>, location: &Location, bytes: &Bytes) -> Overlap {
    let private = bytes.private || location.is_always_private(&memory.slots);
    memory.overlap(location, &bytes.location, private)
}

/// What a write of a location leaves of bytes to which it lies like this.
fn written(overlap: Overlap) -> Writes {
    match overlap {
        Overlap::None => Writes::None,
        Overlap::Same | Overlap::Covers { .. } => Writes::All,
        Overlap::Inside | Overlap::Partial => Writes::Part,
        Overlap::Unknown => Writes::Some,
    }
}

/// What one of Cranelift's own functions may do. It names no region.
fn transferred(memory: &Memory<'_>, transfer: &Transfer, bytes: &Bytes) -> ModRef {
    let overlap = |location: &Location| overlap(memory, location, bytes);
    ModRef {
        reads: transfer.reads.iter().any(|it| overlap(it).may_share()),
        writes: match &transfer.writes {
            Some(location) => written(overlap(location)),
            None => Writes::None,
        },
        ends: false,
        leaves: false,
    }
}

/// May the access and the bytes be of one memory, by their slots and regions?
#[inline]
fn may_be_one_memory(other: &Access, bytes: &Bytes) -> bool {
    let differ = matches!((other.class, bytes.class), (Some(x), Some(y)) if x != y);
    let in_one_slot = || {
        let slot = bytes.location.slot();
        slot.is_some() && slot == other.slot()
    };
    !differ || in_one_slot()
}

fn called(memory: &Memory<'_>, call: &Call, bytes: &Bytes) -> ModRef {
    let slot = bytes.location.slot();
    // A collector reads and rewrites what a stack map names, and a callee what it is lent.
    let used = slot.map_or(PointerUse::default(), |slot| call.use_of(slot));
    let concerns = |classes: &Classes| !bytes.private && concerns(classes, bytes.class);
    let is_overwritten = bytes.private && overwrites(used.overwrites, &bytes.location);
    let reaches = |extent: Extent| may_share(memory, extent, &bytes.location);
    ModRef {
        reads: !is_overwritten && (reaches(used.reads) || concerns(&call.reads)),
        writes: match reaches(used.writes) || concerns(&call.writes) {
            _ if is_overwritten => Writes::All,
            true => Writes::Some,
            false => Writes::None,
        },
        ends: call.may_end,
        leaves: false,
    }
}

/// Does the set, of bytes of a slot, have all bytes of the location in that slot?
fn overwrites(set: ByteSet, location: &Location) -> bool {
    let start = start_in_slot(location);
    start
        .zip(location.bytes)
        .is_some_and(|(start, bytes)| set.has_all(start, bytes))
}

/// Where in its slot a location begins, if anybody knows.
fn start_in_slot(location: &Location) -> Option<i64> {
    match location.address.root {
        Root::InSlot(..) => None,
        Root::Slot(_) | Root::Value(_) | Root::Shared(..) | Root::Absolute => {
            location.address.offset
        }
    }
}

/// May the extent in a slot share a byte with the location in that slot?
fn may_share(memory: &Memory<'_>, extent: Extent, location: &Location) -> bool {
    match extent.range() {
        _ if start_in_slot(location).is_none() => !extent.is_none(),
        Some((start, bytes)) => {
            let address = Address {
                offset: Some(start),
                ..location.address
            };
            let bytes = Some(bytes);
            let touched = Location { address, bytes };
            let bits = memory.pointer_bits;
            touched.overlap_in_root(location, bits).may_share()
        }
        None => !extent.is_none(),
    }
}

fn concerns(classes: &Classes, class: Option<Class>) -> bool {
    match (classes, class) {
        (Classes::All, _) => true,
        (Classes::These(classes), Some(class)) => classes.contains(&class),
        (Classes::These(classes), None) => !classes.is_empty(),
    }
}

/// May `other` see or change what the access `event` does, or `event` what `other`
/// does? Not whether one of them may trap.
///
/// `private`: is the slot of `event` known to nobody else where both execute?
pub fn may_meet(memory: &Memory<'_>, other: EventIndex, event: EventIndex, private: bool) -> bool {
    let Some(access) = memory.access(event) else {
        return true;
    };
    // What lets the address go ends the private life of the slot.
    let slot = access.slot();
    let publishes = slot.is_some_and(|slot| memory.lets_go(other, slot));
    let answer = mod_ref(memory, other, &Bytes::of(access, private));
    // Two loads may change places; whatever else reads may also do more than is known of it.
    let are_loads =
        access.stored.is_none() && memory.access(other).is_some_and(|it| it.stored.is_none());
    let reads = answer.reads && !are_loads;
    publishes || answer.leaves || reads || answer.writes != Writes::None
}

/// The slots from which anything is ever read, by their name.
pub fn slots_that_are_read(memory: &Memory<'_>) -> EntitySet<StackSlot> {
    let mut read = EntitySet::new();
    for event in &memory.events {
        match &event.kind {
            EventKind::Access(access) if access.stored.is_none() => {
                read.extend(access.slot());
            }
            EventKind::Call(call) => {
                let is_read = |slot: &StackSlot| !call.use_of(*slot).reads.is_none();
                read.extend(call.used_slots().filter(is_read));
            }
            EventKind::Transfer(transfer) => {
                read.extend(transfer.reads.iter().filter_map(Location::slot));
            }
            EventKind::Access(_)
            | EventKind::Barrier
            | EventKind::Trap
            | EventKind::End
            | EventKind::Compare
            | EventKind::Escape => {}
        }
    }
    read
}
