//! What a callee does to the slots whose addresses it is passed and does not keep.
//!
//! A summary says of each such pointer how far from it the callee reads and writes, and which
//! bytes it overwrites wherever it returns, without having read them. Here that becomes places in the
//! slots of the caller, where it is known how far into a slot the pointer leads.
//!
//! *Overwritten* bytes of a slot that nobody else knows hold the same in both memories when both
//! callees have returned, whatever they held before: both callees are the same, are passed the
//! same, and see the same. If one does not return, nobody sees the slot again. But for that the slot must
//! have been passed once alone: by another pointer to it the callee may look at them first.

use super::product::Path;
use super::walker::Walk;
use crate::calls::Effect;
use crate::memory::Memory;
use crate::place::Place;
use crate::side::Side;
use crate::slot_set::SlotSet;
use crate::terms::{Node, Term, Terms, sign_extend};
use cranelift_codegen::ir::Inst;
use cranelift_memopt::Extent;

/// What a callee, or a collector meanwhile, reads or writes of slots.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// Slots of which it may be anything.
    pub slots: SlotSet,
    /// Places of which it may be any byte.
    pub places: Vec<Place>,
}

impl Reached {
    /// May it be a byte of `place`?
    pub fn has(&self, memory: &Memory, terms: &Terms, place: &Place) -> bool {
        let taint = place.root.map(|root| terms.taint(root));
        let in_slots = taint.is_none_or(|taint| self.slots.may_share(taint));
        (!self.slots.is_empty() && in_slots) || { self.places.iter() }
            .any(|other| memory.may_overlap(terms, other, place))
    }
}

/// What is done to the slots that one call lends.
#[derive(Default)]
pub(super) struct Lent {
    pub reads: Reached,
    pub writes: Reached,
    /// What is overwritten, if its slot is private.
    pub overwritten: Vec<Place>,
}

impl Walk<'_> {
    /// What the callee does through pointers that it is passed and does not keep. What else it is
    /// passed, the outside knows. A collector reads and rewrites `mapped` slots.
    pub(super) fn lend(
        &mut self,
        path: &mut Path,
        inst: Inst,
        effect: &Effect,
        mapped: SlotSet,
    ) -> Lent {
        let mut lent = Lent::default();
        (lent.reads.slots, lent.writes.slots) = (mapped, mapped);
        if effect.pointers.is_empty() {
            let taint = self.taint_of_arguments(inst);
            path.memory.escape(taint);
            return lent;
        }
        let args = self.args(Side::Original, inst);
        let mut seen = SlotSet::default();
        let mut not_once = mapped.and(self.named);
        for (arg, usage) in args.iter().zip(&effect.pointers) {
            let taint = self.terms.taint(*arg);
            not_once = not_once.and(taint.common(seen));
            seen = seen.and(taint);
            if usage.escapes {
                path.memory.escape(taint);
                continue;
            }
            self.reach(&mut lent.reads, *arg, usage.reads);
            self.reach(&mut lent.writes, *arg, usage.writes);
            let ranges = usage.overwrites.ranges();
            let places = ranges.filter_map(|range| self.behind(*arg, range));
            lent.overwritten.extend(places);
        }
        let memory = &path.memory;
        lent.overwritten.retain(|place| {
            let slot = place.root.and_then(|root| self.terms.within(root));
            slot.is_some_and(|slot| !not_once.has(slot)) && memory.is_private(&self.terms, place)
        });
        lent.writes.places.extend_from_slice(&lent.overwritten);
        lent
    }

    fn reach(&self, reached: &mut Reached, pointer: Term, extent: Extent) {
        if extent.is_none() {
            return;
        }
        match extent.range().and_then(|range| self.behind(pointer, range)) {
            Some(place) => reached.places.push(place),
            None => reached.slots = reached.slots.and(self.terms.taint(pointer)),
        }
    }

    /// So many bytes behind a pointer, if that is known to lead a constant way into a slot.
    fn behind(&self, pointer: Term, (start, bytes): (i64, u32)) -> Option<Place> {
        let (root, by) = self.terms.base(pointer);
        let Node::Slot(_) = self.terms.node(root) else {
            return None;
        };
        let start = sign_extend(by.wrapping_add(start) as u64, self.terms.ty(root));
        Some(Place {
            root: Some(root),
            range: Some((start, bytes)),
            class: None,
        })
    }
}
