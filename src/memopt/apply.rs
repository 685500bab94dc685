//! The one place that changes a function: makes [edits](super::edit), counts them, and
//! makes the function whole again behind them.
//!
//! [`Editor`] alone has the function to itself; the passes read it. What an edit cannot do
//! without is part of it and no edit of its own: graph and dominator tree, the removal of
//! blocks that nothing leads to any more and of parameters that take one value alone, and
//! SSA repair behind copies. All else is an edit, the removal of dead code and the
//! egraph pass included. So a run that is limited to `n` edits makes the first `n` of
//! an unlimited one, and the function is whole after each of them.

use crate::cursor::{Cursor, FuncCursor};
use crate::ir::{Block, BlockArg, BlockCall, Function, Inst, InstBuilder, Value};
use crate::isa::TargetIsa;
use crate::memopt::Stats;
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::edit::{Bypass, Change, Copied, Edge, Edit, Touched};
use crate::memopt::observer::Observer;
use crate::memopt::passes::constant_params;
use crate::memopt::passes::uses::Uses;
use crate::memopt::refusal::Refusal;
use crate::memopt::workarounds::egraph;
use crate::{CodegenResult, Context};
use aliases::Named;
use alloc::vec::Vec;

mod accesses;
mod aliases;
mod choices;
mod expand;
#[cfg(memopt_paths)]
mod on_paths;
mod params;
mod pointers;
mod promote;
mod selects;
mod slots;

/// What an [`Editor`] does about the aliases of its function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Aliases {
    /// There are none, at the beginning and behind each batch of edits.
    Resolved,
    /// The mid-end comes next, and begins by resolving those that are left. There may be some until
    /// [`Editor::make_ready`] is called.
    LeftToMidEnd,
    /// There may be some, until [`Editor::resolve_aliases`] or [`Editor::has_no_aliases`] is called.
    Unknown,
}

/// Makes edits, counts them, and stops at the limit.
pub struct Editor<'a> {
    ctx: &'a mut Context,
    isa: &'a dyn TargetIsa,
    policy: &'a dyn Policy,
    observer: Option<&'a mut dyn Observer>,
    /// How many edits may still be made.
    room: Option<u32>,
    /// Values that have copies, whose uses have to be repaired.
    copied: Vec<Copied>,
    /// Values from other blocks that loads gave, and that may be cheaper to compute again.
    kept: Vec<Value>,
    /// The uses of all values, as long as nothing is changed and nobody has asked.
    uses: Option<Uses>,
    /// Are aliases left where they are, until somebody wants to look at the function again?
    leaves_aliases: bool,
    /// Are there such aliases?
    has_aliases: bool,
    /// Has no edit been made yet? Until then branches that upstream has removed are still there.
    is_untouched: bool,
    /// What has been done.
    pub stats: Stats,
}

impl<'a> Editor<'a> {
    /// An editor of the function in `ctx`, for at most so many edits as `limit` says.
    ///
    /// The function is brought into the form that the passes work on, which is no edit: its
    /// graph and dominator tree are at hand, and it has no aliases, but for what `aliases` say. What
    /// comes before the mid-end begins without either: see [`Self::make_ready`].
    ///
    /// # Errors
    ///
    /// What the verifier says, if `isa` has it enabled.
    pub fn new(
        ctx: &'a mut Context,
        isa: &'a dyn TargetIsa,
        policy: &'a dyn Policy,
        observer: Option<&'a mut dyn Observer>,
        limit: Option<u32>,
        aliases: Aliases,
    ) -> CodegenResult<Self> {
        let uses = match aliases {
            Aliases::Resolved => {
                let uses = Uses::unless_aliases(&ctx.func);
                Some(uses.unwrap_or_else(|| aliases::resolve(&mut ctx.func)))
            }
            Aliases::LeftToMidEnd | Aliases::Unknown => None,
        };
        if aliases != Aliases::LeftToMidEnd {
            find_graph(ctx);
        }
        ctx.verify_if(isa)?;
        let is_watched = observer.is_some();
        Ok(Self {
            ctx,
            isa,
            policy,
            observer,
            room: limit,
            copied: Vec::new(),
            kept: Vec::new(),
            uses,
            // Whoever watches wants to see the whole of it.
            leaves_aliases: aliases == Aliases::LeftToMidEnd && !is_watched,
            has_aliases: aliases == Aliases::Unknown,
            is_untouched: true,
            stats: Stats::default(),
        })
    }

