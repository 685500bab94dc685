//! What it does to both memories that a range is copied or filled.

use super::fact::{Extent, Fact, Passed, Purpose, keep_bytes, keep_part};
use super::memory::Memory;
use super::place::{Access, Place, distance};
use super::side::Side;
use super::store_buffer::StoreBuffers;
use super::terms::{Term, Terms};
use cranelift_codegen::ir::{Endianness, Type, types};
use smallvec::SmallVec;

/// Bytes of a range that are known one word after the other. Of a longer one nothing is known but
/// where it may differ and what fills it, and a proof that would need more has met a limit.
const MAX_KNOWN: u32 = 256;

/// What is written to a range.
#[derive(Clone, Copy, Debug)]
pub enum Written {
    /// The bytes of this place.
    Copy(Place),
    /// This byte, again and again.
    Fill(Term),
}

impl Memory {
    /// Both runs write the same to `to`, or copy to it what each finds.
    pub fn transfer_both(
        &mut self,
        terms: &mut Terms,
        order: Endianness,
        to: Place,
        written: Written,
    ) {
        let sides = Side::Original.bit() | Side::Result.bit();
        let learnt = self.learnt_from(terms, order, to, written, sides);
        self.forgot |= is_long(&to) && matches!(written, Written::Copy(_));
        let differs = match written {
            Written::Copy(from) => self.differs_at(terms, &from),
            Written::Fill(_) => false,
        };
        self.keep_no_order_of(terms, to, written);
        self.forget_overwritten_in_both(terms, &to, |_| false);
        match differs {
            true => {
                self.open(terms, to);
            }
            false if to.range.is_some() => self.close(terms, &to),
            false => {}
        }
        self.add(learnt);
        if self.are_equal() {
            self.buffers = StoreBuffers::default();
        }
    }

    /// The original copies from `from` to `to`, and the result from `other`; are both known to
    /// find the same?
    pub fn transfer_from_each(
        &mut self,
        terms: &mut Terms,
        order: Endianness,
        to: Place,
        [from, other]: [Place; 2],
    ) -> bool {
        let (mine, theirs, words) = (words_of(&from), words_of(&other), words_of(&to));
        let mut learnt = Vec::new();
        for ((mine, theirs), word) in mine.iter().zip(&theirs).zip(&words) {
            let mut known = |side: Side, word: &Word| {
                let access = Access::plain(word.place, word.ty, order);
                self.known(terms, side, &access, Purpose::Store)
            };
            let (mine, theirs) = (known(Side::Original, mine), known(Side::Result, theirs));
            let Some(value) = mine.iter().find(|value| theirs.contains(value)) else {
                return false;
            };
            learnt.push(Fact {
                stored: true,
                ..Fact::of(&Access::plain(word.place, word.ty, order), *value)
            });
        }
        for fact in &learnt {
            self.escape(terms.taint(fact.value));
        }
        self.keep_no_order_of(terms, to, Written::Copy(from));
        self.forget_overwritten_in_both(terms, &to, |_| false);
        self.close(terms, &to);
        let is_known = !learnt.is_empty();
        self.add(learnt);
        if self.are_equal() {
            self.buffers = StoreBuffers::default();
        }
        is_known
    }

    /// The original writes to `to` by itself. Where the result is known to hold the same, the
    /// memories do not differ.
    pub fn transfer_by_original(
        &mut self,
        terms: &mut Terms,
        order: Endianness,
        to: Place,
        written: Written,
    ) {
        let side = Side::Original;
        let learnt = self.learnt_from(terms, order, to, written, side.bit());
        // No store of a value: an access that says nothing.
        let access = Access::plain(to, types::I8, order);
        let nothing = terms.number(types::I8, 0);
        self.forget_overwritten(terms, side, &access, nothing);
        for fact in &learnt {
            let hidden = &mut self.hidden[side as usize];
            *hidden = hidden.and(terms.taint(fact.value));
        }
        self.add(learnt);
        let words = words_of(&to);
        for word in &words {
            // The result may store it word by word.
            if let Some(value) = self.known_by_itself(terms, order, side, word).first() {
                self.account(terms, side, (word.place, Some(*value), None));
            }
        }
        if words.is_empty() {
            self.forgot |= is_long(&to);
            self.open(terms, to);
        }
        for word in words {
            match self.is_same_in_both(terms, order, &word) {
                true => self.close(terms, &word.place),
                false => {
                    self.open(terms, word.place);
                }
            }
        }
        match self.are_equal() {
            true => self.buffers = StoreBuffers::default(),
            false => self.forget_order(),
        }
    }

    /// Are both memories known to hold the same there? What is known of each by itself counts, and
    /// not that they were equal.
    fn is_same_in_both(&mut self, terms: &mut Terms, order: Endianness, word: &Word) -> bool {
        let [mine, theirs] = Side::BOTH.map(|side| self.known_by_itself(terms, order, side, word));
        let same = mine.iter().find(|value| theirs.contains(value));
        if let Some(value) = same {
            self.escape(terms.taint(*value));
        }
        same.is_some()
    }

    /// What is known of one memory, whether the other one is equal or not.
    fn known_by_itself(
        &mut self,
        terms: &mut Terms,
        order: Endianness,
        side: Side,
        word: &Word,
    ) -> SmallVec<[Term; 2]> {
        let before = self.differences.clone();
        self.open(terms, word.place);
        let access = Access::plain(word.place, word.ty, order);
        let known = self.known(terms, side, &access, Purpose::Store);
        self.differences = before;
        known
    }

