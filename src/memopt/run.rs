//! One run of the passes over one function: rounds until nothing changes.

use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{Function, Opcode};
use crate::isa::TargetIsa;
use crate::memopt::apply::Editor;
use crate::memopt::call::effects::Policy;
use crate::memopt::edit::{Change, Edit, Reason, Touched};
use crate::memopt::gate;
use crate::memopt::inst::effect::any_inst;
use crate::memopt::memory::insts::TargetFacts;
use crate::memopt::observer::Observer;
use crate::memopt::options::{Effort, Options};
use crate::memopt::passes::uses::Uses;
use crate::memopt::passes::{branches, dead_code, dead_cycles};
use crate::memopt::refusal::Refusals;
use crate::memopt::run_before::promote;
use crate::memopt::search::{Search, Stage};
use crate::memopt::stats::Stats;
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

/// The largest function, in instructions that the mid-end has made, that is looked at again
/// behind paths past branches that memory has no part in.
///
/// Half of the functions of WebAssembly have such a path, and another look costs as much as
/// the first. What is given up is what such a path uncovers in a function that is larger
/// and that gated effort would not look at: 0.1 to 0.4 % of the code. The run counts one hit.
const MAX_LOOKED_AT_AGAIN: usize = 512;

/// The egraph pass runs again if a value was forwarded for each so many instructions, or if
/// a slot was freed or a branch folded.
///
/// It costs a fifth of a compile, and few forwarded values in a large function give it next
/// to nothing to do: on functions of WebAssembly 0.02 to 0.6 % of the code.
const INSTS_PER_FORWARDED: usize = 64;

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
    let is_worth_it = gate::is_open(&ctx.func, policy, Effort::Gated);
    let insts = ctx.func.dfg.num_insts();
    let copies = COPIES_PER_RUN + insts / INSTS_PER_COPY;
    let refusals = Refusals::new(observer.as_ref().is_some_and(|it| it.wants_refusals()));
    let editor = Editor::new(ctx, isa, policy, observer, options.edit_limit)?;
    debug_assert!(
        is_current(editor.context()),
        "graph or tree of another function"
    );
    let names_handler = names_handler(&editor.context().func);
    let mut run = Run {
        editor,
        policy,
        options,
        target: TargetFacts::of(isa),
        names_handler,
        insts,
        is_worth_it,
        by_memory: false,
        has_sunk: false,
        copies,
        refusals,
    };
    if !names_handler {
        run.editor.remove_unreachable_blocks()?;
    }
    run.editor.stats.runs = 1;
    run.all()?;
    run.editor.stats.limits_hit += u32::from(run.copies == 0);
    run.editor.finish()
}

/// One run over one function.
struct Run<'a> {
    /// Has the function to itself.
    editor: Editor<'a>,
    policy: &'a dyn Policy,
    options: &'a Options,
    target: TargetFacts,
    /// The address of a handler's block is taken: that block has to stay with
    /// its `try_call`, even if nothing leads to it, so that the graph is left
    /// as it is.
    names_handler: bool,
    /// About the instructions of the function.
    insts: usize,
    /// Would gated effort look at the function?
    is_worth_it: bool,
    /// Memory has a part in what the last search has found.
    by_memory: bool,
    /// Stores have moved, so that what feeds them can follow.
    has_sunk: bool,
    /// Instructions that may still be copied past branches.
    copies: usize,
    refusals: Refusals,
}

