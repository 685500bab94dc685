//! Small changes to functions, most of which are still valid.
//!
//! Filetests are dense in the patterns that the passes know. What lies close to
//! them, a byte further, without its region, twice, in the other order, is where
//! a missing condition shows.

use crate::shrink;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    AliasRegion, Block, BlockArg, Endianness, Function, Inst, InstBuilder, InstructionData,
    MemFlags, MemFlagsData, Opcode, TrapCode, Value, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::verify_function;
use fastrand::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Changes one thing about `func`, as `seed` has it; `false` if there was
/// nothing to change, or if the result would not be valid.
pub fn mutate(func: &mut Function, seed: u64, isa: &dyn TargetIsa) -> bool {
    let mut rng = Rng::with_seed(seed);
    let mut changed = func.clone();
    let change = CHANGES[rng.usize(..CHANGES.len())];
    if change(&mut changed, &mut rng).is_none() || !is_valid(&changed, isa) {
        return false;
    }
    *func = changed;
    true
}

/// Does the verifier accept `func`? It panics on some functions that it should
/// refuse, such as an `iconst.i128`.
fn is_valid(func: &Function, isa: &dyn TargetIsa) -> bool {
    let verified = catch_unwind(AssertUnwindSafe(|| verify_function(func, isa)));
    matches!(verified, Ok(Ok(())))
}

type Change = fn(&mut Function, &mut Rng) -> Option<()>;

const CHANGES: [Change; 12] = [
    swap_neighbours,
    shift_offset,
    retag,
    change_flags,
    delete,
    duplicate,
    resize,
    other_operand,
    other_operand,
    other_way,
    swap_ways,
    insert_fence,
];

fn pick<T: Copy>(rng: &mut Rng, all: &[T]) -> Option<T> {
    (!all.is_empty()).then(|| all[rng.usize(..all.len())])
}

fn blocks(func: &Function) -> Vec<Block> {
    func.layout.blocks().collect()
}

fn insts(func: &Function, wanted: impl Fn(Opcode) -> bool) -> Vec<Inst> {
    let all = func
        .layout
        .blocks()
        .flat_map(|b| func.layout.block_insts(b));
    all.filter(|inst| wanted(func.dfg.insts[*inst].opcode()))
        .collect()
}

fn is_plain_access(opcode: Opcode) -> bool {
    (opcode.can_load() || opcode.can_store()) && !opcode.is_call() && !is_atomic(opcode)
}

fn is_atomic(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::AtomicLoad | Opcode::AtomicStore | Opcode::AtomicRmw | Opcode::AtomicCas
    )
}

fn access(func: &Function, rng: &mut Rng) -> Option<Inst> {
    pick(rng, &insts(func, is_plain_access))
}

/// Two neighbours, the second of which does not use the first.
fn swap_neighbours(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let inst = pick(rng, &insts(func, |opcode| !opcode.is_terminator()))?;
    let next = func.layout.next_inst(inst)?;
    if func.dfg.insts[next].opcode().is_terminator() {
        return None;
    }
    func.layout.remove_inst(next);
    func.layout.insert_inst(next, inst);
    Some(())
}

fn shift_offset(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let inst = access(func, rng)?;
    let by = pick(rng, &[-8, -4, -1, 1, 2, 4, 8])?;
    match &mut func.dfg.insts[inst] {
        InstructionData::Load { offset, .. } | InstructionData::Store { offset, .. } => {
            *offset = i32::from(*offset).checked_add(by)?.into();
            Some(())
        }
        _ => None,
    }
}

fn flags_of(func: &mut Function, inst: Inst) -> Option<&mut MemFlags> {
    match &mut func.dfg.insts[inst] {
        InstructionData::Load { flags, .. } | InstructionData::Store { flags, .. } => Some(flags),
        _ => None,
    }
}

fn set_flags(func: &mut Function, inst: Inst, data: MemFlagsData) -> Option<()> {
    let new = func.dfg.mem_flags.insert(data).ok()?;
    *flags_of(func, inst)? = new;
    Some(())
}

/// Another region, or none.
fn retag(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let inst = access(func, rng)?;
    let regions: Vec<AliasRegion> = func.dfg.alias_regions.iter().map(|(r, _)| r).collect();
    let region = pick(rng, &regions).filter(|_| rng.u8(..3) != 0);
    let flags = *flags_of(func, inst)?;
    let data = func.dfg.mem_flags[flags].with_alias_region(region);
    set_flags(func, inst, data)
}

