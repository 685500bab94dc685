//! What others see of a frame while it waits: stack maps, debug tags, where it is.

use super::state::Machine;
use crate::layout;
use crate::memory::Reach;
use crate::trace::{End, Site};
use cranelift_codegen::ir::{DebugTag, Function, Inst};

impl<'a> Machine<'a> {
    /// The collector runs at a call, and visits what the stack map names.
    pub(super) fn collect(&mut self, func: &Function, inst: Inst) -> Result<(), End> {
        let Some(frame) = self.memory.frames.last() else {
            return Ok(());
        };
        let ordinal = frame.ordinal;
        for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
            let slot = layout::slot_address(ordinal, entry.slot.as_u32());
            let address = slot + u64::from(entry.offset);
            let bytes = entry.ty.bytes() as usize;
            if !matches!(self.memory.reach(address, bytes), Reach::Plain) {
                return Err(End::Undefined("a stack map outside of its slot".into()));
            }
            self.world.collect(&mut self.memory, address, bytes);
        }
        Ok(())
    }

    /// The innermost frame waits at `inst`, where others see it: its debug tags name
    /// slots. Returns how many.
    pub(super) fn stop_at(&mut self, func: &Function, inst: Inst) -> usize {
        let tags = func.debug_tags.get(inst);
        let slots = tags.iter().filter_map(|tag| match tag {
            DebugTag::StackSlot(slot) => Some(slot.as_u32()),
            DebugTag::User(_) => None,
        });
        let slots: Vec<u32> = slots.collect();
        let loc = func.srcloc(inst);
        if let Some(frame) = self.memory.frames.last_mut() {
            frame.named.extend(&slots);
            frame.site = (!loc.is_default() || !tags.is_empty()).then(|| Site {
                loc: loc.bits(),
                tags: tags.to_vec(),
            });
        }
        slots.len()
    }

    /// The frame waits no longer: what [`Self::stop_at`] has named is private again.
    pub(super) fn go_on(&mut self, named: usize) {
        if let Some(frame) = self.memory.frames.last_mut() {
            frame.named.truncate(frame.named.len() - named);
            frame.site = None;
        }
    }
}
