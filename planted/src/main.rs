//! Plants mistakes in the passes and has the nets catch them.
//!
//! The sources are copied to `target/planted/`, every mistake of
//! `mistakes.toml` is written into the copy behind a switch, and the copy is
//! built once. Then each mistake is switched on alone, and the nets of
//! `memopt_trace::nets` are thrown at fixed seeds. The table says which net
//! caught it, in how many of its cases. One that no net catches is a failure,
//! and so is a net that catches something where no mistake is on.

mod mistakes;
mod plant;
mod table;

use anyhow::Result;
use clap::Parser;
use mistakes::Mistake;
use std::path::PathBuf;
use std::process::ExitCode;
use table::Limits;

/// Plant mistakes in a copy of the passes, and have the nets catch them
#[derive(Parser)]
struct Args {
    /// Cases of each net, for each mistake; with 0 the nets take turns until one
    /// has caught it
    #[arg(long, default_value_t = 1000)]
    least: u64,
    /// Cases after which a net that has caught nothing gives up
    #[arg(long, default_value_t = 100_000)]
    most: u64,
    /// Only mistakes whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Processes at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mistakes = mistakes::read(&root.join("planted/mistakes.toml"))?;
    let nets = plant::build(&root, &mistakes)?;
    // Number 0 is no mistake at all.
    let wanted = |mistake: &&(usize, &Mistake)| match &args.only {
        Some(part) => mistake.1.name.contains(part),
        None => true,
    };
    let numbered: Vec<_> = (1..).zip(&mistakes).collect();
    let chosen: Vec<_> = numbered.iter().filter(wanted).copied().collect();
    let none = Mistake::none();
    let mut all = vec![(0, &none)];
    all.extend(chosen);
    let limits = Limits {
        least: args.least,
        most: args.most,
    };
    let rows = table::rows(&nets, &all, limits, args.jobs)?;
    let is_good = table::print(&rows);
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
