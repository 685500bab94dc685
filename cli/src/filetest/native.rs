//! `test run`: calls functions as machine code on the host.
//!
//! The functions come optimized. They are lowered as they are and handed to
//! the JIT as bytes, because its own way to define a function would run the
//! mid-end on them again.

use crate::filetest::execute::Machine;
use crate::filetest::host;
use crate::lower;
use anyhow::{Context as _, Result, bail, ensure};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::data_value::DataValue;
use cranelift_codegen::ir::{
    AbiParam, Endianness, ExternalName, Function, GlobalValueData, InstBuilder, MemFlagsData,
    Signature, UserExternalName, UserFuncName, types,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa, TargetIsa};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_memopt::{CalleeName, alignment};
use cranelift_module::{
    FuncId, Linkage, Module as _, ModuleReloc, ModuleRelocTarget, default_libcall_names,
};
use std::collections::HashMap;

/// Room for one argument or result; as large as the largest vector.
const SLOT_SIZE: i32 = size_of::<u128>() as i32;

/// The functions of a file as machine code.
pub struct Native<'f> {
    functions: &'f [Function],
    /// `None` only while it is dropped, which consumes it.
    jit: Option<JITModule>,
    /// Each function, and what passes arguments to it.
    entries: Vec<(FuncId, FuncId)>,
}

impl<'f> Native<'f> {
    /// Compiles `functions`, which have to be past the mid-end.
    ///
    /// # Errors
    ///
    /// A call to a function that is neither among them nor of the host; what the back end or the
    /// JIT refuse.
    pub fn new(functions: &'f [Function], isa: OwnedTargetIsa) -> Result<Self> {
        ensure!(!isa.flags().is_pic(), "code in memory cannot be `is_pic`");
        let mut builder = JITBuilder::with_isa(isa.clone(), default_libcall_names());
        builder.symbol_lookup_fn(Box::new(host::address));
        let mut native = Self {
            functions,
            jit: Some(JITModule::new(builder)),
            entries: Vec::new(),
        };
        native.define_all(&*isa)?;
        Ok(native)
    }

    fn define_all(&mut self, isa: &dyn TargetIsa) -> Result<()> {
        let jit = self.jit.as_mut().context("the module is gone")?;
        let mut ids = HashMap::new();
        for func in self.functions {
            let name = func.name.to_string();
            let id = jit.declare_function(&name, Linkage::Local, &func.signature)?;
            ids.insert(CalleeName::of_function(&func.name), id);
            let trampoline = jit.declare_anonymous_function(&trampoline_signature(isa))?;
            self.entries.push((id, trampoline));
        }
        for func in self.functions {
            declare_hosts(jit, func, &mut ids, isa)?;
        }
        for (func, (id, trampoline)) in self.functions.iter().zip(&self.entries) {
            define(jit, func, *id, &ids, isa)?;
            let passing = trampoline_to(&func.signature, isa);
            define(jit, &passing, *trampoline, &ids, isa)?;
        }
        jit.finalize_definitions()?;
        Ok(())
    }
}

impl Drop for Native<'_> {
    fn drop(&mut self) {
        if let Some(jit) = self.jit.take() {
            // SAFETY: no code of the module is running and no pointer to it
            // is left: `call` hands out values, and they are no pointers.
            unsafe { jit.free_memory() }
        }
    }
}

impl Machine for Native<'_> {
    fn call(&self, index: usize, arguments: &[DataValue]) -> Result<Vec<DataValue>> {
        let jit = self.jit.as_ref().context("the module is gone")?;
        let signature = &self.functions[index].signature;
        ensure!(
            fits(signature, arguments),
            "the arguments do not fit the signature {signature}"
        );
        let mut slots = vec![0u128; arguments.len().max(signature.returns.len())];
        for (slot, argument) in slots.iter_mut().zip(arguments) {
            // SAFETY: a slot has room for every type.
            unsafe { argument.write_value_to(slot) }
        }
        let (id, trampoline) = self.entries[index];
        let callee = jit.get_finalized_function(id);
        let trampoline = jit.get_finalized_function(trampoline);
        // SAFETY: `trampoline_to` made this function with this signature, for
        // a callee of this signature, and `slots` holds all that it accesses.
        // The callee is the test's own code: running it is what was asked for.
        unsafe {
            let trampoline: extern "C" fn(*const u8, *mut u128) = std::mem::transmute(trampoline);
            trampoline(callee, slots.as_mut_ptr());
        }
        let results = slots.iter().zip(&signature.returns);
        // SAFETY: the trampoline has left a value of this type in the slot.
        let results =
            results.map(|(slot, r)| unsafe { DataValue::read_value_from(slot, r.value_type) });
        Ok(results.collect())
    }
}

/// Is there an argument of the right size for each parameter? A vector of one
/// lane type stands for those of all others.
fn fits(signature: &Signature, arguments: &[DataValue]) -> bool {
    let shape = |ty: types::Type| (ty.is_vector(), ty.bits());
    let expected = signature.params.iter().map(|param| shape(param.value_type));
    expected.eq(arguments.iter().map(|argument| shape(argument.ty())))
}

/// Declares the host functions that `func` calls and the file does not have.
fn declare_hosts(
    jit: &mut JITModule,
    func: &Function,
    ids: &mut HashMap<CalleeName, FuncId>,
    isa: &dyn TargetIsa,
) -> Result<()> {
    for callee in func.dfg.ext_funcs.values() {
        let ExternalName::TestCase(name) = &callee.name else {
            continue;
        };
        let symbol = String::from_utf8_lossy(name.raw());
        let key = CalleeName::Named(name.raw().into());
        if ids.contains_key(&key) || host::address(&symbol).is_none() {
            continue;
        }
        let mut signature = func.dfg.signatures[callee.signature].clone();
        let convention = signature.call_conv;
        ensure!(
            [isa.default_call_conv(), CallConv::Fast].contains(&convention),
            "{} calls %{symbol} by {convention}, and the host has it by {}",
            func.name,
            isa.default_call_conv()
        );
        signature.call_conv = isa.default_call_conv();
        ids.insert(
            key,
            jit.declare_function(&symbol, Linkage::Import, &signature)?,
        );
    }
    Ok(())
}

