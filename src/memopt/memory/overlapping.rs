//! Which accesses can have anything to do with each other.
//!
//! A load is answered, and a store found to be needless, by another access to
//! some of the same bytes, known by one root and constant offsets; or, in a loop,
//! a store by itself; or by what Cranelift's own functions copy. An access whose bytes no other touches like this has
//! nothing to gain from versions.

use crate::FxHashMap;
use crate::memopt::inst::location::{Location, Root};
use crate::memopt::memory::insts::{EventIndex, Memory};
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
    /// Does another access share some of its bytes, without being of the same ones?
    pub parted: Vec<bool>,
}

/// Some bytes behind one root.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Bytes {
    start: i64,
    end: i64,
    event: EventIndex,
}

impl Pairs {
    /// Finds them; `repeating` says which nodes may run more than once.
    ///
    /// Cost: O(accesses), and a logarithm of how many one root has.
    pub fn new(memory: &Memory<'_>, repeating: &[bool]) -> Self {
        let mut paired = vec![false; memory.events.len()];
        let mut parted = vec![false; memory.events.len()];
        let mut all: Vec<(u32, Bytes)> = Vec::with_capacity(memory.events.len());
        let mut roots: FxHashMap<Root, u32> = FxHashMap::default();
        for event in 0..memory.events.len() as EventIndex {
            let mut add = |location: &Location| {
                let (address, bytes) = (location.address, location.bytes);
                let (start, bytes) = (address.offset?, bytes?);
                let next = roots.len() as u32;
                let root = *roots.entry(address.root).or_insert(next);
                let end = start.saturating_add(bytes.into());
                all.push((root, Bytes { start, end, event }));
                Some(start)
            };
            if let Some(access) = memory.access(event)
                && let Some(start) = add(&access.location)
            {
                let node = memory.events[event as usize].node;
                paired[event as usize] = is_near_wrapping(start, memory.pointer_bits)
                    || (access.stored.is_some() && repeating[node as usize]);
            } else if let Some(transfer) = memory.transfer(event) {
                for location in transfer.locations() {
                    add(location);
                }
            }
        }
        for_each_group(roots.len(), &all, |group| {
            group.sort_unstable();
            mark_overlaps(group, &mut paired, &mut parted);
        });
        if memory.has_transfers {
            // What is copied is looked at in pieces.
            parted.copy_from_slice(&paired);
        }
        Self { paired, parted }
    }
}

/// Calls `visit` with the members of each of the first `groups` groups.
fn for_each_group(groups: usize, all: &[(u32, Bytes)], mut visit: impl FnMut(&mut [Bytes])) {
    let mut starts = vec![0u32; groups + 1];
    for (group, _) in all {
        starts[*group as usize + 1] += 1;
    }
    for group in 0..groups {
        starts[group + 1] += starts[group];
    }
    let mut sorted = vec![Bytes::default(); all.len()];
    let mut next = starts.clone();
    for (group, bytes) in all {
        let at = &mut next[*group as usize];
        sorted[*at as usize] = *bytes;
        *at += 1;
    }
    for group in 0..groups {
        let range = starts[group] as usize..starts[group + 1] as usize;
        if range.len() > 1 {
            visit(&mut sorted[range]);
        }
    }
}

/// Marks those of `group`, which is sorted, that share bytes with another of it, and those that
/// do with others than their own.
fn mark_overlaps(group: &[Bytes], paired: &mut [bool], parted: &mut [bool]) {
    // Of those before, the one that reaches farthest.
    let mut farthest: Option<Bytes> = None;
    for bytes in group {
        if let Some(before) = farthest
            && before.end > bytes.start
        {
            paired[before.event as usize] = true;
            paired[bytes.event as usize] = true;
            let are_same = (before.start, before.end) == (bytes.start, bytes.end);
            parted[before.event as usize] |= !are_same;
            parted[bytes.event as usize] |= !are_same;
        }
        if farthest.is_none_or(|before| bytes.end > before.end) {
            farthest = Some(*bytes);
        }
    }
    // Of several accesses of the same bytes only the first is compared with others.
    for same in group.chunk_by(|a, b| (a.start, a.end) == (b.start, b.end)) {
        let any = same.iter().any(|it| parted[it.event as usize]);
        for bytes in same {
            parted[bytes.event as usize] |= any;
        }
    }
}

fn is_near_wrapping(offset: i64, bits: u32) -> bool {
    let end = i64::MAX >> (64 - bits.min(64));
    offset.saturating_abs() > end - WRAPS
}
