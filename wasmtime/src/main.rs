//! The `adapter-bench` program.

use adapter_bench::component::{self, Effort};
use adapter_bench::variant::Variant;
use adapter_bench::{module, read};
use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compares Wasmtime without and with the memopt passes.
///
/// A component has to export `run: func(n: u32) -> u32`. It is compiled with
/// concurrency support off (`off`), on (`on`), and on with the passes
/// (`memopt`), and run in turns. Results have to agree.
#[derive(Parser)]
#[command(name = "adapter-bench", version)]
struct Arguments {
    /// Components, as .wat or .wasm; with --module, core modules
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The files are core modules: compile time, code size, what is left
    #[arg(long)]
    module: bool,
    /// The component to compile for `off`, where the files need concurrency support
    #[arg(long, value_name = "FILE", conflicts_with = "module")]
    off: Option<PathBuf>,
    /// The argument of `run`
    #[arg(long, default_value_t = 20_000_000, conflicts_with = "module")]
    calls: u32,
    /// Compile and run one variant alone, for tools that watch the program
    #[arg(long, value_name = "VARIANT", conflicts_with = "module")]
    only: Option<Variant>,
    /// How often each variant is run, or compiled
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Show the function behind `run` instead of figures, in all variants
    #[arg(long, conflicts_with_all = ["module", "json"])]
    emit: Option<Emit>,
    /// Write figures as a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Emit {
    /// As it is when machine code is made
    Clif,
    /// The instructions of this machine
    Asm,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.module {
        true => modules(&arguments),
        false => components(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What `Debug` shows is this program's own backtrace, too.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn components(arguments: &Arguments) -> Result<()> {
    let effort = Effort {
        variants: match &arguments.only {
            Some(variant) => std::slice::from_ref(variant),
            None => &Variant::ALL,
        },
        calls: if arguments.emit.is_some() {
            16
        } else {
            arguments.calls
        },
        rounds: if arguments.emit.is_some() {
            1
        } else {
            arguments.rounds
        },
    };
    let off = arguments.off.as_deref().map(read).transpose()?;
    let mut reports = Vec::new();
    for path in &arguments.files {
        let file = path.display().to_string();
        let report =
            read(path).and_then(|wasm| component::measure(&file, &wasm, off.as_deref(), effort));
        let report = report.context(file)?;
        match arguments.emit {
            Some(emit) => show_code(&report, emit)?,
            None if !arguments.json => show_times(&report),
            None => {}
        }
        reports.push(report);
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    }
    Ok(())
}

fn show_code(report: &component::Report, emit: Emit) -> Result<()> {
    for measured in &report.variants {
        println!(";; {}, {}", report.file, measured.variant.name());
        match emit {
            Emit::Clif => print!("{}", measured.written.text),
            Emit::Asm => print!("{}", measured.written.assembly()?),
        }
    }
    Ok(())
}

fn show_times(report: &component::Report) {
    println!(
        "{}: run({}) = {}, {} rounds",
        report.file, report.calls, report.result, report.rounds
    );
    println!(
        "  {:<8}{:>9}{:>9}{:>8}{:>8}   {}",
        "", "ns min", "median", "ratio", "median", "one turn of the hot loop"
    );
    for measured in &report.variants {
        let counts = &measured.hot_loop;
        println!(
            "  {:<8}{:>9.3}{:>9.3}{:>8.2}{:>8.2}   {} loads ({} readonly), {} stores, {} calls, {} instructions; \
             {} bytes of code",
            measured.variant.name(),
            measured.ns.min,
            measured.ns.median,
            measured.ratio.min,
            measured.ratio.median,
            counts.loads,
            counts.readonly_loads,
            counts.stores,
            counts.calls,
            counts.instructions,
            measured.code_size,
        );
    }
}

fn modules(arguments: &Arguments) -> Result<()> {
    let mut reports = Vec::new();
    for path in &arguments.files {
        let file = file_name(path);
        let report = read(path).and_then(|wasm| module::measure(&file, &wasm, arguments.rounds));
        let report = report.context(file)?;
        if !arguments.json {
            show_module(&report);
        }
        reports.push(report);
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn show_module(report: &module::Report) {
    println!("{}: {} rounds", report.file, report.rounds);
    for measured in &report.variants {
        let name = match measured.variant {
            Variant::Off | Variant::On => "off",
            Variant::Memopt => "on",
        };
        let retired = measured.million_instructions.map_or_else(
            || "not counted".to_owned(),
            |millions| format!("{:.1} M", millions.min),
        );
        println!(
            "  passes {name:<4} compile {:>8.1} ms min {:>8.1} median, {retired} instructions; \
             {} bytes of code, {} loads ({} readonly), {} stores",
            measured.milliseconds.min,
            measured.milliseconds.median,
            measured.code_size,
            measured.left.loads,
            measured.left.readonly_loads,
            measured.left.stores,
        );
    }
    let [off, on] = &report.variants;
    let time = on.milliseconds.over(&off.milliseconds);
    let size = on.code_size as f64 / off.code_size as f64;
    println!(
        "  on/off: time {:.3} min {:.3} median, code {size:.4}",
        time.min, time.median
    );
}
