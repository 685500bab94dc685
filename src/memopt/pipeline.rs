//! One run of the passes over one function: rounds until nothing changes.
//!
//! [`PASSES`](table::PASSES) is the order in which they are tried.

use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::isa::TargetIsa;
use crate::memopt::analyses::Analyses;
use crate::memopt::apply::{Aliases, Editor};
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::edit::{Edit, Touched};
use crate::memopt::gate;
use crate::memopt::memory::insts::TargetFacts;
use crate::memopt::observer::Observer;
use crate::memopt::options::{Effort, Options};
use crate::memopt::passes::dead_code;
use crate::memopt::refusal::Refusals;
use crate::memopt::scratch::Scratch;
use crate::memopt::search::{self, CleanUp, Job, Pass};
use crate::memopt::stats::Stats;
use crate::{CodegenResult, Context};
use alloc::vec::Vec;
use table::PASSES;

#[cfg(memopt_paths)]
mod on_paths;
mod stages;
mod table;

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
    run_in(ctx, isa, policy, options, None, &mut Scratch::default())
}

/// [`run()`], in the lists that the last run has left in `scratch`, with `observer` watching. It is
/// told nothing if there is nothing that a pass could remove.
///
/// # Errors
///
/// Those of [`run()`].
pub fn run_in<'a>(
    ctx: &'a mut Context,
    isa: &'a dyn TargetIsa,
    policy: &'a dyn Policy,
    options: &'a Options,
    observer: Option<&'a mut dyn Observer>,
    scratch: &mut Scratch,
) -> CodegenResult<Stats> {
    if let Some(skipped) = gate::skipped(&ctx.func, isa, policy, options) {
        return Ok(skipped.stats());
    }
    let is_worth_it = gate::is_open(&ctx.func, policy, Effort::Gated);
    let insts = ctx.func.dfg.num_insts();
    let copies = COPIES_PER_RUN + insts / INSTS_PER_COPY;
    let refusals = Refusals::new(observer.as_ref().is_some_and(|it| it.wants_refusals()));
    let is_left = gate::is_left(&ctx.func, policy, options.effort);
    let limit = options.edit_limit;
    // What nobody needs is looked for first where that pays, and tells whether there are any.
    let aliases = match is_left && !is_worth_it {
        true => Aliases::Resolved,
        false => Aliases::Unknown,
    };
    let editor = Editor::new(ctx, isa, policy, observer, limit, aliases)?;
    debug_assert!(
        is_current(editor.context()),
        "graph or tree of another function"
    );
    let names_handler = cfg_edit::names_handler(&editor.context().func);
    let mut run = Run {
        editor,
        analyses: scratch.begin(),
        policy,
        options,
        target: TargetFacts::of(isa),
        names_handler,
        insts,
        is_worth_it,
        by_memory: false,
        has_sunk: false,
        steps: MAX_ROUNDS,
        has_unused_param: false,
        is_acyclic: false,
        copies,
        refusals,
        egraph: match options.rerun_egraph {
            true => Rerun::Ahead(Touched::default()),
            false => Rerun::Over,
        },
        exhausted: PASSES.len(),
    };
    if !names_handler {
        run.editor.remove_unreachable_blocks()?;
    }
    run.editor.stats.runs = 1;
    match is_left {
        true => run.all()?,
        false => run.without_memory()?,
    }
    run.editor.stats.limits_hit += u32::from(run.copies == 0);
    let Run {
        editor, analyses, ..
    } = run;
    scratch.end(&editor.context().func, analyses);
    editor.finish()
}

/// One run over one function.
struct Run<'a> {
    /// Has the function to itself.
    editor: Editor<'a>,
    analyses: Analyses,
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
    /// Times that passes may still be tried again at once. Beyond them they wait for the next round,
    /// so that a deep nest of loops, through which an access goes loop by loop, costs no more than
    /// twice its rounds. Nor are they tried again where a limit is hit.
    steps: u32,
    /// When dead code was last looked for, nobody used some block parameter.
    has_unused_param: bool,
    /// No parameter only feeds itself in the function as it is.
    is_acyclic: bool,
    /// Instructions that may still be copied past branches.
    copies: usize,
    refusals: Refusals,
    egraph: Rerun,
    /// The passes from here on find nothing in the function as it is.
    exhausted: usize,
}

/// The run of upstream's egraph pass between the rounds.
#[derive(Clone, Copy)]
enum Rerun {
    /// It has been, or is not to be.
    Over,
    /// The edits so far have touched this.
    Ahead(Touched),
    /// It comes before anything else is looked for.
    Due,
}

impl Rerun {
    /// Edits have touched the function.
    fn note(&mut self, touched: Touched) {
        if let Self::Ahead(all) = self {
            *all = all.and(touched);
        }
    }

    fn is_due(self) -> bool {
        matches!(self, Self::Due)
    }
}

