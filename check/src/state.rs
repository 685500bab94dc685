//! What is known at one point of both runs.
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
//! paths stay equal, whatever they are. If the names of the first state will do
//! for the second, nothing changes, and the walk need not come again.

use super::memory::Memory;
use super::place::Place;
use super::slot_set::SlotSet;
use super::terms::{Term, Terms};
use cranelift_codegen::FxHashMap;
use cranelift_codegen::ir::Value;

/// How deep terms are kept where paths meet; deeper ones become leaves.
///
/// It bounds the work and the depth of recursion at a join. What is given up
/// is that two values that were computed in the same manner long before are equal
/// in parts.
pub const MAX_HEIGHT: u8 = 6;

/// What is known at one point of both runs.
#[derive(Clone, Debug)]
pub struct State {
    /// The live values of both functions.
    pub values: [Vec<(Value, Term)>; 2],
    /// Both memories.
    pub memory: Memory,
    /// Conditions that are known to be true or false.
    pub assumed: Vec<(Term, bool)>,
    /// How often it has been met. See [`MAX_MEETS`].
    pub meets: u8,
}

impl State {
    /// How much room it takes.
    pub fn size(&self) -> usize {
        let values: usize = self.values.iter().map(Vec::len).sum();
        let memory = &self.memory;
        let memory = memory.facts.len()
            + memory.differences.len()
            + memory.in_private.len()
            + memory.buffers.size()
            + memory.balance.size();
        values + memory + self.assumed.len() + 1
    }

    /// Do the memories differ in a private slot that is known to the outside on the other path,
    /// because it has escaped there, or because a value there may be its address
    /// that is none here? Met, the two would be a slot that anyone may know and
    /// that differs.
    ///
    /// Cost: O(values), and nothing if the memories do not differ.
    pub fn would_expose(&self, terms: &Terms, other: &Self) -> bool {
        let memory = &self.memory;
        if memory.differences.is_empty() {
            return false;
        }
        let named = || self.slots_named_by(terms, other);
        memory.would_expose(terms, other.memory.escaped) || memory.would_expose(terms, named())
    }

    /// The slots of which a value on the other path may be an address, and is none
    /// on this one.
    fn slots_named_by(&self, terms: &Terms, other: &Self) -> SlotSet {
        let both = self.values.iter().flatten();
        let both = both.zip(other.values.iter().flatten());
        both.fold(SlotSet::default(), |all, ((_, mine), (_, theirs))| {
            all.and(terms.taint(*theirs).without(terms.taint(*mine)))
        })
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
            cut.place(&mut fact.place);
            fact.value = cut.lower(fact.value);
        }
        let buffers = &mut memory.buffers;
        let places = memory.differences.iter_mut().chain(&mut buffers.apart);
        places.for_each(|place| cut.place(place));
        for store in buffers.stores.iter_mut().flatten() {
            cut.place(&mut store.place);
            store.value = cut.lower(store.value);
        }
        let balance = &mut memory.balance;
        for (place, value, _) in balance.ahead.iter_mut().chain(&mut balance.credit) {
            cut.place(place);
            *value = value.map(|value| cut.lower(value));
        }
        self.assumed
            .retain(|(condition, _)| cut.terms.height(*condition) <= MAX_HEIGHT);
    }
}

/// Replaces high terms by leaves.
struct Cut<'t> {
    terms: &'t mut Terms,
    known: FxHashMap<Term, Term>,
}

impl Cut<'_> {
    fn place(&mut self, place: &mut Place) {
        place.root = place.root.map(|root| self.lower(root));
    }

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
