//! Some bytes of memory, and which of them may be the same.

use super::calls::Class;
use super::terms::{Node, Term, Terms, sign_extend};
use cranelift_codegen::ir::{Endianness, Type};

/// Some bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What its address is based on; `None` for anywhere but in private slots.
    pub root: Option<Term>,
    /// How far from the root it begins, and its size; `None` for all of the
    /// slot that is the root.
    pub range: Option<(i64, u32)>,
    /// The class that the access is tagged with.
    pub class: Option<Class>,
}

/// What an access says about the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Where they are.
    pub place: Place,
    /// Their type in memory.
    pub ty: Type,
    /// Their order.
    pub order: Endianness,
    /// Does a load carry `readonly`?
    pub readonly: bool,
    /// Is it an access of the original that says that its address is a multiple of its size?
    pub aligned: bool,
    /// Is what is loaded certainly no address of a slot?
    pub foreign: bool,
    /// Is what is loaded the same wherever it is loaded from that address?
    pub fixed: bool,
}

impl Access {
    /// One that says nothing else.
    pub fn plain(place: Place, ty: Type, order: Endianness) -> Self {
        Self {
            place,
            ty,
            order,
            readonly: false,
            aligned: false,
            foreign: false,
            fixed: false,
        }
    }
}

impl Place {
    /// Its bytes, as places of one each; none if it is not known which they are.
    pub fn bytes_one_by_one(self) -> impl Iterator<Item = Self> {
        let (start, count) = self.range.unwrap_or((0, 0));
        (0..count).map(move |at| Self {
            range: Some((start.wrapping_add(at.into()), 1)),
            ..self
        })
    }

    /// Is all of it certainly in a slot? What begins there may end in what is left of the
    /// slot's last word.
    pub fn is_in_slot(&self, terms: &Terms) -> bool {
        let (Some(root), Some((start, bytes))) = (self.root, self.range) else {
            return false;
        };
        let Node::Slot(slot) = *terms.node(root) else {
            return false;
        };
        let room = terms.slot_room(slot, terms.ty(root));
        let begins_inside = (0..i64::from(terms.slot_size(slot))).contains(&start);
        begins_inside && start.saturating_add(bytes.into()) <= i64::from(room)
    }
}

/// May memory of two classes be the same?
pub fn are_compatible(a: Option<Class>, b: Option<Class>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// How far `other` lies behind `at`, as pointers of the type of `root` wrap.
pub fn distance(terms: &Terms, root: Term, at: i64, other: i64) -> i64 {
    sign_extend(other.wrapping_sub(at) as u64, terms.ty(root))
}
