//! The lists of the walkers over versions, which outlive them.
//!
//! A run searches the function up to a dozen times, and each search makes versions of its own. The
//! next one fills the lists that the last one has left, so that a run allocates about once.

use crate::memopt::memory::insts::EventIndex;
use crate::memopt::memory::ops_back::EventOps;
use crate::memopt::memory::ssa::{Op, OpIndex, Versions};
use alloc::vec::Vec;

/// What a walker over versions is made in: [`Clobbers`](super::clobber::Clobbers) or
/// [`NextAccess`](super::next_access::NextAccess). What is in the lists does not count.
#[derive(Default)]
pub struct Room {
    pub(super) versions: Versions,
    pub(super) list: Vec<Op>,
    pub(super) starts: Vec<OpIndex>,
    pub(super) event_of_op: Vec<EventIndex>,
    pub(super) wanted: Vec<bool>,
    pub(super) marks: Vec<bool>,
    pub(super) event_ops: Vec<EventOps>,
    pub(super) region_ops: Vec<OpIndex>,
    pub(super) slot_ops: Vec<OpIndex>,
}

/// Takes `list`, empty, with room for so many items.
pub fn emptied<T>(list: &mut Vec<T>, room: usize) -> Vec<T> {
    let mut list = core::mem::take(list);
    list.clear();
    list.reserve(room);
    list
}

/// Takes `list`, with so many times `item` in it.
pub fn filled<T: Clone>(list: &mut Vec<T>, len: usize, item: T) -> Vec<T> {
    let mut list = core::mem::take(list);
    list.clear();
    list.resize(len, item);
    list
}
