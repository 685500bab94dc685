//! The command line of `memopt opt`, and the loop over its inputs.

use crate::complaint::Complaint;
use crate::functions::Wanted;
use crate::opt::batch::Batch;
use crate::opt::input::{self, Content};
use crate::opt::progress::Progress;
use crate::opt::show::Shower;
use crate::opt::{clif, wasm};
use crate::policies::{self, Clauses};
use crate::{guard, passes, target};
use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use cranelift_codegen::ir::Function;
use cranelift_codegen::settings::{self, Flags};
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
    #[command(flatten)]
    compiling: Compiling,
    /// Show unchanged functions of WebAssembly, too
    #[arg(long)]
    all: bool,
    /// Show only functions with this in their name
    #[arg(long, value_name = "SUBSTRING")]
    function: Option<String>,
    /// Write to this file and not to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How functions are compiled.
#[derive(Args, Debug)]
pub struct Compiling {
    /// A policy for all functions, one clause a line
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A triple or an architecture, such as x86_64, aarch64, riscv64 or s390x
    #[arg(long)]
    target: Option<String>,
    /// Turn a WebAssembly proposal on or off, in Wasmtime's own spelling: `-W
    /// all-proposals`, `-W gc=n,memory64`; `-W help` lists them
    #[arg(short = 'W', long, value_name = "KEY[=VAL[,..]]")]
    wasm: Vec<String>,
    /// none, speed or speed_and_size; a file's `set opt_level` does not count
    #[arg(long, default_value = "speed")]
    opt_level: String,
    #[command(flatten)]
    passes: passes::Selection,
    /// Have each run proven by the checker, and report what is not
    #[arg(long)]
    checked: bool,
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
#[derive(Clone)]
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
    /// Wasmtime's options of the group `-W`.
    pub wasm: Vec<String>,
    /// The optimization level.
    pub opt_level: String,
    /// What to show.
    pub emit: Emit,
    /// Figures as JSON?
    pub json: bool,
    /// Show differences?
    pub diff: bool,
    /// Show unchanged functions of WebAssembly?
    pub all: bool,
    clauses: Clauses,
    function: Option<String>,
    /// Do the passes say why?
    remarks: bool,
}

impl Choices {
    /// What is wanted of the passes.
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            options: &self.options,
            checking: self.checking,
            remarks: self.remarks,
        }
    }

    /// The choices of a command line that wants to know why.
    ///
    /// # Errors
    ///
    /// Those of [`Self::compiling`], and a wish for proofs: a run is proven or explained.
    pub fn explaining(arguments: &Compiling, function: Option<&str>) -> Result<Self> {
        ensure!(
            !arguments.checked,
            "explain proves nothing; `memopt opt --checked` does"
        );
        Ok(Self {
            remarks: true,
            function: function.map(str::to_owned),
            ..Self::compiling(arguments)?
        })
    }

    /// The same choices, and the passes say why. Then nothing is proven.
    pub fn with_remarks(self) -> Self {
        Self {
            remarks: true,
            checking: Checking::Off,
            ..self
        }
    }

    /// Tells which clauses of the policy were about nothing.
    pub fn report_idle_clauses(&self) {
        self.clauses.report();
    }

    /// Is the function with this name to be shown?
    pub fn shows(&self, symbol: &str) -> bool {
        let function = self.function.as_deref();
        function.is_none_or(|part| symbol.contains(part))
    }

    /// Notes which clauses of the policy are about one of these functions.
    pub fn see<'f>(&self, functions: impl Iterator<Item = &'f Function> + Clone) {
        self.clauses.see(functions);
    }

    /// What is wrong when no function has been shown; others are there.
    ///
    /// # Errors
    ///
    /// No function has in its name what the user asks for.
    pub fn nothing_shown(&self, others: &[String]) -> Result<()> {
        let Some(function) = self.function.as_ref().filter(|_| !others.is_empty()) else {
            return Ok(());
        };
        const MOST: usize = 8;
        let mut names = others[..others.len().min(MOST)].join("\n  ");
        if others.len() > MOST {
            names += &format!("\n  and {} more", others.len() - MOST);
        }
        bail!("--function {function}: no function has this in its name; there are\n  {names}")
    }

    /// The choices of a command line that says how functions are compiled, and
    /// nothing about showing them.
    ///
    /// # Errors
    ///
    /// A target, an option of Wasmtime's or a policy that is not understood.
    pub fn compiling(arguments: &Compiling) -> Result<Self> {
        if let Some(name) = &arguments.target {
            target::by_name(name, Flags::new(settings::builder()))
                .with_context(|| format!("--target {name}"))?;
        }
        wasm::check_options(&arguments.wasm)?;
        let clauses = match &arguments.policy {
            None => Clauses::default(),
            Some(path) => read_policy(path)?,
        };
        let policy_name = arguments.policy.as_ref();
        let policy_name = policy_name.map(|path| path.display().to_string());
        Ok(Self {
            policy: clauses.policy.clone(),
            policy_name: policy_name.unwrap_or_else(|| "none".to_owned()),
            options: arguments.passes.options(),
            checking: match arguments.checked {
                true => Checking::Fail,
                false => Checking::Off,
            },
            target: arguments.target.clone(),
            wasm: arguments.wasm.clone(),
            opt_level: arguments.opt_level.clone(),
            emit: Emit::Clif,
            json: false,
            diff: false,
            all: false,
            clauses,
            function: None,
            remarks: false,
        })
    }

    fn of(arguments: &Arguments) -> Result<Self> {
        let stats = arguments.emit == Emit::Stats;
        ensure!(stats || !arguments.json, "--json needs --emit stats");
        ensure!(
            !(stats && arguments.diff),
            "--diff needs --emit clif or asm"
        );
        Ok(Self {
            emit: arguments.emit,
            json: arguments.json,
            diff: arguments.diff,
            all: arguments.all,
            function: arguments.function.clone(),
            ..Self::compiling(&arguments.compiling)?
        })
    }
}

fn read_policy(path: &Path) -> Result<Clauses> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| Complaint::of_file(&name, error))?;
    Ok(policies::parse(&name, &text)?)
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
    choices.report_idle_clauses();
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
        for note in &batch.notes {
            progress.suspend(|| anstream::eprintln!("{note}"));
        }
        if choices.checking != Checking::Off {
            let count = batch.subjects.len();
            let all = if count == 1 {
                "its function"
            } else {
                "all of its functions"
            };
            progress.suspend(|| anstream::eprintln!("{name}: proven, {all} ({count})"));
        }
        shower.show(&batch, &progress)
    })
}

/// Optimizes the functions of one input.
///
/// # Errors
///
/// What of the input cannot be compiled.
pub fn batch(
    name: &str,
    content: Content,
    choices: &Choices,
    progress: &Progress,
) -> Result<Batch> {
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
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
