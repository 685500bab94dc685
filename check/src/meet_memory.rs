//! The meet of two memories, but for the facts.

use super::balance::{Entry, MAX_AHEAD};
use super::fact::{Fact, Passed};
use super::meet::{Meet, first_pair};
use super::memory::Memory;
use super::place::{Place, distance};
use super::side::Side;
use super::store_buffer::Store;
use super::terms::Term;

impl Meet<'_> {
    /// Meets what is known about memory, once the live values have met.
    pub fn memory(&mut self, mine: &mut Memory, theirs: &Memory) {
        let flags = |memory: &Memory| {
            (
                memory.escaped,
                memory.hidden,
                memory.forgot,
                memory.not_leaked,
            )
        };
        let before = flags(mine);
        let differences = self.between_private(mine, theirs);
        mine.escaped = mine.escaped.and(theirs.escaped);
        for side in Side::BOTH {
            let hidden = theirs.hidden[side as usize];
            mine.hidden[side as usize] = mine.hidden[side as usize].and(hidden);
        }
        mine.forgot |= theirs.forgot;
        mine.not_leaked = mine.not_leaked.common(theirs.not_leaked);
        self.changed |= before != flags(mine);
        let known = match mine.balance.ahead.is_empty() {
            true => Vec::new(),
            false => mine.facts.clone(),
        };
        let live = self.pairs();
        self.facts(mine, theirs);
        self.differences(mine, &differences);
        self.buffers(mine, theirs);
        self.balance(mine, theirs, (&known, live));
    }

    /// Keeps the buffered stores that are the last on both paths. The bases are then the
    /// memories before those, and differ wherever either path has another buffered store.
    /// If no store is kept, the memories themselves become the bases.
    fn buffers(&mut self, mine: &mut Memory, theirs: &Memory) {
        let before = mine.buffers.clone();
        let changed = self.changed;
        self.last_buffered(mine, theirs);
        if mine.buffers.stores.iter().all(Vec::is_empty) {
            mine.forget_order();
            self.changed = changed || mine.buffers != before;
        }
    }

    fn last_buffered(&mut self, mine: &mut Memory, theirs: &Memory) {
        let mut apart = std::mem::take(&mut mine.buffers.apart);
        let mut more = theirs.buffers.apart.clone();
        for side in Side::BOTH {
            let stores = std::mem::take(&mut mine.buffers.stores[side as usize]);
            let others = &theirs.buffers.stores[side as usize];
            let (kept, left, others) = self.last_stores(mine, &stores, others);
            self.changed |= kept != stores;
            for store in left {
                mine.add_place(self.terms, &mut apart, store.place);
            }
            more.extend(others.iter().map(|store| store.place));
            mine.buffers.stores[side as usize] = kept;
        }
        for place in more {
            let place = self.import_place(place);
            self.changed |= mine.add_place(self.terms, &mut apart, place);
        }
        mine.buffers.apart = apart;
    }

    /// The stores that both have and that may come last, in their order; and
    /// what either has besides.
    fn last_stores(
        &self,
        memory: &Memory,
        mine: &[Store],
        theirs: &[Store],
    ) -> (Vec<Store>, Vec<Store>, Vec<Store>) {
        let mut kept: Vec<Option<Store>> = vec![None; mine.len()];
        let (mut left, mut others) = (mine.to_vec(), theirs.to_vec());
        let same = |x: &Store, y: &Store| self.same_store(x, y).is_some();
        while let Some([x, y]) = memory.last_of_both(self.terms, [&left, &others], same) {
            let (store, other) = (left.remove(x), others.remove(y));
            // No two are equal: the later one would have taken the place of the other.
            let at = mine.iter().position(|old| *old == store);
            if let Some(at) = at {
                kept[at] = self.same_store(&store, &other);
            }
        }
        (kept.into_iter().flatten().collect(), left, others)
    }

    /// Keeps what the result may do on both paths, and what it has done on one. The facts of the first
    /// path were `before`, and the first `live` pairs are those of live values.
    fn balance(&mut self, mine: &mut Memory, theirs: &Memory, (before, live): (&[Fact], usize)) {
        let (facts, known) = (&mine.facts, &theirs.facts);
        let (mine, theirs) = (&mut mine.balance, &theirs.balance);
        let credit = std::mem::take(&mut mine.credit);
        // The last store to a place is what memory holds, and what the result may store there later.
        let mut others: Vec<Entry> = theirs.credit.iter().rev().copied().collect();
        for entry in credit.iter().rev() {
            let pair = |at: usize| Some((at, self.same_entry(entry, &others[at])?));
            if let Some((at, same)) = (0..others.len()).find_map(pair) {
                // Made once on either path, it may be made once later.
                others.remove(at);
                mine.credit.push(same);
            }
        }
        mine.credit.reverse();
        self.changed |= mine.credit != credit;
        let lost = mine.lost;
        mine.lost = [lost[0] | theirs.lost[0], lost[1] | theirs.lost[1]];
        let mut others = theirs.ahead.clone();
        for entry in &mut mine.ahead {
            let pair = first_pair(entry, &others, |x, y| self.same_entry(x, y));
            if let Some((at, same)) = pair {
                others.swap_remove(at);
                self.changed |= *entry != same;
                *entry = same;
            } else if let (place, _, Some(_)) = entry {
                mine.lost[0] |= !self.has_passed(place, known);
            } else if let (place, None, None) = entry {
                let old = (before, live);
                if let Some(name) = self.name_of_loaded(old, facts, place, *place, |it| it.0) {
                    self.changed |= *place != name;
                    *place = name;
                }
            } else if let (place, Some(value), _) = entry {
                let is_it = |pair: &(Term, Term)| pair.0 == *value;
                if let Some(name) = self.name_in_memory(facts, place, is_it) {
                    self.changed |= *value != name;
                    *value = name;
                }
            }
        }
        for (place, value, trap) in &others {
            let is_it = |pair: &(Term, Term)| Some(pair.1) == *value;
            let entry = self.import_entry(place, *value).map(|(own, value)| {
                let name = self.name_in_memory(facts, &own, is_it);
                let loaded = match (value, trap) {
                    (None, None) => {
                        let old = (&known[..], live);
                        self.name_of_loaded(old, facts, place, own, |it| it.1)
                    }
                    _ => None,
                };
                let own = loaded.unwrap_or(own);
                (own, name.filter(|_| value.is_some()).or(value), *trap)
            });
            // Of what may trap it would have to be known that it does not on the other path.
            mine.lost[0] |= trap.is_some();
            match entry {
                Some(entry) if mine.ahead.len() < MAX_AHEAD => {
                    self.changed = true;
                    mine.ahead.push(entry);
                }
                // The original makes it under a name that nobody knows.
                Some(_) | None => mine.lost[usize::from(value.is_some())] = true,
            }
        }
        self.changed |= mine.lost != lost;
    }

    /// What a value that one path has stored there is called, if the other path knows
    /// another one to be there: by that name the original stores it behind the
    /// join.
    ///
    /// A value may have several names, one for each value of the other path that it
    /// has met. All of them are right.
    fn name_in_memory(
        &self,
        facts: &[Fact],
        place: &Place,
        is_it: impl Fn(&(Term, Term)) -> bool,
    ) -> Option<Term> {
        let at_place = |fact: &&Fact| fact.place == *place && fact.sides & Side::Result.bit() != 0;
        let is_name = |name: Term| self.is_name_of(name, &is_it);
        let mut names = facts.iter().filter(at_place).map(|fact| fact.value);
        names.find(|name| is_name(*name))
    }

    /// What a place is called from which the result has loaded on one path ahead of the original, if its
    /// address has several names where the paths meet: the one under which memory holds what has
    /// become of the value, for by that the original loads it. `old` are the facts of that path, of
    /// which `of` gives what has met, and how many pairs are of live values; `own` is the name that it
    /// has otherwise.
    ///
    /// On that path each of them is the place. On the other one nothing has been loaded ahead.
    fn name_of_loaded(
        &self,
        (old, live): (&[Fact], usize),
        facts: &[Fact],
        place: &Place,
        own: Place,
        of: impl Fn(&(Term, Term)) -> Term,
    ) -> Option<Place> {
        let (start, size) = place.range?;
        let is_known = |fact: &&Fact| fact.sides & Side::Result.bit() != 0;
        let is_there =
            |fact: &&Fact| fact.place.root == place.root && fact.place.range == place.range;
        let values: Vec<Term> = { old.iter().filter(is_known) }
            .filter(is_there)
            .map(|fact| fact.value)
            .collect();
        let mut found = None;
        for fact in facts.iter().filter(is_known) {
            let (Some(root), Some((at, bytes))) = (fact.place.root, fact.place.range) else {
                continue;
            };
            let is_place = |pair: &(Term, Term)| {
                let (base, by) = self.terms.base(of(pair));
                Some(base) == place.root
                    && distance(self.terms, base, start, at.wrapping_add(by)) == 0
            };
            let is_named = bytes == size
                && self.is_name_of_first(live, fact.value, |pair| values.contains(&of(pair)))
                && self.is_name_of(root, is_place);
            if is_named && (own.root, own.range) == (fact.place.root, fact.place.range) {
                return None;
            }
            if is_named && found.is_none() {
                found = Some(Place {
                    root: Some(root),
                    range: fact.place.range,
                    ..*place
                });
            }
        }
        found
    }

    /// Has the original come through a load of the place on the other path, of which `known` is
    /// known?
    fn has_passed(&self, place: &Place, known: &[Fact]) -> bool {
        known.iter().any(|fact| {
            fact.passed >= Passed::by(Side::Original, false)
                && !fact.outlived
                && self.same_place(place, &fact.place).is_some()
        })
    }

    fn import_entry(
        &mut self,
        place: &Place,
        value: Option<Term>,
    ) -> Option<(Place, Option<Term>)> {
        let mut terms = place.root.iter().chain(&value);
        if !terms.all(|term| self.has_name(*term)) {
            return None;
        }
        let root = place.root.map(|root| self.import(root));
        Some((
            Place { root, ..*place },
            value.map(|value| self.import(value)),
        ))
    }

    fn same_entry(&self, mine: &Entry, theirs: &Entry) -> Option<Entry> {
        let ((place, value, trap), (other, stored, code)) = (mine, theirs);
        if trap != code {
            return None;
        }
        let place = self.same_place(place, other)?;
        let value = match (value, stored) {
            (Some(x), Some(y)) => Some(self.same_term(*x, *y)?),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        Some((place, value, *trap))
    }

    /// Are two places one, under the name that the first one has?
    fn same_place(&self, mine: &Place, theirs: &Place) -> Option<Place> {
        if mine.range != theirs.range || mine.class != theirs.class {
            return None;
        }
        let root = match (mine.root, theirs.root) {
            (Some(x), Some(y)) => Some(self.same_term(x, y)?),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        Some(Place { root, ..*mine })
    }

    fn same_store(&self, mine: &Store, theirs: &Store) -> Option<Store> {
        let place = self.same_place(&mine.place, &theirs.place)?;
        let value = self.same_term(mine.value, theirs.value)?;
        (mine.order == theirs.order).then_some(Store {
            place,
            value,
            ..*mine
        })
    }

    fn import_place(&mut self, place: Place) -> Place {
        let Some(root) = place.root else {
            return place;
        };
        // Nobody can name an address that has no name any more: it is anywhere.
        let has_name = self.has_name(root) || self.terms.within(root).is_some();
        Place {
            root: has_name.then(|| self.import(root)),
            range: place.range.filter(|_| has_name),
            ..place
        }
    }

    /// What differs on either path in slots that are private there, and have escaped
    /// on the other one; returns the other differences of the other path.
    fn between_private(&mut self, mine: &mut Memory, theirs: &Memory) -> Vec<Place> {
        let (differences, in_private) = mine.between_private(self.terms, theirs.escaped);
        let (others, more) = theirs.between_private(self.terms, mine.escaped);
        self.changed |= mine.in_private.len() != in_private.len();
        mine.differences = differences;
        mine.in_private = in_private;
        for entry in more {
            if !mine.in_private.contains(&entry) {
                self.changed = true;
                mine.in_private.push(entry);
            }
        }
        others
    }

    /// Adds the differences of the other path.
    fn differences(&mut self, mine: &mut Memory, theirs: &[Place]) {
        for place in theirs {
            let place = self.import_place(*place);
            self.changed |= mine.open(self.terms, place);
        }
    }
}
