//! The instructions of one function.

use super::graph::{Exit, Graph};
use super::{MAX_START, Plan, REACH};
use crate::layout::{self, HOME_BYTES, HOMES};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, AliasRegionData, ArgumentPurpose, AtomicRmwOp, Block, BlockArg, BlockCall, DebugTag,
    Endianness, ExceptionTableData, ExceptionTableItem, ExceptionTag, ExtFuncData, ExternalName,
    FuncRef, Function, GlobalValueData, Inst, InstBuilder, JumpTableData, MemFlagsData, SigRef,
    Signature, StackSlot, StackSlotData, StackSlotKey, StackSlotKind, TrapCode, Type,
    UserExternalName, UserFuncName, UserStackMapEntry, Value, types,
};
use cranelift_codegen::isa::CallConv;
use fastrand::Rng;
use std::borrow::Cow;

/// What memory a pointer points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// A home of the layout, or a slot that counts as part of it.
    Shared(usize),
    /// A slot that only this function knows, each word in a region of its own.
    Secret(usize),
    Asynchronous,
    ReadOnly,
}

/// A pointer whose accesses from `low` to `high` stay inside.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    value: Value,
    home: Home,
    low: i64,
    high: i64,
    /// Where in its slot it points to, if that is the same in all runs.
    at: Option<i64>,
}

/// Bytes that have been accessed before.
#[derive(Clone, Copy)]
struct Spot {
    pointer: Pointer,
    offset: i64,
    ty: Type,
}

/// The values that a block may use.
#[derive(Clone, Default)]
struct Pool {
    data: Vec<Value>,
    typed: Vec<Value>,
    pointers: Vec<Pointer>,
    /// Loaded words, which may be pointers.
    wild: Vec<Value>,
    spots: Vec<Spot>,
    /// Round counters of the loops around, the innermost last.
    ticks: Vec<Value>,
}

/// What a block parameter is.
#[derive(Clone, Copy)]
enum Param {
    Tick,
    Data,
    Pointer(Home),
}

/// The bytes that a pointer parameter certainly has.
const PARAM_HIGH: i64 = 16;

struct Slot {
    slot: StackSlot,
    size: i64,
    /// What it counts as, unless it is secret.
    home: Home,
    mapped: bool,
    tagged: bool,
}

struct Body<'a> {
    rng: &'a mut Rng,
    plan: &'a Plan,
    index: usize,
    func: Function,
    graph: Graph,
    blocks: Vec<Block>,
    params: Vec<Vec<Param>>,
    slots: Vec<Slot>,
    sig: SigRef,
    /// Functions of the module, then those of the host.
    callees: Vec<FuncRef>,
    block: usize,
    pool: Pool,
    /// Stores that put back what was found, to be done before the block ends.
    debts: Vec<(Spot, Value)>,
}

/// A random function.
pub fn function(rng: &mut Rng, plan: &Plan, index: usize) -> Function {
    let graph = Graph::new(rng);
    let name = UserFuncName::user(0, index as u32);
    let func = Function::with_name_signature(name, signature());
    let mut body = Body {
        rng,
        plan,
        index,
        func,
        graph,
        blocks: Vec::new(),
        params: Vec::new(),
        slots: Vec::new(),
        sig: SigRef::from_u32(0),
        callees: Vec::new(),
        block: 0,
        pool: Pool::default(),
        debts: Vec::new(),
    };
    body.declare();
    body.fill();
    body.func
}

fn signature() -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    let vmctx = AbiParam::special(types::I64, ArgumentPurpose::VMContext);
    signature.params = vec![vmctx, AbiParam::new(types::I64), AbiParam::new(types::I64)];
    signature.params.push(AbiParam::new(types::I64));
    signature.returns = vec![AbiParam::new(types::I64)];
    signature
}

/// The functions of the host that a module may call.
const HOST_FUNCTIONS: u32 = 4;