/// Lowers `func` and gives its bytes to the JIT as `id`.
fn define(
    jit: &mut JITModule,
    func: &Function,
    id: FuncId,
    ids: &HashMap<CalleeName, FuncId>,
    isa: &dyn TargetIsa,
) -> Result<()> {
    let (func, missing) = renamed(func, ids);
    let code = lower::machine_code(&func, isa, false)?;
    let relocs = code.buffer.relocs().iter();
    let relocs: Vec<_> = relocs
        .map(|reloc| ModuleReloc::from_mach_reloc(reloc, &func, id))
        .collect();
    for reloc in &relocs {
        check(&reloc.name, &func, &missing)?;
    }
    let alignment = alignment(&code, isa);
    jit.define_function_bytes(id, alignment, code.code_buffer(), &relocs)?;
    Ok(())
}

/// The namespace of names that nothing defines.
const MISSING: u32 = u32::MAX;

/// `func` with the names that it refers to as the JIT has them, `u0:<id>`, and those of
/// them that nobody defines, which are names in [`MISSING`] then.
///
/// So every name that a relocation can have is one that
/// [`ModuleReloc::from_mach_reloc`] understands.
fn renamed(func: &Function, ids: &HashMap<CalleeName, FuncId>) -> (Function, Vec<ExternalName>) {
    let mut renamed = func.clone();
    let mut missing = Vec::new();
    let mut new_name = |renamed: &mut Function, name: &ExternalName| {
        let known = match name {
            ExternalName::User(name) => {
                let name = &func.params.user_named_funcs()[*name];
                CalleeName::User(name.namespace, name.index)
            }
            ExternalName::TestCase(name) => CalleeName::Named(name.raw().into()),
            ExternalName::LibCall(_) | ExternalName::KnownSymbol(_) => return name.clone(),
        };
        let new = match ids.get(&known) {
            Some(id) => UserExternalName::new(0, id.as_u32()),
            None => {
                missing.push(name.clone());
                UserExternalName::new(MISSING, missing.len() as u32 - 1)
            }
        };
        ExternalName::User(renamed.declare_imported_user_function(new))
    };
    for callee in func.dfg.ext_funcs.keys() {
        let name = new_name(&mut renamed, &func.dfg.ext_funcs[callee].name);
        renamed.dfg.ext_funcs[callee].name = name;
    }
    for (global, data) in &func.global_values {
        if let GlobalValueData::Symbol { name, .. } = data {
            let new = new_name(&mut renamed, name);
            if let GlobalValueData::Symbol { name, .. } = &mut renamed.global_values[global] {
                *name = new;
            }
        }
    }
    (renamed, missing)
}

/// Is what machine code refers to as `target` there?
fn check(target: &ModuleRelocTarget, func: &Function, missing: &[ExternalName]) -> Result<()> {
    match target {
        ModuleRelocTarget::LibCall(libcall) => match host::lacks(*libcall) {
            None => Ok(()),
            Some(lacking) => bail!(
                "{} calls {lacking}, which `test run` does not have",
                func.name
            ),
        },
        ModuleRelocTarget::User {
            namespace: MISSING,
            index,
        } => bail!(
            "{} refers to {}, which is neither in the file nor a host function; those are {}",
            func.name,
            missing[*index as usize].display(Some(&func.params)),
            host::names().join(", ")
        ),
        _ => Ok(()),
    }
}

/// `extern "C" fn(callee: *const u8, slots: *mut u128)`.
fn trampoline_signature(isa: &dyn TargetIsa) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    let pointer = AbiParam::new(isa.pointer_type());
    signature.params.extend([pointer, pointer]);
    signature
}

/// A function that loads arguments from slots, calls a function of the given
/// signature with them, and stores its results in the slots.
fn trampoline_to(signature: &Signature, isa: &dyn TargetIsa) -> Function {
    let mut func =
        Function::with_name_signature(UserFuncName::default(), trampoline_signature(isa));
    let block = func.dfg.make_block();
    let callee = func.dfg.append_block_param(block, isa.pointer_type());
    let slots = func.dfg.append_block_param(block, isa.pointer_type());
    let callee_signature = func.import_signature(signature.clone());
    let mut cursor = FuncCursor::new(&mut func);
    cursor.insert_block(block);
    let offsets = (0..).step_by(SLOT_SIZE as usize);
    let params = signature.params.iter().zip(offsets.clone());
    let arguments: Vec<_> = params
        .map(|(param, offset)| {
            let flags = slot_flags(param.value_type);
            cursor.ins().load(param.value_type, flags, slots, offset)
        })
        .collect();
    let call = cursor
        .ins()
        .call_indirect(callee_signature, callee, &arguments);
    let results = cursor.func.dfg.inst_results(call).to_vec();
    for ((result, of), offset) in results.into_iter().zip(&signature.returns).zip(offsets) {
        let flags = slot_flags(of.value_type);
        cursor.ins().store(flags, result, slots, offset);
    }
    cursor.ins().return_(&[]);
    func
}

/// [`DataValue`] keeps vectors in little-endian order on every host.
fn slot_flags(ty: types::Type) -> MemFlagsData {
    let flags = MemFlagsData::trusted();
    match ty.is_vector() {
        true => flags.with_endianness(Endianness::Little),
        false => flags,
    }
}
