//! Short copies from slot to slot, as loads and stores.
//!
//! ```text
//! v3 = call memcpy(ss1, ss0, 16)  ==>  v4 = load.i64 ss0
//!                                      v5 = load.i64 ss0+8
//!                                      store v4, ss1
//!                                      store v5, ss1+8
//! ```
//!
//! What a call copies stays in memory; what loads and stores copy is promoted field by field, as
//! SROA does it. So where both slots are private, are accessed at known offsets alone, and no
//! other call that stays touches them.
//!
//! Soundness: all words are loaded before the first is stored, so that ranges may overlap. Both
//! are in their slots, so that nothing traps; and nobody else sees the slots, so that it does not
//! matter in how many steps they are written.
//!
//! Cost: nothing in a function that declares none of the functions, and otherwise O(calls).

use crate::entity::EntitySet;
use crate::ir::{
    ExternalName, Function, Inst, InstructionData, LibCall, Opcode, StackSlot, Type, Value,
};
use crate::memopt::edit::{Change, Edit, Expanded, Reason};
use crate::memopt::inst::location::{Address, Root};
use crate::memopt::inst::transfer::{Range, Transfer};
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use crate::memopt::promote::accesses::{Traffic, Used};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Loads and stores that take the place of one call.
///
/// They are about as much code as the call and its arguments if they stay. What is given up is a
/// record of more words.
const MAX_WORDS: usize = 8;

/// One edit for each call that becomes loads and stores.
pub fn edits(func: &Function, slots: &Slots, traffic: &Traffic) -> Vec<Edit> {
    let mut short = Vec::new();
    let mut left: EntitySet<StackSlot> = EntitySet::new();
    for concerned in slots.concerned() {
        let Some(transfer) = Transfer::of(func, concerned.inst) else {
            continue;
        };
        let expanded = expanded(func, slots, concerned.inst, &transfer);
        let touched = transfer.touched().filter_map(|range| slot_of(slots, range));
        let touched: SmallVec<[StackSlot; 2]> = touched.map(|(slot, _)| slot).collect();
        match expanded {
            Some(expanded) => short.push((expanded, touched)),
            None => left.extend(touched),
        }
    }
    let is_kept = |slot: &StackSlot| {
        left.contains(*slot)
            || traffic.used[*slot] == Used::Whole
            || slots.privacy(*slot) != Privacy::Always
    };
    short.retain(|(_, touched)| !touched.iter().any(is_kept));
    let edit = |(expanded, touched): (Expanded, SmallVec<[StackSlot; 2]>)| {
        Change::ExpandCopy(expanded).because(Reason::Private(touched[0]))
    };
    short.into_iter().map(edit).collect()
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

/// The slot that a range is in, and where, if that is known.
fn slot_of(slots: &Slots, range: Range) -> Option<(StackSlot, Option<i64>)> {
    match slots.address(range.address)? {
        Address {
            root: Root::Slot(slot),
            offset,
        } => Some((slot, offset)),
        _ => None,
    }
}

/// The loads and stores in the place of the call, if they are few, and between known bytes of slots.
fn expanded(func: &Function, slots: &Slots, call: Inst, transfer: &Transfer) -> Option<Expanded> {
    let to = transfer.written()?;
    let bytes = to.bytes?;
    let mut starts: SmallVec<[u32; 2]> = SmallVec::new();
    for range in transfer.touched() {
        let (_, offset) = slot_of(slots, range)?;
        starts.push(u32::try_from(offset?).ok()?);
    }
    let fill = match transfer.filling() {
        Some(value) => Some(byte(func, value)?),
        None => None,
    };
    let is_known = func.debug_tags.get(call).is_empty();
    let words = words(&starts, bytes)?;
    is_known.then_some(Expanded { call, words, fill })
}

/// The low byte of `value`, if that is a constant.
fn byte(func: &Function, value: Value) -> Option<u8> {
    let value = func.dfg.resolve_aliases(value);
    match func.dfg.insts[func.dfg.value_def(value).inst()?] {
        InstructionData::UnaryImm {
            opcode: Opcode::Iconst,
            imm,
        } => Some(imm.bits() as u8),
        _ => None,
    }
}

/// Where words begin that are the bytes behind all of `starts`, each at a multiple of its size, and
/// their types.
fn words(starts: &[u32], bytes: u32) -> Option<SmallVec<[(i32, Type); MAX_WORDS]>> {
    let mut words = SmallVec::new();
    let mut at = 0;
    while at < bytes {
        let fits = |size: u32| {
            let mut starts = starts.iter();
            size <= bytes - at && starts.all(|start| (start + at).is_multiple_of(size))
        };
        let size = [8, 4, 2].into_iter().find(|size| fits(*size)).unwrap_or(1);
        if words.len() == MAX_WORDS {
            return None;
        }
        words.push((i32::try_from(at).ok()?, Type::int(8 * size as u16)?));
        at += size;
    }
    Some(words)
}
