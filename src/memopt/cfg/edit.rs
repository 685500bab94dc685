//! Changes of the control-flow graph, without reasons: who asks for one has
//! proven that it may be made.
//!
//! Nothing here keeps the graph or the dominator tree of a context up to date.

use crate::FxHashMap;
use crate::cursor::{Cursor, FuncCursor};
use crate::ir::{
    Block, BlockArg, BlockCall, DataFlowGraph, Function, Inst, InstBuilder, InstructionData,
    Opcode, Value,
};
use crate::memopt::edit::Edge;
use crate::memopt::inst::effect::any_inst;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The destinations of a branch.
pub fn destinations(func: &Function, branch: Inst) -> &[BlockCall] {
    let dfg = &func.dfg;
    dfg.insts[branch].branch_destination(&dfg.jump_tables, &dfg.exception_tables)
}

/// The block that `edge` leads to.
pub fn target(func: &Function, edge: Edge) -> Block {
    destinations(func, edge.branch)[edge.destination].block(&func.dfg.value_lists)
}

/// What `edge` passes to the parameters of its block.
pub fn arguments(func: &Function, edge: Edge) -> Vec<BlockArg> {
    let call = &destinations(func, edge.branch)[edge.destination];
    call.args(&func.dfg.value_lists).collect()
}

/// Does `func` take the address of an exception handler's block? Such a block is named otherwise
/// than by an edge.
///
/// Cost: O(instructions), but nothing without handlers.
pub fn names_handler(func: &Function) -> bool {
    let may_have_handlers = !func.dfg.exception_tables.is_empty();
    may_have_handlers
        && any_inst(func, |inst| {
            func.dfg.insts[inst].opcode() == Opcode::GetExceptionHandlerAddress
        })
}

/// All edges from the end of `pred` to `block`.
pub fn edges(func: &Function, pred: Block, block: Block) -> Vec<Edge> {
    let Some(branch) = func.layout.last_inst(pred) else {
        return Vec::new();
    };
    let calls = destinations(func, branch).iter().enumerate();
    let calls = calls.filter(|(_, call)| call.block(&func.dfg.value_lists) == block);
    calls
        .map(|(destination, _)| Edge {
            branch,
            destination,
        })
        .collect()
}

/// What `edge` passes to `param`, if it is a value of this function's.
///
/// `param` has to be a parameter of the block that `edge` leads to.
pub fn passed(func: &Function, edge: Edge, param: Value) -> Option<Value> {
    let params = func.dfg.block_params(target(func, edge));
    let position = params.iter().position(|other| *other == param)?;
    let call = &destinations(func, edge.branch)[edge.destination];
    let arg = call.args(&func.dfg.value_lists).nth(position)?;
    Some(func.dfg.resolve_aliases(arg.as_value()?))
}

/// The parameter of `block` to which the edges from each of these predecessors, or each of several
/// edges in their order, pass this value; `None` stands for the parameter. Two names are of one
/// value if they are one `canonical`ly.
///
/// Cost: O(parameters · edges), but only of those that the first edge passes the value to.
pub fn param_passed(
    func: &Function,
    block: Block,
    args: &[(Block, Option<Value>)],
    canonical: impl Fn(Value) -> Value,
) -> Option<Value> {
    let passes = |at: usize, param: Value| {
        let (pred, value) = args[at];
        let edges = edges(func, pred, block);
        let of_pred = |args: &[(Block, Option<Value>)]| {
            let args = args.iter();
            args.filter(|(other, _)| *other == pred).count()
        };
        let edges = match of_pred(args) {
            1 => &edges[..],
            _ => edges
                .get(of_pred(&args[..at])..)
                .map_or(&[][..], |it| &it[..1]),
        };
        edges.iter().all(|edge| {
            let passed = passed(func, *edge, param).map(&canonical);
            passed == Some(canonical(value.unwrap_or(param)))
        })
    };
    let mut params = func.dfg.block_params(block).iter().copied();
    params.find(|param| (0..args.len()).all(|at| passes(at, *param)))
}

/// Calls `visit` with each block parameter that `inst` passes something to,
/// and the value that it passes, unless that is a result of a call.
#[inline]
pub fn for_each_block_arg(
    func: &Function,
    inst: Inst,
    mut visit: impl FnMut(Value, Option<Value>),
) {
    let dfg = &func.dfg;
    for call in destinations(func, inst) {
        let params = dfg.block_params(call.block(&dfg.value_lists));
        for (param, arg) in params.iter().zip(call.args(&dfg.value_lists)) {
            visit(*param, arg.as_value());
        }
    }
}

/// Lets `edge` lead to `block`, with the same arguments.
pub fn redirect(func: &mut Function, edge: Edge, block: Block) {
    let dfg = &mut func.stencil.dfg;
    let calls = dfg.insts[edge.branch]
        .branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
    calls[edge.destination].set_block(block, &mut dfg.value_lists);
}

