//! `memopt bisect`: which edit of the passes makes a command fail.
//!
//! The command is run on the optimized functions as CLIF, with fewer and fewer
//! edits, until two neighbours are left: with one edit less it succeeds. Of CLIF
//! everything around the functions is kept, test commands and `; run:` comments
//! too, so that the command may be a runner of filetests.
//!
//! The limit of edits is that of each function. If it lets through an edit in
//! several functions at once, each of these is tried alone.

use crate::opt::batch::{Batch, Subject};
use crate::opt::command::{Choices, Compiling, batch};
use crate::opt::input::{self, Content};
use crate::opt::progress::Progress;
use crate::{clif, diff, guard};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use cranelift_memopt::Stats;
use cranelift_memopt::remarks::Outcome;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `memopt bisect` is told.
#[derive(Args, Debug)]
pub struct Arguments {
    /// CLIF (.clif) or WebAssembly (.wat, .wasm)
    file: PathBuf,
    /// Run by `sh` with the name of a file of optimized CLIF behind it; it has to
    /// succeed without edits and fail with all of them
    #[arg(long, value_name = "COMMAND")]
    check: String,
    #[command(flatten)]
    compiling: Compiling,
}

/// No function has more edits; beyond it the number is none.
const MOST_EDITS: u32 = 1 << 24;

/// Finds the edit and prints it.
///
/// # Errors
///
/// An input that cannot be used; a command that cannot be run, fails without
/// edits, or succeeds with all of them.
pub fn run(arguments: &Arguments) -> Result<()> {
    let (name, content) = input::read(&arguments.file)?;
    guard::catch(|| {
        let search = Search {
            name,
            content,
            choices: Choices::compiling(&arguments.compiling)?,
            check: &arguments.check,
            scratch: tempfile::tempdir().context("no place for the CLIF")?,
        };
        anstream::print!("{}", search.run()?);
        Ok(())
    })
}

struct Search<'a> {
    name: String,
    content: Content,
    choices: Choices,
    check: &'a str,
    scratch: tempfile::TempDir,
}

/// The functions with some of their edits.
struct Attempt {
    functions: Vec<String>,
    stats: Vec<Stats>,
    labels: Vec<String>,
    /// What was done to each function and why, if that was asked.
    reasons: Vec<Vec<String>>,
}

