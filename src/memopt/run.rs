//! One run of the passes over one function: rounds until nothing changes.

use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::types::INVALID;
use crate::ir::{Function, Opcode, Value};
use crate::isa::TargetIsa;
use crate::memopt::apply::Applier;
use crate::memopt::call::effects::Policy;
use crate::memopt::edit::{Changes, Copied, Edit};
use crate::memopt::gate;
use crate::memopt::inst::effect::any_inst;
use crate::memopt::memory::insts::TargetFacts;
use crate::memopt::observer::Observer;
use crate::memopt::options::Options;
use crate::memopt::passes::uses::Uses;
use crate::memopt::passes::{branches, constant_params, dead_code};
use crate::memopt::search::{Search, Stage};
use crate::memopt::stats::Stats;
use crate::memopt::workarounds::egraph;
use crate::settings::OptLevel;
use crate::{CodegenResult, Context};
use alloc::vec::Vec;

#[cfg(memopt_paths)]
mod on_paths;

/// Rounds of all passes.
///
/// What one round removes lets the next see more; an adapter needs two, one
/// inside another three. What is given up beyond it is the rest of a longer
/// chain, and the run counts one hit.
const MAX_ROUNDS: u32 = 12;

/// Rounds after which a function that hits other limits gets no further one.
///
/// Every removed store leaves room for another class to be tracked, so that
/// each round of a very large function could find a little more, at full price.
/// What is given up is that little; the limits that were hit tell.
const MAX_LIMITED_ROUNDS: u32 = 3;

/// Instructions that jump threading may copy in one run, and one more for each
/// [`INSTS_PER_COPY`] of the function.
///
/// An adapter around two others copies forty on its hot path. Functions in which
/// paths determine branches everywhere would grow for little; what is given up is the
/// rest of those, and the run counts one hit.
const COPIES_PER_RUN: usize = 48;

/// See [`COPIES_PER_RUN`].
const INSTS_PER_COPY: usize = 256;

/// Runs the passes on `ctx.func` until nothing changes, within a limit.
///
/// `ctx` is in the state that [`Context::optimize`] leaves, or freshly filled: its
/// graph and dominator tree are those of the function, or not computed. They are
/// valid afterwards. Upstream's egraph pass
/// runs once more if an edit gave it something new and `options` allow it; see
/// [`one_region`](super::workarounds::one_region) for where regions would mislead it. It does
/// not where memory is accessed that the world writes at any time: to upstream
/// that is memory like any other.
/// With `opt_level=none` nothing is changed.
///
/// # Errors
///
/// What the verifier says, if `isa` has it enabled.
pub fn run(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
) -> CodegenResult<Stats> {
    run_observed(ctx, isa, policy, options, None)
}

/// [`run()`], with `observer` watching. It is told nothing if there is nothing that a
/// pass could remove.
///
/// # Errors
///
/// Those of [`run()`].
pub fn run_observed<'a>(
    ctx: &'a mut Context,
    isa: &'a dyn TargetIsa,
    policy: &'a dyn Policy,
    options: &'a Options,
    observer: Option<&'a mut dyn Observer>,
) -> CodegenResult<Stats> {
    let mut stats = Stats::default();
    if isa.flags().opt_level() == OptLevel::None {
        stats.skipped_by_opt_level = 1;
        return Ok(stats);
    }
    if !gate::is_open(&ctx.func, policy, options.effort) {
        stats.skipped_by_effort = 1;
        return Ok(stats);
    }
    stats.runs = 1;
    let insts = ctx.func.dfg.num_insts();
    let mut run = Run {
        ctx,
        isa,
        policy,
        options,
        stats,
        room: options.edit_limit,
        target: TargetFacts::of(isa),
        names_handler: false,
        has_sunk: false,
        copied: Vec::new(),
        copies: COPIES_PER_RUN + insts / INSTS_PER_COPY,
        observer,
    };
    run.all()?;
    run.stats.limits_hit += u32::from(run.copies == 0);
    Ok(run.stats)
}

