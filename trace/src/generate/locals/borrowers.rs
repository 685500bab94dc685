//! Functions that are lent aggregates of their callers.
//!
//! They read and write what is behind their pointers, some bytes or all, on one path or on each, compare
//! those, and hand them on, also by a distance, and few of them keep one. Nothing else is done, so that
//! a summary can say it.

use super::super::module::{import, signature};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block, ExtFuncData, ExternalName, FuncRef, Function, InstBuilder, LibCall,
    MemFlagsData, SigRef, Signature, UserExternalName, UserFuncName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use fastrand::Rng;

/// Bytes behind a pointer.
const REACH: i32 = 16;

/// How many of them the function `index` of a module of `functions` may access: to the last one of
/// several, pointers into the middle may be passed.
fn reach(index: usize, functions: usize) -> i32 {
    match index >= 2 && index + 1 == functions {
        true => REACH / 2,
        false => REACH,
    }
}

/// The function `index` of a module of `functions`, which may hand on what it is lent to a later
/// one.
pub(super) fn function(rng: &mut Rng, index: usize, functions: usize) -> Function {
    let name = UserFuncName::user(0, index as u32);
    let mut func = Function::with_name_signature(name, signature());
    let sig = func.import_signature(signature());
    let later = index + 1..functions;
    let later = later.map(|at| {
        let name = UserExternalName::new(0, at as u32);
        import(&mut func, sig, name)
    });
    let reaches = (index + 1..functions).map(|at| reach(at, functions));
    let later: Vec<(FuncRef, i32)> = later.zip(reaches).collect();
    let block = func.dfg.make_block();
    func.layout.append_block(block);
    let params = [0; 4].map(|_| func.dfg.append_block_param(block, types::I64));
    let [vmctx, p, q, number] = params;
    let flags = match rng.u8(..3) {
        0 => MemFlagsData::new(),
        1 => MemFlagsData::new().with_notrap(),
        _ => MemFlagsData::trusted(),
    };
    let mut borrower = Borrower {
        rng,
        func,
        later,
        block,
        vmctx,
        pointers: vec![p, q],
        words: vec![number],
        flags,
        reach: reach(index, functions),
        keeps: false,
    };
    borrower.keeps = borrower.rng.u8(..8) == 0;
    for _ in 0..borrower.rng.usize(..6) {
        borrower.statement();
    }
    let result = match borrower.keeps && borrower.rng.bool() {
        true => borrower.pointer(),
        false => borrower.word(),
    };
    borrower.ins().ins().return_(&[result]);
    borrower.func
}

struct Borrower<'a> {
    rng: &'a mut Rng,
    func: Function,
    /// Functions that may be lent the same, and how many bytes they access.
    later: Vec<(FuncRef, i32)>,
    block: Block,
    vmctx: Value,
    pointers: Vec<Value>,
    words: Vec<Value>,
    flags: MemFlagsData,
    /// Bytes behind a pointer.
    reach: i32,
    /// May it keep a pointer?
    keeps: bool,
}

