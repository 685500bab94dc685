//! The facts about memory that two states have in common.

use super::fact::{Extent, Fact, MAX_FACTS, narrowed};
use super::meet::Meet;
use super::memory::Memory;
use super::place::{Place, distance};
use super::terms::{Term, Terms};
use cranelift_codegen::ir::Type;

use smallvec::SmallVec;

/// Bytes that no fact is wider than.
const WIDEST: i64 = 64;

/// Facts by root and offset: the numbers that they have in their list.
struct Sorted(Vec<(Term, i64, usize)>);

impl Sorted {
    /// Sorts those that have both.
    fn new(facts: &[Fact]) -> Self {
        let key =
            |(index, fact): (usize, &Fact)| Some((fact.place.root?, fact.place.range?.0, index));
        let mut sorted: Vec<_> = facts.iter().enumerate().filter_map(key).collect();
        sorted.sort_unstable();
        Self(sorted)
    }

    /// Those about `root` that begin in front of one offset and not in front of
    /// another.
    fn between(&self, root: Term, from: i64, to: i64) -> impl Iterator<Item = usize> + Clone + '_ {
        let first = self
            .0
            .partition_point(|(other, at, _)| (*other, *at) < (root, from));
        let here = self.0[first..].iter();
        let here = here.take_while(move |(other, at, _)| (*other, *at) < (root, to));
        here.map(|(_, _, index)| *index)
    }

    /// Those about `root`.
    fn of(&self, root: Term) -> impl Iterator<Item = usize> + Clone + '_ {
        self.between(root, i64::MIN, i64::MAX)
    }

    /// Those about `root` that may have bytes in common with `range`.
    fn near(&self, root: Term, range: (i64, u32)) -> impl Iterator<Item = usize> + Clone + '_ {
        let end = range.0.saturating_add(range.1.into());
        self.between(root, range.0.saturating_sub(WIDEST), end)
    }
}

