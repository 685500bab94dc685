//! What the interpreter is made of.

use super::Counts;
use crate::arith;
use crate::memory::Memory;
use crate::world::World;
use cranelift_codegen::ir::{Block, BlockArg, BlockCall, Endianness, Function, Inst, Value};
use cranelift_memopt::CalleeName;
use std::collections::BTreeSet;

/// How a call comes back.
pub(super) enum Outcome {
    Return(Vec<u128>),
    Throw(u32, u64),
}

#[derive(Clone)]
pub(super) enum Callee {
    Function(usize),
    Host(CalleeName),
}

/// What a call passes.
pub(super) struct Arguments {
    pub(super) values: Vec<u128>,
    /// The bytes of records that are passed by value, by position. The callee gets
    /// the address of a copy of its own.
    pub(super) records: Vec<(usize, Vec<u8>)>,
}

/// What an instruction leads to.
pub(super) enum Next {
    Step,
    Goto(Block, Vec<u128>),
    Leave(Outcome),
    TailCall(Callee, Arguments),
}

pub(super) struct Machine<'a> {
    pub(super) functions: &'a [Function],
    pub(super) hosts: &'a [CalleeName],
    pub(super) memory: Memory,
    pub(super) world: World<'a>,
    /// Is there a region whose contents do not survive an exception?
    pub(super) loses_regions: bool,
    pub(super) order: Endianness,
    pub(super) fuel: u64,
    pub(super) counts: Counts,
    pub(super) lost: BTreeSet<(u32, u32)>,
    /// Was it asked which of two slots lies first?
    pub(super) orders_slots: bool,
    /// Is the outermost frame still that of the entry?
    pub(super) is_in_entry: bool,
}

/// A function that runs.
pub(super) struct Activation<'f> {
    pub(super) func: &'f Function,
    pub(super) values: Vec<u128>,
}

impl Activation<'_> {
    pub(super) fn get(&self, value: Value) -> u128 {
        self.values[self.func.dfg.resolve_aliases(value).as_u32() as usize]
    }

    pub(super) fn bits(&self, value: Value) -> u32 {
        self.func.dfg.value_type(value).bits()
    }

    pub(super) fn set(&mut self, value: Value, bits: u128) {
        let width = self.bits(value);
        self.values[value.as_u32() as usize] = arith::mask(bits, width);
    }

    pub(super) fn set_result(&mut self, inst: Inst, bits: u128) {
        self.set(self.func.dfg.first_result(inst), bits);
    }

    pub(super) fn all(&self, values: &[Value]) -> Vec<u128> {
        values.iter().map(|value| self.get(*value)).collect()
    }

    /// Where a branch leads, and what it passes. `results` are those of the
    /// call that branches, or the payload of its exception.
    pub(super) fn destination(&self, call: &BlockCall, results: &[u128]) -> Next {
        let lists = &self.func.dfg.value_lists;
        let args = call.args(lists).map(|arg| match arg {
            BlockArg::Value(value) => self.get(value),
            BlockArg::TryCallRet(at) | BlockArg::TryCallExn(at) => results[at as usize],
        });
        Next::Goto(call.block(lists), args.collect())
    }
}
