//! Where fields are, and which trampolines are known.

use super::MemoryPolicy;
use cranelift_codegen::memopt::call::effects::Summary;
use wasmtime_environ::PtrSize;

/// The offset of `VMContext::store_context`.
pub(super) fn store_context(ptr: u8) -> u32 {
    ptr.vmctx().store_context().into()
}

/// The offset of a slot of `VMStoreContext::component_context`, an array of `u32`.
pub(super) fn context_slot(ptr: u8, slot: usize) -> u32 {
    let slot = u32::try_from(slot).expect("there are few slots");
    u32::from(ptr.vm_store_context().component_context()) + 4 * slot
}

impl MemoryPolicy {
    /// What a callee does whose address was loaded from this region: none is known.
    ///
    /// An adapter's trap is an instruction. Transcoders copy between memories that have
    /// regions of their own where it is known which they are, and the region of what is
    /// public where it is not; a set of regions has no word for all of them.
    pub(super) fn known_trampoline(&self, _region: u32) -> Option<Summary> {
        None
    }
}
