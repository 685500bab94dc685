//! An access of the slot that a `select` gives becomes one of each.

use super::Editor;
use crate::ir::{Inst, InstBuilder, InstructionData, MemFlags, MemFlagsData, Opcode, Type, Value};
use alloc::vec::Vec;

impl Editor<'_> {
    /// Replaces all accesses by `select`, and removes it; `false` if there are too many flags.
    pub(super) fn access_both(
        &mut self,
        select: Inst,
        accesses: &[(Inst, i32)],
        sums: &[Inst],
    ) -> bool {
        let mut flags = Vec::with_capacity(accesses.len());
        for (inst, _) in accesses {
            let Some(flag) = self.plain_flags(*inst) else {
                self.stats.limits_hit += 1;
                return false;
            };
            flags.push(flag);
        }
        let InstructionData::Ternary { args, .. } = self.ctx.func.dfg.insts[select] else {
            return false;
        };
        let [condition, x, y] = args.map(|arg| self.ctx.func.dfg.resolve_aliases(arg));
        for ((inst, offset), flags) in accesses.iter().zip(flags) {
            let made = Both {
                inst: *inst,
                condition,
                addresses: [x, y],
                offset: *offset,
                flags,
            };
            self.access_each(&made);
        }
        for inst in sums.iter().rev().chain([&select]) {
            self.ctx.func.layout.remove_inst(*inst);
        }
        true
    }

    /// Those of an access inside of its slot, which promises nothing else than its byte order.
    pub(super) fn plain_flags(&mut self, inst: Inst) -> Option<MemFlags> {
        let dfg = &mut self.ctx.func.dfg;
        let old = dfg.insts[inst].memflags_data(dfg)?;
        let mut flags = MemFlagsData::new().with_notrap();
        if let Some(order) = old.explicit_endianness() {
            flags = flags.with_endianness(order);
        }
        dfg.mem_flags.insert(flags).ok()
    }

    fn access_each(&mut self, both: &Both) {
        let dfg = &self.ctx.func.dfg;
        let data = dfg.insts[both.inst];
        match data {
            InstructionData::Load { opcode, .. } => {
                let ty = dfg.value_type(dfg.first_result(both.inst));
                let [x, y] = both.addresses.map(|it| self.load(both, opcode, ty, it));
                let value = self.cursor_at(both.inst).ins().select(both.condition, x, y);
                self.alias_and_remove(both.inst, value);
            }
            InstructionData::Store { opcode, args, .. } => {
                let value = dfg.resolve_aliases(args[0]);
                let ty = dfg.value_type(value);
                let load = match opcode {
                    Opcode::Istore8 => Opcode::Uload8,
                    Opcode::Istore16 => Opcode::Uload16,
                    Opcode::Istore32 => Opcode::Uload32,
                    _ => Opcode::Load,
                };
                let [x, y] = both.addresses;
                let found = self.load(both, load, ty, x);
                let stored = self
                    .cursor_at(both.inst)
                    .ins()
                    .select(both.condition, value, found);
                self.store(both, opcode, stored, x);
                let found = self.load(both, load, ty, y);
                let stored = self
                    .cursor_at(both.inst)
                    .ins()
                    .select(both.condition, found, value);
                self.store(both, opcode, stored, y);
                self.ctx.func.layout.remove_inst(both.inst);
            }
            _ => {}
        }
    }

    fn load(&mut self, both: &Both, opcode: Opcode, ty: Type, address: Value) -> Value {
        let mut cursor = self.cursor_at(both.inst);
        let load = cursor.ins();
        let (inst, dfg) = load.Load(opcode, ty, both.flags, both.offset.into(), address);
        dfg.first_result(inst)
    }

    fn store(&mut self, both: &Both, opcode: Opcode, value: Value, address: Value) {
        let ty = self.ctx.func.dfg.value_type(value);
        let mut cursor = self.cursor_at(both.inst);
        let store = cursor.ins();
        store.Store(opcode, ty, both.flags, both.offset.into(), value, address);
    }
}

/// An access that becomes two, in front of it.
struct Both {
    inst: Inst,
    condition: Value,
    addresses: [Value; 2],
    offset: i32,
    flags: MemFlags,
}
