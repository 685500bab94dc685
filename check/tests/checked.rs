//! Filetests are proven right by the checker, under their own policies.

use cranelift_codegen::settings::Configurable;
use cranelift_codegen::{Context, isa, settings};
use cranelift_memopt::{FunctionError, Options, Policy};
use cranelift_reader::{ParseOptions, parse_test};
use memopt_check::{Checking, optimize_module_checked, run_module_checked};
use memopt_policy::DeclaredPolicy;
use std::fs;
use std::path::{Path, PathBuf};

/// Begins the line with which a file says that the checker cannot prove it yet,
/// and why.
const UNPROVEN: &str = ";; unproven:";

/// How many files may say so.
const MAX_UNPROVEN: usize = 1;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "clif") {
            found.push(path);
        }
    }
}

/// The policy of each function: the clauses between it and the one before.
fn policies(text: &str, starts: &[usize]) -> Vec<DeclaredPolicy> {
    let mut policies = vec![DeclaredPolicy::default(); starts.len()];
    for (number, line) in text.lines().enumerate() {
        if let Some(clause) = line.strip_prefix("; policy:")
            && let Some(next) = starts.iter().position(|start| *start > number)
        {
            policies[next].declare(clause.trim()).unwrap();
        }
    }
    policies
}

/// What the checker says against the functions of one file.
fn complaints(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let file = parse_test(&text, ParseOptions::default()).unwrap();
    let starts: Vec<usize> = file
        .functions
        .iter()
        .map(|(_, details)| details.location.line_number)
        .collect();
    let policies = policies(&text, &starts);
    let policy_of = |index: usize| -> &dyn Policy { &policies[index] };
    let mut flags = settings::builder();
    flags.set("opt_level", "speed").unwrap();
    let isa = isa::lookup_by_name("x86_64").unwrap();
    let isa = isa.finish(settings::Flags::new(flags)).unwrap();
    let (options, checking) = (Options::max(), Checking::Fail);
    let contexts = || -> Vec<Context> {
        let functions = file.functions.iter();
        functions
            .map(|(func, _)| Context::for_function(func.clone()))
            .collect()
    };
    let runs = [
        optimize_module_checked(&mut contexts(), &*isa, &policy_of, &options, checking),
        run_module_checked(&mut contexts(), &*isa, &policy_of, &options, checking),
    ];
    let mut wrong = Vec::new();
    for run in runs {
        match run {
            Ok(stats) if stats.iter().all(|stats| stats.unproven == 0) => {}
            Ok(_) => wrong.push(format!("{}: a limit was hit", path.display())),
            Err(FunctionError { index, error }) => {
                wrong.push(format!("{}: function {index}: {error}", path.display()));
            }
        }
    }
    wrong
}

#[test]
fn filetests_are_proven() {
    let mut paths = Vec::new();
    files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../filetests"),
        &mut paths,
    );
    paths.sort();
    let (known, paths): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().any(|line| line.starts_with(UNPROVEN))
    });
    assert!(known.len() <= MAX_UNPROVEN, "{known:?}");
    let wrong: Vec<String> = paths.iter().flat_map(|path| complaints(path)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for path in known {
        let complaints = complaints(&path);
        assert!(!complaints.is_empty(), "{} is proven", path.display());
    }
}
