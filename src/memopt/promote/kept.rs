//! Addresses of slots that are only kept in slots, which point at each other.
//!
//! ```text
//!     store v2, v3+8       ; the address of ss0 to ss1
//!     store v3, v2+8       ; the address of ss1 to ss0
//!     v4 = load.i64 v2+8   ; the address of ss1
//!     v5 = load.i64 v4     ; what is in ss1
//! ```
//!
//! A slot whose address is in another one is found once that one is a value. In a cycle none is
//! the first, and a record that points at itself is one.
//!
//! # Soundness
//!
//! A *kept* address is one that all stores to some bytes of a slot, the *keeper*, store there. It is
//! assumed of all kept addresses together that each keeper is private, that no access but loads and
//! stores of all of the bytes touches them, and that such a store comes before each load. Then a load
//! of them gives the address, and is followed as such; and the store lets it go to nobody. What
//! is found under that assumption either confirms it, or what contradicts it is taken off, and
//! the others are looked at again. A run cannot contradict it first: until it does, all that
//! accesses the slots has been followed.
//!
//! Cost: nothing unless the address of a slot is stored to a slot, and no other promotion is
//! found; then as much as following all addresses, at most [`MAX_ROUNDS`] times.

use crate::FxHashSet;
use crate::ir::{Endianness, Inst, Opcode, StackSlot, Value};
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::edit::{Change, Edit};
use crate::memopt::inst::effect::Access;
use crate::memopt::inst::transfer::Transfer;
use crate::memopt::memory::provenance::{Concerned, Kept};
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use crate::memopt::promote::Promoting;
use alloc::vec::Vec;

/// How often what contradicts the assumption is taken off. What is given up are longer chains of
/// slots of which the last one escapes.
const MAX_ROUNDS: u32 = 4;

/// Is the address of a slot stored to one that escapes?
pub fn is_any(slots: &Slots) -> bool {
    let mut accesses = slots.concerned().iter().filter_map(|it| slots.access(it));
    accesses.any(|access| stored(slots, access).is_some_and(|((slot, _), _)| is_open(slots, slot)))
}

fn is_open(slots: &Slots, slot: StackSlot) -> bool {
    slots.privacy(slot) == Privacy::UntilEscape
}

/// The slots, as far as their addresses are followed through slots that keep them; `None` if that is
/// no farther than `slots` says.
pub fn find(promoting: &Promoting<'_>, dominance: &Dominance, slots: &Slots) -> Option<Slots> {
    let mut kept = Kept::default();
    for concerned in slots.concerned() {
        if let Some((keeper, address)) = slots.access(concerned).and_then(|it| stored(slots, it)) {
            kept.insert(keeper, address);
        }
    }
    for _ in 0..MAX_ROUNDS {
        if !kept.keys().any(|(slot, _)| is_open(slots, *slot)) {
            return None;
        }
        let (func, order) = (promoting.func, &promoting.flow.order);
        let found = Slots::with_kept(func, order, promoting.policy, kept);
        let against = contradicted(promoting, dominance, &found);
        if against.is_empty() {
            return Some(found);
        }
        kept = found.into_kept();
        kept.retain(|keeper, _| !against.contains(keeper));
    }
    None
}

/// Takes off what frees a slot whose address a store keeps that is not among `edits`: where a keeper
/// becomes no value, its stores stay, and name the slot.
pub fn retain_named(slots: &Slots, edits: &mut Vec<Edit>) {
    let mut promoted: FxHashSet<Inst> = FxHashSet::default();
    for edit in edits.iter() {
        if let Change::Promote(promotion) = &edit.change {
            promoted.extend(promotion.accesses.iter().map(|access| access.inst));
        }
    }
    let stays = |concerned: &&Concerned| !promoted.contains(&concerned.inst);
    let staying = slots.concerned().iter().filter(stays);
    let kept = staying.filter_map(|it| slots.slot(slots.access(it)?.stored?));
    let named: FxHashSet<StackSlot> = kept.map(|(slot, _)| slot).collect();
    edits.retain(|edit| match &edit.change {
        Change::FreeAddressed(slot, _) => !named.contains(slot),
        _ => true,
    });
}

