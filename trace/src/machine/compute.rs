//! Instructions without any effect, except that some trap.

use super::names::name_of;
use super::state::{Activation, Machine};
use crate::arith;
use crate::layout::{self, Place};
use crate::memory::dynamic_slot;
use crate::trace::End;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Inst, InstructionData, Opcode, Type, Value};

impl<'a> Machine<'a> {
    /// Instructions without any effect, except that some trap.
    pub(super) fn compute(&mut self, here: &mut Activation<'a>, inst: Inst) -> Result<(), End> {
        let dfg = &here.func.dfg;
        let value = match dfg.insts[inst] {
            InstructionData::UnaryImm { imm, .. } => imm.bits() as u128,
            InstructionData::UnaryIeee32 { imm, .. } => imm.bits().into(),
            InstructionData::UnaryIeee64 { imm, .. } => imm.bits().into(),
            InstructionData::StackAddr {
                stack_slot, offset, ..
            } => {
                let frame = self.memory.frames.last().map_or(0, |frame| frame.ordinal);
                let slot = layout::slot_address(frame, stack_slot.as_u32());
                slot.wrapping_add(i64::from(offset) as u64).into()
            }
            InstructionData::DynamicStackAddr {
                dynamic_stack_slot, ..
            } => {
                let frame = self.memory.frames.last().map_or(0, |frame| frame.ordinal);
                let slot = dynamic_slot(here.func, dynamic_stack_slot);
                layout::slot_address(frame, slot).into()
            }
            InstructionData::UnaryIeee16 { imm, .. } => imm.bits().into(),
            InstructionData::FuncAddr { func_ref, .. } => {
                layout::function_address(&name_of(here.func, func_ref)?).into()
            }
            InstructionData::IntCompare { cond, args, .. } => {
                let (x, y) = (here.get(args[0]), here.get(args[1]));
                let is_order = !matches!(cond, IntCC::Equal | IntCC::NotEqual);
                self.orders_slots |= is_order && are_of_two_slots(x, y);
                arith::compare(cond, here.bits(args[0]), x, y).into()
            }
            InstructionData::Unary { opcode, arg } => {
                let result = dfg.value_type(dfg.first_result(inst));
                if opcode == Opcode::Splat {
                    let bits = dfg.value_type(arg).bits();
                    let lane = here.get(arg);
                    let lanes = (0..result.bits() / bits).map(|at| lane << (at * bits));
                    let all = lanes.fold(0, |all, lane| all | lane);
                    here.set_result(inst, all);
                    return Ok(());
                }
                if opcode == Opcode::Isplit {
                    return isplit(here, inst, arg);
                }
                let from = scalar(opcode, dfg.value_type(arg))?;
                let value = arith::unary(opcode, from, result.bits(), here.get(arg));
                value.ok_or_else(|| unsupported(opcode))?
            }
            InstructionData::UnaryConst {
                opcode: Opcode::Vconst,
                constant_handle,
            } => {
                let bytes = dfg.constants.get(constant_handle).iter().rev();
                bytes.fold(0, |all, byte| (all << 8) | u128::from(*byte))
            }
            // Values are kept in little-endian order, so that the first lane is lowest.
            InstructionData::BinaryImm8 {
                opcode: Opcode::Extractlane,
                arg,
                imm,
            } => here.get(arg) >> (u32::from(imm) * dfg.value_type(arg).lane_bits()),
            InstructionData::TernaryImm8 {
                opcode: Opcode::Insertlane,
                args: [vector, lane],
                imm,
            } => {
                let bits = dfg.value_type(lane).bits();
                let (by, mask) = (u32::from(imm) * bits, u128::MAX >> (128 - bits));
                (here.get(vector) & !(mask << by)) | ((here.get(lane) & mask) << by)
            }
            InstructionData::Binary { opcode, args } => self.binary(here, opcode, args)?,
            InstructionData::Ternary { opcode, args } => {
                let [c, x, y] = args.map(|arg| here.get(arg));
                match opcode {
                    Opcode::Select | Opcode::SelectSpectreGuard => {
                        if c != 0 {
                            x
                        } else {
                            y
                        }
                    }
                    Opcode::Bitselect => (c & x) | (!c & y),
                    other => return Err(unsupported(other)),
                }
            }
            ref other => return Err(unsupported(other.opcode())),
        };
        here.set_result(inst, value);
        Ok(())
    }

    pub(super) fn binary(
        &mut self,
        here: &Activation<'a>,
        opcode: Opcode,
        args: [Value; 2],
    ) -> Result<u128, End> {
        let (x, y) = (here.get(args[0]), here.get(args[1]));
        let ty = here.func.dfg.value_type(args[0]);
        if matches!(opcode, Opcode::Band | Opcode::Bor | Opcode::Bxor) {
            return arith::lanes(opcode, ty.bits(), ty.bits(), x, y)
                .ok_or_else(|| unsupported(opcode));
        }
        if ty.is_vector() && ty.lane_type().is_int() {
            let lane = ty.lane_bits();
            return arith::lanes(opcode, lane, ty.bits(), x, y).ok_or_else(|| unsupported(opcode));
        }
        let bits = scalar(opcode, ty)?;
        if opcode == Opcode::Iconcat {
            return Ok(x | (y << bits));
        }
        match arith::binary(opcode, bits, x, y) {
            Some(Ok(value)) => Ok(value),
            Some(Err(code)) => Err(self.trap(code)),
            None => Err(unsupported(opcode)),
        }
    }
}

fn isplit(here: &mut Activation<'_>, inst: Inst, arg: Value) -> Result<(), End> {
    let whole = here.get(arg);
    let half = here.bits(arg) / 2;
    let results = here.func.dfg.inst_results(inst).to_vec();
    here.set(results[0], whole);
    here.set(results[1], whole >> half);
    Ok(())
}

/// Are `x` and `y` addresses of bytes of two slots?
fn are_of_two_slots(x: u128, y: u128) -> bool {
    let slot = |value: u128| match layout::place(u64::try_from(value).ok()?) {
        Some(Place::Slot(frame, slot, _)) => Some((frame, slot)),
        _ => None,
    };
    matches!((slot(x), slot(y)), (Some(x), Some(y)) if x != y)
}

pub(super) fn unsupported(opcode: Opcode) -> End {
    End::Unsupported(opcode.to_string())
}

/// The width of a type that the arithmetic knows.
fn scalar(opcode: Opcode, ty: Type) -> Result<u32, End> {
    if ty.is_int() || opcode == Opcode::Bitcast {
        Ok(ty.bits())
    } else {
        Err(unsupported(opcode))
    }
}
