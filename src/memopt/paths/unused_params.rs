//! Block parameters that nobody uses.
//!
//! A parameter is used by an instruction, or by a branch that passes it on to
//! one that is. Once a join has lost its stores, the values that it took for
//! them keep loads alive in every predecessor. Upstream removes parameters only if
//! all predecessors pass one value.
//!
//! What fed such a parameter may feed nothing else, and be fed by another one that is then
//! unused too: uses are taken back, as in [`dead_code`](crate::memopt::passes::dead_code), and
//! not counted anew.
//!
//! Cost: O(blocks + what they pass to each other), given the uses, and O(uses) of what goes.

use crate::entity::EntitySet;
use crate::ir::{Block, Function, Value, ValueDef};
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::cfg::lists::Links;
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::passes::dead_code::{Removable, removable};
use crate::memopt::passes::uses::Uses;
use alloc::vec::Vec;

/// Removes the parameters that can go, and what fed nothing else.
///
/// The first edit removes all that nobody uses but each other; each later one something
/// that those before it have left unused. With `loads` false, loads stay. `uses` are those
/// of `func`, and afterwards those that are left when all edits are made.
pub fn edits(func: &Function, policy: &dyn Policy, loads: bool, uses: &mut Uses) -> Vec<Edit> {
    let unused = find(func, uses);
    if unused.is_empty() {
        return Vec::new();
    }
    let mut cascade = Cascade {
        func,
        uses,
        passed: passed_by_param(func),
        entry: func.layout.entry_block(),
        gone: EntitySet::new(),
        unused: Vec::new(),
        edits: Vec::new(),
    };
    cascade
        .edits
        .push(Change::RemoveParams(unused.clone()).because(Reason::NoUses));
    cascade.gone.extend(unused.iter().copied());
    for param in unused {
        cascade.take_back(param);
    }
    while let Some(value) = cascade.unused.pop() {
        cascade.value(value, policy, loads);
    }
    cascade.edits
}

/// Edits that follow from each other.
struct Cascade<'a> {
    func: &'a Function,
    uses: &'a mut Uses,
    /// What is passed to each parameter.
    passed: Links,
    entry: Option<Block>,
    /// Parameters that go, and results of instructions that do.
    gone: EntitySet<Value>,
    /// What is not used any more, and has not been looked at.
    unused: Vec<Value>,
    edits: Vec<Edit>,
}

impl Cascade<'_> {
    /// Nothing is passed to `param` any more.
    fn take_back(&mut self, param: Value) {
        for value in self.passed.of(param) {
            if self.uses.remove_passed(value) {
                self.unused.push(value);
            }
        }
    }

    /// Nobody uses `value` any more.
    fn value(&mut self, value: Value, policy: &dyn Policy, loads: bool) {
        let func = self.func;
        if self.gone.contains(value) {
            return;
        }
        let change = match func.dfg.value_def(value) {
            ValueDef::Param(block, _) if Some(block) != self.entry => {
                self.gone.insert(value);
                self.take_back(value);
                Change::RemoveParams([value].into())
            }
            ValueDef::Result(inst, _)
                if func.layout.inst_block(inst).is_some() && self.uses.are_none(func, inst) =>
            {
                let change = match removable(func, policy, inst) {
                    Removable::Pure => Change::RemoveUnusedCode(inst),
                    Removable::Load if loads => Change::RemoveUnusedLoad(inst),
                    Removable::Load | Removable::No => return,
                };
                self.gone
                    .extend(func.dfg.inst_results(inst).iter().copied());
                self.uses
                    .remove(func, inst, |value| self.unused.push(value));
                change
            }
            ValueDef::Param(..) | ValueDef::Result(..) | ValueDef::Union(..) => return,
        };
        self.edits.push(change.because(Reason::NoUses));
    }
}

/// For each parameter the values that are passed to it.
fn passed_by_param(func: &Function) -> Links {
    let mut passed = Links::new(func.dfg.num_values(), func.dfg.num_blocks());
    for block in func.layout.blocks() {
        for_each_passed(func, block, |param, value| passed.add(param, value));
    }
    passed
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

/// Those of `candidates` that are passed on, maybe through others of them, to
/// a parameter that is used by anything else.
fn used_candidates(func: &Function, uses: &Uses, candidates: &[Value]) -> EntitySet<Value> {
    let mut is_candidate = EntitySet::new();
    is_candidate.extend(candidates.iter().copied());
    let mut used = EntitySet::new();
    let mut work = Vec::new();
    // For each parameter those that are passed to it.
    let mut feeds = Links::new(func.dfg.num_values(), func.dfg.num_blocks());
    for block in func.layout.blocks() {
        for_each_passed(func, block, |param, value| {
            if is_candidate.contains(value) {
                if !uses.are_direct(param) {
                    feeds.add(param, value);
                } else if used.insert(value) {
                    work.push(value);
                }
            }
        });
    }
    while let Some(param) = work.pop() {
        for feeding in feeds.of(param) {
            if used.insert(feeding) {
                work.push(feeding);
            }
        }
    }
    used
}

/// Calls `visit` with each parameter that the end of `block` passes a value to,
/// and the value.
fn for_each_passed(func: &Function, block: Block, mut visit: impl FnMut(Value, Value)) {
    if let Some(end) = func.layout.last_inst(block) {
        for_each_block_arg(func, end, |param, arg| {
            arg.into_iter().for_each(|arg| visit(param, arg));
        });
    }
}
