//! Short copies from and to slots, as loads and stores.
//!
//! ```text
//! v3 = call memcpy(ss1, ss0, 16)  ==>  v4 = load.i64 ss0
//!                                      v5 = load.i64 ss0+8
//!                                      store v4, ss1
//!                                      store v5, ss1+8
//! ```
//!
//! What a call copies stays in memory; what loads and stores copy is promoted field by field, as
//! SROA does it. So where one of the slots is private, is accessed at known offsets alone, and no
//! other call that stays touches it. The other range may be any memory but what the world writes
//! at any time.
//!
//! Soundness: all words are loaded before the first is stored, so that ranges may overlap. Nothing
//! traps where the call does not. In how many steps it reads and writes nobody has
//! promised, so that another thread may see the words one after the other. Words that go
//! to a private slot of which nobody ever reads them are left out.
//!
//! Cost: nothing in a function that declares none of the functions, and otherwise O(calls).

use crate::entity::EntitySet;
use crate::ir::{ExternalName, Function, Inst, LibCall, StackSlot, Type};
use crate::memopt::call::effects::Policy;
use crate::memopt::edit::{Change, Edit, Expanded, Reason};
use crate::memopt::inst::bits::number;
use crate::memopt::inst::transfer::Transfer;
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use crate::memopt::promote::accesses::{Traffic, Use, Used};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Loads and stores that take the place of one call.
///
/// They are about as much code as the call and its arguments if they stay. What is given up is a
/// record of more words.
const MAX_WORDS: usize = 8;

/// Bytes of a copy that are looked at word by word. What is given up is a larger one of which a few
/// words are read.
const MAX_BYTES: u32 = 4096;

/// One edit for each call that becomes loads and stores.
pub fn edits(func: &Function, slots: &Slots, traffic: &Traffic, policy: &dyn Policy) -> Vec<Edit> {
    let mut copies = Copies::default();
    let concerned = slots.concerned().iter();
    for concerned in concerned.filter(|it| slots.access(it).is_none()) {
        if let Some(transfer) = Transfer::of(func, concerned.inst) {
            copies.note(slots, concerned.inst, transfer);
        }
    }
    for touched in &traffic.touched {
        // What calls read is noted already.
        let reads = match touched.usage {
            Use::Load(_) => true,
            Use::Kept => !func.dfg.insts[touched.inst].opcode().is_call(),
            Use::Store(..) => false,
        };
        if reads {
            copies.read.push((touched.slot, touched.start, touched.end));
        }
    }
    let others = !policy.has_asynchronous_memory();
    let mut short = Vec::new();
    let mut left: EntitySet<StackSlot> = EntitySet::new();
    for (call, transfer) in &copies.calls {
        let touched = transfer
            .touched()
            .filter_map(|range| slots.slot(range.address));
        let touched: SmallVec<[StackSlot; 2]> = touched.map(|(slot, _)| slot).collect();
        match copies.expanded(func, (slots, traffic), *call, transfer) {
            Some(expanded) if others || touched.len() == transfer.touched().count() => {
                short.push((expanded, touched));
            }
            _ => left.extend(touched),
        }
    }
    let becomes_values = |slot: &StackSlot| !left.contains(*slot) && is_ours(slots, traffic, *slot);
    let edits = short.into_iter().filter_map(|(expanded, touched)| {
        let slot = touched.into_iter().find(becomes_values)?;
        Some(Change::ExpandCopy(expanded).because(Reason::Private(slot)))
    });
    edits.collect()
}

/// Is a slot accessed at known offsets alone, by nobody else?
fn is_ours(slots: &Slots, traffic: &Traffic, slot: StackSlot) -> bool {
    traffic.used[slot] != Used::Whole && slots.privacy(slot) == Privacy::Always
}

/// The calls of a function that copy or fill, and what is read of slots.
#[derive(Default)]
struct Copies {
    calls: Vec<(Inst, Transfer)>,
    /// Slot, first byte, and the byte behind the last one.
    read: Vec<(StackSlot, u32, u32)>,
}

impl Copies {
    fn note(&mut self, slots: &Slots, call: Inst, transfer: Transfer) {
        for range in transfer.read() {
            if let Some((slot, offset)) = slots.slot(range.address) {
                let start = offset.and_then(|offset| u32::try_from(offset).ok());
                let (start, end) = match (start, range.bytes) {
                    (Some(start), Some(bytes)) => (start, start.saturating_add(bytes)),
                    _ => (0, u32::MAX),
                };
                self.read.push((slot, start, end));
            }
        }
        self.calls.push((call, transfer));
    }

    /// The loads and stores in the place of the call, if they are few, and at known bytes of slots.
    fn expanded(
        &self,
        func: &Function,
        (slots, traffic): (&Slots, &Traffic),
        call: Inst,
        transfer: &Transfer,
    ) -> Option<Expanded> {
        let to = transfer.written()?;
        let bytes = to.bytes?;
        let mut starts: SmallVec<[u32; 2]> = SmallVec::new();
        for range in transfer.touched() {
            if let Some((_, offset)) = slots.slot(range.address) {
                starts.push(u32::try_from(offset?).ok()?);
            }
        }
        let fill = match transfer.filling() {
            Some(value) => Some(number(&func.dfg, value)? as u8),
            None => None,
        };
        let is_known = func.debug_tags.get(call).is_empty();
        let target = slots.slot(to.address).map(|(slot, _)| slot);
        let words = words(&starts, bytes, |at, size| match target {
            Some(slot) if is_ours(slots, traffic, slot) => {
                let first = starts[0] + at;
                let mut read = self.read.iter();
                read.any(|(it, start, end)| *it == slot && *start < first + size && first < *end)
            }
            _ => true,
        })?;
        is_known.then_some(Expanded { call, words, fill })
    }
}

/// Does `func` declare one of the functions that copy or fill?
pub fn are_declared(func: &Function) -> bool {
    let mut callees = func.dfg.ext_funcs.values();
    callees.any(|callee| {
        matches!(
            callee.name,
            ExternalName::LibCall(LibCall::Memcpy | LibCall::Memmove | LibCall::Memset)
        )
    })
}

/// Where words begin that are the bytes behind all of `starts`, each at a multiple of its size, and
/// their types; those without what `is_needed` does not ask for.
fn words(
    starts: &[u32],
    bytes: u32,
    is_needed: impl Fn(u32, u32) -> bool,
) -> Option<SmallVec<[(i32, Type); MAX_WORDS]>> {
    let mut words = SmallVec::new();
    let mut at = 0;
    while at < bytes {
        let fits = |size: u32| {
            let mut starts = starts.iter();
            size <= bytes - at && starts.all(|start| (start + at).is_multiple_of(size))
        };
        let size = [8, 4, 2].into_iter().find(|size| fits(*size)).unwrap_or(1);
        if is_needed(at, size) {
            if words.len() == MAX_WORDS {
                return None;
            }
            words.push((i32::try_from(at).ok()?, Type::int(8 * size as u16)?));
        }
        at += size;
        if at > MAX_BYTES {
            return None;
        }
    }
    Some(words)
}
