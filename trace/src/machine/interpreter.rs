//! One instruction after the other.

use super::accesses::memory_bytes;
use super::compute::unsupported;
use super::names::vmctx;
use super::state::{Activation, Arguments, Callee, Machine, Next, Outcome};
use crate::arith;
use crate::trace::End;
use cranelift_codegen::ir::{
    Function, GlobalValue, GlobalValueData, Inst, InstructionData, Opcode, TrapCode,
};

/// Calls that may be open at one time. What happens beyond is no part of a
/// trace, so the run is cut.
const MAX_DEPTH: usize = 10;

impl<'a> Machine<'a> {
    pub(super) fn call(&mut self, callee: Callee, args: Arguments) -> Result<Outcome, End> {
        let (mut callee, mut args) = (callee, args);
        loop {
            let index = match &callee {
                Callee::Function(index) => *index,
                Callee::Host(name) => return self.host(name, &args),
            };
            if self.memory.frames.len() == MAX_DEPTH {
                return Err(End::Cut);
            }
            let func = &self.functions[index];
            if !self.memory.push_frame(index, func) {
                return Err(End::Unsupported("a frame that has no place".into()));
            }
            if let Some(frame) = self.memory.frames.last_mut() {
                for (at, record) in args.records.drain(..) {
                    args.values[at] = frame.add_slot(record).into();
                }
            }
            let next = self.body(func, args.values)?;
            self.memory.frames.pop();
            match next {
                Next::TailCall(next, next_args) => {
                    self.is_in_entry &= !self.memory.frames.is_empty();
                    (callee, args) = (next, next_args);
                }
                Next::Leave(outcome) => return Ok(outcome),
                Next::Step | Next::Goto(..) => {
                    return Err(End::Undefined("a block without an end".into()));
                }
            }
        }
    }

    pub(super) fn trap(&mut self, code: TrapCode) -> End {
        End::Trap(code, self.world.at_trap(&self.memory))
    }

    pub(super) fn body(&mut self, func: &'a Function, args: Vec<u128>) -> Result<Next, End> {
        let mut here = Activation {
            func,
            values: vec![0; func.dfg.num_values()],
        };
        if let Some(limit) = func.stack_limit {
            self.check_stack(func, limit, vmctx(func, &args))?;
        }
        let mut block = func
            .layout
            .entry_block()
            .ok_or_else(|| End::Undefined("a function without blocks".into()))?;
        let mut args = args;
        loop {
            let params = func.dfg.block_params(block);
            for (param, arg) in params.iter().zip(&args) {
                here.set(*param, *arg);
            }
            let mut next = Next::Step;
            for inst in func.layout.block_insts(block) {
                self.fuel = self.fuel.checked_sub(1).ok_or(End::Cut)?;
                self.count(func.dfg.insts[inst].opcode());
                next = self.inst(&mut here, inst)?;
                if !matches!(next, Next::Step) {
                    break;
                }
            }
            match next {
                Next::Goto(to, passed) => (block, args) = (to, passed),
                other => return Ok(other),
            }
        }
    }

    pub(super) fn count(&mut self, opcode: Opcode) {
        if self.memory.frames.len() == 1 && self.is_in_entry {
            self.counts.loads += u32::from(opcode.can_load() && !opcode.is_call());
            self.counts.stores += u32::from(opcode.can_store() && !opcode.is_call());
            self.counts.calls += u32::from(opcode.is_call());
        }
    }

    /// The check on entry traps if the limit looks unlucky.
    pub(super) fn check_stack(
        &mut self,
        func: &Function,
        limit: GlobalValue,
        vmctx: u128,
    ) -> Result<(), End> {
        let limit = self.global(func, limit, vmctx)?;
        if limit % 8 == 3 {
            return Err(self.trap(TrapCode::STACK_OVERFLOW));
        }
        Ok(())
    }

    pub(super) fn global(
        &mut self,
        func: &Function,
        value: GlobalValue,
        vmctx: u128,
    ) -> Result<u128, End> {
        match func.global_values[value] {
            GlobalValueData::VMContext => Ok(vmctx),
            GlobalValueData::IAddImm { base, offset, .. } => {
                let base = self.global(func, base, vmctx)?;
                Ok(base.wrapping_add(i64::from(offset) as u128))
            }
            GlobalValueData::Load {
                base,
                offset,
                global_type,
                flags,
            } => {
                let base = self.global(func, base, vmctx)?;
                let flags = func.dfg.mem_flags[flags];
                let address = (base as u64).wrapping_add(i64::from(offset) as u64);
                self.load(address, global_type.bytes() as usize, func, flags)
            }
            GlobalValueData::Symbol { .. } | GlobalValueData::DynScaleTargetConst { .. } => {
                Err(End::Unsupported("global value".into()))
            }
        }
    }

