//! The same program as machine code.
//!
//! `lower` makes functions of the module's that the host's machine can run, and
//! that call `outside` for all that the interpreter does between instructions;
//! `pages` has memory at the addresses that the layout gives out. So the back
//! end, and the machine itself, say what loads, stores and arithmetic do, and the
//! world is the interpreter's.

mod lower;
mod outside;
mod pages;

use crate::inputs::Inputs;
use crate::layout;
use crate::trace::Trace;
use crate::world::SlotRegions;
use cranelift_codegen::Context;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    AbiParam, ExternalName, Function, InstBuilder, SigRef, Signature, Type, UserExternalName,
    UserFuncName, Value, types,
};
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_memopt::{CalleeName, Policy};
use cranelift_module::{FuncId, Module as _, default_libcall_names};
use lower::Surroundings;
use memopt_policy::DeclaredPolicy;
use outside::Outside;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Held while a program runs: there is one memory for all.
static RUNNING: Mutex<()> = Mutex::new(());

/// Can programs run on this machine? The interpreter's memory is little-endian,
/// and its atomics may be anywhere.
pub fn is_available() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64")) && pages::map_homes()
}

/// The functions of a module as machine code.
pub struct Native<'a> {
    outside: Box<Outside<'a>>,
    /// `None` only while it is dropped, which consumes it.
    jit: Option<JITModule>,
    entry: FuncId,
}

impl<'a> Native<'a> {
    /// Compiles `functions`, of which the first will be run. `slot_regions` are
    /// those of the functions before they were optimized.
    ///
    /// # Errors
    ///
    /// An instruction that this cannot run, or what the back end refuses, in words.
    pub fn new(
        functions: &'a [Function],
        policy: &'a DeclaredPolicy,
        slot_regions: &'a SlotRegions,
    ) -> Result<Self, String> {
        let outside = Box::new(Outside::new(functions, policy, slot_regions));
        let isa = plain_isa()?;
        let builder = JITBuilder::with_isa(isa, default_libcall_names());
        let jit = JITModule::new(builder);
        let mut native = Self {
            outside,
            jit: Some(jit),
            entry: FuncId::from_u32(0),
        };
        native.define_all(policy)?;
        Ok(native)
    }

    fn define_all(&mut self, policy: &DeclaredPolicy) -> Result<(), String> {
        let address = &raw mut *self.outside as u64;
        let outside = &mut *self.outside;
        let jit = self.jit.as_mut().ok_or("the module is gone")?;
        let functions = outside.functions;
        let first = functions.first().ok_or("a module without functions")?;
        let names = names(functions);
        let mut ids = HashMap::new();
        for name in &names {
            let id = jit.declare_anonymous_function(&first.signature);
            ids.insert(name.clone(), id.map_err(|error| error.to_string())?);
        }
        let mut surroundings = Surroundings {
            address,
            convention: jit.isa().default_call_conv(),
            is_asynchronous: &|tag| policy.is_asynchronous(tag),
            sites: &mut outside.sites,
        };
        for name in &names {
            let func = match crate::machine::position(functions, name) {
                Some(index) => {
                    check_signatures(&functions[index], &first.signature)?;
                    check_types(&functions[index])?;
                    lower::lower(&functions[index], index, &mut surroundings)?
                }
                None => {
                    let number = outside.hosts.len();
                    outside.hosts.push(name.clone());
                    lower::host_function(&first.signature, number, &mut surroundings)
                }
            };
            define(jit, func, ids[name], &ids)?;
        }
        let name = CalleeName::of_function(&first.name);
        let entry = from_rust(jit, ids[&name], &first.signature);
        let id = jit.declare_anonymous_function(&entry.signature);
        self.entry = id.map_err(|error| error.to_string())?;
        define_as_it_is(jit, entry, self.entry)?;
        jit.finalize_definitions()
            .map_err(|error| error.to_string())?;
        for name in &names {
            let code = jit.get_finalized_function(ids[name]) as u64;
            outside.code.insert(layout::function_address(name), code);
        }
        Ok(())
    }

    /// Runs the first function.
    ///
    /// # Safety
    ///
    /// The interpreter has to have come to an end with the same functions and the
    /// same inputs, one that means something and is no [`crate::trace::End::Cut`]:
    /// what it does not stop, nothing stops here.
    pub unsafe fn run(&mut self, inputs: &Inputs) -> Trace {
        let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(jit) = &self.jit else {
            unreachable!("the module lives as long as this does")
        };
        let code = jit.get_finalized_function(self.entry);
        self.outside.begin(inputs);
        let arg = |at: usize| inputs.args.get(at).map_or(0, |arg| *arg as u64);
        // SAFETY: `from_rust` has this signature; the rest is the caller's.
        let value = unsafe {
            let entry: extern "C" fn(u64, u64, u64, u64) -> u64 = std::mem::transmute(code);
            entry(arg(0), arg(1), arg(2), arg(3))
        };
        self.outside.finish(value)
    }
}