impl Meet<'_> {
    /// Keeps the facts that hold on both paths.
    ///
    /// Two places are one if their roots have met, and what is known to be in
    /// memory may be the root of others. Each pair of facts whose roots have met
    /// is looked at once.
    pub fn facts(&mut self, mine: &mut Memory, theirs: &Memory) {
        let before = std::mem::take(&mut mine.facts);
        if !theirs.facts.is_empty() {
            mine.facts = self.common_facts(&before, &theirs.facts);
        }
        let mut both = before.iter().zip(&mine.facts);
        let same = before.len() == mine.facts.len() && both.all(|(old, new)| is_same(old, new));
        self.changed |= !same;
    }

    fn common_facts(&mut self, mine: &[Fact], theirs: &[Fact]) -> Vec<Fact> {
        let (of_mine, of_theirs) = (Sorted::new(mine), Sorted::new(theirs));
        for root in mine.iter().filter_map(|fact| fact.place.root) {
            if self.terms.is_closed(root) {
                self.meet(root, root);
            }
        }
        let mut met: Vec<Met> = vec![SmallVec::new(); mine.len()];
        let mut at = 0;
        loop {
            let Some((root, other)) = self.pair(at) else {
                match self.pair_computed_roots(mine, &of_theirs) {
                    true => continue,
                    false => break,
                }
            };
            at += 1;
            for index in of_mine.of(root) {
                let Some(range) = mine[index].place.range else {
                    continue;
                };
                let others = of_theirs.near(other, range).map(|other| &theirs[other]);
                let same = of_mine.between(root, range.0, range.0.saturating_add(1));
                // What it was before a store of some classes is known already.
                let is_split = mine[index].except.is_empty() && { same }
                    .any(|same| !mine[same].except.is_empty());
                self.one_fact(&mine[index], others, is_split, &mut met[index]);
            }
            let lists = [(mine, &of_mine), (theirs, &of_theirs)];
            self.facts_ahead((root, other), lists, &mut met);
        }
        in_order(met, mine.len())
    }

    /// Meets the facts behind two pointers that have met, of which one is some bytes ahead of the root
    /// that its facts have: one that came round a loop, say. What has met is the root of what
    /// they have in common.
    fn facts_ahead(
        &mut self,
        (root, other): (Term, Term),
        [(mine, of_mine), (theirs, of_theirs)]: [(&[Fact], &Sorted); 2],
        met: &mut [Met],
    ) {
        let ((base, by), (other_base, other_by)) = (self.terms.base(root), self.terms.base(other));
        // Both as far ahead, their bases have met instead.
        if by == other_by {
            return;
        }
        let theirs: Vec<Fact> = of_theirs
            .of(other_base)
            .filter_map(|index| seen_from(self.terms, &theirs[index], other, other_by))
            .collect();
        if theirs.is_empty() {
            return;
        }
        for index in of_mine.of(base) {
            if self.only_fewer && !met[index].is_empty() {
                continue;
            }
            if let Some(fact) = seen_from(self.terms, &mine[index], root, by)
                && let Some(range) = fact.place.range
            {
                let is_near = |other: &&Fact| other.place.range.is_some_and(|it| meets(it, range));
                let others = theirs.iter().filter(is_near);
                self.one_fact(&fact, others, true, &mut met[index]);
            }
        }
    }

    /// Meets roots that no live value names, but that are computed from terms that have
    /// met, in the same manner on both paths: an address that either path computes
    /// for itself. Were there any?
    fn pair_computed_roots(&mut self, mine: &[Fact], theirs: &Sorted) -> bool {
        let first = self.first_pairs();
        let before = first.len();
        for root in mine.iter().filter_map(|fact| fact.place.root) {
            if !first.contains_key(&root)
                && let Some(other) = self.counterpart(root, &first)
                && theirs.of(other).next().is_some()
            {
                self.meet(root, other);
            }
        }
        self.first_pairs().len() > before
    }

    /// What remains of a fact, given those of the other path about the same root.
    ///
    /// Of the same bytes, what is called the same on both paths comes first, and
    /// others only if they say more: of the other memory, or of more classes.
    /// A fact that is `split` has another one beside it that says what the place
    /// held before a store of some classes; it does not get one more.
    fn one_fact<'f>(
        &mut self,
        fact: &Fact,
        others: impl Iterator<Item = &'f Fact> + Clone,
        is_split: bool,
        met: &mut Met,
    ) {
        let is_near = |other: &&Fact| fact.sides & other.sides != 0;
        let others = others.filter(is_near);
        let is_exact = |other: &&Fact| is_same_shape(self.terms, fact, other);
        let mut pairs: SmallVec<[(Fact, Fact); 2]> = SmallVec::new();
        for other in others.clone().filter(is_exact) {
            pairs.push((fact.clone(), other.clone()));
        }
        if pairs.is_empty() && fact.extent == Extent::Whole {
            for other in others.filter(|other| other.extent == Extent::Whole) {
                pairs.extend(self.common_bytes(fact, other));
            }
        }
        pairs.sort_by_key(|(mine, theirs)| {
            let is_new = self.met(mine.value, theirs.value) != Some(mine.value);
            (is_split && !theirs.except.is_empty(), is_new)
        });
        let first = met.len();
        for (mine, theirs) in &pairs {
            if !met[first..].iter().any(|old| says_all(old, mine, theirs)) {
                met.extend(self.fact(mine, theirs));
            }
            if self.only_fewer && met.len() > first {
                return;
            }
        }
    }

    /// Both facts, about the bytes that they share, if those are all of one.
    fn common_bytes(&mut self, mine: &Fact, theirs: &Fact) -> Option<(Fact, Fact)> {
        let (root, range) = (mine.place.root?, mine.place.range?);
        let other_range = theirs.place.range?;
        let (ty, other_ty) = (self.terms.ty(mine.value), self.terms.ty(theirs.value));
        let by = distance(self.terms, root, range.0, other_range.0);
        let of_mine = by <= 0 && by + i64::from(other_range.1) >= i64::from(range.1);
        let (range, order) = match of_mine {
            true => (range, mine.order),
            false => (other_range, theirs.order),
        };
        if ty != other_ty {
            // Read as integers: so a load on one path, of what the other path has
            // stored as another type, is what the fact says.
            let integer = Type::int(8 * u16::try_from(range.1).ok()?);
            let mut read = |fact| narrowed(self.terms, fact, range, integer?, order);
            if let (Some(mine), Some(theirs)) = (read(mine), read(theirs)) {
                return Some((mine, theirs));
            }
        }
        if of_mine {
            let theirs = narrowed(self.terms, theirs, range, ty, order)?;
            return Some((mine.clone(), theirs));
        }
        let mine = narrowed(self.terms, mine, range, other_ty, order)?;
        Some((mine, theirs.clone()))
    }

    fn fact(&mut self, mine: &Fact, theirs: &Fact) -> Option<Fact> {
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
            extent: mine.extent,
            sides: mine.sides & theirs.sides,
            readonly: mine.readonly | theirs.readonly,
            outlived: mine.outlived | theirs.outlived,
            aligned: mine.aligned & theirs.aligned,
            stored: mine.stored & theirs.stored,
            passed: mine.passed.min(theirs.passed),
            order: mine.order,
            except,
        })
    }
}

