//! Which accesses can have anything to do with each other.
//!
//! A load is answered, and a store found to be needless, by another access to
//! some of the same bytes, known by one root and constant offsets; or, in a loop,
//! a store by itself. An access whose bytes no other touches in that way has
//! nothing to gain from versions, and most have none: it is found by sorting.

use super::memory::{EventIndex, Memory};
use crate::FxHashMap;
use crate::memopt::facts::location::Root;
use alloc::vec;
use alloc::vec::Vec;

/// An offset closer than this to where pointers wrap is taken for one that may
/// overlap any other.
const WRAPS: i64 = 1 << 16;

/// The accesses that share bytes with others.
pub struct Pairs {
    /// For each event, does another access share bytes with it, by root and offset,
    /// or is it a store that may run more than once?
    pub paired: Vec<bool>,
}

/// Some bytes, by the number of their root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Bytes {
    root: u32,
    start: i64,
    end: i64,
    event: EventIndex,
}

impl Pairs {
    /// Finds them; `repeating` says which nodes may run more than once.
    ///
    /// Cost: O(accesses · log accesses).
    pub fn new(memory: &Memory<'_>, repeating: &[bool]) -> Self {
        let mut paired = vec![false; memory.events.len()];
        let mut all: Vec<Bytes> = Vec::new();
        let mut roots: FxHashMap<Root, u32> = FxHashMap::default();
        for event in 0..memory.events.len() as EventIndex {
            let Some(access) = memory.access(event) else {
                continue;
            };
            let (address, bytes) = (access.location.address, access.location.bytes);
            let (Some(start), Some(bytes)) = (address.offset, bytes) else {
                continue;
            };
            let node = memory.events[event as usize].node;
            let may_wrap = is_near_wrapping(start, memory.pointer_bits);
            paired[event as usize] =
                may_wrap || (access.stored.is_some() && repeating[node as usize]);
            let next = roots.len() as u32;
            all.push(Bytes {
                root: *roots.entry(address.root).or_insert(next),
                start,
                end: start.saturating_add(bytes.into()),
                event,
            });
        }
        all.sort_unstable();
        // Of those before, the one that reaches farthest.
        let mut farthest: Option<Bytes> = None;
        for bytes in all {
            match farthest {
                Some(before) if before.root == bytes.root && before.end > bytes.start => {
                    paired[before.event as usize] = true;
                    paired[bytes.event as usize] = true;
                    if bytes.end > before.end {
                        farthest = Some(bytes);
                    }
                }
                Some(_) | None => farthest = Some(bytes),
            }
        }
        Self { paired }
    }
}

fn is_near_wrapping(offset: i64, bits: u32) -> bool {
    let end = i64::MAX >> (64 - bits.min(64));
    offset.saturating_abs() > end - WRAPS
}
