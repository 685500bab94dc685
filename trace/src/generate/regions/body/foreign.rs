//! What crosses the border of the function in an unusual manner: other stacks, records
//! that are passed by value, calls through a pointer; and what a debugger sees.

use super::super::super::module::import;
use super::{Body, HOST_FUNCTIONS, Home};
use crate::layout;
use cranelift_codegen::ir::{
    AbiParam, ArgumentPurpose, DebugTag, Inst, InstBuilder, Signature, SourceLoc, UserExternalName,
    types,
};
use cranelift_codegen::isa::CallConv;

/// Bytes of a record that is passed by value.
const RECORD_BYTES: u32 = 16;

impl Body<'_> {
    /// Declares a function of the host that is passed a record by value.
    pub(super) fn declare_taker(&mut self) {
        let mut signature = Signature::new(CallConv::SystemV);
        let purpose = ArgumentPurpose::StructArgument(RECORD_BYTES);
        signature
            .params
            .push(AbiParam::special(types::I64, purpose));
        signature.params.push(AbiParam::new(types::I64));
        signature.returns.push(AbiParam::new(types::I64));
        let signature = self.func.import_signature(signature);
        let name = UserExternalName {
            namespace: layout::HOST,
            index: HOST_FUNCTIONS + 1,
        };
        self.taker = Some(import(&mut self.func, signature, name));
    }

    /// Passes some memory by value.
    pub(super) fn pass_record(&mut self) {
        let Some(taker) = self.taker else { return };
        let pointer = self.pointer();
        let is_there = pointer.low <= 0 && pointer.high >= i64::from(RECORD_BYTES);
        if !is_there || matches!(pointer.home, Home::Asynchronous | Home::ReadOnly) {
            return;
        }
        let number = self.data();
        let inst = self.ins().ins().call(taker, &[pointer.value, number]);
        self.finish_call(inst);
    }

    /// Switches to another stack, and maybe back.
    pub(super) fn switch_stacks(&mut self) {
        let (to, from) = (self.public_pointer(), self.public_pointer());
        let payload = self.data();
        let payload = self.ins().ins().stack_switch(to, from, payload);
        self.pool.data.push(payload);
        self.pool.wild.push(payload);
    }

    /// Gives each instruction a source location, and calls tags of the front end.
    pub(super) fn locate(&mut self) {
        let blocks = self.func.layout.blocks();
        let insts = blocks.flat_map(|block| self.func.layout.block_insts(block));
        let insts: Vec<Inst> = insts.collect();
        for (number, inst) in (1..).zip(insts) {
            self.func.set_srcloc(inst, SourceLoc::new(number));
            let opcode = self.func.dfg.insts[inst].opcode();
            if opcode.is_call() && !opcode.is_return() && self.rng.u8(..4) == 0 {
                let mut tags = self.func.debug_tags.get(inst).to_vec();
                tags.push(DebugTag::User(number));
                self.func.debug_tags.set(inst, tags);
            }
        }
    }
}
