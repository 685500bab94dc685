//! What accesses, and the outside, do to both memories.

use super::balance::Entry;
use super::calls::Classes;
use super::fact::{Fact, Passed, Purpose, seen_through};
use super::memory::Memory;
use super::place::{Access, Place};
use super::side::Side;
use super::slot_set::SlotSet;
use super::store_buffer::Store;
use super::terms::{Term, Terms};
use super::walk::lending::Reached;
use cranelift_codegen::ir::{Endianness, types};

impl Memory {
    /// A plain load of one run; returns the value of the bytes.
    pub fn load(&mut self, terms: &mut Terms, side: Side, access: &Access) -> Term {
        let known = self.known_as_one(terms, side, access, Purpose::Load);
        let differs = self.differs_at(terms, &access.place);
        let sides = if differs {
            side.bit()
        } else {
            Side::Original.bit() | Side::Result.bit()
        };
        let passed = Passed::by(side, false);
        if let Some(value) = known.first() {
            if access.readonly {
                self.revive(terms, side, access, *value);
            }
            self.pass(terms, access, *value, sides, passed);
            return *value;
        }
        // It is remembered as one: where paths meet, that has to be known of each of them as it is
        // loaded there.
        if let Some(value) = self.known_by_several(terms, side, access, Purpose::Load) {
            self.learn(access, value, sides, false, passed);
            return value;
        }
        if let Some(value) = self.known_behind_both(terms, side, access) {
            self.learn(access, value, sides, false, passed);
            return value;
        }
        let leaked = self.escaped.without(self.not_leaked);
        let taint = if access.foreign {
            SlotSet::default()
        } else if differs {
            leaked.and(self.hidden[side as usize])
        } else {
            leaked
        };
        let fixed = match access.fixed && !differs {
            true => terms.fixed(access),
            false => None,
        };
        let value = match fixed {
            Some(fixed) => fixed,
            None => {
                let leaf = terms.leaf(access.ty, taint, None);
                self.with_known_parts(terms, side, access, leaf)
            }
        };
        self.learn(access, value, sides, false, passed);
        value
    }

    /// The same store of `value` by both runs.
    pub fn store_both(&mut self, terms: &mut Terms, access: &Access, value: Term) {
        self.escape(terms.taint(value));
        let mut sides = Side::BOTH.into_iter();
        if sides.all(|side| self.holds(terms, side, access, value)) {
            self.close(terms, &access.place);
            let sides = Side::Original.bit() | Side::Result.bit();
            self.pass(terms, access, value, sides, Passed::Store);
            self.append(terms, &[], Store::new(access, value));
            return;
        }
        let sides = Side::Original.bit() | Side::Result.bit();
        let wider = self.with_part(terms, sides, access, value);
        let outlasts = |fact: &Fact| fact.outlasts(access, value);
        self.forget_overwritten_in_both(terms, &access.place, outlasts);
        self.close(terms, &access.place);
        self.learn(access, value, sides, true, Passed::Store);
        self.add(wider);
        self.append(terms, &Side::BOTH, Store::new(access, value));
    }

    /// A store of one run, a one-sided step; the other run may make it later.
    pub fn store_one_sided(&mut self, terms: &mut Terms, side: Side, access: &Access, value: Term) {
        let before = self.holds(terms, side, access, value);
        let other = self.holds(terms, side.other(), access, value);
        self.account(terms, side, (access.place, Some(value), None));
        self.settle(terms, access.order, &access.place);
        if before {
            // Memory stays as it is.
            self.pass(terms, access, value, side.bit(), Passed::by(side, true));
            return;
        }
        let wider = self.with_part(terms, side.bit(), access, value);
        self.forget_overwritten(terms, side, access, value);
        // What is known of one memory because both were equal has to be said
        // of the other one before they differ.
        let passed = Passed::by(side, true);
        self.learn(access, value, side.bit(), true, passed);
        self.add(wider);
        if other {
            self.escape(terms.taint(value));
            self.close(terms, &access.place);
        } else {
            let hidden = &mut self.hidden[side as usize];
            *hidden = hidden.and(terms.taint(value));
            self.open(terms, access.place);
        }
        self.close_equal(terms, access.order);
        self.append(terms, &[side], Store::new(access, value));
    }

    /// Keeps count of an access that one run makes by itself.
    pub fn account(&mut self, terms: &Terms, side: Side, entry: Entry) {
        if self.is_private(terms, &entry.0) {
            return;
        }
        match side {
            Side::Original => self.balance.original(entry),
            Side::Result => self.balance.result(entry),
        }
        if entry.1.is_none() {
            self.balance.settle_loads_in_parts();
        }
    }

    /// Compares stores that the result has made alone with those of the original that are parts
    /// of them. Their bytes are taken in one `order`; what memory holds is another question.
    pub fn settle(&mut self, terms: &mut Terms, order: Endianness, newest: &Place) {
        if self
            .balance
            .ahead
            .iter()
            .any(|(_, stored, _)| stored.is_some())
        {
            self.balance
                .settle_in_parts(newest, |(place, stored, _), at| {
                    let (value, (start, _)) = ((*stored)?, place.range?);
                    let byte = Place {
                        range: Some((at, 1)),
                        ..*place
                    };
                    let whole = Fact::of(&Access::plain(*place, terms.ty(value), order), value);
                    let byte = Access::plain(byte, types::I8, order);
                    let position = u32::try_from(at - start).ok()?;
                    let fits = position < place.range?.1;
                    fits.then(|| seen_through(terms, &whole, position, &byte))?
                });
        }
    }

    /// The outside has run. Forgets what it may change: all memory of `changed`,
    /// and what it has written of slots.
    pub fn forget_changed(&mut self, terms: &mut Terms, changed: &Classes, written: &Reached) {
        // Of a place that is a part of what something is known of, the rest stays known.
        for place in &written.places {
            self.forget_overwritten_in_both(terms, place, |_| false);
        }
        self.not_leaked = SlotSet::default();
        let is_mapped = |memory: &Self, place: &Place| written.has(memory, terms, place);
        let mut buffers = self.buffers.stores.iter().flatten();
        let is_written = |store: &Store| {
            is_mapped(self, &store.place)
                || (!self.is_private(terms, &store.place) && changed.has(store.place.class))
        };
        if buffers.any(is_written) {
            self.forget_order();
        }
        self.forget_loads(terms, changed);
        let mut facts = std::mem::take(&mut self.facts);
        facts.retain_mut(|fact| {
            let mapped = is_mapped(self, &fact.place);
            let written = !self.is_private(terms, &fact.place) && changed.has(fact.place.class);
            if mapped {
                return false;
            }
            if written && fact.readonly {
                fact.outlived = true;
                return true;
            }
            match changed {
                _ if !written => true,
                Classes::All => false,
                Classes::These(classes) => {
                    let mut classes = classes.iter();
                    classes.all(|class| fact.is_narrowed(Some(*class)))
                }
            }
        });
        self.facts = facts;
    }

    /// The outside may change memory of `changed`: no load of it passes that.
    pub fn forget_loads(&mut self, terms: &Terms, changed: &Classes) {
        let mut credit = std::mem::take(&mut self.balance.credit);
        credit.retain(|(place, stored, _)| {
            stored.is_some() || self.is_private(terms, place) || !changed.has(place.class)
        });
        self.balance.credit = credit;
    }
}
