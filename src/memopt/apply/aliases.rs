//! Other names of values that edits have left.
//!
//! [`DataFlowGraph::resolve_all_aliases`](crate::ir::DataFlowGraph::resolve_all_aliases) rewrites
//! every instruction that there ever was. Behind a batch of edits few name an alias: one walk finds
//! those of the layout, and only they are rewritten. Instructions that are not in the layout
//! keep their aliases, which nobody reads.

use crate::FxHashMap;
use crate::ir::{Function, Inst, Opcode, Value};
use crate::memopt::inst::effect::{any_inst, is_common_value};
use crate::memopt::passes::uses::{Uses, for_each_use};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Lets the instructions of `func` name the values themselves; how often they use them.
///
/// Cost: O(instructions + values).
pub fn resolve(func: &mut Function) -> Uses {
    Named::find(func).resolve(func)
}

/// The instructions of a function that name aliases.
pub struct Named {
    insts: Vec<Inst>,
    /// The uses of all values, once nothing names an alias.
    uses: Uses,
}

impl Named {
    /// Finds them. Cost: O(instructions + values).
    pub fn find(func: &Function) -> Self {
        let mut insts = Vec::new();
        let uses = Uses::through_aliases(func, |inst| insts.push(inst));
        Self { insts, uses }
    }

    /// Lets them name the values themselves; how often all are used then.
    ///
    /// Cost: O(instructions that name aliases).
    pub fn resolve(self, func: &mut Function) -> Uses {
        for inst in self.insts {
            let mut renamed: SmallVec<[(Value, Value); 4]> = SmallVec::new();
            for_each_use(func, inst, |value, _| {
                if func.dfg.value_is_alias(value) {
                    renamed.push((value, func.dfg.resolve_aliases(value)));
                }
            });
            func.dfg.map_inst_values(inst, |value| {
                let mut renamed = renamed.iter();
                let new = renamed.find_map(|(old, new)| (*old == value).then_some(*new));
                new.unwrap_or(value)
            });
        }
        self.uses
    }

    /// Do the values feed operations that can be simplified by it?
    ///
    /// Those may that use a computed value now, or one that feeds another operation, too, or the
    /// same again. Of what is loaded or a parameter, and feeds nothing else, no rule of the mid-end
    /// knows more than before; nor of what is compared with the address of a slot, which
    /// [`compares`](crate::memopt::passes::compares) decides.
    ///
    /// Cost: O(instructions).
    pub fn reach_arithmetic(&self, func: &Function) -> bool {
        let dfg = &func.dfg;
        let mut reached: FxHashMap<Value, u32> = FxHashMap::default();
        for inst in &self.insts {
            if compares_slot(func, *inst) {
                continue;
            }
            let args = operands(func, *inst).iter();
            for arg in args.filter(|arg| dfg.value_is_alias(**arg)) {
                if is_computed(func, *arg) {
                    return true;
                }
                *reached.entry(dfg.resolve_aliases(*arg)).or_default() += 1;
            }
        }
        let feeds_others = |inst: Inst| {
            let mut args = operands(func, inst).iter();
            args.any(|arg| !dfg.value_is_alias(*arg) && reached.contains_key(arg))
        };
        reached.values().any(|uses| *uses > 1)
            || !reached.is_empty() && any_inst(func, feeds_others)
    }
}

/// The operands of `inst` if it computes something, or branches on it.
fn operands(func: &Function, inst: Inst) -> &[Value] {
    let opcode = func.dfg.insts[inst].opcode();
    let is_access = opcode.can_load() || opcode.can_store();
    match is_access || opcode.is_return() || opcode.is_call() {
        true => &[],
        false => func.dfg.inst_args(inst),
    }
}

/// Does `inst` compare something with the address of a slot?
fn compares_slot(func: &Function, inst: Inst) -> bool {
    let is_slot = |arg: &Value| {
        let by = func.dfg.value_def(func.dfg.resolve_aliases(*arg)).inst();
        by.is_some_and(|by| func.dfg.insts[by].opcode() == Opcode::StackAddr)
    };
    func.dfg.insts[inst].opcode() == Opcode::Icmp && func.dfg.inst_args(inst).iter().any(is_slot)
}

/// Is `value` the result of an operation, and not loaded or a parameter?
fn is_computed(func: &Function, value: Value) -> bool {
    let inst = func.dfg.value_def(value).inst();
    inst.is_some_and(|inst| is_common_value(func.dfg.insts[inst].opcode()))
}
