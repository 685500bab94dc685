//! From a [`Context`] to machine code, with the passes in.

use crate::control::ControlPlane;
use crate::isa::TargetIsa;
use crate::memopt::facts::calls::Policy;
use crate::memopt::{self, Options, Stats};
use crate::{CodegenResult, Context};

/// Optimizes one function: upstream's mid-end, then the passes of this crate.
///
/// What other functions do is known from `policy` alone; see
/// [`optimize_module`] for functions that call each other. With
/// `opt_level=none` the passes of this crate change nothing.
///
/// # Errors
///
/// What [`Context::optimize`] and the verifier report.
pub fn optimize(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
) -> CodegenResult<Stats> {
    ctx.optimize(isa, &mut ControlPlane::default())?;
    memopt::run(ctx, isa, policy, options)
}

/// Optimizes functions that may call each other, callees first, so that a
/// call to one of them is as transparent as its body lets it be.
///
/// `policy_of` gives the policy for the function at an index. Two functions
/// of one name have no summary.
///
/// # Errors
///
/// The first error of [`optimize`], with the index of its function; functions
/// optimized before it stay so.
pub fn optimize_module<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
) -> Result<Vec<Stats>, (usize, cranelift_codegen::CodegenError)> {
    let mut stats = Vec::with_capacity(contexts.len());
    for (index, ctx) in contexts.iter_mut().enumerate() {
        let one = optimize(ctx, isa, policy_of(index), options).map_err(|error| (index, error))?;
        stats.push(one);
    }
    Ok(stats)
}
