//! Which accesses can have anything to do with each other.
//!
//! A load is answered, and a store found to be needless, by another access to
//! some of the same bytes, known by one root and constant offsets; or, in a loop,
//! a store by itself; or by what Cranelift's own functions copy. An access whose bytes no other touches like this has
//! nothing to gain from versions. Nor has any access of a function if wherever some of them share
//! bytes, a call writes those in front of each before another of them comes: what a callee is
//! handed a slot for is stored before it and loaded behind it.

use crate::FxHashMap;
use crate::ir::{Opcode, Type};
use crate::memopt::cfg::graph::{self, Graph, Node};
use crate::memopt::inst::location::{Address, Location, Root};
use crate::memopt::memory::insts::{Access, EventIndex, EventKind, Memory};
use crate::memopt::memory::mod_ref::{Bytes as Asked, Writes, mod_ref};
use crate::memopt::memory::room::filled;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Events that are looked at in front of an access for a call that writes its bytes.
///
/// What is given up is a filter: versions are made for the access.
const MAX_BEFORE: usize = 8;

/// An offset closer than this to where pointers wrap is taken for one that may
/// overlap any other.
const WRAPS: i64 = 1 << 16;

/// The accesses that share bytes with others.
#[derive(Default)]
pub struct Pairs {
    /// For each event, does another access share bytes with it, by root and offset,
    /// or is it a store that may run more than once?
    pub paired: Vec<bool>,
    /// Does another access share some of its bytes, without being of the same ones or as the same
    /// type?
    pub parted: Vec<bool>,
    /// What would be paired if calls did not keep all of them apart; empty if they do not.
    apart: Vec<bool>,
    /// Lists that they are found with, and of which nothing counts afterwards.
    making: Making,
}

#[derive(Default)]
struct Making {
    /// The bytes of each access, with the number of their root.
    all: Vec<(u32, Bytes)>,
    roots: Roots,
    groups: Groups,
}

/// Some bytes behind one root.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Bytes {
    start: i64,
    end: i64,
    event: EventIndex,
}

impl Pairs {
    /// Finds them; `repeating` says which nodes may run more than once. With the `graph` along the
    /// edges, none of them count if calls keep all of them apart.
    ///
    /// Cost: O(accesses), and a logarithm of how many one root has.
    pub fn new(memory: &Memory<'_>, repeating: &[bool], graph: Option<&Graph>) -> Self {
        Self::default().again(memory, repeating, graph)
    }

    /// The same, in the lists of others.
    pub fn again(mut self, memory: &Memory<'_>, repeating: &[bool], graph: Option<&Graph>) -> Self {
        let mut paired = filled(&mut self.paired, memory.events.len(), false);
        let mut parted = filled(&mut self.parted, memory.events.len(), false);
        let Making { all, roots, groups } = &mut self.making;
        all.clear();
        all.reserve(memory.events.len());
        roots.begin(memory);
        for event in 0..memory.events.len() as EventIndex {
            if let Some(access) = memory.access(event)
                && let Some(start) = add(all, roots, &access.location, event)
            {
                let node = memory.node(event);
                paired[event as usize] = is_near_wrapping(start, memory.pointer_bits)
                    || (access.stored.is_some() && repeating[node as usize]);
                if access.stored.is_none()
                    && let Some(pointer) = memory.pointer(&access.location)
                {
                    // It has to do with whatever has to do with one of those addresses.
                    let mut seen: SmallVec<[Address; 4]> = SmallVec::new();
                    seen.push(access.location.address);
                    for address in pointer.addresses() {
                        if let Some(other) = memory.translated(access, address)
                            && !seen.contains(&other.location.address)
                        {
                            seen.push(other.location.address);
                            add(all, roots, &other.location, event);
                        }
                    }
                }
            } else if let Some(transfer) = memory.transfer(event) {
                for location in transfer.locations() {
                    add(all, roots, location, event);
                }
            }
        }
        groups.sort(roots.count as usize, all);
        let apart = graph.is_some_and(|graph| {
            !memory.has_transfers
                && groups.are_all(|cluster| are_kept_apart(memory, graph, cluster))
        });
        let mut shared = filled(&mut self.apart, 0, false);
        if apart {
            shared.extend(&paired);
        }
        let counted = if apart { &mut shared } else { &mut paired };
        groups.are_all(|cluster| {
            mark_overlaps(memory, cluster, counted, &mut parted);
            true
        });
        if apart {
            parted.fill(false);
        }
        if memory.has_transfers {
            // What is copied is looked at in pieces.
            parted.copy_from_slice(&paired);
        }
        Self {
            paired,
            parted,
            apart: shared,
            making: self.making,
        }
    }

