//! What a function does, from its body.

use super::region_set::RegionSet;
use super::summary::Summary;
use crate::alias_analysis::has_memory_fence_semantics;
use crate::inst_predicates::inst_addr_offset_type;
use crate::ir::{
    Function, GlobalValue, GlobalValueData, Inst, InstructionData, MemFlags, Opcode, Value,
    ValueDef,
};
use alloc::vec::Vec;

/// What a call of `func` does to memory, seen from its caller.
///
/// A function that may call itself, or that has not learned what its callees do, may do
/// everything.
///
/// An instruction counts even if it is never executed, and so does a store that is
/// undone. Only accesses by an address of the function's own stack slots do not, because
/// the frame is new to the caller, and gone when the caller goes on.
///
/// Cost: one walk over the instructions.
pub fn summarize(func: &Function) -> Summary {
    let mut body = Body {
        func,
        calls: Summary::pure(),
        read: Vec::new(),
        written: Vec::new(),
        is_opaque: false,
        may_trap: false,
    };
    if let Some(limit) = func.stack_limit {
        body.may_trap = true;
        body.global_value(limit);
    }
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            body.inst(inst);
            if body.is_opaque {
                return Summary::opaque();
            }
        }
    }
    let summary = body
        .calls
        .reading(&RegionSet::of(body.read))
        .writing(&RegionSet::of(body.written));
    if body.may_trap {
        summary.trapping()
    } else {
        summary
    }
}

struct Body<'a> {
    func: &'a Function,
    calls: Summary,
    /// The user ids of the regions that are loaded from, and stored to.
    read: Vec<u32>,
    written: Vec<u32>,
    is_opaque: bool,
    may_trap: bool,
}

impl Body<'_> {
    fn inst(&mut self, inst: Inst) {
        let data = &self.func.dfg.insts[inst];
        let opcode = data.opcode();
        if opcode.is_call() {
            self.call(inst);
        } else if has_memory_fence_semantics(opcode) || opcode.other_side_effects() {
            self.is_opaque = true;
        } else if opcode.can_load() || opcode.can_store() {
            self.access(inst);
        } else if let InstructionData::UnaryGlobalValue { global_value, .. } = *data {
            self.global_value(global_value);
        } else {
            self.may_trap |= opcode.can_trap();
        }
    }

    fn call(&mut self, inst: Inst) {
        let dfg = &self.func.dfg;
        let callee = match dfg.insts[inst] {
            // Whatever it does, the caller of this function goes on behind it.
            InstructionData::Call {
                opcode: Opcode::ReturnCall,
                func_ref,
                ..
            } => dfg.callee_effects[func_ref].as_deref(),
            _ => dfg.call_effects(inst),
        };
        match callee {
            Some(effects) => {
                let written = dfg.written_by_call(inst, effects);
                self.calls.join(&effects.clone().writing(written));
            }
            None => self.is_opaque = true,
        }
    }

    fn access(&mut self, inst: Inst) {
        let dfg = &self.func.dfg;
        self.may_trap |= dfg.insts[inst].memflags_trap_code(dfg).is_some();
        let address = inst_addr_offset_type(self.func, inst).map(|(address, ..)| address);
        if address.is_some_and(|address| self.is_own_slot(address)) {
            return;
        }
        let stores = dfg.insts[inst].opcode().can_store();
        match dfg.insts[inst].alias_region(dfg) {
            Some(region) => {
                let list = match stores {
                    true => &mut self.written,
                    false => &mut self.read,
                };
                list.push(dfg.alias_regions[region].user_id);
            }
            None => self.unknown_access(stores),
        }
    }

    /// An access to any memory.
    fn unknown_access(&mut self, stores: bool) {
        let all = RegionSet::all();
        self.calls.join(&match stores {
            true => Summary::pure().writing(&all),
            false => Summary::pure().reading(&all),
        });
    }

    fn is_own_slot(&self, address: Value) -> bool {
        let dfg = &self.func.dfg;
        match dfg.value_def(dfg.resolve_aliases(address)) {
            ValueDef::Result(def, _) => dfg.insts[def].opcode() == Opcode::StackAddr,
            ValueDef::Param(..) | ValueDef::Union(..) => false,
        }
    }

    /// The loads that a global value stands for.
    fn global_value(&mut self, value: GlobalValue) {
        let mut next = Some(value);
        while let Some(value) = next {
            next = match self.func.global_values[value] {
                GlobalValueData::Load { base, flags, .. } => {
                    self.loads_with(flags);
                    Some(base)
                }
                GlobalValueData::IAddImm { base, .. } => Some(base),
                GlobalValueData::VMContext
                | GlobalValueData::Symbol { .. }
                | GlobalValueData::DynScaleTargetConst { .. } => None,
            };
        }
    }

    fn loads_with(&mut self, flags: MemFlags) {
        let dfg = &self.func.dfg;
        let flags = dfg.mem_flags[flags];
        self.may_trap |= !flags.notrap();
        match flags.alias_region() {
            Some(region) => self.read.push(dfg.alias_regions[region].user_id),
            None => self.unknown_access(false),
        }
    }
}