    /// Makes edits for which nobody needs the graph, before the mid-end. They leave none, and
    /// aliases.
    ///
    /// # Errors
    ///
    /// Those of [`Self::apply`].
    #[cfg(memopt_paths)]
    pub fn apply_before_graph(&mut self, edits: &[Edit]) -> CodegenResult<()> {
        let before = self.stats.applied;
        for edit in edits {
            self.make(edit)?;
        }
        if self.stats.applied == before {
            return Ok(());
        }
        self.ctx.cfg.clear();
        self.ctx.domtree.clear();
        self.ctx.loop_analysis.clear();
        if let Some(observer) = &mut self.observer {
            aliases::resolve(&mut self.ctx.func);
            observer.step(&self.ctx.func);
        }
        Ok(())
    }

    /// Brings a function that the mid-end has not seen into the form that promotion works on: with
    /// its graph, and without aliases.
    ///
    /// Cost: O(instructions + edges) for what is not there.
    pub fn make_ready(&mut self) {
        let dfg = &self.ctx.func.dfg;
        let mut numbers = 0..dfg.num_values() as u32;
        if numbers.any(|at| dfg.value_is_alias(Value::from_u32(at))) {
            self.uses = Some(aliases::resolve(&mut self.ctx.func));
        }
        find_graph(self.ctx);
    }

    /// Somebody has looked, and there are no aliases.
    pub fn has_no_aliases(&mut self) {
        self.has_aliases = false;
    }

    /// Resolves the aliases that edits have left, so that passes can look at the function.
    pub fn resolve_aliases(&mut self) {
        if core::mem::take(&mut self.has_aliases) {
            self.uses = Some(aliases::resolve(&mut self.ctx.func));
        }
    }

    /// The function, its graph and its dominator tree.
    pub fn context(&self) -> &Context {
        self.ctx
    }

    /// The uses of all values, to be [given back](Self::give_uses).
    ///
    /// Cost: O(instructions + values), but nothing if they are known.
    pub fn uses(&mut self) -> Uses {
        let func = &self.ctx.func;
        let uses = self.uses.take();
        debug_assert!(uses.as_ref().is_none_or(|uses| *uses == Uses::new(func)));
        uses.unwrap_or_else(|| Uses::new(func))
    }

    /// The uses of all values are these, after edits that have taken others back.
    pub fn give_uses(&mut self, uses: Uses) {
        // At the limit some edits have not been made.
        self.uses = Some(uses).filter(|_| self.has_room());
    }

    /// Brings the uses up to date before a `change`, or drops them.
    fn keep_uses(&mut self, change: &Change) {
        let uses = self.uses.take();
        self.uses = uses.and_then(|mut uses| match change {
            Change::RemoveNoopStore(inst)
            | Change::RemoveDeadStore(inst)
            | Change::RemoveUnusedLoad(inst)
            | Change::RemoveUnusedCode(inst) => {
                uses.remove(&self.ctx.func, *inst, |_| {});
                Some(uses)
            }
            Change::FreeSlot(_) => Some(uses),
            _ => None,
        });
    }

    /// The values that were forwarded from one block to another and are cheap to compute, since the
    /// egraph pass has run; asked about once.
    pub fn take_kept(&mut self) -> Vec<Value> {
        core::mem::take(&mut self.kept)
    }

    /// May more edits be made?
    pub fn has_room(&self) -> bool {
        self.room != Some(0)
    }

    /// No pass finds anything any more, or a limit has ended the search, or the egraph pass comes
    /// next.
    pub fn settled(&mut self) {
        if let Some(observer) = &mut self.observer {
            observer.settled(&self.ctx.func);
        }
    }

    /// The passes have refused something in the function as it is.
    pub fn refused(&mut self, refusals: &[Refusal]) {
        if let Some(observer) = &mut self.observer {
            for refusal in refusals {
                observer.refused(&self.ctx.func, refusal);
            }
        }
    }

    /// Ends the run; what has been done.
    ///
    /// # Errors
    ///
    /// What the verifier says, if the target has it enabled.
    pub fn finish(self) -> CodegenResult<Stats> {
        if self.stats.applied > 0 {
            self.ctx.verify_if(self.isa)?;
        }
        Ok(self.stats)
    }

    /// Removes the blocks that nothing leads to, which is no edit: nobody runs them.
    ///
    /// # Errors
    ///
    /// Those of [`Context::eliminate_unreachable_code`].
    pub fn remove_unreachable_blocks(&mut self) -> CodegenResult<()> {
        let domtree = &self.ctx.domtree;
        let mut blocks = self.ctx.func.layout.blocks();
        if blocks.any(|block| !domtree.is_reachable(block)) {
            // Keeps the graph up to date; to the tree they were no part of it.
            self.ctx.eliminate_unreachable_code(self.isa)?;
            self.uses = None;
        }
        Ok(())
    }

