//! What a run did, what it did not do, and why: as data.
//!
//! A [`Remark`] is about one instruction or stack slot. Either an edit concerns it, or a
//! pass looked at it and left it as it is; then the remark names the instruction or the
//! missing fact that is to blame. [`run`] and [`optimize_module`] collect them. The
//! functions of the same names at the root of the crate collect none, and pay for none.
//!
//! ```
//! # use cranelift_codegen::settings::{self, Configurable};
//! # use cranelift_codegen::{Context, isa};
//! use cranelift_memopt::remarks::{self, Outcome};
//! use cranelift_memopt::{NoPolicy, Options};
//! # let mut flags = settings::builder();
//! # flags.set("opt_level", "speed")?;
//! # let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
//! # let clif = "function %f(i64, i32) {
//! #     region0 = 1 \"mine\"
//! #     fn0 = %host(i64)
//! # block0(v0: i64, v1: i32):
//! #     store notrap aligned region0 v1, v0
//! #     call fn0(v0)
//! #     v2 = iadd v1, v1
//! #     store notrap aligned region0 v2, v0
//! #     return
//! # }";
//! # let func = cranelift_reader::parse_functions(clif)?.remove(0);
//!
//! // `func` stores, calls `host`, and stores again to the same place.
//! let mut ctx = Context::for_function(func);
//! let explained = remarks::run(&mut ctx, &*isa, &NoPolicy, &Options::full())?;
//! let kept = explained.remarks.iter().find(|remark| remark.outcome == Outcome::Kept);
//! let kept = kept.unwrap().to_string();
//! assert!(kept.starts_with("store inst0 kept: the call of %host at inst1 may read"), "{kept}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blockers;
mod collect;
mod done;
mod kept;
mod versions;
mod walkers;
mod words;

use crate::control::ControlPlane;
use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{Block, Function, Inst, SourceLoc, StackSlot};
use crate::isa::TargetIsa;
use crate::memopt::call::effects::Policy;
use crate::memopt::{Options, Stats, TargetFacts};
use crate::pipeline::{self, FunctionError, Phase};
use crate::{CodegenResult, Context};
use alloc::string::String;
use alloc::vec::Vec;
use collect::Collector;
use core::fmt;

/// Something that a run has to say about one instruction or stack slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remark {
    /// Was something done to it?
    pub outcome: Outcome,
    /// The counter of [`Stats`] that an edit of this kind moves; or the pass that left it
    /// as it is.
    pub pass: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// Its block, if it is an instruction.
    pub block: Option<Block>,
    /// Where it comes from, if the frontend has said so.
    pub location: SourceLoc,
    /// The instruction or the slot as text, as it was when the remark was made.
    pub text: String,
    /// What became of it, such as `removed`, `kept` or `sunk to block7`.
    pub what: String,
    /// Why, in one sentence without a full stop.
    pub reason: String,
    /// The instructions that the reason rests on, the first one first.
    pub blame: Vec<Blame>,
    /// What the embedder could tell, to have it otherwise.
    pub advice: Option<String>,
}

/// Was something done?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An edit was made.
    Done,
    /// It is as it was.
    Kept,
}

/// What a [`Remark`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// An instruction. It keeps its number when it moves, and nobody gets the number of one
    /// that was removed.
    Inst(Inst),
    /// A stack slot.
    Slot(StackSlot),
    /// A block.
    Block(Block),
    /// The function.
    Function,
}

/// An instruction that is the reason for a [`Remark`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blame {
    /// The instruction.
    pub inst: Inst,
    /// Its block, if it is in one.
    pub block: Option<Block>,
    /// Where it comes from, if the frontend has said so.
    pub location: SourceLoc,
    /// The instruction as text.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject,
            text,
            what,
            reason,
            advice,
            ..
        } = self;
        if let Subject::Inst(_) = subject {
            write!(f, "{} ", words::kind_of(text))?;
        }
        write!(f, "{subject} {what}: {reason}")?;
        match advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inst(inst) => inst.fmt(f),
            Self::Slot(slot) => slot.fmt(f),
            Self::Block(block) => block.fmt(f),
            Self::Function => f.write_str("function"),
        }
    }
}

/// Which versions of memory an access is between, as the passes see it.
///
/// A store, a call that may write and a join at which different versions meet each define one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// The access.
    pub inst: Inst,
    /// What it finds, such as `finds inst5`; of a store, what was there before, and what comes
    /// next to what it writes, such as `over inst5; next inst9 may see it`.
    pub text: String,
    /// The instructions that are named in it.
    pub insts: Vec<Inst>,
}

/// A run with all that it has to say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explained {
    /// What it did, in numbers.
    pub stats: Stats,
    /// The function without it, past the mid-end.
    pub before: Function,
    /// So many instructions, from the first, have the same numbers with it and without it.
    /// Those with larger ones were made on the way, with it or without it.
    pub source_insts: usize,
    /// Every edit, in order; then what was left as it is and is still there.
    pub remarks: Vec<Remark>,
    /// The versions of memory without it and with it, in the order of the blocks.
    pub versions: [Vec<Version>; 2],
}

/// [`run`](crate::run), with its remarks.
///
/// Cost: [`run`](crate::run), copies of the function, the text of each instruction that a
/// remark names, and two limited queries for each access.
///
/// # Errors
///
/// Those of [`run`](crate::run).
pub fn run(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
) -> CodegenResult<Explained> {
    let mut watched = Watched::default();
    let stats = watched.run(Phase::Behind, ctx, isa, policy, options)?;
    Ok(watched.explained(&ctx.func, stats))
}

