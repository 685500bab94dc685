//! One page for a browser, with all that it needs in it.
//!
//! The page is `page.html`, with the sheets as JSON in the place of a mark. It loads
//! nothing, so it works without a network, and from a file.

use crate::explain::graph::Graph;
use crate::explain::report::Record;
use crate::explain::sheet::{Line, Sheet};
use crate::explain::terminal;
use anyhow::Result;
use cranelift_memopt::remarks::Subject;
use serde::Serialize;

const TEMPLATE: &str = include_str!("page.html");

/// Where the data goes.
const MARK: &str = "\"@DATA@\"";

#[derive(Serialize)]
struct Page<'a> {
    file: &'a str,
    memory: bool,
    functions: Vec<Function<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    label: &'a str,
    policy: &'a str,
    gain: i64,
    changes: String,
    stats: String,
    counts: [Counts; 2],
    rows: Vec<Row<'a>>,
    remarks: Vec<Record>,
    graphs: &'a [Graph; 2],
}

#[derive(Serialize)]
struct Counts {
    loads: usize,
    stores: usize,
    slots: usize,
    bytes: usize,
}

#[derive(Serialize)]
struct Row<'a> {
    kind: &'static str,
    id: String,
    before: Option<&'a str>,
    after: Option<&'a str>,
    remarks: &'a [usize],
    memory: &'a [String],
}

/// The page about `sheets`, those with the most gain first. With `memory`, versions of memory
/// are shown from the start.
///
/// # Errors
///
/// None that can happen: all keys are strings.
pub fn page(file: &str, sheets: &[Sheet], memory: bool) -> Result<String> {
    let mut functions: Vec<_> = sheets.iter().map(function).collect();
    functions.sort_by_key(|function| -function.gain);
    let data = serde_json::to_string(&Page {
        file,
        memory,
        functions,
    })?;
    // In a script, nothing but this can end it or begin a comment.
    let data = data.replace('<', "\\u003c");
    Ok(TEMPLATE.replacen(MARK, &data, 1))
}

fn function(sheet: &Sheet) -> Function<'_> {
    let counts = sheet.counts.each_ref().map(|counts| Counts {
        loads: counts.loads,
        stores: counts.stores,
        slots: counts.stack_slots,
        bytes: counts.code_bytes,
    });
    let rows = sheet.rows.iter().map(|row| Row {
        kind: match row.subject() {
            Some(Subject::Inst(_)) => "inst",
            Some(Subject::Slot(_)) => "slot",
            _ => "block",
        },
        id: row
            .subject()
            .map_or_else(String::new, |subject| subject.to_string()),
        before: row.before.as_ref().map(text),
        after: row.after.as_ref().map(text),
        remarks: &row.remarks,
        memory: &row.memory,
    });
    let records = sheet.remarks.iter();
    Function {
        label: &sheet.label,
        policy: &sheet.policy,
        gain: sheet.gain(),
        changes: terminal::changes(&sheet.counts[0], &sheet.counts[1]),
        stats: sheet.stats.to_string(),
        counts,
        rows: rows.collect(),
        remarks: records
            .map(|remark| Record::of(&sheet.symbol, remark))
            .collect(),
        graphs: &sheet.graphs,
    }
}

fn text(line: &Line) -> &str {
    &line.text
}
