//! Addresses in a slot behind an index that is not known, but bounded: masked, shifted, the rest of a
//! division, or of a narrow type.
//!
//! All numbers are so small that neither they nor their sum with an address wraps.

use super::terms::{Node, Term, Terms, sign_extend};
use cranelift_codegen::ir::{Opcode, StackSlot, Type};

/// No number is greater.
const MAX: i64 = 1 << 30;

/// Terms that are looked at. Beyond it nothing is known.
const MAX_LOOKS: u32 = 32;

/// Do the bytes behind two roots in one slot, each at an offset and so many, certainly have none in common,
/// by how far behind the start of the slot they may lie?
pub fn are_apart(
    terms: &Terms,
    (x, at, size): (Term, i64, u32),
    (y, other_at, other_size): (Term, i64, u32),
) -> bool {
    let (Some((slot, first, last)), Some((same, other_first, other_last))) =
        (behind_slot(terms, x), behind_slot(terms, y))
    else {
        return false;
    };
    let end = |last: i64, at: i64, size: u32| last.saturating_add(at).saturating_add(size.into());
    slot == same
        && (end(last, at, size) <= other_first.saturating_add(other_at)
            || end(other_last, other_at, other_size) <= first.saturating_add(at))
}

/// The slot, and how far behind its start the value may lie.
fn behind_slot(terms: &Terms, root: Term) -> Option<(StackSlot, i64, i64)> {
    let mut looks = MAX_LOOKS;
    match terms.node(root) {
        Node::Slot(slot) => Some((*slot, 0, 0)),
        Node::Plus(base, by) => {
            let (slot, first, last) = behind_slot(terms, *base)?;
            small(first.checked_add(*by)?, last.checked_add(*by)?).map(|(x, y)| (slot, x, y))
        }
        Node::Op(data, 0, args) if data.opcode() == Opcode::Iadd => {
            let [x, y] = args[..] else {
                return None;
            };
            let (base, index) = match terms.within(x) {
                Some(_) => (x, y),
                None => (y, x),
            };
            let (slot, first, last) = behind_slot(terms, base)?;
            let (least, most) = multiple(terms, index, &mut looks)?;
            small(first + least, last + most).map(|(x, y)| (slot, x, y))
        }
        Node::Op(data, 0, args) if data.opcode() == Opcode::Isub => {
            let [base, index] = args[..] else {
                return None;
            };
            let (slot, first, last) = behind_slot(terms, base)?;
            let (least, most) = bounds(terms, index, &mut looks)?;
            small(first - most, last - least).map(|(x, y)| (slot, x, y))
        }
        _ => None,
    }
}

/// Between which numbers a summand is: what is taken away is a multiple of less than zero.
fn multiple(terms: &Terms, term: Term, looks: &mut u32) -> Option<(i64, i64)> {
    if let Node::Op(data, 0, args) = terms.node(term)
        && data.opcode() == Opcode::Imul
        && let Some(times) = terms.constant(args[1])
    {
        let times = sign_extend(times, terms.ty(term));
        let (x, y) = bounds(terms, args[0], looks)?;
        let (x, y) = (x.checked_mul(times)?, y.checked_mul(times)?);
        return small(x.min(y), x.max(y));
    }
    bounds(terms, term, looks)
}

/// Between which numbers an integer without a sign is.
fn bounds(terms: &Terms, term: Term, looks: &mut u32) -> Option<(i64, i64)> {
    *looks = looks.checked_sub(1)?;
    let ty = terms.ty(term);
    if !ty.is_int() || ty.bits() > 64 {
        return None;
    }
    let known = match terms.node(term) {
        Node::Const(bits) => {
            let number = i64::try_from(*bits).ok()?;
            small(number, number)
        }
        Node::Plus(base, by) => bounds(terms, *base, looks).and_then(|(least, most)| {
            let (least, most) = (least.checked_add(*by)?, most.checked_add(*by)?);
            in_type(least, most, ty)
        }),
        Node::Op(data, 0, args) => operation(terms, data.opcode(), args, ty, looks),
        _ => None,
    };
    known.or_else(|| (ty.bits() <= 16).then(|| (0, (1 << ty.bits()) - 1)))
}

fn operation(
    terms: &Terms,
    opcode: Opcode,
    args: &[Term],
    ty: Type,
    looks: &mut u32,
) -> Option<(i64, i64)> {
    let mut of = |at: usize| bounds(terms, args[at], looks);
    let amount = |at: usize| Some(terms.constant(args[at])? & u64::from(ty.bits() - 1));
    match (opcode, args.len()) {
        (Opcode::Uextend, 1) => of(0),
        (Opcode::Icmp, 2) => Some((0, 1)),
        (Opcode::Band | Opcode::Umin, 2) => {
            let most = [of(0), of(1)].into_iter().flatten().map(|(_, most)| most);
            most.min().map(|most| (0, most))
        }
        (Opcode::Urem, 2) => {
            let by = i64::try_from(terms.constant(args[1])?).ok()?;
            (by > 0).then(|| small(0, by - 1)).flatten()
        }
        (Opcode::Ushr, 2) => {
            let by = amount(1)?;
            match of(0) {
                Some((least, most)) => Some((least >> by, most >> by)),
                None => small(0, i64::try_from((u64::MAX >> (64 - ty.bits())) >> by).ok()?),
            }
        }
        (Opcode::Ishl, 2) => {
            let by = 1i64.checked_shl(amount(1)?.try_into().ok()?)?;
            let (least, most) = of(0)?;
            in_type(least.checked_mul(by)?, most.checked_mul(by)?, ty)
        }
        (Opcode::Imul, 2) => {
            let (x, y) = (of(0)?, of(1)?);
            in_type(x.0.checked_mul(y.0)?, x.1.checked_mul(y.1)?, ty)
        }
        (Opcode::Iadd, 2) => {
            let (x, y) = (of(0)?, of(1)?);
            in_type(x.0 + y.0, x.1 + y.1, ty)
        }
        (Opcode::Select | Opcode::SelectSpectreGuard, 3) => {
            let (x, y) = (of(1)?, of(2)?);
            Some((x.0.min(y.0), x.1.max(y.1)))
        }
        _ => None,
    }
}

/// The same, if no number is too great.
fn small(least: i64, most: i64) -> Option<(i64, i64)> {
    (least >= -MAX && most <= MAX).then_some((least, most))
}

/// The same, if no number is below zero, or wraps at the width of the type.
fn in_type(least: i64, most: i64, ty: Type) -> Option<(i64, i64)> {
    let fits = least >= 0 && (ty.bits() > 32 || most < 1 << ty.bits());
    small(least, most).filter(|_| fits)
}
