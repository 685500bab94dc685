//! What the memories are known to hold.

use super::fact::{
    Extent, Fact, MAX_FACTS, Passed, Purpose, inserted, keep_bytes, keep_part, seen_through,
};
use super::memory::Memory;
use super::place::{Access, Place, distance};
use super::side::Side;
use super::terms::{Node, Term, Terms};
use cranelift_codegen::ir::{InstructionData, Opcode};
use smallvec::SmallVec;

impl Memory {
    /// The values that the memory of `side` is known to hold there, of the type
    /// of `access`: those that nobody may have written since first; of those the
    /// ones that were accessed as such, then those that a store left; the earliest
    /// first.
    pub fn known(
        &self,
        terms: &mut Terms,
        side: Side,
        access: &Access,
        purpose: Purpose,
    ) -> SmallVec<[Term; 2]> {
        let mut values = self.known_as_one(terms, side, access, purpose);
        if values.is_empty() {
            values.extend(self.known_by_several(terms, side, access, purpose));
        }
        values
    }

    /// Those of which one fact says all.
    pub(super) fn known_as_one(
        &self,
        terms: &mut Terms,
        side: Side,
        access: &Access,
        purpose: Purpose,
    ) -> SmallVec<[Term; 2]> {
        let mut values: SmallVec<[((bool, u8), Term); 2]> = SmallVec::new();
        let same = !self.differs_at(terms, &access.place);
        for fact in &self.facts {
            if self.is_usable(fact, (side, same), access, purpose)
                && let Some(position) = self.position_in(terms, &fact.place, &access.place)
                && let Some(value) = seen_through(terms, fact, position, access)
            {
                let is_exact = terms.ty(fact.value) == access.ty;
                let distance = match (is_exact, fact.stored) {
                    (true, _) => 0,
                    (false, true) => 1,
                    (false, false) => 2,
                };
                values.push(((fact.outlived, distance), value));
            }
        }
        values.sort_by_key(|(distance, _)| *distance);
        values.into_iter().map(|(_, value)| value).collect()
    }

    /// The value that several facts have together, or one in the other byte order.
    pub(super) fn known_by_several(
        &self,
        terms: &mut Terms,
        side: Side,
        access: &Access,
        purpose: Purpose,
    ) -> Option<Term> {
        let same = !self.differs_at(terms, &access.place);
        let is_usable = |fact: &Fact| self.is_usable(fact, (side, same), access, purpose);
        self.known_in_pieces(terms, access, is_usable)
    }

    /// The value of the type of `access`, by a pointer that a `select` gives, if what is behind both
    /// pointers is known: the same `select` of the two.
    pub(super) fn known_behind_both(
        &self,
        terms: &mut Terms,
        side: Side,
        access: &Access,
    ) -> Option<Term> {
        let (skeleton, condition, places) = selected_from(terms, &access.place)?;
        let mut values: SmallVec<[Term; 3]> = SmallVec::new();
        values.push(condition);
        for place in places {
            let access = Access { place, ..*access };
            let known = self.known_as_one(terms, side, &access, Purpose::Load);
            values.push(*known.first()?);
        }
        Some(terms.op(skeleton, 0, access.ty, values))
    }

    /// Does a fact tell `side` about the bytes of an access, if it is about them? Where the memories
    /// are the `same`, what is known of one is known of the other.
    fn is_usable(
        &self,
        fact: &Fact,
        (side, same): (Side, bool),
        access: &Access,
        purpose: Purpose,
    ) -> bool {
        let serves = match purpose {
            Purpose::Load => !fact.outlived || access.readonly,
            Purpose::Store => !fact.outlived && !fact.readonly,
        };
        serves && (same || fact.sides & side.bit() != 0) && fact.is_for(access.place.class)
    }

    /// A `readonly` load by `side` has found what an earlier one had found there.
    ///
    /// So the bytes are those again, whoever may have written them in between:
    /// what a `readonly` load may read has one value in all of a run. It is known
    /// of the memory that was read, and of one that is equal there.
    pub fn revive(&mut self, terms: &Terms, side: Side, access: &Access, value: Term) {
        let same = !self.differs_at(terms, &access.place);
        for fact in &mut self.facts {
            let is_found = fact.outlived && fact.value == value && fact.place == access.place;
            if is_found && (same || fact.sides == side.bit()) {
                fact.outlived = false;
            }
        }
    }

