//! Unified diffs of two texts.

use anstyle::{AnsiColor, Style};
use similar::TextDiff;
use std::fmt::Write as _;

/// The unified diff from `old` to `new`, without colours; empty if equal.
pub fn unified(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let mut unified = diff.unified_diff();
    unified.context_radius(3).header(old_name, new_name);
    unified.to_string()
}

/// `diff` with added lines green and removed lines red.
///
/// The writer strips the colours where they do not belong, so the caller need
/// not know whether it writes to a terminal.
pub fn coloured(diff: &str) -> String {
    let mut text = String::with_capacity(diff.len());
    for line in diff.lines() {
        let style = style_of(line);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{style}{line}{style:#}");
    }
    text
}

fn style_of(line: &str) -> Style {
    match line.as_bytes().first() {
        Some(b'+') => AnsiColor::Green.on_default(),
        Some(b'-') => AnsiColor::Red.on_default(),
        Some(b'@') => AnsiColor::Cyan.on_default(),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_diff() {
        assert_eq!(unified("a\nb\n", "a\nb\n", "old", "new"), "");
    }

    #[test]
    fn a_changed_line_is_removed_and_added() {
        let diff = unified("a\nb\n", "a\nc\n", "old", "new");
        assert!(diff.contains("-b\n+c\n"), "{diff}");
    }
}
