//! The meet of values that are put together from parts, and of parts of others.
//!
//! A path that has stored a word by bytes knows each of them, and another one may know the same bytes as
//! a part of something wider, or in another type. What they become has to be said of the parts, so that
//! whatever either path reads of the word is what the parts have become.
//!
//! ```text
//! one path     x | y << 8       v + 0: x, v + 1: y
//! another one  x                v + 0: x, v + 1: 0
//! met          x | z << 8       v + 0: x, v + 1: z       (z: a leaf, for y and 0)
//! ```

use super::meet::Meet;
use super::state::MAX_HEIGHT;
use super::terms::{Node, Term, Terms};
use super::vectors::is_vector;
use cranelift_codegen::ir::types::{I8, I64, I128};
use cranelift_codegen::ir::{Opcode, Type};
use smallvec::SmallVec;

/// Pairs that are looked at for one of which another one may be a part.
const MAX_WIDER: usize = 64;

impl Meet<'_> {
    /// What two values become of which one or both are the bits of a value of another type. They meet as what
    /// both are the bits of, or else as integers, whatever type they are read as: what is one value
    /// stays one.
    pub(super) fn as_one_type(&mut self, mine: Term, theirs: Term) -> Option<Term> {
        let ty = self.terms.ty(mine);
        let inner = |terms: &Terms, term: Term| match *terms.node(term) {
            Node::Cast(inner) => Some(terms.ty(inner)),
            _ => None,
        };
        let both = [mine, theirs].map(|term| inner(self.terms, term));
        let one = match both {
            [None, None] => return None,
            [Some(x), Some(y)] if x == y => x,
            _ => Type::int(ty.bits() as u16).filter(|one| *one != ty)?,
        };
        let [x, y] = [mine, theirs].map(|term| self.terms.cast(term, one));
        let met = self.meet(x, y);
        Some(self.terms.cast(met, ty))
    }

    /// What two values of one type become, if they are put together from parts, or are parts of two
    /// that have met.
    pub(super) fn in_parts(&mut self, mine: Term, theirs: Term) -> Option<Term> {
        if mine == theirs {
            return None;
        }
        let met = self.part_of_a_pair(mine, theirs);
        let met = met.or_else(|| self.halves(mine, theirs));
        met.or_else(|| self.sums(mine, theirs))
    }

    /// Two values that are the bits of two others that have met, from one on: the bits
    /// of what those have become. So a value that is stored in part is what the
    /// memory holds, whatever it was on each path.
    fn part_of_a_pair(&mut self, mine: Term, theirs: Term) -> Option<Term> {
        let ty = self.terms.ty(mine);
        if !(ty.is_int() || ty.is_float()) || ty.bits() >= 64 {
            return None;
        }
        let integer = Type::int(ty.bits() as u16)?;
        let [mine, theirs] = [mine, theirs].map(|term| self.terms.cast(term, integer));
        for at in 0..self.pairs().min(MAX_WIDER) {
            let (x, y) = self.pair(at)?;
            let places = places(self.terms, (mine, x), (theirs, y));
            let mut places = places.into_iter().filter(|low| {
                is_part(self.terms, mine, x, *low) && is_part(self.terms, theirs, y, *low)
            });
            if let Some(low) = places.next() {
                let whole = self.met(x, y)?;
                let part = self.terms.bits(whole, low, integer);
                return Some(self.terms.cast(part, ty));
            }
        }
        None
    }

    /// Two values of 128 bits of which one is put together from halves: what the halves become, so
    /// that each is what memory holds of it, whatever the other is.
    fn halves(&mut self, mine: Term, theirs: Term) -> Option<Term> {
        let ty = self.terms.ty(mine);
        if ty.bits() != 128 || !(ty.is_int() || is_vector(ty)) {
            return None;
        }
        let [mine, theirs] = [mine, theirs].map(|term| self.terms.cast(term, I128));
        let is_split = |term: Term| match self.terms.node(term) {
            Node::Op(data, 0, _) => data.opcode() == Opcode::Iconcat,
            _ => false,
        };
        if !is_split(mine) && !is_split(theirs) {
            return None;
        }
        let [low, high] = [0, 64].map(|at| {
            let [mine, theirs] = [mine, theirs].map(|term| self.terms.bits(term, at, I64));
            self.meet(mine, theirs)
        });
        let both = self.terms.concat(low, high);
        Some(self.terms.cast(both, ty))
    }

    /// Two integers of which the bytes are those of others, and that are not put together alike: what the
    /// parts become that both have. In a loop parts could become smaller and smaller.
    fn sums(&mut self, mine: Term, theirs: Term) -> Option<Term> {
        let ty = self.terms.ty(mine);
        let is_one = is_sum(self.terms, mine) || is_sum(self.terms, theirs);
        if !is_one || self.only_fewer || are_alike(self.terms, mine, theirs) {
            return None;
        }
        let both = [mine, theirs].map(|term| bytes_of(self.terms, term, ty));
        let [Some(mine), Some(theirs)] = both else {
            return None;
        };
        let mut bytes = Vec::new();
        while bytes.len() < mine.len() {
            let (x, y) = self.longest(&mine, &theirs, bytes.len())?;
            let part = self.meet(x, y);
            for low in (0..self.terms.ty(part).bits()).step_by(8) {
                bytes.push(self.terms.bits(part, low, I8));
            }
        }
        let met = self.terms.of_bytes(&bytes, ty);
        (self.terms.height(met) <= MAX_HEIGHT).then_some(met)
    }

    /// The parts of two integers of these bytes that begin at one of them, the longest that both have
    /// and that are not all. Of constants that differ a byte may be in one part with others on another path.
    fn longest(&mut self, mine: &[Term], theirs: &[Term], at: usize) -> Option<(Term, Term)> {
        for count in [4, 2].into_iter().filter(|count| *count < mine.len()) {
            let ty = Type::int(8 * count as u16)?;
            let bytes = [mine, theirs].map(|all| all.get(at..at + count));
            let parts = bytes.map(|bytes| self.terms.together(bytes?, ty));
            if let [Some(x), Some(y)] = parts {
                let is_constant = |part: Term| self.terms.constant(part).is_some();
                if x == y || !is_constant(x) || !is_constant(y) {
                    return Some((x, y));
                }
            }
        }
        mine.get(at).copied().zip(theirs.get(at).copied())
    }
}