// Declarations.
impl Body<'_> {
    fn declare(&mut self) {
        for id in 1..=layout::READ_ONLY {
            self.func.dfg.alias_regions.insert(AliasRegionData {
                user_id: id,
                description: Cow::Borrowed("region"),
            });
        }
        self.sig = self.func.import_signature(signature());
        for index in 0..self.plan.functions as u32 {
            self.import(0, index);
        }
        for index in 0..HOST_FUNCTIONS {
            self.import(layout::HOST, index);
        }
        for _ in 0..self.rng.usize(..5) {
            self.slot();
        }
        if self.rng.u8(..12) == 0 {
            self.stack_limit();
        }
        self.blocks = (0..self.graph.exits.len())
            .map(|_| self.func.dfg.make_block())
            .collect();
        self.params = vec![Vec::new(); self.blocks.len()];
        for at in self.graph.order.clone() {
            self.func.layout.append_block(self.blocks[at]);
            if at > 0 {
                self.block_params(at);
            }
        }
    }

    fn import(&mut self, namespace: u32, index: u32) {
        let name = UserExternalName { namespace, index };
        let name = self.func.declare_imported_user_function(name);
        let callee = self.func.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature: self.sig,
            colocated: true,
            patchable: false,
        });
        self.callees.push(callee);
    }

    fn slot(&mut self) {
        let size = 8 * self.rng.u32(1..5);
        let mut data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3);
        if self.rng.u8(..25) == 0 {
            data.key = Some(StackSlotKey::new(7));
        }
        let public = data.key.is_some();
        let slot = self.func.create_sized_stack_slot(data);
        let home = match self.rng.u8(..4) {
            0 | 1 if !public => Home::Secret(self.slots.len()),
            2 => Home::Shared(1),
            _ => Home::Shared(0),
        };
        self.slots.push(Slot {
            slot,
            size: size.into(),
            home,
            mapped: self.rng.u8(..6) == 0,
            // What the outside can name has to keep to one region.
            tagged: matches!(home, Home::Shared(_)) && self.rng.u8(..12) == 0,
        });
    }

    fn stack_limit(&mut self) {
        let vmctx = self.func.create_global_value(GlobalValueData::VMContext);
        let home = self.rng.usize(..HOMES);
        let region = (home > 0).then(|| self.region(home as u32)).flatten();
        let flags = MemFlagsData::trusted().with_alias_region(region);
        let flags = self.func.dfg.mem_flags.insert(flags);
        let limit = flags.map(|flags| GlobalValueData::Load {
            base: vmctx,
            offset: (layout::home(home) as i32).into(),
            global_type: types::I64,
            flags,
        });
        if let Ok(limit) = limit {
            self.func.stack_limit = Some(self.func.create_global_value(limit));
        }
    }

    fn block_params(&mut self, at: usize) {
        let mut params = Vec::new();
        if self.graph.is_header[at] {
            params.push(Param::Tick);
        }
        for _ in 0..self.rng.usize(..3) {
            params.push(match self.rng.u8(..4) {
                0 | 1 => Param::Data,
                2 if !self.slots.is_empty() => {
                    Param::Pointer(self.slots[self.rng.usize(..self.slots.len())].home)
                }
                _ => Param::Pointer(Home::Shared(self.rng.usize(..HOMES))),
            });
        }
        for _ in &params {
            self.func
                .dfg
                .append_block_param(self.blocks[at], types::I64);
        }
        self.params[at] = params;
    }

    fn region(&self, id: u32) -> Option<cranelift_codegen::ir::AliasRegion> {
        self.func.dfg.alias_regions.get(id)
    }
}

