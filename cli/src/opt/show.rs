//! Writes what became of the functions of a [`Batch`].

use crate::opt::batch::{Batch, Subject};
use crate::opt::command::{Choices, Emit};
use crate::opt::measure::Counts;
use crate::opt::progress::Progress;
use crate::opt::summary;
use crate::{diff, lower};
use anyhow::Result;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;
use memopt_check::CheckedStats;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

/// The figures of one function, as `--json` writes them.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The input.
    pub file: String,
    /// The function.
    pub symbol: String,
    /// Where its policy comes from.
    pub policy: String,
    /// What stock Cranelift leaves.
    pub stock: Counts,
    /// What the passes leave.
    pub memopt: Counts,
    /// What the passes did, by counter.
    pub edits: BTreeMap<&'static str, u32>,
}

impl Figures {
    fn of(batch: &Batch, index: usize) -> Result<Self> {
        let Subject {
            symbol,
            name: _,
            policy,
            stats,
            explained: _,
        } = &batch.subjects[index];
        let isa = &*batch.isa;
        Ok(Self {
            file: batch.file.clone(),
            symbol: symbol.clone(),
            policy: policy.clone(),
            stock: Counts::of(&*batch.stock.get(index)?, isa)?,
            memopt: Counts::of(&batch.memopt[index].func, isa)?,
            edits: stats.counters().collect(),
        })
    }
}

/// Writes inputs one after the other, in the form that the user chose.
pub struct Shower<'a> {
    choices: &'a Choices,
    out: &'a mut dyn Write,
    /// What a JSON array has before its next element.
    separator: &'static str,
    /// Has a function been shown in full?
    any: bool,
    /// How many functions the user wants to see.
    shown: usize,
    /// The functions of inputs in which there are none of those.
    others: Vec<String>,
    total: Total,
}

/// Sums over all functions that were shown.
#[derive(Default)]
struct Total {
    functions: usize,
    stock: Counts,
    memopt: Counts,
    stats: CheckedStats,
}

impl<'a> Shower<'a> {
    /// Writes to `out`.
    pub fn new(choices: &'a Choices, out: &'a mut dyn Write) -> Self {
        Self {
            choices,
            out,
            separator: "[\n",
            any: false,
            shown: 0,
            others: Vec::new(),
            total: Total::default(),
        }
    }

    /// Shows the functions of `batch` that the user wants to see.
    ///
    /// # Errors
    ///
    /// A function that cannot be lowered; an output that cannot be written.
    pub fn show(&mut self, batch: &Batch, progress: &Progress) -> Result<()> {
        let wanted = |index: &usize| self.choices.shows(&batch.subjects[*index].label());
        let mut wanted: Vec<_> = (0..batch.subjects.len()).filter(wanted).collect();
        self.shown += wanted.len();
        if wanted.is_empty() {
            // Those that a user has written are the likelier ones.
            let by_user = |subject: &&Subject| subject.name.is_some();
            let (first, last): (Vec<_>, Vec<_>) = batch.subjects.iter().partition(by_user);
            let names = first.into_iter().chain(last).map(Subject::label);
            self.others.extend(names);
            return Ok(());
        }
        if !batch.is_text() && self.choices.emit != Emit::Stats {
            wanted = self.summarize(batch, wanted, progress)?;
        }
        progress.start("measuring", Some(wanted.len()));
        for index in wanted {
            let text = self.render(batch, index)?;
            progress.suspend(|| self.out.write_all(text.as_bytes()))?;
            progress.step();
        }
        Ok(())
    }

    /// Writes the table of all functions in `wanted`; those that are to be shown
    /// below it.
    fn summarize(
        &mut self,
        batch: &Batch,
        wanted: Vec<usize>,
        progress: &Progress,
    ) -> Result<Vec<usize>> {
        let all = wanted.len();
        let changed = |index: &usize| batch.subjects[*index].stats.stats.edits() > 0;
        let shown: Vec<_> = match self.choices.all {
            true => wanted,
            false => wanted.into_iter().filter(changed).collect(),
        };
        let rows: Result<Vec<_>> = shown
            .iter()
            .filter(|index| changed(index))
            .map(|index| {
                Ok(summary::Row {
                    label: batch.subjects[*index].label(),
                    stock: Counts::of(&*batch.stock.get(*index)?, &*batch.isa)?,
                    memopt: Counts::of(&batch.memopt[*index].func, &*batch.isa)?,
                })
            })
            .collect();
        let table = summary::table(&batch.file, &self.choices.policy_name, &rows?, all);
        let table: String = table.lines().map(commented).collect();
        progress.suspend(|| self.out.write_all(table.as_bytes()))?;
        Ok(shown)
    }

