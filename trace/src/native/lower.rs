//! From a function as the passes see it to one that the machine can run inside of
//! an [`Outside`](super::outside::Outside).
//!
//! Accesses and arithmetic stay as they are. What surrounds them in the
//! interpreter becomes calls: a frame begins and ends, its slots lie where the
//! [`layout`](crate::layout) says, and after each call the function looks whether
//! an exception or a trap passes through it:
//!
//! ```text
//!     v5 = call fn1(v0, v1, v2, v3)
//! ==>
//!     v5 = call fn1(v0, v1, v2, v3)
//!     v9 = load.i64 pending
//!     brif v9, unwind, next
//! next:
//! ```
//!
//! A `try_call` becomes the same, with its handlers behind tests of the tag. An
//! access that may trap asks first whether there is memory; traps and divisions
//! become branches. Accesses of memory that the world shares, and those in the
//! other byte order, are made in a scratch cell, and the outside does the rest.

mod accesses;
mod calls;
mod edit;

use super::outside::{Call, Site};
use crate::layout;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, Function, GlobalValue, GlobalValueData, Inst, InstBuilder, InstructionData,
    MemFlagsData, Opcode, Signature, TrapCode, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_memopt::CalleeName;
use edit::{Lowering, Place};

/// What the lowered functions of a program have in common.
pub struct Surroundings<'a> {
    /// Where the [`super::outside::Outside`] lies.
    pub address: u64,
    /// How its functions are called.
    pub convention: CallConv,
    /// Is memory with this tag accessed by the world at any time?
    pub is_asynchronous: &'a dyn Fn(u32) -> bool,
    /// What surrounds instructions.
    pub sites: &'a mut Vec<Site>,
}

/// Lowers `func`, the function of this number.
///
/// # Errors
///
/// An instruction that has no place here, in words.
pub fn lower(
    func: &Function,
    number: usize,
    surroundings: &mut Surroundings<'_>,
) -> Result<Function, String> {
    let mut lowering = Lowering::new(func.clone(), surroundings);
    lowering.body(number)?;
    Ok(lowering.func)
}

/// A function that hands its arguments, four at most, to the host function of this
/// number.
pub fn host_function(
    signature: &Signature,
    number: usize,
    surroundings: &mut Surroundings<'_>,
) -> Function {
    let func = Function::with_name_signature(Default::default(), signature.clone());
    let mut lowering = Lowering::new(func, surroundings);
    let block = lowering.func.dfg.make_block();
    lowering.func.layout.append_block(block);
    let params = signature.params.iter().map(|_| types::I64);
    let params = params.map(|ty| lowering.func.dfg.append_block_param(block, ty));
    let mut args: Vec<Value> = params.collect();
    let place = Place::End(block);
    args.insert(0, lowering.number(place, number as u64));
    let result = lowering.call_out(place, Call::Host, &args);
    lowering.at(place).ins().return_(&[result]);
    lowering.func
}

/// Arguments of a function of the host.
pub const HOST_ARGUMENTS: usize = 4;

impl Lowering<'_, '_> {
    fn body(&mut self, number: usize) -> Result<(), String> {
        let entry = self.func.layout.entry_block();
        let first = entry.and_then(|entry| self.func.layout.first_inst(entry));
        let first = first.ok_or("a function without instructions")?;
        let blocks: Vec<Block> = self.func.layout.blocks().collect();
        let insts = blocks
            .iter()
            .flat_map(|block| self.func.layout.block_insts(*block));
        let insts: Vec<Inst> = insts.collect();
        let number = self.number(Place::Before(first), number as u64);
        self.frame = Some(self.call_out(Place::Before(first), Call::Enter, &[number]));
        self.check_stack(first)?;
        for inst in insts {
            self.inst(inst)?;
        }
        Ok(())
    }

    /// The check on entry, which traps if the limit looks unlucky.
    fn check_stack(&mut self, first: Inst) -> Result<(), String> {
        let Some(limit) = self.func.stack_limit.take() else {
            return Ok(());
        };
        let place = Place::Before(first);
        let limit = self.global(place, limit)?;
        let seven = self.number(place, 7);
        let low = self.at(place).ins().band(limit, seven);
        let three = self.number(place, 3);
        let is_unlucky = self.at(place).ins().icmp(IntCC::Equal, low, three);
        let trap = self.trap(TrapCode::STACK_OVERFLOW);
        self.leave_if(is_unlucky, trap, first);
        Ok(())
    }

    fn global(&mut self, place: Place, value: GlobalValue) -> Result<Value, String> {
        match self.func.global_values[value] {
            GlobalValueData::VMContext => {
                let entry = self.func.layout.entry_block();
                let params = entry.map(|entry| self.func.dfg.block_params(entry));
                let vmctx = params.and_then(|params| params.first().copied());
                vmctx.ok_or_else(|| "no vmctx".into())
            }
            GlobalValueData::Load {
                base,
                offset,
                global_type,
                flags,
            } => {
                let base = self.global(place, base)?;
                let flags = self.func.dfg.mem_flags[flags];
                Ok(self.at(place).ins().load(global_type, flags, base, offset))
            }
            _ => Err("global value".into()),
        }
    }

