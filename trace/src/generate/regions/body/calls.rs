//! Calls.

use super::{Body, HOST_FUNCTIONS, Home, PARAM_HIGH, Spot};
use crate::layout::{self};
use cranelift_codegen::ir::{Inst, InstBuilder, Type, UserStackMapEntry, Value, types};

impl Body<'_> {
    /// The position of some callee: mostly the host's, or a later function.
    pub(super) fn callee(&mut self) -> usize {
        let functions = self.plan.functions;
        let later = functions - self.index - 1;
        let callee = match self.rng.u8(..20) {
            0..10 if later > 0 => self.index + 1 + self.rng.usize(..later),
            // Nobody calls the first one: its parameters reach further.
            10 if functions > 1 => self.rng.usize(1..functions),
            11..16 if functions > 1 && self.plan.recursive => self.rng.usize(1..functions),
            // Those that the policy may know.
            _ if self.style.tagged => functions + self.rng.usize(2..HOST_FUNCTIONS as usize),
            _ => functions + self.rng.usize(..HOST_FUNCTIONS as usize),
        };
        match self.plan.outsider == Some(callee) {
            // It has been called, once and for all.
            true => functions,
            false => callee,
        }
    }

    pub(super) fn call_args(&mut self, callee: usize, tail: bool) -> Vec<Value> {
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
                None if self.rng.u8(..3) == 0 && !tail && !self.plan.discreet => {
                    self.public_pointer()
                }
                None => self.data(),
            };
            args.push(arg);
        }
        args.push(self.data());
        args
    }

    pub(super) fn call(&mut self) {
        let callee = self.callee();
        self.call_of(callee);
    }

    /// Calls the callee at this position.
    pub(super) fn call_of(&mut self, callee: usize) {
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
    pub(super) fn call_indirect(&mut self) {
        let address = self.read_only_load(types::I64, layout::FUNCTION_CELL);
        let args = self.call_args(usize::MAX, false);
        let sig = self.sig;
        let inst = self.ins().ins().call_indirect(sig, address, &args);
        self.finish_call(inst);
    }

    pub(super) fn finish_call(&mut self, inst: Inst) {
        self.annotate_call(inst);
        let result = self.func.dfg.first_result(inst);
        self.pool.data.push(result);
        self.pool.wild.push(result);
    }

    pub(super) fn annotate_call(&mut self, inst: Inst) {
        self.tag(inst);
        for at in 0..self.slots.len() {
            let slot = self.slots[at].slot;
            for (offset, ty) in self.slots[at].mapped.clone() {
                let entry = UserStackMapEntry { ty, slot, offset };
                self.func.dfg.append_user_stack_map_entry(inst, entry);
            }
        }
    }

    /// References live across a call: they are spilled before it, the collector
    /// rewrites them, and they are loaded again.
    pub(super) fn safepoint(&mut self) {
        let slots = 0..self.slots.len();
        let mapped: Vec<usize> = slots
            .filter(|at| !self.slots[*at].mapped.is_empty())
            .collect();
        let at = self.rng.usize(..mapped.len().max(1));
        let Some(at) = mapped.get(at).copied() else {
            return self.call();
        };
        let pointer = self.slot_pointer(at);
        let words = self.slots[at].mapped.clone();
        let cell = |(offset, ty): (u32, Type)| Spot {
            pointer,
            offset: pointer.low + i64::from(offset),
            ty,
        };
        for word in &words {
            let value = self.value_of(word.1);
            self.store_to(cell(*word), value);
        }
        self.call();
        for word in &words {
            if self.rng.u8(..4) != 0 {
                let value = self.load_from(cell(*word));
                self.found(value);
            }
        }
    }
}