// Control flow.
impl Body<'_> {
    fn fill(&mut self) {
        let mut pools: Vec<Pool> = vec![Pool::default(); self.blocks.len()];
        for at in self.graph.order.clone() {
            self.block = at;
            self.pool = self.graph.idom[at].map_or_else(Pool::default, |idom| pools[idom].clone());
            self.enter(at);
            let count = match self.rng.u8(..4) {
                0 => self.rng.usize(..3),
                _ => self.rng.usize(2..10),
            };
            for _ in 0..count {
                self.statement();
            }
            self.pay_debts();
            self.leave(at);
            pools[at] = core::mem::take(&mut self.pool);
        }
    }

    fn ins(&mut self) -> FuncCursor<'_> {
        let block = self.blocks[self.block];
        FuncCursor::new(&mut self.func).at_bottom(block)
    }

    fn enter(&mut self, at: usize) {
        let block = self.blocks[at];
        if at == 0 {
            self.enter_function(block);
            return;
        }
        let values = self.func.dfg.block_params(block).to_vec();
        for (param, value) in self.params[at].clone().into_iter().zip(values) {
            match param {
                Param::Tick => self.pool.ticks.push(value),
                Param::Data => self.pool.data.push(value),
                Param::Pointer(home) => self.pool.pointers.push(Pointer {
                    value,
                    home,
                    low: 0,
                    high: self.param_high(home),
                    at: None,
                }),
            }
        }
    }

    fn param_high(&self, home: Home) -> i64 {
        match home {
            Home::Secret(slot) => self.slots[slot].size.min(PARAM_HIGH),
            _ => PARAM_HIGH,
        }
    }

    fn enter_function(&mut self, block: Block) {
        let params: Vec<Value> = (0..4)
            .map(|_| self.func.dfg.append_block_param(block, types::I64))
            .collect();
        let (low, high) = (0, HOME_BYTES as i64);
        self.pool.pointers.push(Pointer {
            value: params[0],
            home: Home::Shared(0),
            low,
            high,
            at: None,
        });
        for (value, home) in params[1..3].iter().zip(self.plan.pointers[self.index]) {
            self.pool.pointers.push(Pointer {
                value: *value,
                home: Home::Shared(home),
                low: 0,
                high: if self.index == 0 { REACH } else { PARAM_HIGH },
                at: None,
            });
        }
        self.pool.data.push(params[3]);
    }

    fn vmctx(&self) -> Value {
        self.func.dfg.block_params(self.blocks[0])[0]
    }

    /// The arguments of an edge to `to`.
    fn args(&mut self, to: usize, results: &[BlockArg]) -> Vec<BlockArg> {
        let params = self.params[to].clone();
        let goes_back = to <= self.block;
        let mut args = Vec::new();
        for param in params {
            let arg = match param {
                Param::Tick => self.tick(goes_back).into(),
                Param::Data if !results.is_empty() && self.rng.bool() => {
                    results[self.rng.usize(..results.len())]
                }
                Param::Data => self.data().into(),
                Param::Pointer(home) => {
                    let high = self.param_high(home);
                    self.pointer_to(home, high).value.into()
                }
            };
            args.push(arg);
        }
        args
    }

    fn tick(&mut self, goes_back: bool) -> Value {
        match self.pool.ticks.last() {
            Some(tick) if goes_back => {
                let tick = *tick;
                let one = self.ins().ins().iconst(types::I64, 1);
                self.ins().ins().iadd(tick, one)
            }
            _ => self.ins().ins().iconst(types::I64, 0),
        }
    }

    fn call_to(&mut self, to: usize, results: &[BlockArg]) -> BlockCall {
        let args = self.args(to, results);
        let block = self.blocks[to];
        self.func.dfg.block_call(block, &args)
    }

    fn leave(&mut self, at: usize) {
        match self.graph.exits[at].clone() {
            Exit::Jump(to) => {
                let (block, args) = (self.blocks[to], self.args(to, &[]));
                self.ins().ins().jump(block, &args);
            }
            Exit::Branch(a, b) => {
                let condition = self.condition();
                self.branch(condition, a, b);
            }
            Exit::Loop(back, on) => {
                let condition = match self.pool.ticks.last().copied() {
                    Some(tick) => {
                        let rounds = self.rng.i64(1..4);
                        let rounds = self.ins().ins().iconst(types::I64, rounds);
                        self.ins().ins().icmp(IntCC::UnsignedLessThan, tick, rounds)
                    }
                    None => self.condition(),
                };
                self.branch(condition, back, on);
            }
            Exit::Table(all) => self.table(&all),
            Exit::Try(normal, handler) => self.try_call(normal, handler),
            Exit::Return => {
                let value = self.data();
                self.ins().ins().return_(&[value]);
            }
            Exit::TailCall => {
                let callee = self.callee();
                let args = self.call_args(callee, true);
                let callee = self.callees[callee];
                self.ins().ins().return_call(callee, &args);
            }
            Exit::Trap => {
                let code = self.trap_code();
                self.ins().ins().trap(code);
            }
        }
    }

    fn branch(&mut self, condition: Value, a: usize, b: usize) {
        let (x, y) = (self.args(a, &[]), self.args(b, &[]));
        let (a, b) = (self.blocks[a], self.blocks[b]);
        self.ins().ins().brif(condition, a, &x, b, &y);
    }

    fn table(&mut self, all: &[usize]) {
        let calls: Vec<BlockCall> = all.iter().map(|to| self.call_to(*to, &[])).collect();
        let index = self.data();
        let four = self.ins().ins().iconst(types::I64, 3);
        let index = self.ins().ins().band(index, four);
        let index = self.ins().ins().ireduce(types::I32, index);
        if let Some((default, entries)) = calls.split_last() {
            let table = JumpTableData::new(*default, entries);
            let table = self.func.create_jump_table(table);
            self.ins().ins().br_table(index, table);
        }
    }

    fn try_call(&mut self, normal: usize, handler: usize) {
        let callee = self.callee();
        let args = self.call_args(callee, false);
        let normal = self.call_to(normal, &[BlockArg::TryCallRet(0)]);
        let thrown = [BlockArg::TryCallExn(0), BlockArg::TryCallExn(1)];
        let handler = self.call_to(handler, &thrown);
        let item = match self.rng.u8(..3) {
            0 => ExceptionTableItem::Tag(ExceptionTag::from_u32(self.rng.u32(..3)), handler),
            _ => ExceptionTableItem::Default(handler),
        };
        let table = ExceptionTableData::new(self.sig, normal, [item]);
        let table = self.func.dfg.exception_tables.push(table);
        let callee = self.callees[callee];
        let inst = self.ins().ins().try_call(callee, &args, table);
        self.annotate_call(inst);
    }
}

