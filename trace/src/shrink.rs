//! Makes a failing module small.
//!
//! Each step tries to make the module simpler by one change and keeps it if it still
//! fails with the same kind of failure. The steps repeat until none of them helps.

use crate::generate::Module;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, Function, Inst, InstBuilder, InstructionData, Opcode, Type, Value,
    types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{Context, verify_function};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The smallest module found that `fails`, as `module` does.
pub fn shrink(module: Module, isa: &dyn TargetIsa, fails: &dyn Fn(&Module) -> bool) -> Module {
    let mut shrinker = Shrinker { module, isa, fails };
    while shrinker.round() {}
    shrinker.module
}

struct Shrinker<'a> {
    module: Module,
    isa: &'a dyn TargetIsa,
    fails: &'a dyn Fn(&Module) -> bool,
}

impl Shrinker<'_> {
    /// Every step once; did any help?
    fn round(&mut self) -> bool {
        let mut helped = self.clauses();
        helped |= self.functions();
        for index in 0..self.module.functions.len() {
            helped |= self.stack_limit(index);
            helped |= self.exits(index);
            helped |= self.edges(index);
            helped |= self.instructions(index);
            helped |= self.operands(index);
            helped |= self.tidy(index);
        }
        helped
    }

    /// Keeps `candidate` if it fails as well.
    fn keep(&mut self, candidate: Module) -> bool {
        if !(self.fails)(&candidate) {
            return false;
        }
        self.module = candidate;
        true
    }

    /// Keeps what `change` makes of one function, if it is valid and fails.
    fn keep_function(&mut self, index: usize, change: impl FnOnce(&mut Function)) -> bool {
        let mut candidate = self.module.clone();
        change(&mut candidate.functions[index]);
        // On constants of types that have none the verifier panics.
        let verify = || verify_function(&candidate.functions[index], self.isa).is_ok();
        let valid = catch_unwind(AssertUnwindSafe(verify)).unwrap_or(false);
        valid && self.keep(candidate)
    }

    fn clauses(&mut self) -> bool {
        let mut helped = false;
        for at in (0..self.module.clauses.len()).rev() {
            let mut candidate = self.module.clone();
            candidate.clauses.remove(at);
            helped |= self.keep(candidate);
        }
        helped
    }

    /// Without its body a function belongs to the host.
    fn functions(&mut self) -> bool {
        let mut helped = false;
        for at in (1..self.module.functions.len()).rev() {
            let mut candidate = self.module.clone();
            candidate.functions.remove(at);
            helped |= self.keep(candidate);
        }
        helped
    }

    fn stack_limit(&mut self, index: usize) -> bool {
        self.module.functions[index].stack_limit.is_some()
            && self.keep_function(index, |func| func.stack_limit = None)
    }

    /// Branches become jumps or returns.
    fn exits(&mut self, index: usize) -> bool {
        let mut helped = false;
        for block in blocks(&self.module.functions[index]) {
            let func = &self.module.functions[index];
            let Some(last) = func.layout.last_inst(block) else {
                continue;
            };
            let dfg = &func.dfg;
            let calls = dfg.insts[last].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
            let is_jump = dfg.insts[last].opcode() == Opcode::Jump;
            let calls: Vec<BlockCall> = if is_jump { Vec::new() } else { calls.to_vec() };
            if dfg.insts[last].opcode() != Opcode::Return
                && self.keep_function(index, |func| return_instead(func, last))
            {
                helped = true;
                continue;
            }
            helped |= calls
                .iter()
                .any(|call| self.keep_function(index, |func| jump_instead(func, last, call)));
        }
        helped
    }

    /// A jump goes to where the block it leads to would jump on.
    fn edges(&mut self, index: usize) -> bool {
        let mut helped = false;
        for block in blocks(&self.module.functions[index]) {
            let Some(next) = only_successor(&self.module.functions[index], block) else {
                continue;
            };
            helped |= self.keep_function(index, |func| swallow(func, block, next));
        }
        helped
    }

    /// Removes runs of instructions, long ones first.
    fn instructions(&mut self, index: usize) -> bool {
        let mut helped = false;
        for length in [64, 16, 4, 1] {
            let mut at = 0;
            loop {
                let insts = instructions(&self.module.functions[index]);
                if at >= insts.len() {
                    break;
                }
                let run = insts[at..(at + length).min(insts.len())].to_vec();
                let changes = run
                    .iter()
                    .any(|inst| !is_constant(&self.module.functions[index], *inst));
                if changes
                    && self.keep_function(index, |func| {
                        for inst in &run {
                            remove(func, *inst);
                        }
                    })
                {
                    helped = true;
                }
                at += length;
            }
        }
        helped
    }

    /// Results become one of the operands.
    fn operands(&mut self, index: usize) -> bool {
        let mut helped = false;
        for inst in instructions(&self.module.functions[index]) {
            let func = &self.module.functions[index];
            let [result] = *func.dfg.inst_results(inst) else {
                continue;
            };
            let ty = func.dfg.value_type(result);
            let args = func.dfg.inst_args(inst).to_vec();
            for arg in args {
                let func = &self.module.functions[index];
                let arg = func.dfg.resolve_aliases(arg);
                if func.dfg.value_type(arg) == ty && arg != result {
                    let kept = self.keep_function(index, |func| {
                        func.layout.remove_inst(inst);
                        func.dfg.clear_results(inst);
                        func.dfg.change_to_alias(result, arg);
                    });
                    if kept {
                        helped = true;
                        break;
                    }
                }
            }
        }
        helped
    }

    /// Blocks that nothing leads to, parameters that are always the same, and
    /// pure instructions that nobody uses, go.
    fn tidy(&mut self, index: usize) -> bool {
        let size = |func: &Function| {
            let params = func.layout.blocks().map(|b| func.dfg.block_params(b).len());
            instructions_and_constants(func).len() + params.sum::<usize>()
        };
        let old = size(&self.module.functions[index]);
        let isa = self.isa;
        self.keep_function(index, |func| {
            let mut ctx = Context::for_function(func.clone());
            ctx.flowgraph();
            let tidied = ctx.eliminate_unreachable_code(isa).is_ok()
                && ctx.remove_constant_phis(isa).is_ok();
            if tidied {
                *func = ctx.func;
            }
            func.dfg.resolve_all_aliases();
            remove_unused(func);
        });
        size(&self.module.functions[index]) < old
    }
}

