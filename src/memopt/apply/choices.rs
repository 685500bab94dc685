//! Loads of a choice between slots go to where it is chosen.

use super::{Editor, params};
use crate::FxHashMap;
use crate::cursor::{Cursor, FuncCursor};
use crate::ir::{
    Block, BlockArg, Function, Inst, InstBuilderBase, InstructionData, Value, ValueDef,
};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::edit::{Choice, Edge};
use crate::memopt::inst::effect::are_loads_alike;
use alloc::vec::Vec;

/// The parameters that take the place of a choice, each with the load that it stands for.
type Made = FxHashMap<Value, Vec<(Inst, Value)>>;

impl Editor<'_> {
    /// Gives the block of each choice a parameter for each place that is loaded, and removes the
    /// choices.
    pub(super) fn load_where_chosen(&mut self, choices: &[Choice]) {
        let made = self.params_of_places(choices);
        for choice in choices {
            if let ValueDef::Param(block, position) = self.ctx.func.dfg.value_def(choice.param) {
                let preds = self.ctx.cfg.pred_iter(block).map(|pred| pred.block);
                let mut preds: Vec<Block> = preds.collect();
                preds.sort_unstable();
                preds.dedup();
                for pred in preds {
                    for edge in cfg_edit::edges(&self.ctx.func, pred, block) {
                        pass_places(
                            &mut self.ctx.func,
                            edge,
                            position,
                            &made[&choice.param],
                            &made,
                        );
                    }
                }
            }
        }
        for choice in choices {
            for (load, place) in &choice.loads {
                let (_, value) = made[&choice.param][*place as usize];
                self.alias_and_remove(*load, value);
            }
        }
        let mut list: Vec<(Block, usize, Value)> = Vec::new();
        for choice in choices {
            if let ValueDef::Param(block, position) = self.ctx.func.dfg.value_def(choice.param) {
                list.push((block, position, choice.param));
            }
        }
        list.sort_unstable_by(|a, b| b.cmp(a));
        let list: Vec<Value> = list.into_iter().map(|(_, _, param)| param).collect();
        params::remove(&mut self.ctx.func, &self.ctx.cfg, &list);
    }

    fn params_of_places(&mut self, choices: &[Choice]) -> Made {
        let mut made = Made::default();
        let dfg = &mut self.ctx.func.dfg;
        for choice in choices {
            let ValueDef::Param(block, _) = dfg.value_def(choice.param) else {
                continue;
            };
            let mut params = Vec::with_capacity(choice.places.len());
            for load in &choice.places {
                let ty = dfg.value_type(dfg.first_result(*load));
                params.push((*load, dfg.append_block_param(block, ty)));
            }
            made.insert(choice.param, params);
        }
        made
    }
}

/// Passes over `edge` what each place of the pointer at `position` holds.
fn pass_places(
    func: &mut Function,
    edge: Edge,
    position: usize,
    places: &[(Inst, Value)],
    made: &Made,
) {
    let BlockArg::Value(pointer) = cfg_edit::arguments(func, edge)[position] else {
        return;
    };
    let pointer = func.dfg.resolve_aliases(pointer);
    for (model, _) in places {
        let value = match made.get(&pointer) {
            Some(known) => {
                let mut known = known.iter();
                let known = known.find(|(it, _)| are_loads_alike(&func.dfg, *it, *model));
                known.map(|(_, value)| *value)
            }
            None => Some(load(func, edge.branch, *model, pointer)),
        };
        let Some(value) = value else {
            return;
        };
        let dfg = &mut func.stencil.dfg;
        let calls = dfg.insts[edge.branch]
            .branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
        calls[edge.destination].append_argument(value, &mut dfg.value_lists);
    }
}

/// Loads as `model` does in front of `branch`, from `address`.
fn load(func: &mut Function, branch: Inst, model: Inst, address: Value) -> Value {
    let mut data = func.dfg.insts[model];
    if let InstructionData::Load { arg, .. } = &mut data {
        *arg = address;
    }
    let ty = func.dfg.value_type(func.dfg.first_result(model));
    let mut cursor = FuncCursor::new(func).at_inst(branch);
    cursor.use_srcloc(model);
    let (inst, dfg) = cursor.ins().build(data, ty);
    dfg.first_result(inst)
}
