//! Where fields are, and which trampolines are known.

use super::{AliasRegionKey, MemoryPolicy};
use cranelift_codegen::memopt::call::effects::{RegionSet, Summary};
use wasmtime_environ::{KnownTrampoline, PtrSize};

/// The offset of `VMContext::store_context`.
pub(super) fn store_context(ptr: u8) -> u32 {
    ptr.vmctx_store_context().into()
}

/// The offset of a slot of `VMStoreContext::component_context`.
pub(super) fn context_slot(ptr: u8, slot: usize) -> u32 {
    let slot = u8::try_from(slot).expect("there are few slots");
    ptr.vm_store_context().component_context_slot(slot).into()
}

impl MemoryPolicy {
    /// What a callee does whose address was loaded from this region.
    pub(super) fn known_trampoline(&self, region: u32) -> Option<Summary> {
        let known = KnownTrampoline::ALL
            .into_iter()
            .find(|known| AliasRegionKey::KnownTrampoline(*known).into_raw() == region)?;
        Some(match known {
            // Says which trap it is, which is then raised.
            KnownTrampoline::Trap => self.trampoline(RegionSet::none(), true),
            // Copies between linear memories. They are exported, or the adapter
            // could not have them, and so have one region everywhere.
            KnownTrampoline::Transcoder => {
                let memories = RegionSet::of([AliasRegionKey::PublicMemory.into_raw()]);
                self.trampoline(memories, true)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alias_region::policy::tests::{policy, tunables, with_hooks};
    use cranelift_codegen::memopt::call::effects::{Origin, Policy as _};

    #[test]
    fn a_trap_is_known_where_no_hook_runs_around_it() {
        let region = AliasRegionKey::KnownTrampoline(KnownTrampoline::Trap).into_raw();
        let origin = Origin {
            loads: vec![(region, 0)],
            function: None,
        };
        let known = policy(tunables()).indirect_callee(&origin);
        assert!(known.unwrap().may_trap());
        assert_eq!(policy(with_hooks()).indirect_callee(&origin), None);
    }
}
