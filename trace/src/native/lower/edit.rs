//! Adding instructions and blocks to a function.

use super::super::outside::Call;
use super::Surroundings;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    AbiParam, Block, Function, Inst, InstBuilder, MemFlagsData, SigRef, Signature, TrapCode, Value,
    types,
};
use std::collections::BTreeMap;

/// Where an instruction is added.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Before(Inst),
    End(Block),
}

pub(super) struct Lowering<'s, 'a> {
    pub(super) func: Function,
    pub(super) surroundings: &'s mut Surroundings<'a>,
    /// Signatures of calls out of the program, by the number of arguments.
    signatures: BTreeMap<usize, SigRef>,
    /// Leaves the function with something pending.
    unwind: Option<Block>,
    /// Trap with each of these codes.
    traps: BTreeMap<u8, Block>,
    /// Points to the addresses of the slots.
    pub(super) frame: Option<Value>,
}

impl<'s, 'a> Lowering<'s, 'a> {
    pub(super) fn new(func: Function, surroundings: &'s mut Surroundings<'a>) -> Self {
        Self {
            func,
            surroundings,
            signatures: BTreeMap::new(),
            unwind: None,
            traps: BTreeMap::new(),
            frame: None,
        }
    }

    pub(super) fn at(&mut self, place: Place) -> FuncCursor<'_> {
        let cursor = FuncCursor::new(&mut self.func);
        match place {
            Place::Before(inst) => cursor.at_inst(inst),
            Place::End(block) => cursor.at_bottom(block),
        }
    }

    pub(super) fn number(&mut self, place: Place, number: u64) -> Value {
        self.at(place).ins().iconst(types::I64, number as i64)
    }

    /// Calls out of the program.
    pub(super) fn call_out(&mut self, place: Place, what: Call, args: &[Value]) -> Value {
        let signature = self.signature(1 + args.len());
        let callee = self.number(place, what.address());
        let mut all = vec![self.number(place, self.surroundings.address)];
        all.extend(args);
        let call = self.at(place).ins().call_indirect(signature, callee, &all);
        self.func.dfg.first_result(call)
    }

    pub(super) fn signature(&mut self, args: usize) -> SigRef {
        let (func, convention) = (&mut self.func, self.surroundings.convention);
        *self.signatures.entry(args).or_insert_with(|| {
            let mut signature = Signature::new(convention);
            signature.params = vec![AbiParam::new(types::I64); args];
            signature.returns = vec![AbiParam::new(types::I64)];
            func.import_signature(signature)
        })
    }

    /// Loads a word of the header.
    pub(super) fn header(&mut self, place: Place, offset: usize) -> Value {
        let address = self.number(place, self.surroundings.address);
        let flags = MemFlagsData::trusted();
        self.at(place)
            .ins()
            .load(types::I64, flags, address, offset as i32)
    }

    /// Goes to `elsewhere` instead of to `inst` if the condition is not zero.
    pub(super) fn leave_if(&mut self, condition: Value, elsewhere: Block, inst: Inst) {
        let Some(block) = self.func.layout.inst_block(inst) else {
            return;
        };
        let next = self.func.dfg.make_block();
        self.func.layout.split_block(next, inst);
        let mut end = self.at(Place::End(block));
        end.ins().brif(condition, elsewhere, &[], next, &[]);
    }

    pub(super) fn new_block(&mut self) -> Block {
        let block = self.func.dfg.make_block();
        self.func.layout.append_block(block);
        block
    }

    /// The block that leaves the function with something pending.
    pub(super) fn unwind(&mut self) -> Block {
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
    pub(super) fn trap(&mut self, code: TrapCode) -> Block {
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
}