/// One run over one function.
struct Run<'a> {
    ctx: &'a mut Context,
    isa: &'a dyn TargetIsa,
    policy: &'a dyn Policy,
    options: &'a Options,
    stats: Stats,
    room: Option<u32>,
    target: TargetFacts,
    /// The address of a handler's block is taken: that block has to stay with
    /// its `try_call`, even if nothing leads to it, so that the graph is left
    /// as it is.
    names_handler: bool,
    /// Stores have moved, so that what feeds them can follow.
    has_sunk: bool,
    /// Values that have copies and await repair.
    copied: Vec<Copied>,
    /// Instructions that may still be copied past branches.
    copies: usize,
    /// Who watches.
    observer: Option<&'a mut dyn Observer>,
}

impl Run<'_> {
    /// All rounds.
    fn all(&mut self) -> CodegenResult<()> {
        self.prepare()?;
        let changes = self.rounds()?;
        self.settled();
        if changes.values
            && self.options.rerun_egraph
            && egraph::run_again(self.ctx, self.isa, self.policy)?
        {
            if let Some(observer) = &mut self.observer {
                observer.trusted(&self.ctx.func);
            }
            self.rounds()?;
            self.settled();
        }
        if changes.any {
            self.ctx.verify_if(self.isa)?;
        }
        Ok(())
    }

    /// All rounds are over.
    fn settled(&mut self) {
        if let Some(observer) = &mut self.observer {
            observer.settled(&self.ctx.func);
        }
    }

    /// A pass has made its edits, and the function is whole.
    fn step(&mut self, changes: Changes) -> Changes {
        if changes.any
            && let Some(observer) = &mut self.observer
        {
            observer.step(&self.ctx.func);
        }
        changes
    }

    /// Brings aliases, graph and dominator tree up to date.
    fn prepare(&mut self) -> CodegenResult<()> {
        egraph::forget_removed_branches(&mut self.ctx.func);
        if has_aliases(&self.ctx.func) {
            self.ctx.func.dfg.resolve_all_aliases();
        }
        if !self.ctx.cfg.is_valid() || !self.ctx.domtree.is_valid() {
            self.ctx.flowgraph();
        }
        debug_assert!(is_current(self.ctx), "graph or tree of another function");
        self.ctx.verify_if(self.isa)?;
        self.names_handler = names_handler(&self.ctx.func);
        if !self.names_handler {
            self.remove_unreachable_blocks()?;
        }
        Ok(())
    }

    fn remove_unreachable_blocks(&mut self) -> CodegenResult<()> {
        let domtree = &self.ctx.domtree;
        let mut blocks = self.ctx.func.layout.blocks();
        if blocks.any(|block| !domtree.is_reachable(block)) {
            // Keeps the graph up to date; to the tree they were no part of it.
            self.ctx.eliminate_unreachable_code(self.isa)?;
        }
        Ok(())
    }

    fn rounds(&mut self) -> CodegenResult<Changes> {
        let mut changes = self.dead_code();
        for number in 1..=MAX_ROUNDS {
            let hits = self.stats.limits_hit;
            let round = self.round()?;
            changes = changes.and(round);
            if !round.any {
                return Ok(changes);
            }
            self.stats.rounds += 1;
            if number >= MAX_LIMITED_ROUNDS && self.stats.limits_hit > hits {
                return Ok(changes);
            }
        }
        self.stats.limits_hit += 1;
        Ok(changes)
    }

    /// Every pass once, but what concerns some ways through the function and
    /// not others only if nothing else has changed.
    fn round(&mut self) -> CodegenResult<Changes> {
        let mut changes = Changes::default();
        let mut next = Some(Stage::FIRST);
        while let Some(first) = next
            && let Some((stage, edits)) = self.search(first, !changes.any)
        {
            let made = self.make(stage, &edits)?;
            changes = changes.and(made);
            next = match stage {
                // That has folded branches as well.
                Stage::Values => Stage::Branches.next(),
                // Each changes the graph, so that those before it come first again.
                Stage::Joins | Stage::Sinking if made.any => None,
                stage => stage.next(),
            };
        }
        Ok(changes)
    }

    fn search(&mut self, first: Stage, ways: bool) -> Option<(Stage, Vec<Edit>)> {
        let search = Search {
            func: &self.ctx.func,
            cfg: &self.ctx.cfg,
            domtree: &self.ctx.domtree,
            policy: self.policy,
            target: self.target,
            options: self.options,
            may_change_graph: !self.names_handler,
            ways,
            has_sunk: self.has_sunk,
            copies: &mut self.copies,
            stats: &mut self.stats,
        };
        search.from(first)
    }

    /// Makes the edits of one pass, and removes what they have left behind.
    fn make(&mut self, stage: Stage, edits: &[Edit]) -> CodegenResult<Changes> {
        Ok(match stage {
            Stage::Values => {
                let changes = self.apply(edits);
                self.step(changes);
                let changes = changes.and(self.branches()?);
                self.without_dead_code(changes)
            }
            Stage::Branches => {
                let changes = self.fold(edits)?;
                self.without_dead_code(changes)
            }
            Stage::DeadStores => {
                let changes = self.apply(edits);
                self.step(changes);
                self.without_dead_code(changes)
            }
            Stage::Slots => self.apply(edits),
            Stage::Joins | Stage::Sinking | Stage::SinkingValues => {
                self.make_on_paths(stage, edits)?
            }
        })
    }

    fn without_dead_code(&mut self, changes: Changes) -> Changes {
        match changes.any {
            true => changes.and(self.dead_code()),
            false => changes,
        }
    }

    fn branches(&mut self) -> CodegenResult<Changes> {
        if !self.options.fold_branches || self.names_handler {
            return Ok(Changes::default());
        }
        let edits = branches::edits(&self.ctx.func);
        self.fold(&edits)
    }

    fn fold(&mut self, edits: &[Edit]) -> CodegenResult<Changes> {
        let changes = self.apply(edits);
        if changes.graph {
            self.ctx.flowgraph();
            self.tidy()?;
        }
        Ok(self.step(changes))
    }

    /// Removes what a change of the graph has left behind.
    fn tidy(&mut self) -> CodegenResult<()> {
        self.remove_unreachable_blocks()?;
        if constant_params::exist(&self.ctx.func) {
            self.ctx.remove_constant_phis(self.isa)?;
            // They are aliases now.
            self.ctx.func.dfg.resolve_all_aliases();
        }
        Ok(())
    }

    fn dead_code(&mut self) -> Changes {
        self.unused_code().0
    }

    /// Removes code that nobody uses; also the uses that are left.
    fn unused_code(&mut self) -> (Changes, Uses) {
        let dead = dead_code::find(&self.ctx.func, self.policy, self.options.unused_loads);
        let changes = self.apply(&dead.loads);
        // At the edit limit some of those loads have stayed, with their feed.
        if self.room != Some(0) {
            for inst in dead.pure {
                self.ctx.func.layout.remove_inst(inst);
            }
        }
        let uses = match self.room {
            Some(_) => Uses::new(&self.ctx.func),
            None => dead.uses,
        };
        (self.step(changes), uses)
    }

    fn apply(&mut self, edits: &[Edit]) -> Changes {
        let applier = Applier {
            func: &mut self.ctx.func,
            stats: &mut self.stats,
            room: &mut self.room,
            copied: &mut self.copied,
        };
        applier.apply(edits)
    }
}

