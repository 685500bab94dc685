//! Where the memories of both runs may differ.

use super::calls::Class;
use super::fact::Purpose;
use super::memory::Memory;
use super::place::{Access, Place, are_compatible, distance};
use super::side::Side;
use super::slot_set::SlotSet;
use super::terms::{Node, Terms};
use super::walk::lending::Reached;
use cranelift_codegen::ir::{Endianness, StackSlot, Type};

/// Differences that are kept apart. Beyond it those of one class become one.
const MAX_DIFFERENCES: usize = 48;

/// Bytes of a difference that are compared, to see whether there is any.
const MAX_COMPARED: u32 = 32;

impl Memory {
    /// Closes differences in which both memories are known to hold the same.
    pub fn close_equal(&mut self, terms: &mut Terms, order: Endianness) {
        let mut differences = std::mem::take(&mut self.differences);
        let mut common = SlotSet::default();
        for at in (0..differences.len()).rev() {
            // The difference itself does not count: what is known of each
            // memory by itself does.
            self.differences = differences.clone();
            if let Some(slots) = self.equal_value(terms, &differences[at], order) {
                common = common.and(slots);
                differences.remove(at);
            }
        }
        self.differences = differences;
        self.escape(common);
    }

    /// The slots that the bytes of a difference may be made from, if both memories
    /// are known to hold the same in all of them, read as integers.
    fn equal_value(
        &self,
        terms: &mut Terms,
        difference: &Place,
        order: Endianness,
    ) -> Option<SlotSet> {
        let (_, (start, size)) = difference.root.zip(difference.range)?;
        if size > MAX_COMPARED {
            return None;
        }
        let mut taint = SlotSet::default();
        let mut from = 0;
        while from < size {
            let left = size - from;
            let bytes = 1 << left.ilog2().min(4);
            let range = Some((start.wrapping_add(from.into()), bytes));
            let place = Place {
                range,
                ..*difference
            };
            let access = Access::plain(place, Type::int(8 * bytes as u16)?, order);
            let mine = self.known(terms, Side::Original, &access, Purpose::Store);
            let theirs = self.known(terms, Side::Result, &access, Purpose::Store);
            let same = mine.iter().find(|value| theirs.contains(value))?;
            taint = taint.and(terms.taint(*same));
            from += bytes;
        }
        Some(taint)
    }

    /// From now on the memories may differ there. Is that new?
    pub fn open(&mut self, terms: &mut Terms, place: Place) -> bool {
        let place = lasting(terms, place);
        let mut differences = std::mem::take(&mut self.differences);
        let is_new = self.add_place(terms, &mut differences, place);
        self.differences = differences;
        is_new
    }

    /// Adds a place to those in which something differs. Is that new?
    pub fn add_place(&mut self, terms: &Terms, places: &mut Vec<Place>, place: Place) -> bool {
        if places.iter().any(|old| self.has_all(terms, old, &place)) {
            return false;
        }
        places.retain(|old| !self.has_all(terms, &place, old));
        places.push(place);
        if places.len() > MAX_DIFFERENCES {
            self.forgot = true;
            merge(terms, places);
        }
        true
    }

    /// Does `outer`, as a difference, say all that `inner` says?
    pub fn has_all(&self, terms: &Terms, outer: &Place, inner: &Place) -> bool {
        let classes = outer.class.is_none() || outer.class == inner.class;
        match (outer.root, outer.range) {
            (None, _) => classes && !self.is_private(terms, inner),
            (Some(root), None) => {
                let slot = terms.within(root);
                classes && slot.is_some() && slot == inner.root.and_then(|root| terms.within(root))
            }
            (Some(_), Some(_)) => classes && self.position_in(terms, outer, inner).is_some(),
        }
    }

    /// The original accesses `place`: its bytes are memory of the class that the
    /// access is tagged with.
    ///
    /// So a difference there that some access without a region has opened is one
    /// of that class, and whoever looks at other classes does not see it. In a
    /// private slot tags mean nothing, so that the address may be of none.
    pub fn tell_class(&mut self, terms: &Terms, place: &Place) {
        let (Some(root), Some(_), false) = (place.root, place.class, self.are_equal()) else {
            return;
        };
        if !terms.taint(root).is_in(self.escaped) {
            return;
        }
        let places = self.differences.iter_mut().chain(&mut self.buffers.apart);
        for other in places.filter(|other| other.class.is_none()) {
            if let (Some((at, size)), Some((start, bytes)), true) =
                (place.range, other.range, place.root == other.root)
            {
                let distance = distance(terms, root, at, start);
                if distance >= 0 && distance + i64::from(bytes) <= i64::from(size) {
                    other.class = place.class;
                }
            }
        }
    }

    /// Both memories are equal in all bytes of `place`.
    pub fn close(&mut self, terms: &Terms, place: &Place) {
        self.differences = self.without(terms, &self.differences, place);
        for (slot, difference) in std::mem::take(&mut self.in_private) {
            let left = self.without(terms, &[difference], place);
            self.in_private
                .extend(left.into_iter().map(|place| (slot, place)));
        }
    }

