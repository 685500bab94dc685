//! Addresses through a sum of fewer bits than a pointer: `base + uextend(x + c) * s`.
//!
//! The sum wraps before it is widened. Two of them that differ in `c` alone are, as numbers of
//! the pointer's type, `(c2 - c1) mod 2^n` apart, or `2^n` less than that, according to which
//! of them has wrapped, and so they are if both are extended by their signs. A multiple of them is the same
//! multiple of that apart. Whatever is added behind the extension is added to both distances.

use super::terms::{Node, Term, Terms, sign_extend};
use cranelift_codegen::ir::Opcode;
use smallvec::SmallVec;

/// Summands of an address that are looked at.
const MAX_SUMMANDS: usize = 5;

/// An address, taken apart.
struct Widened {
    /// What is added to the multiple of what is extended.
    others: SmallVec<[Term; MAX_SUMMANDS]>,
    extend: Opcode,
    narrow: Term,
    by: i64,
    times: u64,
}

/// Do the bytes behind two roots, each at an offset and so many, certainly have none in common,
/// because the roots are widened sums that differ in a constant?
pub fn are_apart(
    terms: &Terms,
    (x, at, size): (Term, i64, u32),
    (y, other_at, other_size): (Term, i64, u32),
) -> bool {
    let behind_extension = i128::from(other_at) - i128::from(at);
    let are_apart = |a: &Widened, b: &Widened| {
        let alike =
            a.others == b.others && (a.narrow, a.times, a.extend) == (b.narrow, b.times, b.extend);
        let turn = 1i128 << terms.ty(a.narrow).bits();
        let ahead = (i128::from(b.by) - i128::from(a.by)).rem_euclid(turn);
        alike
            && [ahead, ahead - turn].into_iter().all(|distance| {
                let distance = distance * i128::from(a.times) + behind_extension;
                let distance = sign_extend(distance as u64, terms.ty(x));
                distance >= i64::from(size) || distance <= -i64::from(other_size)
            })
    };
    let others = widened(terms, y);
    let one = widened(terms, x);
    one.iter().any(|a| others.iter().any(|b| are_apart(a, b)))
}

/// All ways in which `root` is a sum of a multiple of something that is extended.
fn widened(terms: &Terms, root: Term) -> SmallVec<[Widened; 1]> {
    let mut summands = SmallVec::new();
    add_summands(terms, root, &mut summands);
    let mut all = SmallVec::new();
    if summands.len() > MAX_SUMMANDS {
        return all;
    }
    for (at, summand) in summands.iter().enumerate() {
        if let Some((extend, sum, times)) = multiple(terms, *summand) {
            let (narrow, by) = terms.base(sum);
            let mut others = summands.clone();
            others.remove(at);
            all.push(Widened {
                others,
                extend,
                narrow,
                by,
                times,
            });
        }
    }
    all
}

fn add_summands(terms: &Terms, sum: Term, summands: &mut SmallVec<[Term; MAX_SUMMANDS]>) {
    match terms.node(sum) {
        Node::Op(data, 0, args)
            if data.opcode() == Opcode::Iadd && summands.len() <= MAX_SUMMANDS =>
        {
            args.iter()
                .for_each(|arg| add_summands(terms, *arg, summands));
        }
        _ => summands.push(sum),
    }
}

/// What `term` extends, of at most 32 bits, how, and what it multiplies that by.
fn multiple(terms: &Terms, term: Term) -> Option<(Opcode, Term, u64)> {
    let Node::Op(data, 0, args) = terms.node(term) else {
        return None;
    };
    let (extended, times) = match (data.opcode(), &args[..]) {
        (Opcode::Ishl, [x, y]) => (*x, 1u64.checked_shl(terms.constant(*y)?.try_into().ok()?)?),
        (Opcode::Imul, [x, y]) => (*x, terms.constant(*y)?),
        _ => (term, 1),
    };
    match terms.node(extended) {
        Node::Op(data, 0, args) if matches!(data.opcode(), Opcode::Uextend | Opcode::Sextend) => {
            let is_narrow = terms.ty(args[0]).bits() <= 32;
            is_narrow.then_some((data.opcode(), args[0], times))
        }
        _ => None,
    }
}