/// Passes one more argument over every edge from `pred` to `block`.
pub fn pass(func: &mut Function, pred: Block, block: Block, value: Value) {
    let stencil = &mut func.stencil;
    let dfg = &mut stencil.dfg;
    let Some(branch) = stencil.layout.last_inst(pred) else {
        return;
    };
    let calls =
        dfg.insts[branch].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
    for call in calls {
        if call.block(&dfg.value_lists) == block {
            call.append_argument(value, &mut dfg.value_lists);
        }
    }
}

/// Passes one more argument over `edge`.
pub fn pass_over(func: &mut Function, edge: Edge, value: Value) {
    let dfg = &mut func.stencil.dfg;
    let calls = dfg.insts[edge.branch]
        .branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
    calls[edge.destination].append_argument(value, &mut dfg.value_lists);
}

/// A new block before `block`, with parameters of the same types, that does
/// nothing yet and does not end. Also the parameters of `block`, each with the
/// one that takes its place.
pub fn block_like(func: &mut Function, block: Block) -> (Block, FxHashMap<Value, Value>) {
    let new = func.dfg.make_block();
    func.layout.insert_block(new, block);
    if func.layout.is_cold(block) {
        func.layout.set_cold(new);
    }
    let mut params = FxHashMap::default();
    for index in 0..func.dfg.num_block_params(block) {
        let param = func.dfg.block_params(block)[index];
        let ty = func.dfg.value_type(param);
        params.insert(param, func.dfg.append_block_param(new, ty));
    }
    (new, params)
}

/// Appends copies of all instructions of `from` but its last to `to`, in which
/// the keys of `names` have their other names, and adds the results.
pub fn append_copies(
    func: &mut Function,
    from: Block,
    to: Block,
    names: &mut FxHashMap<Value, Value>,
) {
    let mut next = func.layout.first_inst(from);
    while let Some(inst) = next {
        next = func.layout.next_inst(inst);
        if next.is_some() {
            let copy = copy(func, inst, names);
            func.layout.append_inst(copy, to);
        }
    }
}

/// Appends a copy of `inst` to a block, as [`append_copies`]. It may be a branch of two
/// destinations; tables have one owner.
pub fn append_copy(
    func: &mut Function,
    inst: Inst,
    to: Block,
    names: &mut FxHashMap<Value, Value>,
) {
    let copy = copy(func, inst, names);
    func.layout.append_inst(copy, to);
}

/// Adds the parameters of `to` to `names`, as the jump at the end of `from`
/// passes them.
pub fn name_params(func: &Function, from: Block, to: Block, names: &mut FxHashMap<Value, Value>) {
    for edge in edges(func, from, to) {
        for param in func.dfg.block_params(to) {
            if let Some(value) = passed(func, edge, *param) {
                names.insert(*param, named(&func.dfg, names, value));
            }
        }
    }
}

/// Inserts a copy of `inst` before another instruction, as [`append_copies`].
pub fn insert_copy(
    func: &mut Function,
    inst: Inst,
    before: Inst,
    names: &mut FxHashMap<Value, Value>,
) {
    let copy = copy(func, inst, names);
    func.layout.insert_inst(copy, before);
}

/// Inserts a copy of `store` that stores `value`, before another instruction.
pub fn insert_store(func: &mut Function, store: Inst, value: Value, before: Inst) {
    let copy = copy(func, store, &mut FxHashMap::default());
    func.layout.insert_inst(copy, before);
    func.dfg.inst_args_mut(copy)[0] = func.dfg.resolve_aliases(value);
}

fn copy(func: &mut Function, inst: Inst, names: &mut FxHashMap<Value, Value>) -> Inst {
    let copy = func.dfg.clone_inst(inst);
    let srcloc = func.srcloc(inst);
    if !srcloc.is_default() {
        func.set_srcloc(copy, srcloc);
    }
    let dfg = &mut func.stencil.dfg;
    let values: Vec<Value> = dfg.inst_values(copy).collect();
    let renamed: Vec<Value> = values
        .into_iter()
        .map(|value| named(dfg, names, value))
        .collect();
    let mut renamed = renamed.into_iter();
    dfg.map_inst_values(copy, |value| renamed.next().unwrap_or(value));
    for index in 0..dfg.inst_results(inst).len() {
        let (old, new) = (dfg.inst_results(inst)[index], dfg.inst_results(copy)[index]);
        names.insert(old, new);
    }
    copy
}

/// Ends `block` by a jump to `target`; arguments as [`append_copies`].
pub fn append_jump(
    func: &mut Function,
    block: Block,
    target: Block,
    args: &[BlockArg],
    names: &FxHashMap<Value, Value>,
) {
    let args: Vec<BlockArg> = args
        .iter()
        .map(|arg| arg.map_value(|value| named(&func.dfg, names, value)))
        .collect();
    let mut cursor = FuncCursor::new(func);
    cursor.goto_bottom(block);
    cursor.ins().jump(target, &args);
}

