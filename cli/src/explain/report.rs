//! Remarks alone: for people, as JSON lines, and as LLVM's optimization records.

use crate::explain::sheet::Sheet;
use anyhow::Result;
use cranelift_memopt::remarks::{Outcome, Remark};
use serde::Serialize;
use std::fmt::Write as _;

/// A line a remark, under the name of each function.
pub fn text(sheets: &[Sheet]) -> String {
    let mut text = String::new();
    for sheet in sheets.iter().filter(|sheet| !sheet.remarks.is_empty()) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}:", sheet.label);
        for remark in &sheet.remarks {
            let _ = writeln!(text, "  {remark}");
        }
    }
    text
}

/// An object a line.
#[derive(Debug, Serialize)]
pub struct Record {
    /// The function.
    pub function: String,
    /// `done` or `kept`.
    pub outcome: &'static str,
    /// The counter or the pass.
    pub pass: &'static str,
    /// The instruction, slot or block.
    pub subject: String,
    /// Its block.
    pub block: Option<String>,
    /// Where it comes from.
    pub location: Option<String>,
    /// Itself, as CLIF.
    pub text: String,
    /// What became of it.
    pub what: String,
    /// Why.
    pub reason: String,
    /// The instructions that are the reason.
    pub blame: Vec<BlameRecord>,
    /// What could be told.
    pub advice: Option<String>,
    /// All of it in one line.
    pub message: String,
}

/// An instruction that is to blame.
#[derive(Debug, Serialize)]
pub struct BlameRecord {
    /// Its number.
    pub inst: String,
    /// Its block.
    pub block: Option<String>,
    /// Where it comes from.
    pub location: Option<String>,
    /// Itself, as CLIF.
    pub text: String,
}

/// `done` or `kept`.
pub fn outcome(remark: &Remark) -> &'static str {
    match remark.outcome {
        Outcome::Done => "done",
        Outcome::Kept => "kept",
    }
}

impl Record {
    /// A remark about the function called `function`.
    pub fn of(function: &str, remark: &Remark) -> Self {
        let location = |place: cranelift_codegen::ir::SourceLoc| {
            (!place.is_default()).then(|| place.to_string())
        };
        let blame = remark.blame.iter().map(|blame| BlameRecord {
            inst: blame.inst.to_string(),
            block: blame.block.map(|block| block.to_string()),
            location: location(blame.location),
            text: blame.text.clone(),
        });
        Self {
            function: function.to_owned(),
            outcome: outcome(remark),
            pass: remark.pass,
            subject: remark.subject.to_string(),
            block: remark.block.map(|block| block.to_string()),
            location: location(remark.location),
            text: remark.text.clone(),
            what: remark.what.clone(),
            reason: remark.reason.clone(),
            blame: blame.collect(),
            advice: remark.advice.clone(),
            message: remark.to_string(),
        }
    }
}

/// An object a line.
///
/// # Errors
///
/// None that can happen: there are no maps in a remark.
pub fn json(sheets: &[Sheet]) -> Result<String> {
    let mut text = String::new();
    for sheet in sheets {
        for remark in &sheet.remarks {
            text += &serde_json::to_string(&Record::of(&sheet.symbol, remark))?;
            text.push('\n');
        }
    }
    Ok(text)
}

/// LLVM's optimization records: a document a remark, `!Passed` or `!Missed`.
///
/// The format is that of LLVM's `-fsave-optimization-record`, so that its viewers read it.
/// A location of CLIF is one number; it is the line.
pub fn yaml(sheets: &[Sheet]) -> String {
    let mut text = String::new();
    for sheet in sheets {
        for remark in &sheet.remarks {
            document(&mut text, sheet, remark);
        }
    }
    text
}

fn document(text: &mut String, sheet: &Sheet, remark: &Remark) {
    let tag = match remark.outcome {
        Outcome::Done => "Passed",
        Outcome::Kept => "Missed",
    };
    let mut line = |key: &str, value: &str| {
        // Writing to a string cannot fail.
        let line = format!("{key:<16} {value}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line(&format!("--- !{tag}"), "");
    line("Pass:", "memopt");
    line("Name:", &quoted(remark.pass));
    if !remark.location.is_default() {
        let file = quoted(&sheet.symbol);
        let number = remark.location.bits();
        line(
            "DebugLoc:",
            &format!("{{ File: {file}, Line: {number}, Column: 0 }}"),
        );
    }
    line("Function:", &quoted(&sheet.symbol));
    line("Args:", "");
    let parts = [
        ("Subject", remark.subject.to_string()),
        ("String", format!(" {}: ", remark.what)),
        ("Reason", remark.reason.clone()),
    ];
    for (key, value) in parts {
        let _ = writeln!(text, "  - {:<13} {}", format!("{key}:"), quoted(&value));
    }
    for blame in &remark.blame {
        let _ = writeln!(
            text,
            "  - {:<13} {}",
            "Blame:",
            quoted(&blame.inst.to_string())
        );
    }
    if let Some(advice) = &remark.advice {
        let _ = writeln!(
            text,
            "  - {:<13} {}",
            "Advice:",
            quoted(&format!("; {advice}"))
        );
    }
    text.push_str("...\n");
}

/// A string of YAML in single quotes, in which nothing but the quote has to be doubled.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
