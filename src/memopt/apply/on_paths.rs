//! The edits of the wing, and SSA repair behind them.

use super::Editor;
use crate::FxHashMap;
use crate::ir::{Inst, Value};
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Order};
use crate::memopt::edit::{
    Below, Carried, Change, Copied, Edge, Hoisted, JoinedStores, MAX_PASSED, Merged, Moved, Place,
    Sunk, Thread, Turned, Twin, Upward,
};
use crate::memopt::paths::ssa_repair::{self, Broken};
use alloc::vec::Vec;
use smallvec::SmallVec;

impl Editor<'_> {
    /// Makes a change that a pass of the wing has asked for.
    pub(super) fn change_on_paths(&mut self, change: &Change) {
        match change {
            Change::Thread(thread) => self.thread(thread),
            Change::Sink(sunk) => self.sink(sunk),
            Change::JoinStores(joined) => self.join_stores(joined),
            Change::SinkLoad(inst, to) | Change::SinkPure(inst, to) => self.move_below(*inst, *to),
            Change::MoveUp(upward) => self.move_up(upward),
            Change::HoistLoads(hoisted) => self.hoist_loads(hoisted),
            Change::MergeLoads(merged) => self.merge_loads(merged),
            Change::CarryRound(carried) => self.carry_round(carried),
            Change::TurnLoop(turned) => self.turn_loop(turned),
            Change::MergeBlocks(twin) => self.merge_blocks(twin),
            _ => debug_assert!(false, "no pass of the wing asks for it"),
        }
    }

    fn thread(&mut self, thread: &Thread) {
        let (Some(first), Some(last)) = (thread.chain.first(), thread.chain.last()) else {
            return;
        };
        let func = &mut self.ctx.func;
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
        let onward = Edge {
            branch,
            destination: thread.taken,
        };
        let target = cfg_edit::target(func, onward);
        let args = cfg_edit::arguments(func, onward);
        cfg_edit::append_jump(func, block, target, &args, &names);
        let copies = names.into_iter();
        self.copied
            .extend(copies.map(|(value, copy)| Copied { value, block, copy }));
    }

    fn merge_blocks(&mut self, twin: &Twin) {
        for edge in &twin.edges {
            cfg_edit::redirect(&mut self.ctx.func, *edge, twin.other);
        }
    }

    fn sink(&mut self, sunk: &Sunk) {
        let is_trap = |place: &Place| matches!(place, Place::Trap(_));
        let (traps, others): (Vec<_>, Vec<_>) =
            sunk.places.iter().partition(|(place, _)| is_trap(place));
        // A block whose trap is split ends elsewhere: its edges come first.
        for (place, stores) in others.into_iter().chain(traps) {
            let Some(before) = self.before(place) else {
                continue;
            };
            for store in stores {
                cfg_edit::insert_copy(
                    &mut self.ctx.func,
                    *store,
                    before,
                    &mut FxHashMap::default(),
                );
            }
        }
        for store in &sunk.stores {
            self.ctx.func.layout.remove_inst(*store);
        }
        for block in &sunk.cold {
            self.ctx.func.layout.set_cold(*block);
        }
    }

    fn join_stores(&mut self, joined: &JoinedStores) {
        let func = &self.ctx.func;
        let (Some((_, first)), Some(before)) =
            (joined.stores.first(), func.layout.first_inst(joined.join))
        else {
            return;
        };
        let stored = |store: Inst| func.dfg.inst_args(store)[0];
        let param = match joined.param {
            Some(param) => param,
            None => {
                let ty = func.dfg.value_type(stored(*first));
                let args = joined.stores.iter();
                let args: Vec<_> = args.map(|(pred, it)| (*pred, Some(stored(*it)))).collect();
                self.add_param(joined.join, ty, &args)
            }
        };
        let func = &mut self.ctx.func;
        cfg_edit::insert_store(func, *first, param, before);
        for (_, store) in &joined.stores {
            func.layout.remove_inst(*store);
        }
    }

    fn carry_round(&mut self, carried: &Carried) {
        let Some(first) = carried.value.accesses.first().map(|access| access.inst) else {
            return;
        };
        let Some(names) = self.promoted(&carried.value) else {
            return;
        };
        for (place, content) in &carried.places {
            let (Some(value), Some(before)) = (names.of(*content), self.before(place)) else {
                continue;
            };
            cfg_edit::insert_store(&mut self.ctx.func, first, value, before);
        }
    }

    /// The instruction in front of which a place is, which is made if it is none yet.
    fn before(&mut self, place: &Place) -> Option<Inst> {
        let func = &mut self.ctx.func;
        match place {
            Place::Start(block) => func.layout.first_inst(*block),
            Place::Edge(from, to) => {
                let edges = cfg_edit::edges(func, *from, *to);
                let (block, _) = cfg_edit::split_join(func, *to, &edges);
                func.layout.last_inst(block)
            }
            Place::Trap(trap) => cfg_edit::split_trap(func, *trap),
        }
    }

    /// Moves `inst` in front of the first instruction of a block that uses it
    /// or that it must not pass, or that ends the block.
    fn move_below(&mut self, inst: Inst, to: Below) {
        let func = &mut self.ctx.func;
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
        let (block, mut names) = cfg_edit::split_join(&mut self.ctx.func, join, &upward.edges);
        let Some(end) = self.ctx.func.layout.last_inst(block) else {
            return;
        };
        for inst in &upward.computed {
            cfg_edit::insert_copy(&mut self.ctx.func, *inst, end, &mut names);
        }
        for (at, moved) in upward.moved.iter().enumerate() {
            if upward.steps.contains(&at) {
                self.show_step();
            }
            match moved {
                Moved::Store(store) => {
                    cfg_edit::insert_copy(&mut self.ctx.func, *store, end, &mut names);
                    self.ctx.func.layout.remove_inst(*store);
                }
                Moved::Load(load, known) => {
                    let result = self.ctx.func.dfg.first_result(*load);
                    let ty = self.ctx.func.dfg.value_type(result);
                    cfg_edit::insert_copy(&mut self.ctx.func, *load, end, &mut names);
                    let copy = names[&result];
                    let param = self.ctx.func.dfg.append_block_param(join, ty);
                    // What is known at the end of `block` is loaded there too.
                    for (pred, value) in known.iter().filter(|(pred, _)| *pred != block) {
                        let value = self.ctx.func.dfg.resolve_aliases(*value);
                        cfg_edit::pass(&mut self.ctx.func, *pred, join, value);
                    }
                    cfg_edit::pass(&mut self.ctx.func, block, join, copy);
                    names.insert(param, copy);
                    self.alias_and_remove(*load, param);
                }
            }
        }
    }

    fn hoist_loads(&mut self, hoisted: &Hoisted) {
        let func = &mut self.ctx.func;
        let (block, _) = cfg_edit::split_join(func, hoisted.header, &hoisted.entries);
        let Some(end) = func.layout.last_inst(block) else {
            return;
        };
        // What is copied and what moves is by values from in front of the loop.
        let mut names = FxHashMap::default();
        for inst in &hoisted.computed {
            if !names.contains_key(&func.dfg.first_result(*inst)) {
                cfg_edit::insert_copy(func, *inst, end, &mut names);
            }
        }
        for load in &hoisted.loads {
            func.layout.remove_inst(*load);
            func.layout.insert_inst(*load, end);
            let args = func.dfg.inst_args(*load).iter();
            let args: SmallVec<[Value; 2]> = args
                .map(|value| cfg_edit::named(&func.dfg, &names, *value))
                .collect();
            func.dfg.inst_args_mut(*load).copy_from_slice(&args);
        }
    }

    fn merge_loads(&mut self, merged: &Merged) {
        let layout = &mut self.ctx.func.layout;
        let [first, others @ ..] = &merged.loads[..] else {
            return;
        };
        let Some(end) = layout.last_inst(merged.block) else {
            return;
        };
        let moved = merged.computed.iter().chain([first]);
        // What another load needs too has moved with it.
        for inst in moved {
            if layout.inst_block(*inst) != Some(merged.block) {
                layout.remove_inst(*inst);
                layout.insert_inst(*inst, end);
            }
        }
        let value = self.ctx.func.dfg.first_result(*first);
        for load in others {
            self.alias_and_remove(*load, value);
        }
    }

    fn turn_loop(&mut self, turned: &Turned) {
        let func = &mut self.ctx.func;
        let Some(branch) = func.layout.last_inst(turned.header) else {
            return;
        };
        let (block, mut names) = cfg_edit::block_like(func, turned.header);
        for edge in &turned.entries {
            cfg_edit::redirect(func, *edge, block);
        }
        cfg_edit::append_copies(func, turned.header, block, &mut names);
        cfg_edit::append_copy(func, branch, block, &mut names);
        let copies = names.into_iter();
        self.copied
            .extend(copies.map(|(value, copy)| Copied { value, block, copy }));
    }

    /// Gives the uses of values that were copied the definitions that reach
    /// them.
    pub(super) fn repair(&mut self) {
        let mut copied = core::mem::take(&mut self.copied);
        if copied.is_empty() {
            return;
        }
        copied.sort_unstable();
        let mut broken: Vec<Broken> = Vec::new();
        for Copied { value, block, copy } in copied {
            match broken.last_mut() {
                Some(broken) if broken.value == value => broken.copies.push((block, copy)),
                Some(_) | None => {
                    broken.extend(Broken::new(&self.ctx.func, value, block, copy));
                }
            }
        }
        let order = Order::new(&self.ctx.domtree);
        let graph = Graph::forward(&order, &self.ctx.cfg);
        let dominance = Dominance::without_limit(&graph);
        ssa_repair::repair(&mut self.ctx.func, &order, &graph, &dominance, broken);
    }
}
