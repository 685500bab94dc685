//! What Cranelift's own functions copy and fill.
//!
//! ```text
//! store v0, ss0+8                           store v0, ss0+8
//! call memcpy(ss1, ss0, 16)                 call memcpy(ss1, ss0, 16)
//! v1 = load.i64 ss1+8             ==>       ; v1 is v0
//! call memcpy(ss0, ss1, 16)                 ; writes what is there
//! call memcpy(v2, ss1, 16)                  call memcpy(v2, ss0, 16)
//! ```
//!
//! Bytes that were copied are those where they were copied from, just before the copy. There the
//! clobber walk goes on.
//!
//! What upstream misses here: to it a libcall is a call like any other, and calls are fences.
//!
//! Soundness: that of [`Clobbers::source`](crate::memopt::memory::clobber::Clobbers::source), once
//! for each copy. If all paths back from an access come to the copy, it dominates the access, and
//! its addresses mean there what they meant last when it was executed: whatever computes them
//! dominates it. A copy is needless if its source has been copied from its destination, or the
//! other way round, and what the earlier copy read has come from one source since before.
//!
//! A copy of a copy, in one block, is made from the first source if nothing in between may write
//! that, and the copy itself does not. Bytes that were read once are not read twice, unless nobody else knows them:
//! of others the first copy goes, which nobody else reads.
//!
//! Cost: at most [`MAX_BETWEEN`] memory instructions for each copy, and all of the function for at
//! most [`MAX_ALONE`]; at most [`MAX_COPIES`] more queries for each piece of an access.

use super::Pass;
use crate::ir::Inst;
use crate::memopt::edit::{Change, Forwarded, Reason};
use crate::memopt::inst::bits::number;
use crate::memopt::inst::location::Location;
use crate::memopt::inst::transfer;
use crate::memopt::memory::clobber::Source;
use crate::memopt::memory::insts::{EventIndex, Transfer};
use crate::memopt::memory::mod_ref::{Bytes, Writes, mod_ref};
use smallvec::SmallVec;

/// Copies that are followed back from one access.
///
/// A value that is passed through several locals is copied twice or three times. What is given up
/// is one that has come a longer way.
const MAX_COPIES: usize = 4;

/// How many memory instructions before a copy are looked at for the one that it is a copy of.
///
/// What moves a record through a local does so at once. What is given up is one farther away.
const MAX_BETWEEN: usize = 32;

/// Copies of which it is asked, of all memory instructions, whether anybody else reads them.
///
/// Few have another copy right behind them. What is given up are the others.
const MAX_ALONE: u32 = 16;

impl Pass<'_, '_, '_, '_> {
    /// Where the bytes at `part`, which come from `source`, were before they were copied there,
    /// and where they came from then.
    pub(super) fn before_copies(&mut self, source: Source, part: Location) -> (Source, Location) {
        let (mut source, mut part) = (source, part);
        for _ in 0..MAX_COPIES {
            match self.before_copy(source, &part) {
                Some((_, before, from)) => (source, part) = (before, from),
                None => break,
            }
        }
        (source, part)
    }

    /// The same for one copy, and which it is.
    fn before_copy(
        &mut self,
        source: Source,
        part: &Location,
    ) -> Option<(EventIndex, Source, Location)> {
        let Source::Event(copy) = source else {
            return None;
        };
        let memory = self.facts.memory;
        let transfer = memory.transfer(copy).filter(|it| !it.asynchronous)?;
        let from = transfer.origin(part, memory.pointer_bits)?;
        Some((copy, self.clobbers.source_to_be_read(copy, from), from))
    }

    /// The bits of `part` if the transfer `event` fills all of it with one byte that is known, at
    /// most 64.
    pub(super) fn filled(&self, event: EventIndex, part: &Location) -> Option<u64> {
        let memory = self.facts.memory;
        let transfer = memory.transfer(event)?;
        let byte = self.byte(transfer)?;
        let bits = 8 * part.bytes.filter(|bytes| (1..=8).contains(bytes))?;
        let fills = transfer.fills(part, memory.pointer_bits);
        fills.then(|| u64::from_ne_bytes([byte; 8]) >> (64 - bits))
    }

    /// The byte that a transfer fills memory with, if that is a constant.
    fn byte(&self, transfer: &Transfer) -> Option<u8> {
        let value = self.facts.canonical(transfer.filling?);
        Some(number(&self.facts.memory.func.dfg, value)? as u8)
    }

    /// Removes the transfer `event` if memory holds what it writes.
    pub(super) fn transfer(&mut self, event: EventIndex, inst: Inst) {
        let memory = self.facts.memory;
        let Some(transfer) = memory.transfer(event) else {
            return;
        };
        if transfer.asynchronous || !memory.func.debug_tags.get(inst).is_empty() {
            return;
        }
        if let Some(by) = self.is_needless(event, transfer) {
            self.clobbers.set_noop(event);
            self.moved.push(event);
            let by: SmallVec<[Inst; 2]> = by.into_iter().map(|it| self.inst(it)).collect();
            let change = Change::RemoveNoopCopy(inst);
            self.edits.push(change.because(Reason::CopiedBy(by)));
        } else if let Some((first, forwarded)) = self.copy_of_copy(event, inst, transfer) {
            self.moved.extend([first, event]);
            let by = SmallVec::from_slice(&[forwarded.first]);
            let change = Change::ForwardCopy(forwarded);
            self.edits.push(change.because(Reason::CopiedBy(by)));
        }
    }

