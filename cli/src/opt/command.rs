//! The command line of `memopt opt`, and the loop over its inputs.

use crate::complaint::Complaint;
use crate::opt::batch::Batch;
use crate::opt::input::{self, Content};
use crate::opt::progress::Progress;
use crate::opt::show::Shower;
use crate::opt::{clif, wasm};
use crate::{guard, passes, policies};
use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use cranelift_memopt::Options;
use memopt_check::Checking;
use memopt_policy::DeclaredPolicy;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What `memopt opt` is told.
#[derive(Args, Debug)]
pub struct Arguments {
    /// CLIF (.clif) or WebAssembly (.wat, .wasm; modules and components); `-`
    /// is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What to show
    #[arg(long, value_enum, default_value_t = Emit::Clif)]
    emit: Emit,
    /// Show figures as a JSON array; with --emit stats
    #[arg(long)]
    json: bool,
    /// Show the difference between stock Cranelift and the passes
    #[arg(long)]
    diff: bool,
    /// A policy for all functions, one clause a line
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A triple or an architecture, such as x86_64, aarch64, riscv64 or s390x
    #[arg(long)]
    target: Option<String>,
    /// none, speed or speed_and_size; a file's `set opt_level` does not count
    #[arg(long, default_value = "speed")]
    opt_level: String,
    #[command(flatten)]
    passes: passes::Selection,
    /// Have each run proven by the checker, and report what is not
    #[arg(long)]
    checked: bool,
    /// Show only functions with this in their name
    #[arg(long, value_name = "SUBSTRING")]
    function: Option<String>,
    /// Write to this file and not to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What to show of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// Optimized CLIF; for WebAssembly both sides of it
    Clif,
    /// Both sides as machine code
    Asm,
    /// Counts of both sides
    Stats,
}

/// What the user chose, checked.
pub struct Choices {
    /// The policy for all functions.
    pub policy: DeclaredPolicy,
    /// Its name; `none` if there is none.
    pub policy_name: String,
    /// The passes that run.
    pub options: Options,
    /// Whether what they do has to be proven right.
    pub checking: Checking,
    /// The target, if the user names one.
    pub target: Option<String>,
    /// The optimization level.
    pub opt_level: String,
    /// What to show.
    pub emit: Emit,
    /// Figures as JSON?
    pub json: bool,
    /// Show differences?
    pub diff: bool,
    function: Option<String>,
}

impl Choices {
    /// Is the function with this name to be shown?
    pub fn shows(&self, symbol: &str) -> bool {
        let function = self.function.as_deref();
        function.is_none_or(|part| symbol.contains(part))
    }

    fn of(arguments: &Arguments) -> Result<Self> {
        let stats = arguments.emit == Emit::Stats;
        ensure!(stats || !arguments.json, "--json needs --emit stats");
        ensure!(
            !(stats && arguments.diff),
            "--diff needs --emit clif or asm"
        );
        let (policy, policy_name) = match &arguments.policy {
            None => (DeclaredPolicy::default(), "none".to_owned()),
            Some(path) => read_policy(path)?,
        };
        Ok(Self {
            policy,
            policy_name,
            options: arguments.passes.options(),
            checking: match arguments.checked {
                true => Checking::Fail,
                false => Checking::Off,
            },
            target: arguments.target.clone(),
            opt_level: arguments.opt_level.clone(),
            emit: arguments.emit,
            json: arguments.json,
            diff: arguments.diff,
            function: arguments.function.clone(),
        })
    }
}

fn read_policy(path: &Path) -> Result<(DeclaredPolicy, String)> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| Complaint::of_file(&name, error))?;
    Ok((policies::parse(&name, &text)?, name))
}

/// Runs `memopt opt`. Inputs that cannot be used are reported on standard
/// error and counted; the others are still done.
///
/// # Errors
///
/// Arguments that make no sense; an output that cannot be written.
pub fn run(arguments: &Arguments) -> Result<usize> {
    let choices = Choices::of(arguments)?;
    let mut out = output(arguments.output.as_deref())?;
    let mut shower = Shower::new(&choices, &mut *out);
    let mut unusable = 0;
    for path in &arguments.files {
        if let Err(error) = one_input(path, &choices, &mut shower) {
            if is_closed_pipe(&error) {
                return Ok(unusable);
            }
            unusable += 1;
            report(path, &error);
        }
    }
    match shower.finish() {
        Err(error) if !is_closed_pipe(&error) => Err(error),
        _ => Ok(unusable),
    }
}

/// Where the output goes. Colours are kept for terminals alone.
fn output(path: Option<&Path>) -> Result<Box<dyn Write>> {
    let Some(path) = path else {
        return Ok(Box::new(BufWriter::new(anstream::stdout())));
    };
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let plain = anstream::AutoStream::never(file);
    Ok(Box::new(BufWriter::new(plain)))
}

fn one_input(path: &Path, choices: &Choices, shower: &mut Shower<'_>) -> Result<()> {
    let (name, content) = input::read(path)?;
    let progress = Progress::new(&name);
    guard::catch(|| {
        let batch = batch(&name, content, choices, &progress)?;
        shower.show(&batch, &progress)
    })
}

fn batch(name: &str, content: Content, choices: &Choices, progress: &Progress) -> Result<Batch> {
    match content {
        Content::Clif(text) => clif::batch(name, &text, choices),
        Content::Wat(text) => {
            let wasm = wasm::assemble(name, &text)?;
            wasm::batch(name, wasm, choices, progress)
        }
        Content::Wasm(wasm) => wasm::batch(name, wasm, choices, progress),
    }
}

/// Says what is wrong with an input, with its name in front.
fn report(path: &Path, error: &anyhow::Error) {
    match error.downcast_ref::<Complaint>() {
        Some(complaint) => anstream::eprintln!("{complaint}"),
        None => anstream::eprintln!("{}: {error:#}", path.display()),
    }
}

/// Whoever read the output has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
