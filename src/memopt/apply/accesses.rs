//! Edits of single accesses.

use super::Editor;
use crate::cursor::{Cursor, FuncCursor};
use crate::ir::{Block, Inst, InstBuilder, Opcode, Type, Value};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::edit::{CombinedLoads, Forwarded, MergedStores, NewStore, StoredWhole};
use crate::memopt::inst::bits::Bits;
use crate::memopt::inst::coercion::{self, Half, Recipe};
use crate::memopt::passes::recomputed;
use crate::memopt::passes::uses::for_each_use;
use alloc::vec::Vec;

impl Editor<'_> {
    pub(super) fn replace_load(&mut self, load: Inst, value: Value, recipe: &Recipe) -> bool {
        // A `bitcast` carries flags, of which there can be too many.
        if !recipe.is_empty() && !coercion::has_flags(&mut self.ctx.func) {
            self.stats.limits_hit += 1;
            return false;
        }
        self.note_kept(load, value);
        let value = coercion::build(&mut self.cursor_at(load), recipe, value);
        self.alias_and_remove(load, value);
        true
    }

    /// Notes `value`, which `load` gives, if it is one to compute again.
    fn note_kept(&mut self, load: Inst, value: Value) {
        let func = &self.ctx.func;
        let value = func.dfg.resolve_aliases(value);
        if let Some(inst) = recomputed::cheap(func, value)
            && func.layout.inst_block(inst) != func.layout.inst_block(load)
        {
            self.kept.push(value);
        }
    }

    /// Lets `block` compute `value` in front of its first use there.
    pub(super) fn compute_again(&mut self, value: Value, block: Block) {
        let func = &mut self.ctx.func;
        let Some(inst) = func.dfg.value_def(value).inst() else {
            return;
        };
        let insts: Vec<Inst> = func.layout.block_insts(block).collect();
        let mut copy = None;
        for user in insts {
            let mut uses = false;
            for_each_use(func, user, |used, _| uses |= used == value);
            if uses {
                let copy = *copy.get_or_insert_with(|| {
                    let copy = func.dfg.clone_inst(inst);
                    func.layout.insert_inst(copy, user);
                    func.dfg.first_result(copy)
                });
                let dfg = &mut func.stencil.dfg;
                dfg.map_inst_values(user, |used| if used == value { copy } else { used });
            }
        }
    }

    pub(super) fn replace_load_by_constant(&mut self, load: Inst, bits: u64) -> bool {
        let func = &mut self.ctx.func;
        if !coercion::has_flags(func) {
            self.stats.limits_hit += 1;
            return false;
        }
        let ty = func.dfg.value_type(func.dfg.first_result(load));
        match coercion::made(&mut self.cursor_at(load), Bits::Constant(bits), ty) {
            Some(value) => {
                self.alias_and_remove(load, value);
                true
            }
            None => false,
        }
    }

    pub(super) fn replace_load_by_halves(&mut self, load: Inst, halves: [Half; 2]) {
        let ty = self
            .ctx
            .func
            .dfg
            .value_type(self.ctx.func.dfg.first_result(load));
        let halves = halves.map(|half| match half {
            Half::Value(value) => Half::Value(self.ctx.func.dfg.resolve_aliases(value)),
            Half::Constant(_) => half,
        });
        let value = coercion::joined(&mut self.cursor_at(load), halves, ty);
        self.alias_and_remove(load, value);
    }

    pub(super) fn merge_stores(&mut self, merged: &MergedStores) -> bool {
        let made = self.replace_store(&merged.store);
        if made {
            self.ctx.func.layout.remove_inst(merged.removed);
        }
        made
    }

    /// Loads at once what several loads are put together to. Nobody uses them any more.
    pub(super) fn combine_loads(&mut self, combined: &CombinedLoads) -> bool {
        let func = &mut self.ctx.func;
        let ty = func.dfg.value_type(func.dfg.first_result(combined.sum));
        let (Ok(flags), Some(part)) = (
            func.dfg.mem_flags.insert(combined.flags),
            Type::int_with_byte_size(combined.bytes as u16),
        ) else {
            // There are too many flags.
            self.stats.limits_hit += 1;
            return false;
        };
        let address = func.dfg.resolve_aliases(combined.address);
        let mut cursor = FuncCursor::new(func).after_inst(combined.last);
        let extends = (part != ty && !combined.swapped).then_some(match combined.bytes {
            2 => Opcode::Uload16,
            _ => Opcode::Uload32,
        });
        let loaded = if extends.is_some() { ty } else { part };
        let (opcode, offset) = (extends.unwrap_or(Opcode::Load), combined.offset.into());
        let (load, dfg) = cursor.ins().Load(opcode, loaded, flags, offset, address);
        let mut word = dfg.first_result(load);
        if combined.swapped {
            word = cursor.ins().bswap(word);
            if part != ty {
                word = cursor.ins().uextend(ty, word);
            }
        }
        self.alias_and_remove(combined.sum, word);
        true
    }

    pub(super) fn replace_store(&mut self, new: &NewStore) -> bool {
        let func = &mut self.ctx.func;
        // There can be too many flags.
        let Ok(flags) = func.dfg.mem_flags.insert(new.flags) else {
            self.stats.limits_hit += 1;
            return false;
        };
        let (value, opcode) = match new.whole {
            StoredWhole::Value {
                value,
                shift,
                opcode,
                swapped,
            } => {
                let mut cursor = FuncCursor::new(func).at_inst(new.replaced);
                let mut value = coercion::shifted(&mut cursor, value, shift);
                if swapped {
                    if cursor.func.dfg.value_type(value) != new.ty {
                        value = cursor.ins().ireduce(new.ty, value);
                    }
                    value = cursor.ins().bswap(value);
                }
                (value, opcode)
            }
            StoredWhole::Constant(bits) => {
                let mut cursor = FuncCursor::new(func).at_inst(new.replaced);
                (cursor.ins().iconst(new.ty, bits as i64), Opcode::Store)
            }
        };
        let func = &mut self.ctx.func;
        let address = func.dfg.resolve_aliases(new.address);
        let (ty, offset) = (func.dfg.value_type(value), new.offset.into());
        let store = func.replace(new.replaced);
        store.Store(opcode, ty, flags, offset, value, address);
        true
    }

    pub(super) fn replace_load_by_param(
        &mut self,
        load: Inst,
        block: Block,
        args: &[(Block, Option<Value>)],
    ) {
        let dfg = &self.ctx.func.dfg;
        let ty = dfg.value_type(dfg.first_result(load));
        let param = self.add_param(block, ty, args);
        self.alias_and_remove(load, param);
    }

    /// Gives `block` one more parameter, which its predecessors pass `args`: for each a value, or for
    /// each of its edges, in their order; `None` for the parameter.
    pub(super) fn add_param(
        &mut self,
        block: Block,
        ty: Type,
        args: &[(Block, Option<Value>)],
    ) -> Value {
        let param = self.ctx.func.dfg.append_block_param(block, ty);
        for (at, (pred, value)) in args.iter().enumerate() {
            let func = &mut self.ctx.func;
            let value = func.dfg.resolve_aliases(value.unwrap_or(param));
            let is_same = |other: &&(Block, _)| other.0 == *pred;
            match args.iter().filter(is_same).count() {
                1 => cfg_edit::pass(func, *pred, block, value),
                _ => {
                    let before = args[..at].iter().filter(is_same).count();
                    let edge = cfg_edit::edges(func, *pred, block)[before];
                    cfg_edit::pass_over(func, edge, value);
                }
            }
        }
        param
    }

    pub(super) fn replace_load_by_select(
        &mut self,
        load: Inst,
        condition: Value,
        values: [Value; 2],
    ) {
        let dfg = &self.ctx.func.dfg;
        let [condition, x, y] =
            [condition, values[0], values[1]].map(|value| dfg.resolve_aliases(value));
        let value = self.cursor_at(load).ins().select(condition, x, y);
        self.alias_and_remove(load, value);
    }

    pub(super) fn alias_and_remove(&mut self, load: Inst, value: Value) {
        let dfg = &mut self.ctx.func.dfg;
        let result = dfg.first_result(load);
        let value = dfg.resolve_aliases(value);
        dfg.clear_results(load);
        dfg.change_to_alias(result, value);
        self.ctx.func.layout.remove_inst(load);
    }

    /// Lets a copy read what another one reads.
    pub(super) fn forward_copy(&mut self, forwarded: &Forwarded) {
        let Forwarded {
            call,
            first,
            offset,
            removes_first,
        } = *forwarded;
        let func = &mut self.ctx.func;
        let mut from = func.dfg.resolve_aliases(func.dfg.inst_args(first)[1]);
        if offset != 0 {
            let ty = func.dfg.value_type(from);
            let mut cursor = self.cursor_at(call);
            let by = cursor.ins().iconst(ty, i64::from(offset));
            from = cursor.ins().iadd(from, by);
        }
        self.ctx.func.dfg.inst_args_mut(call)[1] = from;
        if removes_first {
            self.remove_copy(first);
        }
    }

    /// Removes the call of a function that returns its first argument, if it returns any.
    pub(super) fn remove_copy(&mut self, call: Inst) {
        let func = &mut self.ctx.func;
        let to = func.dfg.inst_args(call)[0];
        match func.dfg.inst_results(call) {
            [] => func.layout.remove_inst(call),
            _ => self.alias_and_remove(call, to),
        }
    }
}
