//! Loads and stores, and what CLIF leaves undefined about them.

use super::compute::unsupported;
use super::state::Machine;
use crate::layout::{self, Place};
use crate::memory::Reach;
use crate::trace::End;
use cranelift_codegen::ir::{Endianness, Function, MemFlagsData, Opcode, Type};

impl<'a> Machine<'a> {
    /// An aligned access is at a multiple of its size. Regions are disjoint: an access keeps to the memory of the region that
    /// it is tagged with, and a byte of a slot belongs to one region.
    pub(super) fn check_region(
        &mut self,
        address: u64,
        bytes: usize,
        func: &Function,
        flags: MemFlagsData,
    ) -> Result<(), End> {
        // CLIF lets it trap, or give a wrong result.
        if flags.aligned() && bytes.is_power_of_two() && !address.is_multiple_of(bytes as u64) {
            let text = format!("an aligned access of {bytes} bytes to {address:#x}");
            return Err(End::Undefined(text));
        }
        let Some(region) = flags.alias_region() else {
            return Ok(());
        };
        let tag = func.dfg.alias_regions[region].user_id;
        let claimed = self.world.representative(tag);
        if let Some(Place::Slot(frame, slot, _)) = layout::place(address)
            && self.world.is_lost_at_trap(tag)
        {
            self.lost.insert((frame, slot));
        }
        if self.world.owns(tag, layout::place(address))
            && self.memory.claim(address, bytes, claimed)
        {
            Ok(())
        } else {
            let text = format!("region {tag} does not own {address:#x}");
            Err(End::Undefined(text))
        }
    }

    pub(super) fn load(
        &mut self,
        address: u64,
        bytes: usize,
        func: &Function,
        flags: MemFlagsData,
    ) -> Result<u128, End> {
        match self.load_where_it_is(address, bytes, func, flags) {
            Err(End::Undefined(why)) if flags.can_move() && flags.notrap() => {
                Err(End::BrokenPromise(why))
            }
            loaded => loaded,
        }
    }

    fn load_where_it_is(
        &mut self,
        address: u64,
        bytes: usize,
        func: &Function,
        flags: MemFlagsData,
    ) -> Result<u128, End> {
        self.check_region(address, bytes, func, flags)?;
        if flags.readonly() {
            self.note_constant(address, bytes)?;
        }
        match self.memory.reach(address, bytes) {
            Reach::Plain if self.is_asynchronous_heap(address, bytes, func, flags)? => {
                let noise = self.world.asynchronous_load(address, bytes);
                let kept = self.memory.read(address, bytes, self.order(flags));
                Ok(if self.world.is_quiet() { kept } else { noise })
            }
            Reach::Plain => Ok(self.memory.read(address, bytes, self.order(flags))),
            Reach::Asynchronous if self.world.is_asynchronous(layout::ASYNCHRONOUS) => {
                if flags.alias_region().is_none() {
                    return Err(End::Undefined(
                        "untagged access to asynchronous memory".into(),
                    ));
                }
                Ok(self.world.asynchronous_load(address, bytes))
            }
            Reach::Asynchronous | Reach::Outside => Err(self.outside(address, flags)),
        }
    }

    pub(super) fn store(
        &mut self,
        address: u64,
        bytes: usize,
        value: u128,
        func: &Function,
        flags: MemFlagsData,
    ) -> Result<(), End> {
        self.check_region(address, bytes, func, flags)?;
        self.check_constant(address, bytes)?;
        match self.memory.reach(address, bytes) {
            Reach::Plain => {
                if self.is_asynchronous_heap(address, bytes, func, flags)? {
                    let stored = value.to_le_bytes()[..bytes].to_vec();
                    self.world.asynchronous_store(address, stored);
                }
                if self.memory.write(address, bytes, self.order(flags), value) {
                    return Ok(());
                }
                Err(End::Undefined("a store to read-only memory".into()))
            }
            Reach::Asynchronous if self.world.is_asynchronous(layout::ASYNCHRONOUS) => {
                if flags.alias_region().is_none() {
                    return Err(End::Undefined(
                        "untagged access to asynchronous memory".into(),
                    ));
                }
                let stored = value.to_le_bytes()[..bytes].to_vec();
                self.world.asynchronous_store(address, stored);
                Ok(())
            }
            Reach::Asynchronous | Reach::Outside => Err(self.outside(address, flags)),
        }
    }

    /// Is this access to memory of the heap that the world accesses at any
    /// time? An access without a region must not be.
    pub(super) fn is_asynchronous_heap(
        &mut self,
        address: u64,
        bytes: usize,
        func: &Function,
        flags: MemFlagsData,
    ) -> Result<bool, End> {
        let Some(Place::Heap(object, start)) = layout::place(address) else {
            return Ok(false);
        };
        if let Some(region) = flags.alias_region() {
            let tag = func.dfg.alias_regions[region].user_id;
            return Ok(self.world.is_asynchronous(tag));
        }
        let mut owners = self.memory.heap.owners(object, start, bytes).iter();
        let world = &self.world;
        let owned = owners.any(|o| o.region.is_some_and(|region| world.is_asynchronous(region)));
        if owned {
            let text = "untagged access to asynchronous memory";
            return Err(End::Undefined(text.into()));
        }
        Ok(false)
    }

    /// Notes that bytes are loaded as `readonly`, so that the world keeps its
    /// hands off them. It may know the bytes of a slot already.
    pub(super) fn note_constant(&mut self, address: u64, bytes: usize) -> Result<(), End> {
        match layout::place(address) {
            Some(Place::Heap(object, start)) => {
                for owner in self.memory.heap.owners(object, start, bytes) {
                    owner.constant = true;
                }
                Ok(())
            }
            Some(Place::Slot(..)) if !self.world.is_quiet() => {
                Err(End::Undefined("a readonly load from a slot".into()))
            }
            _ => Ok(()),
        }
    }

    /// Nothing that a call does changes what is `readonly`; the entry may.
    pub(super) fn check_constant(&mut self, address: u64, bytes: usize) -> Result<(), End> {
        let Some(Place::Heap(object, start)) = layout::place(address) else {
            return Ok(());
        };
        let mut owners = self.memory.heap.owners(object, start, bytes).iter();
        if self.memory.frames.len() > 1 && owners.any(|owner| owner.constant) {
            let text = format!("a callee's store to {address:#x}, which is readonly");
            return Err(End::Undefined(text));
        }
        Ok(())
    }

    pub(super) fn outside(&mut self, address: u64, flags: MemFlagsData) -> End {
        match flags.trap_code() {
            Some(code) => self.trap(code),
            None => End::Undefined(format!("an access to {address:#x}, where nothing is")),
        }
    }

    fn order(&self, flags: MemFlagsData) -> Endianness {
        flags.endianness(self.order)
    }
}

pub(super) fn memory_bytes(opcode: Opcode, ty: Type) -> Result<usize, End> {
    match opcode {
        Opcode::Load | Opcode::Store => Ok(ty.bytes() as usize),
        Opcode::Uload8 | Opcode::Sload8 | Opcode::Istore8 => Ok(1),
        Opcode::Uload16 | Opcode::Sload16 | Opcode::Istore16 => Ok(2),
        Opcode::Uload32 | Opcode::Sload32 | Opcode::Istore32 => Ok(4),
        other => Err(unsupported(other)),
    }
}
