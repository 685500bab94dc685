//! Stores side by side that become one.
//!
//! ```text
//! store 1.i32, v0                       store 0x2_0000_0001.i64 would need a larger constant
//! store 0.i32, v0+4             ==>     store 1.i64, v0
//! store 7.i64, v1
//! store 1.i8, v1+7              ==>     store 0x0100_0000_0000_0007.i64, v1
//! v3 = ireduce.i32 v2
//! v5 = ireduce.i32 (ushr v2, 32)
//! store v3, v4
//! store v5, v4+4                ==>     store v2, v4
//! store v5, v6                          v7 = bswap v2
//! store v3, v6+4                ==>     store v7, v6      ; each byte by itself
//! ```
//!
//! What upstream misses here: a store stays as it is unless the same bytes are overwritten.
//!
//! Soundness: the first store moves down to the second. Nothing in between, in the same block,
//! may read, write or publish its bytes, or end the function, which
//! [mod/ref](crate::memopt::memory::mod_ref) says. Neither may trap, and both carry the same
//! region and order of bytes. The one store writes the same bytes of the same memory, on the
//! same path.
//!
//! It costs no more than what it replaces: constants of up to four bytes, those of eight
//! that are sign-extended from four, or a value that is there, shifted if the first of the
//! two is; the other way round if single bytes of it are. It begins at a multiple of its
//! size from where the address is based, and says that it is `aligned` only if a store of the same
//! bytes has said so.
//!
//! Cost: O(memory instructions); of each store at most [`MAX_BETWEEN`] before it are looked at.

use crate::FxHashSet;
use crate::ir::{Endianness, Function, Inst, InstructionData, MemFlagsData, Opcode, Type, Value};
use crate::memopt::edit::{Change, Edit, MergedStores, NewStore, Reason, StoredWhole};
use crate::memopt::inst::bits::{self, Bits};
use crate::memopt::inst::location::Root;
use crate::memopt::memory::insts::{Access, EventIndex, Memory};
use crate::memopt::memory::mod_ref::{Bytes, may_meet, mod_ref};
use alloc::vec::Vec;

/// How many memory instructions before a store are looked at.
///
/// What initializes a record stands together. What is given up is a neighbour that is farther
/// away.
const MAX_BETWEEN: usize = 8;

/// The largest store that is made: a constant of more bytes has no place in an instruction.
const MAX_BYTES: i64 = 8;

/// Finds pairs of stores that become one. No store is in two pairs.
pub fn edits(memory: &Memory<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut used: FxHashSet<EventIndex> = FxHashSet::default();
    for node in 0..memory.starts.len().saturating_sub(1) {
        let events = memory.starts[node]..memory.starts[node + 1];
        let mut stores: Vec<Store> = Vec::new();
        for event in events {
            let Some(late) = Store::of(memory, event) else {
                continue;
            };
            let near = stores.iter().rev().take(MAX_BETWEEN);
            let free = near.filter(|early| {
                !used.contains(&early.event) && (event - early.event) as usize <= MAX_BETWEEN
            });
            let found = { free }.find_map(|early| merged(memory, early, &late));
            if let Some((early, merged)) = found {
                let by = [memory.inst(early)].into_iter().collect();
                used.extend([early, event]);
                edits.push(Change::MergeStores(merged).because(Reason::KnownInParts(by)));
            }
            stores.push(late);
        }
    }
    edits
}

/// A store that could be a part of another one.
struct Store {
    event: EventIndex,
    inst: Inst,
    root: Root,
    start: i64,
    bytes: i64,
    flags: MemFlagsData,
    order: Endianness,
}

impl Store {
    fn of(memory: &Memory<'_>, event: EventIndex) -> Option<Self> {
        let access = memory.access(event)?;
        let inst = memory.inst(event);
        let bytes = i64::from(access.location.bytes?);
        let is_one = access.stored.is_some()
            && access.trap.is_none()
            && !access.asynchronous
            && bytes <= MAX_BYTES;
        let dfg = &memory.func.dfg;
        is_one.then_some(Self {
            event,
            inst,
            root: access.location.address.root,
            start: access.location.address.offset?,
            bytes,
            flags: dfg.insts[inst].memflags_data(dfg)?,
            order: access.endianness,
        })
    }

