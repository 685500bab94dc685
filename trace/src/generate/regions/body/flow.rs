//! Blocks, their parameters, and how they end.

use super::super::REACH;
use super::super::graph::Exit;
use super::{Body, Home, PARAM_HIGH, Param, Pointer, Pool};
use crate::layout::HOME_BYTES;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, ExceptionTableData, ExceptionTableItem, ExceptionTag, InstBuilder,
    JumpTableData, Value, types,
};

impl Body<'_> {
    pub(super) fn fill(&mut self) {
        let mut pools: Vec<Pool> = vec![Pool::default(); self.blocks.len()];
        for at in self.graph.order.clone() {
            self.block = at;
            self.current = None;
            self.pool = self.graph.idom[at].map_or_else(Pool::default, |idom| pools[idom].clone());
            self.enter(at);
            let count = match self.rng.u8(..4) {
                // Of a function that does little, much is known.
                _ if self.style.lends => self.rng.usize(1..3),
                _ if self.is_small() => self.rng.usize(..4),
                _ if self.style.tagged && self.rng.bool() => self.rng.usize(..3),
                0 => self.rng.usize(..3),
                _ => self.rng.usize(2..10),
            };
            for _ in 0..count {
                match self.style.lends {
                    true => self.lend(),
                    false => self.statement(),
                }
            }
            if self.style.lends && matches!(self.graph.exits[at], Exit::Return) {
                self.debts.append(&mut self.pool.owed);
            } else if self.rng.bool() {
                self.pool.owed.append(&mut self.debts);
            }
            self.pay_debts();
            self.leave(at);
            pools[at] = core::mem::take(&mut self.pool);
        }
    }

    /// Is this a function whose callers are of interest, and not it itself?
    pub(super) fn is_small(&self) -> bool {
        self.plan.small_callees && self.index > 0
    }

    pub(super) fn ins(&mut self) -> FuncCursor<'_> {
        let block = self.current.unwrap_or(self.blocks[self.block]);
        FuncCursor::new(&mut self.func).at_bottom(block)
    }

    pub(super) fn enter(&mut self, at: usize) {
        let block = self.blocks[at];
        if at == 0 {
            self.enter_function(block);
            return;
        }
        self.enter_from(at);
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
        if self.style.traps && self.rng.u8(..4) == 0 {
            self.guess();
        }
    }

    /// Accesses, first of all, what was accessed last before the branch that
    /// leads here.
    fn enter_from(&mut self, at: usize) {
        let Some(idom) = self.graph.idom[at] else {
            return;
        };
        let Some(spot) = self.pool.spots.last().copied() else {
            return;
        };
        match self.graph.exits[idom] {
            Exit::Try(..) if self.rng.bool() => {
                let value = self.load_from(spot);
                self.found(value);
            }
            Exit::Loop(_, on) if on == at && self.rng.bool() => {
                let value = self.value_of(spot.ty);
                self.store_to(spot, value);
            }
            _ => {}
        }
    }

    pub(super) fn param_high(&self, home: Home) -> i64 {
        match home {
            Home::Secret(slot) => self.slots[slot].size.min(PARAM_HIGH),
            _ => PARAM_HIGH,
        }
    }

    pub(super) fn enter_function(&mut self, block: Block) {
        let params: Vec<Value> = (0..4)
            .map(|_| self.func.dfg.append_block_param(block, types::I64))
            .collect();
        if !self.style.tagged {
            self.pool.pointers.push(Pointer {
                value: params[0],
                home: Home::Shared(0),
                low: 0,
                high: HOME_BYTES as i64,
                at: None,
            });
        }
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
        match self.plan.outsider {
            Some(outsider) if self.index == 0 => self.call_outsider(outsider),
            Some(outsider) if self.index == outsider => self.write_outside(),
            _ => {}
        }
    }

    pub(super) fn vmctx(&self) -> Value {
        self.func.dfg.block_params(self.blocks[0])[0]
    }

    /// The arguments of an edge to `to`.
    pub(super) fn args(&mut self, to: usize, results: &[BlockArg]) -> Vec<BlockArg> {
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

    pub(super) fn tick(&mut self, goes_back: bool) -> Value {
        match self.pool.ticks.last() {
            Some(tick) if goes_back => {
                let tick = *tick;
                let one = self.ins().ins().iconst(types::I64, 1);
                self.ins().ins().iadd(tick, one)
            }
            _ => self.ins().ins().iconst(types::I64, 0),
        }
    }

    pub(super) fn call_to(&mut self, to: usize, results: &[BlockArg]) -> BlockCall {
        let args = self.args(to, results);
        let block = self.blocks[to];
        self.func.dfg.block_call(block, &args)
    }

    pub(super) fn leave(&mut self, at: usize) {
        match self.graph.exits[at].clone() {
            Exit::Jump(to) => {
                let (block, args) = (self.blocks[to], self.args(to, &[]));
                self.ins().ins().jump(block, &args);
            }
            Exit::Branch(a, b)
                if self.style.tagged && self.style.calls && self.rng.u8(..3) == 0 =>
            {
                self.try_call(a, b);
            }
            Exit::Branch(a, b) => {
                let condition = self.condition();
                self.branch(condition, a, b);
            }
            Exit::Loop(back, on) => {
                if self.rng.bool() {
                    self.rolling_store();
                }
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
            Exit::Try(normal, handler) if self.style.calls => self.try_call(normal, handler),
            Exit::Try(normal, handler) => {
                let condition = self.condition();
                self.branch(condition, normal, handler);
            }
            Exit::TailCall if self.style.calls => {
                let callee = self.callee();
                let args = self.call_args(callee, true);
                let callee = self.callees[callee];
                self.ins().ins().return_call(callee, &args);
            }
            Exit::Trap if self.style.traps => {
                let code = self.trap_code();
                self.ins().ins().trap(code);
            }
            Exit::Return | Exit::TailCall | Exit::Trap => {
                let value = self.data();
                self.ins().ins().return_(&[value]);
            }
        }
    }

    pub(super) fn branch(&mut self, condition: Value, a: usize, b: usize) {
        let (x, y) = (self.args(a, &[]), self.args(b, &[]));
        let (a, b) = (self.blocks[a], self.blocks[b]);
        self.ins().ins().brif(condition, a, &x, b, &y);
    }

    pub(super) fn table(&mut self, all: &[usize]) {
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

    pub(super) fn try_call(&mut self, normal: usize, handler: usize) {
        let callee = self.callee();
        if self.rng.bool() {
            self.store();
        }
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
