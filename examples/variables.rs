//! Locals in stack slots against variables of cranelift-frontend.
//!
//! `cargo run --example variables` builds one function in both manners: the larger of two
//! numbers, by a local that is assigned on each path. With the passes the slot is gone, and
//! both have as many instructions and as much code.

use cranelift_codegen::Context;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Function, InstBuilder, MemFlagsData, Signature, StackSlotData, StackSlotKind,
    UserFuncName, Value, types,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_memopt::{Compiler, NoPolicy, Options};
use std::error::Error;

pub fn main() -> Result<(), Box<dyn Error>> {
    let isa = host()?;
    let mut sizes = Vec::new();
    for (name, build) in [
        ("slots", with_slots as fn(&mut FunctionBuilder<'_>)),
        ("variables", with_variables),
    ] {
        let mut ctx = Context::for_function(function(build, &*isa));
        let plain = Context::for_function(ctx.func.clone()).compile_bytes(&*isa)?;
        let (code, stats) =
            Compiler::new().compile(&mut ctx, &*isa, &NoPolicy, &Options::default())?;
        let size = code.code_buffer().len();
        println!("{name}: {plain} bytes without the passes, {size} with them ({stats})");
        sizes.push(size);
    }
    assert_eq!(sizes[0], sizes[1], "the local in a slot costs something");
    Ok(())
}

/// How large the code is that upstream makes.
trait CompileBytes {
    fn compile_bytes(self, isa: &dyn cranelift_codegen::isa::TargetIsa) -> Result<usize, String>;
}

impl CompileBytes for Context {
    fn compile_bytes(
        mut self,
        isa: &dyn cranelift_codegen::isa::TargetIsa,
    ) -> Result<usize, String> {
        let code = self.compile(isa, &mut Default::default());
        Ok(code
            .map_err(|error| format!("{:?}", error.inner))?
            .code_buffer()
            .len())
    }
}

/// `fn(i64, i64) -> i64`, by `build`.
fn function(
    build: fn(&mut FunctionBuilder<'_>),
    isa: &dyn cranelift_codegen::isa::TargetIsa,
) -> Function {
    let mut signature = Signature::new(CallConv::triple_default(isa.triple()));
    signature.params = vec![AbiParam::new(types::I64); 2];
    signature.returns = vec![AbiParam::new(types::I64)];
    let mut func = Function::with_name_signature(UserFuncName::user(0, 0), signature);
    let mut memory = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut func, &mut memory);
    build(&mut builder);
    builder.seal_all_blocks();
    builder.finalize(isa.frontend_config());
    func
}

/// Each assignment is a store, each use a load.
fn with_slots(builder: &mut FunctionBuilder<'_>) {
    let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3);
    let slot = builder.create_sized_stack_slot(data);
    larger(
        builder,
        &|builder, value| {
            let address = builder.ins().stack_addr(types::I64, slot, 0);
            builder
                .ins()
                .store(MemFlagsData::trusted(), value, address, 0);
        },
        &|builder| {
            let address = builder.ins().stack_addr(types::I64, slot, 0);
            builder
                .ins()
                .load(types::I64, MemFlagsData::trusted(), address, 0)
        },
    );
}

/// cranelift-frontend makes block parameters of variables.
fn with_variables(builder: &mut FunctionBuilder<'_>) {
    let variable = builder.declare_var(types::I64);
    larger(
        builder,
        &|builder, value| builder.def_var(variable, value),
        &|builder| builder.use_var(variable),
    );
}

/// `larger = a; if a < b { larger = b }; return larger`.
fn larger(
    builder: &mut FunctionBuilder<'_>,
    set: &dyn Fn(&mut FunctionBuilder<'_>, Value),
    get: &dyn Fn(&mut FunctionBuilder<'_>) -> Value,
) {
    let (entry, less, end) = (
        builder.create_block(),
        builder.create_block(),
        builder.create_block(),
    );
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let (a, b) = (
        builder.block_params(entry)[0],
        builder.block_params(entry)[1],
    );
    set(builder, a);
    let is_less = builder.ins().icmp(IntCC::SignedLessThan, a, b);
    builder.ins().brif(is_less, less, &[], end, &[]);
    builder.switch_to_block(less);
    set(builder, b);
    builder.ins().jump(end, &[]);
    builder.switch_to_block(end);
    let result = get(builder);
    builder.ins().return_(&[result]);
}

/// This machine, optimizing.
fn host() -> Result<OwnedTargetIsa, Box<dyn Error>> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?; // With "none", the default, nothing runs.
    Ok(cranelift_native::builder()?.finish(settings::Flags::new(flags))?)
}