#[cfg(not(memopt_paths))]
impl Run<'_> {
    /// Without the wing there are no such edits.
    fn make_on_paths(&mut self, _: Stage, _: &[Edit]) -> CodegenResult<Changes> {
        Ok(Changes::default())
    }
}

/// Is any value another name of one? Those that have been resolved everywhere have
/// no type any more.
fn has_aliases(func: &Function) -> bool {
    let dfg = &func.dfg;
    let mut values = (0..dfg.num_values() as u32).map(Value::from_u32);
    values.any(|value| dfg.value_is_alias(value) && dfg.value_type(value) != INVALID)
}

/// Are graph and dominator tree those of the function?
fn is_current(ctx: &Context) -> bool {
    let cfg = ControlFlowGraph::with_function(&ctx.func);
    let domtree = DominatorTree::with_function(&ctx.func, &cfg);
    domtree.cfg_postorder() == ctx.domtree.cfg_postorder()
        && domtree.cfg_postorder().iter().all(|block| {
            domtree.idom(*block) == ctx.domtree.idom(*block)
                && cfg.pred_iter(*block).eq(ctx.cfg.pred_iter(*block))
        })
}

/// Does `func` take the address of an exception handler's block?
fn names_handler(func: &Function) -> bool {
    any_inst(func, |inst| {
        func.dfg.insts[inst].opcode() == Opcode::GetExceptionHandlerAddress
    })
}