    /// Is the memory of `side` known to hold `value` there, so that a store of
    /// it would change nothing?
    pub fn holds(&self, terms: &mut Terms, side: Side, access: &Access, value: Term) -> bool {
        self.known(terms, side, access, Purpose::Store)
            .contains(&value)
    }

    /// Has a load of the original (or a store, if `store`) of all these bytes come
    /// through?
    pub fn is_accessible(&self, terms: &Terms, access: &Access, store: bool) -> bool {
        let needed = Passed::by(Side::Original, store);
        let covers = |place: &Place| {
            self.facts.iter().any(|fact| {
                fact.passed >= needed
                    && (!fact.outlived || (access.readonly && !store))
                    && fact.is_for(access.place.class)
                    && self.position_in(terms, &fact.place, place).is_some()
            })
        };
        // Several have accessed all of the bytes, each some of them.
        let mut bytes = access.place.bytes_one_by_one().peekable();
        let behind_both = || {
            let places = selected_from(terms, &access.place);
            places.is_some_and(|(_, _, places)| places.iter().all(covers))
        };
        covers(&access.place)
            || (bytes.peek().is_some() && bytes.all(|byte| covers(&byte)))
            || behind_both()
    }

    /// A load of `value` has come through, or a store of what is there already.
    pub fn pass(&mut self, terms: &Terms, access: &Access, value: Term, sides: u8, passed: Passed) {
        let store = passed == Passed::Store;
        if passed == Passed::Nothing || self.is_accessible(terms, access, store) {
            return;
        }
        let mut is_known = false;
        for fact in &mut self.facts {
            if fact.place == access.place && fact.value == value && !fact.outlived {
                fact.passed = fact.passed.max(passed);
                is_known = true;
            }
        }
        if !is_known {
            self.learn(access, value, sides, store, passed);
        }
    }

    /// Forgets what a store of `value` may change in the memory of `side`.
    pub fn forget_overwritten(
        &mut self,
        terms: &mut Terms,
        side: Side,
        access: &Access,
        value: Term,
    ) {
        let place = &access.place;
        let mut kept = Vec::with_capacity(self.facts.len() + 1);
        for mut fact in std::mem::take(&mut self.facts) {
            if !self.may_overlap(terms, &fact.place, place) {
                kept.push(fact);
                continue;
            }
            // It was known of both if they were equal there, and stays known
            // of the other.
            if !self.differs_at(terms, &fact.place) {
                fact.sides = Side::Original.bit() | Side::Result.bit();
            }
            if fact.outlasts(access, value) {
                kept.push(fact);
                continue;
            }
            let both = fact.sides;
            fact.sides = both & !side.bit();
            let mut rest = fact.clone();
            rest.sides = both & side.bit();
            let says_it = |old: &Fact| {
                let is_about = old.place == fact.place && old.value == fact.value;
                let with_sides = |sides| Fact {
                    sides,
                    ..old.clone()
                };
                is_about && old.sides & fact.sides == fact.sides && with_sides(fact.sides) == fact
            };
            if fact.sides != 0 && !kept.iter().any(says_it) {
                kept.push(fact);
            }
            if rest.sides != 0 {
                self.keep_rest(terms, rest, place, &mut kept);
            }
        }
        self.facts = kept;
    }

    /// Forgets what a write to `place` by both runs may change, but for facts of which `is_kept` is true.
    pub fn forget_overwritten_in_both(
        &mut self,
        terms: &mut Terms,
        place: &Place,
        is_kept: impl Fn(&Fact) -> bool,
    ) {
        let mut kept = Vec::with_capacity(self.facts.len() + 1);
        for fact in std::mem::take(&mut self.facts) {
            if self.may_overlap(terms, &fact.place, place) && !is_kept(&fact) {
                self.keep_rest(terms, fact, place, &mut kept);
            } else {
                kept.push(fact);
            }
        }
        self.facts = kept;
    }

