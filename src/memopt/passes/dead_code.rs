//! Loads whose value nobody uses, and the pure code that fed what is gone.
//!
//! Cranelift lowers every load, used or not, because a load is a side effect to
//! it; even one that cannot trap reaches machine code. And what a removed store
//! stored, or the `stack_addr` of a slot that is gone, is left behind.
//!
//! Soundness: a load that cannot trap observes memory, but nobody observes the
//! load. One of memory that the world writes at any time stays.

use crate::entity::EntitySet;
use crate::ir::{Function, Inst, InstructionData, Opcode};
use crate::memopt::call::effects::{Policy, is_asynchronous};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::inst::effect::{self, Effect};
use crate::memopt::passes::uses::Uses;
use alloc::vec::Vec;

/// What nobody uses.
pub struct DeadCode {
    /// One edit for each instruction; what uses a result comes before it.
    pub edits: Vec<Edit>,
    /// The uses that are left when all of this is gone.
    pub uses: Uses,
}

/// Finds unused loads, and the pure code that feeds nothing else.
///
/// With `loads` false, loads stay. `uses` are those of `func`.
pub fn find(func: &Function, policy: &dyn Policy, loads: bool, uses: Uses) -> DeadCode {
    let mut dead = DeadCode {
        edits: Vec::new(),
        uses,
    };
    let uses = &mut dead.uses;
    let mut work = Vec::new();
    let mut known = EntitySet::new();
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            // What has no results is there for something else.
            let results = func.dfg.inst_results(inst);
            if !results.is_empty() && uses.use_none_of(results) {
                work.push(inst);
            }
        }
    }
    // In the order of the function, whatever the order of discovery.
    work.reverse();
    while let Some(inst) = work.pop() {
        let is_load = match removable(func, policy, inst) {
            Removable::Pure => false,
            Removable::Load if loads => true,
            Removable::Load | Removable::No => continue,
        };
        // What feeds a dead instruction may have another result in use.
        if !uses.are_none(func, inst) || !known.insert(inst) {
            continue;
        }
        let change = match is_load {
            true => Change::RemoveUnusedLoad(inst),
            false => Change::RemoveUnusedCode(inst),
        };
        dead.edits.push(change.because(Reason::NoUses));
        uses.remove(func, inst, |value| {
            if let Some(feeding) = func.dfg.value_def(value).inst()
                && func.layout.inst_block(feeding).is_some()
            {
                work.push(feeding);
            }
        });
    }
    dead
}

/// What an instruction is while nobody uses its results.
pub enum Removable {
    /// Needed all the same.
    No,
    /// Nothing.
    Pure,
    /// A load that observes nothing.
    Load,
}

/// May `inst` go if nobody uses its results?
pub fn removable(func: &Function, policy: &dyn Policy, inst: Inst) -> Removable {
    let opcode = func.dfg.insts[inst].opcode();
    if effect::is_common_value(opcode) {
        return Removable::Pure;
    }
    match effect::effect(func, inst) {
        Effect::None if opcode.is_terminator() || opcode.is_branch() => Removable::No,
        Effect::None => match func.dfg.insts[inst] {
            InstructionData::NullAry { opcode } if opcode != Opcode::Nop => Removable::No,
            _ if func.dfg.inst_results(inst).is_empty() => Removable::No,
            _ => Removable::Pure,
        },
        Effect::Access(access) if access.stored.is_none() && access.flags.notrap() => {
            let region = access.region();
            let region = region.map(|region| func.dfg.alias_regions[region].user_id);
            if is_asynchronous(policy, region) {
                Removable::No
            } else {
                Removable::Load
            }
        }
        Effect::Access(_)
        | Effect::Call
        | Effect::Transfer(_)
        | Effect::Barrier(_)
        | Effect::Trap
        | Effect::End => Removable::No,
    }
}
