//! Who sees a store within a few instructions: a filter before the walk of
//! [`next_access`](super::next_access). Most stores are seen so soon, and need no versions.

use crate::memopt::cfg::graph::{Graph, Node};
use crate::memopt::memory::insts::{ANY, Access, EventIndex, EventKind, Memory};
use crate::memopt::memory::mod_ref::{Bytes, ModRef, Writes, mod_ref};
use crate::memopt::memory::slot_escape::Privacy;
use core::ops::Range;
use smallvec::SmallVec;

/// Events and blocks that [`seen_soon`] looks at; what they do not show, a walk
/// does.
const MAX_SOON: usize = 32;

/// The same for a store into a slot. What a callee is to find there is stored right before the call.
const MAX_SOON_IN_SLOT: usize = 8;

/// Who sees a store of `access` within a few events? `rest` are the events
/// behind it in `node`, and `graph` is the forward one.
///
/// If that is nobody, it may be seen all the same. A slot counts as known to nobody until a call
/// is given its address, and behind that everything is left to the walk, as it is for a slot of
/// which that never happens. Only edges that go forward in
/// reverse postorder are followed, so that the address means the same; see the
/// header of [`next_access`](super::next_access).
///
/// Cost: [`MAX_SOON`] events and blocks.
pub fn seen_soon(
    memory: &Memory<'_>,
    graph: &Graph,
    access: &Access,
    node: Node,
    rest: Range<EventIndex>,
) -> Option<EventIndex> {
    let slot = access.slot();
    if slot.is_some_and(|slot| memory.slots.privacy(slot) != Privacy::UntilEscape) {
        return None;
    }
    let bytes = Bytes::of(access, slot.is_some());
    let survives_trap = slot.is_none() && memory.survives_trap(access.class.unwrap_or(ANY));
    let mut room = if slot.is_some() {
        MAX_SOON_IN_SLOT
    } else {
        MAX_SOON
    };
    let mut work: SmallVec<[(Node, Range<EventIndex>); 8]> = SmallVec::new();
    work.push((node, rest));
    while let Some((node, events)) = work.pop() {
        let mut is_gone = false;
        for event in events {
            if let Some(slot) = slot
                && matches!(memory.events[event as usize].kind, EventKind::Call(_))
                && memory.lets_go(event, slot)
            {
                let known = Bytes::of(access, false);
                return mod_ref(memory, event, &known).reads.then_some(event);
            }
            match next(
                mod_ref(memory, event, &bytes),
                survives_trap,
                slot.is_some(),
            ) {
                _ if room == 0 => return None,
                Next::Observed => return Some(event),
                Next::Gone => is_gone = true,
                // Others may overwrite the rest.
                Next::Part => return None,
                Next::Pass => room -= 1,
            }
            if is_gone {
                break;
            }
        }
        if is_gone {
            continue;
        }
        for succ in graph.succs(node).iter().filter(|succ| **succ > node) {
            room = room.checked_sub(1)?;
            work.push((*succ, memory.of_node(*succ)));
        }
    }
    None
}

enum Next {
    Observed,
    /// Nobody sees it on this path.
    Gone,
    /// Nobody sees some of it on this path.
    Part,
    /// Go on behind this event.
    Pass,
}

/// What an event that may do this is to a store, which may be into a slot that nobody knows.
fn next(answer: ModRef, survives_trap: bool, in_slot: bool) -> Next {
    match answer.writes {
        _ if answer.reads || (answer.ends && survives_trap) => Next::Observed,
        _ if answer.leaves && in_slot => Next::Gone,
        _ if answer.leaves => Next::Observed,
        Writes::All => Next::Gone,
        Writes::Part => Next::Part,
        Writes::None | Writes::Some => Next::Pass,
    }
}
