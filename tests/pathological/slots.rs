//! Functions with more locals in stack slots than anybody writes.

use crate::functions::function;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockCall, Function, InstBuilder, JumpTableData, MemFlagsData, StackSlot,
    StackSlotData, StackSlotKind, Value, types,
};

/// A thousand locals in slots, each set on either path to two of a thousand joins.
pub fn slots_at_joins() -> Function {
    let (mut func, mut block, pointer) = function();
    let slots: Vec<StackSlot> = (0..1000).map(|_| word(&mut func)).collect();
    for at in 0..1000 {
        let [left, right, join] = [(); 3].map(|()| {
            let block = func.dfg.make_block();
            func.layout.append_block(block);
            block
        });
        let mut cursor = FuncCursor::new(&mut func).at_bottom(block);
        cursor.ins().brif(pointer, left, &[], right, &[]);
        for (side, block) in [left, right].into_iter().enumerate() {
            let slot = slots[(at + 500 * side) % slots.len()];
            set(&mut func, block, slot, pointer);
            let mut cursor = FuncCursor::new(&mut func).at_bottom(block);
            cursor.ins().jump(join, &[]);
        }
        block = join;
    }
    return_sum(&mut func, block, &slots, pointer);
    func
}

/// A loop around a switch, each of whose arms sets another local in a slot: all locals meet at
/// the end of the switch.
pub fn slots_in_a_switch() -> Function {
    const ARMS: usize = 400;
    let (mut func, entry, pointer) = function();
    let slots: Vec<StackSlot> = (0..ARMS).map(|_| word(&mut func)).collect();
    let mut new_block = || {
        let block = func.dfg.make_block();
        func.layout.append_block(block);
        block
    };
    let [header, join, end] = [new_block(), new_block(), new_block()];
    let arms: Vec<Block> = slots.iter().map(|_| new_block()).collect();
    let mut call = |block| BlockCall::new(block, [], &mut func.dfg.value_lists);
    let calls: Vec<BlockCall> = arms.iter().map(|block| call(*block)).collect();
    let table = JumpTableData::new(call(end), &calls);
    let table = func.create_jump_table(table);
    FuncCursor::new(&mut func)
        .at_bottom(entry)
        .ins()
        .jump(header, &[]);
    let mut cursor = FuncCursor::new(&mut func).at_bottom(header);
    let index = cursor.ins().ireduce(types::I32, pointer);
    cursor.ins().br_table(index, table);
    for (arm, slot) in arms.into_iter().zip(&slots) {
        set(&mut func, arm, *slot, pointer);
        FuncCursor::new(&mut func)
            .at_bottom(arm)
            .ins()
            .jump(join, &[]);
    }
    FuncCursor::new(&mut func)
        .at_bottom(join)
        .ins()
        .jump(header, &[]);
    return_sum(&mut func, end, &slots, pointer);
    func
}

fn word(func: &mut Function) -> StackSlot {
    let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3);
    func.create_sized_stack_slot(data)
}

fn set(func: &mut Function, block: Block, slot: StackSlot, value: Value) {
    let mut cursor = FuncCursor::new(func).at_bottom(block);
    let address = cursor.ins().stack_addr(types::I64, slot, 0);
    let trusted = MemFlagsData::trusted();
    cursor.ins().store(trusted, value, address, 0);
}

fn return_sum(func: &mut Function, block: Block, slots: &[StackSlot], first: Value) {
    func.signature.returns.push(AbiParam::new(types::I64));
    let mut cursor = FuncCursor::new(func).at_bottom(block);
    let mut sum = first;
    for slot in slots {
        let address = cursor.ins().stack_addr(types::I64, *slot, 0);
        let trusted = MemFlagsData::trusted();
        let value = cursor.ins().load(types::I64, trusted, address, 0);
        sum = cursor.ins().iadd(sum, value);
    }
    cursor.ins().return_(&[sum]);
}
