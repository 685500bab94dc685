//! Loads side by side, put together by shifts, that become one.
//!
//! ```text
//! v1 = uload8.i32 v0                        v8 = load.i32 v0
//! v2 = uload8.i32 v0+1
//! v3 = uload16.i32 v0+2
//! v5 = ishl v2, 8
//! v6 = ishl v3, 16                 ==>
//! v7 = bor v1, (bor v5, v6)                 ; v7 is v8
//! ```
//!
//! The other way round the word is loaded and its bytes are swapped.
//!
//! What upstream misses here: it selects one load for each, and the shifts.
//!
//! Soundness: the word is loaded in the place of the last of the loads, and the others, which are
//! in the same block, would find there what they have found: nothing in between may write a byte
//! of the word, which [mod/ref](crate::memopt::memory::mod_ref) says. None of the loads may trap,
//! all carry the same region and order of bytes, and together they read each byte of the word. No
//! byte of the sum comes from anywhere else, or it is zero.
//!
//! It pays where the loads serve for nothing but this sum, so that all of them go. The word may lie
//! at any address, which CLIF allows without `aligned`.
//!
//! Cost: O(memory instructions); in blocks with two narrow loads side by side O(instructions), and
//! [`bits::find`] for each byte of each sum of two values.

use crate::ir::{Endianness, Function, Inst, InstructionData, MemFlagsData, Opcode, Value};
use crate::memopt::edit::{Change, CombinedLoads, Edit, Reason};
use crate::memopt::inst::bits::{self, Bits};
use crate::memopt::inst::location::Location;
use crate::memopt::memory::insts::{Access, EventIndex, Memory};
use crate::memopt::memory::mod_ref::{Bytes, Writes, mod_ref};
use crate::memopt::passes::merged_stores::unaligned;
use crate::memopt::passes::uses::{Uses, for_each_use};
use alloc::vec::Vec;
use core::ops::Range;
use smallvec::SmallVec;

/// How many memory instructions lie between the first and the last load of a word.
///
/// What reads a word byte by byte stands together. What is given up is a word whose bytes are read
/// farther apart.
const MAX_BETWEEN: u32 = 32;

/// How many narrow loads before one are looked at for its neighbour. What is given up is a word
/// between whose bytes as many others are read.
const MAX_NEAR: usize = 4;

/// Bytes of the largest word.
const MAX_BYTES: u32 = 8;

/// Instructions that put a word together: three for each of eight bytes, and some that widen it.
const MAX_INSTS: usize = 32;

/// Finds the sums whose bytes one load gives. No load is in two of them.
pub fn edits(memory: &Memory<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut uses = None;
    for node in 0..memory.starts.len().saturating_sub(1) {
        let events = memory.starts[node]..memory.starts[node + 1];
        if !has_neighbours(memory, events.clone()) {
            continue;
        }
        let layout = &memory.func.layout;
        let Some(block) = layout.inst_block(memory.inst(events.start)) else {
            continue;
        };
        let sums = layout
            .block_insts(block)
            .filter(|inst| is_sum(memory.func, *inst));
        let sums: SmallVec<[Inst; 8]> = sums.collect();
        if !sums.is_empty() {
            let uses = uses.get_or_insert_with(|| Uses::new(memory.func));
            of_block(Sums { memory, uses }, &sums, events, &mut edits);
        }
    }
    edits
}

/// Is a narrow load next to one that comes before it?
fn has_neighbours(memory: &Memory<'_>, events: Range<EventIndex>) -> bool {
    let mut narrow: SmallVec<[&Access; 16]> = SmallVec::new();
    for event in events {
        let Some(access) = part(memory, event) else {
            continue;
        };
        let mut near = narrow.iter().rev().take(MAX_NEAR);
        if near.any(|other| touch(memory, other, access)) {
            return true;
        }
        narrow.push(access);
    }
    false
}

/// The load `event`, if it can be one of several that make a word.
fn part<'m>(memory: &'m Memory<'_>, event: EventIndex) -> Option<&'m Access> {
    let access = memory.access(event)?;
    let is_plain = access.load.is_some() && access.stored.is_none();
    let is_part = access.location.bytes? < MAX_BYTES && access.trap.is_none();
    (is_plain && is_part && !access.asynchronous).then_some(access)
}

