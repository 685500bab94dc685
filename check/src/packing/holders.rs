//! Of which slots each byte of a shared place holds the bytes.
//!
//! The optimizer argues by what is still read. This goes the other way: forward, each byte of a
//! place has a set of *holders*, the slots whose byte it is in the original. A slot reads what is its
//! own if it holds the byte. On several paths, a byte is held by those that hold it on each.
//!
//! At the entry all slots hold it: nobody has written the byte, it is zero in each. What is written at
//! a known offset is held by whoever writes it alone; where it is not known whether a byte is written,
//! everyone else ceases to hold it. What is written as a copy of the byte of a slot that holds it
//! changes nothing: it is held by one more.

use super::addresses::{Addresses, Use};
use super::{Packing, Stop};
use crate::verdict::{Limit, Reason};
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Block, MemFlagsData, StackSlot};

/// Bytes of all shared places, for all blocks together.
const MAX_BYTES: usize = 1 << 22;

/// Those that hold a byte, a bit for each slot of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held(u64);

impl Held {
    /// By all.
    const ALL: Self = Self(u64::MAX);

    /// By those that hold it in both.
    fn meet(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Shows that each slot reads what it holds; of `members` those of one place.
pub fn prove(
    packing: &Packing<'_>,
    addresses: &Addresses<'_>,
    members: &SecondaryMap<StackSlot, Vec<StackSlot>>,
) -> Result<(), Stop> {
    let func = packing.original;
    let mut holders = Holders {
        packing,
        starts: SecondaryMap::new(),
        alone: SecondaryMap::with_default(Held(0)),
        bytes: 0,
    };
    for place in func.sized_stack_slots.keys() {
        if members[place].len() > 1 {
            if members[place].len() > u64::BITS as usize {
                return Err(Stop::Limit(Limit::Facts));
            }
            for (at, slot) in members[place].iter().enumerate() {
                holders.alone[*slot] = Held(1 << at);
            }
            holders.starts[place] = Some(holders.bytes);
            let size = packing.size(packing.result, place);
            holders.bytes += packing.room(size) as usize;
        }
    }
    // To whoever looks at the result later, two regions are two memories, and nobody writes what is
    // `readonly`.
    for place in func
        .sized_stack_slots
        .keys()
        .filter(|it| members[*it].len() > 1)
    {
        let uses = members[place].iter().flat_map(|slot| addresses.of(*slot));
        let mut said = uses.filter_map(|usage| usage.says);
        let first = said.next();
        let agrees = |flags: MemFlagsData| {
            let region = |flags: MemFlagsData| flags.alias_region();
            let promises = flags.readonly() || flags.can_move();
            !promises && first.is_none_or(|first| region(first) == region(flags))
        };
        if !first.into_iter().chain(said).all(agrees) {
            return Err(Stop::Refused(Reason::SharedSlots));
        }
    }
    let blocks = func.layout.blocks().count();
    if holders.bytes == 0 {
        return Ok(());
    }
    if blocks.saturating_mul(holders.bytes) > MAX_BYTES {
        return Err(Stop::Limit(Limit::Facts));
    }
    let mut before: SecondaryMap<Block, Option<Vec<Held>>> = SecondaryMap::new();
    let entry = func.layout.entry_block();
    let mut work: Vec<Block> = entry.into_iter().collect();
    for block in &work {
        before[*block] = Some(vec![Held::ALL; holders.bytes]);
    }
    while let Some(block) = work.pop() {
        let Some(mut state) = before[block].clone() else {
            continue;
        };
        for usage in addresses.in_block(block) {
            holders.write(usage, &mut state);
        }
        for next in func.block_successors(block) {
            let old = &mut before[next];
            let new = match old {
                Some(old) => old.iter().zip(&state).map(|(x, y)| x.meet(*y)).collect(),
                None => state.clone(),
            };
            if old.as_ref() != Some(&new) {
                *old = Some(new);
                work.push(next);
            }
        }
    }
    for block in func.layout.blocks() {
        let Some(state) = &mut before[block] else {
            continue;
        };
        let of_block = addresses.in_block(block);
        for of_inst in of_block.chunk_by(|a, b| a.inst == b.inst) {
            let reads_its_own = of_inst
                .iter()
                .all(|usage| holders.reads_its_own(usage, state));
            if !reads_its_own || holders.has_two_of_one_place(of_inst) {
                return Err(Stop::Refused(Reason::SharedSlots));
            }
            of_inst.iter().for_each(|usage| holders.write(usage, state));
        }
    }
    Ok(())
}

struct Holders<'a> {
    packing: &'a Packing<'a>,
    /// Where the bytes of each shared place begin in a state.
    starts: SecondaryMap<StackSlot, Option<usize>>,
    /// Each slot as the only one that holds a byte.
    alone: SecondaryMap<StackSlot, Held>,
    bytes: usize,
}

impl Holders<'_> {
    /// The bytes that may be meant, if the place of the slot is shared.
    fn bytes<'s>(&self, usage: &Use, state: &'s mut [Held]) -> &'s mut [Held] {
        let place = self.packing.place(usage.slot);
        let Some(first) = self.starts[place.slot] else {
            return &mut [];
        };
        let size = self.packing.size(self.packing.original, usage.slot);
        let (start, end) = usage.bytes.unwrap_or((0, self.packing.room(size)));
        let at = |byte: i64| first + (byte + place.by) as usize;
        &mut state[at(start)..at(end)]
    }

    fn reads_its_own(&self, usage: &Use, state: &mut [Held]) -> bool {
        let is_own = |held: &Held| held.has(self.alone[usage.slot]);
        !usage.reads || self.bytes(usage, state).iter().all(is_own)
    }

    fn write(&self, usage: &Use, state: &mut [Held]) {
        if usage.writes {
            let alone = self.alone[usage.slot];
            let source = self.in_place(usage).map(|source| self.alone[source]);
            for held in self.bytes(usage, state) {
                *held = match usage.surely {
                    true if source.is_some_and(|source| held.has(source)) => held.and(alone),
                    true => alone,
                    false => held.meet(alone),
                };
            }
        }
    }

    /// The slot whose bytes are written to where they are.
    fn in_place(&self, usage: &Use) -> Option<StackSlot> {
        let ((from, first), (start, _)) = (usage.copied?, usage.bytes?);
        let (source, target) = (self.packing.place(from), self.packing.place(usage.slot));
        let is_there = source.slot == target.slot && first + source.by == start + target.by;
        is_there.then_some(from)
    }

    /// Is one instruction given the addresses of two slots in one place? It may compare them, or
    /// write one before it reads the other, but for one that copies bytes to where they are.
    fn has_two_of_one_place(&self, uses: &[Use]) -> bool {
        let place = |usage: &Use| self.packing.place(usage.slot).slot;
        let shares = |usage: &Use| self.starts[place(usage)].is_some();
        uses.iter().enumerate().any(|(at, usage)| {
            let mut others = uses[..at].iter();
            shares(usage)
                && others.any(|it| it.slot != usage.slot && place(it) == place(usage))
                && self.in_place(usage).is_none()
        })
    }
}
