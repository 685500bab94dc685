//! Finding the one place in a file that an anchor means.

use std::ops::Range;

/// Where lines are to go, relative to an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Above the anchor.
    Before,
    /// Below the anchor.
    After,
    /// In place of the anchor.
    Replace,
}

/// A place in a file, known by the lines that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Enclosing lines, the outermost first. Each narrows the search to what
    /// is indented below it.
    pub within: Vec<String>,
    /// Whole lines, one after the other, as they stand in the file.
    pub lines: String,
    /// What happens there.
    pub position: Position,
}

/// Why an anchor means no place, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The lines do not occur.
    Missing(String),
    /// The lines occur more than once: at these lines, counted from one.
    Ambiguous(String, Vec<usize>),
}

impl Anchor {
    /// The lines of `text` that the anchor means, counted from zero.
    ///
    /// Costs one scan of `text` for the anchor and for each enclosing one.
    ///
    /// # Errors
    ///
    /// The first anchor, from the outside, that does not occur exactly once in
    /// what encloses it.
    pub fn find(&self, text: &str) -> Result<Range<usize>, Trouble> {
        let lines: Vec<&str> = text.lines().collect();
        let mut scope = 0..lines.len();
        for enclosing in &self.within {
            let found = find_once(&lines, scope.clone(), enclosing)?;
            scope = body(&lines, &found, scope.end);
        }
        find_once(&lines, scope, &self.lines)
    }

    /// `text` with `new` put in place. Lines that the edit does not name are
    /// kept byte for byte.
    ///
    /// # Errors
    ///
    /// Those of [`Anchor::find`].
    pub fn edit(&self, text: &str, new: &str) -> Result<Edited, Trouble> {
        let found = self.find(text)?;
        let replaced = match self.position {
            Position::Before => found.start..found.start,
            Position::After => found.end..found.end,
            Position::Replace => found.clone(),
        };
        let mut edited = String::with_capacity(text.len() + new.len() + 1);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines[..replaced.start]
            .iter()
            .for_each(|line| edited += line);
        if !edited.is_empty() && !edited.ends_with('\n') {
            edited.push('\n');
        }
        for line in new.lines() {
            edited += line;
            edited.push('\n');
        }
        lines[replaced.end..].iter().for_each(|line| edited += line);
        Ok(Edited {
            text: edited,
            line: found.start + 1,
        })
    }
}

/// What came of an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The file afterwards.
    pub text: String,
    /// Where the anchor was, counted from one.
    pub line: usize,
}

fn find_once(lines: &[&str], scope: Range<usize>, block: &str) -> Result<Range<usize>, Trouble> {
    let wanted: Vec<&str> = block.lines().collect();
    let is_at = |at: &usize| lines[*at..scope.end].starts_with(&wanted);
    let found: Vec<usize> = scope.clone().filter(is_at).collect();
    match found[..] {
        [] => Err(Trouble::Missing(block.to_owned())),
        [at] => Ok(at..at + wanted.len()),
        _ => {
            let numbers = found.iter().map(|at| at + 1).collect();
            Err(Trouble::Ambiguous(block.to_owned(), numbers))
        }
    }
}

/// What belongs to `head`: everything up to the next line that is indented no
/// deeper than the last line of `head` is.
fn body(lines: &[&str], head: &Range<usize>, end: usize) -> Range<usize> {
    let depth = indentation(lines[head.end - 1]);
    let rest = &lines[head.end..end];
    let closes = |line: &&str| !line.trim().is_empty() && indentation(line) <= depth;
    let length = rest.iter().position(closes).unwrap_or(rest.len());
    head.end..head.end + length
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
impl A {
    fn f() {
        x();

        y();
    }
}
impl B {
    fn f() {
        x();
    }
}
";

    fn anchor(within: &[&str], lines: &str, position: Position) -> Anchor {
        Anchor {
            within: within.iter().map(|line| line.to_string()).collect(),
            lines: lines.to_owned(),
            position,
        }
    }

    #[test]
    fn lines_that_occur_once_are_found() {
        let found = anchor(&[], "        y();", Position::After).find(TEXT);
        assert_eq!(found, Ok(4..5));
    }

    #[test]
    fn several_lines_are_one_anchor() {
        let lines = "        x();\n    }\n";
        let found = anchor(&[], lines, Position::After).find(TEXT);
        assert_eq!(found, Ok(9..11));
    }

    #[test]
    fn a_part_of_a_line_is_no_anchor() {
        let found = anchor(&[], "y();", Position::After).find(TEXT);
        assert_eq!(found, Err(Trouble::Missing("y();".to_owned())));
    }

    #[test]
    fn lines_that_occur_twice_are_ambiguous_until_something_encloses_them() {
        let line = "        x();";
        let found = anchor(&[], line, Position::After).find(TEXT);
        assert_eq!(found, Err(Trouble::Ambiguous(line.to_owned(), vec![3, 10])));
        let found = anchor(&["impl B {"], line, Position::After).find(TEXT);
        assert_eq!(found, Ok(9..10));
        let found = anchor(&["impl A {", "    fn f() {"], line, Position::After).find(TEXT);
        assert_eq!(found, Ok(2..3));
    }

    #[test]
    fn what_encloses_ends_where_its_indentation_does() {
        let found = anchor(&["impl B {"], "        y();", Position::After).find(TEXT);
        assert_eq!(found, Err(Trouble::Missing("        y();".to_owned())));
    }

    #[test]
    fn an_enclosing_anchor_that_is_missing_is_the_one_named() {
        let found = anchor(&["impl C {"], "        y();", Position::After).find(TEXT);
        assert_eq!(found, Err(Trouble::Missing("impl C {".to_owned())));
    }

    #[test]
    fn an_edit_changes_nothing_else() {
        let edit = |position| {
            let anchor = anchor(&[], "b", position);
            anchor.edit("a\r\nb\nc", "n\nm\n").map(|edited| edited.text)
        };
        assert_eq!(edit(Position::Before), Ok("a\r\nn\nm\nb\nc".to_owned()));
        assert_eq!(edit(Position::After), Ok("a\r\nb\nn\nm\nc".to_owned()));
        assert_eq!(edit(Position::Replace), Ok("a\r\nn\nm\nc".to_owned()));
    }

    #[test]
    fn lines_can_follow_a_last_line_without_a_line_break() {
        let edited = anchor(&[], "b", Position::After).edit("a\nb", "c");
        assert_eq!(edited.map(|edited| edited.text), Ok("a\nb\nc\n".to_owned()));
    }
}