/// [`optimize_module`](crate::optimize_module), with its remarks.
///
/// Cost: as [`run`] is to [`run`](crate::run).
///
/// # Errors
///
/// Those of [`optimize_module`](crate::optimize_module).
///
/// # Examples
///
/// ```
/// # use cranelift_codegen::settings::{self, Configurable};
/// # use cranelift_codegen::{Context, isa};
/// use cranelift_memopt::{NoPolicy, Options, remarks};
/// # let mut flags = settings::builder();
/// # flags.set("opt_level", "speed")?;
/// # let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
/// # let clif = "function %f(i32) {
/// #     ss0 = explicit_slot 4
/// # block0(v0: i32):
/// #     v1 = stack_addr.i64 ss0
/// #     store notrap aligned v0, v1
/// #     return
/// # }";
/// # let functions = cranelift_reader::parse_functions(clif)?.into_iter();
/// # let mut contexts: Vec<Context> = functions.map(Context::for_function).collect();
///
/// // A function stores into a slot that nobody reads.
/// let all = remarks::optimize_module(&mut contexts, &*isa, &|_| &NoPolicy, &Options::full())?;
/// let freed = all[0].remarks.iter().find(|remark| remark.pass == "freed_slots");
/// assert_eq!(freed.unwrap().to_string(), "ss0 freed: nothing names it any more");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn optimize_module<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
) -> Result<Vec<Explained>, FunctionError> {
    let mut watched = each(contexts);
    let run = |index: usize, phase, ctx: &mut Context, policy: &dyn Policy| {
        watched[index].run(phase, ctx, isa, policy, options)
    };
    let stats = pipeline::optimize_module_with(contexts, isa, policy_of, run)?;
    Ok(all_explained(contexts, watched, stats))
}

/// [`run_module`](crate::run_module), with its remarks.
///
/// Cost: as [`run`] is to [`run`](crate::run).
///
/// # Errors
///
/// Those of [`run_module`](crate::run_module).
pub fn run_module<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
) -> Result<Vec<Explained>, FunctionError> {
    let mut watched = each(contexts);
    let stats = pipeline::run_module_with(contexts, isa, policy_of, |index, ctx, policy| {
        watched[index].run(Phase::Behind, ctx, isa, policy, options)
    })?;
    Ok(all_explained(contexts, watched, stats))
}

/// A function that is watched, through all of its runs.
#[derive(Default)]
struct Watched {
    before: Option<Function>,
    source_insts: usize,
    collector: Collector,
    /// Edits before the mid-end.
    made: u32,
    /// Before the passes, and after them.
    versions: [Vec<Version>; 2],
}

impl Watched {
    fn run(
        &mut self,
        phase: Phase,
        ctx: &mut Context,
        isa: &dyn TargetIsa,
        policy: &dyn Policy,
        options: &Options,
    ) -> CodegenResult<Stats> {
        let target = TargetFacts::of(isa);
        if self.before.is_none() {
            self.source_insts = ctx.func.dfg.num_insts();
            let before = match phase {
                Phase::Behind => ctx.func.clone(),
                // What the mid-end makes of it without the passes before it.
                Phase::Before => {
                    let mut stock = Context::for_function(ctx.func.clone());
                    let control = &mut ControlPlane::default();
                    pipeline::mid_end(&mut stock, isa, policy, control, false)?;
                    stock.func
                }
            };
            self.versions[0] = versions(&before, policy, target);
            self.before = Some(before);
        }
        let options = options.behind(self.made);
        let collector = &mut self.collector;
        collector.ask(&ctx.func, policy);
        let stats = phase.run(ctx, isa, policy, &options, Some(collector))?;
        if phase == Phase::Before {
            self.made = stats.applied;
        }
        if stats.runs > 0 {
            let left = blockers::find(&ctx.func, &ctx.cfg, &ctx.domtree, policy, target);
            for blocked in &left {
                self.collector.blocked(&ctx.func, blocked);
            }
        }
        if phase == Phase::Behind {
            self.versions[1] = versions(&ctx.func, policy, target);
        }
        Ok(stats)
    }

    fn explained(self, after: &Function, stats: Stats) -> Explained {
        Explained {
            stats,
            before: self.before.unwrap_or_else(|| after.clone()),
            source_insts: self.source_insts,
            remarks: self.collector.into_remarks(after),
            versions: self.versions,
        }
    }
}

/// The versions of memory in `func`, which may have aliases.
fn versions(func: &Function, policy: &dyn Policy, target: TargetFacts) -> Vec<Version> {
    let mut func = func.clone();
    func.dfg.resolve_all_aliases();
    let cfg = ControlFlowGraph::with_function(&func);
    let domtree = DominatorTree::with_function(&func, &cfg);
    let found = walkers::find(&func, &cfg, &domtree, policy, target);
    found.into_iter().map(versions::version).collect()
}

fn each(contexts: &[Context]) -> Vec<Watched> {
    contexts.iter().map(|_| Watched::default()).collect()
}

fn all_explained(contexts: &[Context], watched: Vec<Watched>, stats: Vec<Stats>) -> Vec<Explained> {
    let functions = contexts.iter().map(|ctx| &ctx.func);
    let each = functions.zip(watched).zip(stats);
    each.map(|((func, watched), stats)| watched.explained(func, stats))
        .collect()
}
