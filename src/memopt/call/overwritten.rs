//! Which bytes behind its parameters a body certainly overwrites, and which it reads before.
//!
//! ```text
//! function %divide(i64, i64, i64) -> i64 {
//! block0(v0: i64, v1: i64, v2: i64):
//!     v3 = udiv v0, v1
//!     v4 = urem v0, v1
//!     store v4, v2          ; eight bytes behind the third parameter, on each path
//!     return v3
//! }
//! ```
//!
//! Forward dataflow: what has been overwritten when a block begins is what has been at the ends of all
//! blocks in front of it. Only a store, or a callee that overwrites, by an address that is the
//! parameter and a constant for sure adds to it; what has been overwritten stays so.
//! What is *overwritten* is so at every return and tail call. Of a path that ends in a trap, or
//! by unwinding, or that goes on for ever, nothing is asked: nobody sees a private slot of the
//! caller there, and only such are lent ([`use_of_arg`](crate::memopt::memory::calls::use_of_arg)).
//!
//! A read of bytes that have been overwritten makes nothing of what was there before, and is none for
//! the caller. Any other one is a read of its bytes, also on a path that does not return, and those
//! are not *overwritten*: what was there before can make a difference.
//!
//! Two parameters may be pointers to one slot. What is said of each is true by itself, and who lends one
//! slot twice has to see to it that the one may read what the other one overwrites.
//!
//! Cost: O(accesses behind parameters), and if something overwrites, O(blocks + edges) for each pass
//! over the graph: one, unless a loop has several entries, and at most [`MAX_PASSES`].

use super::params::Set;
use crate::ir::{Function, Opcode};
use crate::memopt::call::extent::{ByteSet, Extent};
use crate::memopt::call::summary::PointerUse;
use crate::memopt::cfg::graph::{Node, Order};
use alloc::vec;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Parameters for which it is asked what is overwritten. What is given up is that of later ones.
const MAX_ASKED: usize = 8;

/// Passes over the graph until nothing changes. What is given up is what is overwritten.
const MAX_PASSES: usize = 4;

/// What one instruction does behind parameters.
pub(super) struct Touch {
    /// The node of its block.
    pub node: Node,
    /// Behind which it may be.
    pub set: Set,
    /// Is it behind the one of them for sure?
    pub is_certain: bool,
    /// What it does, by the distance from the parameter. It reads before it overwrites.
    pub usage: PointerUse,
}

/// The use of a pointer by which these bytes are written, and nothing else happens. Only the first
/// ones behind a parameter are told apart as overwritten.
pub(super) fn writing(extent: Extent) -> PointerUse {
    let overwrites = extent.range().map_or(ByteSet::NONE, |(start, bytes)| {
        let shown = bytes.min(ByteSet::MAX_BYTES);
        ByteSet::of_bits(ByteSet::bits_of(0, shown)).behind(Some(start))
    });
    PointerUse {
        overwrites,
        ..PointerUse::writing(extent)
    }
}

/// Adds to `uses`, those of the parameters, what `touches` do, which are in the order of the blocks.
pub(super) fn add(func: &Function, order: &Order, touches: &[Touch], uses: &mut [PointerUse]) {
    let asked = asked(touches, uses);
    let known = match asked.is_empty() {
        true => None,
        false => Known::find(func, order, touches, &asked),
    };
    let mut read = [0; MAX_ASKED];
    let mut at = Known::nothing();
    let mut node = Node::MAX;
    for touch in touches {
        if let Some(known) = &known
            && touch.node != node
        {
            node = touch.node;
            at = known.at_start[node as usize];
        }
        for param in bits(touch.set) {
            if uses[param].escapes {
                continue;
            }
            let position = asked.iter().position(|it| *it == param);
            let position = position.filter(|_| known.is_some());
            let done = position.map_or(0, |position| at[position]);
            let usage = &mut uses[param];
            usage.writes = usage.writes.join(touch.usage.writes);
            let found = bits_of(touch.usage.reads);
            if !touch.usage.reads.is_none() && !is_done(touch.usage.reads, done) {
                usage.reads = usage.reads.join(touch.usage.reads);
                if let Some(position) = position {
                    read[position] |= found & !done;
                }
            }
        }
        overwrite(touch, &asked, &mut at);
    }
    if let Some(Known {
        at_return: Some(done),
        ..
    }) = known
    {
        for (position, param) in asked.iter().enumerate() {
            uses[*param].overwrites = ByteSet::of_bits(done[position] & !read[position]);
        }
    }
}