// Values.
impl Body<'_> {
    /// One of `len` things, the last ones more often.
    fn pick(&mut self, len: usize) -> usize {
        if self.rng.bool() {
            len - 1 - self.rng.usize(..len.min(4))
        } else {
            self.rng.usize(..len)
        }
    }

    fn data(&mut self) -> Value {
        if self.pool.data.is_empty() || self.rng.u8(..5) == 0 {
            return self.constant();
        }
        let at = self.pick(self.pool.data.len());
        self.pool.data[at]
    }

    fn constant(&mut self) -> Value {
        let constant = match self.rng.u8(..4) {
            0 => self.rng.i64(..),
            1 => 0,
            _ => self.rng.i64(-2..8),
        };
        let value = self.ins().ins().iconst(types::I64, constant);
        self.pool.data.push(value);
        value
    }

    fn condition(&mut self) -> Value {
        match self.rng.u8(..8) {
            0 => self.data(),
            1 => self.compare_pointers(),
            2 => {
                let (x, y) = (self.data(), self.data());
                self.ins().ins().icmp(IntCC::Equal, x, y)
            }
            _ => {
                let x = self.data();
                let limit = self.rng.i64(0..6);
                let limit = self.ins().ins().iconst(types::I64, limit);
                self.ins().ins().icmp(IntCC::UnsignedLessThan, x, limit)
            }
        }
    }

    fn compare_pointers(&mut self) -> Value {
        let x = self.pointer().value;
        let y = if self.rng.bool() && !self.pool.wild.is_empty() {
            let at = self.pick(self.pool.wild.len());
            self.pool.wild[at]
        } else {
            self.pointer().value
        };
        let condition = match self.rng.u8(..5) {
            0 | 1 => IntCC::Equal,
            2 | 3 => IntCC::NotEqual,
            // Which slot lies lower is the machine's choice, and fixed.
            _ => IntCC::UnsignedLessThan,
        };
        self.ins().ins().icmp(condition, x, y)
    }

    /// A value of type `ty`.
    fn value_of(&mut self, ty: Type) -> Value {
        if ty == types::I64 {
            return self.data();
        }
        let known: Vec<Value> = self
            .pool
            .typed
            .iter()
            .copied()
            .filter(|value| self.func.dfg.value_type(*value) == ty)
            .collect();
        if !known.is_empty() && self.rng.u8(..3) != 0 {
            return known[self.pick(known.len())];
        }
        let data = self.data();
        let little = MemFlagsData::new().with_endianness(Endianness::Little);
        let value = if ty.is_int() && ty.bits() < 64 {
            self.ins().ins().ireduce(ty, data)
        } else if ty == types::F64 {
            self.ins().ins().bitcast(ty, MemFlagsData::new(), data)
        } else if ty == types::F32 {
            let half = self.ins().ins().ireduce(types::I32, data);
            self.ins().ins().bitcast(ty, MemFlagsData::new(), half)
        } else {
            let high = self.data();
            let both = self.ins().ins().iconcat(data, high);
            if ty == types::I128 {
                both
            } else {
                self.ins().ins().bitcast(ty, little, both)
            }
        };
        self.pool.typed.push(value);
        value
    }

    /// Makes a loaded value available.
    fn found(&mut self, value: Value) {
        if self.func.dfg.value_type(value) == types::I64 {
            self.pool.data.push(value);
            self.pool.wild.push(value);
        } else {
            self.pool.typed.push(value);
            if self.func.dfg.value_type(value).is_int() && self.rng.bool() {
                self.widen(value);
            }
        }
    }

    fn widen(&mut self, value: Value) {
        let ty = self.func.dfg.value_type(value);
        let wide = if ty == types::I128 {
            self.ins().ins().isplit(value).1
        } else if self.rng.bool() {
            self.ins().ins().uextend(types::I64, value)
        } else {
            self.ins().ins().sextend(types::I64, value)
        };
        self.pool.data.push(wide);
    }

    fn trap_code(&mut self) -> TrapCode {
        TrapCode::unwrap_user(self.rng.u8(1..4))
    }
}

