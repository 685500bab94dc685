//! The meeting of two states, see [`super::state`].

use super::facts::Fact;
use super::ledger::{Entry, MAX_AHEAD};
use super::memory::{Memory, Side};
use super::pending::Store;
use super::place::Place;
use super::state::State;
use super::terms::{Node, SlotSet, Term, Terms};
use cranelift_codegen::FxHashMap;

use smallvec::SmallVec;

/// How deep two terms are looked into, to see whether they are the same.
const MAX_SEARCH: u8 = 6;

/// Pairs that are looked at for one of which another one may be a part.
const MAX_WIDER: usize = 64;

/// Two states that are being met: `mine`, which becomes the result, and
/// `theirs`.
pub struct Meeting<'t> {
    /// The terms of both.
    pub terms: &'t mut Terms,
    /// What each leaf of the first state stands for in the second.
    names: FxHashMap<Term, Term>,
    /// What each pair of terms has become.
    pairs: FxHashMap<(Term, Term), Term>,
    /// The same pairs, in the order in which they came.
    log: Vec<(Term, Term)>,
    /// What terms of the second state are called in the result.
    imports: FxHashMap<Term, Term>,
    /// Is the result more general than the first state?
    pub changed: bool,
    /// May the result not have more facts than the first state?
    pub only_fewer: bool,
}

impl<'t> Meeting<'t> {
    /// Nothing has met yet.
    pub fn new(terms: &'t mut Terms) -> Self {
        Self {
            terms,
            names: FxHashMap::default(),
            pairs: FxHashMap::default(),
            log: Vec::new(),
            imports: FxHashMap::default(),
            changed: false,
            only_fewer: false,
        }
    }
}

