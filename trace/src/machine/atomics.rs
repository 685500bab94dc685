//! Atomic accesses.

use super::compute::unsupported;
use super::state::{Activation, Machine};
use crate::arith;
use crate::trace::End;
use cranelift_codegen::ir::{AtomicRmwOp, Inst, InstructionData, MemFlags, Opcode, Type};

impl<'a> Machine<'a> {
    pub(super) fn atomic(&mut self, here: &mut Activation<'a>, inst: Inst) -> Result<(), End> {
        let func = here.func;
        let dfg = &func.dfg;
        let data = &dfg.insts[inst];
        let flags = dfg.mem_flags[mem_flags(data).ok_or_else(|| unsupported(data.opcode()))?];
        let args = here.all(dfg.inst_args(inst));
        let what = match data.opcode() {
            Opcode::AtomicLoad => "atomic_load",
            Opcode::AtomicStore => "atomic_store",
            Opcode::AtomicRmw => "atomic_rmw",
            Opcode::AtomicCas => "atomic_cas",
            other => return Err(unsupported(other)),
        };
        let named = self.stop_at(func, inst);
        self.world.point(&mut self.memory, what, &args);
        self.go_on(named);
        let ty = match data.opcode() {
            Opcode::AtomicStore => dfg.value_type(dfg.inst_args(inst)[0]),
            _ => dfg.value_type(dfg.first_result(inst)),
        };
        let bytes = ty.bytes() as usize;
        match *data {
            InstructionData::StoreNoOffset { .. } => {
                self.store(args[1] as u64, bytes, args[0], func, flags)
            }
            InstructionData::LoadNoOffset { .. } => {
                let value = self.load(args[0] as u64, bytes, func, flags)?;
                here.set_result(inst, value);
                Ok(())
            }
            InstructionData::AtomicRmw { op, .. } => {
                let old = self.load(args[0] as u64, bytes, func, flags)?;
                let new = exchange(op, ty, old, args[1]);
                self.store(args[0] as u64, bytes, new, func, flags)?;
                here.set_result(inst, old);
                Ok(())
            }
            _ => {
                let old = self.load(args[0] as u64, bytes, func, flags)?;
                if old == args[1] {
                    self.store(args[0] as u64, bytes, args[2], func, flags)?;
                }
                here.set_result(inst, old);
                Ok(())
            }
        }
    }
}

fn mem_flags(data: &InstructionData) -> Option<MemFlags> {
    match *data {
        InstructionData::LoadNoOffset { flags, .. }
        | InstructionData::StoreNoOffset { flags, .. }
        | InstructionData::AtomicCas { flags, .. }
        | InstructionData::AtomicRmw { flags, .. } => Some(flags),
        _ => None,
    }
}

fn exchange(op: AtomicRmwOp, ty: Type, old: u128, operand: u128) -> u128 {
    let opcode = match op {
        AtomicRmwOp::Xchg => return operand,
        AtomicRmwOp::Nand => return !(old & operand),
        AtomicRmwOp::Add => Opcode::Iadd,
        AtomicRmwOp::Sub => Opcode::Isub,
        AtomicRmwOp::And => Opcode::Band,
        AtomicRmwOp::Or => Opcode::Bor,
        AtomicRmwOp::Xor => Opcode::Bxor,
        AtomicRmwOp::Umin => Opcode::Umin,
        AtomicRmwOp::Umax => Opcode::Umax,
        AtomicRmwOp::Smin => Opcode::Smin,
        AtomicRmwOp::Smax => Opcode::Smax,
    };
    match arith::binary(opcode, ty.bits(), old, operand) {
        Some(Ok(value)) => value,
        Some(Err(_)) | None => old,
    }
}
