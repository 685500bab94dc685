//! Counts what is in a function.

use crate::lower;
use anyhow::Result;
use cranelift_codegen::ir::{Function, Inst};
use cranelift_codegen::isa::TargetIsa;
use serde::Serialize;

/// How much of what a function holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Instructions that read memory; calls are not among them.
    pub loads: usize,
    /// Those of the loads that are flagged `readonly`.
    pub readonly_loads: usize,
    /// Instructions that write memory.
    pub stores: usize,
    /// Calls of any kind.
    pub calls: usize,
    /// Stack slots that take space in the frame.
    pub stack_slots: usize,
    /// All instructions.
    pub instructions: usize,
    /// The size of the machine code.
    pub code_bytes: usize,
}

impl Counts {
    /// Counts in `func`, and lowers it for `isa` to know its size.
    ///
    /// # Errors
    ///
    /// What the back end refuses.
    pub fn of(func: &Function, isa: &dyn TargetIsa) -> Result<Self> {
        let code = lower::machine_code(func, isa, false)?;
        Ok(Self {
            code_bytes: code.code_buffer().len(),
            ..Self::without_code(func)
        })
    }

    /// Counts in `func`, all but the size of its code.
    pub fn without_code(func: &Function) -> Self {
        let mut counts = Self {
            stack_slots: slots_in_use(func),
            ..Self::default()
        };
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                counts.add(func, inst);
            }
        }
        counts
    }

    fn add(&mut self, func: &Function, inst: Inst) {
        let data = &func.dfg.insts[inst];
        let opcode = data.opcode();
        self.instructions += 1;
        if opcode.is_call() {
            // A call also counts as an access for Cranelift.
            self.calls += 1;
            return;
        }
        let flags = data.memflags_data(&func.dfg);
        if opcode.can_load() {
            self.loads += 1;
            self.readonly_loads += usize::from(flags.is_some_and(|flags| flags.readonly()));
        }
        self.stores += usize::from(opcode.can_store());
    }

    /// Adds the counts of another function.
    pub fn add_all(&mut self, other: &Self) {
        let Self {
            loads,
            readonly_loads,
            stores,
            calls,
            stack_slots,
            instructions,
            code_bytes,
        } = other;
        self.loads += loads;
        self.readonly_loads += readonly_loads;
        self.stores += stores;
        self.calls += calls;
        self.stack_slots += stack_slots;
        self.instructions += instructions;
        self.code_bytes += code_bytes;
    }

    /// Each count with its name, in a fixed order.
    pub fn named(&self) -> [(&'static str, usize); 7] {
        let Self {
            loads,
            readonly_loads,
            stores,
            calls,
            stack_slots,
            instructions,
            code_bytes,
        } = *self;
        [
            ("loads", loads),
            ("readonly loads", readonly_loads),
            ("stores", stores),
            ("calls", calls),
            ("stack slots", stack_slots),
            ("instructions", instructions),
            ("bytes of code", code_bytes),
        ]
    }
}

/// A slot of no size is one that an optimizer has freed: slots are numbered,
/// so they cannot be taken out.
fn slots_in_use(func: &Function) -> usize {
    let slots = func.sized_stack_slots.values();
    slots.filter(|slot| slot.size > 0).count() + func.dynamic_stack_slots.len()
}