fn change_flags(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let inst = access(func, rng)?;
    let flags = *flags_of(func, inst)?;
    let mut data = func.dfg.mem_flags[flags];
    // An order that is named cannot be taken back.
    let is_named = data.endianness(Endianness::Little) == data.endianness(Endianness::Big);
    match rng.u8(..4) {
        0 | 1 if is_named => return None,
        0 => data.set_endianness(Endianness::Big),
        1 => data.set_endianness(Endianness::Little),
        2 => data = data.with_trap_code(Some(TrapCode::unwrap_user(7))),
        _ => data = data.with_notrap(),
    }
    set_flags(func, inst, data)
}

fn delete(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let wanted = |opcode| is_plain_access(opcode) || matches!(opcode, Opcode::Call | Opcode::Fence);
    let inst = pick(rng, &insts(func, wanted))?;
    shrink::remove(func, inst);
    Some(())
}

/// Once more, somewhere in the same block.
fn duplicate(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let wanted = |opcode| is_plain_access(opcode) || opcode == Opcode::Call;
    let inst = pick(rng, &insts(func, wanted))?;
    let block = func.layout.inst_block(inst)?;
    let places: Vec<Inst> = func.layout.block_insts(block).collect();
    let place = pick(rng, &places)?;
    let copy = func.dfg.clone_inst(inst);
    func.layout.insert_inst(copy, place);
    Some(())
}

/// A narrower access at the same address.
fn resize(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let inst = access(func, rng)?;
    match func.dfg.insts[inst] {
        InstructionData::Store {
            opcode: Opcode::Store,
            args: [value, address],
            flags,
            offset,
        } if func.dfg.value_type(value) == types::I64 => {
            let narrow = [Opcode::Istore8, Opcode::Istore16, Opcode::Istore32];
            func.dfg.insts[inst] = InstructionData::Store {
                opcode: pick(rng, &narrow)?,
                args: [value, address],
                flags,
                offset,
            };
            Some(())
        }
        InstructionData::Load {
            opcode: Opcode::Load,
            arg,
            flags,
            offset,
        } if func.dfg.value_type(func.dfg.first_result(inst)) == types::I64 => {
            let narrow = [
                Opcode::Uload8,
                Opcode::Sload8,
                Opcode::Uload16,
                Opcode::Uload32,
                Opcode::Sload32,
            ];
            func.dfg.insts[inst] = InstructionData::Load {
                opcode: pick(rng, &narrow)?,
                arg,
                flags,
                offset,
            };
            Some(())
        }
        _ => None,
    }
}

/// Another value of the same type, for an address, a stored value, or anything.
fn other_operand(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let inst = pick(rng, &insts(func, |opcode| !opcode.is_branch()))?;
    let count = func.dfg.inst_args(inst).len();
    if count == 0 {
        return None;
    }
    let at = rng.usize(..count);
    let ty = func.dfg.value_type(func.dfg.inst_args(inst)[at]);
    let same: Vec<Value> = values(func)
        .into_iter()
        .filter(|value| func.dfg.value_type(*value) == ty)
        .collect();
    func.dfg.inst_args_mut(inst)[at] = pick(rng, &same)?;
    Some(())
}

/// The values that the layout defines.
fn values(func: &Function) -> Vec<Value> {
    let mut values = Vec::new();
    for block in func.layout.blocks() {
        values.extend_from_slice(func.dfg.block_params(block));
        for inst in func.layout.block_insts(block) {
            values.extend_from_slice(func.dfg.inst_results(inst));
        }
    }
    values
}

/// An edge of a branch leads to another block, with what that needs.
fn other_way(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let branches = insts(func, |opcode| matches!(opcode, Opcode::Brif | Opcode::Jump));
    let branch = pick(rng, &branches)?;
    let to = pick(rng, &blocks(func)[1..])?;
    let all = values(func);
    let mut args: Vec<BlockArg> = Vec::new();
    for param in func.dfg.block_params(to).to_vec() {
        let ty = func.dfg.value_type(param);
        let same = all.iter().filter(|v| func.dfg.value_type(**v) == ty);
        args.push(pick(rng, &same.copied().collect::<Vec<_>>())?.into());
    }
    let call = func.dfg.block_call(to, &args);
    match &mut func.dfg.insts[branch] {
        InstructionData::Jump { destination, .. } => *destination = call,
        InstructionData::Brif { blocks, .. } => blocks[rng.usize(..2)] = call,
        _ => return None,
    }
    Some(())
}

fn swap_ways(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let branch = pick(rng, &insts(func, |opcode| opcode == Opcode::Brif))?;
    match &mut func.dfg.insts[branch] {
        InstructionData::Brif { blocks, .. } => blocks.swap(0, 1),
        _ => return None,
    }
    Some(())
}

fn insert_fence(func: &mut Function, rng: &mut Rng) -> Option<()> {
    let inst = access(func, rng)?;
    FuncCursor::new(func).at_inst(inst).ins().fence();
    Some(())
}
