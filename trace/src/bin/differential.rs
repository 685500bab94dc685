//! Compares random modules with their optimized selves.
//!
//! `differential [--family F] [--seed S] [--count N] [--jobs J] [--reports R]` goes through
//! `N` seeds from `S` on, in `J` threads, and prints the first `R` failures,
//! made small. `memopt fuzz` does the same with a progress bar and a time limit;
//! this one builds in a tenth of the time.

use memopt_trace::campaign::{Campaign, Tally};
use memopt_trace::compare::host_isa;
use memopt_trace::generate::Family;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What each argument with a value is called.
const NAMES: [&str; 5] = ["--family", "--seed", "--count", "--jobs", "--reports"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let are_known = args.chunks(2).all(|pair| NAMES.contains(&&*pair[0]));
    let (true, Some(family), Some(first), Some(count), Some(jobs), Some(reports)) = (
        are_known,
        family(&args),
        number(&args, "--seed", 0),
        number(&args, "--count", 10_000),
        number(&args, "--jobs", 1),
        number(&args, "--reports", 3),
    ) else {
        eprintln!(
            "usage: differential [--family regions|locals|mixed] [--seed S] [--count N] [--jobs J] [--reports R]"
        );
        return ExitCode::FAILURE;
    };
    let left = AtomicU64::new(reports);
    let watch = |_: &Tally, failures: &[String]| {
        for report in failures {
            let one_less = |left: u64| left.checked_sub(1);
            let update = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
            if update.is_ok() {
                println!("{report}");
            }
        }
        true
    };
    let campaign = Campaign {
        family,
        first,
        count,
        jobs: jobs as usize,
        watch: &watch,
    };
    let start = Instant::now();
    let tally = campaign.run(&*host_isa());
    println!("{}", tally.with_rate(start.elapsed()));
    if tally.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The family behind `--family`, or the default; `None` if there is no such.
fn family(args: &[String]) -> Option<Family> {
    match args.iter().position(|arg| arg == "--family") {
        Some(at) => Family::by_name(args.get(at + 1)?),
        None => Some(Family::default()),
    }
}

/// The number behind `name`, or the default; `None` if it is no number.
fn number(args: &[String], name: &str, default: u64) -> Option<u64> {
    match args.iter().position(|arg| arg == name) {
        Some(at) => args.get(at + 1)?.parse().ok(),
        None => Some(default),
    }
}