impl Run<'_> {
    /// All rounds, or those before the egraph pass is due. Has the function `changed` since unused
    /// code was last looked for?
    fn rounds(&mut self, changed: bool) -> CodegenResult<Touched> {
        let mut touched = match changed {
            true => self.unused_code()?,
            false => Touched::default(),
        };
        for number in 1..=MAX_ROUNDS {
            let hits = self.editor.stats.limits_hit;
            let round = self.round()?;
            touched = touched.and(round);
            if !round.any {
                return Ok(touched);
            }
            self.editor.stats.rounds += 1;
            let func = &self.editor.context().func;
            if self.options.effort == Effort::Gated
                && !gate::holds_memory(func)
                && !self.locals_decide()
            {
                return Ok(touched.and(self.branches()?));
            }
            if !self.by_memory && !self.is_worth_it && self.insts > MAX_LOOKED_AT_AGAIN {
                self.editor.stats.limits_hit += 1;
                return Ok(touched.and(self.branches()?));
            }
            if self.egraph.is_due() {
                return Ok(touched);
            }
            if number >= MAX_LIMITED_ROUNDS && self.editor.stats.limits_hit > hits {
                return Ok(touched);
            }
        }
        self.editor.stats.limits_hit += 1;
        Ok(touched)
    }

    /// Every pass once, but what concerns some paths through the function and
    /// not others only if nothing else has changed. Behind such edits the egraph pass is due if it
    /// pays, so that what it opens and what the edits open are looked for at once.
    fn round(&mut self) -> CodegenResult<Touched> {
        let mut touched = Touched::default();
        let mut next = 0;
        while self.editor.has_room()
            && let Some((at, edits)) = self.search(&PASSES[..self.exhausted], next, !touched.any)
        {
            let pass = &PASSES[at];
            next = at + 1;
            let mut made = self.apply(&edits)?;
            if pass.with_next {
                if let Some((_, edits)) = self.search(&PASSES[..=next], next, false) {
                    made = made.and(self.apply(&edits)?);
                }
                next += 1;
            }
            if made.any {
                made = made.and(self.clean_up(pass.clean_up)?);
            }
            touched = touched.and(made);
            if pass.on_paths && made.any {
                if pass.again_at_once {
                    touched = touched.and(self.again()?);
                }
                if self.egraph_pays() {
                    self.egraph = Rerun::Due;
                }
                break;
            }
        }
        Ok(touched)
    }

    /// The passes that work their way through the graph, until they find nothing: each step
    /// lets them take the next, and all others look at what the last has left.
    fn again(&mut self) -> CodegenResult<Touched> {
        let mut touched = Touched::default();
        let first = PASSES.iter().position(|pass| pass.again_at_once);
        let first = first.unwrap_or(PASSES.len());
        let hits = self.editor.stats.limits_hit;
        while self.steps > 0 && self.editor.stats.limits_hit == hits {
            self.steps -= 1;
            let Some((at, edits)) = self.search(PASSES, first, true) else {
                self.exhausted = first;
                break;
            };
            let made = self.apply(&edits)?;
            if !made.any {
                break;
            }
            touched = touched.and(made).and(self.clean_up(PASSES[at].clean_up)?);
            if !PASSES[at].again_at_once {
                break;
            }
        }
        Ok(touched)
    }

    /// The first of `passes` from `from` on that finds something, and its edits.
    fn search(
        &mut self,
        passes: &[Pass],
        from: usize,
        on_paths: bool,
    ) -> Option<(usize, Vec<Edit>)> {
        let mut stats = Stats::default();
        self.by_memory = true;
        let job = Job {
            ctx: self.editor.context(),
            policy: self.policy,
            target: self.target,
            options: self.options,
            may_change_graph: !self.names_handler,
            on_paths,
            has_sunk: self.has_sunk,
            copies: &mut self.copies,
            by_memory: &mut self.by_memory,
            refusals: &mut self.refusals,
            stats: &mut stats,
        };
        let found = search::first(passes, from, job, &mut self.analyses);
        self.editor.stats += &stats;
        self.editor.refused(&self.refusals.take());
        found
    }

    /// Folds branches on constants, and removes what that leaves behind.
    fn branches(&mut self) -> CodegenResult<Touched> {
        let of_branches = PASSES.iter().position(|pass| pass.name == "branches");
        let Some(at) = of_branches else {
            return Ok(Touched::default());
        };
        let Some((_, edits)) = self.search(&PASSES[..=at], at, false) else {
            return Ok(Touched::default());
        };
        let touched = self.apply(&edits)?;
        match touched.any {
            true => Ok(touched.and(self.unused_code()?)),
            false => Ok(touched),
        }
    }

    /// Makes edits, and drops the analyses that they concern.
    fn apply(&mut self, edits: &[Edit]) -> CodegenResult<Touched> {
        let replaced = self
            .analyses
            .before(self.editor.context(), self.policy, edits);
        let touched = self.editor.apply(edits)?;
        let (ctx, made) = (self.editor.context(), (edits, &replaced[..]));
        self.analyses
            .update(ctx, self.policy, self.target, made, touched);
        self.note(touched);
        Ok(touched)
    }

    /// The function has been touched.
    fn note(&mut self, touched: Touched) {
        self.egraph.note(touched);
        if touched.any {
            self.exhausted = PASSES.len();
            self.is_acyclic = false;
        }
    }

    fn clean_up(&mut self, what: CleanUp) -> CodegenResult<Touched> {
        match what {
            CleanUp::Nothing => Ok(Touched::default()),
            CleanUp::Code => self.unused_code(),
            CleanUp::SunkStores | CleanUp::Paths => self.clean_up_paths(what),
        }
    }

    /// Removes code that nobody uses.
    fn unused_code(&mut self) -> CodegenResult<Touched> {
        let uses = self.editor.uses();
        let func = &self.editor.context().func;
        let dead = dead_code::find(func, self.policy, self.options.unused_loads, uses);
        self.has_unused_param = dead.uses.have_unused_param(func);
        let touched = self.apply(&dead.edits)?;
        self.editor.give_uses(dead.uses);
        Ok(touched)
    }
}

#[cfg(not(memopt_paths))]
impl Run<'_> {
    /// Without the wing no branch is threaded.
    fn locals_decide(&self) -> bool {
        false
    }

    /// Nor are any of them.
    fn thread_locals(&mut self) -> CodegenResult<Touched> {
        Ok(Touched::default())
    }

    /// Without the wing nothing of this is left behind.
    fn clean_up_paths(&mut self, _: CleanUp) -> CodegenResult<Touched> {
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
