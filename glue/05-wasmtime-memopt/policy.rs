//! What Wasmtime knows about memory and callees, and no function body tells.
//!
//! The memory optimizations of Cranelift (`cranelift_codegen::memopt`) ask a
//! [`Policy`] what a trap loses, which memory the world writes at any time,
//! which pointers are equal, and what callees do. The answers are here, by
//! [`AliasRegionKey`]. Each has its reason beside it, and where a reason has a
//! hole the answer is that of a policy which grants nothing.

use super::{AliasRegionKey, VmType};
use cranelift_codegen::ir;
use cranelift_codegen::memopt::call::effects::{CalleeName, Origin, Policy, RegionSet, Summary};
use cranelift_codegen::memopt::call::from_body::Summaries;
use wasmtime_environ::{
    BuiltinFunctionIndex, FuncKey, NUM_COMPONENT_CONTEXT_SLOTS, PtrSize, Tunables,
};

mod layout;

/// What is known while one function is compiled.
#[derive(Debug)]
pub(crate) struct MemoryPolicy {
    /// Is `VMStoreContext::current_thread` reset before anybody reads it after a
    /// trap?
    trap_resets_thread: bool,
    /// Offset of `VMStoreContext::current_thread`.
    current_thread: u32,
    /// Offsets of the slots of `VMStoreContext::component_context`.
    context_slots: [u32; NUM_COMPONENT_CONTEXT_SLOTS],
    /// Region and offset of `VMContext::store_context`.
    store_context: (u32, i64),
    /// May a call hook of the embedder run around calls of the host?
    call_hooks: bool,
    /// What trampolines into the host write before they call it.
    exit_record: RegionSet,
    /// What the bodies of direct callees have told.
    callees: Summaries,
}

impl MemoryPolicy {
    /// The policy for a function whose direct callees are known by `callees`.
    ///
    /// `distinct_regions`: do two keys of regions in this function never give
    /// one number? See [`has_distinct_regions`].
    pub(crate) fn new(
        ptr: u8,
        tunables: &Tunables,
        distinct_regions: bool,
        callees: Summaries,
    ) -> Self {
        let store = ptr.vm_store_context();
        let offset = layout::store_context(ptr);
        let exit_record = [
            store.last_wasm_exit_trampoline_fp(),
            store.last_wasm_exit_pc(),
        ];
        Self {
            trap_resets_thread: tunables.concurrency_support
                && !tunables.debug_guest
                && distinct_regions,
            current_thread: store.current_thread().into(),
            context_slots: std::array::from_fn(|slot| layout::context_slot(ptr, slot)),
            store_context: (field(VmType::VMContext, offset), offset.into()),
            call_hooks: tunables.call_hooks,
            exit_record: RegionSet::of(
                exit_record.map(|offset| field(VmType::VMStoreContext, offset.into())),
            ),
            callees,
        }
    }

    /// A trampoline into the host that computes from its arguments, and from
    /// and into the regions `memory`.
    fn trampoline(&self, memory: RegionSet, may_trap: bool) -> Summary {
        let summary = Summary::pure()
            .reading(&memory)
            .writing(&memory)
            .writing(&self.exit_record);
        match may_trap {
            true => summary.trapping(),
            false => summary,
        }
    }

    /// What a builtin does.
    ///
    /// `HostResult::maybe_catch_unwind` runs the call hook around those that return
    /// a `Result`, with the store: the hook may look at everything, and enter other
    /// instances. So they are opaque if there are hooks.
    fn builtin(&self, builtin: BuiltinFunctionIndex) -> Option<Summary> {
        if self.call_hooks && builtin.trap_sentinel().is_some() {
            return None;
        }
        let none = RegionSet::none();
        match builtin.name() {
            // Rust functions of their arguments, see `vm::libcalls`.
            "ceil_f32" | "ceil_f64" | "floor_f32" | "floor_f64" | "trunc_f32" | "trunc_f64"
            | "nearest_f32" | "nearest_f64" | "i8x16_swizzle" | "i8x16_shuffle" | "fma_f32x4"
            | "fma_f64x2" => Some(self.trampoline(none, false)),
            // Record a trap, and unwind to where guest code was entered.
            "trap" => Some(self.trampoline(none, true)),
            // Others reach the embedder, the collector, or memory at large.
            _ => None,
        }
    }
}

