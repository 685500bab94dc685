//! Placing a series into sources, in memory.

use crate::export::anchor::{Edited, Position, Trouble};
use crate::export::series::{CopyOf, Edit, Given, Patch, Series, Way};
use crate::export::sources::{Location, Sources};
use anyhow::{Context as _, Result};
use ignore::WalkBuilder;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

/// A series, placed.
#[derive(Debug)]
pub struct Application<'a> {
    /// What each patch comes to.
    pub patches: Vec<Applied<'a>>,
    /// The patches that are not for these sources.
    pub left_out: Vec<&'a Patch>,
}

/// A patch, placed on top of those before it.
#[derive(Debug)]
pub struct Applied<'a> {
    /// The patch.
    pub patch: &'a Patch,
    /// The files that it changes, by path.
    pub changes: Vec<Change>,
    /// What came of each of its copies and edits.
    pub placements: Vec<Placement>,
}

/// A file that a patch changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The file, as upstream's repository names it.
    pub path: String,
    /// Its text before the patch; `None` if the patch adds it.
    pub before: Option<String>,
    /// Its text after the patch.
    pub after: String,
}

/// One copy or edit, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The file, as upstream's repository names it.
    pub file: String,
    /// What is placed, in words.
    pub what: String,
    /// Is it lines at an anchor, and not a file?
    pub anchored: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a copy or an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is placed, at this line of an edited file.
    Placed(Option<usize>),
    /// The sources do not have that part of upstream's repository.
    Elsewhere,
    /// There is no such file to edit.
    NoFile,
    /// There is a file already where one is to be added.
    Exists,
    /// The anchor means no place, or several.
    Anchor(Trouble),
}

impl Outcome {
    /// Is there nothing wrong?
    pub fn holds(&self) -> bool {
        matches!(self, Self::Placed(_) | Self::Elsewhere)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placed(_) => f.write_str("holds"),
            Self::Elsewhere => f.write_str("not in these sources"),
            Self::NoFile => f.write_str("no such file"),
            Self::Exists => f.write_str("the file exists already"),
            Self::Anchor(Trouble::Missing(anchor)) => {
                write!(f, "missing anchor\n{}", quoted(anchor))
            }
            Self::Anchor(Trouble::Ambiguous(anchor, lines)) => {
                let lines: Vec<_> = lines.iter().map(usize::to_string).collect();
                let lines = lines.join(", ");
                write!(f, "ambiguous anchor, at lines {lines}\n{}", quoted(anchor))
            }
        }
    }
}