    /// Makes the edits in their order, as far as the limit lets it, and makes the function
    /// whole again.
    ///
    /// # Errors
    ///
    /// What Cranelift's passes say that do so.
    pub fn apply(&mut self, edits: &[Edit]) -> CodegenResult<Touched> {
        let mut touched = Touched::default();
        for edit in edits {
            if self.make(edit)? {
                touched = touched.and(edit.change.touches());
            }
        }
        if touched.aliases {
            self.has_aliases = true;
            if !self.leaves_aliases {
                let named = Named::find(&self.ctx.func);
                touched.values |= named.reach_arithmetic(&self.ctx.func);
                self.uses = Some(named.resolve(&mut self.ctx.func));
                self.has_aliases = false;
            }
        }
        if touched.graph {
            self.uses = None;
            self.ctx.flowgraph();
            self.repair();
            self.remove_unreachable_blocks()?;
        }
        if touched.graph || touched.params {
            self.remove_constant_params()?;
        }
        if touched.any
            && let Some(observer) = &mut self.observer
        {
            match edits {
                [edit] if matches!(edit.change, Change::RunEgraph) => {
                    observer.trusted(&self.ctx.func);
                }
                _ => observer.step(&self.ctx.func),
            }
        }
        Ok(touched)
    }

    /// Shows whoever watches what a part of an edit has made of the function, which stands by
    /// itself. In the function aliases stay until the end: the rest of the edit may name them.
    #[cfg(memopt_paths)]
    fn show_step(&mut self) {
        if let Some(observer) = &mut self.observer {
            let mut shown = self.ctx.func.clone();
            aliases::resolve(&mut shown);
            observer.step(&shown);
        }
    }

    /// Makes one edit, unless the limit is reached, and counts it.
    fn make(&mut self, edit: &Edit) -> CodegenResult<bool> {
        if !self.has_room() {
            return Ok(false);
        }
        if let Some(observer) = &mut self.observer {
            observer.edit(&self.ctx.func, edit);
        }
        self.keep_uses(&edit.change);
        if core::mem::take(&mut self.is_untouched) {
            egraph::forget_removed_branches(&mut self.ctx.func);
        }
        if !self.change(&edit.change)? {
            return Ok(false);
        }
        crate::trace!("memopt: {:?} because of {:?}", edit.change, edit.reason);
        self.stats.count(&edit.change);
        if let Some(room) = &mut self.room {
            *room -= 1;
        }
        Ok(true)
    }

    /// Changes the function; `false` if that cannot be written down.
    fn change(&mut self, change: &Change) -> CodegenResult<bool> {
        let func = &mut self.ctx.func;
        match change {
            Change::ReplaceLoad {
                load,
                value,
                recipe,
            } => return Ok(self.replace_load(*load, *value, recipe)),
            Change::ReplaceLoadByConstant(load, bits) => {
                return Ok(self.replace_load_by_constant(*load, *bits));
            }
            Change::ReplaceLoadByHalves(load, halves) => {
                self.replace_load_by_halves(*load, *halves);
            }
            Change::MergeStores(merged) => return Ok(self.merge_stores(merged)),
            Change::CombineLoads(combined) => return Ok(self.combine_loads(combined)),
            Change::TrimStore(store) => return Ok(self.replace_store(store)),
            Change::ReplaceLoadByParam { load, block, args } => {
                self.replace_load_by_param(*load, *block, args);
            }
            Change::ReplaceLoadBySelect {
                load,
                condition,
                values,
            } => self.replace_load_by_select(*load, *condition, *values),
            Change::RemoveNoopStore(inst)
            | Change::RemoveDeadStore(inst)
            | Change::RemoveUnusedLoad(inst)
            | Change::RemoveUnusedCode(inst)
            | Change::RemoveTrap(inst) => func.layout.remove_inst(*inst),
            Change::RemoveNoopCopy(inst) | Change::RemoveDeadCopy(inst) => self.remove_copy(*inst),
            Change::ForwardCopy(forwarded) => self.forward_copy(forwarded),
            Change::ExpandCopy(expanded) => return Ok(self.expand_copy(expanded)),
            Change::RemoveParams(list) => params::remove(func, &self.ctx.cfg, list),
            Change::RemoveCycles { params, insts } => {
                for inst in insts {
                    func.layout.remove_inst(*inst);
                }
                params::remove(func, &self.ctx.cfg, params);
            }
            Change::FoldCompare(inst, result) => {
                let ty = func.dfg.value_type(func.dfg.first_result(*inst));
                func.replace(*inst).iconst(ty, i64::from(*result));
            }
            Change::FoldBranch(inst, taken) => self.fold_branch(*inst, *taken),
            Change::Bypass(bypass) => self.bypass(bypass),
            Change::Straighten { block, into } => return Ok(cfg_edit::merge(func, *block, *into)),
            Change::MergeBlocks(_)
            | Change::Thread(_)
            | Change::Sink(_)
            | Change::JoinStores(_)
            | Change::SinkLoad(..)
            | Change::SinkPure(..)
            | Change::MoveUp(_)
            | Change::HoistLoads(_)
            | Change::MergeLoads(_)
            | Change::CarryRound(_)
            | Change::TurnLoop(_) => self.change_on_paths(change),
            Change::LoadWhereChosen(choices) => self.load_where_chosen(choices),
            Change::AccessBoth {
                select,
                accesses,
                sums,
            } => return Ok(self.access_both(*select, accesses, sums)),
            Change::NumberPlaces(numbered) => return Ok(self.number_places(numbered)),
            Change::Promote(promotion) => return Ok(self.promote(promotion)),
            Change::FreeSlot(slot) => slots::free(func, *slot),
            Change::FreeAddressed(slot, addresses) => {
                for inst in addresses {
                    func.layout.remove_inst(*inst);
                }
                slots::free(func, *slot);
            }
            Change::ShrinkSlot {
                slot,
                start,
                size,
                addresses,
            } => slots::shrink(func, *slot, *start, *size, addresses),
            Change::ShareSlot {
                slot,
                with,
                start,
                addresses,
            } => slots::share(func, *slot, (*with, *start), addresses),
            Change::ComputeAgain(value, block) => self.compute_again(*value, *block),
            Change::RunEgraph => {
                // It does so with all of them.
                self.kept.clear();
                let has_run = egraph::run_again(self.ctx, self.isa, self.policy)?;
                self.uses = Some(aliases::resolve(&mut self.ctx.func));
                return Ok(has_run);
            }
        }
        Ok(true)
    }

