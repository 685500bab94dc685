//! Addresses through a sum of fewer bits than a pointer: `base + uextend(x + c)`.
//!
//! The sum wraps before it is widened. Two of them that differ in `c` alone are, as numbers of
//! the pointer's type, `(c2 - c1) mod 2^n` apart, or `2^n` less than that, according to which
//! of them has wrapped. Whatever is added behind the extension is added to both distances.

use super::terms::{Node, Term, Terms, sign_extend};
use cranelift_codegen::ir::Opcode;

/// A widened sum, taken apart.
struct Widened {
    base: Option<Term>,
    narrow: Term,
    by: i64,
}

/// Do the bytes behind two roots, each at an offset and so many, certainly have none in common,
/// because the roots are widened sums that differ in a constant?
pub fn are_apart(
    terms: &Terms,
    (x, at, size): (Term, i64, u32),
    (y, other_at, other_size): (Term, i64, u32),
) -> bool {
    let (Some(a), Some(b)) = (widened(terms, x), widened(terms, y)) else {
        return false;
    };
    if a.base != b.base || a.narrow != b.narrow {
        return false;
    }
    let turn = 1i128 << terms.ty(a.narrow).bits();
    let ahead = (i128::from(b.by) - i128::from(a.by)).rem_euclid(turn);
    let behind_extension = i128::from(other_at) - i128::from(at);
    [ahead, ahead - turn].into_iter().all(|distance| {
        let distance = sign_extend((distance + behind_extension) as u64, terms.ty(x));
        distance >= i64::from(size) || distance <= -i64::from(other_size)
    })
}

fn widened(terms: &Terms, root: Term) -> Option<Widened> {
    if let Some(sum) = extended(terms, root) {
        return Some(Widened::new(terms, None, sum));
    }
    let Node::Op(data, 0, args) = terms.node(root) else {
        return None;
    };
    let [x, y] = args[..] else {
        return None;
    };
    if data.opcode() != Opcode::Iadd {
        return None;
    }
    match (extended(terms, y), extended(terms, x)) {
        (Some(sum), _) => Some(Widened::new(terms, Some(x), sum)),
        (None, Some(sum)) => Some(Widened::new(terms, Some(y), sum)),
        (None, None) => None,
    }
}

/// What `term` extends by zeros, of at most 32 bits.
fn extended(terms: &Terms, term: Term) -> Option<Term> {
    match terms.node(term) {
        Node::Op(data, 0, args) if data.opcode() == Opcode::Uextend => {
            Some(args[0]).filter(|arg| terms.ty(*arg).bits() <= 32)
        }
        _ => None,
    }
}

impl Widened {
    fn new(terms: &Terms, base: Option<Term>, sum: Term) -> Self {
        let (narrow, by) = terms.base(sum);
        Self { base, narrow, by }
    }
}
