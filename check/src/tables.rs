//! What is not code: signatures, slots, names, regions.
//!
//! The walk compares entities by their numbers, so a number has to mean the
//! same in both functions. The result may have more of them.

use super::opcodes::{Kind, kind};
use super::slot_set::SlotSet;
use super::verdict::Reason;
use cranelift_codegen::entity::EntitySet;
use cranelift_codegen::ir::{DebugTag, Function, InstructionData, StackSlot};

/// Do the tables of both functions agree?
pub fn compare(original: &Function, result: &Function) -> Result<(), Reason> {
    let same = |agrees: bool, what| {
        if agrees {
            Ok(())
        } else {
            Err(Reason::Tables(what))
        }
    };
    let (a, b) = (&original.dfg, &result.dfg);
    same(original.signature == result.signature, "signatures")?;
    same(original.stack_limit == result.stack_limit, "stack limits")?;
    same(
        is_prefix(
            original.global_values.values(),
            result.global_values.values(),
        ),
        "global values",
    )?;
    same(
        is_prefix(a.signatures.values(), b.signatures.values()),
        "signatures of callees",
    )?;
    same(
        is_prefix(a.ext_funcs.values(), b.ext_funcs.values()),
        "callees",
    )?;
    same(
        is_prefix(
            original.params.user_named_funcs().values(),
            result.params.user_named_funcs().values(),
        ),
        "names of callees",
    )?;
    same(
        is_prefix(a.alias_regions.iter(), b.alias_regions.iter()),
        "alias regions",
    )?;
    same(
        is_prefix(
            original.dynamic_stack_slots.values(),
            result.dynamic_stack_slots.values(),
        ),
        "dynamic stack slots",
    )?;
    same(
        is_prefix(a.constants.iter(), b.constants.iter()),
        "constants",
    )?;
    same(
        is_prefix(a.immediates.values(), b.immediates.values()),
        "immediates",
    )?;
    same(same_params(original, result), "parameters")
}

/// Are the stack slots the same, up to those that nothing names?
pub fn compare_slots(original: &Function, result: &Function) -> Result<(), Reason> {
    match same_slots(original, result) {
        true => Ok(()),
        false => Err(Reason::Tables("stack slots")),
    }
}

/// The slots that a stack map or a debug tag names, in any of the functions.
pub fn named_by_others<const N: usize>(functions: [&Function; N]) -> EntitySet<StackSlot> {
    let mut named = EntitySet::new();
    for func in functions {
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                let entries = func.dfg.user_stack_map_entries(inst).unwrap_or_default();
                named.extend(entries.iter().map(|entry| entry.slot));
                for tag in func.debug_tags.get(inst) {
                    if let DebugTag::StackSlot(slot) = tag {
                        named.insert(*slot);
                    }
                }
            }
        }
    }
    named
}

/// Is everything in `old` also in `new`, under the same number?
fn is_prefix<T: PartialEq>(
    mut old: impl Iterator<Item = T>,
    mut new: impl Iterator<Item = T>,
) -> bool {
    old.all(|entry| new.next() == Some(entry))
}

/// A slot that the result does not name may have lost its size.
fn same_slots(original: &Function, result: &Function) -> bool {
    let (old, new) = (&original.sized_stack_slots, &result.sized_stack_slots);
    if old.len() != new.len() {
        return false;
    }
    let changed = old.iter().filter(|(slot, data)| new[*slot] != **data);
    let mut changed = changed.peekable();
    if changed.peek().is_none() {
        return true;
    }
    let named = slots_in_code(result);
    changed.into_iter().all(|(slot, data)| {
        new[slot].size == 0
            && data.key.is_none()
            && new[slot].key.is_none()
            && !named.contains(slot)
    })
}

/// Every slot that code, a stack map or a debug tag names.
fn slots_in_code(func: &Function) -> EntitySet<StackSlot> {
    let mut named = named_by_others([func]);
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            if let InstructionData::StackAddr { stack_slot, .. } = func.dfg.insts[inst] {
                named.insert(stack_slot);
            }
        }
    }
    named
}

fn same_params(original: &Function, result: &Function) -> bool {
    let types = |func: &Function| {
        let entry = func.layout.entry_block()?;
        let params = func.dfg.block_params(entry).iter();
        Some(
            params
                .map(|param| func.dfg.value_type(*param))
                .collect::<Vec<_>>(),
        )
    };
    types(original) == types(result)
}

/// The slots that the outside can name from the start, in either function:
/// those with a key or a debug tag, and those in stack maps of what is no call.
pub fn named_slots(functions: [&Function; 2]) -> SlotSet {
    let mut named = SlotSet::default();
    for func in functions {
        for (slot, data) in func.sized_stack_slots.iter() {
            if data.key.is_some() {
                named = named.and(SlotSet::of(slot));
            }
        }
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                for tag in func.debug_tags.get(inst) {
                    if let DebugTag::StackSlot(slot) = tag {
                        named = named.and(SlotSet::of(*slot));
                    }
                }
                if !matches!(
                    kind(func.dfg.insts[inst].opcode()),
                    Kind::Call | Kind::TryCall
                ) {
                    for entry in func.dfg.user_stack_map_entries(inst).unwrap_or_default() {
                        named = named.and(SlotSet::of(entry.slot));
                    }
                }
            }
        }
    }
    named
}