    /// What is left of `places` outside of `place`.
    pub fn without(&self, terms: &Terms, places: &[Place], place: &Place) -> Vec<Place> {
        let mut left = Vec::with_capacity(places.len());
        for difference in places {
            self.outside_of(terms, *difference, place, &mut left);
        }
        left
    }

    /// Keeps what lies outside of `place`.
    fn outside_of(&self, terms: &Terms, difference: Place, place: &Place, left: &mut Vec<Place>) {
        let mut whole = difference;
        if let (Some(root), None) = (whole.root, whole.range)
            && let Node::Slot(slot) = *terms.node(root)
        {
            whole.range = Some((0, terms.slot_room(slot, terms.ty(root))));
        }
        let one_memory = are_compatible(whole.class, place.class) || self.is_private(terms, place);
        let (Some(root), Some((at, size)), Some((start, bytes))) =
            (whole.root, whole.range, place.range)
        else {
            left.push(difference);
            return;
        };
        if Some(root) != place.root || !one_memory {
            left.push(difference);
            return;
        }
        let distance = distance(terms, root, at, start);
        let before = distance.clamp(0, size.into()) as u32;
        let behind = (distance + i64::from(bytes)).clamp(0, size.into()) as u32;
        if before == behind {
            left.push(difference);
            return;
        }
        for (from, to) in [(0, before), (behind, size)] {
            if from < to {
                left.push(Place {
                    range: Some((at.wrapping_add(from.into()), to - from)),
                    ..whole
                });
            }
        }
    }

    /// The differences at a join to which two paths lead, on the other of which `escaped`
    /// have escaped: those in slots that are private on this one stay between
    /// the two. The others, and those.
    pub fn between_private(
        &self,
        terms: &Terms,
        escaped: SlotSet,
    ) -> (Vec<Place>, Vec<(StackSlot, Place)>) {
        let mut between = self.in_private.clone();
        let mut others = Vec::new();
        for difference in &self.differences {
            match self.exposed_slot(terms, difference, escaped) {
                Some(slot) => between.push((slot, *difference)),
                None => others.push(*difference),
            }
        }
        (others, between)
    }

    /// Would a difference in a private slot come to be seen, if the outside knew
    /// these slots as well?
    pub fn would_expose(&self, terms: &Terms, escaped: SlotSet) -> bool {
        let mut differences = self.differences.iter();
        differences.any(|difference| self.exposed_slot(terms, difference, escaped).is_some())
    }

    /// The slot of a difference, if it is private, and one of those in `escaped`.
    fn exposed_slot(
        &self,
        terms: &Terms,
        difference: &Place,
        escaped: SlotSet,
    ) -> Option<StackSlot> {
        let slot = terms.within(difference.root?)?;
        (!self.escaped.has(slot) && escaped.has(slot)).then_some(slot)
    }

    /// A difference that someone sees who looks at all memory for which
    /// `looks` is true, at what is `lent` of slots, whose addresses it has got, and at `named`
    /// ones, which it finds in this frame.
    pub fn visible(
        &self,
        terms: &Terms,
        looks: impl Fn(Option<Class>) -> bool,
        lent: &Reached,
        named: SlotSet,
    ) -> Option<Place> {
        let is_lent = |difference: &Place| lent.has(self, terms, difference);
        let is_named = |difference: &Place| {
            let slot = difference.root.and_then(|root| terms.within(root));
            slot.is_some_and(|slot| named.has(slot))
        };
        // Whoever looks at slots by a stack map, or is lent them, sees private ones.
        let in_private = self.in_private.iter().map(|(_, place)| place);
        let mut exposed = in_private.filter(|place| is_lent(place));
        let mut differences = self.differences.iter();
        let seen = exposed.next().or_else(|| {
            differences.find(|difference| {
                is_lent(difference)
                    || is_named(difference)
                    || (!self.is_private(terms, difference) && looks(difference.class))
            })
        });
        seen.copied()
    }
}

/// A place with a name that can last.
fn lasting(terms: &mut Terms, mut place: Place) -> Place {
    if let Some(root) = place.root
        && let Some(slot) = terms.within(root)
        && !matches!(terms.node(root), Node::Slot(_))
    {
        // Somewhere in a slot; its name may not live long.
        let ty = terms.ty(root);
        place.root = Some(terms.slot(slot, ty));
        place.range = None;
    }
    place
}

/// Makes one place of all those in a class.
fn merge(terms: &Terms, places: &mut Vec<Place>) {
    for place in std::mem::take(places) {
        let slot = place.root.and_then(|root| terms.within(root));
        let wide = Place {
            root: place.root.filter(|_| slot.is_some()),
            range: None,
            class: place.class,
        };
        if !places.contains(&wide) {
            places.push(wide);
        }
    }
}