    /// Writes what comes after the last input.
    ///
    /// # Errors
    ///
    /// An output that cannot be written; no function that the user wants to see.
    pub fn finish(self) -> Result<()> {
        if self.choices.json {
            let open = if self.separator == "[\n" { "[" } else { "" };
            writeln!(self.out, "{open}\n]")?;
        } else if self.choices.emit == Emit::Stats && self.total.functions > 1 {
            let policy = &self.choices.policy_name;
            let title = format!("all {} functions (policy {policy})", self.total.functions);
            let Total { stock, memopt, .. } = &self.total;
            let table = table(&title, stock, memopt, &self.total.stats);
            self.out.write_all(table.as_bytes())?;
        }
        self.out.flush()?;
        match self.shown {
            0 => self.choices.nothing_shown(&self.others),
            _ => Ok(()),
        }
    }

    fn render(&mut self, batch: &Batch, index: usize) -> Result<String> {
        match self.choices.emit {
            Emit::Stats => self.stats(batch, index),
            Emit::Clif | Emit::Asm if self.choices.diff => self.difference(batch, index),
            Emit::Clif if batch.is_text() => Ok(self.clif_alone(batch, index)),
            Emit::Clif | Emit::Asm => self.both(batch, index),
        }
    }

    fn stats(&mut self, batch: &Batch, index: usize) -> Result<String> {
        let figures = Figures::of(batch, index)?;
        if self.choices.json {
            let separator = std::mem::replace(&mut self.separator, ",\n");
            return Ok(format!("{separator}{}", serde_json::to_string(&figures)?));
        }
        let stats = &batch.subjects[index].stats;
        self.total.functions += 1;
        self.total.stock.add_all(&figures.stock);
        self.total.memopt.add_all(&figures.memopt);
        self.total.stats += stats;
        let title = format!("{} (policy {})", figures.symbol, figures.policy);
        Ok(table(&title, &figures.stock, &figures.memopt, stats))
    }

    /// The optimized function alone, so that the output is CLIF again.
    fn clif_alone(&mut self, batch: &Batch, index: usize) -> String {
        let any = std::mem::replace(&mut self.any, true);
        let separator = if any { "\n" } else { "" };
        format!("{separator}{}", batch.memopt[index].func.display())
    }

    /// Both sides in full, each under a heading.
    fn both(&self, batch: &Batch, index: usize) -> Result<String> {
        let (stock, memopt) = self.sides(batch, index)?;
        let figures = Figures::of(batch, index)?;
        let Figures { symbol, policy, .. } = &figures;
        let before = line(&figures.stock);
        let after = line(&figures.memopt);
        Ok(format!(
            ";; {symbol}, as stock Cranelift leaves it: {before}\n{stock}\n\
             ;; {symbol}, as the passes leave it (policy {policy}): {after}\n{memopt}\n"
        ))
    }

    /// The difference of both sides; nothing if there is none.
    fn difference(&self, batch: &Batch, index: usize) -> Result<String> {
        let (stock, memopt) = self.sides(batch, index)?;
        if stock == memopt {
            return Ok(String::new());
        }
        let figures = Figures::of(batch, index)?;
        let Figures { symbol, policy, .. } = &figures;
        let old = format!("{symbol} (stock)");
        let new = format!("{symbol} (memopt, policy {policy})");
        let counts = [line(&figures.stock), line(&figures.memopt)];
        let diff = diff::coloured(&diff::unified(&stock, &memopt, &old, &new));
        Ok(format!(";; {}\n;; {}\n{diff}", counts[0], counts[1]))
    }

    fn sides(&self, batch: &Batch, index: usize) -> Result<(String, String)> {
        let stock = batch.stock.get(index)?;
        let memopt = &batch.memopt[index].func;
        let text = |func: &Function| self.text(func, &*batch.isa);
        Ok((text(&stock)?, text(memopt)?))
    }

    fn text(&self, func: &Function, isa: &dyn TargetIsa) -> Result<String> {
        if self.choices.emit != Emit::Asm {
            return Ok(func.display().to_string());
        }
        let code = lower::machine_code(func, isa, true)?;
        lower::disassembly(&code, &func.params, isa)
    }
}

/// Both sides in columns, and what the passes did.
fn table(title: &str, stock: &Counts, memopt: &Counts, stats: &CheckedStats) -> String {
    let mut text = format!("{title}\n  {:<14} {:>9} {:>9}\n", "", "stock", "memopt");
    for ((name, before), (_, after)) in stock.named().into_iter().zip(memopt.named()) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<14} {before:>9} {after:>9}");
    }
    let _ = writeln!(text, "  {stats}\n");
    text
}

fn line(counts: &Counts) -> String {
    let counts = counts.named().map(|(name, count)| counted(count, name));
    counts.join(", ")
}

/// `1 call`, `2 calls`, `1 byte of code`.
fn counted(count: usize, name: &str) -> String {
    let (first, rest) = match name.split_once(" of ") {
        Some((first, rest)) => (first, format!(" of {rest}")),
        None => (name, String::new()),
    };
    let first = match count {
        1 => first.strip_suffix('s').unwrap_or(first),
        _ => first,
    };
    format!("{count} {first}{rest}")
}

/// A line of the table as CLIF has comments, because CLIF follows.
fn commented(line: &str) -> String {
    match line.is_empty() {
        true => "\n".to_owned(),
        false => format!(";; {line}\n"),
    }
}