fn touch(memory: &Memory<'_>, one: &Access, other: &Access) -> bool {
    let (one, other) = (&one.location, &other.location);
    one.address.root == other.address.root
        && one
            .distance(other, memory.pointer_bits)
            .is_some_and(|at| at == bytes_of(one) || -at == bytes_of(other))
}

fn bytes_of(location: &Location) -> i64 {
    location.bytes.map_or(0, i64::from)
}

/// Does `inst` put a word together?
fn is_sum(func: &Function, inst: Inst) -> bool {
    let is_sum = matches!(
        func.dfg.insts[inst],
        InstructionData::Binary {
            opcode: Opcode::Bor,
            ..
        }
    );
    is_sum && {
        let ty = func.dfg.ctrl_typevar(inst);
        ty.is_int() && matches!(ty.bytes(), 2..=8)
    }
}

/// Finds which of the sums of one block are loaded, the last first: what a sum is a part of comes
/// behind it.
fn of_block(sums: Sums<'_, '_>, insts: &[Inst], events: Range<EventIndex>, edits: &mut Vec<Edit>) {
    let mut used: SmallVec<[EventIndex; 8]> = SmallVec::new();
    for inst in insts.iter().rev() {
        let Some((combined, loads)) = sums.combined(*inst, &events) else {
            continue;
        };
        if loads.iter().any(|load| used.contains(load)) {
            continue;
        }
        let by = loads.iter().map(|load| sums.memory.inst(*load)).collect();
        edits.push(Change::CombineLoads(combined).because(Reason::KnownInParts(by)));
        used.extend(loads);
    }
}

/// A byte of a sum: the load that gives it, and how far into its bytes it lies in memory.
type Byte = (EventIndex, i64);

struct Sums<'m, 'f> {
    memory: &'m Memory<'f>,
    uses: &'m Uses,
}

impl Sums<'_, '_> {
    /// The word that the sum `inst` is, and the loads that it is put together from.
    fn combined(
        &self,
        inst: Inst,
        events: &Range<EventIndex>,
    ) -> Option<(CombinedLoads, SmallVec<[EventIndex; 8]>)> {
        let func = self.memory.func;
        let loads = self.loads_for(inst, events)?;
        let sum = func.dfg.first_result(inst);
        let ty = func.dfg.value_type(sum);
        let bytes: SmallVec<[Byte; 8]> = (0..ty.bytes())
            .map_while(|at| self.byte(sum, at, &loads))
            .collect();
        let count = bytes.len() as u32;
        let mut rest = count..ty.bytes();
        let is_word = matches!(count, 2 | 4 | 8)
            && rest.all(|at| bits::find(&func.dfg, sum, 8 * at, 8) == Bits::Constant(0));
        let (first, swapped) = is_word.then(|| self.run(&bytes))??;
        let found = self.memory.access(first)?;
        let location = Location {
            bytes: Some(count),
            ..found.location
        };
        let (address, offset) = address(func, self.memory.inst(first))?;
        let combined = CombinedLoads {
            sum: inst,
            last: self.memory.inst(*loads.iter().max()?),
            address,
            offset,
            flags: self.flags(&loads)?,
            bytes: count,
            swapped: swapped != (found.endianness == Endianness::Big),
        };
        let is_all = loads
            .iter()
            .all(|load| bytes.iter().any(|(of, _)| of == load));
        (is_all && self.stays(&loads, location)).then_some((combined, loads))
    }

    /// The loads, two or more, that serve for nothing but the sum `inst`, as all in between does.
    fn loads_for(
        &self,
        inst: Inst,
        events: &Range<EventIndex>,
    ) -> Option<SmallVec<[EventIndex; 8]>> {
        let func = self.memory.func;
        let mut loads: SmallVec<[EventIndex; 8]> = SmallVec::new();
        let mut work: SmallVec<[Inst; 16]> = SmallVec::from_slice(&[inst]);
        let mut looked = 0;
        while let Some(inst) = work.pop() {
            looked += 1;
            let mut is_alone = looked <= MAX_INSTS;
            for_each_use(func, inst, |value, _| {
                is_alone &= match func.dfg.value_def(value).inst() {
                    _ if bits::number(&func.dfg, value).is_some() => true,
                    Some(by) => self.is_part_of_sum(value, by, events, &mut loads, &mut work),
                    None => false,
                };
            });
            if !is_alone {
                return None;
            }
        }
        (loads.len() > 1).then_some(loads)
    }

