//! An object file with cranelift-object: written, linked and run.
//!
//! `cargo run --example object` compiles a program whose functions keep their locals in
//! stack slots, as a first version of many front ends does. It is linked with the system's C
//! compiler and run; its exit code is the sum of the numbers up to ten.

use cranelift_codegen::Context;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, InstBuilder, MemFlagsData, Signature, StackSlot, StackSlotData, StackSlotKind, types,
};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_memopt::{Handover, NoPolicy, Options, define_functions};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use std::error::Error;
use std::process::Command;

/// The sum of the numbers up to ten.
const EXPECTED: i32 = 55;

pub fn main() -> Result<(), Box<dyn Error>> {
    let mut module = object()?;
    let functions = vec![sum(&mut module)?, program(&mut module)?];
    // An object file may have frame descriptions, which bytes cannot carry.
    let handover = Handover::Context;
    let options = Options::default();
    let defined = define_functions(&mut module, functions, &NoPolicy, &options, handover)?;
    for one in &defined {
        println!("{}: {}", one.ctx.func.name, one.stats);
    }
    assert!(defined[0].stats.freed_slots == 2, "{}", defined[0].stats);

    let directory = tempfile::tempdir()?;
    let (object, program) = (directory.path().join("sum.o"), directory.path().join("sum"));
    std::fs::write(&object, module.finish().emit()?)?;
    let linked = Command::new("cc")
        .arg(&object)
        .arg("-o")
        .arg(&program)
        .status()?;
    assert!(linked.success(), "the linker refuses the object file");
    let code = Command::new(&program).status()?.code();
    assert_eq!(code, Some(EXPECTED));
    println!("the program ends with {EXPECTED}");
    Ok(())
}

/// An object file for this machine, from a compiler that optimizes.
fn object() -> Result<ObjectModule, Box<dyn Error>> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?; // With "none", the default, nothing runs.
    flags.set("is_pic", "true")?;
    let isa = cranelift_native::builder()?.finish(settings::Flags::new(flags))?;
    let builder = ObjectBuilder::new(isa, "sum", default_libcall_names())?;
    Ok(ObjectModule::new(builder))
}

/// `fn sum(n: i64) -> i64`: its variables `i` and `total` are slots.
fn sum(module: &mut ObjectModule) -> Result<(FuncId, Context), Box<dyn Error>> {
    let mut signature = module.make_signature();
    signature.params.push(AbiParam::new(types::I64));
    signature.returns.push(AbiParam::new(types::I64));
    let id = module.declare_function("sum", Linkage::Local, &signature)?;
    let mut ctx = module.make_context();
    ctx.func.signature = signature;
    let mut memory = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut ctx.func, &mut memory);
    let (entry, head, body, end) = (
        builder.create_block(),
        builder.create_block(),
        builder.create_block(),
        builder.create_block(),
    );
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let n = builder.block_params(entry)[0];
    let (i, total) = (local(&mut builder), local(&mut builder));
    let zero = builder.ins().iconst(types::I64, 0);
    set(&mut builder, i, n);
    set(&mut builder, total, zero);
    builder.ins().jump(head, &[]);

    builder.switch_to_block(head);
    let now = get(&mut builder, i);
    let more = builder.ins().icmp_imm_s(IntCC::SignedGreaterThan, now, 0);
    builder.ins().brif(more, body, &[], end, &[]);

    builder.switch_to_block(body);
    let (now, so_far) = (get(&mut builder, i), get(&mut builder, total));
    let sum = builder.ins().iadd(so_far, now);
    set(&mut builder, total, sum);
    let next = builder.ins().iadd_imm_s(now, -1);
    set(&mut builder, i, next);
    builder.ins().jump(head, &[]);

    builder.switch_to_block(end);
    let result = get(&mut builder, total);
    builder.ins().return_(&[result]);
    builder.seal_all_blocks();
    builder.finalize(module.target_config());
    Ok((id, ctx))
}

/// `fn main() -> i32`: the sum of the numbers up to ten.
fn program(module: &mut ObjectModule) -> Result<(FuncId, Context), Box<dyn Error>> {
    let mut signature: Signature = module.make_signature();
    signature.returns.push(AbiParam::new(types::I32));
    let id = module.declare_function("main", Linkage::Export, &signature)?;
    let mut ctx = module.make_context();
    ctx.func.signature = signature;
    let mut callee = module.make_signature();
    callee.params.push(AbiParam::new(types::I64));
    callee.returns.push(AbiParam::new(types::I64));
    let callee = module.declare_function("sum", Linkage::Local, &callee)?;
    let callee = module.declare_func_in_func(callee, &mut ctx.func);
    let mut memory = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut ctx.func, &mut memory);
    let block = builder.create_block();
    builder.switch_to_block(block);
    let ten = builder.ins().iconst(types::I64, 10);
    let call = builder.ins().call(callee, &[ten]);
    let sum = builder.inst_results(call)[0];
    let code = builder.ins().ireduce(types::I32, sum);
    builder.ins().return_(&[code]);
    builder.seal_all_blocks();
    builder.finalize(module.target_config());
    Ok((id, ctx))
}

/// A new local variable of eight bytes.
fn local(builder: &mut FunctionBuilder<'_>) -> StackSlot {
    builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3))
}

fn set(builder: &mut FunctionBuilder<'_>, local: StackSlot, value: cranelift_codegen::ir::Value) {
    let address = builder.ins().stack_addr(types::I64, local, 0);
    builder
        .ins()
        .store(MemFlagsData::trusted(), value, address, 0);
}

fn get(builder: &mut FunctionBuilder<'_>, local: StackSlot) -> cranelift_codegen::ir::Value {
    let address = builder.ins().stack_addr(types::I64, local, 0);
    builder
        .ins()
        .load(types::I64, MemFlagsData::trusted(), address, 0)
}
