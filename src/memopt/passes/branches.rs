//! Branches on constants, and on addresses of slots, none of which is zero.
//!
//! Once a load is known and a comparison folded, a branch may be decided; the
//! blocks behind the other destination go, and with them what they observe. Upstream's
//! mid-end folds branches too, but runs before our passes and only once.

use crate::ir::{Function, Inst, InstructionData};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::inst::bits::number;
use alloc::vec::Vec;

/// Finds the branches that always take one destination. Cost: O(blocks).
pub fn edits(func: &Function) -> Vec<Edit> {
    let mut edits = Vec::new();
    for block in func.layout.blocks() {
        if let Some(inst) = func.layout.last_inst(block) {
            if let Some(taken) = taken(func, inst) {
                edits.push(Change::FoldBranch(inst, taken).because(Reason::Constant));
            } else if is_on_slot(func, inst) {
                edits.push(Change::FoldBranch(inst, 0).because(Reason::Folded));
            }
        }
    }
    edits
}

/// Does `inst` ask whether the address of a byte of a slot is zero? It is fresh, and zero is not
/// made from it. The mid-end makes that of a comparison with zero.
fn is_on_slot(func: &Function, inst: Inst) -> bool {
    let InstructionData::Brif { arg, .. } = func.dfg.insts[inst] else {
        return false;
    };
    let arg = func.dfg.resolve_aliases(arg);
    let made = func.dfg.value_def(arg).inst();
    match made.map(|inst| func.dfg.insts[inst]) {
        Some(InstructionData::StackAddr {
            stack_slot, offset, ..
        }) => {
            let size = i64::from(func.sized_stack_slots[stack_slot].size);
            (0..size).contains(&i64::from(offset))
        }
        _ => false,
    }
}

/// The position of the destination that a branch always takes.
fn taken(func: &Function, inst: Inst) -> Option<usize> {
    match func.dfg.insts[inst] {
        InstructionData::Brif { arg, .. } => {
            let condition = number(&func.dfg, arg)?;
            Some(usize::from(condition == 0))
        }
        InstructionData::BranchTable { arg, table, .. } => {
            let index = number(&func.dfg, arg)?;
            // The default comes first, then the entries.
            let entries = func.dfg.jump_tables[table].as_slice().len() as u64;
            Some(if index < entries {
                index as usize + 1
            } else {
                0
            })
        }
        _ => None,
    }
}
