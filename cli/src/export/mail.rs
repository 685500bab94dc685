//! Patches in git's format, for `git am`.

use crate::export::apply::{Applied, Change};
use similar::{ChangeTag, TextDiff};
use std::fmt::Write as _;

/// The name of the file for patch number `number`, counted from one.
pub fn file_name(number: usize, applied: &Applied<'_>) -> String {
    let letters = applied.patch.subject.chars();
    let letters = letters.map(|letter| match letter {
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => '-',
    });
    let slug: String = letters.collect();
    let words: Vec<&str> = slug.split('-').filter(|word| !word.is_empty()).collect();
    format!("{number:04}-{}.patch", words.join("-"))
}

/// The patch as a mail from `author`, number `number` of `count`.
///
/// It has no date; `git am` takes that of the day.
pub fn format(applied: &Applied<'_>, author: &str, number: usize, count: usize) -> String {
    let mut mail = format!(
        "From {:040} Mon Sep 17 00:00:00 2001\nFrom: {author}\n\
         Subject: [PATCH {number}/{count}] {}\n\n{}\n---\n",
        0,
        applied.patch.subject,
        applied.patch.message.trim(),
    );
    let diffs: String = applied.changes.iter().map(diff).collect();
    mail += &summary(&applied.changes);
    mail += "\n";
    mail += &diffs;
    mail += "-- \n";
    mail += concat!("memopt ", env!("CARGO_PKG_VERSION"), "\n");
    mail
}

fn diff(change: &Change) -> String {
    let path = &change.path;
    let before = change.before.as_deref().unwrap_or_default();
    let mut text = format!("diff --git a/{path} b/{path}\n");
    let old = match change.before {
        Some(_) => format!("a/{path}"),
        None => {
            text += "new file mode 100644\n";
            "/dev/null".to_owned()
        }
    };
    let diff = TextDiff::from_lines(before, change.after.as_str());
    let mut unified = diff.unified_diff();
    let unified = unified.context_radius(3).header(&old, &format!("b/{path}"));
    let _ = write!(text, "{unified}");
    text
}

fn summary(changes: &[Change]) -> String {
    let [mut added, mut removed] = [0, 0];
    for change in changes {
        let before = change.before.as_deref().unwrap_or_default();
        let diff = TextDiff::from_lines(before, change.after.as_str());
        for line in diff.iter_all_changes() {
            match line.tag() {
                ChangeTag::Insert => added += 1,
                ChangeTag::Delete => removed += 1,
                ChangeTag::Equal => {}
            }
        }
    }
    let files = changes.len();
    format!(" {files} files changed, {added} insertions(+), {removed} deletions(-)\n")
}
