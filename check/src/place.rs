//! Some bytes of memory, and which of them may be the same.

use super::calls::Class;
use super::memory::Memory;
use super::terms::{Node, SlotSet, Term, Terms, sign_extend};
use cranelift_codegen::ir::{Endianness, StackSlot, Type};

/// Some bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What its address is based on; `None` for anywhere but in private slots.
    pub root: Option<Term>,
    /// How far from the root it begins, and its size; `None` for all of the
    /// slot that is the root.
    pub range: Option<(i64, u32)>,
    /// The class that the access is tagged with.
    pub class: Option<Class>,
}

/// What an access says about the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Where they are.
    pub place: Place,
    /// Their type in memory.
    pub ty: Type,
    /// Their order.
    pub order: Endianness,
    /// Does a load carry `readonly`?
    pub readonly: bool,
    /// Is what is loaded certainly no address of a slot?
    pub foreign: bool,
}

impl Access {
    /// One that says nothing else.
    pub fn plain(place: Place, ty: Type, order: Endianness) -> Self {
        Self {
            place,
            ty,
            order,
            readonly: false,
            foreign: false,
        }
    }
}

impl Place {
    /// Is all of it certainly in a slot?
    pub fn is_in_slot(&self, terms: &Terms) -> bool {
        let (Some(root), Some((start, bytes))) = (self.root, self.range) else {
            return false;
        };
        let Node::Slot(slot) = *terms.node(root) else {
            return false;
        };
        start >= 0 && start.saturating_add(bytes.into()) <= i64::from(terms.slot_size(slot))
    }
}

impl Memory {
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
}

/// May memory of two classes be the same?
pub fn are_compatible(a: Option<Class>, b: Option<Class>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// How far `other` lies behind `at`, as pointers of the type of `root` wrap.
pub fn distance(terms: &Terms, root: Term, at: i64, other: i64) -> i64 {
    sign_extend(other.wrapping_sub(at) as u64, terms.ty(root))
}
