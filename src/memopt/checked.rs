//! The proof of a run, and what becomes of a run that cannot be proven right.

use super::TargetFacts;
use super::check::{Refusal, Verdict, check};
use super::options::Checking;
use super::stats::Stats;
use crate::ir::Function;
use crate::ir::entities::AnyEntity;
use crate::memopt::call::effects::Policy;
use crate::verifier::{VerifierError, VerifierErrors};
use crate::{CodegenError, CodegenResult, Context};
use alloc::format;
use alloc::string::ToString;
use alloc::vec;

/// In how many steps a run is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// In one, up to where upstream's egraph pass runs, and one behind it.
    Few,
    /// In one for each time that a pass has made edits. Longer and surer: each
    /// step is right because the one before it was.
    Each,
}

/// A proof that is being made while a run goes on.
pub struct Proof {
    steps: Steps,
    /// What the function was when it was last proven or trusted.
    before: Function,
    verdict: Verdict,
}

impl Proof {
    /// Nothing has changed yet.
    pub fn new(func: &Function, steps: Steps) -> Self {
        Self {
            steps,
            before: func.clone(),
            verdict: Verdict::Proven,
        }
    }

    /// In how many steps it is made.
    pub fn steps(&self) -> Steps {
        self.steps
    }

    /// What it has come to so far.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Proves what has changed since the last time, unless the proof has failed
    /// already.
    pub fn prove(&mut self, func: &Function, policy: &dyn Policy, target: TargetFacts) {
        if self.verdict != Verdict::Proven {
            return;
        }
        self.verdict = check(&self.before, func, policy, target);
        if self.steps == Steps::Each {
            self.before = func.clone();
        }
    }

    /// Goes on from `func`, which is known to be right.
    pub fn trust(&mut self, func: &Function) {
        self.before = func.clone();
    }
}

/// Puts the function of `ctx` back as it was, and counts why.
///
/// # Errors
///
/// The refusal, with [`Checking::Fail`].
pub fn undo(
    ctx: &mut Context,
    original: Function,
    verdict: &Verdict,
    checked: Checking,
) -> CodegenResult<Stats> {
    ctx.func = original;
    ctx.func.dfg.resolve_all_aliases();
    ctx.flowgraph();
    let mut stats = Stats::default();
    match verdict {
        Verdict::Proven => {}
        Verdict::Limit(_) => stats.unproven = 1,
        Verdict::Refused(refusal) => {
            stats.refused = 1;
            match checked {
                Checking::Fail => return Err(error(&ctx.func, refusal)),
                Checking::Off | Checking::Restore => {}
            }
        }
    }
    Ok(stats)
}

/// The refusal in upstream's words for "this function is not right".
fn error(func: &Function, refusal: &Refusal) -> CodegenError {
    let spot = refusal.original.as_ref();
    let location = match spot.map(|spot| (spot.block, spot.inst)) {
        Some((_, Some(inst))) => AnyEntity::Inst(inst),
        Some((block, None)) => AnyEntity::Block(block),
        None => AnyEntity::Function,
    };
    CodegenError::Verifier(VerifierErrors(vec![VerifierError {
        location,
        context: Some(func.name.to_string()),
        message: format!("the optimized function is not proven: {refusal}"),
    }]))
}
