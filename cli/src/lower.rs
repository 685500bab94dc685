//! From optimized CLIF to machine code, without the mid-end in between.
//!
//! `Context::compile` would run the mid-end again and hide what is measured,
//! so both sides of every comparison are lowered from here.

use anyhow::{Result, anyhow};
use cranelift_codegen::ir::Function;
use cranelift_codegen::ir::function::FunctionParameters;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::print_errors::pretty_error;
use cranelift_codegen::{CompiledCode, Context};
use cranelift_memopt::Compiler;

/// Lowers CLIF that the mid-end has been over.
///
/// With `listing` the result has the text of the machine instructions.
///
/// # Errors
///
/// What the back end cannot compile.
pub fn machine_code(func: &Function, isa: &dyn TargetIsa, listing: bool) -> Result<CompiledCode> {
    let mut ctx = Context::for_function(func.clone());
    ctx.set_disasm(listing);
    Compiler::new()
        .emit(&mut ctx, isa)
        .map_err(|error| anyhow!("{}", pretty_error(&ctx.func, error)))
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