    fn end(&self) -> i64 {
        self.start.saturating_add(self.bytes)
    }

    /// What it stores.
    fn bits(&self, memory: &Memory<'_>) -> Option<Bits> {
        let stored = memory.access(self.event)?.stored?;
        let dfg = &memory.func.dfg;
        Some(bits::find(dfg, stored, 0, 8 * self.bytes as u32))
    }
}

/// The one store that both become; also the first of them.
fn merged(memory: &Memory<'_>, early: &Store, late: &Store) -> Option<(EventIndex, MergedStores)> {
    let (start, end) = (early.start.min(late.start), early.end().max(late.end()));
    let bytes = end.checked_sub(start)?;
    let touch = early.start <= late.end() && late.start <= early.end();
    let is_size = matches!(bytes, 2 | 4 | 8) && start.rem_euclid(bytes) == 0;
    if early.root != late.root || !touch || !is_size || !are_alike(early, late) {
        return None;
    }
    let place = |store: &Store| match store.order {
        Endianness::Little => 8 * (store.start - start) as u32,
        Endianness::Big => 8 * (end - store.end()) as u32,
    };
    let whole = match (early.bits(memory)?, late.bits(memory)?) {
        (Bits::Constant(first), Bits::Constant(second)) => {
            let mask = mask(late.bytes) << place(late);
            let all = (first << place(early)) & !mask | second << place(late);
            let was_large = early.bytes == bytes || late.bytes == bytes;
            (was_large || is_small(all, bytes)).then_some(StoredWhole::Constant(all))?
        }
        _ if early.bytes + late.bytes == bytes => {
            let both = |swapped| run(memory, [early, late], place, swapped);
            both(false).or_else(|| both(true))?
        }
        _ => return None,
    };
    can_move(memory, early, late).then_some(())?;
    let first = if early.start == start { early } else { late };
    let (address, offset) = address(memory.func, first.inst)?;
    let store = NewStore {
        replaced: late.inst,
        address,
        offset,
        flags: flags(first, bytes),
        whole,
        ty: Type::int(8 * bytes as u16)?,
    };
    let removed = early.inst;
    Some((early.event, MergedStores { removed, store }))
}

/// What both store of one value, if these are all bytes of a run of it; if it is `swapped`, the
/// other way round.
fn run(
    memory: &Memory<'_>,
    [early, late]: [&Store; 2],
    place: impl Fn(&Store) -> u32,
    swapped: bool,
) -> Option<StoredWhole> {
    let bytes = early.bytes + late.bytes;
    let part_of = |store: &Store| match store.bits(memory)? {
        Bits::Of(value, low) if !swapped || store.bytes == 1 => Some((value, low)),
        Bits::Of(value, 0) => unswapped(memory.func, value, store.bytes),
        _ => None,
    };
    let at = |store: &Store| match swapped {
        true => 8 * (bytes - store.bytes) as u32 - place(store),
        false => place(store),
    };
    let ((value, first), (other, second)) = (part_of(early)?, part_of(late)?);
    let shift = first.checked_sub(at(early)).filter(|_| value == other)?;
    let follows = second.checked_sub(at(late)) == Some(shift);
    follows.then(|| part(memory.func, value, shift, bytes, swapped))?
}

/// The bits of which `value` is the bytes, `bytes` of them, the other way round.
fn unswapped(func: &Function, value: Value, bytes: i64) -> Option<(Value, u32)> {
    let dfg = &func.dfg;
    match dfg.insts[dfg.value_def(value).inst()?] {
        InstructionData::Unary {
            opcode: Opcode::Bswap,
            arg,
        } if i64::from(dfg.value_type(value).bytes()) == bytes => {
            match bits::find(dfg, arg, 0, 8 * bytes as u32) {
                Bits::Of(value, low) => Some((value, low)),
                Bits::Constant(_) => None,
            }
        }
        _ => None,
    }
}