fn quoted(anchor: &str) -> String {
    let lines = anchor.lines().map(|line| format!("      | {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

impl<'a> Application<'a> {
    /// Places `series` into `sources`. Nothing is written.
    ///
    /// A copy or edit that cannot be placed is recorded and left out; the
    /// others are still placed, so that a report is complete.
    ///
    /// # Errors
    ///
    /// A file that cannot be read; a path outside of what the export knows.
    pub fn new(series: &'a Series, sources: &Sources) -> Result<Self> {
        let mut placing = Placing {
            repository: &series.repository,
            sources,
            texts: BTreeMap::new(),
        };
        let mut patches = Vec::new();
        let mut left_out = Vec::new();
        for patch in &series.patches {
            let shown = || format!("glue/{}", patch.name);
            match placing.is_for(patch, &patch.given).with_context(shown)? {
                true => patches.push(placing.patch(patch)?),
                false => left_out.push(patch),
            }
        }
        Ok(Self { patches, left_out })
    }

    /// The placements that do not hold, each with the name of its patch.
    pub fn wrong(&self) -> impl Iterator<Item = (&'a str, &Placement)> {
        self.placements()
            .filter(|(_, placement)| !placement.outcome.holds())
    }

    /// All placements, each with the name of its patch.
    pub fn placements(&self) -> impl Iterator<Item = (&'a str, &Placement)> {
        self.patches.iter().flat_map(|applied| {
            let name = applied.patch.name.as_str();
            applied
                .placements
                .iter()
                .map(move |placement| (name, placement))
        })
    }

    /// The text of every changed file after the last patch, by path.
    pub fn texts(&self) -> BTreeMap<&str, &str> {
        let changes = self.patches.iter().flat_map(|applied| &applied.changes);
        changes
            .map(|change| (change.path.as_str(), change.after.as_str()))
            .collect()
    }
}

/// The state between two patches.
struct Placing<'a> {
    repository: &'a Path,
    sources: &'a Sources,
    /// Files that differ from the sources.
    texts: BTreeMap<String, String>,
}

impl Placing<'_> {
    fn patch<'a>(&mut self, patch: &'a Patch) -> Result<Applied<'a>> {
        let mut before = BTreeMap::new();
        let mut placements = Vec::new();
        for copy in &patch.copies {
            if !self.is_for(patch, &copy.given)? {
                continue;
            }
            self.copies(copy, &mut before, &mut placements)
                .with_context(|| format!("glue/{}: {}", patch.name, copy.from))?;
        }
        for edit in &patch.edits {
            if !self.is_for(patch, &edit.given)? {
                continue;
            }
            let placement = self.edit(edit, &mut before);
            placements.push(placement.with_context(|| format!("glue/{}", patch.name))?);
        }
        let change = |(path, before): (String, Option<String>)| Change {
            after: self.texts[&path].clone(),
            path,
            before,
        };
        Ok(Applied {
            patch,
            changes: before.into_iter().map(change).collect(),
            placements,
        })
    }

    /// Is something of `patch` that is `given` a condition for these sources?
    ///
    /// What the patches before have left is asked. A file that the sources do not have
    /// fulfils no condition.
    fn is_for(&self, patch: &Patch, given: &Given) -> Result<bool> {
        let Some((name, wanted)) = given.condition() else {
            return Ok(true);
        };
        let condition = &patch.conditions[name];
        let text = self.text(&condition.file)?.flatten().unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let has: Vec<&str> = condition.has.lines().collect();
        let holds = lines.windows(has.len().max(1)).any(|part| part == has);
        Ok(holds == wanted)
    }

    fn copies(
        &mut self,
        copy: &CopyOf,
        before: &mut BTreeMap<String, Option<String>>,
        placements: &mut Vec<Placement>,
    ) -> Result<()> {
        let from = self.repository.join(&copy.from);
        for (rest, text) in files(&from)? {
            let path = match rest.as_str() {
                "" => copy.to.clone(),
                rest => format!("{}/{rest}", copy.to),
            };
            let outcome = match self.text(&path)? {
                None => Outcome::Elsewhere,
                Some(Some(_)) => Outcome::Exists,
                Some(None) => {
                    before.insert(path.clone(), None);
                    self.texts.insert(path.clone(), text);
                    Outcome::Placed(None)
                }
            };
            placements.push(Placement {
                file: path,
                what: format!("copy of {}", copy.from),
                anchored: false,
                outcome,
            });
        }
        Ok(())
    }

    fn edit(
        &mut self,
        edit: &Edit,
        before: &mut BTreeMap<String, Option<String>>,
    ) -> Result<Placement> {
        let (outcome, way) = match self.text(&edit.file)? {
            None => (Outcome::Elsewhere, &edit.ways[0]),
            Some(None) => (Outcome::NoFile, &edit.ways[0]),
            Some(Some(text)) => {
                let (result, way) = first_way(&edit.ways, &text);
                let outcome = match result {
                    Err(trouble) => Outcome::Anchor(trouble),
                    Ok(edited) => {
                        before.entry(edit.file.clone()).or_insert(Some(text));
                        self.texts.insert(edit.file.clone(), edited.text);
                        Outcome::Placed(Some(edited.line))
                    }
                };
                (outcome, way)
            }
        };
        Ok(Placement {
            file: edit.file.clone(),
            what: in_words(edit, way),
            anchored: true,
            outcome,
        })
    }

    /// The text of a file as it stands; `None` if the sources do not have that
    /// part of the repository.
    fn text(&self, path: &str) -> Result<Option<Option<String>>> {
        if let Some(text) = self.texts.get(path) {
            return Ok(Some(Some(text.clone())));
        }
        match self.sources.locate(path)? {
            Location::Elsewhere => Ok(None),
            Location::At(file) => Sources::read(&file).map(Some),
        }
    }
}

/// The first way whose anchor is not missing; the first of all if each is.
fn first_way<'w>(ways: &'w [Way], text: &str) -> (Result<Edited, Trouble>, &'w Way) {
    let attempt = |way: &'w Way| (way.anchor.edit(text, &way.lines), way);
    let found =
        |(result, _): &(Result<Edited, Trouble>, &Way)| !matches!(result, Err(Trouble::Missing(_)));
    let mut attempts = ways.iter().map(attempt);
    attempts.find(found).unwrap_or_else(|| attempt(&ways[0]))
}

/// Where the lines of `way` go, and which of the anchors of `edit` that is if it is not the
/// first.
fn in_words(edit: &Edit, way: &Way) -> String {
    let verb = match way.anchor.position {
        Position::Before => "before",
        Position::After => "after",
        Position::Replace => "in place of",
    };
    let first = way.anchor.lines.lines().next().unwrap_or_default();
    let number = edit.ways.iter().position(|other| std::ptr::eq(other, way));
    let number = match number {
        Some(at) if at > 0 => format!(" (anchor {} of {})", at + 1, edit.ways.len()),
        Some(_) | None => String::new(),
    };
    format!("{verb} `{}`{number}", first.trim())
}

/// The text files at `from` and their paths below it, sorted; a file alone has
/// an empty path.
fn files(from: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let walk = WalkBuilder::new(from).standard_filters(false).build();
    for entry in walk {
        let entry = entry?;
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let rest = path.strip_prefix(from)?.components();
        let rest: Vec<_> = rest
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        found.push((rest.join("/"), text));
    }
    found.sort();
    Ok(found)
}