    /// Does another access share bytes with `event`, or is it a store that may run more than once,
    /// whether or not calls come in between?
    pub fn is_shared(&self, event: EventIndex) -> bool {
        self.paired[event as usize] || self.apart.get(event as usize) == Some(&true)
    }

    /// Is there none?
    pub fn are_none(&self) -> bool {
        !self.paired.contains(&true)
    }
}

/// Numbers of roots, from 0 on.
#[derive(Default)]
struct Roots {
    count: u32,
    /// That of each value and of each slot, counted from 1; 0 if it has none.
    values: Vec<u32>,
    slots: Vec<u32>,
    others: FxHashMap<Root, u32>,
}

impl Roots {
    /// None has a number any more.
    fn begin(&mut self, memory: &Memory<'_>) {
        let Self {
            count,
            values,
            slots,
            others,
        } = self;
        *count = 0;
        values.clear();
        values.resize(memory.func.dfg.num_values(), 0);
        slots.clear();
        if !memory.slots.used().is_empty() {
            slots.resize(memory.func.sized_stack_slots.len(), 0);
        }
        others.clear();
    }

    /// The number of `root`; the next one if it has none.
    fn number(&mut self, root: Root) -> u32 {
        let number = match root {
            Root::Value(value) | Root::InSlot(_, value) => {
                &mut self.values[value.as_u32() as usize]
            }
            Root::Slot(slot) => &mut self.slots[slot.as_u32() as usize],
            Root::Shared(..) | Root::Absolute => self.others.entry(root).or_insert(0),
        };
        if *number == 0 {
            self.count += 1;
            *number = self.count;
        }
        *number - 1
    }
}

/// The accesses behind each root, sorted.
#[derive(Default)]
struct Groups {
    starts: Vec<u32>,
    sorted: Vec<Bytes>,
}

impl Groups {
    /// Sorts the members of the first `count` groups.
    fn sort(&mut self, count: usize, all: &[(u32, Bytes)]) {
        let Self { starts, sorted } = self;
        starts.clear();
        starts.resize(count + 1, 0);
        for (group, _) in all {
            starts[*group as usize] += 1;
        }
        let mut next = graph::begin(starts);
        sorted.clear();
        sorted.resize(all.len(), Bytes::default());
        for (group, bytes) in all {
            sorted[next.place(*group) as usize] = *bytes;
        }
        next.finish();
        for range in starts.windows(2) {
            sorted[range[0] as usize..range[1] as usize].sort_unstable();
        }
    }

    /// Does `holds` hold for all clusters: two or more of a group that hang together by bytes that
    /// they share?
    fn are_all(&self, mut holds: impl FnMut(&[Bytes]) -> bool) -> bool {
        self.starts.windows(2).all(|range| {
            let mut rest = &self.sorted[range[0] as usize..range[1] as usize];
            while let [first, behind @ ..] = rest {
                let mut end = first.end;
                let others = behind.iter().take_while(|bytes| {
                    let shares = bytes.start < end;
                    end = end.max(bytes.end);
                    shares
                });
                let (cluster, others) = rest.split_at(1 + others.count());
                if cluster.len() > 1 && !holds(cluster) {
                    return false;
                }
                rest = others;
            }
            true
        })
    }
}

/// Adds the bytes of `location` to `all`, and returns where they begin; `None` if that is not known.
#[inline(always)]
fn add(
    all: &mut Vec<(u32, Bytes)>,
    roots: &mut Roots,
    location: &Location,
    event: EventIndex,
) -> Option<i64> {
    let (start, bytes) = (location.address.offset?, location.bytes?);
    let root = roots.number(location.address.root);
    let end = start.saturating_add(bytes.into());
    all.push((root, Bytes { start, end, event }));
    Some(start)
}