    /// What is going to be known of `to` in the memories of `sides`.
    fn learnt_from(
        &mut self,
        terms: &mut Terms,
        order: Endianness,
        to: Place,
        written: Written,
        sides: u8,
    ) -> Vec<Fact> {
        match written {
            Written::Copy(from) => {
                let both = Side::Original.bit() | Side::Result.bit();
                for side in Side::BOTH {
                    if sides & side.bit() != 0 {
                        self.name_all(terms, order, side, &from);
                    }
                    if sides == both && !self.differs_at(terms, &from) {
                        break;
                    }
                }
                self.copied(terms, from, to, sides)
            }
            Written::Fill(byte) => filled(terms, order, to, byte, sides),
        }
    }

    /// Gives a name to what `side` holds at a place, wherever there is none.
    fn name_all(&mut self, terms: &mut Terms, order: Endianness, side: Side, place: &Place) {
        for word in words_of(place) {
            let access = Access::plain(word.place, word.ty, order);
            if self.known(terms, side, &access, Purpose::Store).is_empty() {
                self.load(terms, side, &access);
            }
        }
    }

    /// What is known of `from`, said of `to`.
    fn copied(&self, terms: &mut Terms, from: Place, to: Place, sides: u8) -> Vec<Fact> {
        let (Some(root), Some((start, bytes)), Some((to_start, _))) =
            (from.root, from.range, to.range)
        else {
            return Vec::new();
        };
        let mut parts = Vec::new();
        for fact in &self.facts {
            let Some((at, size)) = fact.place.range else {
                continue;
            };
            let is_usable = !fact.outlived && !fact.readonly && fact.except.is_empty();
            if fact.place.root != Some(root) || !is_usable {
                continue;
            }
            let mut fact = fact.clone();
            if !self.differs_at(terms, &fact.place) {
                fact.sides = Side::Original.bit() | Side::Result.bit();
            }
            fact.sides &= sides;
            if fact.sides == 0 {
                continue;
            }
            let before = distance(terms, root, at, start);
            let end = before.saturating_add(bytes.into());
            let first = before.clamp(0, size.into()) as u32;
            let last = end.clamp(0, size.into()) as u32;
            match (first, last) {
                (0, last) if last == size => parts.push(fact),
                (first, last) if first < last => match fact.extent {
                    Extent::Whole => keep_bytes(terms, &fact, first, last, &mut parts),
                    Extent::Part(_) => {}
                    Extent::EachByte => keep_part(terms, &fact, first, last, &mut parts),
                },
                _ => {}
            }
        }
        for fact in &mut parts {
            let (at, size) = fact.place.range.unwrap_or_default();
            let by = distance(terms, root, start, at);
            fact.place = Place {
                range: Some((to_start.wrapping_add(by), size)),
                ..to
            };
            fact.aligned = false;
            fact.stored = true;
            fact.passed = Passed::Nothing;
        }
        parts
    }

    /// The order of buffered stores to, or in front of, what is copied is of no use any more.
    fn keep_no_order_of(&mut self, terms: &Terms, to: Place, written: Written) {
        let from = match written {
            Written::Copy(from) => Some(from),
            Written::Fill(_) => None,
        };
        let stored = self.buffers.all().map(|store| store.place);
        let mut places = stored.chain(self.buffers.apart.iter().copied());
        let overlaps = |place: &Place| {
            let mut touched = from.iter().chain([&to]);
            touched.any(|other| self.may_overlap(terms, other, place))
        };
        let is_concerned = places.any(|place| overlaps(&place));
        drop(places);
        if is_concerned {
            self.forget_order();
        }
    }
}

/// The places in which a range counts as accessed: word by word, as loads and stores in the place of
/// the call access it; or as a whole, if it is long.
pub fn accessed_parts(place: &Place) -> Vec<Place> {
    match words_of(place) {
        words if words.is_empty() => vec![*place],
        words => words.into_iter().map(|word| word.place).collect(),
    }
}

/// Some bytes of a range, as an integer.
struct Word {
    place: Place,
    ty: Type,
}

/// Are the bytes of a place too many for [`words_of`]?
fn is_long(place: &Place) -> bool {
    place.range.is_some_and(|(_, bytes)| bytes > MAX_KNOWN)
}

/// The bytes of a place, word by word; none if they are too many, or not known.
fn words_of(place: &Place) -> Vec<Word> {
    let mut words = Vec::new();
    let Some((start, bytes)) = place.range.filter(|(_, bytes)| *bytes <= MAX_KNOWN) else {
        return words;
    };
    let mut at = 0;
    while at < bytes {
        let size = 1 << (bytes - at).ilog2().min(3);
        let Some(ty) = Type::int(8 * size as u16) else {
            break;
        };
        let place = Place {
            range: Some((start.wrapping_add(at.into()), size)),
            ..*place
        };
        words.push(Word { place, ty });
        at += size;
    }
    words
}

/// What is known of `to` where each of its bytes is `byte`.
fn filled(terms: &mut Terms, order: Endianness, to: Place, byte: Term, sides: u8) -> Vec<Fact> {
    let Some(byte) = terms.constant(byte) else {
        return Vec::new();
    };
    let fact = |place, ty, value| Fact {
        sides,
        stored: true,
        ..Fact::of(&Access::plain(place, ty, order), value)
    };
    if is_long(&to) {
        let byte = terms.number(types::I8, byte);
        return vec![Fact {
            extent: Extent::EachByte,
            ..fact(to, types::I8, byte)
        }];
    }
    let words = words_of(&to).into_iter();
    let facts = words.map(|word| {
        let bits = u64::from_ne_bytes([byte as u8; 8]);
        fact(word.place, word.ty, terms.number(word.ty, bits))
    });
    facts.collect()
}
