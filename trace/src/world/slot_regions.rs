//! The regions of stack slots.

use cranelift_codegen::ir::{
    Block, BlockArg, Function, Inst, InstructionData, Opcode, Value, ValueDef,
};
use cranelift_memopt::Policy;
use memopt_policy::DeclaredPolicy;
use std::collections::{BTreeSet, HashMap};

/// Which region a slot belongs to, by function and slot; `None` if its direct
/// accesses do not agree. A host that is confined to some regions sees no other
/// slots.
pub type SlotRegions = HashMap<(usize, u32), Option<u32>>;

/// Finds the regions of the slots of all functions.
pub fn slot_regions(functions: &[Function], policy: &DeclaredPolicy) -> SlotRegions {
    let mut found = SlotRegions::new();
    for (index, func) in functions.iter().enumerate() {
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                let Some((slots, region)) = tagged_slot_access(func, inst) else {
                    continue;
                };
                for slot in slots {
                    let region = Some(policy.representative(region));
                    let entry = found.entry((index, slot)).or_insert(region);
                    if *entry != region {
                        *entry = None;
                    }
                }
            }
        }
    }
    found
}

/// The slots that an access may be to, by a sum, a choice or a parameter of a
/// block, and its region.
fn tagged_slot_access(func: &Function, inst: Inst) -> Option<(BTreeSet<u32>, u32)> {
    let (address, flags) = match func.dfg.insts[inst] {
        InstructionData::Load { arg, flags, .. } => (arg, flags),
        InstructionData::Store { args, flags, .. } => (args[1], flags),
        _ => return None,
    };
    let region = func.dfg.mem_flags[flags].alias_region()?;
    let region = func.dfg.alias_regions[region].user_id;
    let mut slots = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut work = vec![address];
    while let Some(value) = work.pop() {
        let value = func.dfg.resolve_aliases(value);
        if !seen.insert(value) {
            continue;
        }
        match func.dfg.value_def(value) {
            ValueDef::Result(inst, _) => match func.dfg.insts[inst] {
                InstructionData::StackAddr { stack_slot, .. } => {
                    slots.insert(stack_slot.as_u32());
                }
                InstructionData::Binary {
                    opcode: Opcode::Iadd | Opcode::Isub,
                    args,
                } => work.extend(args),
                InstructionData::Ternary { args, .. } => work.extend(&args[1..]),
                _ => {}
            },
            ValueDef::Param(block, position) => passed(func, block, position, &mut work),
            ValueDef::Union(..) => {}
        }
    }
    Some((slots, region))
}

/// Adds what branches pass to a parameter of `block`.
fn passed(func: &Function, block: Block, position: usize, values: &mut Vec<Value>) {
    let dfg = &func.dfg;
    let ends = func.layout.blocks();
    for end in ends.filter_map(|block| func.layout.last_inst(block)) {
        let calls = dfg.insts[end].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        let calls = calls
            .iter()
            .filter(|call| call.block(&dfg.value_lists) == block);
        for call in calls {
            if let Some(BlockArg::Value(value)) = call.args(&dfg.value_lists).nth(position) {
                values.push(value);
            }
        }
    }
}
