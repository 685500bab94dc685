//! Locals whose address goes nowhere leave memory, whatever the control flow around them.

use cranelift_codegen::Context;
use cranelift_codegen::ir::{Function, Inst, InstructionData, Opcode, StackSlot, Value};
use cranelift_memopt::{NoPolicy, Options, optimize};
use memopt_trace::compare::host_isa;
use memopt_trace::generate::locals::{Shape, module};
use std::collections::BTreeSet;

/// Functions of each shape.
const FUNCTIONS: u64 = 40;
/// Instructions of each function, about.
const SIZE: usize = 60;

/// The functions of one shape, before and after.
fn functions(shape: Shape) -> Vec<(Function, Function)> {
    let isa = host_isa();
    let one = |seed| {
        let before = module(seed, shape, 1, SIZE).functions.remove(0);
        let mut ctx = Context::for_function(before.clone());
        optimize(&mut ctx, &*isa, &NoPolicy, &Options::default())
            .unwrap_or_else(|error| panic!("{} {seed}: {error}", shape.name()));
        (before, ctx.func)
    };
    (0..FUNCTIONS).map(one).collect()
}

fn insts(func: &Function) -> impl Iterator<Item = Inst> + '_ {
    let blocks = func.layout.blocks();
    blocks.flat_map(|block| func.layout.block_insts(block))
}

fn occupied(func: &Function) -> BTreeSet<StackSlot> {
    let slots = func.sized_stack_slots.iter();
    let occupied = slots.filter(|(_, data)| data.size != 0);
    occupied.map(|(slot, _)| slot).collect()
}

/// The slot that `value` is the address of, or an address in.
fn slot_of(func: &Function, value: Value) -> Option<StackSlot> {
    let inst = func.dfg.value_def(func.dfg.resolve_aliases(value)).inst()?;
    match func.dfg.insts[inst] {
        InstructionData::StackAddr { stack_slot, .. } => Some(stack_slot),
        InstructionData::Binary {
            opcode: Opcode::Iadd,
            args,
        } => args.into_iter().find_map(|arg| slot_of(func, arg)),
        _ => None,
    }
}

/// The slots whose address the function stores, passes to a callee, or lets vary.
fn published(func: &Function) -> BTreeSet<StackSlot> {
    let mut published = BTreeSet::new();
    for inst in insts(func) {
        let opcode = func.dfg.insts[inst].opcode();
        let args = func.dfg.inst_args(inst);
        let values: Vec<Value>;
        let carried = match opcode {
            opcode if opcode.is_call() => args,
            opcode if opcode.is_branch() => {
                values = func.dfg.inst_values(inst).collect();
                &values
            }
            Opcode::Store => &args[..1],
            _ => &[],
        };
        published.extend(carried.iter().filter_map(|arg| slot_of(func, *arg)));
    }
    published
}

/// Every slot of every function is freed.
fn all_are_freed(shape: Shape) {
    for (seed, (before, after)) in functions(shape).into_iter().enumerate() {
        assert!(!occupied(&before).is_empty(), "{} {seed}", shape.name());
        let left = occupied(&after);
        let name = shape.name();
        assert!(
            left.is_empty(),
            "{name} {seed}: {left:?}\n{before}\n{after}"
        );
    }
}

#[test]
fn straight_code() {
    all_are_freed(Shape::Straight);
}

#[test]
fn conditional_assignments() {
    all_are_freed(Shape::Ifs);
}

#[test]
fn loops() {
    all_are_freed(Shape::Loop);
}

#[test]
fn loops_with_conditional_assignments() {
    all_are_freed(Shape::LoopIfs);
}

#[test]
fn loops_in_loops() {
    all_are_freed(Shape::Nests);
}

#[test]
fn records() {
    all_are_freed(Shape::Records);
}

#[test]
fn switches() {
    all_are_freed(Shape::Switches);
}

#[test]
fn loops_that_are_left_in_the_middle() {
    all_are_freed(Shape::BreakContinue);
}

/// What is left are the locals whose address goes to memory or to a callee, or is one of several.
#[test]
fn a_local_whose_address_escapes() {
    let mut kept = 0;
    let mut freed = 0;
    for (seed, (before, after)) in functions(Shape::Escapes).into_iter().enumerate() {
        let left = occupied(&after);
        let known = published(&after);
        assert!(
            left.is_subset(&known),
            "{seed}: {left:?}\n{before}\n{after}"
        );
        kept += left.len();
        freed += occupied(&before).len() - left.len();
    }
    assert!(kept > 0 && freed > 4 * kept, "{kept} kept, {freed} freed");
}
