//! How often values are used, and how.

use crate::entity::SecondaryMap;
use crate::ir::{ExceptionTableItem, Function, Inst, InstructionData, Value};

/// How often each value is used, by instructions in the layout.
#[derive(PartialEq)]
pub struct Uses {
    counts: SecondaryMap<Value, Count>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    all: u32,
    /// Those that pass the value to a block parameter.
    passed: u32,
}

impl Uses {
    /// Counts all uses in `func`, whose aliases are resolved.
    ///
    /// Cost: O(instructions + values).
    pub fn new(func: &Function) -> Self {
        let this = Self::count(func, |_, value| value);
        debug_assert!(!this.have_aliases(func), "aliases are resolved");
        this
    }

    /// The same, in a function that has aliases, as if it used the values themselves; calls `named`
    /// with each instruction that uses an alias.
    ///
    /// Cost: O(instructions + values).
    pub fn through_aliases(func: &Function, mut named: impl FnMut(Inst)) -> Self {
        let mut last = None;
        Self::count(func, |inst, value| {
            if !func.dfg.value_is_alias(value) {
                return value;
            }
            if last.replace(inst) != Some(inst) {
                named(inst);
            }
            func.dfg.resolve_aliases(value)
        })
    }

    /// The same; `None` if an instruction of `func` uses another name of a value.
    ///
    /// Cost: O(instructions + values).
    pub fn unless_aliases(func: &Function) -> Option<Self> {
        let this = Self::count(func, |_, value| value);
        (!this.have_aliases(func)).then_some(this)
    }

    /// Is one of the values that are used another name of a value?
    fn have_aliases(&self, func: &Function) -> bool {
        let mut counts = self.counts.iter();
        counts.any(|(value, count)| count.all > 0 && func.dfg.value_is_alias(value))
    }

    /// Counts, for each instruction, the values that `used` says it uses where it names another.
    fn count(func: &Function, mut used: impl FnMut(Inst, Value) -> Value) -> Self {
        let mut counts: SecondaryMap<Value, Count> = SecondaryMap::new();
        counts.resize(func.dfg.num_values());
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                for_each_use(func, inst, |value, passed| {
                    let count = &mut counts[used(inst, value)];
                    count.all += 1;
                    count.passed += u32::from(passed);
                });
            }
        }
        Self { counts }
    }

    /// Is there a block parameter that nobody uses, those of the function itself aside?
    pub fn have_unused_param(&self, func: &Function) -> bool {
        let mut blocks = func.layout.blocks().skip(1);
        blocks.any(|block| {
            let mut params = func.dfg.block_params(block).iter();
            params.any(|param| self.counts[*param].all == 0)
        })
    }

    /// Does nothing use a result of `inst`?
    pub fn are_none(&self, func: &Function, inst: Inst) -> bool {
        self.use_none_of(func.dfg.inst_results(inst))
    }

    /// Does nothing use any of `values`?
    pub fn use_none_of(&self, values: &[Value]) -> bool {
        values.iter().all(|value| self.counts[*value].all == 0)
    }

    /// Is `value` used once?
    pub fn are_one(&self, value: Value) -> bool {
        self.counts[value].all == 1
    }

    /// Does anything use `value`, but to pass it to a block parameter?
    pub fn are_direct(&self, value: Value) -> bool {
        self.counts[value].all > self.counts[value].passed
    }

    /// Takes back one use of `value`, which a branch passes to a parameter; is none left?
    pub fn remove_passed(&mut self, value: Value) -> bool {
        let count = &mut self.counts[value];
        count.all -= 1;
        count.passed -= 1;
        count.all == 0
    }

    /// Takes back the uses by `inst`, and visits what nobody uses any more.
    pub fn remove(&mut self, func: &Function, inst: Inst, mut unused: impl FnMut(Value)) {
        for_each_use(func, inst, |value, passed| {
            let count = &mut self.counts[value];
            count.all -= 1;
            count.passed -= u32::from(passed);
            if count.all == 0 {
                unused(value);
            }
        });
    }
}

/// Calls `visit` with each value that `inst` uses, once for each use, and whether
/// it passes it to a block parameter.
///
/// What `DataFlowGraph::inst_values` gives, at a third of its cost.
pub fn for_each_use(func: &Function, inst: Inst, mut visit: impl FnMut(Value, bool)) {
    let dfg = &func.dfg;
    let data = &dfg.insts[inst];
    for value in data.arguments(&dfg.value_lists) {
        visit(*value, false);
    }
    match data {
        InstructionData::Jump { .. }
        | InstructionData::Brif { .. }
        | InstructionData::BranchTable { .. }
        | InstructionData::TryCall { .. }
        | InstructionData::TryCallIndirect { .. } => {
            for call in data.branch_destination(&dfg.jump_tables, &dfg.exception_tables) {
                let args = call.args(&dfg.value_lists);
                args.filter_map(|arg| arg.as_value())
                    .for_each(|value| visit(value, true));
            }
            let table = data.exception_table().into_iter();
            for item in table.flat_map(|table| dfg.exception_tables[table].items()) {
                if let ExceptionTableItem::Context(value) = item {
                    visit(value, false);
                }
            }
        }
        _ => debug_assert!(!data.opcode().is_branch(), "{data:?}"),
    }
}
