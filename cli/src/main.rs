//! The `memopt` program.

use clap::{Parser, Subcommand};
use memopt_cli::filetest::{Verdict, trials};
use memopt_cli::opt;
use std::path::PathBuf;
use std::process::ExitCode;

/// Optimizes CLIF and WebAssembly, and tests the passes that do it.
#[derive(Parser)]
#[command(name = "memopt", version)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Show what the passes do to CLIF or WebAssembly
    Opt(opt::Arguments),
    /// Run .clif files as tests; CRANELIFT_TEST_BLESS=1 accepts new outputs
    Test {
        /// Files, or directories that are searched for .clif files
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Subcommands::Opt(arguments) => optimize(&arguments),
        Subcommands::Test { paths } => test(&paths),
    }
}

/// Shows functions; 2 if an input or the command line cannot be used.
fn optimize(arguments: &opt::Arguments) -> ExitCode {
    match opt::run(arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(2),
        Err(error) => {
            anstream::eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs tests; 1 if one fails, 2 if one cannot be used.
fn test(paths: &[PathBuf]) -> ExitCode {
    let bless = std::env::var("CRANELIFT_TEST_BLESS").is_ok_and(|value| value == "1");
    let (trials, complaints) = trials(paths);
    let mut unusable = complaints.len();
    for complaint in &complaints {
        anstream::eprintln!("{complaint}");
    }
    let (mut passed, mut failed) = (0, 0);
    for trial in &trials {
        match trial.run(bless) {
            Verdict::Passed => passed += 1,
            Verdict::Blessed(_) => {
                passed += 1;
                anstream::println!("BLESSED {}", trial.name());
            }
            Verdict::Failed(reasons) => {
                failed += 1;
                anstream::println!("FAILED {}", trial.name());
                for reason in reasons {
                    anstream::println!("    {}", reason.replace('\n', "\n    "));
                }
            }
            Verdict::Unusable(why) => {
                unusable += 1;
                anstream::eprintln!("{why}");
            }
        }
    }
    let rest = match unusable {
        0 => String::new(),
        count => format!(", {count} unusable"),
    };
    anstream::println!("{passed} passed, {failed} failed{rest}");
    match (unusable, failed) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(1),
        _ => ExitCode::from(2),
    }
}
