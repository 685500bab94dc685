//! A run of the passes that is proven right while it goes on, and what becomes of
//! one that cannot be.

use crate::check::check;
use crate::verdict::{Refusal, Verdict};
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{CodegenError, Context};
use cranelift_memopt::{
    FunctionError, Observer, Options, Phase, Policy, Stats, TargetFacts, optimize_module_with,
    run_module_with,
};
use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;

/// What becomes of a run that cannot be proven right.
///
/// Upstream's egraph pass, where it runs once more, is not part of the proof:
/// what leads to it is proven, and what follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checking {
    /// Nothing is proven.
    #[default]
    Off,
    /// The function is put back as it was, and the run counts as
    /// [`CheckedStats::refused`], or as [`CheckedStats::unproven`] if a limit of the
    /// checker was hit. No edit of it is counted.
    Restore,
    /// The function is put back as it was, and the run returns an error that
    /// says where the proof broke. A limit of the checker is no error, but
    /// counts as with [`Self::Restore`]. For tests and fuzzing.
    Fail,
}

/// What runs did, and whether they were proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedStats {
    /// The edits that have been kept.
    pub stats: Stats,
    /// Runs that the checker did not accept; the function is as it was.
    pub refused: u32,
    /// Runs that hit a limit of the checker; the function is as it was.
    pub unproven: u32,
}

impl CheckedStats {
    /// Has the checker had a run put back?
    ///
    /// Cost: constant.
    pub fn is_undone(&self) -> bool {
        self.refused + self.unproven > 0
    }

    /// Each counter with its name, in a fixed order.
    ///
    /// Cost: constant.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let Self {
            stats,
            refused,
            unproven,
        } = *self;
        let own = [("refused", refused), ("unproven", unproven)];
        stats.counters().chain(own)
    }

    fn of_verdict(verdict: &Verdict) -> Self {
        Self {
            stats: Stats::default(),
            refused: u32::from(matches!(verdict, Verdict::Refused(_))),
            unproven: u32::from(matches!(verdict, Verdict::Limit(_))),
        }
    }
}

impl From<Stats> for CheckedStats {
    /// What a run did of which nothing is proven.
    fn from(stats: Stats) -> Self {
        Self {
            stats,
            ..Self::default()
        }
    }
}

impl AddAssign<&CheckedStats> for CheckedStats {
    fn add_assign(&mut self, other: &Self) {
        let Self {
            stats,
            refused,
            unproven,
        } = self;
        *stats += &other.stats;
        *refused += other.refused;
        *unproven += other.unproven;
    }
}

impl AddAssign for CheckedStats {
    fn add_assign(&mut self, other: Self) {
        *self += &other;
    }
}

impl Sum for CheckedStats {
    fn sum<I: Iterator<Item = Self>>(runs: I) -> Self {
        runs.fold(Self::default(), |mut sum, run| {
            sum += &run;
            sum
        })
    }
}

/// Why a run that is to be proven has ended with an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckError {
    /// The verifier, or the mid-end.
    Codegen(CodegenError),
    /// The checker, with [`Checking::Fail`]: the optimized function is not proven.
    Refused(Box<Refusal>),
}

impl From<CodegenError> for CheckError {
    fn from(error: CodegenError) -> Self {
        Self::Codegen(error)
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Upstream displays it without its entries.
            Self::Codegen(CodegenError::Verifier(errors)) => {
                let errors: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
                write!(f, "the verifier refuses it: {}", errors.join("; "))
            }
            Self::Codegen(error) => error.fmt(f),
            Self::Refused(refusal) => write!(f, "the optimized function is not proven: {refusal}"),
        }
    }
}

impl std::error::Error for CheckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Codegen(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}

impl fmt::Display for CheckedStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stats,
            refused,
            unproven,
        } = self;
        write!(f, "{stats}")?;
        if self.is_undone() {
            write!(f, " refused={refused} unproven={unproven}")?;
        }
        Ok(())
    }
}

/// [`cranelift_memopt::run`], proven as `checking` says.
///
/// A run is proven in one step up to upstream's egraph pass, and in one behind it. If
/// that is refused, the run is made once more and proven step by step, once for each
/// time that a pass has made edits: each step is right because the one before it was.
///
/// Cost: that of [`cranelift_memopt::run`] and one or two proofs; `cargo bench -p
/// cranelift-memopt-check` prints how many times as many instructions that is.
///
/// # Errors
///
/// Those of [`cranelift_memopt::run`]; and what the checker refuses, with [`Checking::Fail`].
pub fn run_checked(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
    checking: Checking,
) -> Result<CheckedStats, CheckError> {
    phase_checked(Phase::Behind, ctx, isa, policy, options, checking)
}

