//! From optimized CLIF to machine code, without the mid-end in between.
//!
//! `Context::compile` would run the mid-end again and hide what is measured,
//! so both sides of every comparison are lowered from here.

use anyhow::{Context as _, Result, anyhow};
use cranelift_codegen::CompiledCode;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::Function;
use cranelift_codegen::ir::function::FunctionParameters;
use cranelift_codegen::isa::TargetIsa;

/// Lowers CLIF that the mid-end has been over.
///
/// With `listing` the result has the text of the machine instructions.
///
/// # Errors
///
/// What the back end cannot compile.
pub fn machine_code(func: &Function, isa: &dyn TargetIsa, listing: bool) -> Result<CompiledCode> {
    let mut func = func.clone();
    // The back end takes it as given that no value stands for another one.
    func.dfg.resolve_all_aliases();
    let cfg = ControlFlowGraph::with_function(&func);
    let domtree = DominatorTree::with_function(&func, &cfg);
    let stencil = isa
        .compile_function(
            &func,
            &domtree,
            &mut regalloc2::Ctx::default(),
            listing,
            &mut ControlPlane::default(),
        )
        .with_context(|| format!("{} cannot be lowered", func.name))?;
    Ok(stencil.apply_params(&func.params))
}

/// The instructions and the machine code, in the form that upstream's
/// filetests expect.
///
/// # Errors
///
/// A target without a disassembler.
pub fn listing(
    code: &CompiledCode,
    params: &FunctionParameters,
    isa: &dyn TargetIsa,
) -> Result<String> {
    let vcode = code.vcode.as_deref().unwrap_or_default();
    let disassembled = disassembly(code, params, isa)?;
    Ok(format!("VCode:\n{vcode}\nDisassembled:\n{disassembled}"))
}

/// The machine code alone, as text.
///
/// # Errors
///
/// A target without a disassembler.
pub fn disassembly(
    code: &CompiledCode,
    params: &FunctionParameters,
    isa: &dyn TargetIsa,
) -> Result<String> {
    let capstone = isa.to_capstone().map_err(|error| anyhow!("{error}"))?;
    code.disassemble(Some(params), &capstone)
}