// Pointers.
impl Body<'_> {
    /// Some pointer, old or new.
    fn pointer(&mut self) -> Pointer {
        if self.rng.u8(..4) == 0 {
            return self.new_pointer();
        }
        let at = self.pick(self.pool.pointers.len());
        self.pool.pointers[at]
    }

    fn new_pointer(&mut self) -> Pointer {
        let pointer = match self.rng.u8(..10) {
            0..4 if !self.slots.is_empty() => {
                let slot = self.rng.usize(..self.slots.len());
                self.slot_pointer(slot)
            }
            4 => {
                let base = self.pool.pointers[self.rng.usize(..self.pool.pointers.len())];
                self.moved(base)
            }
            5 => {
                let base = self.pool.pointers[self.rng.usize(..self.pool.pointers.len())];
                self.masked(base)
            }
            6 => self.selected(),
            7 => self.loaded(),
            8 if self.plan.asynchronous => self.asynchronous(),
            _ => {
                let home = self.rng.usize(..HOMES);
                self.home_pointer(home)
            }
        };
        self.pool.pointers.push(pointer);
        pointer
    }

    fn slot_pointer(&mut self, at: usize) -> Pointer {
        let Slot {
            slot, size, home, ..
        } = self.slots[at];
        let by = 4 * self.rng.i64(0..=size / 4);
        let value = self.ins().ins().stack_addr(types::I64, slot, by as i32);
        Pointer {
            value,
            home,
            low: -by,
            high: size - by,
            at: Some(by),
        }
    }

    fn home_pointer(&mut self, home: usize) -> Pointer {
        let start = 8 * self.rng.i64(0..=6);
        let value = self.past_vmctx(layout::home(home) as i64 + start);
        Pointer {
            value,
            home: Home::Shared(home),
            low: -start,
            high: HOME_BYTES as i64 - start,
            at: None,
        }
    }

    fn past_vmctx(&mut self, by: i64) -> Value {
        let vmctx = self.vmctx();
        self.plus(vmctx, by)
    }

    /// `base + by`, in one of its spellings.
    fn plus(&mut self, base: Value, by: i64) -> Value {
        if self.rng.u8(..3) == 0 {
            let by = self.ins().ins().iconst(types::I64, by.wrapping_neg());
            return self.ins().ins().isub(base, by);
        }
        let by = self.ins().ins().iconst(types::I64, by);
        if self.rng.bool() {
            self.ins().ins().iadd(base, by)
        } else {
            self.ins().ins().iadd(by, base)
        }
    }

    fn moved(&mut self, base: Pointer) -> Pointer {
        let by = self.rng.i64(base.low..=base.high.max(base.low));
        let by = if self.rng.u8(..4) == 0 { by } else { by & !7 };
        let by = by.clamp(base.low, base.high);
        Pointer {
            value: self.plus(base.value, by),
            home: base.home,
            low: base.low - by,
            high: base.high - by,
            at: base.at.map(|at| at + by),
        }
    }

    /// A pointer that depends on data.
    fn masked(&mut self, base: Pointer) -> Pointer {
        let mask = match base.high {
            ..16 => return base,
            16..32 => 8,
            32..64 => [8, 16, 24][self.rng.usize(..3)],
            _ => [8, 24, 56, 4][self.rng.usize(..4)],
        };
        let data = self.data();
        let mask_value = self.ins().ins().iconst(types::I64, mask);
        let by = self.ins().ins().band(data, mask_value);
        Pointer {
            value: self.ins().ins().iadd(base.value, by),
            home: base.home,
            low: base.low,
            high: base.high - mask,
            at: None,
        }
    }

    fn selected(&mut self) -> Pointer {
        let at = self.pick(self.pool.pointers.len());
        let x = self.pool.pointers[at];
        let same = self.pool.pointers.iter();
        let same: Vec<Pointer> = same.filter(|y| y.home == x.home).copied().collect();
        let y = same[self.pick(same.len())];
        let condition = self.data();
        Pointer {
            value: self.ins().ins().select(condition, x.value, y.value),
            home: x.home,
            low: x.low.max(y.low),
            high: x.high.min(y.high),
            at: None,
        }
    }

    /// A pointer that the read-only memory holds.
    fn loaded(&mut self) -> Pointer {
        let (offset, home) = layout::POINTER_CELLS[self.rng.usize(..2)];
        let value = self.read_only_load(types::I64, offset);
        Pointer {
            value,
            home: Home::Shared(home),
            low: -16,
            high: HOME_BYTES as i64 - 16,
            at: None,
        }
    }

    fn read_only_load(&mut self, ty: Type, offset: i32) -> Value {
        let copies = layout::READ_ONLY_OFFSETS;
        let base = copies[self.rng.usize(..2)] as i64;
        let known = self.pool.pointers.iter();
        let known: Vec<Pointer> = known
            .filter(|pointer| pointer.home == Home::ReadOnly)
            .copied()
            .collect();
        let pointer = if !known.is_empty() && self.rng.bool() {
            known[self.rng.usize(..known.len())].value
        } else {
            let value = self.past_vmctx(base);
            self.pool.pointers.push(Pointer {
                value,
                home: Home::ReadOnly,
                low: 0,
                high: 0,
                at: None,
            });
            value
        };
        let mut flags = MemFlagsData::trusted().with_readonly();
        flags.set_alias_region(self.region(layout::READ_ONLY));
        if self.rng.bool() {
            flags.set_can_move();
        }
        self.ins().ins().load(ty, flags, pointer, offset)
    }

    fn asynchronous(&mut self) -> Pointer {
        Pointer {
            value: self.past_vmctx(layout::ASYNCHRONOUS_OFFSET as i64),
            home: Home::Asynchronous,
            low: 0,
            high: 32,
            at: None,
        }
    }

    /// A pointer of `home` with at least `high` bytes.
    fn pointer_to(&mut self, home: Home, high: i64) -> Pointer {
        let known = self.pool.pointers.iter();
        let known: Vec<Pointer> = known
            .filter(|pointer| pointer.home == home && pointer.low <= 0 && pointer.high >= high)
            .copied()
            .collect();
        if !known.is_empty() && self.rng.u8(..4) != 0 {
            return known[self.pick(known.len())];
        }
        let slots: Vec<usize> = (0..self.slots.len())
            .filter(|slot| self.slots[*slot].home == home && self.slots[*slot].size >= high)
            .collect();
        let pointer = match home {
            Home::Shared(shared) if slots.is_empty() || self.rng.bool() => {
                let start = 8 * self.rng.u64(..=MAX_START / 8);
                let start = start as i64;
                Pointer {
                    value: self.past_vmctx(layout::home(shared) as i64 + start),
                    home,
                    low: -start,
                    high: HOME_BYTES as i64 - start,
                    at: None,
                }
            }
            _ => {
                let at = slots[self.rng.usize(..slots.len())];
                let Slot { slot, size, .. } = self.slots[at];
                let by = if self.rng.bool() { 0 } else { size - high };
                Pointer {
                    value: self.ins().ins().stack_addr(types::I64, slot, by as i32),
                    home,
                    low: -by,
                    high: size - by,
                    at: Some(by),
                }
            }
        };
        self.pool.pointers.push(pointer);
        pointer
    }

    /// A pointer that everybody may know.
    fn public_pointer(&mut self) -> Value {
        for _ in 0..8 {
            let pointer = self.pointer();
            if matches!(pointer.home, Home::Shared(_)) {
                return pointer.value;
            }
        }
        self.vmctx()
    }
}