fn blocks(func: &Function) -> Vec<Block> {
    func.layout.blocks().collect()
}

fn instructions_and_constants(func: &Function) -> Vec<Inst> {
    let blocks = func.layout.blocks();
    blocks
        .flat_map(|block| func.layout.block_insts(block))
        .collect()
}

/// Everything that could go: no constants, no ends of blocks.
fn instructions(func: &Function) -> Vec<Inst> {
    let mut insts = instructions_and_constants(func);
    insts.retain(|inst| {
        !is_constant(func, *inst) && !func.dfg.insts[*inst].opcode().is_terminator()
    });
    insts
}

/// Is it a constant, or one of the conversions that [`zero`] makes of one?
fn is_constant(func: &Function, inst: Inst) -> bool {
    match func.dfg.insts[inst] {
        InstructionData::UnaryImm { .. }
        | InstructionData::UnaryIeee32 { .. }
        | InstructionData::UnaryIeee64 { .. } => true,
        InstructionData::Unary { opcode, .. } | InstructionData::LoadNoOffset { opcode, .. } => {
            let wide = func.dfg.value_type(func.dfg.first_result(inst)).bits() > 64;
            wide && matches!(opcode, Opcode::Uextend | Opcode::Bitcast)
        }
        _ => false,
    }
}

/// Removes an instruction; its results become zero.
pub(crate) fn remove(func: &mut Function, inst: Inst) {
    let results = func.dfg.inst_results(inst).to_vec();
    let mut cursor = FuncCursor::new(func).at_inst(inst);
    let mut zeros = Vec::new();
    for result in &results {
        let ty = cursor.func.dfg.value_type(*result);
        zeros.push(zero(&mut cursor, ty));
    }
    cursor.func.layout.remove_inst(inst);
    cursor.func.dfg.clear_results(inst);
    for (result, zero) in results.iter().zip(zeros) {
        cursor.func.dfg.change_to_alias(*result, zero);
    }
}

