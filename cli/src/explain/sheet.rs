//! A function before and after the passes, line by line.

use crate::explain::graph::Graph;
use crate::guard;
use crate::opt::batch::Batch;
use crate::opt::measure::Counts;
use anyhow::{Context as _, Result};
use cranelift_codegen::ir::{Block, Function, Inst, StackSlot};
use cranelift_memopt::remarks::{Outcome, Remark, Subject, Version};
use memopt_check::CheckedStats;
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::collections::HashMap;

/// A function that is explained.
#[derive(Debug)]
pub struct Sheet {
    /// All names of the function.
    pub label: String,
    /// Its name for the compiler.
    pub symbol: String,
    /// Is the input CLIF text, whose functions are all wanted?
    pub is_text: bool,
    /// What there is before the passes, and after them.
    pub counts: [Counts; 2],
    /// What the passes did.
    pub stats: CheckedStats,
    /// Where the policy comes from.
    pub policy: String,
    /// The lines.
    pub rows: Vec<Row>,
    /// What the passes have to say.
    pub remarks: Vec<Remark>,
    /// The graph before, and after.
    pub graphs: [Graph; 2],
}

/// A line before, and the same line after.
#[derive(Debug)]
pub struct Row {
    /// Before the passes; `None` if it is new.
    pub before: Option<Line>,
    /// After them; `None` if it is gone.
    pub after: Option<Line>,
    /// The remarks about it, by position.
    pub remarks: Vec<usize>,
    /// Which versions of memory are before and after it.
    pub memory: Vec<String>,
}

/// One line of CLIF.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is about.
    pub subject: Subject,
    /// The text, without indentation.
    pub text: String,
}

impl Row {
    /// What the row is about.
    pub fn subject(&self) -> Option<Subject> {
        let line = self.before.as_ref().or(self.after.as_ref());
        line.map(|line| line.subject)
    }

    /// Is it the same on both sides?
    pub fn is_equal(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => before.text == after.text,
            _ => false,
        }
    }
}

impl Sheet {
    /// The function at `index` of a batch that was optimized with remarks.
    ///
    /// Cost: the difference of both sides, line by line, and two lowerings. A
    /// function that cannot be lowered has no bytes of code.
    ///
    /// # Errors
    ///
    /// A batch without remarks.
    pub fn of(batch: &Batch, index: usize) -> Result<Self> {
        let subject = &batch.subjects[index];
        let explained = subject.explained.as_ref().context("no remarks")?;
        let (before, after) = (&explained.before, &batch.memopt[index].func);
        let counts = [before, after].map(|func| {
            // Upstream's back ends panic on some functions that its mid-end takes.
            let counts = guard::catch(|| Counts::of(func, &*batch.isa));
            counts.unwrap_or_else(|_| Counts::without_code(func))
        });
        let remarks = explained.remarks.clone();
        let source = explained.source_insts;
        let mut rows = rows(&lines(before), &lines(after), &remarks, source);
        note_memory(&mut rows, &explained.versions);
        Ok(Self {
            label: subject.label(),
            symbol: subject.symbol.clone(),
            is_text: batch.is_text(),
            counts,
            stats: subject.stats,
            policy: subject.policy.clone(),
            rows,
            graphs: [Graph::of(before), Graph::of(after)],
            remarks,
        })
    }

    /// How many bytes of code are gained; negative if they are lost.
    pub fn gain(&self) -> i64 {
        let [before, after] = &self.counts;
        let weigh = |counts: &Counts| (counts.loads + counts.stores + counts.stack_slots) as i64;
        weigh(before) - weigh(after)
    }

    /// Keeps only the rows about `subject`; `false` if there are none.
    pub fn only(&mut self, subject: Subject) -> bool {
        self.rows.retain(|row| {
            let lines = [&row.before, &row.after].into_iter().flatten();
            lines.into_iter().any(|line| line.subject == subject)
        });
        self.remarks_of_rows_alone(subject);
        !self.rows.is_empty()
    }

    fn remarks_of_rows_alone(&mut self, subject: Subject) {
        self.remarks.retain(|remark| remark.subject == subject);
        let all: Vec<usize> = (0..self.remarks.len()).collect();
        for row in &mut self.rows {
            row.remarks.clone_from(&all);
        }
    }

    /// The remarks that no row has: about the function, and about what was made in between.
    pub fn others(&self) -> impl Iterator<Item = &Remark> {
        let shown = |index: &usize| self.rows.iter().any(|row| row.remarks.contains(index));
        let others = (0..self.remarks.len()).filter(move |index| !shown(index));
        others.map(|index| &self.remarks[index])
    }
}

