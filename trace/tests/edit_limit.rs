//! A run that is limited to `n` edits makes the first `n` of an unlimited one: each of them
//! leaves a function that verifies and is observed to do what it did, and all of them
//! together are the whole run.

use cranelift_codegen::Context;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;
use cranelift_memopt::Stats;
use memopt_policy::DeclaredPolicy;
use memopt_trace::compare::{Setting, Verdict, compare, host_isa};
use memopt_trace::filetests::{Filetests, inputs};
use std::path::Path;

/// Up to so many edits every limit is tried.
const ALL_LIMITS: u32 = 24;
/// Of more edits, about so many limits.
const SPREAD: u32 = 6;
/// Inputs of each module.
const INPUTS: usize = 1;

/// The function as so many edits leave it; `None` if it is none for this machine.
fn limited(
    func: &Function,
    isa: &dyn TargetIsa,
    policy: &DeclaredPolicy,
    limit: Option<u32>,
) -> Option<(Function, Stats)> {
    let mut options = Setting::plain().options;
    options.edit_limit = limit;
    let mut ctx = Context::for_function(func.clone());
    let stats = cranelift_memopt::memopt::run(&mut ctx, isa, policy, &options).ok()?;
    Some((ctx.func, stats))
}

/// The limits that are tried of so many edits, none and all among them.
fn limits(edits: u32) -> impl Iterator<Item = u32> {
    let step = match edits {
        0..=ALL_LIMITS => 1,
        _ => edits.div_ceil(SPREAD) as usize,
    };
    (0..=edits).filter(move |limit| (*limit as usize).is_multiple_of(step) || *limit == edits)
}

#[test]
fn every_limit_of_edits_leaves_the_first_edits_and_a_whole_function() {
    let isa = host_isa();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filetests");
    let filetests = Filetests::read(&root).expect("the filetests");
    let (mut functions, mut edited, mut most) = (0, 0, 0);
    for (path, module) in filetests.modules() {
        let Ok(policy) = module.policy() else {
            continue;
        };
        for func in &module.functions {
            let Some((whole, all)) = limited(func, &*isa, &policy, None) else {
                continue;
            };
            let whole = whole.to_string();
            functions += 1;
            edited += u32::from(all.applied > 0);
            most = most.max(all.applied);
            for limit in limits(all.applied) {
                let name = format!("{} {} after {limit}", path.display(), func.name);
                let (prefix, stats) = limited(func, &*isa, &policy, Some(limit))
                    .unwrap_or_else(|| panic!("{name} does not verify"));
                assert_eq!(stats.applied, limit, "{name}");
                if limit == all.applied {
                    assert_eq!(prefix.to_string(), whole, "{name}");
                }
            }
        }
    }
    println!("{edited} of {functions} functions edited, one {most} times");
    assert!(edited > 250 && most > ALL_LIMITS);
}

#[test]
fn every_limit_of_edits_leaves_what_is_observed() {
    let isa = host_isa();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filetests");
    let filetests = Filetests::read(&root).expect("the filetests");
    let mut runs = 0;
    for (path, module) in filetests.modules() {
        let inputs = inputs(module, 1, INPUTS);
        let mut setting = Setting::plain();
        let Verdict::Equal { stats, .. } = compare(module, &inputs, &*isa, &setting) else {
            continue;
        };
        let edits = stats.iter().map(|one| one.stats.applied).max();
        for limit in limits(edits.unwrap_or(0)) {
            setting.options.edit_limit = Some(limit);
            match compare(module, &inputs, &*isa, &setting) {
                Verdict::Equal { runs: more, .. } => runs += more,
                Verdict::Wrong(failure) => {
                    panic!("{} after {limit}: {}", path.display(), failure.details);
                }
            }
        }
    }
    println!("{runs} runs");
    assert!(runs > 1200);
}
