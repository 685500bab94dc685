//! How a front end tags memory, and how an embedder says what a host function touches.
//!
//! `cargo run --example regions` compiles a function of a small language that counts in a
//! global and calls the host to log something. Its memory is in two regions: the globals, and
//! everything else. Three policies say more and more of the host function `log`; the program
//! prints which stores are left, and why.

use cranelift_codegen::Context;
use cranelift_codegen::ir::{AbiParam, AliasRegionData, InstBuilder, MemFlagsData, types};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_memopt::{
    CalleeName, Handover, NoPolicy, Options, Policy, RegionSet, Summary, define_functions,
};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use std::error::Error;

/// The ids of regions: they mean the same in every function of the program.
const GLOBALS: u32 = 1;
const HEAP: u32 = 2;

/// What the embedder knows of its host functions.
struct Host {
    log: Summary,
}

impl Policy for Host {
    fn callee(&self, name: &CalleeName) -> Option<Summary> {
        // The name that the function is declared with.
        (*name == CalleeName::from("log")).then(|| self.log.clone())
    }
}

pub fn main() -> Result<(), Box<dyn Error>> {
    // `log` reads the text that its argument points to, which is on the heap, and returns.
    let heap = RegionSet::of([HEAP]);
    let reads_heap = Host {
        log: Summary::pure().reading(&heap),
    };
    // The same, but it may trap; then the globals can still be seen.
    let may_trap = Host {
        log: Summary::pure().reading(&heap).trapping(),
    };
    let policies: [(&str, &dyn Policy); 3] = [
        ("nothing is known of `log`", &NoPolicy),
        ("it reads the heap, and may trap", &may_trap),
        ("it reads the heap", &reads_heap),
    ];
    let mut left = Vec::new();
    for (what, policy) in policies {
        let stores = stores_left(policy)?;
        println!("{what}: {stores} stores are left");
        left.push(stores);
    }
    assert_eq!(left, [2, 2, 1]);
    Ok(())
}

/// Compiles the function, and counts its stores.
fn stores_left(policy: &dyn Policy) -> Result<usize, Box<dyn Error>> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?; // With "none", the default, nothing runs.
    let isa = cranelift_native::builder()?.finish(settings::Flags::new(flags))?;
    let builder = ObjectBuilder::new(isa, "regions", default_libcall_names())?;
    let mut module = ObjectModule::new(builder);
    let functions = vec![function(&mut module)?];
    // At full effort a function without slots and transient regions is looked at, too.
    let options = Options::full();
    let defined = define_functions(&mut module, functions, policy, &options, Handover::Bytes)?;
    Ok(defined[0].ctx.func.to_string().matches("store").count())
}

/// `count = 1; log(text); count = 2`, with `count` in the memory that `globals` points to.
fn function(module: &mut ObjectModule) -> Result<(FuncId, Context), Box<dyn Error>> {
    let mut signature = module.make_signature();
    signature.params = vec![AbiParam::new(types::I64); 2];
    let mut log = module.make_signature();
    log.params.push(AbiParam::new(types::I64));
    let log = module.declare_function("log", Linkage::Import, &log)?;
    let id = module.declare_function("count", Linkage::Export, &signature)?;
    let mut ctx = module.make_context();
    ctx.func.signature = signature;
    let log = module.declare_func_in_func(log, &mut ctx.func);

    // A tag goes into the flags of each access. An access without a tag may be to any memory.
    let region = ctx.func.dfg.alias_regions.insert(AliasRegionData {
        user_id: GLOBALS,
        description: "globals".into(),
    });
    let globals_memory = MemFlagsData::trusted().with_alias_region(Some(region));

    let mut memory = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut ctx.func, &mut memory);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    let (globals, text) = (
        builder.block_params(block)[0],
        builder.block_params(block)[1],
    );
    let one = builder.ins().iconst(types::I32, 1);
    builder.ins().store(globals_memory, one, globals, 0);
    builder.ins().call(log, &[text]);
    let two = builder.ins().iconst(types::I32, 2);
    builder.ins().store(globals_memory, two, globals, 0);
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(module.target_config());
    Ok((id, ctx))
}
