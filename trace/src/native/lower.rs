//! From a function as the passes see it to one that the machine can run inside of
//! an [`Outside`].
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

use super::outside::{Call, Header, Site, THROWN};
use crate::layout;
use core::mem::offset_of;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, BlockCall, DebugTag, Endianness, ExceptionTableItem, Function,
    GlobalValue, GlobalValueData, Inst, InstBuilder, InstructionData, MemFlagsData, Opcode, SigRef,
    Signature, TrapCode, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_memopt::CalleeName;
use std::collections::BTreeMap;

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

/// Where an instruction is added.
#[derive(Clone, Copy)]
enum Place {
    Before(Inst),
    End(Block),
}

struct Lowering<'s, 'a> {
    func: Function,
    surroundings: &'s mut Surroundings<'a>,
    /// Signatures of calls out of the program, by the number of arguments.
    signatures: BTreeMap<usize, SigRef>,
    /// Leaves the function with something pending.
    unwind: Option<Block>,
    /// Trap with each of these codes.
    traps: BTreeMap<u8, Block>,
    /// Points to the addresses of the slots.
    frame: Option<Value>,
}

impl<'s, 'a> Lowering<'s, 'a> {
    fn new(func: Function, surroundings: &'s mut Surroundings<'a>) -> Self {
        Self {
            func,
            surroundings,
            signatures: BTreeMap::new(),
            unwind: None,
            traps: BTreeMap::new(),
            frame: None,
        }
    }

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

