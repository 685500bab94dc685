//! `memopt fuzz`: random modules against their optimized selves.
//!
//! The oracle of `memopt_trace` makes a module of each seed, optimizes it, runs
//! both sides, and compares what could be observed. A failure is made small and
//! printed as CLIF. The same seeds give the same modules on every machine.

use anyhow::{Result, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use memopt_trace::campaign::{Campaign, Tally};
use memopt_trace::compare::host_isa;
use memopt_trace::generate::Family;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What `memopt fuzz` is told.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Stop after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// Stop after so many modules, of two functions on average
    #[arg(long)]
    count: Option<u64>,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; by default as many as there are processors
    #[arg(long)]
    jobs: Option<usize>,
    /// What the modules are: `regions`, `locals` or `mixed`
    #[arg(long, default_value = "mixed", value_parser = family)]
    family: Family,
    /// Failures that are made small and printed
    #[arg(long, default_value_t = 3)]
    reports: u64,
}

/// Runs a campaign and prints what it came to; is nothing wrong?
///
/// # Errors
///
/// A command line that would never end, or do nothing.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let Arguments {
        seconds,
        count,
        seed,
        jobs,
        family,
        reports,
    } = *arguments;
    ensure!(
        seconds.is_some() || count.is_some(),
        "`fuzz` needs `--seconds` or `--count`"
    );
    let jobs = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    ensure!(jobs > 0, "`--jobs` needs at least one thread");
    let start = Instant::now();
    let deadline = seconds.map(|seconds| start + Duration::from_secs(seconds));
    let bar = bar(count);
    let printed = AtomicU64::new(0);
    let watch = |tally: &Tally, failures: &[String]| {
        for report in failures {
            if printed.fetch_add(1, Ordering::Relaxed) < reports {
                bar.suspend(|| anstream::println!("{report}"));
            }
        }
        bar.inc(tally.modules);
        bar.set_message(match printed.load(Ordering::Relaxed) {
            0 => String::new(),
            wrong => format!("{wrong} wrong"),
        });
        deadline.is_none_or(|deadline| Instant::now() < deadline)
    };
    let campaign = Campaign {
        family,
        first: seed,
        count: count.unwrap_or(u64::MAX - seed),
        jobs,
        watch: &watch,
    };
    let tally = campaign.run(&*host_isa());
    bar.finish_and_clear();
    let last = seed + tally.modules.saturating_sub(1);
    anstream::println!(
        "seeds {seed} to {last}: {}",
        tally.with_rate(start.elapsed())
    );
    Ok(tally.wrong.is_empty())
}

/// The family of this name.
fn family(name: &str) -> Result<Family, String> {
    Family::by_name(name).ok_or_else(|| format!("`{name}` is no family of modules"))
}

/// The progress line, on standard error if that is a terminal.
fn bar(count: Option<u64>) -> ProgressBar {
    let (bar, template) = match count {
        Some(count) => (
            ProgressBar::new(count),
            "{wide_bar} {pos}/{len} modules, {per_sec} {msg}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {pos} modules, {per_sec} {elapsed} {msg}",
        ),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
