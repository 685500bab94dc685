//! What functions are called.

use crate::trace::End;
use cranelift_codegen::ir::{ArgumentPurpose, FuncRef, Function, Inst, InstructionData};
use cranelift_memopt::CalleeName;

/// Which of `functions` has this name?
pub fn position(functions: &[Function], name: &CalleeName) -> Option<usize> {
    let mut functions = functions.iter();
    functions.position(|func| CalleeName::of_function(&func.name) == *name)
}

/// The function that `inst` names: its callee, or the one whose address it takes.
pub fn callee_of(func: &Function, inst: Inst) -> Option<CalleeName> {
    match func.dfg.insts[inst] {
        InstructionData::Call { func_ref, .. }
        | InstructionData::TryCall { func_ref, .. }
        | InstructionData::FuncAddr { func_ref, .. } => name_of(func, func_ref).ok(),
        _ => None,
    }
}

pub(super) fn name_of(func: &Function, func_ref: FuncRef) -> Result<CalleeName, End> {
    CalleeName::of_ref(func, func_ref).ok_or_else(|| {
        let name = &func.dfg.ext_funcs[func_ref].name;
        End::Unsupported(name.display(None).to_string())
    })
}

/// The argument that is the VM context; 0 if none is.
pub(super) fn vmctx(func: &Function, args: &[u128]) -> u128 {
    let mut params = func.signature.params.iter().zip(args);
    let vmctx = params.find(|(param, _)| param.purpose == ArgumentPurpose::VMContext);
    vmctx.map_or(0, |(_, arg)| *arg)
}
