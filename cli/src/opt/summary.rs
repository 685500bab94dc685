//! The first screen: what became of all functions of an input, in one table.

use crate::opt::measure::Counts;
use std::fmt::Write as _;

/// The widths of a name and of a pair of counts: 80 columns with what marks a
/// comment.
const NAME: usize = 33;
const PAIR: usize = 10;
const BYTES: usize = 14;

/// One function of the table.
pub struct Row {
    /// Its names.
    pub label: String,
    /// What stock Cranelift leaves.
    pub stock: Counts,
    /// What the passes leave.
    pub memopt: Counts,
}

/// The table of `rows`, of `all` functions of the input; the others are unchanged.
pub fn table(file: &str, policy: &str, rows: &[Row], all: usize) -> String {
    let mut text = format!("{file} (policy {policy})\n");
    if !rows.is_empty() {
        line(&mut text, "function", ["loads", "stores", "slots", "bytes"]);
    }
    for Row {
        label,
        stock,
        memopt,
    } in rows
    {
        let pairs = [
            (stock.loads, memopt.loads),
            (stock.stores, memopt.stores),
            (stock.stack_slots, memopt.stack_slots),
            (stock.code_bytes, memopt.code_bytes),
        ];
        line(
            &mut text,
            label,
            pairs.map(|(before, after)| pair(before, after)),
        );
    }
    let unchanged = all - rows.len();
    let functions = if unchanged == 1 {
        "function"
    } else {
        "functions"
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{unchanged} {functions} without a change\n");
    text
}

fn pair(before: usize, after: usize) -> String {
    match before == after {
        true => before.to_string(),
        false => format!("{before} > {after}"),
    }
}

/// A label that is too long has a line of its own.
fn line(text: &mut String, label: &str, columns: [impl AsRef<str>; 4]) {
    let mut label = label;
    if label.chars().count() > NAME {
        text.push_str(label);
        text.push('\n');
        label = "";
    }
    let [loads, stores, slots, bytes] = columns;
    let (loads, stores, slots, bytes) = (
        loads.as_ref(),
        stores.as_ref(),
        slots.as_ref(),
        bytes.as_ref(),
    );
    let _ = writeln!(
        text,
        "{label:<NAME$}{loads:>PAIR$}{stores:>PAIR$}{slots:>PAIR$}{bytes:>BYTES$}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_numbers_is_wider_than_a_terminal() {
        let counts = |count| Counts {
            loads: count,
            stores: count,
            stack_slots: count,
            code_bytes: count,
            ..Counts::default()
        };
        let row = Row {
            label: "x".repeat(NAME),
            stock: counts(999),
            memopt: counts(998),
        };
        let text = table("a.wat", "none", &[row], 2);
        assert!(text.lines().all(|line| line.len() <= 77), "{text}");
        assert!(text.contains("999 > 998"), "{text}");
        assert!(text.contains("1 function without a change"), "{text}");
    }
}
