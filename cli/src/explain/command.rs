//! The command line of `memopt explain`.

use crate::explain::sheet::Sheet;
use crate::explain::terminal::Wanted;
use crate::explain::{dot, page, report, terminal};
use crate::guard;
use crate::opt::command::{self, Choices, Compiling};
use crate::opt::input;
use crate::opt::progress::Progress;
use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use cranelift_codegen::ir::Inst;
use cranelift_memopt::remarks::{Outcome, Subject};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// What `memopt explain` is told.
#[derive(Args, Debug)]
pub struct Arguments {
    /// CLIF (.clif) or WebAssembly (.wat, .wasm; modules and components); `-`
    /// is standard input
    file: PathBuf,
    /// Explain only functions with this in their name
    #[arg(long, value_name = "SUBSTRING")]
    function: Option<String>,
    /// Explain only this instruction, such as inst7
    #[arg(long, value_name = "INST", value_parser = inst)]
    inst: Option<Inst>,
    /// Explain unchanged functions of WebAssembly, too
    #[arg(long)]
    all: bool,
    /// Say of each access which version of memory it finds, and what comes next to
    /// what a store writes
    #[arg(long, conflicts_with_all = ["dot", "remarks"])]
    memory: bool,
    /// Write one page for a browser, which needs no network
    #[arg(long, group = "form")]
    html: bool,
    /// Write the graphs before and after for Graphviz
    #[arg(long, group = "form")]
    dot: bool,
    /// Write the remarks alone, in this form
    #[arg(long, value_enum, value_name = "FORM", group = "form")]
    remarks: Option<Form>,
    /// The width of the terminal; without it, that of yours, or 120
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..))]
    width: Option<u16>,
    /// Write to this file and not to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    compiling: Compiling,
}

/// How remarks are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A line for people
    Text,
    /// An object a line
    Json,
    /// LLVM's optimization records
    Yaml,
}

/// The instruction called `name`.
fn inst(name: &str) -> Result<Inst, String> {
    let number = name.strip_prefix("inst").unwrap_or(name);
    let number = number.parse().ok().filter(|number| *number < u32::MAX);
    let number = number.ok_or("instructions are called inst0, inst1, …")?;
    Ok(Inst::from_u32(number))
}

/// Runs `memopt explain`.
///
/// # Errors
///
/// An input that cannot be used; no function or instruction of that name; an output that
/// cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let choices = Choices::explaining(&arguments.compiling, arguments.function.as_deref())?;
    let (name, content) = input::read(&arguments.file)?;
    let progress = Progress::new(&name);
    let sheets = guard::catch(|| {
        let batch = command::batch(&name, content, &choices, &progress)?;
        for note in &batch.notes {
            progress.suspend(|| anstream::eprintln!("{note}"));
        }
        let sheets = (0..batch.subjects.len())
            .filter(|index| choices.shows(&batch.subjects[*index].label()))
            .map(|index| Sheet::of(&batch, index));
        let sheets = sheets.collect::<Result<Vec<_>>>()?;
        if sheets.is_empty() {
            let names = batch.subjects.iter().map(|subject| subject.label());
            choices.nothing_shown(&names.collect::<Vec<_>>())?;
        }
        Ok(sheets)
    })?;
    drop(progress);
    choices.report_idle_clauses();
    let sheets = chosen(sheets, arguments)?;
    let mut out = output(arguments)?;
    let written = write(&sheets, arguments, &mut *out);
    match written.and_then(|()| Ok(out.flush()?)) {
        Err(error) if !command::is_closed_pipe(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The sheets that are wanted, with the rows that are.
fn chosen(mut sheets: Vec<Sheet>, arguments: &Arguments) -> Result<Vec<Sheet>> {
    if let Some(inst) = arguments.inst {
        ensure!(
            sheets.len() == 1,
            "--inst needs --function: {} functions are there",
            sheets.len()
        );
        let sheet = &mut sheets[0];
        if !sheet.only(Subject::Inst(inst)) {
            bail!("{} has no {inst}, and had none", sheet.label);
        }
        return Ok(sheets);
    }
    let is_wanted = |sheet: &Sheet| {
        let done = |remark: &cranelift_memopt::remarks::Remark| remark.outcome == Outcome::Done;
        arguments.all || sheet.is_text || sheet.remarks.iter().any(done)
    };
    if arguments.function.is_none() {
        sheets.retain(is_wanted);
    }
    Ok(sheets)
}

fn write(sheets: &[Sheet], arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    let text = match arguments.remarks {
        _ if arguments.html => {
            let file = arguments.file.display().to_string();
            page::page(&file, sheets, arguments.memory)?
        }
        _ if arguments.dot => dot::graphs(sheets),
        Some(Form::Text) => report::text(sheets),
        Some(Form::Json) => report::json(sheets)?,
        Some(Form::Yaml) => report::yaml(sheets),
        None => terminal::text(
            sheets,
            &Wanted {
                width: width(arguments),
                in_full: arguments.inst.is_some(),
                memory: arguments.memory,
            },
        ),
    };
    Ok(out.write_all(text.as_bytes())?)
}

/// Columns for side by side.
fn width(arguments: &Arguments) -> usize {
    let given = arguments.width.map(usize::from);
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let is_file = arguments.output.is_some();
    given
        .or_else(|| if is_file { None } else { terminal() })
        .unwrap_or(120)
        .max(40)
}

/// Where the output goes. Colours are kept for terminals alone.
fn output(arguments: &Arguments) -> Result<Box<dyn Write>> {
    let Some(path) = &arguments.output else {
        return Ok(Box::new(BufWriter::new(anstream::stdout())));
    };
    let file = File::create(path).with_context(|| path.display().to_string())?;
    Ok(Box::new(BufWriter::new(anstream::AutoStream::never(file))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_a_number() {
        assert_eq!(inst("inst7"), Ok(Inst::from_u32(7)));
        assert_eq!(inst("7"), Ok(Inst::from_u32(7)));
        assert!(inst("v7").is_err() && inst("inst4294967295").is_err());
    }
}