    pub(super) fn inst(&mut self, here: &mut Activation<'a>, inst: Inst) -> Result<Next, End> {
        let func = here.func;
        let dfg = &func.dfg;
        match dfg.insts[inst] {
            InstructionData::Load {
                opcode,
                arg,
                flags,
                offset,
            } => {
                let address = (here.get(arg) as u64).wrapping_add(i64::from(offset) as u64);
                let ty = dfg.value_type(dfg.first_result(inst));
                let bytes = memory_bytes(opcode, ty)?;
                let loaded = self.load(address, bytes, func, dfg.mem_flags[flags])?;
                let value = match opcode {
                    Opcode::Sload8 | Opcode::Sload16 | Opcode::Sload32 => {
                        arith::signed(loaded, 8 * bytes as u32) as u128
                    }
                    _ => loaded,
                };
                here.set_result(inst, value);
            }
            InstructionData::Store {
                opcode,
                args: [value, address],
                flags,
                offset,
            } => {
                let address = (here.get(address) as u64).wrapping_add(i64::from(offset) as u64);
                let bytes = memory_bytes(opcode, dfg.value_type(value))?;
                self.store(address, bytes, here.get(value), func, dfg.mem_flags[flags])?;
            }
            // The flags of a bitcast are the order of the lanes, and the lanes of
            // the vectors here are not looked at one by one.
            InstructionData::LoadNoOffset {
                opcode: Opcode::Bitcast,
                arg,
                ..
            } => here.set_result(inst, here.get(arg)),
            InstructionData::LoadNoOffset { .. }
            | InstructionData::StoreNoOffset { .. }
            | InstructionData::AtomicCas { .. }
            | InstructionData::AtomicRmw { .. } => self.atomic(here, inst)?,
            InstructionData::NullAry { opcode } => self.nullary(here, inst, opcode)?,
            InstructionData::Jump { destination, .. } => {
                return Ok(here.destination(&destination, &[]));
            }
            InstructionData::Brif { arg, blocks, .. } => {
                let taken = usize::from(here.get(arg) == 0);
                return Ok(here.destination(&blocks[taken], &[]));
            }
            InstructionData::BranchTable { arg, table, .. } => {
                let table = &dfg.jump_tables[table];
                let index = here.get(arg) as usize;
                let call = table.as_slice().get(index);
                return Ok(here.destination(&call.unwrap_or(&table.default_block()).clone(), &[]));
            }
            InstructionData::Trap { code, .. } => return Err(self.trap(code)),
            InstructionData::CondTrap { opcode, arg, code } => {
                if (here.get(arg) == 0) == (opcode == Opcode::Trapz) {
                    return Err(self.trap(code));
                }
            }
            InstructionData::MultiAry {
                opcode: Opcode::Return,
                ..
            } => {
                let values = here.all(dfg.inst_args(inst));
                return Ok(Next::Leave(Outcome::Return(values)));
            }
            InstructionData::Call { .. }
            | InstructionData::CallIndirect { .. }
            | InstructionData::TryCall { .. }
            | InstructionData::TryCallIndirect { .. } => return self.call_inst(here, inst),
            InstructionData::Ternary {
                opcode: Opcode::StackSwitch,
                args,
            } => {
                let args = here.all(&args);
                let named = self.stop_at(func, inst);
                let payload = self.world.switch_stacks(&mut self.memory, &args);
                self.go_on(named);
                here.set_result(inst, payload.ok_or(End::Gone)?.into());
            }
            _ => self.compute(here, inst)?,
        }
        Ok(Next::Step)
    }

    pub(super) fn nullary(
        &mut self,
        here: &Activation<'a>,
        inst: Inst,
        opcode: Opcode,
    ) -> Result<(), End> {
        let named = self.stop_at(here.func, inst);
        match opcode {
            Opcode::Nop => {}
            Opcode::Fence => self.world.point(&mut self.memory, "fence", &[]),
            Opcode::Debugtrap => self.world.point(&mut self.memory, "debugtrap", &[]),
            Opcode::SequencePoint => {
                self.world.point(&mut self.memory, "sequence_point", &[]);
            }
            other => return Err(unsupported(other)),
        }
        self.go_on(named);
        Ok(())
    }
}
