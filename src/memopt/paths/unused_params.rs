//! Block parameters that nobody uses.
//!
//! A parameter is used by an instruction, or by a branch that passes it on to
//! one that is. Once a join has lost its stores, the values that it took for
//! them keep loads alive in every predecessor. Upstream removes parameters only if
//! all predecessors pass one value.
//!
//! Cost: O(blocks + what they pass to each other), given the uses.

use crate::entity::{EntitySet, SecondaryMap};
use crate::ir::{Block, BlockArg, Function, Value};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::passes::uses::Uses;
use alloc::vec::Vec;

/// Removes the parameters that can go, in one edit: they may feed each other. `uses` are
/// those of `func`.
pub fn edits(func: &Function, uses: &Uses) -> Vec<Edit> {
    let unused = find(func, uses);
    let edit = (!unused.is_empty()).then(|| Change::RemoveParams(unused).because(Reason::NoUses));
    edit.into_iter().collect()
}

/// The parameters that can go, the last of each block first.
fn find(func: &Function, uses: &Uses) -> Vec<Value> {
    let entry = func.layout.entry_block();
    let inner = func.layout.blocks().filter(|block| Some(*block) != entry);
    let params = inner.flat_map(|block| func.dfg.block_params(block).iter().rev());
    let candidates: Vec<Value> = params
        .copied()
        .filter(|param| !uses.are_direct(*param))
        .collect();
    if candidates.is_empty() {
        return candidates;
    }
    let used = used_candidates(func, uses, &candidates);
    let unused = candidates
        .into_iter()
        .filter(|param| !used.contains(*param));
    unused.collect()
}

/// Those of `candidates` that are passed on, maybe by way of others of them, to
/// a parameter that is used by anything else.
fn used_candidates(func: &Function, uses: &Uses, candidates: &[Value]) -> EntitySet<Value> {
    let mut is_candidate = EntitySet::new();
    is_candidate.extend(candidates.iter().copied());
    let mut used = EntitySet::new();
    let mut work = Vec::new();
    // For each parameter those that are passed to it, as a list.
    let mut first: SecondaryMap<Value, Option<u32>> = SecondaryMap::new();
    let mut feeds: Vec<(Value, Option<u32>)> = Vec::new();
    for block in func.layout.blocks() {
        for_each_passed(func, block, |param, value| {
            if is_candidate.contains(value) {
                if !uses.are_direct(param) {
                    let next = first[param].replace(feeds.len() as u32);
                    feeds.push((value, next));
                } else if used.insert(value) {
                    work.push(value);
                }
            }
        });
    }
    while let Some(param) = work.pop() {
        let mut next = first[param];
        while let Some(at) = next {
            let (feeding, rest) = feeds[at as usize];
            if used.insert(feeding) {
                work.push(feeding);
            }
            next = rest;
        }
    }
    used
}

/// Calls `visit` with each parameter that the end of `block` passes a value to,
/// and the value.
fn for_each_passed(func: &Function, block: Block, mut visit: impl FnMut(Value, Value)) {
    let dfg = &func.dfg;
    let Some(end) = func.layout.last_inst(block) else {
        return;
    };
    let calls = dfg.insts[end].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
    for call in calls {
        let params = dfg.block_params(call.block(&dfg.value_lists)).iter();
        for (param, arg) in params.zip(call.args(&dfg.value_lists)) {
            if let BlockArg::Value(value) = arg {
                visit(*param, value);
            }
        }
    }
}