    /// The transfer of the same block that has copied what `event` copies, if that can be read
    /// where it has read it.
    fn copy_of_copy(
        &mut self,
        event: EventIndex,
        inst: Inst,
        transfer: &Transfer,
    ) -> Option<(EventIndex, Forwarded)> {
        let memory = self.facts.memory;
        let from = transfer.copied()?.0;
        let writes = |event: EventIndex, part: &Location| {
            mod_ref(memory, event, &self.bytes(part)).writes != Writes::None
        };
        let block = memory.of_node(memory.node(event));
        let mut before = (block.start..event).rev().take(MAX_BETWEEN);
        let first = before.find(|other| writes(*other, from))?;
        let earlier = memory.transfer(first).filter(|it| !it.asynchronous)?;
        let origin = earlier.origin(from, memory.pointer_bits)?;
        let tags = &memory.func.debug_tags;
        let is_used = self.moved.contains(&first) || !tags.get(self.inst(first)).is_empty();
        if is_used || (first..=event).any(|other| writes(other, &origin)) {
            return None;
        }
        let removes_first = earlier.writes == Some(*from) && self.is_alone(first, event, from);
        let is_ours = origin.is_always_private(&memory.slots);
        let offset = earlier.copied()?.0.distance(&origin, memory.pointer_bits)?;
        let forwarded = Forwarded {
            call: inst,
            first: self.inst(first),
            offset: offset.try_into().ok()?,
            removes_first,
        };
        (is_ours || removes_first).then_some((first, forwarded))
    }

    /// Does nobody but `event` read what `first` writes?
    fn is_alone(&mut self, first: EventIndex, event: EventIndex, part: &Location) -> bool {
        let memory = self.facts.memory;
        if !part.is_always_private(&memory.slots) {
            return false;
        }
        if self.asked == MAX_ALONE {
            self.clobbers.limits_hit += 1;
            return false;
        }
        self.asked += 1;
        let bytes = self.bytes(part);
        let mut others =
            (0..memory.events.len() as EventIndex).filter(|other| ![first, event].contains(other));
        !others.any(|other| mod_ref(memory, other, &bytes).reads)
    }

    fn bytes(&self, part: &Location) -> Bytes {
        Bytes {
            location: *part,
            class: None,
            private: part.is_always_private(&self.facts.memory.slots),
        }
    }

    /// The transfers because of which memory holds what `event` writes.
    fn is_needless(
        &mut self,
        event: EventIndex,
        transfer: &Transfer,
    ) -> Option<SmallVec<[EventIndex; 2]>> {
        let Some(to) = transfer.writes else {
            return self.is_of_nothing(event).then(SmallVec::new);
        };
        if transfer.filling.is_some() {
            return self.is_filled(event, transfer, to);
        }
        let from = *transfer.copied()?.0;
        if from == to && from.bytes.is_some() && from.address.offset.is_some() {
            return Some(SmallVec::new());
        }
        let read = self.clobbers.source_to_be_read(event, from);
        let written = self.clobbers.source_to_be_written(event, to);
        self.comes_from((read, from), (written, to))
            .or_else(|| self.comes_from((written, to), (read, from)))
    }

    /// Are the bytes at the first location copies of those at the second, both as they are now?
    fn comes_from(
        &mut self,
        (source, part): (Source, Location),
        (now, wanted): (Source, Location),
    ) -> Option<SmallVec<[EventIndex; 2]>> {
        let mut by = SmallVec::new();
        let (mut source, mut part) = (source, part);
        if now.is_unknown() {
            return None;
        }
        for _ in 0..MAX_COPIES {
            let (copy, before, from) = self.before_copy(source, &part)?;
            by.push(copy);
            if from == wanted && before == now {
                return Some(by);
            }
            (source, part) = (before, from);
        }
        None
    }

    /// Does the transfer `event`, which writes nothing, copy or fill no bytes at all?
    fn is_of_nothing(&self, event: EventIndex) -> bool {
        let transfer = transfer::Transfer::of(self.facts.memory.func, self.inst(event));
        transfer.is_some_and(|it| it.returned().is_some())
    }

    /// Has another one filled all that `event` fills, with the same byte?
    fn is_filled(
        &mut self,
        event: EventIndex,
        transfer: &Transfer,
        to: Location,
    ) -> Option<SmallVec<[EventIndex; 2]>> {
        let Source::Event(before) = self.clobbers.source_to_be_written(event, to) else {
            return None;
        };
        let memory = self.facts.memory;
        let earlier = memory.transfer(before)?;
        let same = self.byte(transfer)? == self.byte(earlier)?;
        (same && earlier.fills(&to, memory.pointer_bits)).then(|| SmallVec::from_slice(&[before]))
    }
}
