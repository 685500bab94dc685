//! Reads CLIF text, and says where it is wrong.
//!
//! `cranelift-reader` reports the line of an error but not the column. The
//! column is found by asking it again about less of the line: the parser looks
//! at one token at a time, so the shortest prefix of the line that still gives
//! the same error ends with the token that it stumbled over.

use crate::complaint::{Complaint, Position};
use crate::{guard, numbers};
use cranelift_codegen::ir::Function;
use cranelift_reader::{Comment, Details, ParseError, ParseOptions, TestFile, parse_test};

/// Parses `text` as a file of functions, with or without test commands.
///
/// # Errors
///
/// A syntax error, with file, line and column; a file without functions; a
/// function without blocks, or with more of something than a compiler can count.
pub fn parse<'a>(name: &str, text: &'a str) -> Result<TestFile<'a>, Complaint> {
    numbers::check(name, text)?;
    let parsed = guard::catch(|| Ok(parse_test(text, options())))
        .map_err(|panicked| Complaint::of_file(name, panicked))?;
    let file = parsed.map_err(|error| locate(name, text, &error))?;
    if file.functions.is_empty() {
        return Err(Complaint::of_file(name, "no functions in this file"));
    }
    numbers::check_functions(name, &file, numbers::MAX_FRAME_BYTES)?;
    Ok(file)
}

/// All comments of a file, in the order of the text.
pub fn comments<'f, 'a>(file: &'f TestFile<'a>) -> impl Iterator<Item = &'f Comment<'a>> {
    let of_functions = file.functions.iter().flat_map(|(_, d)| &d.comments);
    file.preamble_comments.iter().chain(of_functions)
}

/// The text of a comment that begins with `keyword`, after the keyword.
///
/// `keyword` ends with a colon; any number of semicolons may come before it.
pub fn directive<'a>(comment: &'a str, keyword: &str) -> Option<&'a str> {
    let text = comment.trim_start_matches(';').trim_start();
    text.strip_prefix(keyword).map(str::trim)
}

/// The line of a function's closing brace.
pub fn last_line(text: &str, details: &Details<'_>) -> usize {
    let first = details.location.line_number;
    let length = text
        .lines()
        .skip(first - 1)
        .position(|line| line.trim_start().starts_with('}'));
    first + length.unwrap_or(0)
}

/// How a function is called in messages: by name and line.
pub fn label(func: &Function, details: &Details<'_>) -> String {
    format!("{} (line {})", func.name, details.location.line_number)
}

/// Upstream's filetests carry the control-flow information of machine code.
fn options<'a>() -> ParseOptions<'a> {
    ParseOptions {
        machine_code_cfg_info: true,
        ..ParseOptions::default()
    }
}

/// The complaint about `error`, with its column.
fn locate(name: &str, text: &str, error: &ParseError) -> Complaint {
    let line = error.location.line_number;
    let offset = guard::catch(|| Ok(offset_of(text, error))).unwrap_or(0);
    let mut position = Position::of_offset(text, offset);
    // An error at the end of the text, or one that no prefix reproduces.
    position.line = line;
    Complaint::at(name, position, &error.message)
}

/// Where the token begins that `error` is about.
fn offset_of(text: &str, error: &ParseError) -> usize {
    let start = line_start(text, error.location.line_number);
    let line = text[start..].lines().next().unwrap_or_default();
    let tokens = token_ends(line);
    let blank = line.len() - line.trim_start().len();
    // Once a prefix holds the wrong token, so does every longer one.
    let wrong = tokens.partition_point(|(_, end)| !gives(&text[..start + end], error));
    let entity = || mentioned(line, &error.message);
    match tokens.get(wrong) {
        Some((begin, _)) => start + begin,
        // Reported when the function ended, about something on this line.
        None => start + entity().unwrap_or(blank),
    }
}

/// Does the parser stumble in the same way when the text ends here? The next
/// line then holds what no CLIF has, so that the end is not mistaken for it.
fn gives(prefix: &str, error: &ParseError) -> bool {
    let cut = format!("{prefix}\n\u{1}");
    match parse_test(&cut, options()) {
        Ok(_) => false,
        Err(other) => {
            other.location.line_number == error.location.line_number
                && other.message == error.message
        }
    }
}

fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum()
}

/// Begin and end of each token of a line: words, and single other characters.
fn token_ends(line: &str) -> Vec<(usize, usize)> {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '%' | '-');
    let mut tokens: Vec<(usize, usize)> = Vec::new();
    let mut open = false;
    for (at, c) in line.char_indices() {
        let end = at + c.len_utf8();
        match tokens.last_mut() {
            Some(last) if open && in_word(c) => last.1 = end,
            _ if c.is_whitespace() => {}
            _ => tokens.push((at, end)),
        }
        open = in_word(c);
    }
    tokens
}

/// Where a name such as `v7` stands on the line that the message is about.
fn mentioned(line: &str, message: &str) -> Option<usize> {
    let words = message.split(|c: char| !c.is_alphanumeric());
    let names = words.filter(|word| word.ends_with(|c: char| c.is_ascii_digit()));
    let tokens = token_ends(line);
    names.into_iter().find_map(|name| {
        let found = tokens.iter().find(|(b, e)| line[*b..*e] == *name);
        found.map(|(begin, _)| *begin)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        match parse("a.clif", text) {
            Ok(_) => panic!("parsed"),
            Err(complaint) => complaint.to_string(),
        }
    }

    #[test]
    fn the_column_is_that_of_the_wrong_token() {
        let text =
            "function %f(i32) -> i32 {\nblock0(v0: i32):\n    v1 = iadd v0, !\n    return v1\n}\n";
        let said = complaint(text);
        assert!(said.starts_with("a.clif:3:19: "), "{said}");
    }

    #[test]
    fn a_wrong_word_at_the_end_of_a_line_has_its_column() {
        let said = complaint("function %f(i32) -> i99 {\nblock0(v0: i32):\n    return v0\n}\n");
        assert!(said.starts_with("a.clif:1:21: "), "{said}");
    }

    #[test]
    fn an_undefined_value_is_found_where_it_is_used() {
        let said = complaint("function %f() -> i32 {\nblock0:\n    return v7\n}\n");
        assert!(said.starts_with("a.clif:3:12: "), "{said}");
    }

    #[test]
    fn an_empty_file_is_refused() {
        assert_eq!(complaint(""), "a.clif: no functions in this file");
    }
}
