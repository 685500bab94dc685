//! Which events may change places.

use crate::memopt::inst::location::{Overlap, Root};
use crate::memopt::memory::insts::{Access, Classes, EventIndex, EventKind, Memory};

/// Do two accesses matter to each other: may one write what the other reads or
/// writes? `private`: where they execute, is the slot of either known to nobody
/// else?
///
/// Both have to mean the same iteration of any loop around them.
pub fn accesses_meet(memory: &Memory<'_>, a: &Access, b: &Access, private: bool) -> bool {
    if a.stored.is_none() && b.stored.is_none() {
        return false;
    }
    if memory.overlap(&a.location, &b.location, private) == Overlap::None {
        return false;
    }
    let one_slot = matches!(
        (a.location.address.root, b.location.address.root),
        (Root::Slot(x), Root::Slot(y)) if x == y
    );
    one_slot
        || match (a.class, b.class) {
            (Some(x), Some(y)) => x == y,
            _ => true,
        }
}

/// May `other` see or change what the access `event` does, or the other way
/// round? Not whether one of them may trap.
///
/// `private`: is the slot of `event` known to nobody else where both execute?
pub fn may_meet(memory: &Memory<'_>, other: EventIndex, event: EventIndex, private: bool) -> bool {
    let Some(access) = memory.access(event) else {
        return true;
    };
    // What lets the address go ends the private life of the slot.
    let inst = memory.events[other as usize].inst;
    if let Some(slot) = access.slot()
        && memory.slots.escapes_at(inst).contains(&slot)
    {
        return true;
    }
    match &memory.events[other as usize].kind {
        EventKind::Access(other) => accesses_meet(memory, other, access, private),
        EventKind::Call(call) => {
            let mapped = access
                .slot()
                .is_some_and(|slot| call.mapped_slots.contains(&slot));
            mapped
                || (!private && (concerns(&call.reads, access) || concerns(&call.writes, access)))
        }
        EventKind::Barrier => !private,
        EventKind::End => true,
        EventKind::Trap | EventKind::Compare | EventKind::Escape => false,
    }
}

fn concerns(classes: &Classes, access: &Access) -> bool {
    match (classes, access.class) {
        (Classes::All, _) => true,
        (Classes::These(classes), Some(class)) => classes.contains(&class),
        (Classes::These(classes), None) => !classes.is_empty(),
    }
}