impl Borrower<'_> {
    fn ins(&mut self) -> FuncCursor<'_> {
        FuncCursor::new(&mut self.func).at_bottom(self.block)
    }

    fn pointer(&mut self) -> Value {
        self.pointers[self.rng.usize(..self.pointers.len())]
    }

    fn word(&mut self) -> Value {
        self.words[self.rng.usize(..self.words.len())]
    }

    fn number(&mut self, number: i64) -> Value {
        self.ins().ins().iconst(types::I64, number)
    }

    fn statement(&mut self) {
        let (p, q, word, flags) = (self.pointer(), self.pointer(), self.word(), self.flags);
        let at = 8 * self.rng.i32(0..self.reach / 8);
        match self.rng.u8(..16) {
            12 | 13 => self.part(p),
            14 => self.on_both_arms(p, at),
            15 => self.fill(p),
            0..3 => {
                let found = self.ins().ins().load(types::I64, flags, p, at);
                self.words.push(found);
            }
            3 | 4 => {
                self.ins().ins().store(flags, word, p, at);
            }
            5 => {
                let equal = self.ins().ins().icmp(IntCC::Equal, p, q);
                let equal = self.ins().ins().uextend(types::I64, equal);
                self.words.push(equal);
            }
            6 => {
                let chosen = self.ins().ins().select(word, p, q);
                self.pointers.push(chosen);
            }
            7 => self.copy(p, q),
            8 | 9 => match self.later.is_empty() {
                true => self.branch(p),
                false => self.hand_on(p, q),
            },
            10 if self.keeps => {
                self.ins().ins().store(flags, p, q, at);
            }
            _ => self.branch(p),
        }
    }

    fn copy(&mut self, p: Value, q: Value) {
        let count = self.rng.i64(0..=self.reach.into());
        let count = self.number(count);
        let (libcall, second) = match self.rng.bool() {
            true => (LibCall::Memmove, q),
            false => (LibCall::Memset, self.word()),
        };
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params = vec![AbiParam::new(types::I64); 3];
        signature.returns = vec![AbiParam::new(types::I64)];
        let signature: SigRef = self.func.import_signature(signature);
        let callee = self.func.import_function(ExtFuncData {
            name: ExternalName::LibCall(libcall),
            signature,
            colocated: false,
            patchable: false,
        });
        let call = self.ins().ins().call(callee, &[p, second, count]);
        let to = self.func.dfg.first_result(call);
        self.pointers.push(to);
    }

    fn hand_on(&mut self, p: Value, q: Value) {
        let (callee, reach) = self.later[self.rng.usize(..self.later.len())];
        let [p, q] = [p, q].map(|pointer| match self.rng.i32(0..=(self.reach - reach) / 8) {
            0 => pointer,
            words => self.behind(pointer, 8 * words),
        });
        let (vmctx, word) = (self.vmctx, self.word());
        let call = self.ins().ins().call(callee, &[vmctx, p, q, word]);
        let result = self.func.dfg.first_result(call);
        self.words.push(result);
    }

    /// So many bytes behind a pointer.
    fn behind(&mut self, pointer: Value, bytes: i32) -> Value {
        let bytes = self.number(bytes.into());
        self.ins().ins().iadd(pointer, bytes)
    }

    /// An access of fewer bytes, by the pointer or by one further on, also by a distance that is not
    /// known.
    fn part(&mut self, p: Value) {
        let ty = [types::I8, types::I16, types::I32][self.rng.usize(..3)];
        let (word, flags) = (self.word(), self.flags);
        let at = self.rng.i32(0..=self.reach - 4);
        let (address, at) = match self.rng.u8(..4) {
            0 => {
                let mask = self.number(1);
                let distance = self.ins().ins().band(word, mask);
                (self.ins().ins().iadd(p, distance), at.min(self.reach - 5))
            }
            1 => {
                let by = self.rng.i32(-8..=8);
                (self.behind(p, by), at - by)
            }
            _ => (p, at),
        };
        if self.rng.bool() {
            let part = self.ins().ins().ireduce(ty, word);
            self.ins().ins().store(flags, part, address, at);
        } else {
            let part = self.ins().ins().load(ty, flags, address, at);
            let found = self.ins().ins().uextend(types::I64, part);
            self.words.push(found);
        }
    }

    /// A store on each of two paths, of the same value or not.
    fn on_both_arms(&mut self, p: Value, at: i32) {
        let (word, flags) = (self.word(), self.flags);
        let mut values = [self.word(), self.word()];
        if self.rng.bool() {
            values[1] = values[0];
        }
        let [x, y, end] = [0; 3].map(|_| self.func.dfg.make_block());
        self.ins().ins().brif(word, x, &[], y, &[]);
        for (block, value) in [x, y].into_iter().zip(values) {
            self.func.layout.append_block(block);
            self.block = block;
            self.ins().ins().store(flags, value, p, at);
            self.ins().ins().jump(end, &[]);
        }
        self.func.layout.append_block(end);
        self.block = end;
    }

    /// A store to each word.
    fn fill(&mut self, p: Value) {
        for at in 0..self.reach / 8 {
            let (word, flags) = (self.word(), self.flags);
            self.ins().ins().store(flags, word, p, 8 * at);
        }
    }

    /// A store on one path, and a pointer that is another one on each.
    fn branch(&mut self, p: Value) {
        let (q, word, value, flags) = (self.pointer(), self.word(), self.word(), self.flags);
        let [then, end] = [0; 2].map(|_| self.func.dfg.make_block());
        let param = self.func.dfg.append_block_param(end, types::I64);
        self.ins().ins().brif(word, then, &[], end, &[p.into()]);
        self.func.layout.append_block(then);
        self.func.layout.append_block(end);
        self.block = then;
        if self.rng.bool() {
            self.ins().ins().store(flags, value, q, 0);
        }
        self.ins().ins().jump(end, &[q.into()]);
        self.block = end;
        self.pointers.push(param);
    }
}
