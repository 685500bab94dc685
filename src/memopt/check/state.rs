//! What is known where ways meet, and how two of them are met.
//!
//! A [`State`] gives terms to the values that are live at a point of both runs
//! and to what the memories hold. Its leaves are names that mean something at
//! that point only: there *are* values for them such that the state describes
//! the runs. So no name can be taken for what it stood for in another
//! iteration.
//!
//! Two states meet in their least general generalization (Plotkin, 1970): what
//! is the same operation in both stays one, and each pair of terms that differ
//! becomes a new leaf, the same for the same pair. Values that are equal on all
//! ways stay equal, whatever they are. If the names of the first state will do
//! for the second, nothing changes, and the walk need not come again.

use super::memory::{Fact, Memory, Pending, Place, Side};
use super::terms::{Node, SlotSet, Term, Terms};
use crate::FxHashMap;
use crate::ir::Value;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// How deep terms are kept where ways meet; deeper ones become leaves.
///
/// It bounds the work and the depth of recursion at a meeting. What is given up
/// is that two values that were computed in the same way long before are equal
/// in parts.
const MAX_HEIGHT: u8 = 12;

/// What is known at one point of both runs.
#[derive(Clone, Debug)]
pub struct State {
    /// The live values of both functions.
    pub values: [Vec<(Value, Term)>; 2],
    /// Both memories.
    pub memory: Memory,
    /// Conditions that are known to be true or false.
    pub assumed: Vec<(Term, bool)>,
}

impl State {
    /// How much room it takes.
    pub fn size(&self) -> usize {
        let values: usize = self.values.iter().map(Vec::len).sum();
        let memory = self.memory.facts.len() + self.memory.differences.len();
        values + memory + self.assumed.len() + 1
    }

    /// Prepares the first state at a point.
    pub fn settle(&mut self, terms: &mut Terms) {
        let mut cut = Cut {
            terms,
            known: FxHashMap::default(),
        };
        for side in &mut self.values {
            for (_, term) in side {
                *term = cut.lower(*term);
            }
        }
        let memory = &mut self.memory;
        for fact in &mut memory.facts {
            fact.place.root = fact.place.root.map(|root| cut.lower(root));
            fact.value = cut.lower(fact.value);
        }
        for place in &mut memory.differences {
            place.root = place.root.map(|root| cut.lower(root));
        }
        for (place, value) in &mut memory.ahead {
            place.root = place.root.map(|root| cut.lower(root));
            *value = value.map(|value| cut.lower(value));
        }
        for pending in memory.queue.iter_mut().flatten() {
            pending.place.root = pending.place.root.map(|root| cut.lower(root));
            pending.value = cut.lower(pending.value);
        }
        for (place, value) in &mut memory.spare {
            place.root = place.root.map(|root| cut.lower(root));
            *value = value.map(|value| cut.lower(value));
        }
        self.assumed
            .retain(|(condition, _)| cut.terms.height(*condition) <= MAX_HEIGHT);
    }

    /// Meets `other` into `self`, where the same values are live; has anything
    /// changed?
    pub fn meet(&mut self, terms: &mut Terms, other: &State) -> bool {
        let mut meeting = Meeting {
            terms,
            names: FxHashMap::default(),
            pairs: FxHashMap::default(),
            imports: FxHashMap::default(),
            changed: false,
        };
        for side in Side::BOTH {
            let both = self.values[side as usize]
                .iter_mut()
                .zip(&other.values[side as usize]);
            for ((value, mine), (other_value, theirs)) in both {
                debug_assert_eq!(value, other_value);
                *mine = meeting.meet(*mine, *theirs);
            }
        }
        meeting.memory(&mut self.memory, &other.memory);
        meeting.assumed(&mut self.assumed, &other.assumed);
        meeting.changed
    }
}

/// Replaces high terms by leaves.
struct Cut<'t> {
    terms: &'t mut Terms,
    known: FxHashMap<Term, Term>,
}

impl Cut<'_> {
    fn lower(&mut self, term: Term) -> Term {
        if self.terms.height(term) <= MAX_HEIGHT {
            return term;
        }
        if let Some(leaf) = self.known.get(&term) {
            return *leaf;
        }
        let (ty, taint) = (self.terms.ty(term), self.terms.taint(term));
        let leaf = self.terms.leaf(ty, taint, self.terms.within(term));
        self.known.insert(term, leaf);
        leaf
    }
}

