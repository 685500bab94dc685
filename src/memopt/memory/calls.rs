//! What one call may do.

use crate::ir::{
    ArgumentPurpose, ExceptionTableItem, ExternalName, Function, Inst, InstructionData, Opcode,
    Value,
};
use crate::memopt::call::effects::{CalleeName, Policy, RegionSet, Summary};
use crate::memopt::call::extent::{ByteSet, Extent};
use crate::memopt::call::summary::PointerUse;
use crate::memopt::inst::address::origin;

/// What the call `inst` may do, by the policy or because it is Cranelift's own.
pub fn summary_of_call(func: &Function, policy: &dyn Policy, inst: Inst) -> Summary {
    let dfg = &func.dfg;
    let summary = match dfg.insts[inst] {
        // Tail calls have the formats of calls.
        InstructionData::Call { func_ref, .. } | InstructionData::TryCall { func_ref, .. } => {
            match &dfg.ext_funcs[func_ref].name {
                ExternalName::LibCall(libcall) => Some(Summary::of_libcall(*libcall)),
                ExternalName::User(_) | ExternalName::TestCase(_) => {
                    CalleeName::of_ref(func, func_ref).and_then(|name| policy.callee(&name))
                }
                ExternalName::KnownSymbol(_) => None,
            }
        }
        _ => called_pointer(func, inst).and_then(|pointer| {
            let origin = origin(func, pointer);
            let direct = match &origin.function {
                Some(name) if origin.loads.is_empty() => policy.callee(name),
                Some(_) | None => None,
            };
            direct.or_else(|| policy.indirect_callee(&origin))
        }),
    };
    match summary {
        Some(summary) if copies_arguments(func, inst) => summary.reading(&RegionSet::all()),
        Some(summary) => summary,
        None => Summary::opaque(),
    }
}

/// The pointer to its callee that the indirect call `inst` is given.
pub fn called_pointer(func: &Function, inst: Inst) -> Option<Value> {
    match func.dfg.insts[inst] {
        InstructionData::CallIndirect { .. } | InstructionData::TryCallIndirect { .. } => {
            Some(func.dfg.resolve_aliases(func.dfg.inst_args(inst)[0]))
        }
        _ => None,
    }
}

/// Does the caller copy a struct argument, from wherever it lies?
fn copies_arguments(func: &Function, inst: Inst) -> bool {
    let dfg = &func.dfg;
    let signature = dfg.call_signature(inst).map(|sig| &dfg.signatures[sig]);
    signature.is_none_or(|signature| {
        let mut params = signature.params.iter();
        params.any(|param| matches!(param.purpose, ArgumentPurpose::StructArgument(_)))
    })
}

/// What the direct call `inst`, which has this `summary`, does with what it is passed at this
/// position. A struct argument is another pointer to the callee, and so may be those behind it. A
/// slot that is accessed by regions counts as published, so that the regions decide.
pub fn use_of_arg(func: &Function, inst: Inst, summary: &Summary, at: usize) -> PointerUse {
    let dfg = &func.dfg;
    let InstructionData::Call {
        opcode: Opcode::Call,
        ..
    } = dfg.insts[inst]
    else {
        return PointerUse::ESCAPES;
    };
    if copies_arguments(func, inst) {
        return PointerUse::ESCAPES;
    }
    let mut usage = summary.param(at);
    if usage.returned && returned_arg(func, inst, summary).is_none() {
        return PointerUse::ESCAPES;
    }
    // What it writes through pointers is in its sets too, unless it puts back what it found.
    if summary.reads().is_empty() {
        usage.reads = Extent::NONE;
    }
    if summary.writes().is_empty() {
        (usage.writes, usage.overwrites) = (Extent::NONE, ByteSet::NONE);
    }
    // Of a callee that names regions those say more than that it may touch any byte.
    let is_coarse = (usage.reads.is_none() || summary.reads().is_all())
        && (usage.writes.is_none() || summary.writes().is_all());
    match is_coarse {
        true => usage,
        false => PointerUse::ESCAPES,
    }
}

/// The argument that the first result of the direct call `inst`, which has this `summary`, is.
pub fn returned_arg(func: &Function, inst: Inst, summary: &Summary) -> Option<Value> {
    let dfg = &func.dfg;
    if dfg.insts[inst].opcode() != Opcode::Call || copies_arguments(func, inst) {
        return None;
    }
    let result = *dfg.inst_results(inst).first()?;
    let arg = *dfg.inst_args(inst).get(summary.returned()?)?;
    (dfg.value_type(arg) == dfg.value_type(result)).then(|| dfg.resolve_aliases(arg))
}

/// Does the `try_call` at `inst` handle every exception that comes back to it?
pub fn handles_all_exceptions(func: &Function, inst: Inst) -> bool {
    let Some(table) = func.dfg.insts[inst].exception_table() else {
        return false;
    };
    let mut items = func.dfg.exception_tables[table].items();
    items.any(|item| matches!(item, ExceptionTableItem::Default(_)))
}