impl Policy for MemoryPolicy {
    fn callee(&self, name: &CalleeName) -> Option<Summary> {
        let CalleeName::User(namespace, index) = name else {
            return None;
        };
        match FuncKey::from_raw_parts(*namespace, *index) {
            FuncKey::WasmToBuiltinTrampoline(builtin) => self.builtin(builtin),
            FuncKey::DefinedWasmFunction(..) => self.callees.get(name).cloned(),
            // Trampolines are outside of the call graph.
            _ => None,
        }
    }

    fn indirect_callee(&self, origin: &Origin) -> Option<Summary> {
        // Both return a `Result`, see `builtin`.
        if self.call_hooks {
            return None;
        }
        let (region, _) = origin.loads.first()?;
        self.known_trampoline(*region)
    }

    /// A trap resumes at the innermost array-to-wasm trampoline (in a
    /// continuation, its own), which resets the current thread before anything
    /// else runs. The records of deferred threads are in frames that are gone
    /// then. With guest debugging on, the debugger runs before that.
    ///
    /// The context slots survive. A destructor, an epoch callback or a call hook
    /// may enter another instance and drop its trap: nothing restores the thread
    /// on that path (`Func::call_raw`, `ResourceAny::resource_drop_impl`,
    /// `LowerContext::realloc`), and the guest below goes on with what is in them.
    ///
    /// An exception is another matter: guest code that catches it goes on. But
    /// whatever may unwind is an opaque call, and so has seen all memory.
    fn survives_trap(&self, region: u32) -> bool {
        if !self.trap_resets_thread {
            return true;
        }
        match field_of(region) {
            Some((VmType::VMDeferredThread, _)) => false,
            Some((VmType::VMStoreContext, offset)) => offset != self.current_thread,
            _ => true,
        }
    }

    /// What adapters publish and put back: the current thread and the records it
    /// leads to, the context slots, and the flags of components.
    fn is_transient(&self, region: u32) -> bool {
        match field_of(region) {
            Some((VmType::VMDeferredThread, _)) => true,
            Some((VmType::VMStoreContext, offset)) => {
                offset == self.current_thread || self.context_slots.contains(&offset)
            }
            _ => false,
        }
    }

    /// `Engine::increment_epoch` may be called from any thread.
    fn is_asynchronous(&self, region: u32) -> bool {
        region == field(VmType::EpochCounter, 0)
    }

    fn has_asynchronous_memory(&self) -> bool {
        true
    }

    /// Whoever wants the record of a deferred thread, which is
    /// `StoreOpaque::force_deferred_current_thread`, walks the list from the
    /// current thread while its adapters are on the stack, reads, and lets the
    /// current thread be `FORCED`: it keeps no pointer and writes none. Another
    /// adapter puts the pointer into its own record, and back. `set_thread`
    /// stores `none` or `FORCED`.
    fn forgets_addresses(&self, region: u32) -> bool {
        self.trap_resets_thread
            && match field_of(region) {
                Some((VmType::VMDeferredThread, _)) => true,
                Some((VmType::VMStoreContext, offset)) => offset == self.current_thread,
                _ => false,
            }
    }

    /// Each instance of a store is given the one `VMStoreContext`, see
    /// `Instance::set_store`.
    fn is_shared_pointer(&self, region: u32, offset: i64) -> bool {
        (region, offset) == self.store_context
    }
}

/// Does this function, by its own accesses, have regions that no others are
/// taken for? Keys have eight bits for the index of a module.
pub(crate) fn has_distinct_regions(func: &ir::Function) -> bool {
    let ir::UserFuncName::User(name) = &func.name else {
        return false;
    };
    match FuncKey::from_raw_parts(name.namespace, name.index) {
        FuncKey::DefinedWasmFunction(module, _) | FuncKey::ModuleStartup(_, module) => {
            u64::from(module.as_u32()) < 1 << AliasRegionKey::MODULE_BITS
        }
        // Trampolines have nothing of a module.
        _ => true,
    }
}

/// The region of a field.
fn field(ty: VmType, offset: u32) -> u32 {
    AliasRegionKey::Vm { ty, offset }.into_raw()
}

