//! Runs CLIF, one instruction after the other.
//!
//! Written for this purpose because `cranelift-interpreter` traps on negative
//! offsets, has no `try_call`, and knows no observers. It covers the scalar
//! instructions that touch memory, the arithmetic around them, calls of all
//! kinds and exceptions. Anything else ends the run as [`End::Unsupported`].

use crate::arith;
use crate::heap::Heap;
use crate::layout::{self, Place};
use crate::memory::{Memory, Reach};
use crate::trace::{End, Trace};
use crate::world::{Reply, SlotRegions, Temper, World};
use cranelift_codegen::ir::{
    ArgumentPurpose, AtomicRmwOp, Block, BlockArg, BlockCall, DebugTag, Endianness,
    ExceptionTableItem, FuncRef, Function, GlobalValue, GlobalValueData, Inst, InstructionData,
    MemFlags, MemFlagsData, Opcode, TrapCode, Type, Value,
};
use cranelift_memopt::{CalleeName, Policy};
use memopt_policy::DeclaredPolicy;
use std::collections::BTreeSet;

/// Calls that may be open at one time. What happens beyond is no part of a
/// trace, so the run is cut.
const MAX_DEPTH: usize = 10;

/// What a run starts from.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// What memory holds and what the world does.
    pub seed: u64,
    /// The arguments of the first function.
    pub args: Vec<u128>,
    /// Instructions that it may execute.
    pub fuel: u64,
    /// Memory of its own, for functions that do not keep to the layout.
    pub heap: Heap,
    /// The slots, by frame and number, that a trap hides: those that this run, or
    /// the one that it is compared with, accesses under a region that is lost.
    pub lost: BTreeSet<(u32, u32)>,
}

/// What runs, and what surrounds it.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    /// The functions, which may call each other; functions that are not among
    /// them belong to the host.
    pub functions: &'a [Function],
    /// The index of the one that is called from outside.
    pub entry: usize,
    /// Functions of the host that memory points to; those that the functions
    /// import are known without that.
    pub hosts: &'a [CalleeName],
    /// What holds for the world.
    pub policy: &'a DeclaredPolicy,
    /// The regions of the slots, by [`slot_regions`](crate::world::slot_regions)
    /// of the functions before they were optimized.
    pub slot_regions: &'a SlotRegions,
    /// What the world does.
    pub temper: Temper,
}

/// What the entry executed itself: calls have no part in it, and neither has a
/// function that took its place by a tail call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instructions that load, atomic ones included.
    pub loads: u32,
    /// Instructions that store, atomic ones included.
    pub stores: u32,
    /// Calls of all kinds.
    pub calls: u32,
}

/// What is left of a run.
pub struct Run {
    /// What could be observed.
    pub trace: Trace,
    /// What was executed.
    pub counts: Counts,
    /// The heap at the end, with the owners that were found.
    pub heap: Heap,
    /// The slots that were accessed under a region that a trap loses.
    pub lost: BTreeSet<(u32, u32)>,
}

/// Runs the entry of `program`.
pub fn run(program: &Program<'_>, inputs: &Inputs) -> Run {
    let mut machine = Machine {
        functions: program.functions,
        hosts: program.hosts,
        memory: Memory::new(inputs.seed, inputs.heap.clone()),
        world: World::new(program.policy, program.slot_regions, inputs, program.temper),
        loses_regions: loses_regions(program),
        fuel: inputs.fuel,
        counts: Counts::default(),
        lost: BTreeSet::new(),
        is_in_entry: true,
    };
    let end = match machine.call(Callee::Function(program.entry), inputs.args.clone()) {
        Ok(Outcome::Return(values)) => {
            End::Return(values, machine.world.at_return(&machine.memory))
        }
        Ok(Outcome::Throw(tag, payload)) => {
            End::Exception(tag, payload, machine.world.at_trap(&machine.memory))
        }
        Err(end) => end,
    };
    Run {
        trace: Trace {
            events: machine.world.events,
            end,
        },
        counts: machine.counts,
        heap: machine.memory.heap,
        lost: machine.lost,
    }
}

fn loses_regions(program: &Program<'_>) -> bool {
    program.functions.iter().any(|func| {
        let mut regions = func.dfg.alias_regions.iter();
        regions.any(|(_, region)| !program.policy.survives_trap(region.user_id))
    })
}

/// How a call comes back.
enum Outcome {
    Return(Vec<u128>),
    Throw(u32, u64),
}

#[derive(Clone)]
enum Callee {
    Function(usize),
    Host(CalleeName),
}