/// Does a call write the bytes of each access in `cluster` before any other access in front of
/// that could have to do with it?
fn are_kept_apart(memory: &Memory<'_>, graph: &Graph, cluster: &[Bytes]) -> bool {
    cluster.iter().all(|bytes| {
        let access = memory.access(bytes.event);
        access.is_some_and(|access| {
            let only_load = || is_only_load(memory, cluster);
            // What another root has to do with such a pointer is not looked for.
            !memory.is_constant(access)
                && (access.stored.is_some() || memory.pointer(&access.location).is_none())
                && is_behind_call(memory, graph, bytes.event, access, &only_load)
        })
    })
}

/// Is there at most one load in `cluster`? Two on the arms of a branch have to do with each other.
fn is_only_load(memory: &Memory<'_>, cluster: &[Bytes]) -> bool {
    let accesses = cluster.iter().filter_map(|it| memory.access(it.event));
    accesses.filter(|access| access.stored.is_none()).count() <= 1
}

/// Is the first event in front of `access`, which is `event`, that concerns its bytes a call that
/// writes them, or none in front of which the function begins? If `past_blocks` says so, also
/// in blocks from which alone its own is entered.
fn is_behind_call(
    memory: &Memory<'_>,
    graph: &Graph,
    event: EventIndex,
    access: &Access,
    past_blocks: &dyn Fn() -> bool,
) -> bool {
    let mut node: Node = memory.node(event);
    let mut before = memory.of_node(node).start..event;
    let mut room = MAX_BEFORE;
    loop {
        for event in before.rev() {
            let Some(left) = room.checked_sub(1) else {
                return false;
            };
            room = left;
            match &memory.events[event as usize].kind {
                EventKind::Access(other)
                    if other.location.address.root == access.location.address.root =>
                {
                    let bits = memory.pointer_bits;
                    let overlap = other.location.overlap_in_root(&access.location, bits);
                    if overlap.may_share() {
                        return false;
                    }
                }
                EventKind::Access(_) => {}
                EventKind::Call(_) | EventKind::Barrier => {
                    // A slot that has been given away before may be written, too.
                    let slot = access.slot();
                    let private = slot.is_some_and(|slot| !memory.lets_go(event, slot));
                    if mod_ref(memory, event, &Asked::of(access, private)).writes != Writes::None {
                        return true;
                    }
                }
                EventKind::Transfer(_) => return false,
                EventKind::Trap | EventKind::End | EventKind::Compare | EventKind::Escape => {}
            }
        }
        if node == graph.entry {
            return memory.node(event) == node || past_blocks();
        }
        match graph.preds(node) {
            [pred] if past_blocks() => node = *pred,
            _ => return false,
        }
        before = memory.of_node(node);
    }
}

/// Marks those of `group`, which is sorted, that share bytes with another of it, and those that
/// do with others than their own, or as another form.
fn mark_overlaps(memory: &Memory<'_>, group: &[Bytes], paired: &mut [bool], parted: &mut [bool]) {
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
        let any = same.iter().any(|it| parted[it.event as usize])
            || (same.len() > 1 && are_of_several_forms(memory, same));
        for bytes in same {
            parted[bytes.event as usize] |= any;
        }
    }
}

/// Is a load among accesses of the same bytes that does not give, as it is, what another one
/// stores or gives?
fn are_of_several_forms(memory: &Memory<'_>, same: &[Bytes]) -> bool {
    let mut forms = same.iter().filter_map(|bytes| {
        let access = memory.access(bytes.event)?;
        Some((access.stored.is_none(), form(memory, bytes.event, access)))
    });
    let Some((loads, first)) = forms.next() else {
        return false;
    };
    let (mut any_loads, mut differ) = (loads, false);
    for (loads, form) in forms {
        any_loads |= loads;
        differ |= form != first;
    }
    any_loads && differ
}

/// The load that gives what an access gives or stores, and as which type.
fn form(memory: &Memory<'_>, event: EventIndex, access: &Access) -> (Option<Opcode>, Type) {
    let dfg = &memory.func.dfg;
    match access.stored {
        Some(stored) => {
            let opcode = access.undone_loads().first();
            (opcode.copied(), dfg.value_type(stored))
        }
        None => {
            let result = dfg.first_result(memory.inst(event));
            (Some(access.opcode), dfg.value_type(result))
        }
    }
}

fn is_near_wrapping(offset: i64, bits: u32) -> bool {
    let end = i64::MAX >> (64 - bits.min(64));
    offset.saturating_abs() > end - WRAPS
}
