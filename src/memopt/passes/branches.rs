//! Branches on constants.
//!
//! Once a load is known and a comparison folded, a branch may be decided; the
//! blocks behind the other destination go, and with them what they observe. Upstream's
//! mid-end folds branches too, but runs before our passes and only once.

use crate::ir::{Function, Inst, InstructionData, Value};
use crate::memopt::edit::{Change, Edit, Reason};
use alloc::vec::Vec;

/// Finds the branches that always take one destination. Cost: O(blocks).
pub fn edits(func: &Function) -> Vec<Edit> {
    let mut edits = Vec::new();
    for block in func.layout.blocks() {
        if let Some(inst) = func.layout.last_inst(block)
            && let Some(taken) = taken(func, inst)
        {
            edits.push(Change::FoldBranch(inst, taken).because(Reason::Constant));
        }
    }
    edits
}

/// The position of the destination that a branch always takes.
fn taken(func: &Function, inst: Inst) -> Option<usize> {
    match func.dfg.insts[inst] {
        InstructionData::Brif { arg, .. } => {
            let condition = constant(func, arg)?;
            Some(usize::from(condition == 0))
        }
        InstructionData::BranchTable { arg, table, .. } => {
            let index = constant(func, arg)?;
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

/// The constant that `value` is, zero-extended.
pub fn constant(func: &Function, value: Value) -> Option<u64> {
    let value = func.dfg.resolve_aliases(value);
    let inst = func.dfg.value_def(value).inst()?;
    match func.dfg.insts[inst] {
        InstructionData::UnaryImm { imm, .. } => {
            let bits = func.dfg.value_type(value).bits();
            Some(imm.zero_extend_from_width(bits).bits() as u64)
        }
        _ => None,
    }
}
