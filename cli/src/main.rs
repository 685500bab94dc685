//! The `memopt` program.

use clap::{CommandFactory as _, Parser, Subcommand};
use memopt_cli::filetest::{self, Setup, report};
use memopt_cli::{bisect, explain, export, fuzz, manual, opt, passes};
use std::path::PathBuf;
use std::process::ExitCode;

/// Optimizes CLIF and WebAssembly, and tests the passes that do it.
#[derive(Parser)]
#[command(name = "memopt", version, max_term_width = 80)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Show what the passes do to CLIF or WebAssembly
    Opt(opt::Arguments),
    /// Say why: what was done to each line, what was not, and what is to blame
    Explain(explain::Arguments),
    /// Find the edit of the passes that makes a command fail
    Bisect(bisect::Arguments),
    /// Run .clif files as tests; CRANELIFT_TEST_BLESS=1 accepts new outputs
    Test {
        /// Files, or directories that are searched for .clif files
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        passes: passes::Selection,
        /// Optimize at this level, whatever the files say
        #[arg(long)]
        opt_level: Option<String>,
    },
    /// Compare random modules with their optimized selves
    Fuzz(fuzz::Arguments),
    /// Put the passes into the sources of Cranelift and Wasmtime
    Export(export::Arguments),
    /// Write the man pages into a directory
    Man(manual::Man),
    /// Print what a shell needs to complete command lines
    Completions(manual::Completions),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Subcommands::Opt(arguments) => optimize(&arguments),
        Subcommands::Test {
            paths,
            passes,
            opt_level,
        } => test(
            &paths,
            &Setup {
                passes,
                opt_level,
                bless: report::bless_wanted(),
            },
        ),
        Subcommands::Fuzz(arguments) => fuzz(&arguments),
        Subcommands::Export(arguments) => export(&arguments),
        Subcommands::Explain(arguments) => done(explain::run(&arguments)),
        Subcommands::Bisect(arguments) => done(bisect::run(&arguments)),
        Subcommands::Man(arguments) => done(manual::man(&arguments, Arguments::command())),
        Subcommands::Completions(arguments) => {
            done(manual::completions(&arguments, Arguments::command()))
        }
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

/// 2 if something could not be done.
fn done(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs tests; 1 if one fails, 2 if one cannot be used.
fn test(paths: &[PathBuf], setup: &Setup) -> ExitCode {
    let (trials, complaints) = filetest::trials(paths);
    let tally = report::run_all(&trials, &complaints, setup);
    ExitCode::from(tally.exit_code())
}

/// Fuzzes; 1 if the passes are wrong, 2 if the command line cannot be used.
fn fuzz(arguments: &fuzz::Arguments) -> ExitCode {
    match fuzz::run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            anstream::eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

/// Exports; 1 if an anchor does not hold, 2 if something else is wrong.
fn export(arguments: &export::Arguments) -> ExitCode {
    match export::run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            anstream::eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}