    fn inst(&mut self, inst: Inst) -> Result<(), String> {
        match self.func.dfg.insts[inst] {
            InstructionData::Load { opcode, .. } | InstructionData::Store { opcode, .. } => {
                self.access(inst, opcode)
            }
            InstructionData::LoadNoOffset {
                opcode: Opcode::Bitcast,
                ..
            } => Ok(()),
            InstructionData::LoadNoOffset { .. }
            | InstructionData::StoreNoOffset { .. }
            | InstructionData::AtomicCas { .. }
            | InstructionData::AtomicRmw { .. } => self.atomic(inst),
            InstructionData::NullAry { opcode } => self.nullary(inst, opcode),
            InstructionData::StackAddr {
                stack_slot, offset, ..
            } => {
                self.stack_addr(inst, stack_slot.as_u32(), offset.into());
                Ok(())
            }
            InstructionData::FuncAddr { func_ref, .. } => {
                let name = CalleeName::of_ref(&self.func, func_ref);
                let address = layout::function_address(&name.ok_or("the name of a function")?);
                let iconst = self.func.replace(inst);
                iconst.iconst(types::I64, address as i64);
                Ok(())
            }
            InstructionData::Call { opcode, .. } if opcode.is_return() => {
                self.call_out(Place::Before(inst), Call::Leave, &[]);
                Ok(())
            }
            InstructionData::CallIndirect { opcode, .. } if opcode.is_return() => {
                self.resolve(inst);
                self.call_out(Place::Before(inst), Call::Leave, &[]);
                Ok(())
            }
            InstructionData::Call { .. } => {
                self.call(inst);
                Ok(())
            }
            InstructionData::CallIndirect { .. } => {
                self.resolve(inst);
                self.call(inst);
                Ok(())
            }
            InstructionData::TryCall { .. } | InstructionData::TryCallIndirect { .. } => {
                self.try_call(inst)
            }
            InstructionData::MultiAry {
                opcode: Opcode::Return,
                ..
            } => {
                self.call_out(Place::Before(inst), Call::Leave, &[]);
                Ok(())
            }
            InstructionData::Trap { code, .. } => {
                let trap = self.trap(code);
                self.func.replace(inst).jump(trap, &[]);
                Ok(())
            }
            InstructionData::CondTrap { opcode, arg, code } => {
                self.conditional_trap(inst, opcode, arg, code);
                Ok(())
            }
            InstructionData::Binary {
                opcode: Opcode::Udiv | Opcode::Urem,
                args,
            } => {
                let ty = self.func.dfg.value_type(args[1]);
                let place = Place::Before(inst);
                let zero = self.at(place).ins().iconst(ty, 0);
                let by_zero = self.at(place).ins().icmp(IntCC::Equal, args[1], zero);
                let trap = self.trap(TrapCode::INTEGER_DIVISION_BY_ZERO);
                self.leave_if(by_zero, trap, inst);
                Ok(())
            }
            ref other if other.opcode().can_trap() => Err(other.opcode().to_string()),
            _ => Ok(()),
        }
    }

    fn conditional_trap(&mut self, inst: Inst, opcode: Opcode, arg: Value, code: TrapCode) {
        let place = Place::Before(inst);
        let ty = self.func.dfg.value_type(arg);
        let zero = self.at(place).ins().iconst(ty, 0);
        let condition = match opcode {
            Opcode::Trapz => IntCC::Equal,
            _ => IntCC::NotEqual,
        };
        let traps = self.at(place).ins().icmp(condition, arg, zero);
        let trap = self.trap(code);
        self.leave_if(traps, trap, inst);
        self.func.layout.remove_inst(inst);
    }

    fn stack_addr(&mut self, inst: Inst, slot: u32, offset: i64) {
        let Some(frame) = self.frame else { return };
        let place = Place::Before(inst);
        let flags = MemFlagsData::trusted();
        let mut cursor = self.at(place);
        let slot = cursor.ins().load(types::I64, flags, frame, 8 * slot as i32);
        let offset = cursor.ins().iconst(types::I64, offset);
        self.func.replace(inst).iadd(slot, offset);
    }

    fn nullary(&mut self, inst: Inst, opcode: Opcode) -> Result<(), String> {
        match opcode {
            Opcode::Nop => return Ok(()),
            Opcode::Fence => {
                self.point(inst, "fence", &[]);
                return Ok(());
            }
            Opcode::Debugtrap => self.point(inst, "debugtrap", &[]),
            Opcode::SequencePoint => self.point(inst, "sequence_point", &[]),
            other => return Err(other.to_string()),
        }
        // The machine would stop at a debug trap.
        self.func.layout.remove_inst(inst);
        Ok(())
    }
}