// Statements.
impl Body<'_> {
    fn statement(&mut self) {
        match self.rng.u8(..100) {
            0..22 => self.load(),
            22..50 => self.store(),
            50..55 => self.publish(),
            55..62 => self.borrow(),
            62..66 => {
                self.new_pointer();
            }
            66..74 => self.compute(),
            74..83 => self.call(),
            83..86 => self.wild_access(),
            86 | 87 => self.point(),
            88 => self.atomic(),
            89 | 90 => self.trap_if(),
            91 | 92 => {
                let offset = 8 * self.rng.i32(3..8);
                let value = self.read_only_load(types::I64, offset);
                self.pool.data.push(value);
            }
            93 => self.call_indirect(),
            94 => self.pay_debts(),
            _ => {
                let compared = self.compare_pointers();
                let (x, y) = (self.data(), self.data());
                let value = self.ins().ins().select(compared, x, y);
                self.pool.data.push(value);
            }
        }
    }

    /// Where to access memory: often where it has been accessed before.
    fn spot(&mut self) -> Option<Spot> {
        if !self.pool.spots.is_empty() && self.rng.u8(..5) < 3 {
            let at = self.pick(self.pool.spots.len());
            let mut spot = self.pool.spots[at];
            if self.rng.u8(..4) == 0 {
                spot.ty = self.access_type();
                spot.offset += [0, 0, 4, -4, 1][self.rng.usize(..5)];
            }
            if fits(&spot) {
                return Some(spot);
            }
        }
        let pointer = self.pointer();
        let ty = self.access_type();
        let room = pointer.high - i64::from(ty.bytes());
        if pointer.home == Home::ReadOnly || room < pointer.low {
            return None;
        }
        let offset = self.rng.i64(pointer.low..=room);
        let offset = if self.rng.u8(..6) == 0 {
            offset
        } else {
            offset & !7
        };
        let spot = Spot {
            pointer,
            offset: offset.clamp(pointer.low, room),
            ty,
        };
        self.pool.spots.push(spot);
        Some(spot)
    }

    fn access_type(&mut self) -> Type {
        match self.rng.u8(..20) {
            0..11 => types::I64,
            11..14 => types::I32,
            14 => types::I16,
            15 | 16 => types::I8,
            17 => types::F64,
            18 => types::F32,
            _ => [types::I128, types::I64X2, types::I8X16][self.rng.usize(..3)],
        }
    }

    /// The region of the word that a spot in a secret slot lies in.
    fn region_of_word(&self, spot: &Spot) -> Option<u32> {
        let Home::Secret(slot) = spot.pointer.home else {
            return None;
        };
        let start = spot.pointer.at? + spot.offset;
        let last = start + i64::from(spot.ty.bytes()) - 1;
        (start / 8 == last / 8).then_some(1 + (start / 8 + slot as i64) as u32 % 3)
    }

    fn spot_flags(&mut self, spot: &Spot) -> MemFlagsData {
        let flags = self.flags(spot.pointer.home);
        let word = self.region_of_word(spot).filter(|_| self.rng.u8(..4) != 0);
        match word.and_then(|id| self.region(id)) {
            Some(region) => flags.with_alias_region(Some(region)),
            None => flags,
        }
    }

    fn flags(&mut self, home: Home) -> MemFlagsData {
        let mut flags = MemFlagsData::new().with_notrap();
        if self.rng.u8(..8) == 0 {
            flags = flags.with_trap_code(Some(self.trap_code()));
        }
        match self.rng.u8(..14) {
            0 => flags.set_endianness(Endianness::Big),
            1 => flags.set_endianness(Endianness::Little),
            _ => {}
        }
        let id = match home {
            Home::Asynchronous => Some(layout::ASYNCHRONOUS),
            Home::Shared(0) | Home::Secret(_) => None,
            Home::Shared(_) if self.rng.u8(..4) == 0 => None,
            Home::Shared(1) if self.plan.joined && self.rng.bool() => Some(layout::JOINED),
            Home::Shared(home) => Some(home as u32),
            Home::ReadOnly => Some(layout::READ_ONLY),
        };
        let region = id.and_then(|id| self.region(id));
        flags.with_alias_region(region)
    }

    fn load(&mut self) {
        if let Some(spot) = self.spot() {
            let value = self.load_from(spot);
            self.found(value);
        }
    }

    fn load_from(&mut self, spot: Spot) -> Value {
        let flags = self.spot_flags(&spot);
        let (address, offset) = (spot.pointer.value, spot.offset as i32);
        let narrow = self.rng.u8(..4) == 0;
        let sign = self.rng.bool();
        let mut cursor = self.ins();
        let ins = cursor.ins();
        match spot.ty {
            types::I8 if narrow && sign => ins.sload8(types::I64, flags, address, offset),
            types::I8 if narrow => ins.uload8(types::I64, flags, address, offset),
            types::I16 if narrow && sign => ins.sload16(types::I64, flags, address, offset),
            types::I16 if narrow => ins.uload16(types::I64, flags, address, offset),
            types::I32 if narrow && sign => ins.sload32(flags, address, offset),
            types::I32 if narrow => ins.uload32(flags, address, offset),
            ty => ins.load(ty, flags, address, offset),
        }
    }

    fn store(&mut self) {
        if let Some(spot) = self.spot() {
            let narrow = self.rng.u8(..4) == 0 && spot.ty.is_int() && spot.ty.bits() < 64;
            let value = if narrow {
                self.data()
            } else {
                self.value_of(spot.ty)
            };
            self.store_to(spot, value);
        }
    }

    /// Stores `value`, or the low bits of it that `spot` has room for.
    fn store_to(&mut self, spot: Spot, value: Value) {
        let flags = self.spot_flags(&spot);
        let (address, offset) = (spot.pointer.value, spot.offset as i32);
        let ty = self.func.dfg.value_type(value);
        let mut cursor = self.ins();
        let ins = cursor.ins();
        match spot.ty.bytes() {
            _ if ty == spot.ty => ins.store(flags, value, address, offset),
            1 => ins.istore8(flags, value, address, offset),
            2 => ins.istore16(flags, value, address, offset),
            _ => ins.istore32(flags, value, address, offset),
        };
    }

    /// Stores the address of something.
    fn publish(&mut self) {
        let value = self.public_pointer();
        if let Some(mut spot) = self.spot() {
            spot.ty = types::I64;
            if fits(&spot) && spot.pointer.home != Home::Asynchronous {
                self.store_to(spot, value);
            }
        }
    }

    /// Replaces what some memory holds, and remembers to put it back.
    fn borrow(&mut self) {
        let Some(mut spot) = self.spot() else {
            return;
        };
        spot.ty = types::I64;
        if !fits(&spot) || spot.pointer.home == Home::Asynchronous {
            return;
        }
        let old = self.load_from(spot);
        self.pool.wild.push(old);
        self.debts.push((spot, old));
        let new = match self.rng.bool() {
            true => self.public_pointer(),
            false => self.data(),
        };
        self.store_to(spot, new);
        if self.rng.bool() {
            self.call();
        }
    }

    fn pay_debts(&mut self) {
        while let Some((spot, old)) = self.debts.pop() {
            self.store_to(spot, old);
        }
    }

    fn compute(&mut self) {
        let (x, y) = (self.data(), self.data());
        let opcode = self.rng.u8(..8);
        let mut cursor = self.ins();
        let ins = cursor.ins();
        let value = match opcode {
            0 | 1 => ins.iadd(x, y),
            2 => ins.isub(x, y),
            3 => ins.bxor(x, y),
            4 => ins.band(x, y),
            5 => ins.ushr(x, y),
            6 => ins.ishl(x, y),
            _ => ins.select(x, y, x),
        };
        self.pool.data.push(value);
    }

    /// Follows a word that may be a pointer.
    fn wild_access(&mut self) {
        if self.pool.wild.is_empty() {
            return;
        }
        let at = self.pick(self.pool.wild.len());
        let address = self.pool.wild[at];
        let flags = MemFlagsData::new().with_trap_code(Some(self.trap_code()));
        let offset = 8 * self.rng.i32(0..2);
        if self.rng.bool() {
            let value = self.ins().ins().load(types::I64, flags, address, offset);
            self.found(value);
        } else {
            let value = self.data();
            self.ins().ins().store(flags, value, address, offset);
        }
    }

    fn point(&mut self) {
        match self.rng.u8(..3) {
            0 => {
                self.ins().ins().fence();
            }
            1 => {
                self.ins().ins().debugtrap();
            }
            _ => {
                let inst = self.ins().ins().sequence_point();
                self.tag(inst);
            }
        }
    }

    fn tag(&mut self, inst: Inst) {
        let tagged = self.slots.iter().filter(|slot| slot.tagged);
        let tags: Vec<DebugTag> = tagged.map(|slot| DebugTag::StackSlot(slot.slot)).collect();
        if !tags.is_empty() {
            self.func.debug_tags.set(inst, tags);
        }
    }

    fn atomic(&mut self) {
        let pointer = self.pointer();
        if pointer.low > 0 || pointer.high < 8 || !matches!(pointer.home, Home::Shared(_)) {
            return;
        }
        let flags = self.flags(pointer.home);
        let (value, other) = (self.data(), self.data());
        let address = pointer.value;
        let which = self.rng.u8(..4);
        let mut cursor = self.ins();
        let ins = cursor.ins();
        let result = match which {
            0 => ins.atomic_load(types::I64, flags, address),
            1 => {
                ins.atomic_store(flags, value, address);
                return;
            }
            2 => ins.atomic_rmw(types::I64, flags, AtomicRmwOp::Add, address, value),
            _ => ins.atomic_cas(flags, address, other, value),
        };
        self.pool.data.push(result);
    }

    fn trap_if(&mut self) {
        let code = self.trap_code();
        match self.rng.u8(..3) {
            0 => {
                let condition = self.data();
                self.ins().ins().trapnz(condition, code);
            }
            1 => {
                let (x, y) = (self.data(), self.data());
                let value = self.ins().ins().udiv(x, y);
                self.pool.data.push(value);
            }
            _ => {
                let x = self.data();
                let limit = self.ins().ins().iconst(types::I64, 5);
                let small = self.ins().ins().icmp(IntCC::NotEqual, x, limit);
                self.ins().ins().trapz(small, code);
            }
        }
    }
}