/// What an instruction leads to.
enum Next {
    Step,
    Goto(Block, Vec<u128>),
    Leave(Outcome),
    TailCall(Callee, Vec<u128>),
}

struct Machine<'a> {
    functions: &'a [Function],
    hosts: &'a [CalleeName],
    memory: Memory,
    world: World<'a>,
    /// Is there a region whose contents do not survive an exception?
    loses_regions: bool,
    fuel: u64,
    counts: Counts,
    lost: BTreeSet<(u32, u32)>,
    /// Is the outermost frame still that of the entry?
    is_in_entry: bool,
}

/// A function that runs.
struct Activation<'f> {
    func: &'f Function,
    values: Vec<u128>,
}

impl Activation<'_> {
    fn get(&self, value: Value) -> u128 {
        self.values[self.func.dfg.resolve_aliases(value).as_u32() as usize]
    }

    fn bits(&self, value: Value) -> u32 {
        self.func.dfg.value_type(value).bits()
    }

    fn set(&mut self, value: Value, bits: u128) {
        let width = self.bits(value);
        self.values[value.as_u32() as usize] = arith::mask(bits, width);
    }

    fn set_result(&mut self, inst: Inst, bits: u128) {
        self.set(self.func.dfg.first_result(inst), bits);
    }

    fn all(&self, values: &[Value]) -> Vec<u128> {
        values.iter().map(|value| self.get(*value)).collect()
    }

    /// Where a branch leads, and what it passes. `results` are those of the
    /// call that branches, or the payload of its exception.
    fn destination(&self, call: &BlockCall, results: &[u128]) -> Next {
        let lists = &self.func.dfg.value_lists;
        let args = call.args(lists).map(|arg| match arg {
            BlockArg::Value(value) => self.get(value),
            BlockArg::TryCallRet(at) | BlockArg::TryCallExn(at) => results[at as usize],
        });
        Next::Goto(call.block(lists), args.collect())
    }
}

