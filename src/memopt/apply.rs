//! The one place that makes [edits](super::edit), and counts them.

use crate::FxHashMap;
use crate::cursor::{Cursor, FuncCursor};
use crate::ir::{Block, BlockArg, Function, Inst, InstBuilder, MemFlagsData, Value};
use crate::memopt::Stats;
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::edit::{
    Below, Changes, Copied, Edge, Edit, MAX_PASSED, Moved, Place, Sunk, Thread, Upward,
};
use crate::memopt::inst::coercion::{self, Recipe};
use crate::memopt::inst::effect::any_inst;
use alloc::vec::Vec;

/// Makes edits, counts them, and stops at the limit.
pub struct Applier<'a> {
    /// The function that is changed.
    pub func: &'a mut Function,
    /// Where the edits are counted.
    pub stats: &'a mut Stats,
    /// How many edits may still be made.
    pub room: &'a mut Option<u32>,
    /// Values that have copies now, whose uses have to be repaired.
    pub copied: &'a mut Vec<Copied>,
}

impl Applier<'_> {
    /// Makes the edits in their order.
    pub fn apply(mut self, edits: &[Edit]) -> Changes {
        let mut changes = Changes::default();
        let mut has_aliases = false;
        for edit in edits {
            if !self.make(edit) {
                continue;
            }
            changes.any = true;
            match edit {
                Edit::FoldBranch(..) | Edit::Thread(_) | Edit::Sink(_) => changes.graph = true,
                Edit::ReplaceLoad { .. } | Edit::ReplaceLoadByParam { .. } => has_aliases = true,
                Edit::MoveUp(_) => {
                    changes.graph = true;
                    has_aliases = true;
                }
                Edit::SinkLoad(..)
                | Edit::SinkPure(..)
                | Edit::FoldCompare(..)
                | Edit::RemoveNoopStore(_)
                | Edit::RemoveDeadStore(_)
                | Edit::RemoveUnusedLoad(_)
                | Edit::FreeSlot(_) => {}
            }
        }
        if has_aliases {
            changes.values = self.reached_arithmetic();
            self.func.dfg.resolve_all_aliases();
        }
        changes
    }

    /// Makes one edit, unless the limit is reached, and counts it.
    fn make(&mut self, edit: &Edit) -> bool {
        if *self.room == Some(0) || !self.change(edit) {
            return false;
        }
        self.count(edit);
        if let Some(room) = self.room {
            *room -= 1;
        }
        true
    }

    fn count(&mut self, edit: &Edit) {
        let stats = &mut *self.stats;
        match edit {
            Edit::ReplaceLoad { .. } => stats.forwarded_loads += 1,
            Edit::ReplaceLoadByParam { .. } => stats.joined_loads += 1,
            Edit::RemoveNoopStore(_) => stats.noop_stores += 1,
            Edit::RemoveUnusedLoad(_) => stats.unused_loads += 1,
            Edit::RemoveDeadStore(_) => stats.dead_stores += 1,
            Edit::FoldBranch(..) => stats.folded_branches += 1,
            Edit::FoldCompare(..) => stats.folded_compares += 1,
            Edit::FreeSlot(_) => stats.freed_slots += 1,
            Edit::Thread(_) => stats.threaded_branches += 1,
            Edit::Sink(sunk) => stats.sunk_stores += sunk.stores.len() as u32,
            Edit::SinkLoad(..) => stats.sunk_loads += 1,
            Edit::SinkPure(..) => {}
            Edit::MoveUp(upward) => {
                for moved in &upward.moved {
                    match moved {
                        Moved::Load(..) => stats.raised_loads += 1,
                        Moved::Store(_) => stats.raised_stores += 1,
                    }
                }
            }
        }
    }

    /// Changes the function; `false` if that cannot be written down.
    fn change(&mut self, edit: &Edit) -> bool {
        match edit {
            Edit::ReplaceLoad {
                load,
                value,
                recipe,
            } => return self.replace_load(*load, *value, recipe),
            Edit::ReplaceLoadByParam { load, block, args } => {
                self.replace_load_by_param(*load, *block, args);
            }
            Edit::RemoveNoopStore(inst)
            | Edit::RemoveDeadStore(inst)
            | Edit::RemoveUnusedLoad(inst) => self.func.layout.remove_inst(*inst),
            Edit::FoldCompare(inst, result) => {
                let ty = self.func.dfg.value_type(self.func.dfg.first_result(*inst));
                self.func.replace(*inst).iconst(ty, i64::from(*result));
            }
            Edit::FoldBranch(inst, taken) => self.fold_branch(*inst, *taken),
            Edit::Thread(thread) => self.thread(thread),
            Edit::Sink(sunk) => self.sink(sunk),
            Edit::SinkLoad(inst, to) | Edit::SinkPure(inst, to) => self.move_below(*inst, *to),
            Edit::MoveUp(upward) => self.move_up(upward),
            Edit::FreeSlot(slot) => {
                let data = &mut self.func.sized_stack_slots[*slot];
                data.size = 0;
                data.align_shift = 0;
            }
        }
        true
    }

    fn replace_load(&mut self, load: Inst, value: Value, recipe: &Recipe) -> bool {
        // A `bitcast` carries flags, of which there can be too many.
        let flags = &mut self.func.dfg.mem_flags;
        if !recipe.is_empty() && flags.insert(MemFlagsData::new()).is_err() {
            self.stats.limits_hit += 1;
            return false;
        }
        let mut cursor = FuncCursor::new(self.func).at_inst(load);
        cursor.set_srcloc(cursor.func.srcloc(load));
        let value = coercion::build(&mut cursor, recipe, value);
        self.alias_and_remove(load, value);
        true
    }

    fn replace_load_by_param(&mut self, load: Inst, block: Block, args: &[(Block, Option<Value>)]) {
        let dfg = &mut self.func.dfg;
        let ty = dfg.value_type(dfg.first_result(load));
        let param = dfg.append_block_param(block, ty);
        for (pred, value) in args {
            let value = self.func.dfg.resolve_aliases(value.unwrap_or(param));
            cfg_edit::pass(self.func, *pred, block, value);
        }
        self.alias_and_remove(load, param);
    }

    fn alias_and_remove(&mut self, load: Inst, value: Value) {
        let dfg = &mut self.func.dfg;
        let result = dfg.first_result(load);
        let value = dfg.resolve_aliases(value);
        dfg.clear_results(load);
        dfg.change_to_alias(result, value);
        self.func.layout.remove_inst(load);
    }

    fn fold_branch(&mut self, branch: Inst, taken: usize) {
        let dfg = &self.func.dfg;
        let data = dfg.insts[branch];
        let call = data.branch_destination(&dfg.jump_tables, &dfg.exception_tables)[taken];
        let block = call.block(&dfg.value_lists);
        let args: Vec<BlockArg> = call.args(&dfg.value_lists).collect();
        self.func.replace(branch).jump(block, &args);
    }

    fn thread(&mut self, thread: &Thread) {
        let (Some(first), Some(last)) = (thread.chain.first(), thread.chain.last()) else {
            return;
        };
        let func = &mut *self.func;
        let Some(branch) = func.layout.last_inst(*last) else {
            return;
        };
        let (block, mut names) = cfg_edit::block_like(func, *first);
        cfg_edit::redirect(func, thread.edge, block);
        for (at, copied) in thread.chain.iter().enumerate() {
            cfg_edit::append_copies(func, *copied, block, &mut names);
            // Parameters of the next block are what this one passes.
            if let Some(next) = thread.chain.get(at + 1) {
                cfg_edit::name_params(func, *copied, *next, &mut names);
            }
        }
        let way = Edge {
            branch,
            destination: thread.taken,
        };
        let target = cfg_edit::target(func, way);
        let args = cfg_edit::arguments(func, way);
        cfg_edit::append_jump(func, block, target, &args, &names);
        let copies = names.into_iter();
        self.copied
            .extend(copies.map(|(value, copy)| Copied { value, block, copy }));
    }

    fn sink(&mut self, sunk: &Sunk) {
        for (place, stores) in &sunk.places {
            let before = match place {
                Place::Start(block) => self.func.layout.first_inst(*block),
                Place::Edge(from, to) => {
                    let edges = cfg_edit::edges(self.func, *from, *to);
                    let (block, _) = cfg_edit::split_join(self.func, *to, &edges);
                    self.func.layout.first_inst(block)
                }
            };
            let Some(before) = before else {
                continue;
            };
            for store in stores {
                cfg_edit::insert_copy(self.func, *store, before, &mut FxHashMap::default());
            }
        }
        for store in &sunk.stores {
            self.func.layout.remove_inst(*store);
        }
    }

    /// Moves `inst` in front of the first instruction of a block that uses it
    /// or that it must not pass, or that ends the block.
    fn move_below(&mut self, inst: Inst, to: Below) {
        let func = &mut *self.func;
        func.layout.remove_inst(inst);
        let result = func.dfg.first_result(inst);
        let mut passed = 0;
        let mut at = func.layout.first_inst(to.block);
        while let Some(next) = at {
            passed += 1;
            let uses = func.dfg.inst_values(next).any(|value| value == result);
            let is_last = func.layout.last_inst(to.block) == Some(next);
            if uses || is_last || to.end == Some(next) || passed == MAX_PASSED {
                func.layout.insert_inst(inst, next);
                return;
            }
            at = func.layout.next_inst(next);
        }
    }

    fn move_up(&mut self, upward: &Upward) {
        let join = upward.join;
        let (block, mut names) = cfg_edit::split_join(self.func, join, &upward.edges);
        let Some(end) = self.func.layout.last_inst(block) else {
            return;
        };
        for moved in &upward.moved {
            match moved {
                Moved::Store(store) => {
                    cfg_edit::insert_copy(self.func, *store, end, &mut names);
                    self.func.layout.remove_inst(*store);
                }
                Moved::Load(load, known) => {
                    let result = self.func.dfg.first_result(*load);
                    let ty = self.func.dfg.value_type(result);
                    cfg_edit::insert_copy(self.func, *load, end, &mut names);
                    let copy = names[&result];
                    let param = self.func.dfg.append_block_param(join, ty);
                    // What is known on the way of the load is loaded there too.
                    for (pred, value) in known.iter().filter(|(pred, _)| *pred != block) {
                        let value = self.func.dfg.resolve_aliases(*value);
                        cfg_edit::pass(self.func, *pred, join, value);
                    }
                    cfg_edit::pass(self.func, block, join, copy);
                    names.insert(param, copy);
                    self.alias_and_remove(*load, param);
                }
            }
        }
    }

    /// Does a value that has become an alias feed anything but an access?
    fn reached_arithmetic(&self) -> bool {
        let dfg = &self.func.dfg;
        any_inst(self.func, |inst| {
            let opcode = dfg.insts[inst].opcode();
            let is_access = opcode.can_load() || opcode.can_store() || opcode.is_return();
            let mut args = dfg.inst_args(inst).iter();
            !is_access && !opcode.is_call() && args.any(|arg| dfg.value_is_alias(*arg))
        })
    }
}
