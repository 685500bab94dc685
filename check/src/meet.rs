//! The meet of two terms, see [`super::state`].
//!
//! The order: a state is below another one if every pair of runs that it describes is
//! described by the other one too; the leaves of the upper one may stand for any terms of
//! the lower one. What is met is the least state above both, up to the limits, which can
//! only lead further up.
//!
//! ```text
//!              one leaf for each value, no facts, everything differs
//!                                   |
//!              v1 = x, v2 = x + 8           (x: a leaf)
//!               /                \
//!   v1 = p, v2 = p + 8      v1 = 16, v2 = 24
//! ```

use super::slot_set::SlotSet;
use super::terms::{Node, Term, Terms};
use cranelift_codegen::FxHashMap;

use smallvec::SmallVec;

/// How deep two terms are looked into, to see whether they are the same.
const MAX_SEARCH: u8 = 6;

/// Two states that are being met: `mine`, which becomes the result, and
/// `theirs`.
pub struct Meet<'t> {
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

impl<'t> Meet<'t> {
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

impl Meet<'_> {
    /// The pair that met after so many others.
    pub fn pair(&self, at: usize) -> Option<(Term, Term)> {
        self.log.get(at).copied()
    }

    /// How many pairs have met.
    pub fn pairs(&self) -> usize {
        self.log.len()
    }

    /// Has a pair for which `is_it` is true become `name`?
    pub fn is_name_of(&self, name: Term, is_it: impl Fn(&(Term, Term)) -> bool) -> bool {
        self.is_name_of_first(self.log.len(), name, is_it)
    }

    /// The same of the first `count` pairs alone.
    pub fn is_name_of_first(
        &self,
        count: usize,
        name: Term,
        is_it: impl Fn(&(Term, Term)) -> bool,
    ) -> bool {
        let mut pairs = self.log[..count].iter().filter(|pair| is_it(pair));
        pairs.any(|pair| self.pairs.get(pair) == Some(&name))
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
        let met = self.as_one_type(mine, theirs);
        if let Some(met) = met.or_else(|| self.in_parts(mine, theirs)) {
            self.changed |= met != mine;
            return met;
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
    pub fn met(&self, mine: Term, theirs: Term) -> Option<Term> {
        if let Some(known) = self.pairs.get(&(mine, theirs)) {
            return Some(*known);
        }
        (mine == theirs && self.terms.is_closed(mine)).then_some(mine)
    }

    /// What a term is called if it is the same on both paths.
    pub fn same_term(&self, mine: Term, theirs: Term) -> Option<Term> {
        self.would_meet(mine, theirs, MAX_SEARCH)
    }

    pub fn has_name(&self, theirs: Term) -> bool {
        self.has_name_within(theirs, MAX_SEARCH)
    }

    /// The same, looking so deep into the term.
    fn has_name_within(&self, theirs: Term, depth: u8) -> bool {
        if self.terms.is_closed(theirs) || self.imports.contains_key(&theirs) {
            return true;
        }
        match (self.terms.node(theirs), depth.checked_sub(1)) {
            (Node::Op(_, _, args), Some(depth)) => {
                args.iter().all(|arg| self.has_name_within(*arg, depth))
            }
            _ => false,
        }
    }

    /// What each term of this path has met first.
    pub fn first_pairs(&self) -> FxHashMap<Term, Term> {
        let mut first = FxHashMap::default();
        for (mine, theirs) in &self.log {
            first.entry(*mine).or_insert(*theirs);
        }
        first
    }

    /// What a term of this path is on the other one, if that follows from what its parts have
    /// met `first`.
    pub fn counterpart(&mut self, mine: Term, first: &FxHashMap<Term, Term>) -> Option<Term> {
        self.image(mine, first, MAX_SEARCH)
    }

    /// The same, looking so deep into the term.
    fn image(&mut self, mine: Term, first: &FxHashMap<Term, Term>, depth: u8) -> Option<Term> {
        if let Some(theirs) = first.get(&mine) {
            return Some(*theirs);
        }
        if self.terms.is_closed(mine) {
            return Some(mine);
        }
        let depth = depth.checked_sub(1)?;
        match self.terms.node(mine).clone() {
            Node::Plus(base, by) => {
                let base = self.image(base, first, depth)?;
                Some(self.terms.plus(base, by))
            }
            Node::Op(skeleton, index, args) => {
                let images = args.iter().map(|arg| self.image(*arg, first, depth));
                let images: Option<SmallVec<[Term; 3]>> = images.collect();
                let ty = self.terms.ty(mine);
                Some(self.terms.op(skeleton, index, ty, images?))
            }
            Node::Leaf
            | Node::Const(_)
            | Node::Slot(_)
            | Node::Shared(..)
            | Node::Bits(..)
            | Node::Cast(_) => None,
        }
    }

    /// What a term of the other path is called here. It may stand for anything
    /// on this path.
    pub fn import(&mut self, theirs: Term) -> Term {
        if self.terms.is_closed(theirs) {
            // It means the same on both paths, whatever else it has met.
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
            // The parts stand for the same on the other path, and so does the whole.
            Node::Op(skeleton, index, args) if self.has_name(theirs) => {
                let args: SmallVec<[Term; 3]> = args.iter().map(|arg| self.import(*arg)).collect();
                let ty = self.terms.ty(theirs);
                self.terms.op(skeleton, index, ty, args)
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
pub fn first_pair<T: PartialEq, M>(
    mine: &T,
    theirs: &[T],
    meet: impl Fn(&T, &T) -> Option<M>,
) -> Option<(usize, M)> {
    let pair = |at: usize| Some((at, meet(mine, &theirs[at])?));
    let same = theirs.iter().position(|other| other == mine);
    let met = same.and_then(pair);
    met.or_else(|| (0..theirs.len()).find_map(pair))
}
