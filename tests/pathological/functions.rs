//! Functions that nobody writes: none may exhaust the stack, or time.
//!
//! Each is run on a small stack, because embedders compile on threads of their
//! own. The times are a hundred times what is needed, so that only what grows
//! with the square of the input exceeds them.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    AbiParam, AliasRegion, AliasRegionData, Block, Function, InstBuilder, MemFlagsData,
    StackSlotData, StackSlotKind, Value, types,
};
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use std::time::{Duration, Instant};

/// The stack of the thread that optimizes. Cranelift itself, with what its
/// tests are compiled to, takes the larger part.
const STACK: usize = 512 << 10;
/// Far above what any of them takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A target that verifies nothing.
pub fn host() -> OwnedTargetIsa {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed").unwrap();
    flags.set("enable_verifier", "false").unwrap();
    let isa = isa::lookup_by_name("x86_64").unwrap();
    isa.finish(settings::Flags::new(flags)).unwrap()
}

/// Does `work` on a small stack, in little time.
pub fn within_limits<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let start = Instant::now();
    let thread = std::thread::Builder::new().stack_size(STACK);
    let result = thread.spawn(work).unwrap().join().unwrap();
    assert!(start.elapsed() < LIMIT, "took {:?}", start.elapsed());
    result
}

/// A function of a pointer, and its entry.
pub fn function() -> (Function, Block, Value) {
    let mut func = Function::new();
    func.signature.params.push(AbiParam::new(types::I64));
    let entry = func.dfg.make_block();
    func.layout.append_block(entry);
    let pointer = func.dfg.append_block_param(entry, types::I64);
    (func, entry, pointer)
}

fn region(func: &mut Function, id: u32) -> AliasRegion {
    func.dfg.alias_regions.insert(AliasRegionData {
        user_id: id,
        description: "region".into(),
    })
}

fn flags(region: AliasRegion) -> MemFlagsData {
    MemFlagsData::trusted().with_alias_region(Some(region))
}

/// Each block stores what the next one overwrites.
pub fn blocks_in_a_row() -> Function {
    let (mut func, mut block, pointer) = function();
    let flags = flags(region(&mut func, 1));
    for _ in 0..1_000_000 {
        let next = func.dfg.make_block();
        func.layout.append_block(next);
        let mut cursor = FuncCursor::new(&mut func).at_bottom(block);
        cursor.ins().store(flags, pointer, pointer, 0);
        cursor.ins().jump(next, &[]);
        block = next;
    }
    FuncCursor::new(&mut func)
        .at_bottom(block)
        .ins()
        .return_(&[]);
    func
}

/// An address is a hundred thousand additions away from its base.
pub fn far_from_its_base() -> Function {
    let (mut func, entry, pointer) = function();
    let flags = flags(region(&mut func, 1));
    let mut cursor = FuncCursor::new(&mut func).at_bottom(entry);
    let mut address = pointer;
    for _ in 0..100_000 {
        let by = cursor.ins().iconst(types::I64, 8);
        address = cursor.ins().iadd(address, by);
    }
    cursor.ins().store(flags, pointer, pointer, 800_000);
    cursor.ins().store(flags, address, address, 0);
    cursor.ins().return_(&[]);
    func
}

/// A slot's address goes through a hundred thousand selects.
pub fn far_from_a_slot() -> Function {
    let (mut func, entry, pointer) = function();
    let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 64, 3);
    let slot = func.create_sized_stack_slot(data);
    let mut cursor = FuncCursor::new(&mut func).at_bottom(entry);
    let mut address = cursor.ins().stack_addr(types::I64, slot, 0);
    for _ in 0..100_000 {
        let other = cursor.ins().stack_addr(types::I64, slot, 8);
        address = cursor.ins().select(pointer, address, other);
    }
    let trusted = MemFlagsData::trusted();
    cursor.ins().store(trusted, pointer, address, 0);
    cursor.ins().return_(&[]);
    func
}

/// Each load is the address of the next one, and nobody uses the last.
pub fn loads_that_feed_each_other() -> Function {
    let (mut func, entry, pointer) = function();
    let flags = flags(region(&mut func, 1));
    let mut cursor = FuncCursor::new(&mut func).at_bottom(entry);
    let mut at = pointer;
    for _ in 0..100_000 {
        at = cursor.ins().load(types::I64, flags, at, 8);
    }
    cursor.ins().return_(&[]);
    func
}

/// Values go through memory a hundred thousand times.
pub fn value_through_memory() -> Function {
    let (mut func, entry, pointer) = function();
    let flags = flags(region(&mut func, 1));
    let mut cursor = FuncCursor::new(&mut func).at_bottom(entry);
    let mut value = pointer;
    for cell in 0..100_000 {
        cursor.ins().store(flags, value, pointer, 8 * (cell % 4));
        value = cursor
            .ins()
            .load(types::I64, flags, pointer, 8 * (cell % 4));
    }
    cursor.ins().return_(&[]);
    func
}

/// A thousand regions meet at each of a thousand joins.
pub fn regions_at_joins() -> Function {
    let (mut func, mut block, pointer) = function();
    let regions: Vec<AliasRegion> = (0..1000).map(|id| region(&mut func, id)).collect();
    for at in 0..1000 {
        let [left, right, join] = [(); 3].map(|()| {
            let block = func.dfg.make_block();
            func.layout.append_block(block);
            block
        });
        let mut cursor = FuncCursor::new(&mut func).at_bottom(block);
        cursor.ins().brif(pointer, left, &[], right, &[]);
        for (side, block) in [left, right].into_iter().enumerate() {
            let mut cursor = FuncCursor::new(&mut func).at_bottom(block);
            let flags = flags(regions[(at + 500 * side) % regions.len()]);
            cursor.ins().store(flags, pointer, pointer, 8);
            cursor.ins().jump(join, &[]);
        }
        block = join;
    }
    FuncCursor::new(&mut func)
        .at_bottom(block)
        .ins()
        .return_(&[]);
    func
}

/// Ten thousand loops, one inside the other.
pub fn nest_of_loops() -> Function {
    const DEPTH: usize = 10_000;
    let (mut func, entry, pointer) = function();
    let flags = flags(region(&mut func, 1));
    let mut new_block = || {
        let block = func.dfg.make_block();
        func.layout.append_block(block);
        block
    };
    let headers: Vec<Block> = (0..DEPTH).map(|_| new_block()).collect();
    let latches: Vec<Block> = (0..DEPTH).map(|_| new_block()).collect();
    let end = new_block();
    let mut cursor = FuncCursor::new(&mut func).at_bottom(entry);
    cursor.ins().jump(headers[0], &[]);
    for at in 0..DEPTH {
        let mut cursor = FuncCursor::new(&mut func).at_bottom(headers[at]);
        cursor.ins().store(flags, pointer, pointer, 0);
        let inner = headers.get(at + 1).copied().unwrap_or(latches[at]);
        cursor.ins().jump(inner, &[]);
        let mut cursor = FuncCursor::new(&mut func).at_bottom(latches[at]);
        let more = cursor.ins().load(types::I64, flags, pointer, 8);
        let outer = if at == 0 { end } else { latches[at - 1] };
        cursor.ins().brif(more, headers[at], &[], outer, &[]);
    }
    FuncCursor::new(&mut func).at_bottom(end).ins().return_(&[]);
    func
}
