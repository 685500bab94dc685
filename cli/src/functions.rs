//! Running the passes over the functions of one file, as one module.

use anyhow::{Result, anyhow};
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{Function, InstructionData};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::print_errors::pretty_error;
use cranelift_codegen::{Context, verify_function};
use cranelift_memopt::remarks::{self, Explained};
use cranelift_memopt::{CalleeName, FunctionError, Options, Policy};
use memopt_check::{
    CheckError, CheckedStats, Checking, optimize_module_checked, run_module_checked,
};
use memopt_policy::DeclaredPolicy;

/// What became of a function.
pub struct Outcome {
    /// What the passes did to it, and whether that is proven.
    pub stats: CheckedStats,
    /// Why, if somebody wants to know.
    pub explained: Option<Explained>,
}

impl From<CheckedStats> for Outcome {
    fn from(stats: CheckedStats) -> Self {
        Self {
            stats,
            explained: None,
        }
    }
}

impl From<Explained> for Outcome {
    fn from(explained: Explained) -> Self {
        Self {
            stats: explained.stats.into(),
            explained: Some(explained),
        }
    }
}

/// What is wanted of the passes.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Which passes run.
    pub options: &'a Options,
    /// Whether what they do has to be proven right.
    pub checking: Checking,
    /// Whether they say why. Then nothing is proven.
    pub remarks: bool,
}

/// Checks every function with the verifier.
///
/// # Errors
///
/// The first function that it refuses, with what is wrong.
pub fn verify<'f>(
    functions: impl IntoIterator<Item = &'f Function>,
    isa: &dyn TargetIsa,
) -> Result<()> {
    for func in functions {
        verify_function(func, isa)
            .map_err(|errors| anyhow!("the verifier refuses {}:\n{errors}", func.name))?;
    }
    Ok(())
}

/// The functions that `func` calls directly, or takes the address of.
pub fn callees(func: &Function) -> impl Iterator<Item = CalleeName> + '_ {
    let insts = func
        .layout
        .blocks()
        .flat_map(|b| func.layout.block_insts(b));
    insts.filter_map(|inst| match func.dfg.insts[inst] {
        InstructionData::Call { func_ref, .. }
        | InstructionData::TryCall { func_ref, .. }
        | InstructionData::FuncAddr { func_ref, .. } => CalleeName::of_ref(func, func_ref),
        _ => None,
    })
}

/// The stock mid-end alone.
///
/// # Errors
///
/// What [`Context::optimize`] reports.
pub fn optimize_stock(func: Function, isa: &dyn TargetIsa) -> Result<Context> {
    let mut ctx = Context::for_function(func);
    ctx.optimize(isa, &mut ControlPlane::default())
        .map_err(|error| anyhow!("{}", pretty_error(&ctx.func, error)))?;
    Ok(ctx)
}

/// What optimizes the functions of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {
    /// The stock mid-end and the passes.
    WithMidEnd,
    /// The passes alone, for functions that the mid-end has been over already.
    Passes,
}

/// Optimizes all of `contexts`; `policies` has one entry a function.
///
/// # Errors
///
/// What the mid-end, the passes or the verifier report; what the checker refuses, if
/// `checking` says so.
pub fn optimize_module(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policies: &[DeclaredPolicy],
    wanted: Wanted<'_>,
    stages: Stages,
) -> Result<Vec<Outcome>> {
    let Wanted {
        options, checking, ..
    } = wanted;
    let policy_of = |index: usize| -> &dyn Policy { &policies[index] };
    if wanted.remarks {
        let run = match stages {
            Stages::WithMidEnd => remarks::optimize_module,
            Stages::Passes => remarks::run_module,
        };
        let result = run(contexts, isa, &policy_of, options);
        return outcomes(result.map_err(|error| unchecked(contexts, error))?);
    }
    let run = match stages {
        Stages::WithMidEnd => optimize_module_checked,
        Stages::Passes => run_module_checked,
    };
    let result = run(contexts, isa, &policy_of, options, checking);
    outcomes(result.map_err(|error| of_function(contexts, error))?)
}

fn outcomes(all: Vec<impl Into<Outcome>>) -> Result<Vec<Outcome>> {
    Ok(all.into_iter().map(Into::into).collect())
}

/// The error in words, with the function that it is about.
fn unchecked(contexts: &[Context], error: FunctionError) -> anyhow::Error {
    let FunctionError { index, error } = error;
    anyhow!("{}", pretty_error(&contexts[index].func, error))
}

/// The error in words, with the function that it is about.
fn of_function(contexts: &[Context], error: FunctionError<CheckError>) -> anyhow::Error {
    let FunctionError { index, error } = error;
    let func = &contexts[index].func;
    match error {
        CheckError::Codegen(error) => anyhow!("{}", pretty_error(func, error)),
        error => anyhow!("{}: {error}", func.name),
    }
}