    /// Is `value`, which `inst` gives, a load that is put into a sum, or what becomes of it there?
    fn is_part_of_sum(
        &self,
        value: Value,
        inst: Inst,
        events: &Range<EventIndex>,
        loads: &mut SmallVec<[EventIndex; 8]>,
        work: &mut SmallVec<[Inst; 16]>,
    ) -> bool {
        let func = self.memory.func;
        match func.dfg.insts[inst] {
            _ if !self.uses.are_one(value) => false,
            InstructionData::Load { .. } => {
                let mut events = events.clone();
                let found = events.find(|event| self.memory.inst(*event) == inst);
                let found = found.filter(|event| part(self.memory, *event).is_some());
                loads.extend(found);
                found.is_some() && loads.len() <= MAX_BYTES as usize
            }
            InstructionData::Unary {
                opcode: Opcode::Uextend | Opcode::Ireduce,
                ..
            }
            | InstructionData::Binary {
                opcode: Opcode::Bor | Opcode::Ishl | Opcode::Band,
                ..
            } => {
                work.push(inst);
                true
            }
            _ => false,
        }
    }

    /// Where the byte `at` of `sum` has been loaded, if by one of `loads`.
    fn byte(&self, sum: Value, at: u32, loads: &[EventIndex]) -> Option<Byte> {
        let Bits::Of(value, low) = bits::find(&self.memory.func.dfg, sum, 8 * at, 8) else {
            return None;
        };
        let load = *loads.iter().find(|load| self.result(**load) == value)?;
        let access = self.memory.access(load)?;
        let (byte, bytes) = (i64::from(low / 8), bytes_of(&access.location));
        let is_read = low.is_multiple_of(8) && byte < bytes;
        let at = match access.endianness {
            Endianness::Little => byte,
            Endianness::Big => bytes - 1 - byte,
        };
        is_read.then_some((load, at))
    }

    fn result(&self, load: EventIndex) -> Value {
        let func = self.memory.func;
        func.dfg.first_result(self.memory.inst(load))
    }

    /// The load with the first byte of the word in memory, if the bytes, from the lowest on, lie there
    /// one behind the other, or one before the other.
    fn run(&self, bytes: &[Byte]) -> Option<(EventIndex, bool)> {
        let origin = self.memory.access(bytes.first()?.0)?.location;
        let places: Option<SmallVec<[i64; 8]>> = bytes
            .iter()
            .map(|(load, at)| {
                let location = &self.memory.access(*load)?.location;
                let is_near = location.address.root == origin.address.root;
                is_near.then_some(())?;
                Some(origin.distance(location, self.memory.pointer_bits)? + at)
            })
            .collect();
        let places = places?;
        let follow = |by: i64| places.windows(2).all(|two| two[1] == two[0] + by);
        let swapped = follow(-1);
        let first = if swapped {
            bytes.last()?
        } else {
            bytes.first()?
        };
        (first.1 == 0 && (swapped || follow(1))).then_some((first.0, swapped))
    }

    /// The flags that all of the loads carry, without `aligned`.
    fn flags(&self, loads: &[EventIndex]) -> Option<MemFlagsData> {
        let dfg = &self.memory.func.dfg;
        let flags = |load: &EventIndex| {
            let data = &dfg.insts[self.memory.inst(*load)];
            data.memflags_data(dfg).map(unaligned)
        };
        let first = flags(loads.first()?)?;
        let mut others = loads.iter();
        others
            .all(|load| flags(load) == Some(first))
            .then_some(first)
    }

    /// Are the bytes at `location` the same from the first of the loads to the last?
    fn stays(&self, loads: &[EventIndex], location: Location) -> bool {
        let (Some(first), Some(last)) = (loads.iter().min(), loads.iter().max()) else {
            return false;
        };
        let class = self.memory.access(*first).and_then(|access| access.class);
        let bytes = Bytes {
            location,
            class,
            private: location.is_always_private(&self.memory.slots),
        };
        let writes = |event| mod_ref(self.memory, event, &bytes).writes != Writes::None;
        last - first <= MAX_BETWEEN && !(*first + 1..*last).any(writes)
    }
}

/// The address of a load, and the offset that it adds.
fn address(func: &Function, inst: Inst) -> Option<(Value, i32)> {
    match func.dfg.insts[inst] {
        InstructionData::Load { arg, offset, .. } => {
            Some((func.dfg.resolve_aliases(arg), offset.into()))
        }
        _ => None,
    }
}
