//! What is wrong with an input, and where.

use std::fmt;

/// A place in a text, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Position {
    /// Where `part` begins in `text`.
    ///
    /// `part` has to be a slice of `text`; this is how the comments and the
    /// commands that `cranelift-reader` hands out are found again, because it
    /// records no place for them.
    pub fn of(text: &str, part: &str) -> Self {
        let offset = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
        Self::of_offset(text, offset)
    }

    /// The place of the byte at `offset`; the end of `text` if it is shorter.
    pub fn of_offset(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// An input that cannot be used: which file, where in it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    file: String,
    position: Option<Position>,
    message: String,
}

impl Complaint {
    /// About the file as a whole.
    pub fn of_file(file: &str, message: impl fmt::Display) -> Self {
        Self {
            file: file.to_owned(),
            position: None,
            message: message.to_string(),
        }
    }

    /// About one place in the file.
    pub fn at(file: &str, position: Position, message: impl fmt::Display) -> Self {
        Self {
            file: file.to_owned(),
            position: Some(position),
            message: message.to_string(),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Complaint {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_by_where_it_lies() {
        let text = "ab\ncd cd\n";
        let second = &text[6..8];
        let found = Position::of(text, second);
        assert_eq!(found, Position { line: 2, column: 4 });
    }

    #[test]
    fn a_complaint_names_file_line_and_column() {
        let position = Position { line: 3, column: 7 };
        let complaint = Complaint::at("a.clif", position, "expected a type");
        assert_eq!(complaint.to_string(), "a.clif:3:7: expected a type");
    }
}
