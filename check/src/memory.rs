//! The memories of both runs: what they hold, and where they may differ.
//!
//! *Invariant.* At the same point of both runs, the memory of the result is
//! that of the original in every byte that lies in no *difference*; each
//! *fact* holds in the memories that it is about; and each pointer to a slot
//! that the outside may know is in [`Memory::escaped`].
//!
//! A store of one run only opens a difference. It is closed when the
//! other run makes the store too, or when both memories are known to hold the
//! same there for another reason: because the original puts back what it found,
//! or because both overwrite it. Whoever looks at memory may look only where
//! there is no difference. This is the invariant of buffered stores, with both
//! runs in the place of logical and physical memory.

use super::balance::AccessBalance;
use super::bounded;
use super::fact::Fact;
use super::place::{Place, are_compatible, distance};
use super::slot_set::SlotSet;
use super::store_buffer::StoreBuffers;
use super::terms::{Term, Terms};
use super::widened::are_apart;
use cranelift_codegen::ir::StackSlot;

/// Both memories at one point.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What is known, the oldest first.
    pub facts: Vec<Fact>,
    /// Where the memories may differ.
    pub differences: Vec<Place>,
    /// Where they may differ if the slot has not escaped, though it may have.
    ///
    /// At a join, a slot may have escaped on one path, and be equal
    /// there, and differ on the other one, where nobody knows it.
    pub in_private: Vec<(StackSlot, Place)>,
    /// What makes both memories out of nearly equal ones.
    pub buffers: StoreBuffers,
    /// Accesses that only one run has made so far.
    pub balance: AccessBalance,
    /// Slots that the outside may know.
    pub escaped: SlotSet,
    /// Those of them that the outside could name from the start, while it has not
    /// run since: it cannot have told this function where they are, and nobody has
    /// written their addresses to memory.
    pub not_leaked: SlotSet,
    /// Slots whose address may be in one memory, where it differs.
    pub hidden: [SlotSet; 2],
    /// Has a fact been dropped for want of room?
    pub forgot: bool,
}

impl Memory {
    /// The outside may know these slots from now on.
    pub fn escape(&mut self, slots: SlotSet) {
        self.escaped = self.escaped.and(slots);
        self.not_leaked = self.not_leaked.without(slots);
        let differences = &mut self.differences;
        self.in_private.retain(|(slot, place)| {
            if slots.has(*slot) {
                differences.push(*place);
            }
            !slots.has(*slot)
        });
    }

    /// Is the place in a slot that nobody outside knows?
    pub fn is_private(&self, terms: &Terms, place: &Place) -> bool {
        let slot = place.root.and_then(|root| terms.within(root));
        slot.is_some_and(|slot| !self.escaped.has(slot))
    }

    /// May two places share a byte?
    pub fn may_overlap(&self, terms: &Terms, a: &Place, b: &Place) -> bool {
        let (Some(x), Some(y)) = (a.root, b.root) else {
            return !self.is_private(terms, a)
                && !self.is_private(terms, b)
                && are_compatible(a.class, b.class);
        };
        let one_slot = terms.within(x).is_some() && terms.within(x) == terms.within(y);
        let one_memory =
            are_compatible(a.class, b.class) || (one_slot && self.is_private(terms, a));
        if !one_memory {
            return false;
        }
        if x == y {
            return match (a.range, b.range) {
                (Some((at, size)), Some((other, other_size))) => {
                    let distance = distance(terms, x, at, other);
                    distance < i64::from(size) && distance > -i64::from(other_size)
                }
                _ => true,
            };
        }
        if let (Some((at, size)), Some((other_at, other_size))) = (a.range, b.range)
            && (are_apart(terms, (x, at, size), (y, other_at, other_size))
                || (one_slot
                    && bounded::are_apart(terms, (x, at, size), (y, other_at, other_size))))
        {
            return false;
        }
        // Access to memory outside of its slot has made every slot public.
        if self.escaped == SlotSet::ALL {
            return true;
        }
        let outside = |slot: Option<StackSlot>, other: Term| {
            slot.is_some_and(|slot| !terms.taint(other).has(slot))
        };
        !outside(terms.within(x), y) && !outside(terms.within(y), x)
    }

    /// How far into the bytes of `outer` those of `inner` begin, if `outer`
    /// certainly has all of them.
    pub fn position_in(&self, terms: &Terms, outer: &Place, inner: &Place) -> Option<u32> {
        let root = outer.root.filter(|root| Some(*root) == inner.root)?;
        if !are_compatible(outer.class, inner.class) && !self.is_private(terms, outer) {
            return None;
        }
        let (at, size) = outer.range?;
        let (other, other_size) = inner.range?;
        let distance = distance(terms, root, at, other);
        (distance >= 0 && distance + i64::from(other_size) <= i64::from(size))
            .then_some(distance as u32)
    }

    /// May the memories differ there?
    pub fn differs_at(&self, terms: &Terms, place: &Place) -> bool {
        let in_private = self.in_private.iter().map(|(_, place)| place);
        let mut differences = self.differences.iter().chain(in_private);
        differences.any(|difference| self.may_overlap(terms, difference, place))
    }

    /// Are the memories equal everywhere?
    pub fn are_equal(&self) -> bool {
        self.differences.is_empty() && self.in_private.is_empty()
    }
}
