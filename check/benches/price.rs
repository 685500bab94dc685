//! What it costs to prove a run.
//!
//! `cargo bench -p cranelift-memopt-check` prints, for each shape of function, the
//! instructions that a run of the passes retires by itself, and proven right. Some
//! shapes alone: `cargo bench -p cranelift-memopt-check -- loops slots`.

#[path = "../../benches/callgrind/mod.rs"]
mod callgrind;
#[path = "../../benches/support/mod.rs"]
mod support;

use callgrind::{CHILD, PATIENCE};
use cranelift_codegen::Context;
use cranelift_codegen::isa::TargetIsa;
use memopt_check::{CheckedStats, Checking, run_checked};
use memopt_policy::DeclaredPolicy;
use std::error::Error;
use std::process::ExitCode;
use support::Shape;

/// Instructions of each function.
const SIZE: usize = 10_000;

const CHECKED: &str = "checked";
const UNCHECKED: &str = "unchecked";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, shape, checking] = arguments.as_slice()
        && flag == CHILD
    {
        return child(Shape::by_name(shape).ok_or("no such shape")?, checking);
    }
    if !callgrind::is_available() {
        println!("price: valgrind is not installed, nothing measured");
        return Ok(ExitCode::SUCCESS);
    }
    let asked = |shape: &Shape| {
        let mut names = arguments.iter().filter(|word| !word.starts_with('-'));
        names.clone().next().is_none() || names.any(|name| name == shape.name())
    };
    println!("shape            unchecked        checked  ratio  (instructions retired, {SIZE})");
    for shape in Shape::ALL.into_iter().filter(asked) {
        let name = shape.name();
        let plain = callgrind::count(&[name, UNCHECKED])?;
        let Ok(checked) = callgrind::count(&[name, CHECKED]) else {
            println!("{name:<11} is not proven");
            continue;
        };
        let (Some(plain), Some(checked)) = (plain, checked) else {
            println!("{name:<11} takes more than {PATIENCE:?}");
            continue;
        };
        let ratio = checked as f64 / plain.max(1) as f64;
        println!("{name:<11} {plain:>14} {checked:>14} {ratio:>6.1}");
    }
    Ok(ExitCode::SUCCESS)
}

fn child(shape: Shape, checking: &str) -> Result<ExitCode, Box<dyn Error>> {
    let isa = support::isa()?;
    let policy = support::policy()?;
    let func = support::prepare(shape, SIZE, &*isa);
    let mut ctx = support::context(func);
    if checking == UNCHECKED {
        support::measured(&mut ctx, &*isa, &policy)?;
    } else if measured_with_proof(&mut ctx, &*isa, &policy)?.is_undone() {
        return Err("the checker does not accept the run".into());
    }
    Ok(ExitCode::SUCCESS)
}

/// As [`support::measured`], and proven.
#[inline(never)]
fn measured_with_proof(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &DeclaredPolicy,
) -> Result<CheckedStats, Box<dyn Error>> {
    let options = support::options();
    Ok(run_checked(ctx, isa, policy, &options, Checking::Restore)?)
}