impl Run<'_> {
    /// All rounds, and those behind the egraph pass.
    fn all(&mut self) -> CodegenResult<()> {
        let touched = self.settle()?;
        self.editor.settled();
        if touched.values && self.options.rerun_egraph && self.egraph_pays() {
            let edit = Change::RunEgraph.because(Reason::ReachedArithmetic);
            if self.editor.apply(&[edit])?.any {
                self.settle()?;
                self.editor.settled();
            }
        }
        Ok(())
    }

    /// Promotion and all rounds, until neither finds anything: what the rounds remove may be
    /// all that has kept a slot in memory.
    fn settle(&mut self) -> CodegenResult<Touched> {
        let mut touched = self.promote()?;
        loop {
            let round = self.rounds()?;
            let mut more = self.dead_cycles()?;
            if round.and(more).any {
                more = more.and(self.promote()?);
            }
            touched = touched.and(round).and(more);
            if !more.any {
                return Ok(touched);
            }
        }
    }

    /// Removes parameters that only feed themselves, where nothing else is found.
    fn dead_cycles(&mut self) -> CodegenResult<Touched> {
        let func = &self.editor.context().func;
        let edits = dead_cycles::edits(func, self.policy, self.options.unused_loads);
        self.editor.apply(&edits)
    }

    fn promote(&mut self) -> CodegenResult<Touched> {
        promote(&mut self.editor, self.policy, self.target, self.options)
    }

    /// Can the egraph pass find enough to be worth its time?
    fn egraph_pays(&self) -> bool {
        let stats = &self.editor.stats;
        let forwarded = stats.forwarded_loads + stats.joined_loads + stats.raised_loads;
        stats.freed_slots > 0
            || stats.folded_branches > 0
            || forwarded as usize * INSTS_PER_FORWARDED >= self.insts
    }

    fn rounds(&mut self) -> CodegenResult<Touched> {
        let mut touched = self.dead_code()?;
        for number in 1..=MAX_ROUNDS {
            let hits = self.editor.stats.limits_hit;
            let round = self.round()?;
            touched = touched.and(round);
            if !round.any {
                return Ok(touched);
            }
            self.editor.stats.rounds += 1;
            if !self.by_memory && !self.is_worth_it && self.insts > MAX_LOOKED_AT_AGAIN {
                self.editor.stats.limits_hit += 1;
                let folded = self.branches()?;
                return Ok(touched.and(self.without_dead_code(folded)?));
            }
            if number >= MAX_LIMITED_ROUNDS && self.editor.stats.limits_hit > hits {
                return Ok(touched);
            }
        }
        self.editor.stats.limits_hit += 1;
        Ok(touched)
    }

    /// Every pass once, but what concerns some paths through the function and
    /// not others only if nothing else has changed.
    fn round(&mut self) -> CodegenResult<Touched> {
        let mut touched = Touched::default();
        let mut next = Some(Stage::FIRST);
        while let Some(first) = next
            && self.editor.has_room()
            && let Some((stage, edits)) = self.search(first, !touched.any)
        {
            let made = self.make(stage, &edits)?;
            touched = touched.and(made);
            next = match stage {
                // That has folded branches as well.
                Stage::Values => Stage::Branches.next(),
                // Each changes the graph, so that those before it come first again.
                Stage::Joins | Stage::Sinking if made.any => None,
                stage => stage.next(),
            };
        }
        Ok(touched)
    }

    fn search(&mut self, first: Stage, on_paths: bool) -> Option<(Stage, Vec<Edit>)> {
        let Context {
            func, cfg, domtree, ..
        } = self.editor.context();
        let mut stats = Stats::default();
        self.by_memory = true;
        let search = Search {
            func,
            cfg,
            domtree,
            policy: self.policy,
            target: self.target,
            options: self.options,
            may_change_graph: !self.names_handler,
            ways: on_paths,
            has_sunk: self.has_sunk,
            copies: &mut self.copies,
            by_memory: &mut self.by_memory,
            refusals: &mut self.refusals,
            stats: &mut stats,
        };
        let found = search.from(first);
        self.editor.stats += &stats;
        self.editor.refused(&self.refusals.take());
        found
    }

    /// Makes the edits of one pass, and removes what they have left behind.
    fn make(&mut self, stage: Stage, edits: &[Edit]) -> CodegenResult<Touched> {
        match stage {
            Stage::Values => {
                let touched = self.editor.apply(edits)?;
                let touched = touched.and(self.branches()?);
                self.without_dead_code(touched)
            }
            Stage::Branches | Stage::DeadStores => {
                let touched = self.editor.apply(edits)?;
                self.without_dead_code(touched)
            }
            Stage::Slots => self.editor.apply(edits),
            Stage::Joins | Stage::Sinking | Stage::SinkingValues => {
                self.make_on_paths(stage, edits)
            }
        }
    }

    fn without_dead_code(&mut self, touched: Touched) -> CodegenResult<Touched> {
        match touched.any {
            true => Ok(touched.and(self.dead_code()?)),
            false => Ok(touched),
        }
    }

    fn branches(&mut self) -> CodegenResult<Touched> {
        if !self.options.fold_branches || self.names_handler {
            return Ok(Touched::default());
        }
        let edits = branches::edits(&self.editor.context().func);
        self.editor.apply(&edits)
    }

    fn dead_code(&mut self) -> CodegenResult<Touched> {
        Ok(self.unused_code()?.0)
    }

    /// Removes code that nobody uses; also the uses that are left.
    fn unused_code(&mut self) -> CodegenResult<(Touched, Uses)> {
        let func = &self.editor.context().func;
        let dead = dead_code::find(func, self.policy, self.options.unused_loads);
        let touched = self.editor.apply(&dead.edits)?;
        // At the limit of edits some of it is still there, and then nothing is made of these.
        Ok((touched, dead.uses))
    }
}

#[cfg(not(memopt_paths))]
impl Run<'_> {
    /// Without the wing there are no such edits.
    fn make_on_paths(&mut self, _: Stage, _: &[Edit]) -> CodegenResult<Touched> {
        Ok(Touched::default())
    }
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
