//! Refuses CLIF text with numbers that no function has.
//!
//! An entity is an index into a table, and `cranelift-reader` fills the table up
//! to every number that it meets: `ss4294967290` alone would take 100 GB. So the
//! numbers are looked at before it reads the text, and the sizes of stack slots
//! behind it.

use crate::complaint::{Complaint, Position};
use cranelift_codegen::ir::Function;
use cranelift_reader::TestFile;

/// Numbers up to this are fine in any file: such tables are made in a moment. A
/// longer text may number as many entities as it has bytes, because a name takes
/// more than one.
const ALWAYS_FINE: u64 = 1 << 20;

/// The frame that a function may have. Back ends count in 32 bits with a sign.
pub const MAX_FRAME_BYTES: u64 = 1 << 30;

/// What the reader has tables for.
const TABLES: [&str; 12] = [
    "block", "const", "dss", "dt", "extable", "fn", "gv", "mt", "region", "sig", "ss", "v",
];

/// Checks the numbers of entities in `text`, which need not be CLIF.
///
/// Cost: one scan of the text.
///
/// # Errors
///
/// The first number that is too large, with its place.
pub fn check(name: &str, text: &str) -> Result<(), Complaint> {
    let limit = ALWAYS_FINE.max(text.len() as u64);
    let wrong = Words::new(text).find(|word| number(word).is_some_and(|number| number > limit));
    let Some(word) = wrong else { return Ok(()) };
    let message = format!(
        "`{word}`: a function cannot have so many of these; the numbers of this file go up to {limit}"
    );
    Err(Complaint::at(name, Position::of(text, word), message))
}

/// Checks that each function has a body, and a frame of at most `frame` bytes.
///
/// # Errors
///
/// The first function that does not, with its line.
pub fn check_functions(name: &str, file: &TestFile<'_>, frame: u64) -> Result<(), Complaint> {
    for (func, details) in &file.functions {
        let place = Position {
            line: details.location.line_number,
            column: 1,
        };
        if func.layout.entry_block().is_none() {
            let message = format!("{} has no blocks", func.name);
            return Err(Complaint::at(name, place, message));
        }
        let bytes = frame_bytes(func);
        if bytes > frame {
            let message = format!(
                "the stack slots of {} take {bytes} bytes; at most {frame} are possible here",
                func.name
            );
            return Err(Complaint::at(name, place, message));
        }
    }
    Ok(())
}

/// What the sized slots of `func` take at most, each at its alignment.
fn frame_bytes(func: &Function) -> u64 {
    let bytes = func.sized_stack_slots.values().map(|slot| {
        let alignment = 1u64 << slot.align_shift.min(63);
        (u64::from(slot.size) + alignment - 1).next_multiple_of(alignment)
    });
    bytes.fold(0, u64::saturating_add)
}

/// The number of an entity, if `word` names one; one that is no number is large.
fn number(word: &str) -> Option<u64> {
    let head = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let tail = &word[head.len()..];
    let is_entity = !tail.is_empty() && TABLES.contains(&head);
    is_entity.then(|| tail.parse().unwrap_or(u64::MAX))
}

/// The words of a CLIF text, without comments, strings and `%names`.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Takes off the text up to the first character that is not `of`.
    fn take(&mut self, of: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !of(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        loop {
            let first = self.rest.chars().next()?;
            if in_word(first) {
                return Some(self.take(in_word));
            }
            self.rest = &self.rest[first.len_utf8()..];
            match first {
                ';' => drop(self.take(|c| c != '\n')),
                '%' => drop(self.take(in_word)),
                '"' => {
                    self.take(|c| c != '"');
                    self.take(|c| c == '"');
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_number_has_a_place() {
        for word in ["ss4294967290", "v1048577", "block99999999999999999999"] {
            let said = check("a.clif", &format!("function %f() {{\n    {word}\n}}\n"));
            let said = said.unwrap_err().to_string();
            assert!(said.starts_with(&format!("a.clif:2:5: `{word}`")), "{said}");
        }
    }

    #[test]
    fn what_is_no_entity_may_be_large() {
        for text in [
            "; v4294967290",
            "%v4294967290",
            "region0 = 1 \"v4294967290\"",
            "u0:4294967290",
            "0x7fffffffffff 4294967290",
            "i64x2 tag4294967290 v1048576",
        ] {
            assert_eq!(check("a.clif", text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_long_text_may_have_more() {
        let text = format!("{}v1048577", " ".repeat(1 << 21));
        assert_eq!(check("a.clif", &text), Ok(()));
    }
}
