//! Functions that are lent aggregates of their callers.
//!
//! They read and write what is behind their pointers, compare those, and hand them on, and few of
//! them keep one. Nothing else is done, so that a summary can say it.

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
const REACH: i64 = 16;

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
    let later: Vec<FuncRef> = later.collect();
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
    /// Functions that may be lent the same.
    later: Vec<FuncRef>,
    block: Block,
    vmctx: Value,
    pointers: Vec<Value>,
    words: Vec<Value>,
    flags: MemFlagsData,
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
        let at = 8 * self.rng.i32(0..2);
        match self.rng.u8(..12) {
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
        let count = self.rng.i64(0..=REACH);
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
        let callee = self.later[self.rng.usize(..self.later.len())];
        let (vmctx, word) = (self.vmctx, self.word());
        let call = self.ins().ins().call(callee, &[vmctx, p, q, word]);
        let result = self.func.dfg.first_result(call);
        self.words.push(result);
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