/// Bytes of a slot, by the first.
type Keeper = (StackSlot, i64);

/// The bytes to which an access stores the address of a slot, and that address.
fn stored(slots: &Slots, access: &Access) -> Option<(Keeper, Keeper)> {
    let address = at(slots, access.stored?)?;
    let (slot, offset) = at(slots, access.address)?;
    Some(((slot, offset + i64::from(access.offset)), address))
}

fn at(slots: &Slots, value: Value) -> Option<Keeper> {
    let (slot, offset) = slots.slot(value)?;
    Some((slot, offset?))
}

/// The keepers of which something else is true than what is assumed.
fn contradicted(promoting: &Promoting<'_>, dominance: &Dominance, slots: &Slots) -> Vec<Keeper> {
    let keepers: Vec<Keeper> = slots.kept().keys().copied().collect();
    let mut against: Vec<Keeper> = Vec::new();
    let is_private = |slot| slots.privacy(slot) == Privacy::Always;
    against.extend(keepers.iter().filter(|(slot, _)| !is_private(*slot)));
    let mut spoil = |slot: StackSlot| {
        against.extend(keepers.iter().filter(|(keeper, _)| *keeper == slot));
    };
    for concerned in slots.concerned() {
        if slots.access(concerned).is_none() {
            spoilt_by(promoting, slots, concerned, &mut spoil);
        }
    }
    for keeper in &keepers {
        if !is_kept_whole(promoting, dominance, slots, *keeper) {
            against.push(*keeper);
        }
    }
    against
}

/// Calls `spoil` with the slots that something else than an access reads or writes.
fn spoilt_by(
    promoting: &Promoting<'_>,
    slots: &Slots,
    concerned: &Concerned,
    spoil: &mut impl FnMut(StackSlot),
) {
    let (func, inst) = (promoting.func, concerned.inst);
    if !func.dfg.insts[inst].opcode().is_call() {
        return;
    }
    for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
        spoil(entry.slot);
    }
    for (slot, _) in slots.lent_at(inst) {
        spoil(*slot);
    }
    if let Some(transfer) = Transfer::of(func, inst) {
        let touched = { transfer.touched() }.filter_map(|range| slots.slot(range.address));
        touched.for_each(|(slot, _)| spoil(slot));
    }
}

/// Are the bytes accessed as a whole alone, and does a store of the address come before each load?
fn is_kept_whole(
    promoting: &Promoting<'_>,
    dominance: &Dominance,
    slots: &Slots,
    keeper: Keeper,
) -> bool {
    let (slot, start) = keeper;
    let Some(address) = slots.kept().get(&keeper) else {
        return false;
    };
    let dfg = &promoting.func.dfg;
    let mut stores: Vec<&Concerned> = Vec::new();
    let mut order: Option<Option<Endianness>> = None;
    for concerned in slots.concerned() {
        let Some(access) = slots.access(concerned) else {
            continue;
        };
        let Some((it, offset)) = slots.slot(access.address) else {
            continue;
        };
        if it != slot {
            continue;
        }
        let (Some(offset), Some(bytes)) = (offset, access.bytes) else {
            return false;
        };
        let pointer = dfg.value_type(access.address);
        let first = offset + i64::from(access.offset);
        if first + i64::from(bytes) <= start || start + i64::from(pointer.bytes()) <= first {
            continue;
        }
        let is_plain = matches!(
            dfg.insts[concerned.inst].opcode(),
            Opcode::Load | Opcode::Store
        );
        // Read in the other byte order it is another address.
        let bytes_in_order = access.flags.explicit_endianness();
        let is_same_order = *order.get_or_insert(bytes_in_order) == bytes_in_order;
        if first != start || access.ty != pointer || !is_plain || !is_same_order {
            return false;
        }
        match access.stored {
            Some(value) if at(slots, value) == Some(*address) => stores.push(concerned),
            Some(_) => return false,
            // What comes before in one node comes before in the list.
            None => {
                let mut stores = stores.iter();
                if !stores.any(|store| dominance.dominates(store.node, concerned.node)) {
                    return false;
                }
            }
        }
    }
    true
}
