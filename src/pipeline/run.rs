//! The passes over many functions that are past the mid-end already.

use crate::isa::TargetIsa;
use crate::memopt::facts::calls::Policy;
use crate::memopt::{self, Options, Stats};
use crate::{CodegenResult, Context};
use cranelift_codegen::CodegenError;

/// [`optimize_module`](super::optimize_module) without upstream's mid-end, for
/// an embedder that has run that already (as Wasmtime does, which inlines in
/// between).
///
/// Each function's control-flow graph and dominator tree are computed here;
/// whatever the contexts hold of them may be out of date. With
/// `opt_level=none` nothing changes but those two.
///
/// # Errors
///
/// The first error, with the index of its function; functions before it stay
/// as the passes left them.
pub fn run_module<'p>(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy_of: &dyn Fn(usize) -> &'p dyn Policy,
    options: &Options,
) -> Result<Vec<Stats>, (usize, CodegenError)> {
    let run_one = |(index, ctx): (usize, &mut Context)| {
        run(ctx, isa, policy_of(index), options).map_err(|error| (index, error))
    };
    contexts.iter_mut().enumerate().map(run_one).collect()
}

fn run(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
) -> CodegenResult<Stats> {
    ctx.flowgraph();
    memopt::run(ctx, isa, policy, options)
}
