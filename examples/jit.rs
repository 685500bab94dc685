//! An adapter of the component model, built, optimized and run.
//!
//! `cargo run --example jit` builds two functions with `cranelift-frontend`: an
//! adapter that publishes a record of its own frame in the VM context while it
//! calls, and a callee that does not look at it. Each is compiled twice, by
//! upstream alone and with the passes of this crate; the program prints the
//! adapter of both, runs both, and checks that nobody can tell them apart.

use cranelift_codegen::Context;
use cranelift_codegen::ir::{
    AbiParam, AliasRegion, AliasRegionData, Function, InstBuilder, MemFlagsData, Signature,
    StackSlotData, StackSlotKind, types,
};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_memopt::{Handover, NoPolicy, Options, Stats, define_functions};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use std::error::Error;

/// Where the VM context keeps the current task, and the callee its counter.
const CURRENT_TASK: i32 = 8;
const COUNTER: i32 = 32;

/// What is to be defined in a module.
type Bodies = Vec<(FuncId, Context)>;

/// The VM context, in words.
type Memory = [i64; 8];

pub fn main() -> Result<(), Box<dyn Error>> {
    let upstream = Compiled::by_upstream()?;
    let optimized = Compiled::with_the_passes()?;
    println!("upstream's adapter:\n{}", upstream.clif);
    println!("with the passes:\n{}", optimized.clif);
    println!("{}\n", optimized.stats);

    for start in [0, 1, -7, i64::MAX] {
        let fresh: Memory = [11, 22, 33, 44, start, 55, 66, 77];
        let (mut one, mut two) = (fresh, fresh);
        let results = (upstream.call(&mut one), optimized.call(&mut two));
        assert_eq!(results.0, results.1, "the results differ");
        assert_eq!(one, two, "the memories differ");
        assert_eq!(one[1], 22, "the task is not restored");
        println!(
            "counter {start}: both return {} and leave {one:?}",
            results.0
        );
    }
    Ok(())
}

/// A module with the two functions in it, ready to run.
struct Compiled {
    module: JITModule,
    adapter: FuncId,
    clif: String,
    stats: Stats,
}

impl Compiled {
    /// The usual way: one function after the other.
    fn by_upstream() -> Result<Self, Box<dyn Error>> {
        let (mut module, functions) = build()?;
        let mut clif = String::new();
        let adapter = functions[1].0;
        for (id, mut ctx) in functions {
            module.define_function(id, &mut ctx)?;
            clif = ctx.func.display().to_string();
        }
        module.finalize_definitions()?;
        Ok(Self {
            module,
            adapter,
            clif,
            stats: Stats::default(),
        })
    }

    /// The way of this crate: both together, so that the adapter is
    /// compiled with the callee's body in view.
    fn with_the_passes() -> Result<Self, Box<dyn Error>> {
        let (mut module, functions) = build()?;
        let options = Options::full();
        let defined =
            define_functions(&mut module, functions, &NoPolicy, &options, Handover::Bytes)?;
        module.finalize_definitions()?;
        let adapter = &defined[1];
        Ok(Self {
            module,
            adapter: adapter.id,
            clif: adapter.ctx.func.display().to_string(),
            stats: adapter.stats,
        })
    }

    fn call(&self, memory: &mut Memory) -> i64 {
        let code = self.module.get_finalized_function(self.adapter);
        // SAFETY: the code is what `adapter` below builds: it takes a pointer
        // to at least 40 bytes, accesses nothing else, and returns an `i64`
        // by the platform's convention. `self` keeps it in memory.
        let adapter: extern "C" fn(&mut Memory) -> i64 = unsafe { std::mem::transmute(code) };
        adapter(memory)
    }
}

/// A new module and the bodies of its functions: the callee, then the adapter.
fn build() -> Result<(JITModule, Bodies), Box<dyn Error>> {
    let mut module = JITModule::new(JITBuilder::with_isa(host()?, default_libcall_names()));
    let mut signature = module.make_signature();
    signature.params.push(AbiParam::new(types::I64));
    signature.returns.push(AbiParam::new(types::I64));
    let callee_id = module.declare_function("callee", Linkage::Local, &signature)?;
    let adapter_id = module.declare_function("adapter", Linkage::Export, &signature)?;

    let mut callee_ctx = module.make_context();
    callee(&mut callee_ctx.func, signature.clone(), &module);
    let mut adapter_ctx = module.make_context();
    adapter(&mut adapter_ctx.func, signature, &mut module, callee_id);
    let functions = vec![(callee_id, callee_ctx), (adapter_id, adapter_ctx)];
    Ok((module, functions))
}

/// Doubles a counter that is its own affair.
fn callee(func: &mut Function, signature: Signature, module: &JITModule) {
    func.signature = signature;
    let counter = region(func, 10, "callee's own state");
    let mut memory = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(func, &mut memory);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    builder.seal_block(block);
    let vmctx = builder.block_params(block)[0];
    let old = builder.ins().load(types::I64, counter, vmctx, COUNTER);
    let new = builder.ins().iadd(old, old);
    builder.ins().store(counter, new, vmctx, COUNTER);
    builder.ins().return_(&[new]);
    builder.finalize(module.target_config());
}

/// Publishes a task record for as long as it calls `callee`.
fn adapter(func: &mut Function, signature: Signature, module: &mut JITModule, callee: FuncId) {
    func.signature = signature;
    let current_task = region(func, 1, "VMContext.current_task");
    let kind = region(func, 2, "VMAsyncTask.kind");
    let previous = region(func, 3, "VMAsyncTask.prev");
    let callee = module.declare_func_in_func(callee, func);
    let mut memory = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(func, &mut memory);
    let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 3);
    let slot = builder.create_sized_stack_slot(data);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    builder.seal_block(block);
    let vmctx = builder.block_params(block)[0];

    let outer = builder
        .ins()
        .load(types::I64, current_task, vmctx, CURRENT_TASK);
    let record = builder.ins().stack_addr(types::I64, slot, 0);
    let on_stack = builder.ins().iconst(types::I32, 1);
    builder.ins().store(kind, on_stack, record, 0);
    builder.ins().store(previous, outer, record, 8);
    builder
        .ins()
        .store(current_task, record, vmctx, CURRENT_TASK);
    let call = builder.ins().call(callee, &[vmctx]);
    let result = builder.inst_results(call)[0];
    builder
        .ins()
        .store(current_task, outer, vmctx, CURRENT_TASK);
    builder.ins().return_(&[result]);
    builder.finalize(module.target_config());
}

/// The flags of a sound access to the region with this id.
fn region(func: &mut Function, user_id: u32, description: &'static str) -> MemFlagsData {
    let region: AliasRegion = func.dfg.alias_regions.insert(AliasRegionData {
        user_id,
        description: description.into(),
    });
    MemFlagsData::trusted().with_alias_region(Some(region))
}

/// This machine, optimizing.
fn host() -> Result<OwnedTargetIsa, Box<dyn Error>> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?;
    flags.set("is_pic", "false")?;
    flags.set("use_colocated_libcalls", "false")?;
    Ok(cranelift_native::builder()?.finish(settings::Flags::new(flags))?)
}
