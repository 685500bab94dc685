//! Sheets for a terminal: before and after side by side, reasons in the margin.
//!
//! If three columns have room, the reasons stand in the third; else each stands below its
//! line.

use crate::explain::sheet::{Row, Sheet};
use crate::opt::measure::Counts;
use anstyle::{AnsiColor, Style};
use cranelift_memopt::remarks::{Outcome, Subject};
use std::fmt::Write as _;

/// From this width on, reasons have a column of their own.
const THREE_COLUMNS: usize = 150;

const GONE: Style = AnsiColor::Red.on_default();
const NEW: Style = AnsiColor::Green.on_default();
const KEPT: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// What of a sheet is wanted.
pub struct Wanted {
    /// So many columns at most, where words and instructions let them.
    pub width: usize,
    /// Each remark with its blame and its advice?
    pub in_full: bool,
    /// Which version of memory each access finds?
    pub memory: bool,
}

/// All sheets.
pub fn text(sheets: &[Sheet], wanted: &Wanted) -> String {
    let mut text = String::new();
    for sheet in sheets {
        head(&mut text, sheet);
        for row in &sheet.rows {
            line(&mut text, sheet, row, wanted);
        }
        for remark in sheet.others() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{DIM}{remark}{DIM:#}");
        }
        text.push('\n');
    }
    if sheets.is_empty() {
        text.push_str("no function has changed; --all explains those that have not\n");
    }
    text
}

fn head(text: &mut String, sheet: &Sheet) {
    let [before, after] = &sheet.counts;
    let _ = writeln!(
        text,
        "{BOLD}{}{BOLD:#} (policy {})",
        sheet.label, sheet.policy
    );
    let _ = writeln!(text, "{}; {}", changes(before, after), sheet.stats);
}

/// `loads 6 > 1, stores 15 > 0`, without what is the same.
pub fn changes(before: &Counts, after: &Counts) -> String {
    let pairs = before.named().into_iter().zip(after.named());
    let changed = pairs.filter(|((_, before), (_, after))| before != after);
    let parts: Vec<_> = changed
        .map(|((name, before), (_, after))| format!("{name} {before} > {after}"))
        .collect();
    match parts.is_empty() {
        true => "unchanged".to_owned(),
        false => parts.join(", "),
    }
}

/// The widths of number and text of one side, and of the margin.
struct Widths {
    number: usize,
    side: usize,
    margin: Option<usize>,
}

impl Widths {
    fn of(width: usize) -> Self {
        let number = 8;
        let margin = (width >= THREE_COLUMNS).then_some(width / 3);
        let rest = width - margin.unwrap_or(0) - number;
        Self {
            number,
            side: (rest - 3) / 2,
            margin,
        }
    }
}

fn line(text: &mut String, sheet: &Sheet, row: &Row, wanted: &Wanted) {
    let widths = Widths::of(wanted.width);
    let number = match row.subject() {
        Some(Subject::Inst(inst)) => inst.to_string(),
        _ => String::new(),
    };
    let before = side(row, row.before.as_ref().map(|line| &*line.text), &widths);
    let after = side(row, row.after.as_ref().map(|line| &*line.text), &widths);
    let (left, right) = match (row.is_equal(), &row.before, &row.after) {
        (true, ..) => (Style::new(), Style::new()),
        (false, Some(_), Some(_)) => (GONE, NEW),
        (false, Some(_), None) => (GONE, Style::new()),
        (false, None, _) => (Style::new(), NEW),
    };
    let notes = notes(sheet, row, wanted, &widths);
    let longest = before.len().max(after.len()).max(1);
    let in_margin = if widths.margin.is_some() {
        notes.len()
    } else {
        0
    };
    for at in 0..longest.max(in_margin) {
        let number = if at == 0 { &*number } else { "" };
        let part = |side: &[String]| side.get(at).cloned().unwrap_or_default();
        let (number_width, side_width) = (widths.number, widths.side);
        let note = match widths.margin {
            Some(_) => notes.get(at),
            None => None,
        };
        let (before, after) = (part(&before), part(&after));
        // Blanks at the end of a line are copied along with it.
        let after_width = if note.is_some() { side_width } else { 0 };
        let _ = write!(
            text,
            "{DIM}{number:<number_width$}{DIM:#}{left}{before:<side_width$}{left:#} {DIM}|{DIM:#}"
        );
        if !after.is_empty() || note.is_some() {
            let _ = write!(text, " {right}{after:<after_width$}{right:#}");
        }
        if let Some((style, note)) = note {
            let _ = write!(text, " {style}{note}{style:#}");
        }
        text.push('\n');
    }
    if widths.margin.is_none() {
        let number_width = widths.number;
        for (style, note) in notes {
            let _ = writeln!(text, "{:number_width$}  {style}> {note}{style:#}", "");
        }
    }
}

/// What is said about a row, in lines that the margin has room for.
fn notes(sheet: &Sheet, row: &Row, wanted: &Wanted, widths: &Widths) -> Vec<(Style, String)> {
    let room = widths.margin.unwrap_or(wanted.width - widths.number - 4);
    let room = room.saturating_sub(2);
    let mut notes: Vec<(Style, String)> = Vec::new();
    for remark in row.remarks.iter().map(|at| &sheet.remarks[*at]) {
        let style = match remark.outcome {
            Outcome::Done => NEW,
            Outcome::Kept => KEPT,
        };
        let said = match wanted.in_full {
            true => remark.to_string(),
            false => format!("{}: {}", remark.what, remark.reason),
        };
        notes.extend(wrapped(&said, room).map(|line| (style, line)));
        if wanted.in_full {
            let blame = remark.blame.iter();
            notes.extend(blame.map(|blame| (DIM, format!("  {}: {}", blame.inst, blame.text))));
        }
    }
    for said in row.memory.iter().filter(|_| wanted.memory) {
        notes.extend(wrapped(&format!("memory: {said}"), room).map(|line| (DIM, line)));
    }
    notes
}

/// The lines of one side: a text that is too long goes on below.
fn side(row: &Row, text: Option<&str>, widths: &Widths) -> Vec<String> {
    let Some(text) = text else {
        return Vec::new();
    };
    let indent = match row.subject() {
        Some(Subject::Inst(_)) => "    ",
        Some(Subject::Slot(_)) => "  ",
        _ => "",
    };
    let room = widths.side.saturating_sub(indent.len()).max(8);
    let lines = wrapped(text, room).enumerate();
    lines
        .map(|(at, line)| match at {
            0 => format!("{indent}{line}"),
            _ => format!("{indent}  {line}"),
        })
        .collect()
}

/// `text` in lines of at most `width` characters, except for words that are longer.
fn wrapped(text: &str, width: usize) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let used = lines.last().map_or(0, |line| line.chars().count());
        // All but the first are moved in by two.
        let room = if lines.len() == 1 {
            width
        } else {
            width.saturating_sub(2)
        };
        if used > 0 && used + 1 + word.chars().count() > room {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_wide_as_they_may_be() {
        let lines: Vec<_> = wrapped("one two three four", 9).collect();
        assert_eq!(lines, ["one two", "three", "four"]);
    }

    #[test]
    fn a_long_word_has_a_line_of_its_own() {
        let lines: Vec<_> = wrapped("a incomprehensibilities b", 5).collect();
        assert_eq!(lines, ["a", "incomprehensibilities", "b"]);
    }
}
