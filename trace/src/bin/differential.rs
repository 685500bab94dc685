//! Compares random modules with their optimized selves.
//!
//! `differential [--seed S] [--count N] [--reports R]` goes through `N` seeds
//! from `S` on and prints the first `R` failures, made small.

use memopt_trace::campaign::Tally;
use memopt_trace::compare::host_isa;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Modules between two updates of the progress line.
const STEP: u64 = 500;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (Some(seed), Some(count), Some(reports)) = (
        number(&args, "--seed", 0),
        number(&args, "--count", 10_000),
        number(&args, "--reports", 3),
    ) else {
        eprintln!("usage: differential [--seed S] [--count N] [--reports R]");
        return ExitCode::FAILURE;
    };
    let tally = run(seed, count, reports);
    if tally.wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The number behind `name`, or the default; `None` if it is no number.
fn number(args: &[String], name: &str, default: u64) -> Option<u64> {
    match args.iter().position(|arg| arg == name) {
        Some(at) => args.get(at + 1)?.parse().ok(),
        None => Some(default),
    }
}

fn run(first: u64, count: u64, reports: u64) -> Tally {
    let isa = host_isa();
    let start = Instant::now();
    let mut tally = Tally::default();
    for seed in first..first + count {
        if let Some(report) = tally.test(seed, &*isa)
            && tally.wrong.len() as u64 <= reports
        {
            println!("{report}");
        }
        if tally.modules.is_multiple_of(STEP) {
            let rate = tally.modules as f64 / start.elapsed().as_secs_f64();
            let wrong = tally.wrong.len();
            eprint!(
                "\r{}/{count} modules, {rate:.0}/s, {wrong} wrong",
                tally.modules
            );
            let _ = std::io::stderr().flush();
        }
    }
    eprintln!();
    let rate = tally.modules as f64 / start.elapsed().as_secs_f64();
    println!("{tally}, {rate:.0} modules/s");
    for (seed, kind) in &tally.wrong {
        println!("wrong: seed {seed}: {kind}");
    }
    tally
}