/// The slots, blocks and instructions of a function, in their order.
fn lines(func: &Function) -> Vec<Line> {
    let slots = func
        .sized_stack_slots
        .iter()
        .map(|(slot, data)| slot_line(slot, &data.to_string()));
    let mut lines: Vec<Line> = slots.collect();
    for block in func.layout.blocks() {
        lines.push(block_line(func, block));
        let insts = func.layout.block_insts(block);
        lines.extend(insts.map(|inst| inst_line(func, inst)));
    }
    lines
}

fn slot_line(slot: StackSlot, data: &str) -> Line {
    Line {
        subject: Subject::Slot(slot),
        text: format!("{slot} = {data}"),
    }
}

fn block_line(func: &Function, block: Block) -> Line {
    let params = func.dfg.block_params(block).iter();
    let params: Vec<_> = params
        .map(|param| format!("{param}: {}", func.dfg.value_type(*param)))
        .collect();
    let text = match params.is_empty() {
        true => format!("{block}:"),
        false => format!("{block}({}):", params.join(", ")),
    };
    let cold = if func.layout.is_cold(block) {
        " cold"
    } else {
        ""
    };
    Line {
        subject: Subject::Block(block),
        text: format!("{text}{cold}"),
    }
}

fn inst_line(func: &Function, inst: Inst) -> Line {
    Line {
        subject: Subject::Inst(inst),
        text: func.dfg.display_inst(inst).to_string(),
    }
}

/// Both sides in rows: a line stands beside itself, wherever it has not moved.
///
/// An instruction that is not of the source, of which there are `source`, may have the number
/// of another one on the other side; it is itself if it reads the same.
fn rows(before: &[Line], after: &[Line], remarks: &[Remark], source: usize) -> Vec<Row> {
    let key = |line: &Line| {
        let made = is_made(line.subject, source);
        (line.subject, made.then(|| line.text.clone()))
    };
    let keys = |lines: &[Line]| lines.iter().map(key).collect::<Vec<_>>();
    let mut rows = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &keys(before), &keys(after)) {
        let (old, new) = (op.old_range(), op.new_range());
        match op {
            DiffOp::Equal { .. } => {
                let pairs = before[old].iter().zip(&after[new]);
                rows.extend(pairs.map(|(before, after)| row(Some(before), Some(after))));
            }
            DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => {
                rows.extend(before[old].iter().map(|line| row(Some(line), None)));
                rows.extend(after[new].iter().map(|line| row(None, Some(line))));
            }
        }
    }
    attach(&mut rows, remarks, source);
    rows
}

/// Is it an instruction that the source, which has `source` of them, has not?
fn is_made(subject: Subject, source: usize) -> bool {
    matches!(subject, Subject::Inst(inst) if inst.as_u32() as usize >= source)
}

fn row(before: Option<&Line>, after: Option<&Line>) -> Row {
    Row {
        before: before.cloned(),
        after: after.cloned(),
        remarks: Vec::new(),
        memory: Vec::new(),
    }
}

/// Says of each access which versions of memory it is between, on both sides.
fn note_memory(rows: &mut [Row], versions: &[Vec<Version>; 2]) {
    let texts = versions.each_ref().map(|versions| {
        let of_inst = |version: &Version| (Subject::Inst(version.inst), version.text.clone());
        versions.iter().map(of_inst).collect::<HashMap<_, _>>()
    });
    for row in rows {
        let sides = [&row.before, &row.after].into_iter().zip(&texts);
        let [before, after] = [0, 1].map(|side| {
            let (line, texts) = sides.clone().nth(side)?;
            texts.get(&line.as_ref()?.subject).cloned()
        });
        row.memory = match (before, after) {
            (Some(before), Some(after)) if before != after => {
                vec![format!("before, {before}"), format!("after, {after}")]
            }
            (before, after) => before.or(after).into_iter().collect(),
        };
    }
}

/// Gives each remark to the rows that it is about. What was done stands where the line was;
/// what was left as it is where the line is. Of the lines before, only those of the source count.
fn attach(rows: &mut [Row], remarks: &[Remark], source: usize) {
    let mut was: HashMap<Subject, usize> = HashMap::new();
    let mut is: HashMap<Subject, usize> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some(line) = &row.before
            && !is_made(line.subject, source)
        {
            was.insert(line.subject, at);
        }
        if let Some(line) = &row.after {
            is.insert(line.subject, at);
        }
    }
    for (index, remark) in remarks.iter().enumerate() {
        let (first, second) = match remark.outcome {
            Outcome::Done => (&was, &is),
            Outcome::Kept => (&is, &was),
        };
        let at = first
            .get(&remark.subject)
            .or_else(|| second.get(&remark.subject));
        if let Some(at) = at {
            rows[*at].remarks.push(index);
        }
    }
}
