//! Block parameters that nobody uses.
//!
//! A parameter is used by an instruction, or by a branch that passes it on to
//! one that is. Once a join has lost its stores, the values that it took for
//! them keep loads alive on every way in. Upstream removes parameters only if
//! all ways pass one value.
//!
//! Cost: O(instructions).

use crate::entity::{EntitySet, SecondaryMap};
use crate::ir::{Block, BlockArg, BlockCall, ExceptionTableItem, Function, Value, ValueDef};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The parameters that can go, the last of each block first.
pub fn find(func: &Function) -> Vec<Value> {
    let Some(entry) = func.layout.entry_block() else {
        return Vec::new();
    };
    let mut blocks = func.layout.blocks().filter(|block| *block != entry);
    if blocks.all(|block| func.dfg.num_block_params(block) == 0) {
        return Vec::new();
    }
    let mut usage = Usage {
        func,
        used: EntitySet::new(),
        feeds: SecondaryMap::new(),
        work: Vec::new(),
    };
    usage.collect();
    usage.spread();
    let blocks = func.layout.blocks().filter(|block| *block != entry);
    blocks
        .flat_map(|block| func.dfg.block_params(block).iter().rev())
        .filter(|param| !usage.used.contains(**param))
        .copied()
        .collect()
}

struct Usage<'a> {
    func: &'a Function,
    used: EntitySet<Value>,
    /// The parameters that are passed to each parameter.
    feeds: SecondaryMap<Value, SmallVec<[Value; 2]>>,
    work: Vec<Value>,
}

impl Usage<'_> {
    fn collect(&mut self) {
        let func = self.func;
        let dfg = &func.dfg;
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                for value in dfg.inst_args(inst) {
                    self.use_value(*value);
                }
                if let Some(table) = dfg.insts[inst].exception_table() {
                    for item in dfg.exception_tables[table].items() {
                        if let ExceptionTableItem::Context(value) = item {
                            self.use_value(value);
                        }
                    }
                }
                let calls =
                    dfg.insts[inst].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
                for call in calls {
                    self.collect_passed(call);
                }
            }
        }
    }

    fn collect_passed(&mut self, call: &BlockCall) {
        let dfg = &self.func.dfg;
        let params = dfg.block_params(call.block(&dfg.value_lists)).iter();
        for (param, arg) in params.zip(call.args(&dfg.value_lists)) {
            if let BlockArg::Value(value) = arg {
                let value = dfg.resolve_aliases(value);
                if let ValueDef::Param(..) = dfg.value_def(value) {
                    self.feeds[*param].push(value);
                }
            }
        }
    }

    fn use_value(&mut self, value: Value) {
        let value = self.func.dfg.resolve_aliases(value);
        if self.used.insert(value) {
            self.work.push(value);
        }
    }

    /// What feeds a used parameter is used.
    fn spread(&mut self) {
        while let Some(value) = self.work.pop() {
            for feeding in core::mem::take(&mut self.feeds[value]) {
                self.use_value(feeding);
            }
        }
    }
}

/// Removes `params`, which are such as [`find`] gives.
pub fn remove(func: &mut Function, params: &[Value]) {
    let mut positions: SecondaryMap<Block, SmallVec<[usize; 2]>> = SecondaryMap::new();
    for param in params {
        if let ValueDef::Param(block, position) = func.dfg.value_def(*param) {
            positions[block].push(position);
        }
    }
    let mut next = func.layout.entry_block();
    while let Some(block) = next {
        next = func.layout.next_block(block);
        let Some(inst) = func.layout.last_inst(block) else {
            continue;
        };
        let dfg = &mut func.stencil.dfg;
        let calls =
            dfg.insts[inst].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
        for call in calls {
            let block = call.block(&dfg.value_lists);
            for position in &positions[block] {
                call.remove(*position, &mut dfg.value_lists);
            }
        }
    }
    for param in params {
        func.dfg.remove_block_param(*param);
    }
}
