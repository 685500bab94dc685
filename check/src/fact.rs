//! What is known about some bytes of memory.

use super::calls::Class;
use super::place::{Access, Place, distance};
use super::side::Side;
use super::terms::{Term, Terms};
use super::vectors::is_vector;
use cranelift_codegen::ir::{Endianness, Type};
use smallvec::SmallVec;

/// Facts that are kept at one point. The oldest is dropped beyond it, which
/// can only make the checker refuse more; it says then that it hit a limit.
pub const MAX_FACTS: usize = 256;

/// Accesses of the original that have come through, so that others will not trap.
///
/// What only the result has accessed shows nothing: if it must not access the
/// place, it had to trap there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Passed {
    /// None.
    Nothing,
    /// A load.
    Load,
    /// A store.
    Store,
}

impl Passed {
    /// An access by `side`.
    pub fn by(side: Side, store: bool) -> Self {
        match (side, store) {
            (Side::Original, false) => Self::Load,
            (Side::Original, true) => Self::Store,
            (Side::Result, _) => Self::Nothing,
        }
    }
}

/// What the bytes at a place have to do with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// They are its bytes.
    Whole,
    /// They are some of its bytes: those behind as many others.
    Part(u32),
    /// It has one byte, and that is what each of them is.
    EachByte,
}

/// The bytes at a place are those of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Where; with a root and a range.
    pub place: Place,
    /// What they are, or a part of it is, or each of them is.
    pub value: Term,
    /// Which of that.
    pub extent: Extent,
    /// In which order.
    pub order: Endianness,
    /// In which memories.
    pub sides: u8,
    /// A load that carried `readonly` found it: proves nothing about stores.
    pub readonly: bool,
    /// Someone may have written the place since: only for `readonly` loads.
    pub outlived: bool,
    /// The address of the place is a multiple of its size.
    pub aligned: bool,
    /// A store wrote it.
    pub stored: bool,
    /// What the original has done to all of these bytes.
    pub passed: Passed,
    /// Of a place without a class: someone may have written it since as memory
    /// of these classes. What is accessed as another one is not what was
    /// written.
    pub except: SmallVec<[Class; 2]>,
}

impl Fact {
    /// What a load of `access` has found.
    pub fn of(access: &Access, value: Term) -> Self {
        Self {
            place: access.place,
            value,
            extent: Extent::Whole,
            order: access.order,
            sides: 0,
            readonly: access.readonly,
            outlived: false,
            aligned: access.aligned,
            stored: false,
            passed: Passed::Nothing,
            except: SmallVec::new(),
        }
    }

    /// Is it about what an access to `class` finds?
    pub fn is_for(&self, class: Option<Class>) -> bool {
        self.except.is_empty() || class.is_some_and(|class| !self.except.contains(&class))
    }

    /// Is it true behind a store of `value` that may be to the place? It is if the store is to
    /// all of the place or to nothing of it, as both are aligned and as large, and if it
    /// stores what is there.
    pub fn outlasts(&self, access: &Access, value: Term) -> bool {
        let bytes = |place: &Place| place.range.map(|(_, bytes)| bytes);
        let as_many = bytes(&self.place).is_some_and(|bytes| bytes.is_power_of_two())
            && bytes(&self.place) == bytes(&access.place);
        // A single byte is always one or the other.
        let are_aligned = self.aligned && access.aligned || bytes(&self.place) == Some(1);
        are_aligned
            && as_many
            && self.extent == Extent::Whole
            && self.value == value
            && self.order == access.order
    }

    /// Is there anything left of it where memory of `class` is written?
    pub fn is_narrowed(&mut self, class: Option<Class>) -> bool {
        match (self.place.class, class) {
            (None, Some(class)) => {
                if !self.except.contains(&class) {
                    self.except.push(class);
                }
                true
            }
            _ => false,
        }
    }
}

/// What somebody wants to know of the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// What would a load find?
    Load,
    /// Does a store change anything?
    Store,
}

/// What `access` makes of the bytes of a fact that begin `position` bytes into
/// them.
pub fn seen_through(
    terms: &mut Terms,
    fact: &Fact,
    position: u32,
    access: &Access,
) -> Option<Term> {
    let (_, want) = access.place.range?;
    let stored = terms.ty(fact.value);
    let have = stored.bytes();
    let part = match fact.extent {
        Extent::Whole => 0,
        Extent::Part(part) => part,
        Extent::EachByte => return repeated(terms, fact.value, access.ty),
    };
    if want > 1 && have > 1 && fact.order != access.order {
        return None;
    }
    if stored == access.ty && have == want {
        return Some(fact.value);
    }
    let is_lane = is_vector(stored) || is_vector(access.ty);
    if is_lane && (fact.order, access.order) != (Endianness::Little, Endianness::Little) {
        return None;
    }
    let position = position + part;
    let low = match fact.order {
        Endianness::Little => position,
        Endianness::Big => have - position - want,
    };
    let from = integer_like(stored)?;
    integer_like(access.ty)?;
    let integer = terms.cast(fact.value, from);
    let part = terms.bits(integer, 8 * low, Type::int(8 * want as u16)?);
    Some(terms.cast(part, access.ty))
}