    /// Somebody of whom `readonly` promises nothing may have written any memory but
    /// private slots.
    pub fn forget_all_but_private(&mut self, terms: &Terms) {
        let mut facts = std::mem::take(&mut self.facts);
        facts.retain(|fact| self.is_private(terms, &fact.place));
        self.facts = facts;
    }

    /// Keeps what a store to `place` leaves of a fact.
    pub fn keep_rest(
        &self,
        terms: &mut Terms,
        mut fact: Fact,
        place: &Place,
        kept: &mut Vec<Fact>,
    ) {
        if fact.place.root == place.root {
            // The bytes before and behind the place.
            let (Some(root), Some((at, size)), Some((start, bytes))) =
                (place.root, fact.place.range, place.range)
            else {
                return;
            };
            let before = distance(terms, root, at, start).clamp(0, size.into()) as u32;
            let end = distance(terms, root, at, start) + i64::from(bytes);
            let behind = end.clamp(0, size.into()) as u32;
            for (from, to) in [(0, before), (behind, size)] {
                keep_part(terms, &fact, from, to, kept);
                if fact.extent == Extent::Whole {
                    keep_bytes(terms, &fact, from, to, kept);
                }
            }
        } else if !self.is_private(terms, &fact.place) && fact.is_narrowed(place.class) {
            kept.push(fact);
        }
    }

    /// What is known of wider integers in private slots, once `value` is stored over some of
    /// their bytes in the memories of `sides`.
    pub fn with_part(
        &self,
        terms: &mut Terms,
        sides: u8,
        access: &Access,
        value: Term,
    ) -> Vec<Fact> {
        if !self.is_private(terms, &access.place) {
            return Vec::new();
        }
        let Some((_, bytes)) = access.place.range else {
            return Vec::new();
        };
        let mut wider = Vec::new();
        for fact in &self.facts {
            // Of a memory that is equal to the one that it is known of, in all of its bytes.
            let is_known = fact.sides & sides == sides || !self.differs_at(terms, &fact.place);
            let Some((_, size)) = fact.place.range else {
                continue;
            };
            let usable =
                is_known && !fact.outlived && !fact.readonly && fact.extent == Extent::Whole;
            if !usable || size <= bytes || size > 16 || (bytes > 1 && fact.order != access.order) {
                continue;
            }
            let Some(position) = self.position_in(terms, &fact.place, &access.place) else {
                continue;
            };
            let Some(value) = inserted(terms, fact, position, (value, bytes)) else {
                continue;
            };
            wider.push(Fact {
                value,
                sides,
                stored: true,
                passed: Passed::Nothing,
                ..fact.clone()
            });
        }
        wider
    }

    /// Adds facts, as far as there is room.
    pub fn add(&mut self, facts: Vec<Fact>) {
        let room = MAX_FACTS.saturating_sub(self.facts.len());
        self.facts.extend(facts.into_iter().take(room));
    }

    pub fn learn(&mut self, access: &Access, value: Term, sides: u8, stored: bool, passed: Passed) {
        if access.place.root.is_none() || access.place.range.is_none() {
            return;
        }
        if self.facts.len() == MAX_FACTS {
            self.facts.remove(0);
            self.forgot = true;
        }
        self.facts.push(Fact {
            sides,
            readonly: access.readonly && !stored,
            stored,
            passed,
            ..Fact::of(access, value)
        });
    }
}

/// What the root of `place` is selected by, under which condition, and the same place behind either
/// of the two pointers, if a `select` gives it.
fn selected_from(terms: &Terms, place: &Place) -> Option<(InstructionData, Term, [Place; 2])> {
    let (root, (start, bytes)) = (place.root?, place.range?);
    let Node::Op(skeleton, 0, args) = terms.node(root) else {
        return None;
    };
    let (Opcode::Select, [condition, x, y]) = (skeleton.opcode(), &args[..]) else {
        return None;
    };
    if [x, y].iter().any(|arm| terms.constant(**arm).is_some()) {
        return None;
    }
    let places = [*x, *y].map(|arm| {
        let (base, by) = terms.base(arm);
        Place {
            root: Some(base),
            range: Some((distance(terms, base, 0, start.wrapping_add(by)), bytes)),
            ..*place
        }
    });
    Some((*skeleton, *condition, places))
}
