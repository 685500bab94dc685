//! Block parameters that only feed their own next values.
//!
//! ```text
//! block1(v4: i32, v5: i32):                   block1(v4: i32):
//!     v6 = load.i32 notrap v0
//!     v7 = iadd v5, v6                 ==>
//!     brif v4, block1(v3, v7), block2             brif v4, block1(v3), block2
//! ```
//!
//! Such a parameter has a use, and what it feeds has one: the parameter again. With it go the
//! loads that feed it, and what those leave in memory is seen by one less. Locals that a
//! program counts and never looks at become such cycles once they are values. Upstream removes no
//! parameter but one that is the same value on all edges.
//!
//! Soundness: a value is *needed* if an instruction uses it that does more than to compute, or
//! if it feeds a needed value: as an operand, or as what an edge passes to a parameter. All that
//! nobody needs can go at once; it is found by marking what is needed, so that a cycle does not
//! hold itself. What may trap is needed, and so are loads of memory that the world writes
//! ([`removable`]).
//!
//! Cost: O(instructions + edges' arguments), and one scan over the parameters if there are none.
//! Previous work: the dead code elimination of Cytron et al., 1991, without its control
//! dependence: no branch goes.

use crate::entity::EntitySet;
use crate::ir::{BlockArg, Function, Inst, Value, ValueDef};
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::edit::destinations;
use crate::memopt::cfg::lists::Links;
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::passes::dead_code::{Removable, removable};
use crate::memopt::passes::uses::for_each_use;
use alloc::vec::Vec;

/// Removes all parameters that nobody needs, with what feeds them, in one edit.
///
/// With `loads` false, loads stay, and so does what they need. Values that nobody uses at all
/// are for [`dead_code`](super::dead_code).
pub fn edits(func: &Function, policy: &dyn Policy, loads: bool) -> Vec<Edit> {
    let entry = func.layout.entry_block();
    let inner = || func.layout.blocks().filter(|block| Some(*block) != entry);
    if inner().all(|block| func.dfg.block_params(block).is_empty()) {
        return Vec::new();
    }
    let mut marking = Marking::new(func);
    let mut unneeded = marking.mark(policy, loads);
    let params = inner().flat_map(|block| func.dfg.block_params(block).iter().rev());
    let params: Vec<Value> = params
        .copied()
        .filter(|param| !marking.needed.contains(*param))
        .collect();
    if params.is_empty() {
        return Vec::new();
    }
    unneeded.retain(|inst| {
        let mut results = func.dfg.inst_results(*inst).iter();
        results.all(|result| !marking.needed.contains(*result))
    });
    let change = Change::RemoveCycles {
        params,
        insts: unneeded,
    };
    Vec::from([change.because(Reason::NoUses)])
}

struct Marking<'a> {
    func: &'a Function,
    needed: EntitySet<Value>,
    work: Vec<Value>,
    /// For each parameter the values that are passed to it.
    passed: Links,
}

impl<'a> Marking<'a> {
    fn new(func: &'a Function) -> Self {
        let mut passed = Links::new(func.dfg.num_values());
        for block in func.layout.blocks() {
            let Some(end) = func.layout.last_inst(block) else {
                continue;
            };
            for call in destinations(func, end) {
                let params = func.dfg.block_params(call.block(&func.dfg.value_lists));
                for (param, arg) in params.iter().zip(call.args(&func.dfg.value_lists)) {
                    if let BlockArg::Value(value) = arg {
                        passed.add(*param, value);
                    }
                }
            }
        }
        Self {
            func,
            needed: EntitySet::new(),
            work: Vec::new(),
            passed,
        }
    }

    /// Marks all that is needed; the instructions that are needed only if their results are.
    fn mark(&mut self, policy: &dyn Policy, loads: bool) -> Vec<Inst> {
        let func = self.func;
        let mut candidates = Vec::new();
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                match removable(func, policy, inst) {
                    Removable::Pure => candidates.push(inst),
                    Removable::Load if loads => candidates.push(inst),
                    Removable::Load | Removable::No => self.need_operands(inst),
                }
            }
        }
        while let Some(value) = self.work.pop() {
            match func.dfg.value_def(value) {
                ValueDef::Result(inst, _) => self.need_operands(inst),
                ValueDef::Param(..) => self.need_passed(value),
                ValueDef::Union(..) => {}
            }
        }
        candidates
    }

    fn need_operands(&mut self, inst: Inst) {
        for_each_use(self.func, inst, |value, passed| {
            if !passed && self.needed.insert(value) {
                self.work.push(value);
            }
        });
    }

    fn need_passed(&mut self, param: Value) {
        for value in self.passed.of(param) {
            if self.needed.insert(value) {
                self.work.push(value);
            }
        }
    }
}