/// The field that a region is, of the types that this policy speaks of.
fn field_of(region: u32) -> Option<(VmType, u32)> {
    let ty = match region & AliasRegionKey::KIND_MASK {
        AliasRegionKey::VM_STORE_CONTEXT_KIND => VmType::VMStoreContext,
        AliasRegionKey::VM_DEFERRED_THREAD_KIND => VmType::VMDeferredThread,
        _ => return None,
    };
    Some((ty, region & AliasRegionKey::OFFSET_MASK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime_environ::NUM_COMPONENT_CONTEXT_SLOTS;

    pub(super) fn policy(tunables: Tunables) -> MemoryPolicy {
        MemoryPolicy::new(8, &tunables, true, Summaries::default())
    }

    /// With concurrency support, without hooks and a debugger.
    pub(super) fn tunables() -> Tunables {
        Tunables {
            concurrency_support: true,
            call_hooks: false,
            debug_guest: false,
            ..Tunables::default_u64()
        }
    }

    fn with_debugger() -> Tunables {
        Tunables {
            debug_guest: true,
            ..tunables()
        }
    }

    pub(super) fn with_hooks() -> Tunables {
        Tunables {
            call_hooks: true,
            ..tunables()
        }
    }

    fn without_concurrency() -> Tunables {
        Tunables {
            concurrency_support: false,
            ..tunables()
        }
    }

    #[test]
    fn a_trap_loses_the_current_thread_unless_a_debugger_may_look() {
        let current_thread = field(
            VmType::VMStoreContext,
            8u8.vm_store_context().current_thread().into(),
        );
        assert!(!policy(tunables()).survives_trap(current_thread));
        assert!(policy(with_debugger()).survives_trap(current_thread));
        assert!(policy(without_concurrency()).survives_trap(current_thread));
    }

    #[test]
    fn a_trap_loses_no_context_slot_no_flag_and_no_fuel() {
        let policy = policy(tunables());
        for slot in 0..NUM_COMPONENT_CONTEXT_SLOTS {
            let offset = layout::context_slot(8, slot);
            assert!(policy.survives_trap(field(VmType::VMStoreContext, offset)));
        }
        assert!(policy.survives_trap(AliasRegionKey::PublicGlobal.into_raw()));
        assert!(policy.survives_trap(field(VmType::VMComponentContext, 32)));
        let fuel = 8u8.vm_store_context().fuel_consumed();
        assert!(policy.survives_trap(field(VmType::VMStoreContext, fuel.into())));
    }

    #[test]
    fn the_epoch_counter_is_read_as_often_as_it_says() {
        let policy = policy(tunables());
        assert!(policy.is_asynchronous(field(VmType::EpochCounter, 0)));
        assert!(!policy.is_asynchronous(field(VmType::VMContext, 0)));
    }

    #[test]
    fn what_a_call_hook_runs_around_is_opaque() {
        let all = || (0..BuiltinFunctionIndex::len()).map(BuiltinFunctionIndex::from_u32);
        let (with, without) = (policy(with_hooks()), policy(tunables()));
        let mut known = all().filter(|it| with.builtin(*it).is_some());
        assert!(known.all(|it| it.trap_sentinel().is_none()));
        let mut known = all().filter(|it| without.builtin(*it).is_some());
        assert!(known.any(|it| it.name() == "trap"));
    }

    #[test]
    fn what_is_said_of_a_field_is_said_of_nothing_else() {
        let own = [
            field(VmType::VMStoreContext, 0),
            field(VmType::VMDeferredThread, 0),
            field(VmType::EpochCounter, 0),
            field(VmType::VMContext, layout::store_context(8)),
        ];
        let (modules, indices) = (0..64, 0..64);
        for (module, index) in modules.flat_map(|m| indices.clone().map(move |i| (m, i))) {
            let global = AliasRegionKey::DefinedGlobal {
                module: wasmtime_environ::StaticModuleIndex::from_u32(module),
                index: wasmtime_environ::DefinedGlobalIndex::from_u32(index),
            };
            assert!(!own.contains(&global.into_raw()));
        }
    }

    #[test]
    fn a_trampoline_by_another_pointer_is_opaque() {
        let origin = Origin {
            loads: vec![(field(VmType::VMFunctionImport, 8), 0)],
            function: None,
        };
        assert_eq!(policy(tunables()).indirect_callee(&origin), None);
        assert_eq!(policy(with_hooks()).indirect_callee(&origin), None);
    }
}