    fn at(&mut self, place: Place) -> FuncCursor<'_> {
        let cursor = FuncCursor::new(&mut self.func);
        match place {
            Place::Before(inst) => cursor.at_inst(inst),
            Place::End(block) => cursor.at_bottom(block),
        }
    }

    fn number(&mut self, place: Place, number: u64) -> Value {
        self.at(place).ins().iconst(types::I64, number as i64)
    }

    /// Calls out of the program.
    fn call_out(&mut self, place: Place, what: Call, args: &[Value]) -> Value {
        let signature = self.signature(1 + args.len());
        let callee = self.number(place, what.address());
        let mut all = vec![self.number(place, self.surroundings.address)];
        all.extend(args);
        let call = self.at(place).ins().call_indirect(signature, callee, &all);
        self.func.dfg.first_result(call)
    }

    fn signature(&mut self, args: usize) -> SigRef {
        let (func, convention) = (&mut self.func, self.surroundings.convention);
        *self.signatures.entry(args).or_insert_with(|| {
            let mut signature = Signature::new(convention);
            signature.params = vec![AbiParam::new(types::I64); args];
            signature.returns = vec![AbiParam::new(types::I64)];
            func.import_signature(signature)
        })
    }

    /// Loads a word of the header.
    fn header(&mut self, place: Place, offset: usize) -> Value {
        let address = self.number(place, self.surroundings.address);
        let flags = MemFlagsData::trusted();
        self.at(place)
            .ins()
            .load(types::I64, flags, address, offset as i32)
    }

    /// Goes to `elsewhere` instead of to `inst` if the condition is not zero.
    fn leave_if(&mut self, condition: Value, elsewhere: Block, inst: Inst) {
        let Some(block) = self.func.layout.inst_block(inst) else {
            return;
        };
        let next = self.func.dfg.make_block();
        self.func.layout.split_block(next, inst);
        let mut end = self.at(Place::End(block));
        end.ins().brif(condition, elsewhere, &[], next, &[]);
    }

    fn new_block(&mut self) -> Block {
        let block = self.func.dfg.make_block();
        self.func.layout.append_block(block);
        block
    }

    /// The block that leaves the function with something pending.
    fn unwind(&mut self) -> Block {
        if let Some(block) = self.unwind {
            return block;
        }
        let block = self.new_block();
        self.unwind = Some(block);
        let place = Place::End(block);
        self.call_out(place, Call::Leave, &[]);
        let results = self.func.signature.returns.len();
        let results: Vec<Value> = (0..results).map(|_| self.number(place, 0)).collect();
        self.at(place).ins().return_(&results);
        block
    }

    /// The block that traps with this code.
    fn trap(&mut self, code: TrapCode) -> Block {
        let code = code.as_raw().get();
        if let Some(block) = self.traps.get(&code) {
            return *block;
        }
        let block = self.new_block();
        self.traps.insert(code, block);
        let place = Place::End(block);
        let code = self.number(place, code.into());
        self.call_out(place, Call::Trap, &[code]);
        let unwind = self.unwind();
        self.at(place).ins().jump(unwind, &[]);
        block
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

    /// Is there memory at these bytes? If not, it traps.
    fn check_reach(&mut self, inst: Inst, flags: MemFlagsData, address: Value, bytes: Value) {
        let Some(code) = flags.trap_code() else {
            return;
        };
        let place = Place::Before(inst);
        let is_outside = self.call_out(place, Call::Outside, &[address, bytes]);
        let trap = self.trap(code);
        self.leave_if(is_outside, trap, inst);
    }

    fn access(&mut self, inst: Inst, opcode: Opcode) -> Result<(), String> {
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
    fn redirect(&mut self, inst: Inst) {
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

    fn atomic(&mut self, inst: Inst) -> Result<(), String> {
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
        self.point(inst, what);
        let bytes = self.number(Place::Before(inst), ty.bytes().into());
        self.check_reach(inst, flags, address, bytes);
        Ok(())
    }

    /// The world may do anything just before `inst`.
    fn point(&mut self, inst: Inst, what: &'static str) {
        let site = Site {
            what,
            ..Site::default()
        };
        let site = self.site(inst, site);
        self.call_out(Place::Before(inst), Call::Point, &[site]);
    }

    fn site(&mut self, inst: Inst, site: Site) -> Value {
        self.surroundings.sites.push(site);
        let number = self.surroundings.sites.len() as u64 - 1;
        self.number(Place::Before(inst), number)
    }

    fn nullary(&mut self, inst: Inst, opcode: Opcode) -> Result<(), String> {
        match opcode {
            Opcode::Nop => return Ok(()),
            Opcode::Fence => {
                self.point(inst, "fence");
                return Ok(());
            }
            Opcode::Debugtrap => self.point(inst, "debugtrap"),
            Opcode::SequencePoint => {
                let named = self.name_tagged(inst);
                self.point(inst, "sequence_point");
                self.forget_tagged(named, inst);
            }
            other => return Err(other.to_string()),
        }
        // The machine would stop at a debug trap.
        self.func.layout.remove_inst(inst);
        Ok(())
    }

    /// Makes the slots that debug tags name visible; the site, if there are any.
    fn name_tagged(&mut self, inst: Inst) -> Option<Value> {
        let tags = self.func.debug_tags.get(inst).iter();
        let named = tags.filter_map(|tag| match tag {
            DebugTag::StackSlot(slot) => Some(slot.as_u32()),
            DebugTag::User(_) => None,
        });
        let named: Vec<u32> = named.collect();
        if named.is_empty() {
            return None;
        }
        let site = Site {
            named,
            ..Site::default()
        };
        let site = self.site(inst, site);
        self.call_out(Place::Before(inst), Call::Name, &[site]);
        Some(site)
    }

    fn forget_tagged(&mut self, site: Option<Value>, before: Inst) {
        if let Some(site) = site {
            self.call_out(Place::Before(before), Call::Forget, &[site]);
        }
    }

    /// The collector runs at a call, and visits what its stack map names.
    fn collect(&mut self, inst: Inst) {
        let entries = self.func.dfg.user_stack_map_entries(inst).unwrap_or(&[]);
        let cells = entries.iter();
        let cells = cells.map(|e| (e.slot.as_u32(), e.offset, e.ty.bytes() as usize));
        let cells: Vec<_> = cells.collect();
        if cells.is_empty() {
            return;
        }
        let site = Site {
            cells,
            ..Site::default()
        };
        let site = self.site(inst, site);
        self.call_out(Place::Before(inst), Call::Collect, &[site]);
    }

    /// Has an indirect call go to the machine code of its callee.
    fn resolve(&mut self, inst: Inst) {
        let callee = self.func.dfg.inst_args(inst)[0];
        let code = self.call_out(Place::Before(inst), Call::Resolve, &[callee]);
        self.func.dfg.inst_args_mut(inst)[0] = code;
    }

    fn call(&mut self, inst: Inst) {
        self.collect(inst);
        let named = self.name_tagged(inst);
        let Some(next) = self.func.layout.next_inst(inst) else {
            return;
        };
        self.forget_tagged(named, next);
        let pending = self.header(Place::Before(next), offset_of!(Header, pending));
        let unwind = self.unwind();
        self.leave_if(pending, unwind, next);
    }

    fn try_call(&mut self, inst: Inst) -> Result<(), String> {
        let block = self.func.layout.inst_block(inst).ok_or("no block")?;
        self.collect(inst);
        let named = self.name_tagged(inst);
        let args = self.func.dfg.inst_args(inst).to_vec();
        let place = Place::Before(inst);
        let (call, table) = match self.func.dfg.insts[inst] {
            InstructionData::TryCall {
                func_ref,
                exception,
                ..
            } => (self.at(place).ins().call(func_ref, &args), exception),
            InstructionData::TryCallIndirect { exception, .. } => {
                let callee = self.call_out(place, Call::Resolve, &args[..1]);
                let signature = self.func.dfg.exception_tables[exception].signature();
                let mut cursor = self.at(place);
                let call = cursor.ins().call_indirect(signature, callee, &args[1..]);
                (call, exception)
            }
            _ => return Err("no call".into()),
        };
        self.forget_tagged(named, inst);
        let table = self.func.dfg.exception_tables[table].clone();
        let results = self.func.dfg.inst_results(call).to_vec();
        let pending = self.header(place, offset_of!(Header, pending));
        let (normal, thrown) = (self.new_block(), self.new_block());
        self.func.layout.remove_inst(inst);
        let mut end = self.at(Place::End(block));
        end.ins().brif(pending, thrown, &[], normal, &[]);
        self.go(normal, table.normal_return(), &results);
        let items: Vec<ExceptionTableItem> = table.items().collect();
        self.dispatch(thrown, pending, &items);
        Ok(())
    }

    /// Finds the handler of what is pending.
    fn dispatch(&mut self, thrown: Block, pending: Value, items: &[ExceptionTableItem]) {
        let unwind = self.unwind();
        let mut at = self.new_block();
        let place = Place::End(thrown);
        let code = self.number(place, THROWN);
        let is_thrown = self.at(place).ins().icmp(IntCC::Equal, pending, code);
        self.at(place).ins().brif(is_thrown, at, &[], unwind, &[]);
        let payload = self.header(Place::End(at), offset_of!(Header, payload));
        let tag = self.header(Place::End(at), offset_of!(Header, tag));
        for item in items {
            let place = Place::End(at);
            match item {
                ExceptionTableItem::Tag(caught, call) => {
                    let caught = self.number(place, caught.as_u32().into());
                    let is_it = self.at(place).ins().icmp(IntCC::Equal, tag, caught);
                    let (handler, next) = (self.new_block(), self.new_block());
                    self.at(place).ins().brif(is_it, handler, &[], next, &[]);
                    self.handle(handler, call, [payload, tag]);
                    at = next;
                }
                ExceptionTableItem::Default(call) => return self.handle(at, call, [payload, tag]),
                ExceptionTableItem::Context(_) => {}
            }
        }
        self.at(Place::End(at)).ins().jump(unwind, &[]);
    }

    /// Goes to a handler, with nothing pending any more.
    fn handle(&mut self, block: Block, call: &BlockCall, thrown: [Value; 2]) {
        let place = Place::End(block);
        let address = self.number(place, self.surroundings.address);
        let zero = self.number(place, 0);
        let offset = offset_of!(Header, pending) as i32;
        let flags = MemFlagsData::trusted();
        self.at(place).ins().store(flags, zero, address, offset);
        self.go(block, call, &thrown);
    }

    /// Ends `block` as `call` says, with the results or the payload of a call.
    fn go(&mut self, block: Block, call: &BlockCall, results: &[Value]) {
        let lists = &self.func.dfg.value_lists;
        let to = call.block(lists);
        let args = call.args(lists).map(|arg| match arg {
            BlockArg::Value(value) => BlockArg::Value(value),
            BlockArg::TryCallRet(at) | BlockArg::TryCallExn(at) => {
                BlockArg::Value(results[at as usize])
            }
        });
        let args: Vec<BlockArg> = args.collect();
        self.at(Place::End(block)).ins().jump(to, &args);
    }
}