/// The bits from which on the first value of each pair may be bits of the second one. What is spelled so is in one
/// place; a constant may be a part of another one in several.
fn places(terms: &Terms, (mine, x): (Term, Term), (theirs, y): (Term, Term)) -> SmallVec<[u32; 8]> {
    let (part, whole) = (terms.ty(mine), terms.ty(x));
    if !whole.is_int() || whole != terms.ty(y) || whole.bits() <= part.bits() {
        return SmallVec::new();
    }
    let spelled = place_in(terms, mine, x);
    if let Some(low) = spelled.or_else(|| place_in(terms, theirs, y)) {
        return SmallVec::from_slice(&[low]);
    }
    let is_constant = |term: Term| terms.constant(term).is_some();
    let is_known = |whole: Term| is_constant(whole) || is_sum(terms, whole);
    if (is_constant(mine) || is_constant(theirs)) && is_known(x) && is_known(y) {
        return (0..=whole.bits() - part.bits()).step_by(8).collect();
    }
    SmallVec::new()
}

/// Where `part` lies in `whole`, if it is spelled as bits of it.
fn place_in(terms: &Terms, part: Term, whole: Term) -> Option<u32> {
    match (terms.node(part), terms.node(whole)) {
        (Node::Bits(inner, at), _) if *inner == whole => Some(*at),
        (Node::Bits(inner, at), Node::Bits(other, low)) if inner == other => at.checked_sub(*low),
        (_, Node::Op(data, 0, args)) => {
            let extends = matches!(data.opcode(), Opcode::Uextend | Opcode::Sextend);
            (extends && args[0] == part).then_some(0)
        }
        _ => None,
    }
}

/// Is `part` the bits of `whole`, an integer, from `low` on?
fn is_part(terms: &mut Terms, part: Term, whole: Term, low: u32) -> bool {
    let ty = terms.ty(part);
    low + ty.bits() <= terms.ty(whole).bits() && terms.bits(whole, low, ty) == part
}

/// Is it an integer that may be put together from others?
fn is_sum(terms: &Terms, term: Term) -> bool {
    let ty = terms.ty(term);
    match terms.node(term) {
        Node::Op(data, 0, _) if ty.is_int() && ty.bits() <= 64 => {
            matches!(data.opcode(), Opcode::Bor | Opcode::Ishl | Opcode::Uextend)
        }
        _ => false,
    }
}

/// Are two sums put together in the same manner from parts of the same types?
fn are_alike(terms: &Terms, mine: Term, theirs: Term) -> bool {
    let is_whole = |term: Term| {
        !is_sum(terms, term) && !is_masked(terms, term) && terms.constant(term).is_none()
    };
    if is_whole(mine) || is_whole(theirs) {
        return terms.ty(mine) == terms.ty(theirs);
    }
    match (terms.node(mine), terms.node(theirs)) {
        (Node::Op(skeleton, 0, xs), Node::Op(other, 0, ys)) if skeleton == other => {
            let mut pairs = xs.iter().zip(ys);
            pairs.all(|(x, y)| match terms.constant(*x).or(terms.constant(*y)) {
                Some(_) => x == y,
                None => are_alike(terms, *x, *y),
            })
        }
        _ => false,
    }
}

/// Is it an integer of which some bits are taken?
fn is_masked(terms: &Terms, term: Term) -> bool {
    match terms.node(term) {
        Node::Op(data, 0, args) => {
            data.opcode() == Opcode::Band && terms.constant(args[1]).is_some()
        }
        _ => false,
    }
}

/// The bytes of an integer that is put together from others, or a constant.
fn bytes_of(terms: &mut Terms, term: Term, ty: Type) -> Option<Vec<Term>> {
    if terms.constant(term).is_some() {
        let bytes = (0..ty.bytes()).map(|at| terms.bits(term, 8 * at, I8));
        return Some(bytes.collect());
    }
    terms.bytes_of_others(term, 0, ty)
}
