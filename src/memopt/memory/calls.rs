//! What one call may do.

use crate::ir::{
    ArgumentPurpose, ExceptionTableItem, ExternalName, Function, Inst, InstructionData,
};
use crate::memopt::call::effects::{CalleeName, Policy, RegionSet, Summary};
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
        InstructionData::CallIndirect { .. } | InstructionData::TryCallIndirect { .. } => {
            let origin = origin(func, dfg.inst_args(inst)[0]);
            let direct = match &origin.function {
                Some(name) if origin.loads.is_empty() => policy.callee(name),
                Some(_) | None => None,
            };
            direct.or_else(|| policy.indirect_callee(&origin))
        }
        _ => None,
    };
    // A struct argument is copied by the caller, from wherever it lies.
    let signature = dfg.call_signature(inst).map(|sig| &dfg.signatures[sig]);
    let copies = signature.is_none_or(|signature| {
        let mut params = signature.params.iter();
        params.any(|param| matches!(param.purpose, ArgumentPurpose::StructArgument(_)))
    });
    match summary {
        Some(summary) if copies => summary.reading(&RegionSet::all()),
        Some(summary) => summary,
        None => Summary::opaque(),
    }
}

/// Does the `try_call` at `inst` handle every exception that comes back to it?
pub fn handles_all_exceptions(func: &Function, inst: Inst) -> bool {
    let Some(table) = func.dfg.insts[inst].exception_table() else {
        return false;
    };
    let mut items = func.dfg.exception_tables[table].items();
    items.any(|item| matches!(item, ExceptionTableItem::Default(_)))
}
