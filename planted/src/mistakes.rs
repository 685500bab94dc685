//! The list of mistakes.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// Stands in an edit for the switch of its mistake.
const SWITCH: &str = "PLANTED";

/// A mistake that someone could make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mistake {
    /// What is wrong.
    pub name: String,
    /// A filetest that upstream's mistake of the kind has given rise to.
    pub filetest: Option<String>,
    /// How it gets into the sources.
    pub edit: Vec<Edit>,
}

/// A change of one place in one file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The file, from the root of the repository.
    pub file: String,
    old: String,
    new: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mistake: Vec<Mistake>,
}

/// Reads the list.
///
/// # Errors
///
/// A file that cannot be read, or that is no list.
pub fn read(path: &Path) -> Result<Vec<Mistake>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let list: List = toml::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(list.mistake)
}

impl Mistake {
    /// The passes as they are.
    pub fn none() -> Self {
        Self {
            name: "none".to_owned(),
            filetest: None,
            edit: Vec::new(),
        }
    }
}

impl Edit {
    /// Where in `text`, the file as it was, the change is made, and what stands
    /// there afterwards if the switch has this number.
    ///
    /// Places of several mistakes may be one, so that all changes of a place are
    /// made at once, by [`merge`].
    pub fn place(&self, text: &str, number: usize) -> Result<Change> {
        let mut found = text.match_indices(&self.old);
        let (Some((start, _)), None) = (found.next(), found.next()) else {
            let times = text.matches(&self.old).count();
            anyhow::bail!(
                "stands {times} times in {}, not once:\n{}",
                self.file,
                self.old
            );
        };
        let switch = format!("crate::planted::is_on({number})");
        Ok(Change {
            start,
            end: start + self.old.len(),
            new: self.new.replace(SWITCH, &switch),
        })
    }
}

/// A change with its place.
pub struct Change {
    start: usize,
    end: usize,
    new: String,
}

/// `text` with `changes` made.
///
/// # Errors
///
/// Two changes of one place: the mistakes could not be switched on alone.
pub fn merge(text: &str, mut changes: Vec<Change>) -> Result<String> {
    changes.sort_by_key(|change| change.start);
    let mut merged = String::with_capacity(text.len());
    let mut next = 0;
    for change in changes {
        anyhow::ensure!(change.start >= next, "two edits overlap:\n{}", change.new);
        merged.push_str(&text[next..change.start]);
        merged.push_str(&change.new);
        next = change.end;
    }
    merged.push_str(&text[next..]);
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(old: &str, new: &str) -> Edit {
        Edit {
            file: "a.rs".to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
        }
    }

    #[test]
    fn edits_are_made_at_their_places() {
        let text = "one two three";
        let changes = vec![
            edit("three", "3 || PLANTED").place(text, 7).unwrap(),
            edit("one", "1").place(text, 8).unwrap(),
        ];
        let merged = merge(text, changes).unwrap();
        assert_eq!(merged, "1 two 3 || crate::planted::is_on(7)");
    }

    #[test]
    fn a_place_has_to_be_there_once() {
        assert!(edit("e", "").place("one two three", 1).is_err());
        assert!(edit("four", "").place("one two three", 1).is_err());
    }

    #[test]
    fn two_edits_of_one_place_are_refused() {
        let text = "one two three";
        let one = edit("one two", "").place(text, 1).unwrap();
        let two = edit("two three", "").place(text, 2).unwrap();
        assert!(merge(text, vec![one, two]).is_err());
    }
}