/// The parameters of which some bytes are overwritten somewhere, and that stay here.
fn asked(touches: &[Touch], uses: &[PointerUse]) -> SmallVec<[usize; MAX_ASKED]> {
    let mut asked: SmallVec<[usize; MAX_ASKED]> = SmallVec::new();
    for touch in touches.iter().filter(|touch| overwritten(touch) != 0) {
        let param = touch.set.trailing_zeros() as usize;
        if !asked.contains(&param) && asked.len() < MAX_ASKED && !uses[param].escapes {
            asked.push(param);
        }
    }
    asked
}

/// The bytes that it overwrites for sure behind its parameter.
fn overwritten(touch: &Touch) -> u64 {
    match touch.is_certain && touch.set.is_power_of_two() {
        true => touch.usage.overwrites.bits_behind(Some(0)),
        false => 0,
    }
}

fn overwrite(touch: &Touch, asked: &[usize], at: &mut Done) {
    let param = touch.set.trailing_zeros() as usize;
    if let Some(position) = asked.iter().position(|it| *it == param) {
        at[position] |= overwritten(touch);
    }
}

fn bits(set: Set) -> impl Iterator<Item = usize> {
    let mut left = set;
    core::iter::from_fn(move || {
        let first = (left != 0).then(|| left.trailing_zeros() as usize);
        left &= left.wrapping_sub(1);
        first
    })
}

/// The bits of an extent, as far as they have any.
fn bits_of(extent: Extent) -> u64 {
    match extent.range() {
        Some((start, bytes)) => ByteSet::bits_of(start, bytes),
        None if extent.is_none() => 0,
        None => u64::MAX,
    }
}

/// Have all bytes of the extent been overwritten?
fn is_done(extent: Extent, done: u64) -> bool {
    let range = extent.range();
    range.is_some_and(|(start, bytes)| ByteSet::of_bits(done).has_all(start, bytes))
}

/// What has been overwritten behind each parameter that is asked about, a bit for each byte.
type Done = [u64; MAX_ASKED];

struct Known {
    /// At the start of each node.
    at_start: Vec<Done>,
    /// At all returns; `None` if there is none.
    at_return: Option<Done>,
}

impl Known {
    fn nothing() -> Done {
        [0; MAX_ASKED]
    }

    /// `None` if it does not settle.
    fn find(func: &Function, order: &Order, touches: &[Touch], asked: &[usize]) -> Option<Self> {
        let mut in_node = vec![Self::nothing(); order.len()];
        for touch in touches {
            overwrite(touch, asked, &mut in_node[touch.node as usize]);
        }
        let mut at_start = vec![[u64::MAX; MAX_ASKED]; order.len()];
        at_start[0] = Self::nothing();
        for _ in 0..MAX_PASSES {
            let mut again = false;
            let mut at_return: Option<Done> = None;
            for (node, block) in order.blocks().iter().enumerate() {
                let mut at_end = at_start[node];
                let bytes = at_end.iter_mut().zip(&in_node[node]);
                bytes.for_each(|(all, more)| *all |= more);
                for succ in func.block_successors(*block) {
                    let succ = order.node(succ)? as usize;
                    again |= meet(&mut at_start[succ], &at_end) && succ <= node;
                }
                let last = func.layout.last_inst(*block);
                if last.is_some_and(|inst| leaves(func.dfg.insts[inst].opcode())) {
                    meet(at_return.get_or_insert(at_end), &at_end);
                }
            }
            if !again {
                return Some(Self {
                    at_start,
                    at_return,
                });
            }
        }
        None
    }
}

/// Keeps what `other` has too. Is that less?
fn meet(done: &mut Done, other: &Done) -> bool {
    let before = *done;
    let bytes = done.iter_mut().zip(other);
    bytes.for_each(|(done, other)| *done &= other);
    *done != before
}

/// Does it lead back to the caller, or hand the caller's frame on?
fn leaves(opcode: Opcode) -> bool {
    opcode.is_return()
}