/// The other name of `value`, or itself.
pub fn named(dfg: &DataFlowGraph, names: &FxHashMap<Value, Value>, value: Value) -> Value {
    let value = dfg.resolve_aliases(value);
    names.get(&value).copied().unwrap_or(value)
}

/// The end of the paths to `block` through some of the edges into it alone: a block
/// behind which those edges meet, and the names that the parameters of `block`
/// have there. What is inserted goes before its last instruction.
///
/// That is the block of the edge itself if it is the only one and leads
/// nowhere else; otherwise a new one.
pub fn split_join(
    func: &mut Function,
    block: Block,
    edges: &[Edge],
) -> (Block, FxHashMap<Value, Value>) {
    if let Some(end) = end_of_edges(func, block, edges) {
        return end;
    }
    let (new, names) = block_like(func, block);
    for edge in edges {
        redirect(func, *edge, new);
    }
    let params: Vec<BlockArg> = func
        .dfg
        .block_params(block)
        .iter()
        .map(|param| BlockArg::Value(*param))
        .collect();
    append_jump(func, new, block, &params, &names);
    (new, names)
}

/// Does [`split_join`] make a block?
pub fn splits(func: &Function, block: Block, edges: &[Edge]) -> bool {
    end_of_edges(func, block, edges).is_none()
}

/// The block of the only one of `edges`, if that leads nowhere else, and the names there of the
/// parameters of `block`.
fn end_of_edges(
    func: &Function,
    block: Block,
    edges: &[Edge],
) -> Option<(Block, FxHashMap<Value, Value>)> {
    let [edge] = edges else {
        return None;
    };
    if func.dfg.insts[edge.branch].opcode() != Opcode::Jump {
        return None;
    }
    let pred = func.layout.inst_block(edge.branch)?;
    Some((pred, names_at(func, block, *edge)?))
}

/// What `edge` passes, by parameter; `None` if it passes what is no value.
fn names_at(func: &Function, block: Block, edge: Edge) -> Option<FxHashMap<Value, Value>> {
    let params = func.dfg.block_params(block).iter();
    params
        .zip(arguments(func, edge))
        .map(|(param, arg)| Some((*param, func.dfg.resolve_aliases(arg.as_value()?))))
        .collect()
}

/// Lets `block` become the end of `into`, whose jump alone leads there. Its parameters become
/// aliases of what that passes; nothing is done, and `false` given, if it passes one of them, which
/// nothing but unreachable code can do.
///
/// Cost: O(instructions of `block`).
pub fn merge(func: &mut Function, block: Block, into: Block) -> bool {
    let Some(jump) = func.layout.last_inst(into) else {
        return false;
    };
    let edge = Edge {
        branch: jump,
        destination: 0,
    };
    let args = arguments(func, edge).into_iter();
    let args: SmallVec<[Value; 4]> = args
        .filter_map(|arg| Some(func.dfg.resolve_aliases(arg.as_value()?)))
        .collect();
    let params = func.dfg.block_params(block);
    if args.len() != params.len() || params.iter().any(|param| args.contains(param)) {
        return false;
    }
    let params: SmallVec<[Value; 4]> = params.iter().copied().collect();
    func.dfg.detach_block_params(block);
    for (param, value) in params.into_iter().zip(args) {
        func.dfg.change_to_alias(param, value);
    }
    func.layout.remove_inst(jump);
    while let Some(inst) = func.layout.first_inst(block) {
        func.layout.remove_inst(inst);
        func.layout.append_inst(inst, into);
    }
    func.layout.remove_block(block);
    true
}

/// Puts a branch in the place of the conditional trap `inst`: to a cold block that traps with
/// the same code, and to what was behind it. Returns the trap; `None` if `inst` is none that
/// depends on a condition.
pub fn split_trap(func: &mut Function, inst: Inst) -> Option<Inst> {
    let InstructionData::CondTrap { opcode, arg, code } = func.dfg.insts[inst] else {
        return None;
    };
    let block = func.layout.inst_block(inst)?;
    let next = func.layout.next_inst(inst)?;
    let (behind, trapping) = (func.dfg.make_block(), func.dfg.make_block());
    func.layout.split_block(behind, next);
    if func.layout.is_cold(block) {
        func.layout.set_cold(behind);
    }
    func.layout.insert_block_after(trapping, behind);
    func.layout.set_cold(trapping);
    let location = func.srcloc(inst);
    let mut cursor = FuncCursor::new(func);
    cursor.goto_bottom(trapping);
    cursor.set_srcloc(location);
    let trap = cursor.ins().trap(code);
    let (if_true, if_false) = match opcode {
        Opcode::Trapz => (behind, trapping),
        _ => (trapping, behind),
    };
    func.replace(inst).brif(arg, if_true, &[], if_false, &[]);
    Some(trap)
}
