//! Values that are cheaper to compute again than to keep.
//!
//! ```text
//! v2 = iadd_imm v1, -16                      v2 = iadd_imm v1, -16
//! store v2, v0+8                             store v2, v0+8
//! ...                                ==>     ...
//! block5: ; v2 was loaded here               block5:
//!     call fn0(v0, v2)                           v3 = iadd_imm v1, -16
//!                                                call fn0(v0, v3)
//! ```
//!
//! A value that is forwarded takes a register, or a place in the frame, all the way from where it
//! was stored. An operation with a constant is no dearer than the load that it takes the place of, and what
//! it computes with is mostly there: upstream's mid-end computes such values again in each block
//! that uses them, so that what it has left does so too.
//!
//! Soundness: what an operation computes with dominates it, and so each block that it dominates,
//! and has the same value there.
//!
//! Cost: O(instructions) where a load was answered by such a value from another block, otherwise
//! nothing.

use crate::FxHashMap;
use crate::ir::{Block, Function, Inst, Opcode, Value};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::inst::bits::number;
use crate::memopt::passes::uses::for_each_use;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Blocks that compute one value for themselves.
///
/// Each has an instruction more. Most values are used in one or two; what is given up is the room of one that is
/// used in more.
const MAX_USERS: usize = 3;

/// The operation that computes `value`, if it is one that upstream computes again.
pub fn cheap(func: &Function, value: Value) -> Option<Inst> {
    let inst = func.dfg.value_def(value).inst()?;
    match (func.dfg.insts[inst].opcode(), func.dfg.inst_args(inst)) {
        (Opcode::Iadd | Opcode::Isub | Opcode::Band | Opcode::Bor | Opcode::Bxor, [x, y]) => {
            let constants = [*x, *y].map(|arg| number(&func.dfg, arg).is_some());
            (constants[0] != constants[1]).then_some(inst)
        }
        (Opcode::Bnot, _) => Some(inst),
        _ => None,
    }
}

/// Lets each of the `blocks`, all that can be reached, that uses one of `values` compute it for
/// itself, in their order.
pub fn edits(func: &Function, blocks: &[Block], values: &[Value]) -> Vec<Edit> {
    let mut users: FxHashMap<Value, SmallVec<[Block; MAX_USERS + 1]>> = FxHashMap::default();
    for value in values {
        let value = func.dfg.resolve_aliases(*value);
        if cheap(func, value).is_some() {
            users.insert(value, SmallVec::new());
        }
    }
    let mut found = Vec::new();
    for block in blocks.iter().copied() {
        for inst in func.layout.block_insts(block) {
            for_each_use(func, inst, |value, _| {
                if let Some(users) = users.get_mut(&value)
                    && users.len() <= MAX_USERS
                    && users.last() != Some(&block)
                    && is_elsewhere(func, value, block)
                {
                    users.push(block);
                    found.push((value, block));
                }
            });
        }
    }
    found.retain(|(value, _)| users[value].len() <= MAX_USERS);
    let edit = |(value, block)| Change::ComputeAgain(value, block).because(Reason::CheaperThanKept);
    found.into_iter().map(edit).collect()
}

/// Is `value` computed in another block than `block`?
fn is_elsewhere(func: &Function, value: Value, block: Block) -> bool {
    let inst = func.dfg.value_def(value).inst();
    inst.is_some_and(|inst| func.layout.inst_block(inst) != Some(block))
}