/// [`run_checked`] for either side of the mid-end.
fn phase_checked(
    phase: Phase,
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
    checking: Checking,
) -> Result<CheckedStats, CheckError> {
    if checking == Checking::Off {
        return Ok(phase.run(ctx, isa, policy, options, None)?.into());
    }
    let original = ctx.func.clone();
    let mut verdict = Verdict::Proven;
    for steps in [Steps::Few, Steps::Each] {
        let mut proof = Proof {
            steps,
            policy,
            target: TargetFacts::of(isa),
            before: original.clone(),
            verdict: Verdict::Proven,
        };
        let stats = phase.run(ctx, isa, policy, options, Some(&mut proof))?;
        if proof.verdict == Verdict::Proven {
            return Ok(stats.into());
        }
        verdict = proof.verdict;
        put_back(ctx, &original);
        if matches!(verdict, Verdict::Limit(_)) {
            break;
        }
    }
    match verdict {
        Verdict::Refused(refusal) if checking == Checking::Fail => {
            Err(CheckError::Refused(refusal))
        }
        Verdict::Proven | Verdict::Refused(_) | Verdict::Limit(_) => {
            Ok(CheckedStats::of_verdict(&verdict))
        }
    }
}

/// [`cranelift_memopt::optimize_module`] with every run proven as `checking` says.
///
/// Cost: that of [`cranelift_memopt::optimize_module`], with [`run_checked`] for each run.
///
/// # Errors
///
/// The first error of the mid-end or of [`run_checked`], with the index of its
/// function.
pub fn optimize_module_checked<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
    checking: Checking,
) -> Result<Vec<CheckedStats>, FunctionError<CheckError>> {
    let mut all = vec![CheckedStats::default(); contexts.len()];
    let mut made = vec![0; contexts.len()];
    let run = |index: usize, phase, ctx: &mut Context, policy: &dyn Policy| {
        let options = options.behind(made[index]);
        let one = phase_checked(phase, ctx, isa, policy, &options, checking)?;
        if phase == Phase::Before {
            made[index] = one.stats.applied;
        }
        all[index] += &one;
        Ok::<_, CheckError>(one.stats)
    };
    let stats = optimize_module_with(contexts, isa, policy_of, run)?;
    Ok(with_stats(all, stats))
}

/// [`cranelift_memopt::run_module`] with every run proven as `checking` says.
///
/// Cost: that of [`cranelift_memopt::run_module`], with [`run_checked`] for each run.
///
/// # Errors
///
/// The first error of [`run_checked`], with the index of its function.
pub fn run_module_checked<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
    checking: Checking,
) -> Result<Vec<CheckedStats>, FunctionError<CheckError>> {
    let mut all = vec![CheckedStats::default(); contexts.len()];
    let stats = run_module_with(contexts, isa, policy_of, |index, ctx, policy| {
        let one = run_checked(ctx, isa, policy, options, checking)?;
        all[index] += &one;
        Ok::<_, CheckError>(one.stats)
    })?;
    Ok(with_stats(all, stats))
}

/// The counters of the module in the place of those of its runs: they have in them
/// which call cycles did not settle.
fn with_stats(mut all: Vec<CheckedStats>, stats: Vec<Stats>) -> Vec<CheckedStats> {
    for (one, stats) in all.iter_mut().zip(stats) {
        one.stats = stats;
    }
    all
}

/// In how many steps a run is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steps {
    /// In one, up to where upstream's egraph pass runs, and one behind it.
    Few,
    /// In one for each time that a pass has made edits. Longer and surer: what several
    /// passes did one after the other may be clear only step by step.
    Each,
}

/// A proof that is being made while a run goes on.
struct Proof<'a> {
    steps: Steps,
    policy: &'a dyn Policy,
    target: TargetFacts,
    /// What the function was when it was last proven or trusted.
    before: Function,
    verdict: Verdict,
}

impl Proof<'_> {
    /// Proves what has changed since the last time, unless the proof has failed
    /// already.
    fn prove(&mut self, func: &Function) {
        if self.verdict == Verdict::Proven {
            self.verdict = check(&self.before, func, self.policy, self.target);
        }
    }
}

impl Observer for Proof<'_> {
    fn step(&mut self, func: &Function) {
        if self.steps == Steps::Each && self.verdict == Verdict::Proven {
            self.prove(func);
            self.before = func.clone();
        }
    }

    fn settled(&mut self, func: &Function) {
        self.prove(func);
        // What comes behind is a proof of its own: slots get other places then.
        self.before = func.clone();
    }

    fn trusted(&mut self, func: &Function) {
        self.before = func.clone();
    }
}

/// Puts the function of `ctx` back as it was, with graph and dominator tree.
fn put_back(ctx: &mut Context, original: &Function) {
    ctx.func = original.clone();
    ctx.func.dfg.resolve_all_aliases();
    ctx.flowgraph();
}