impl Meeting<'_> {
    /// What both states call the same keeps its name: a fact or a pending store
    /// may know it by that.
    pub fn keep_common_names(&mut self, mine: &State, theirs: &State) {
        for side in Side::BOTH {
            let both = mine.values[side as usize].iter();
            for ((_, x), (_, y)) in both.zip(&theirs.values[side as usize]) {
                if x == y {
                    self.meet(*x, *y);
                }
            }
            let stores = mine.memory.pending.stores[side as usize].iter();
            let others = &theirs.memory.pending.stores[side as usize];
            for store in stores.filter(|store| others.contains(store)) {
                self.meet(store.value, store.value);
                if let Some(root) = store.place.root {
                    self.meet(root, root);
                }
            }
        }
    }

    /// The pair that met after so many others.
    pub fn pair(&self, at: usize) -> Option<(Term, Term)> {
        self.log.get(at).copied()
    }

    /// The generalization of a pair. The first term is not high.
    pub fn meet(&mut self, mine: Term, theirs: Term) -> Term {
        if let Some(known) = self.pairs.get(&(mine, theirs)) {
            return *known;
        }
        let met = self.generalize(mine, theirs);
        self.pairs.insert((mine, theirs), met);
        self.log.push((mine, theirs));
        self.imports.entry(theirs).or_insert(met);
        met
    }

    fn generalize(&mut self, mine: Term, theirs: Term) -> Term {
        if self.terms.ty(mine) != self.terms.ty(theirs) {
            return self.new_leaf(mine, theirs);
        }
        if let Some(part) = self.part_of_a_pair(mine, theirs) {
            self.changed |= part != mine;
            return part;
        }
        match (
            self.terms.node(mine).clone(),
            self.terms.node(theirs).clone(),
        ) {
            (Node::Leaf, _) => {
                let fits = self.terms.taint(theirs).is_in(self.terms.taint(mine))
                    && (self.terms.within(mine).is_none()
                        || self.terms.within(mine) == self.terms.within(theirs));
                if fits && !self.names.contains_key(&mine) {
                    self.names.insert(mine, theirs);
                    return mine;
                }
                self.new_leaf(mine, theirs)
            }
            (Node::Const(_) | Node::Slot(_) | Node::Shared(..), _) => {
                if mine == theirs {
                    return mine;
                }
                self.new_leaf(mine, theirs)
            }
            (Node::Plus(a, by), Node::Plus(b, other)) if by == other => {
                let base = self.meet(a, b);
                self.terms.plus(base, by)
            }
            (Node::Bits(a, low), Node::Bits(b, other))
                if low == other && self.terms.ty(a) == self.terms.ty(b) =>
            {
                let ty = self.terms.ty(mine);
                let whole = self.meet(a, b);
                self.terms.bits(whole, low, ty)
            }
            (Node::Cast(a), Node::Cast(b)) if self.terms.ty(a) == self.terms.ty(b) => {
                let ty = self.terms.ty(mine);
                let inner = self.meet(a, b);
                self.terms.cast(inner, ty)
            }
            (Node::Op(skeleton, index, xs), Node::Op(other, other_index, ys))
                if skeleton == other && index == other_index && self.have_types_of(&xs, &ys) =>
            {
                let ty = self.terms.ty(mine);
                let pairs = xs.iter().zip(&ys);
                let args: SmallVec<[Term; 3]> = pairs.map(|(x, y)| self.meet(*x, *y)).collect();
                self.terms.op(skeleton, index, ty, args)
            }
            _ => self.new_leaf(mine, theirs),
        }
    }

    /// Two values that are the low bits of two others that have met: the low bits
    /// of what those have become. So a value that is stored in part is what the
    /// memory holds, whatever it was on each way.
    fn part_of_a_pair(&mut self, mine: Term, theirs: Term) -> Option<Term> {
        let ty = self.terms.ty(mine);
        let is_closed = |term: Term| matches!(self.terms.node(term), Node::Const(_));
        if !ty.is_int() || ty.bits() >= 64 || mine == theirs {
            return None;
        }
        let is_part =
            |term: Term| is_closed(term) || matches!(self.terms.node(term), Node::Bits(_, 0));
        if !is_part(mine) && !is_part(theirs) {
            return None;
        }
        let mut pairs = self.log.iter().take(MAX_WIDER);
        let (x, y) = pairs.find(|(x, y)| {
            self.terms.are_low_bits(mine, *x) && self.terms.are_low_bits(theirs, *y)
        })?;
        let whole = *self.pairs.get(&(*x, *y))?;
        Some(self.terms.bits(whole, 0, ty))
    }

    fn have_types_of(&self, xs: &[Term], ys: &[Term]) -> bool {
        let mut pairs = xs.iter().zip(ys);
        pairs.all(|(x, y)| self.terms.ty(*x) == self.terms.ty(*y))
    }

    fn new_leaf(&mut self, mine: Term, theirs: Term) -> Term {
        self.changed = true;
        let taint = self.terms.taint(mine).and(self.terms.taint(theirs));
        let within = self.terms.within(mine);
        let within = within.filter(|_| within == self.terms.within(theirs));
        self.terms.leaf(self.terms.ty(mine), taint, within)
    }

    /// Has this pair been met already, or is it a pair of equal constants?
    pub fn met(&self, mine: Term, theirs: Term) -> Option<Term> {
        if let Some(known) = self.pairs.get(&(mine, theirs)) {
            return Some(*known);
        }
        (mine == theirs && self.terms.is_closed(mine)).then_some(mine)
    }

    /// Meets what is known about memory, once the live values have met.
    pub fn memory(&mut self, mine: &mut Memory, theirs: &Memory) {
        let flags =
            |memory: &Memory| (memory.escaped, memory.hidden, memory.forgot, memory.unheard);
        let before = flags(mine);
        let differences = self.between_private(mine, theirs);
        mine.escaped = mine.escaped.and(theirs.escaped);
        for side in Side::BOTH {
            let hidden = theirs.hidden[side as usize];
            mine.hidden[side as usize] = mine.hidden[side as usize].and(hidden);
        }
        mine.forgot |= theirs.forgot;
        mine.unheard = mine.unheard.common(theirs.unheard);
        self.changed |= before != flags(mine);
        self.facts(mine, theirs);
        self.differences(mine, &differences);
        self.pending(mine, theirs);
        self.ledger(mine, theirs);
    }

    /// Keeps the stores that are the last of both ways; before those, the
    /// memories of the ways may differ wherever another one is. If there are
    /// none, what the memories are now will do for bases.
    fn pending(&mut self, mine: &mut Memory, theirs: &Memory) {
        let before = mine.pending.clone();
        let changed = self.changed;
        self.last_pending(mine, theirs);
        if mine.pending.stores.iter().all(Vec::is_empty) {
            mine.forget_order();
            self.changed = changed || mine.pending != before;
        }
    }

    fn last_pending(&mut self, mine: &mut Memory, theirs: &Memory) {
        let mut apart = std::mem::take(&mut mine.pending.apart);
        let mut more = theirs.pending.apart.clone();
        for side in Side::BOTH {
            let stores = std::mem::take(&mut mine.pending.stores[side as usize]);
            let others = &theirs.pending.stores[side as usize];
            let (kept, left, others) = self.last_stores(mine, &stores, others);
            self.changed |= kept != stores;
            for store in left {
                mine.add_place(self.terms, &mut apart, store.place);
            }
            more.extend(others.iter().map(|store| store.place));
            mine.pending.stores[side as usize] = kept;
        }
        for place in more {
            let place = self.import_place(place);
            self.changed |= mine.add_place(self.terms, &mut apart, place);
        }
        mine.pending.apart = apart;
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

    /// Keeps what the result may do on both ways, and what it has done on one.
    fn ledger(&mut self, mine: &mut Memory, theirs: &Memory) {
        let facts = &mine.facts;
        let (mine, theirs) = (&mut mine.ledger, &theirs.ledger);
        let spare = std::mem::take(&mut mine.spare);
        let mut others = theirs.spare.clone();
        for entry in &spare {
            let same = first_pair(entry, &others, |x, y| self.same_entry(x, y));
            if let Some((at, same)) = same {
                // Made once on either way, it may be made once later.
                others.swap_remove(at);
                mine.spare.push(same);
            }
        }
        self.changed |= mine.spare != spare;
        let lost = mine.lost;
        mine.lost = [lost[0] | theirs.lost[0], lost[1] | theirs.lost[1]];
        let mut others = theirs.ahead.clone();
        for entry in &mut mine.ahead {
            let pair = first_pair(entry, &others, |x, y| self.same_entry(x, y));
            if let Some((at, same)) = pair {
                others.swap_remove(at);
                self.changed |= *entry != same;
                *entry = same;
            } else if let (place, Some(value)) = entry {
                let is_it = |pair: &(Term, Term)| pair.0 == *value;
                if let Some(name) = self.name_in_memory(facts, place, is_it) {
                    self.changed |= *value != name;
                    *value = name;
                }
            }
        }
        for (place, value) in &others {
            let is_it = |pair: &(Term, Term)| Some(pair.1) == *value;
            let entry = self.import_entry(place, *value).map(|(place, value)| {
                let name = self.name_in_memory(facts, &place, is_it);
                (place, name.filter(|_| value.is_some()).or(value))
            });
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

    /// What a value that one way has stored there is called, if the other way knows
    /// another one to be there: by that name the original stores it behind the
    /// join.
    ///
    /// A value may have several names, one for each value of the other way that it
    /// has met. All of them are right.
    fn name_in_memory(
        &self,
        facts: &[Fact],
        place: &Place,
        is_it: impl Fn(&(Term, Term)) -> bool,
    ) -> Option<Term> {
        let at_place = |fact: &&Fact| fact.place == *place && fact.sides & Side::Result.bit() != 0;
        let is_name = |name: Term| {
            let mut pairs = self.log.iter().filter(|pair| is_it(pair));
            pairs.any(|pair| self.pairs.get(pair) == Some(&name))
        };
        let mut names = facts.iter().filter(at_place).map(|fact| fact.value);
        names.find(|name| is_name(*name))
    }

    fn import_entry(&mut self, place: &Place, value: Option<Term>) -> Option<Entry> {
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

    fn same_entry(&self, (place, value): &Entry, (other, stored): &Entry) -> Option<Entry> {
        let place = self.same_place(place, other)?;
        let value = match (value, stored) {
            (Some(x), Some(y)) => Some(self.same_term(*x, *y)?),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        Some((place, value))
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

    /// What a term is called if it is the same on both ways.
    fn same_term(&self, mine: Term, theirs: Term) -> Option<Term> {
        self.would_meet(mine, theirs, MAX_SEARCH)
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

    /// What differs on either way in slots that are private there, and have escaped
    /// on the other one; returns the other differences of the other way.
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

    /// Adds the differences of the other way.
    fn differences(&mut self, mine: &mut Memory, theirs: &[Place]) {
        for place in theirs {
            let place = self.import_place(*place);
            self.changed |= mine.open(self.terms, place);
        }
    }

    fn has_name(&self, theirs: Term) -> bool {
        self.terms.is_closed(theirs) || self.imports.contains_key(&theirs)
    }

    /// What a term of the other way is called here. It may stand for anything
    /// on this way.
    fn import(&mut self, theirs: Term) -> Term {
        if self.terms.is_closed(theirs) {
            // It means the same on both ways, whatever else it has met.
            return theirs;
        }
        if let Some(known) = self.imports.get(&theirs) {
            return *known;
        }
        let imported = match self.terms.node(theirs).clone() {
            Node::Const(_) | Node::Slot(_) | Node::Shared(..) => theirs,
            Node::Plus(base, by) => {
                let base = self.import(base);
                self.terms.plus(base, by)
            }
            Node::Leaf | Node::Bits(..) | Node::Cast(_) | Node::Op(..) => {
                let taint: SlotSet = self.terms.taint(theirs);
                let within = self.terms.within(theirs);
                self.terms.leaf(self.terms.ty(theirs), taint, within)
            }
        };
        self.imports.insert(theirs, imported);
        imported
    }

    /// Keeps the conditions that are known on both ways.
    pub fn assumed(&mut self, mine: &mut Vec<(Term, bool)>, theirs: &[(Term, bool)]) {
        let before = std::mem::take(mine);
        for (condition, holds) in &before {
            let same = first_pair(&(*condition, *holds), theirs, |x, y| {
                let is_one = x.1 == y.1;
                is_one.then(|| self.same_term(x.0, y.0)).flatten()
            });
            mine.extend(same.map(|(_, condition)| (condition, *holds)));
        }
        self.changed |= *mine != before;
    }

    /// What two terms would become, if that takes no new name, looking so deep
    /// into them.
    fn would_meet(&self, mine: Term, theirs: Term, depth: u8) -> Option<Term> {
        if let Some(met) = self.met(mine, theirs) {
            return Some(met);
        }
        let depth = depth.checked_sub(1)?;
        if self.terms.ty(mine) != self.terms.ty(theirs) {
            return None;
        }
        let is_kept = |x: Term, y: Term| self.would_meet(x, y, depth) == Some(x);
        match (self.terms.node(mine), self.terms.node(theirs)) {
            (Node::Plus(a, by), Node::Plus(b, other)) if by == other => {
                is_kept(*a, *b).then_some(mine)
            }
            (Node::Bits(a, low), Node::Bits(b, other)) if low == other => {
                is_kept(*a, *b).then_some(mine)
            }
            (Node::Cast(a), Node::Cast(b)) => is_kept(*a, *b).then_some(mine),
            (Node::Op(skeleton, index, xs), Node::Op(other, other_index, ys))
                if skeleton == other && index == other_index =>
            {
                let mut pairs = xs.iter().zip(ys);
                pairs.all(|(x, y)| is_kept(*x, *y)).then_some(mine)
            }
            _ => None,
        }
    }
}

/// What `mine` and one of `theirs` have in common, and which one that is; first
/// of all one that is the same.
fn first_pair<T: PartialEq, M>(
    mine: &T,
    theirs: &[T],
    meet: impl Fn(&T, &T) -> Option<M>,
) -> Option<(usize, M)> {
    let pair = |at: usize| Some((at, meet(mine, &theirs[at])?));
    let same = theirs.iter().position(|other| other == mine);
    let met = same.and_then(pair);
    met.or_else(|| (0..theirs.len()).find_map(pair))
}
