//! The proof of one pair of functions.

use cranelift_codegen::ir::Function;
use cranelift_memopt::{Policy, TargetFacts};

use crate::body::Body;
use crate::claims;
use crate::packing::{self, Stop};
use crate::regions::Regions;
use crate::tables;
use crate::verdict::{Limit, Reason, Refusal, Verdict};
use crate::walk::Walk;

/// Proves that nobody can tell `result` from `original`.
///
/// Both are past the verifier. `result` is `original` after edits: what has a
/// number in the tables of `original` has the same one in `result`. `policy`
/// is the one that the passes were given, with the same summaries.
///
/// The proof is about observation traces, see `docs/passes.md`. A verdict other than
/// [`Verdict::Proven`] does not say that they differ. Upstream's egraph pass
/// rewrites what is proven to be equal here by other rules than these, and has
/// to stay outside.
///
/// Cost: O((instructions + live values at joins) · depth of loops), with an
/// instruction costing more the more is known about memory; see [`Limit`].
pub fn check(
    original: &Function,
    result: &Function,
    policy: &dyn Policy,
    target: TargetFacts,
) -> Verdict {
    if let Err(reason) = tables::compare(original, result) {
        return refused(reason);
    }
    match packing::compare(original, result, policy, target) {
        Some(Ok(())) => return Verdict::Proven,
        Some(Err(Stop::Refused(reason))) => return refused(reason),
        Some(Err(Stop::Limit(limit))) => return Verdict::Limit(limit),
        None => {}
    }
    if let Err(reason) = tables::compare_slots(original, result) {
        return refused(reason);
    }
    let (Some(before), Some(after)) = (Body::new(original), Body::new(result)) else {
        return Verdict::Limit(Limit::LiveValues);
    };
    let regions = Regions::new([original, result], policy);
    let named = tables::named_slots([original, result]);
    let walk = Walk::new([&before, &after], &regions, policy, target);
    let (mut verdict, is_left) = walk.run(named);
    if is_left {
        // An access leaves its slot, and may be to any other: once more without
        // private slots.
        let mut walk = Walk::new([&before, &after], &regions, policy, target);
        walk.slots_are_left = true;
        verdict = walk.run(named).0;
    }
    // The walk has believed what the accesses of the result say.
    match claims::compare(original, result) {
        Err(reason) if verdict == Verdict::Proven => refused(reason),
        Err(_) | Ok(()) => verdict,
    }
}

/// A refusal that is about no place.
fn refused(reason: Reason) -> Verdict {
    Verdict::Refused(Box::new(Refusal {
        reason,
        original: None,
        result: None,
    }))
}