/// So many bytes of `value` from the bit `shift` on, which are no more than it has.
fn part(
    func: &Function,
    value: Value,
    shift: u32,
    bytes: i64,
    swapped: bool,
) -> Option<StoredWhole> {
    let ty = func.dfg.value_type(value);
    let fits = i64::from(shift) + 8 * bytes <= i64::from(ty.bits());
    let opcode = opcode(ty, bytes).filter(|_| fits && (!swapped || ty.is_int()))?;
    Some(StoredWhole::Value {
        value,
        shift,
        opcode: if swapped { Opcode::Store } else { opcode },
        swapped,
    })
}

/// Has an instruction that stores so many bytes room for the constant?
pub fn is_small(bits: u64, bytes: i64) -> bool {
    bytes <= 4 || i32::try_from(bits as i64).is_ok()
}

/// How so many low bytes of a value of type `ty` are stored.
pub fn opcode(ty: Type, bytes: i64) -> Option<Opcode> {
    let bits = i64::from(ty.bits());
    match bytes {
        _ if bits == 8 * bytes && !ty.is_vector() => Some(Opcode::Store),
        1 if ty.is_int() && bits <= 64 => Some(Opcode::Istore8),
        2 if ty.is_int() && bits <= 64 => Some(Opcode::Istore16),
        4 if ty.is_int() && bits == 64 => Some(Opcode::Istore32),
        _ => None,
    }
}

/// Do both carry the same flags, but for `aligned`?
fn are_alike(early: &Store, late: &Store) -> bool {
    early.order == late.order && unaligned(early.flags) == unaligned(late.flags)
}

/// The flags without `aligned`, of which the stores here have no others.
pub fn unaligned(flags: MemFlagsData) -> MemFlagsData {
    let mut plain = MemFlagsData::new()
        .with_trap_code(flags.trap_code())
        .with_alias_region(flags.alias_region());
    if let Some(order) = flags.explicit_endianness() {
        plain.set_endianness(order);
    }
    if flags.can_move() {
        plain.set_can_move();
    }
    if flags.readonly() {
        plain.set_readonly();
    }
    plain
}

/// The flags of a store of so many bytes that begins with `first`.
fn flags(first: &Store, bytes: i64) -> MemFlagsData {
    let flags = unaligned(first.flags);
    match first.bytes == bytes && first.flags.aligned() {
        true => flags.with_aligned(),
        false => flags,
    }
}

/// May the first store go down to the second?
fn can_move(memory: &Memory<'_>, early: &Store, late: &Store) -> bool {
    let Some(access) = memory.access(early.event) else {
        return false;
    };
    let private = access.is_always_private(&memory.slots);
    let stays = |event: EventIndex| {
        let answer = mod_ref(memory, event, &Bytes::of(access, private));
        answer.ends || may_meet(memory, event, early.event, private)
    };
    !(early.event + 1..late.event).any(stays) && !publishes(memory, access, late.event)
}

/// Does `event` let the address of the slot of `access` escape?
fn publishes(memory: &Memory<'_>, access: &Access, event: EventIndex) -> bool {
    let inst = memory.inst(event);
    let mut slots = access.slot().into_iter();
    slots.any(|slot| memory.slots.escapes_at(inst).contains(&slot))
}

/// The address of a store, and the offset that it adds.
pub fn address(func: &Function, inst: Inst) -> Option<(Value, i32)> {
    match func.dfg.insts[inst] {
        InstructionData::Store {
            args: [_, address],
            offset,
            ..
        } => Some((func.dfg.resolve_aliases(address), offset.into())),
        _ => None,
    }
}

fn mask(bytes: i64) -> u64 {
    u64::MAX >> (64 - 8 * bytes)
}