// Calls.
impl Body<'_> {
    /// The position of some callee: mostly the host's, or a later function.
    fn callee(&mut self) -> usize {
        let functions = self.plan.functions;
        let later = functions - self.index - 1;
        match self.rng.u8(..20) {
            0..10 if later > 0 => self.index + 1 + self.rng.usize(..later),
            // Nobody calls the first one: its parameters reach further.
            10 if functions > 1 => self.rng.usize(1..functions),
            _ => functions + self.rng.usize(..HOST_FUNCTIONS as usize),
        }
    }

    fn call_args(&mut self, callee: usize, tail: bool) -> Vec<Value> {
        let mut args = vec![self.vmctx()];
        let homes = self.plan.pointers.get(callee).copied();
        for at in 0..2 {
            let arg = match homes {
                Some(homes) if tail => {
                    // The frame is gone when the callee runs.
                    let start = 8 * self.rng.i64(0..5);
                    self.past_vmctx(layout::home(homes[at]) as i64 + start)
                }
                Some(homes) => self.pointer_to(Home::Shared(homes[at]), PARAM_HIGH).value,
                None if self.rng.u8(..3) == 0 && !tail => self.public_pointer(),
                None => self.data(),
            };
            args.push(arg);
        }
        args.push(self.data());
        args
    }

    fn call(&mut self) {
        let callee = self.callee();
        let args = self.call_args(callee, false);
        let callee = self.callees[callee];
        let inst = if self.rng.u8(..16) == 0 {
            let address = self.ins().ins().func_addr(types::I64, callee);
            let sig = self.sig;
            self.ins().ins().call_indirect(sig, address, &args)
        } else {
            self.ins().ins().call(callee, &args)
        };
        self.finish_call(inst);
    }

    /// Calls the host through the read-only memory.
    fn call_indirect(&mut self) {
        let address = self.read_only_load(types::I64, layout::FUNCTION_CELL);
        let args = self.call_args(usize::MAX, false);
        let sig = self.sig;
        let inst = self.ins().ins().call_indirect(sig, address, &args);
        self.finish_call(inst);
    }

    fn finish_call(&mut self, inst: Inst) {
        self.annotate_call(inst);
        let result = self.func.dfg.first_result(inst);
        self.pool.data.push(result);
        self.pool.wild.push(result);
    }

    fn annotate_call(&mut self, inst: Inst) {
        self.tag(inst);
        let mapped = self.slots.iter().filter(|slot| slot.mapped);
        let mapped: Vec<StackSlot> = mapped.map(|slot| slot.slot).collect();
        for slot in mapped {
            let entry = UserStackMapEntry {
                ty: types::I64,
                slot,
                offset: 0,
            };
            self.func.dfg.append_user_stack_map_entry(inst, entry);
        }
    }
}

fn fits(spot: &Spot) -> bool {
    spot.offset >= spot.pointer.low && spot.offset + i64::from(spot.ty.bytes()) <= spot.pointer.high
}
