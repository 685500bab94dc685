//! What a function begins with: its slots, and what it may call.

use super::super::module::import;
use super::{Block8, Body, Local, Pointer, Shape};
use crate::layout;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, Inst, InstBuilder, LibCall, Signature, StackSlot,
    StackSlotData, StackSlotKind, Type, UserExternalName, Value, types,
};
use cranelift_codegen::isa::CallConv;

/// Functions of the host of which no policy says anything.
const HOSTS: u32 = 2;

/// Instructions for each local and each aggregate of a large function.
const INSTS_PER_LOCAL: usize = 40;

impl Body<'_> {
    pub(super) fn declare(&mut self, index: usize, functions: usize, size: usize) {
        for later in index + 1..functions {
            self.import(0, later as u32);
        }
        for host in 0..HOSTS {
            self.import(layout::HOST, host);
        }
        let params = self.params;
        for param in &params[1..] {
            let local = self.local(types::I64);
            self.store(*param, local.slot, 0);
        }
        let more = size / INSTS_PER_LOCAL;
        for _ in 0..self.rng.usize(1..4) + more.min(200) {
            let ty = self.scalar_type();
            let value = self.value_of(ty);
            self.declare_local(ty, value);
        }
        let aggregates = match self.shape {
            Shape::Straight | Shape::Ifs | Shape::Loop | Shape::LoopIfs | Shape::Nests => 0,
            Shape::Switches | Shape::BreakContinue => self.rng.usize(..2),
            _ => self.rng.usize(1..4) + (more / 4).min(40),
        };
        for _ in 0..aggregates {
            self.aggregate();
        }
        if matches!(self.shape, Shape::Escapes | Shape::Mixed) && !self.blocks.is_empty() {
            self.pointer_local();
        }
    }

    fn import(&mut self, namespace: u32, index: u32) {
        let name = UserExternalName { namespace, index };
        let callee = import(&mut self.func, self.sig, name);
        self.callees.push(callee);
    }

    /// One of Cranelift's own functions, declared where it is first called.
    pub(super) fn libcall(&mut self, libcall: LibCall) -> FuncRef {
        if let Some((_, callee)) = self.libcalls.iter().find(|(known, _)| *known == libcall) {
            return *callee;
        }
        let mut signature = Signature::new(CallConv::SystemV);
        let second = match libcall {
            LibCall::Memset => types::I32,
            _ => types::I64,
        };
        signature.params = [types::I64, second, types::I64].map(AbiParam::new).to_vec();
        signature.returns = vec![AbiParam::new(types::I64)];
        let signature = self.func.import_signature(signature);
        let callee = self.func.import_function(ExtFuncData {
            name: ExternalName::LibCall(libcall),
            signature,
            colocated: false,
            patchable: false,
        });
        self.libcalls.push((libcall, callee));
        callee
    }

    fn slot(&mut self, size: u32, align: u8) -> StackSlot {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, align);
        self.func.create_sized_stack_slot(data)
    }

    /// A slot for a scalar, which holds nothing yet.
    fn local(&mut self, ty: Type) -> Local {
        let align = ty.bytes().trailing_zeros() as u8;
        let slot = self.slot(ty.bytes(), align);
        let local = Local { slot, ty };
        self.locals.push(local);
        local
    }

    /// A local that is initialized.
    pub(super) fn declare_local(&mut self, ty: Type, value: Value) {
        let local = self.local(ty);
        self.store(value, local.slot, 0);
    }

    /// An aggregate, each word of which is initialized.
    fn aggregate(&mut self) {
        let words = self.rng.i64(2..6);
        let slot = self.slot(8 * words as u32, 3);
        for word in 0..words {
            let value = match self.rng.bool() {
                true => self.number(0),
                false => self.value_of(types::I64),
            };
            self.store(value, slot, 8 * word as i32);
        }
        self.blocks.push(Block8 { slot, words });
    }

    /// A local that points to an aggregate.
    fn pointer_local(&mut self) {
        let at = self.rng.usize(..self.blocks.len());
        let to = self.blocks[at];
        let slot = self.slot(8, 3);
        let address = self.address(to.slot, 0);
        self.store(address, slot, 0);
        self.pointers.push(Pointer {
            slot,
            reach: 8 * to.words as i32,
        });
    }

    pub(super) fn host(&mut self) -> FuncRef {
        let at = self.callees.len() - 1 - self.rng.usize(..HOSTS as usize);
        self.callees[at]
    }

    pub(super) fn any_callee(&mut self) -> FuncRef {
        self.callees[self.rng.usize(..self.callees.len())]
    }

    /// Calls `callee` with pointers `p` and `q`, of which at least 16 bytes are there.
    pub(super) fn call(&mut self, callee: FuncRef, p: Value, q: Value) -> Inst {
        let vmctx = self.params[0];
        let number = self.small();
        self.ins().ins().call(callee, &[vmctx, p, q, number])
    }
}
