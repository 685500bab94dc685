//! CLIF text, through the mid-end with and without the passes.

use crate::opt::batch::{Batch, Stock, Subject};
use crate::opt::command::Choices;
use crate::{clif, functions, policies, target};
use anyhow::Result;
use cranelift_codegen::Context;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_reader::IsaSpec;
use memopt_policy::DeclaredPolicy;

/// Optimizes the functions of a CLIF file.
///
/// # Errors
///
/// A syntax error, a function that the verifier refuses, an unknown target.
pub fn batch(name: &str, text: &str, choices: &Choices) -> Result<Batch> {
    let file = clif::parse(name, text)?;
    let declared = policies::of_functions(name, text, &file, &choices.policy)?;
    choices.see(file.functions.iter().map(|(func, _)| func));
    let isa = isa(&file.isa_spec, choices)?;
    functions::verify(file.functions.iter().map(|(func, _)| func), &*isa)?;
    let all = || file.functions.iter().map(|(func, _)| func.clone());
    let stock: Result<Vec<_>> = all()
        .map(|func| functions::optimize_stock(func, &*isa))
        .collect();
    let mut memopt: Vec<_> = all().map(Context::for_function).collect();
    let outcomes = functions::optimize_module(
        &mut memopt,
        &*isa,
        &declared,
        choices.wanted(),
        functions::Stages::WithMidEnd,
    )?;
    let each = file.functions.iter().zip(&declared).zip(outcomes);
    let subjects = each.map(|(((func, _), policy), outcome)| Subject {
        symbol: func.name.to_string(),
        name: None,
        policy: policy_name(policy, choices),
        stats: outcome.stats,
        explained: outcome.explained,
    });
    let batch = Batch {
        file: name.to_owned(),
        subjects: subjects.collect(),
        isa,
        notes: policies::unmatched(name, text, &file),
        stock: Stock::Kept(stock?),
        memopt,
    };
    batch.verify()?;
    Ok(batch)
}

/// Where the policy of a function comes from.
fn policy_name(policy: &DeclaredPolicy, choices: &Choices) -> String {
    if *policy == choices.policy {
        return choices.policy_name.clone();
    }
    match choices.policy.is_empty() {
        true => "comments".to_owned(),
        false => format!("{} and comments", choices.policy_name),
    }
}

/// The target that the user asks for, or else the file, or else the host; with
/// the file's settings, but at the optimization level that the user wants.
fn isa(spec: &IsaSpec, choices: &Choices) -> Result<OwnedTargetIsa> {
    let (flags, of_file) = match spec {
        IsaSpec::None(flags) => (flags.clone(), None),
        IsaSpec::Some(targets) => (targets[0].flags().clone(), Some(&targets[0])),
    };
    let flags = target::with_opt_level(&flags, &choices.opt_level)?;
    match (&choices.target, of_file) {
        (Some(name), _) => target::by_name(name, flags),
        (None, None) => target::host(flags, None),
        (None, Some(isa)) => target::like(&**isa, flags),
    }
}