    /// In front of `inst`, and with its source location.
    fn cursor_at(&mut self, inst: Inst) -> FuncCursor<'_> {
        let mut cursor = FuncCursor::new(&mut self.ctx.func).at_inst(inst);
        cursor.use_srcloc(inst);
        cursor
    }

    fn fold_branch(&mut self, branch: Inst, taken: usize) {
        let dfg = &self.ctx.func.dfg;
        let data = dfg.insts[branch];
        let call = data.branch_destination(&dfg.jump_tables, &dfg.exception_tables)[taken];
        let block = call.block(&dfg.value_lists);
        let args: Vec<BlockArg> = call.args(&dfg.value_lists).collect();
        self.ctx.func.replace(branch).jump(block, &args);
    }

    /// Lets every edge of the branches to a block that nothing but a jump is in go where the
    /// jump leads.
    fn bypass(&mut self, bypass: &Bypass) {
        let func = &mut self.ctx.func;
        let Some(jump) = func.layout.first_inst(bypass.block) else {
            return;
        };
        let onward = Edge {
            branch: jump,
            destination: 0,
        };
        let target = cfg_edit::target(func, onward);
        let args = cfg_edit::arguments(func, onward);
        for edge in &bypass.edges {
            if cfg_edit::target(func, *edge) == bypass.block {
                lead_on(func, *edge, bypass.block, target, &args);
            }
        }
    }

    /// Removes parameters that take one value alone.
    fn remove_constant_params(&mut self) -> CodegenResult<()> {
        if constant_params::exist(&self.ctx.func) {
            self.ctx.remove_constant_phis(self.isa)?;
            // They are aliases now.
            self.uses = Some(aliases::resolve(&mut self.ctx.func));
        }
        Ok(())
    }
}

#[cfg(not(memopt_paths))]
impl Editor<'_> {
    /// Without the wing there are no such edits.
    fn change_on_paths(&mut self, _: &Change) {}

    /// Nor are there copies.
    fn repair(&mut self) {
        debug_assert!(self.copied.is_empty());
    }
}

/// Graph and dominator tree of the function, unless they are at hand.
fn find_graph(ctx: &mut Context) {
    if !ctx.cfg.is_valid() || !ctx.domtree.is_valid() {
        ctx.flowgraph();
    }
}

/// Lets `edge`, which leads to `block`, lead to `target` with `args`, in which the
/// parameters of `block` are what the edge passes.
fn lead_on(func: &mut Function, edge: Edge, block: Block, target: Block, args: &[BlockArg]) {
    let passed = cfg_edit::arguments(func, edge);
    let args: Vec<BlockArg> = args
        .iter()
        .map(|arg| through(func, block, &passed, *arg))
        .collect();
    let dfg = &mut func.stencil.dfg;
    let call = BlockCall::new(target, args, &mut dfg.value_lists);
    let calls = dfg.insts[edge.branch]
        .branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
    calls[edge.destination] = call;
}

/// `arg`, as it is where `block` is entered with the arguments `passed`.
fn through(func: &Function, block: Block, passed: &[BlockArg], arg: BlockArg) -> BlockArg {
    let BlockArg::Value(value) = arg else {
        return arg;
    };
    let value = func.dfg.resolve_aliases(value);
    let params = func.dfg.block_params(block).iter();
    let at = { params }.position(|param| *param == value);
    match at {
        Some(at) => passed[at],
        None => BlockArg::Value(value),
    }
}