fn zero(cursor: &mut FuncCursor<'_>, ty: Type) -> Value {
    match ty {
        types::F32 => cursor.ins().f32const(0.0),
        types::F64 => cursor.ins().f64const(0.0),
        types::I128 => {
            let half = cursor.ins().iconst(types::I64, 0);
            cursor.ins().uextend(ty, half)
        }
        ty if ty.is_vector() => {
            let half = cursor.ins().iconst(types::I64, 0);
            let whole = cursor.ins().uextend(types::I128, half);
            let flags = cranelift_codegen::ir::MemFlagsData::new()
                .with_endianness(cranelift_codegen::ir::Endianness::Little);
            cursor.ins().bitcast(ty, flags, whole)
        }
        ty => cursor.ins().iconst(ty, 0),
    }
}

/// Replaces the end of a block by a return.
fn return_instead(func: &mut Function, last: Inst) {
    let mut cursor = FuncCursor::new(func).at_inst(last);
    let zero = cursor.ins().iconst(types::I64, 0);
    cursor.ins().return_(&[zero]);
    cursor.func.layout.remove_inst(last);
}

fn jump_instead(func: &mut Function, last: Inst, call: &BlockCall) {
    let mut cursor = FuncCursor::new(func).at_inst(last);
    let block = call.block(&cursor.func.dfg.value_lists);
    let args: Vec<BlockArg> = call.args(&cursor.func.dfg.value_lists).collect();
    let args: Vec<BlockArg> = args
        .into_iter()
        .map(|arg| match arg {
            BlockArg::Value(value) => BlockArg::Value(value),
            BlockArg::TryCallRet(_) | BlockArg::TryCallExn(_) => {
                BlockArg::Value(cursor.ins().iconst(types::I64, 0))
            }
        })
        .collect();
    cursor.ins().jump(block, &args);
    cursor.func.layout.remove_inst(last);
}

/// The block to which `block` jumps, if nobody else leads there.
fn only_successor(func: &Function, block: Block) -> Option<Block> {
    let last = func.layout.last_inst(block)?;
    let InstructionData::Jump { destination, .. } = func.dfg.insts[last] else {
        return None;
    };
    let next = destination.block(&func.dfg.value_lists);
    let mut ctx = Context::for_function(func.clone());
    ctx.compute_cfg();
    (ctx.cfg.pred_iter(next).count() == 1 && next != block).then_some(next)
}

/// Makes one block of two, of which the first jumps to the second.
fn swallow(func: &mut Function, block: Block, next: Block) {
    let Some(last) = func.layout.last_inst(block) else {
        return;
    };
    let InstructionData::Jump { destination, .. } = func.dfg.insts[last] else {
        return;
    };
    let args: Vec<BlockArg> = destination.args(&func.dfg.value_lists).collect();
    let params = func.dfg.detach_block_params(next);
    let params = params.as_slice(&func.dfg.value_lists).to_vec();
    func.layout.remove_inst(last);
    for (param, arg) in params.iter().zip(args) {
        if let BlockArg::Value(arg) = arg {
            func.dfg.change_to_alias(*param, arg);
        }
    }
    let insts: Vec<Inst> = func.layout.block_insts(next).collect();
    for inst in insts {
        func.layout.remove_inst(inst);
        func.layout.append_inst(inst, block);
    }
    func.layout.remove_block(next);
}

fn remove_unused(func: &mut Function) {
    loop {
        let mut used = std::collections::HashSet::new();
        for inst in instructions_and_constants(func) {
            used.extend(
                func.dfg
                    .inst_values(inst)
                    .map(|v| func.dfg.resolve_aliases(v)),
            );
        }
        let unused: Vec<Inst> = instructions_and_constants(func)
            .into_iter()
            .filter(|inst| {
                let opcode = func.dfg.insts[*inst].opcode();
                let pure = !opcode.can_load()
                    && !opcode.can_store()
                    && !opcode.can_trap()
                    && !opcode.other_side_effects()
                    && !opcode.is_call()
                    && !opcode.is_terminator();
                let results = func.dfg.inst_results(*inst);
                pure && !results.is_empty() && results.iter().all(|result| !used.contains(result))
            })
            .collect();
        if unused.is_empty() {
            return;
        }
        for inst in unused {
            func.layout.remove_inst(inst);
        }
    }
}