impl Drop for Native<'_> {
    fn drop(&mut self) {
        if let Some(jit) = self.jit.take() {
            // SAFETY: no code of the module runs, and no pointer to it is left.
            unsafe { jit.free_memory() }
        }
    }
}

/// The target of this machine, with a back end that does nothing but to emit.
fn plain_isa() -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    // Tail calls need the frame pointers.
    for (name, value) in [("opt_level", "none"), ("preserve_frame_pointers", "true")] {
        let set = flags.set(name, value);
        set.map_err(|error| error.to_string())?;
    }
    let isa = isa::lookup_by_name(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let isa = isa.finish(settings::Flags::new(flags));
    isa.map_err(|error| error.to_string())
}

/// The functions of a program, and those of the host that it may come upon.
fn names(functions: &[Function]) -> Vec<CalleeName> {
    let ours = functions
        .iter()
        .map(|func| CalleeName::of_function(&func.name));
    let mut names: Vec<CalleeName> = ours.collect();
    let called = functions.iter().flat_map(|func| {
        let refs = func.dfg.ext_funcs.keys();
        refs.filter_map(|callee| CalleeName::of_ref(func, callee))
    });
    for name in called.chain([layout::loaded_host()]) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A function and all that it calls have the signature of the first one, which is
/// one of a few words. Cranelift's own functions have theirs.
fn check_signatures(func: &Function, first: &Signature) -> Result<(), String> {
    let is_word = |param: &AbiParam| param.value_type == types::I64;
    let is_simple = first.params.iter().all(is_word)
        && first.params.len() == lower::HOST_ARGUMENTS
        && first.returns.iter().all(is_word)
        && first.returns.len() == 1;
    let libcalls = func.dfg.ext_funcs.values();
    let libcalls = libcalls.filter(|data| matches!(data.name, ExternalName::LibCall(_)));
    let libcalls: Vec<SigRef> = libcalls.map(|data| data.signature).collect();
    let others = func.dfg.signatures.iter();
    let others = others.filter(|(sig, _)| !libcalls.contains(sig));
    let mut all = others
        .map(|(_, signature)| signature)
        .chain([&func.signature]);
    match is_simple && all.all(|signature| signature == first) {
        true => Ok(()),
        false => Err("a signature of another kind".into()),
    }
}

/// The back end panics over some operations on types that it hardly knows.
fn check_types(func: &Function) -> Result<(), String> {
    let mut values = func.dfg.values();
    let is_odd =
        |ty: Type| matches!(ty, types::F16 | types::F128) || ty.is_vector() && ty.bits() < 128;
    match values.any(|value| is_odd(func.dfg.value_type(value))) {
        true => Err("a type that the machine hardly knows".into()),
        false => Ok(()),
    }
}

/// Compiles `func` as `id`; it names its callees as the module does.
fn define(
    jit: &mut JITModule,
    mut func: Function,
    id: FuncId,
    ids: &HashMap<CalleeName, FuncId>,
) -> Result<(), String> {
    let refs: Vec<_> = func.dfg.ext_funcs.keys().collect();
    for callee in refs {
        if let ExternalName::LibCall(_) = func.dfg.ext_funcs[callee].name {
            continue;
        }
        let name = CalleeName::of_ref(&func, callee);
        let id = name.and_then(|name| ids.get(&name));
        let id = id.ok_or("a callee without a name")?;
        let name = UserExternalName::new(0, id.as_u32());
        let name = func.declare_imported_user_function(name);
        func.dfg.ext_funcs[callee].name = ExternalName::user(name);
    }
    define_as_it_is(jit, func, id)
}

fn define_as_it_is(jit: &mut JITModule, func: Function, id: FuncId) -> Result<(), String> {
    let mut ctx = Context::for_function(func);
    let defined = jit.define_function(id, &mut ctx);
    defined.map_err(|error| error.to_string())
}

/// A function that Rust can call, and that calls `callee`.
fn from_rust(jit: &mut JITModule, callee: FuncId, signature: &Signature) -> Function {
    let mut outer = signature.clone();
    outer.call_conv = jit.isa().default_call_conv();
    for param in &mut outer.params {
        *param = AbiParam::new(param.value_type);
    }
    let mut func = Function::with_name_signature(UserFuncName::default(), outer);
    let callee = jit.declare_func_in_func(callee, &mut func);
    let block = func.dfg.make_block();
    let params = signature.params.iter();
    let args = params.map(|param| func.dfg.append_block_param(block, param.value_type));
    let args: Vec<Value> = args.collect();
    let mut cursor = FuncCursor::new(&mut func);
    cursor.insert_block(block);
    let call = cursor.ins().call(callee, &args);
    let results = cursor.func.dfg.inst_results(call).to_vec();
    cursor.ins().return_(&results);
    func
}