struct Meeting<'t> {
    terms: &'t mut Terms,
    /// What each leaf of the first state stands for in the second.
    names: FxHashMap<Term, Term>,
    /// What each pair of terms has become.
    pairs: FxHashMap<(Term, Term), Term>,
    /// What terms of the second state are called in the result.
    imports: FxHashMap<Term, Term>,
    changed: bool,
}

impl Meeting<'_> {
    /// The generalization of a pair. The first term is not high.
    fn meet(&mut self, mine: Term, theirs: Term) -> Term {
        if let Some(known) = self.pairs.get(&(mine, theirs)) {
            return *known;
        }
        let met = self.generalize(mine, theirs);
        self.pairs.insert((mine, theirs), met);
        self.imports.entry(theirs).or_insert(met);
        met
    }

    fn generalize(&mut self, mine: Term, theirs: Term) -> Term {
        if self.terms.ty(mine) != self.terms.ty(theirs) {
            return self.new_leaf(mine, theirs);
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
    fn met(&self, mine: Term, theirs: Term) -> Option<Term> {
        if let Some(known) = self.pairs.get(&(mine, theirs)) {
            return Some(*known);
        }
        let closed = matches!(
            self.terms.node(mine),
            Node::Const(_) | Node::Slot(_) | Node::Shared(..)
        );
        (closed && mine == theirs).then_some(mine)
    }

    fn memory(&mut self, mine: &mut Memory, theirs: &Memory) {
        let before = (mine.escaped, mine.hidden, mine.forgot);
        mine.escape(theirs.escaped);
        for side in Side::BOTH {
            let hidden = theirs.hidden[side as usize];
            mine.hidden[side as usize] = mine.hidden[side as usize].and(hidden);
        }
        mine.forgot |= theirs.forgot;
        self.changed |= before != (mine.escaped, mine.hidden, mine.forgot);
        self.facts(mine, theirs);
        self.differences(mine, theirs);
        if let Some(queue) = &mine.queue
            && !self.is_same_queue(queue, theirs.queue.as_deref())
        {
            self.changed = true;
            mine.queue = None;
        }
        let spare = mine.spare.len();
        mine.spare.retain(|(place, value)| {
            let mut theirs = theirs.spare.iter();
            theirs.any(|(other, stored)| {
                let same = match (value, stored) {
                    (Some(x), Some(y)) => self.met(*x, *y) == Some(*x),
                    (None, None) => true,
                    (Some(_), None) | (None, Some(_)) => false,
                };
                same && self.is_same_place(place, other)
            })
        });
        self.changed |= mine.spare.len() != spare;
        for (place, value) in &theirs.ahead {
            let root = place.root.map(|root| self.import(root));
            let value = value.map(|value| self.import(value));
            let entry = (Place { root, ..*place }, value);
            if !mine.ahead.contains(&entry) {
                self.changed = true;
                mine.ahead.push(entry);
            }
        }
    }

    /// Keeps the facts that hold on both ways.
    fn facts(&mut self, mine: &mut Memory, theirs: &Memory) {
        let mut by_shape: FxHashMap<Shape, Vec<&Fact>> = FxHashMap::default();
        for fact in &theirs.facts {
            let shape = Shape::of(self.terms, fact);
            by_shape.entry(shape).or_default().push(fact);
        }
        let mut kept: Vec<Option<Fact>> = alloc::vec![None; mine.facts.len()];
        let mut more = Vec::new();
        // A value that is known to be in memory may be the address of others.
        loop {
            let pairs = self.pairs.len();
            for (at, fact) in mine.facts.iter().enumerate() {
                if kept[at].is_some() {
                    continue;
                }
                let candidates = by_shape.get(&Shape::of(self.terms, fact));
                for other in candidates.into_iter().flatten() {
                    let Some(met) = self.fact(fact, other) else {
                        continue;
                    };
                    match kept[at] {
                        None => kept[at] = Some(met),
                        Some(_) => more.push(met),
                    }
                }
            }
            if self.pairs.len() == pairs {
                break;
            }
        }
        // In the order that they had, so that the result does not depend on it.
        let before = core::mem::take(&mut mine.facts);
        for (old, new) in before.iter().zip(kept) {
            match new {
                Some(new) => {
                    self.changed |= !is_same(old, &new);
                    mine.facts.push(new);
                }
                None => self.changed = true,
            }
        }
        for fact in more {
            if mine.facts.iter().all(|old| !is_same(old, &fact)) && mine.facts.len() < before.len()
            {
                mine.facts.push(fact);
            }
        }
    }

    /// Are two places one, under the name that the first one has?
    fn is_same_place(&self, mine: &Place, theirs: &Place) -> bool {
        let same_root = match (mine.root, theirs.root) {
            (Some(x), Some(y)) => self.met(x, y) == Some(x),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_root && mine.range == theirs.range && mine.class == theirs.class
    }

    fn is_same_queue(&self, mine: &[Pending], theirs: Option<&[Pending]>) -> bool {
        theirs.is_some_and(|theirs| {
            let mut pairs = mine.iter().zip(theirs);
            mine.len() == theirs.len()
                && pairs.all(|(x, y)| {
                    self.is_same_place(&x.place, &y.place)
                        && x.order == y.order
                        && self.met(x.value, y.value) == Some(x.value)
                })
        })
    }

    fn fact(&mut self, mine: &Fact, theirs: &Fact) -> Option<Fact> {
        let sides = mine.sides & theirs.sides;
        if sides == 0 {
            return None;
        }
        let root = self.met(mine.place.root?, theirs.place.root?)?;
        let class = match (mine.place.class, theirs.place.class) {
            (Some(x), Some(y)) if x != y => return None,
            (Some(x), Some(_)) => Some(x),
            (None, _) | (_, None) => None,
        };
        let value = self.meet(mine.value, theirs.value);
        let mut except = mine.except.clone();
        for class in &theirs.except {
            if !except.contains(class) {
                except.push(*class);
            }
        }
        Some(Fact {
            place: Place {
                root: Some(root),
                class,
                ..mine.place
            },
            value,
            sides,
            readonly: mine.readonly | theirs.readonly,
            outlived: mine.outlived | theirs.outlived,
            stored: mine.stored & theirs.stored,
            order: mine.order,
            except,
        })
    }

    /// Adds the differences of the other way.
    fn differences(&mut self, mine: &mut Memory, theirs: &Memory) {
        for place in &theirs.differences {
            let mut place = *place;
            if let Some(root) = place.root {
                let has_name = self.has_name(root) || self.terms.within(root).is_some();
                // Nobody can name that address any more: it is anywhere.
                place.root = has_name.then(|| self.import(root));
                place.range = place.range.filter(|_| has_name);
            }
            self.changed |= mine.open(self.terms, place);
        }
    }

    fn has_name(&self, theirs: Term) -> bool {
        let closed = matches!(
            self.terms.node(theirs),
            Node::Const(_) | Node::Slot(_) | Node::Shared(..)
        );
        closed || self.imports.contains_key(&theirs)
    }

    /// What a term of the other way is called here. It may stand for anything
    /// on this way.
    fn import(&mut self, theirs: Term) -> Term {
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
    fn assumed(&mut self, mine: &mut Vec<(Term, bool)>, theirs: &[(Term, bool)]) {
        let before = mine.len();
        mine.retain(|(condition, holds)| {
            let mut theirs = theirs.iter();
            theirs.any(|other| {
                other.1 == *holds && self.would_meet(*condition, other.0) == Some(*condition)
            })
        });
        self.changed |= mine.len() != before;
    }

    /// What two terms would become, if that takes no new name.
    fn would_meet(&self, mine: Term, theirs: Term) -> Option<Term> {
        if let Some(met) = self.met(mine, theirs) {
            return Some(met);
        }
        match (self.terms.node(mine), self.terms.node(theirs)) {
            (Node::Plus(a, by), Node::Plus(b, other)) if by == other => {
                (self.would_meet(*a, *b)? == *a).then_some(mine)
            }
            (Node::Op(skeleton, index, xs), Node::Op(other, other_index, ys))
                if skeleton == other && index == other_index =>
            {
                let mut pairs = xs.iter().zip(ys);
                let same = pairs.all(|(x, y)| self.would_meet(*x, *y) == Some(*x));
                same.then_some(mine)
            }
            _ => None,
        }
    }
}

/// What two facts have to have in common to be about the same bytes.
#[derive(PartialEq, Eq, Hash)]
struct Shape {
    range: Option<(i64, u32)>,
    ty: crate::ir::Type,
    little: bool,
}

impl Shape {
    fn of(terms: &Terms, fact: &Fact) -> Self {
        Self {
            range: fact.place.range,
            ty: terms.ty(fact.value),
            little: fact.order == crate::ir::Endianness::Little,
        }
    }
}

fn is_same(a: &Fact, b: &Fact) -> bool {
    let flags = |fact: &Fact| (fact.sides, fact.readonly, fact.outlived, fact.stored);
    a.place == b.place
        && a.value == b.value
        && a.order == b.order
        && a.except == b.except
        && flags(a) == flags(b)
}
