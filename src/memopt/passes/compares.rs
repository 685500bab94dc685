//! Comparisons that facts about memory decide; the rules are in
//! `isle/folds.isle`.
//!
//! ```text
//! v1 = stack_addr ss0
//! v2 = load.i64 v0+8        ; ss0 is private here
//! v3 = icmp eq v1, v2   ==>   v3 = iconst.i8 0
//! ```
//!
//! What upstream misses here: it does not know what a slot's address can be
//! equal to, and it compares values before loads are forwarded into them.

use crate::FxHashMap;
use crate::ir::condcodes::IntCC;
use crate::ir::{Inst, InstructionData, StackSlot, Value};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::inst::isle::{self, SlotFacts};
use crate::memopt::memory::clobber::Clobbers;
use crate::memopt::memory::insts::{EventIndex, EventKind, Memory};
use alloc::vec::Vec;

/// Finds the comparisons whose result is known.
///
/// Cost: O(comparisons + events).
pub fn edits(memory: &Memory<'_>, clobbers: &Clobbers<'_>) -> Vec<Edit> {
    let events = compare_events(memory);
    let mut edits = Vec::new();
    for inst in memory.compares.iter().copied() {
        if let Some((cc, args)) = scalar_compare(memory, inst) {
            let event = events.get(&inst);
            let private = event.is_some_and(|event| clobbers.slot_is_private(*event));
            // The event asks about this slot and no other.
            let slot = memory.compared_slot(inst).filter(|_| private);
            let point = Point { memory, slot };
            let dfg = &memory.func.dfg;
            if let Some(result) = isle::fold_icmp(dfg, memory.policy, &point, cc, args) {
                edits.push(Change::FoldCompare(inst, result).because(Reason::Folded));
            }
        }
    }
    edits
}

fn compare_events(memory: &Memory<'_>) -> FxHashMap<Inst, EventIndex> {
    if memory.slots.used().is_empty() {
        return FxHashMap::default();
    }
    let events = memory.events.iter().enumerate();
    let compares = events.filter(|(_, event)| matches!(event.kind, EventKind::Compare));
    compares
        .map(|(index, event)| (event.inst, index as EventIndex))
        .collect()
}

fn scalar_compare(memory: &Memory<'_>, inst: Inst) -> Option<(IntCC, [Value; 2])> {
    let dfg = &memory.func.dfg;
    match dfg.insts[inst] {
        // The rules decide nothing but equality.
        InstructionData::IntCompare {
            args,
            cond: cond @ (IntCC::Equal | IntCC::NotEqual),
            ..
        } if dfg.value_type(args[0]).is_int() => {
            Some((cond, args.map(|arg| dfg.resolve_aliases(arg))))
        }
        _ => None,
    }
}

/// What is known about slots where one comparison executes.
struct Point<'p, 'a> {
    memory: &'p Memory<'a>,
    /// A slot that nobody else knows there.
    slot: Option<StackSlot>,
}

impl SlotFacts for Point<'_, '_> {
    fn slot_address(&self, value: Value) -> Option<(StackSlot, i64)> {
        let (slot, Some(offset)) = self.memory.slots.slot(value)? else {
            return None;
        };
        let size = i64::from(self.memory.func.sized_stack_slots[slot].size);
        (0..size).contains(&offset).then_some((slot, offset))
    }

    fn is_foreign(&self, value: Value, slot: StackSlot) -> bool {
        let derived = self.memory.slots.address(value);
        // While a slot is private every value derived from it is followed.
        derived.is_none() && (self.memory.is_foreign(value) || self.is_private(slot))
    }
}

impl Point<'_, '_> {
    fn is_private(&self, slot: StackSlot) -> bool {
        self.slot == Some(slot)
    }
}
