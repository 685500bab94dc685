//! Loads, stores and atomic accesses.

use super::super::outside::{Call, Header, Site};
use super::edit::{Lowering, Place};
use core::mem::offset_of;
use cranelift_codegen::ir::{
    Endianness, Inst, InstBuilder, InstructionData, MemFlagsData, Opcode, Value, types,
};

impl Lowering<'_, '_> {
    /// Is there memory at these bytes? If not, it traps.
    pub(super) fn check_reach(
        &mut self,
        inst: Inst,
        flags: MemFlagsData,
        address: Value,
        bytes: Value,
    ) {
        let Some(code) = flags.trap_code() else {
            return;
        };
        let place = Place::Before(inst);
        let is_outside = self.call_out(place, Call::Outside, &[address, bytes]);
        let trap = self.trap(code);
        self.leave_if(is_outside, trap, inst);
    }

    pub(super) fn access(&mut self, inst: Inst, opcode: Opcode) -> Result<(), String> {
        let dfg = &self.func.dfg;
        let (flags, address, offset, stored) = match dfg.insts[inst] {
            InstructionData::Load {
                flags, arg, offset, ..
            } => (flags, arg, offset, None),
            InstructionData::Store {
                flags,
                args: [value, address],
                offset,
                ..
            } => (flags, address, offset, Some(value)),
            _ => return Err("no access".into()),
        };
        let flags = dfg.mem_flags[flags];
        let ty = dfg.value_type(stored.unwrap_or_else(|| dfg.first_result(inst)));
        let bytes = match opcode {
            Opcode::Load | Opcode::Store => ty.bytes(),
            Opcode::Uload8 | Opcode::Sload8 | Opcode::Istore8 => 1,
            Opcode::Uload16 | Opcode::Sload16 | Opcode::Istore16 => 2,
            Opcode::Uload32 | Opcode::Sload32 | Opcode::Istore32 => 4,
            other => return Err(other.to_string()),
        };
        let tag = flags.alias_region();
        let tag = tag.map(|region| dfg.alias_regions[region].user_id);
        let is_asynchronous = tag.is_some_and(self.surroundings.is_asynchronous);
        // The back end does not even take bytes in the other order.
        let swaps = flags.endianness(Endianness::Little) == Endianness::Big;
        if !is_asynchronous && !swaps && flags.trap_code().is_none() {
            return Ok(());
        }
        let place = Place::Before(inst);
        let offset = self.number(place, i64::from(offset) as u64);
        let address = self.at(place).ins().iadd(address, offset);
        let bytes = self.number(place, bytes.into());
        if !is_asynchronous {
            self.check_reach(inst, flags, address, bytes);
        }
        let [load, store] = match is_asynchronous {
            true => [Call::AsynchronousLoad, Call::AsynchronousStore],
            false if swaps => [Call::SwappedLoad, Call::SwappedStore],
            false => return Ok(()),
        };
        self.redirect(inst);
        if stored.is_none() {
            self.call_out(place, load, &[address, bytes]);
        } else if let Some(next) = self.func.layout.next_inst(inst) {
            self.call_out(Place::Before(next), store, &[address, bytes]);
        }
        Ok(())
    }

    /// Has an access go to the scratch cell.
    pub(super) fn redirect(&mut self, inst: Inst) {
        let place = Place::Before(inst);
        let at = self.surroundings.address + offset_of!(Header, scratch) as u64;
        let scratch = self.number(place, at);
        let dfg = &mut self.func.dfg;
        let trusted = dfg.mem_flags.insert(MemFlagsData::trusted());
        let trusted = trusted.expect("room for flags");
        match &mut dfg.insts[inst] {
            InstructionData::Load {
                arg, flags, offset, ..
            } => (*arg, *flags, *offset) = (scratch, trusted, 0.into()),
            InstructionData::Store {
                args,
                flags,
                offset,
                ..
            } => (args[1], *flags, *offset) = (scratch, trusted, 0.into()),
            _ => {}
        }
    }

    pub(super) fn atomic(&mut self, inst: Inst) -> Result<(), String> {
        let dfg = &self.func.dfg;
        let args = dfg.inst_args(inst);
        let (what, address, stored) = match dfg.insts[inst].opcode() {
            Opcode::AtomicLoad => ("atomic_load", args[0], None),
            Opcode::AtomicStore => ("atomic_store", args[1], Some(args[0])),
            Opcode::AtomicRmw => ("atomic_rmw", args[0], None),
            Opcode::AtomicCas => ("atomic_cas", args[0], None),
            other => return Err(other.to_string()),
        };
        let ty = dfg.value_type(stored.unwrap_or_else(|| dfg.first_result(inst)));
        let flags = dfg.insts[inst].memflags();
        let flags = dfg.mem_flags[flags.ok_or("an atomic access without flags")?];
        if flags.endianness(Endianness::Little) == Endianness::Big {
            return Err("an atomic access in the other byte order".into());
        }
        if ty.bits() > 64 {
            return Err("an atomic access of more than a word".into());
        }
        let tag = flags.alias_region();
        let tag = tag.map(|region| dfg.alias_regions[region].user_id);
        if tag.is_some_and(self.surroundings.is_asynchronous) {
            return Err("an atomic access of memory that is no memory".into());
        }
        let args = args.to_vec();
        self.point(inst, what, &args);
        let bytes = self.number(Place::Before(inst), ty.bytes().into());
        self.check_reach(inst, flags, address, bytes);
        Ok(())
    }

    /// The world may do anything just before `inst`, which has these operands.
    pub(super) fn point(&mut self, inst: Inst, what: &'static str, operands: &[Value]) {
        let site = Site {
            what,
            operands: operands.len(),
            ..self.site_of(inst)
        };
        let place = Place::Before(inst);
        let mut args = vec![self.site(inst, site)];
        for operand in operands {
            let word = match self.func.dfg.value_type(*operand) {
                types::I64 => *operand,
                _ => self.at(place).ins().uextend(types::I64, *operand),
            };
            args.push(word);
        }
        while args.len() < 4 {
            args.push(self.number(place, 0));
        }
        self.call_out(place, Call::Point, &args);
    }

    pub(super) fn site(&mut self, inst: Inst, site: Site) -> Value {
        self.surroundings.sites.push(site);
        let number = self.surroundings.sites.len() as u64 - 1;
        self.number(Place::Before(inst), number)
    }
}