impl Search<'_> {
    /// The edit, as a text.
    fn run(&self) -> Result<String> {
        let check = self.check;
        let whole = self.attempt(self.choices.options.edit_limit)?;
        ensure!(
            !self.succeeds(&whole.functions)?,
            "`{check}` succeeds with all edits: there is nothing to find"
        );
        let none = self.attempt(Some(0))?;
        ensure!(
            self.succeeds(&none.functions)?,
            "`{check}` fails without any edit, too: the passes are not why"
        );
        let (mut good, mut bad) = (0, 1);
        while self.succeeds(&self.attempt(Some(bad))?.functions)? {
            ensure!(bad < MOST_EDITS, "`{check}` fails at no number of edits");
            (good, bad) = (bad, bad * 2);
        }
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            match self.succeeds(&self.attempt(Some(middle))?.functions)? {
                true => good = middle,
                false => bad = middle,
            }
        }
        self.describe(good, bad)
    }

    /// The edit number `bad`, of the function in which it makes the check fail.
    fn describe(&self, good: u32, bad: u32) -> Result<String> {
        let (before, after) = (self.explained(good)?, self.explained(bad)?);
        let changed = |index: &usize| before.functions[*index] != after.functions[*index];
        let mut guilty: Vec<_> = (0..before.functions.len()).filter(changed).collect();
        if guilty.len() > 1 {
            for index in &guilty {
                let mut functions = before.functions.clone();
                functions[*index].clone_from(&after.functions[*index]);
                if !self.succeeds(&functions)? {
                    guilty = vec![*index];
                    break;
                }
            }
        }
        let mut text = String::new();
        for index in guilty {
            let label = &after.labels[index];
            let kinds = kinds(&before.stats[index], &after.stats[index]);
            text += &format!("{}: edit {bad} of {label} ({kinds})\n", self.name);
            let known = before.reasons[index].len();
            for reason in after.reasons[index].iter().skip(known) {
                text += &format!("    {reason}\n");
            }
            let unified = diff::unified(
                &before.functions[index],
                &after.functions[index],
                &format!("{label}, edits: {good}"),
                &format!("{label}, edits: {bad}"),
            );
            text += &diff::coloured(&unified);
        }
        Ok(text)
    }

    /// The functions with at most `limit` edits each.
    fn attempt(&self, limit: Option<u32>) -> Result<Attempt> {
        self.attempt_with(self.choices.clone(), limit)
    }

    /// The same, with the reasons of the edits.
    fn explained(&self, limit: u32) -> Result<Attempt> {
        self.attempt_with(self.choices.clone().with_remarks(), Some(limit))
    }

    fn attempt_with(&self, mut choices: Choices, limit: Option<u32>) -> Result<Attempt> {
        choices.options.edit_limit = limit;
        let progress = Progress::new(&self.name);
        let batch = batch(&self.name, self.content.clone(), &choices, &progress)?;
        let Batch {
            memopt, subjects, ..
        } = &batch;
        Ok(Attempt {
            functions: memopt.iter().map(|ctx| ctx.func.to_string()).collect(),
            stats: subjects.iter().map(|subject| subject.stats.stats).collect(),
            labels: subjects.iter().map(|subject| subject.label()).collect(),
            reasons: subjects.iter().map(reasons).collect(),
        })
    }

    /// Does the command succeed on these functions?
    fn succeeds(&self, functions: &[String]) -> Result<bool> {
        let text = match &self.content {
            Content::Clif(text) => self.spliced(text, functions)?,
            Content::Wat(_) | Content::Wasm(_) => functions.join("\n"),
        };
        let file = self.scratch.path().join("optimized.clif");
        fs::write(&file, text)?;
        exit_code(self.check, &file)
    }

    /// The text of the file with these functions in place of its own.
    fn spliced(&self, text: &str, functions: &[String]) -> Result<String> {
        let file = clif::parse(&self.name, text)?;
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        let mut spliced = String::with_capacity(text.len());
        let mut next = 0;
        for ((_, details), function) in file.functions.iter().zip(functions) {
            let first = details.location.line_number - 1;
            lines[next..first].iter().for_each(|line| spliced += line);
            spliced += function;
            next = clif::last_line(text, details).min(lines.len());
        }
        lines[next..].iter().for_each(|line| spliced += line);
        Ok(spliced)
    }
}

/// What was done to a function, and why.
fn reasons(subject: &Subject) -> Vec<String> {
    let remarks = subject.explained.iter().flat_map(|it| &it.remarks);
    let done = remarks.filter(|remark| remark.outcome == Outcome::Done);
    done.map(|remark| remark.to_string()).collect()
}

/// Did `check` succeed on `file`?
fn exit_code(check: &str, file: &Path) -> Result<bool> {
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{check} \"$1\""))
        .arg("memopt bisect")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("`sh` cannot be run")?;
    // What a shell says of a command that it does not find, or may not run.
    if let Some(126 | 127) = status.code() {
        bail!("`{check}` cannot be run");
    }
    Ok(status.success())
}

/// The counters of edits in which the runs differ.
fn kinds(before: &Stats, after: &Stats) -> String {
    let counters = before.counters().zip(after.counters());
    let more = counters.filter(|((name, before), (_, after))| {
        after > before && !["applied", "rounds", "limits_hit"].contains(name)
    });
    let names: Vec<_> = more.map(|((name, _), _)| name).collect();
    match names.is_empty() {
        true => "a clean-up that no counter counts".to_owned(),
        false => names.join(", "),
    }
}