/// What is found, as `ty`, where each byte is `byte`, a constant.
fn repeated(terms: &mut Terms, byte: Term, ty: Type) -> Option<Term> {
    let integer = integer_like(ty)?;
    let bytes = [terms.constant(byte)? as u8; 16];
    let bits = u128::from_ne_bytes(bytes) >> (128 - integer.bits());
    let number = match integer.bits() {
        ..=64 => terms.number(integer, bits as u64),
        _ => terms.wide_number(bits, integer),
    };
    Some(terms.cast(number, ty))
}

/// The value of a fact with another one in the place of some of its bytes.
pub fn inserted(
    terms: &mut Terms,
    fact: &Fact,
    position: u32,
    (value, bytes): (Term, u32),
) -> Option<Term> {
    let have = terms.ty(fact.value).bytes();
    let whole = integer_like(terms.ty(fact.value))?;
    let part = integer_like(terms.ty(value)).filter(|part| part.bytes() == bytes)?;
    if is_vector(terms.ty(fact.value)) && fact.order == Endianness::Big {
        return None;
    }
    let low = match fact.order {
        Endianness::Little => position,
        Endianness::Big => have - position - bytes,
    };
    let whole = terms.cast(fact.value, whole);
    let part = terms.cast(value, part);
    let put = terms.insert_wide(whole, part, 8 * low)?;
    Some(terms.cast(put, terms.ty(fact.value)))
}

/// What `fact` says about fewer bytes, read as `ty`.
pub fn narrowed(
    terms: &mut Terms,
    fact: &Fact,
    range: (i64, u32),
    ty: Type,
    order: Endianness,
) -> Option<Fact> {
    let (start, size) = fact.place.range?;
    let position = distance(terms, fact.place.root?, start, range.0);
    if position < 0 || position + i64::from(range.1) > i64::from(size) {
        return None;
    }
    let place = Place {
        range: Some(range),
        ..fact.place
    };
    let access = Access::plain(place, ty, order);
    let value = seen_through(terms, fact, position as u32, &access)?;
    Some(Fact {
        place,
        value,
        order,
        extent: Extent::Whole,
        aligned: false,
        ..fact.clone()
    })
}

/// Keeps the bytes of a fact from one position to another as a part of its value,
/// if several integers would be left of them. What is read across two of those is
/// known by that. Where each byte is the same, those that are left are.
pub fn keep_part(terms: &Terms, fact: &Fact, from: u32, to: u32, kept: &mut Vec<Fact>) {
    let Some((at, _)) = fact.place.range else {
        return;
    };
    let bytes = to.saturating_sub(from);
    let is_one = bytes.is_power_of_two() && bytes <= 8;
    let is_kept = match fact.extent {
        Extent::EachByte => bytes > 0,
        _ => bytes > 1 && !is_one && integer_like(terms.ty(fact.value)).is_some(),
    };
    if !is_kept {
        return;
    }
    let mut rest = fact.clone();
    rest.place.range = Some((at.wrapping_add(from.into()), bytes));
    rest.aligned = false;
    rest.extent = match fact.extent {
        Extent::Whole => Extent::Part(from),
        Extent::Part(part) => Extent::Part(part + from),
        Extent::EachByte => Extent::EachByte,
    };
    kept.push(rest);
}

/// Keeps the bytes of a fact from one position to another, as integers.
pub fn keep_bytes(terms: &mut Terms, fact: &Fact, mut from: u32, to: u32, kept: &mut Vec<Fact>) {
    let Some((at, _)) = fact.place.range else {
        return;
    };
    while from < to {
        let left = to - from;
        let bytes = 1 << left.ilog2().min(3);
        let range = (at.wrapping_add(from.into()), bytes);
        let Some(ty) = Type::int(8 * bytes as u16) else {
            return;
        };
        let Some(rest) = narrowed(terms, fact, range, ty, fact.order) else {
            return;
        };
        kept.push(rest);
        from += bytes;
    }
}

/// The type of integers as wide as a scalar type, or as a vector of which lanes are known.
fn integer_like(ty: Type) -> Option<Type> {
    if ty.is_int() || ty.is_float() || is_vector(ty) {
        Type::int(ty.bits() as u16)
    } else {
        None
    }
}