/// A fact about bytes behind the base of `root`, which is `by` bytes ahead of that, as one about `root`.
fn seen_from(terms: &Terms, fact: &Fact, root: Term, by: i64) -> Option<Fact> {
    let (start, bytes) = fact.place.range?;
    let place = Place {
        root: Some(root),
        range: Some((distance(terms, root, by, start), bytes)),
        ..fact.place
    };
    Some(Fact {
        place,
        ..fact.clone()
    })
}

/// Do two ranges have a byte in common?
fn meets((a, size): (i64, u32), (b, other): (i64, u32)) -> bool {
    a < b.saturating_add(other.into()) && b < a.saturating_add(size.into())
}

/// Does a fact say all that two others have in common? Of one place, another
/// value of which nothing else is known says nothing more; facts would become
/// more and more in a loop.
fn says_all(fact: &Fact, mine: &Fact, theirs: &Fact) -> bool {
    let sides = mine.sides & theirs.sides;
    let excepted = mine.except.len().max(theirs.except.len());
    fact.place.range == mine.place.range
        && fact.sides & sides == sides
        && fact.except.len() <= excepted
        && (!fact.outlived || mine.outlived || theirs.outlived)
        && (!fact.readonly || mine.readonly || theirs.readonly)
        && fact.passed >= mine.passed.min(theirs.passed)
        && (fact.aligned || !mine.aligned || !theirs.aligned)
}

/// What one fact has become: of a wide one, narrower ones may be left.
type Met = SmallVec<[Fact; 1]>;

/// All facts, in the order of those that they come from; more than there were
/// if there is room.
fn in_order(met: Vec<Met>, before: usize) -> Vec<Fact> {
    let mut facts = Vec::with_capacity(before);
    let mut more = Vec::new();
    for met in met {
        let mut met = met.into_iter();
        facts.extend(met.next());
        more.extend(met);
    }
    for fact in more {
        if facts.len() < MAX_FACTS && !facts.iter().any(|old| is_same(old, &fact)) {
            facts.push(fact);
        }
    }
    facts
}

/// Are two facts about as many bytes, read in the same order?
fn is_same_shape(terms: &Terms, a: &Fact, b: &Fact) -> bool {
    a.place.range == b.place.range
        && a.extent == b.extent
        && terms.ty(a.value) == terms.ty(b.value)
        && a.order == b.order
}

fn is_same(a: &Fact, b: &Fact) -> bool {
    let flags = |fact: &Fact| {
        let Fact {
            aligned,
            stored,
            passed,
            ..
        } = *fact;
        (
            fact.sides,
            fact.readonly,
            fact.outlived,
            aligned,
            stored,
            passed,
        )
    };
    a.extent == b.extent
        && a.place == b.place
        && a.value == b.value
        && a.order == b.order
        && a.except == b.except
        && flags(a) == flags(b)
}