impl<'a> Machine<'a> {
    fn call(&mut self, callee: Callee, args: Vec<u128>) -> Result<Outcome, End> {
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
            self.memory.push_frame(index, func);
            let next = self.body(func, args)?;
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

    fn host(&mut self, name: &CalleeName, args: &[u128]) -> Result<Outcome, End> {
        match self.world.host(&mut self.memory, name, args) {
            Reply::Return(value) => Ok(Outcome::Return(vec![value.into()])),
            Reply::Throw(tag, payload) => Ok(Outcome::Throw(tag, payload)),
            Reply::Trap(code) => Err(self.trap(code)),
        }
    }

    fn trap(&mut self, code: TrapCode) -> End {
        End::Trap(code, self.world.at_trap(&self.memory))
    }

    fn body(&mut self, func: &'a Function, args: Vec<u128>) -> Result<Next, End> {
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

    fn count(&mut self, opcode: Opcode) {
        if self.memory.frames.len() == 1 && self.is_in_entry {
            self.counts.loads += u32::from(opcode.can_load() && !opcode.is_call());
            self.counts.stores += u32::from(opcode.can_store() && !opcode.is_call());
            self.counts.calls += u32::from(opcode.is_call());
        }
    }

    /// The check on entry traps if the limit looks unlucky.
    fn check_stack(&mut self, func: &Function, limit: GlobalValue, vmctx: u128) -> Result<(), End> {
        let limit = self.global(func, limit, vmctx)?;
        if limit % 8 == 3 {
            return Err(self.trap(TrapCode::STACK_OVERFLOW));
        }
        Ok(())
    }

    fn global(&mut self, func: &Function, value: GlobalValue, vmctx: u128) -> Result<u128, End> {
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

    /// Regions are disjoint: an access keeps to the memory of the region that
    /// it is tagged with, and a byte of a slot belongs to one region.
    fn check_region(
        &mut self,
        address: u64,
        bytes: usize,
        func: &Function,
        flags: MemFlagsData,
    ) -> Result<(), End> {
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

    fn load(
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
                let kept = self.memory.read(address, bytes, order(flags));
                Ok(if self.world.is_quiet() { kept } else { noise })
            }
            Reach::Plain => Ok(self.memory.read(address, bytes, order(flags))),
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

    fn store(
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
                if self.memory.write(address, bytes, order(flags), value) {
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
    fn is_asynchronous_heap(
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
    fn note_constant(&mut self, address: u64, bytes: usize) -> Result<(), End> {
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
    fn check_constant(&mut self, address: u64, bytes: usize) -> Result<(), End> {
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

    fn outside(&mut self, address: u64, flags: MemFlagsData) -> End {
        match flags.trap_code() {
            Some(code) => self.trap(code),
            None => End::Undefined(format!("an access to {address:#x}, where nothing is")),
        }
    }

    fn inst(&mut self, here: &mut Activation<'a>, inst: Inst) -> Result<Next, End> {
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
            _ => self.compute(here, inst)?,
        }
        Ok(Next::Step)
    }

    fn nullary(&mut self, here: &Activation<'a>, inst: Inst, opcode: Opcode) -> Result<(), End> {
        match opcode {
            Opcode::Nop => {}
            Opcode::Fence => self.world.point(&mut self.memory, "fence"),
            Opcode::Debugtrap => self.world.point(&mut self.memory, "debugtrap"),
            Opcode::SequencePoint => {
                let named = self.name_tagged_slots(here.func, inst);
                self.world.point(&mut self.memory, "sequence_point");
                self.forget_named(named);
            }
            other => return Err(unsupported(other)),
        }
        Ok(())
    }

    /// Makes the slots that debug tags of `inst` name visible; returns how many.
    fn name_tagged_slots(&mut self, func: &Function, inst: Inst) -> usize {
        let tags = func.debug_tags.get(inst).iter();
        let slots: Vec<u32> = tags
            .filter_map(|tag| match tag {
                DebugTag::StackSlot(slot) => Some(slot.as_u32()),
                DebugTag::User(_) => None,
            })
            .collect();
        if let Some(frame) = self.memory.frames.last_mut() {
            frame.named.extend(&slots);
        }
        slots.len()
    }

    fn forget_named(&mut self, count: usize) {
        if let Some(frame) = self.memory.frames.last_mut() {
            frame.named.truncate(frame.named.len() - count);
        }
    }

    fn atomic(&mut self, here: &mut Activation<'a>, inst: Inst) -> Result<(), End> {
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
        self.world.point(&mut self.memory, what);
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

    fn call_inst(&mut self, here: &mut Activation<'a>, inst: Inst) -> Result<Next, End> {
        let func = here.func;
        let dfg = &func.dfg;
        let mut args = here.all(dfg.inst_args(inst));
        let callee = match dfg.insts[inst] {
            InstructionData::Call { func_ref, .. } | InstructionData::TryCall { func_ref, .. } => {
                self.callee(name_of(func, func_ref)?)
            }
            _ => {
                let address = args.remove(0) as u64;
                let name = self.function_at(address).ok_or_else(|| {
                    End::Undefined(format!("a call of {address:#x}, where no function is"))
                })?;
                self.callee(name)
            }
        };
        if dfg.insts[inst].opcode().is_return() {
            return Ok(Next::TailCall(callee, args));
        }
        self.collect(func, inst)?;
        let named = self.name_tagged_slots(func, inst);
        let is_internal = matches!(callee, Callee::Function(_));
        let outcome = self.call(callee, args)?;
        self.forget_named(named);
        self.after_call(here, inst, is_internal, outcome)
    }

    fn after_call(
        &mut self,
        here: &mut Activation<'a>,
        inst: Inst,
        is_internal: bool,
        outcome: Outcome,
    ) -> Result<Next, End> {
        let dfg = &here.func.dfg;
        let table = dfg.insts[inst].exception_table();
        match (outcome, table) {
            (Outcome::Return(values), Some(table)) => {
                let normal = *dfg.exception_tables[table].normal_return();
                Ok(here.destination(&normal, &values))
            }
            (Outcome::Return(values), None) => {
                for (result, value) in dfg.inst_results(inst).iter().zip(values) {
                    here.set(*result, value);
                }
                Ok(Next::Step)
            }
            (Outcome::Throw(tag, payload), table) => {
                let handler = table.and_then(|table| {
                    dfg.exception_tables[table]
                        .items()
                        .find_map(|item| match item {
                            ExceptionTableItem::Tag(caught, call) => {
                                (caught.as_u32() == tag).then_some(call)
                            }
                            ExceptionTableItem::Default(call) => Some(call),
                            ExceptionTableItem::Context(_) => None,
                        })
                });
                let Some(handler) = handler else {
                    return Ok(Next::Leave(Outcome::Throw(tag, payload)));
                };
                if is_internal && self.loses_regions {
                    // A region that does not survive holds anything from here.
                    return Err(End::Cut);
                }
                Ok(here.destination(&handler, &[payload.into(), tag.into()]))
            }
        }
    }

    /// The collector runs at a call, and visits what the stack map names.
    fn collect(&mut self, func: &Function, inst: Inst) -> Result<(), End> {
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

    fn callee(&self, name: CalleeName) -> Callee {
        match position(self.functions, &name) {
            Some(index) => Callee::Function(index),
            None => Callee::Host(name),
        }
    }

    /// The name of the function at `address`.
    fn function_at(&self, address: u64) -> Option<CalleeName> {
        let named = || {
            let names = self.functions.iter().flat_map(|func| {
                let refs = func.dfg.ext_funcs.keys();
                refs.filter_map(|func_ref| CalleeName::of_ref(func, func_ref))
            });
            let names = names.filter(|name| matches!(name, CalleeName::Named(_)));
            let mut names = names.chain(self.hosts.iter().cloned());
            names.find(|name| layout::function_address(name) == address)
        };
        layout::function_at(address).or_else(named)
    }

    /// Instructions without any effect, except that some trap.
    fn compute(&mut self, here: &mut Activation<'a>, inst: Inst) -> Result<(), End> {
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
            InstructionData::FuncAddr { func_ref, .. } => {
                layout::function_address(&name_of(here.func, func_ref)?).into()
            }
            InstructionData::IntCompare { cond, args, .. } => {
                let (x, y) = (here.get(args[0]), here.get(args[1]));
                arith::compare(cond, here.bits(args[0]), x, y).into()
            }
            InstructionData::Unary { opcode, arg } => {
                let from = scalar(opcode, dfg.value_type(arg))?;
                let result = dfg.value_type(dfg.first_result(inst));
                if opcode == Opcode::Isplit {
                    return isplit(here, inst, arg);
                }
                let value = arith::unary(opcode, from, result.bits(), here.get(arg));
                value.ok_or_else(|| unsupported(opcode))?
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

    fn binary(
        &mut self,
        here: &Activation<'a>,
        opcode: Opcode,
        args: [Value; 2],
    ) -> Result<u128, End> {
        let (x, y) = (here.get(args[0]), here.get(args[1]));
        let bits = scalar(opcode, here.func.dfg.value_type(args[0]))?;
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

/// The argument that is the VM context; 0 if none is.
fn vmctx(func: &Function, args: &[u128]) -> u128 {
    let mut params = func.signature.params.iter().zip(args);
    let vmctx = params.find(|(param, _)| param.purpose == ArgumentPurpose::VMContext);
    vmctx.map_or(0, |(_, arg)| *arg)
}

fn isplit(here: &mut Activation<'_>, inst: Inst, arg: Value) -> Result<(), End> {
    let whole = here.get(arg);
    let half = here.bits(arg) / 2;
    let results = here.func.dfg.inst_results(inst).to_vec();
    here.set(results[0], whole);
    here.set(results[1], whole >> half);
    Ok(())
}

fn unsupported(opcode: Opcode) -> End {
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

fn memory_bytes(opcode: Opcode, ty: Type) -> Result<usize, End> {
    match opcode {
        Opcode::Load | Opcode::Store => Ok(ty.bytes() as usize),
        Opcode::Uload8 | Opcode::Sload8 | Opcode::Istore8 => Ok(1),
        Opcode::Uload16 | Opcode::Sload16 | Opcode::Istore16 => Ok(2),
        Opcode::Uload32 | Opcode::Sload32 | Opcode::Istore32 => Ok(4),
        other => Err(unsupported(other)),
    }
}

fn order(flags: MemFlagsData) -> Endianness {
    flags.endianness(Endianness::Little)
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

/// Which of `functions` has this name?
pub fn position(functions: &[Function], name: &CalleeName) -> Option<usize> {
    let mut functions = functions.iter();
    functions.position(|func| CalleeName::of_function(&func.name) == *name)
}

/// The function that `inst` names: its callee, or the one whose address it takes.
pub fn callee_of(func: &Function, inst: Inst) -> Option<CalleeName> {
    match func.dfg.insts[inst] {
        InstructionData::Call { func_ref, .. }
        | InstructionData::TryCall { func_ref, .. }
        | InstructionData::FuncAddr { func_ref, .. } => name_of(func, func_ref).ok(),
        _ => None,
    }
}

fn name_of(func: &Function, func_ref: FuncRef) -> Result<CalleeName, End> {
    CalleeName::of_ref(func, func_ref).ok_or_else(|| {
        let name = &func.dfg.ext_funcs[func_ref].name;
        End::Unsupported(name.display(None).to_string())
    })
}
