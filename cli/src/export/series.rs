//! The glue of this repository, as `glue/*/patch.toml` states it.
//!
//! `docs/upstreaming.md` describes the format.

use crate::complaint::Complaint;
use crate::export::anchor::{Anchor, Position};
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the series that brings all of the passes at once.
pub const WHOLE: &str = "glue";
/// The folder of the series of small patches, each useful alone.
pub const SMALL: &str = "glue/series";

/// Patches, in the order in which they apply.
#[derive(Clone, Debug)]
pub struct Series {
    /// The repository that the copied files are in.
    pub repository: PathBuf,
    /// The patches.
    pub patches: Vec<Patch>,
}

/// One commit for upstream.
#[derive(Clone, Debug)]
pub struct Patch {
    /// Its folder in `glue/`.
    pub name: String,
    /// Which sources it is for.
    pub given: Given,
    /// The conditions that it knows, by name.
    pub conditions: BTreeMap<String, Condition>,
    /// The first line of the commit message.
    pub subject: String,
    /// The rest of the commit message.
    pub message: String,
    /// Files that come from this repository as they are.
    pub copies: Vec<CopyOf>,
    /// Lines that go into upstream's files.
    pub edits: Vec<Edit>,
}

/// Something that tells versions of upstream's sources apart: a file that is there, with
/// lines that occur in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The file, as upstream's repository names it.
    pub file: String,
    /// Whole lines, one after the other.
    pub has: String,
}

/// Which sources a patch, a copy or an edit is for: those in which the condition of this
/// name holds, with `!` in front those in which it does not, or all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Given(Option<String>);

impl Given {
    /// The name of the condition, and whether it has to hold.
    pub fn condition(&self) -> Option<(&str, bool)> {
        let text = self.0.as_deref()?;
        Some(match text.strip_prefix('!') {
            Some(name) => (name, false),
            None => (text, true),
        })
    }
}

/// A file, or a folder with all that is in it, to be copied byte for byte.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyOf {
    /// Where it is in this repository.
    pub from: String,
    /// Where it goes in upstream's.
    pub to: String,
    /// Which sources it is for.
    #[serde(default)]
    pub given: Given,
}

/// Lines for one of upstream's files.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The file, as upstream's repository names it.
    pub file: String,
    /// Which sources it is for.
    pub given: Given,
    /// The ways to place it, for versions that differ. The first whose anchor
    /// is not missing is taken.
    pub ways: Vec<Way>,
}

/// One way to make an edit.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where the lines go.
    pub anchor: Anchor,
    /// The lines.
    pub lines: String,
}

impl Series {
    /// Reads the patches in `folder` of the repository at `repository`: [`WHOLE`] or
    /// [`SMALL`].
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that is not in the format, with its place.
    pub fn read(repository: &Path, folder: &str) -> Result<Self> {
        let glue = repository.join(folder);
        let entries = fs::read_dir(&glue).with_context(|| glue.display().to_string())?;
        let mut files = Vec::new();
        for entry in entries {
            let file = entry?.path().join("patch.toml");
            if file.is_file() {
                files.push(file);
            }
        }
        files.sort();
        ensure!(!files.is_empty(), "{}: no patches", glue.display());
        Ok(Self {
            repository: repository.to_owned(),
            patches: files
                .iter()
                .map(|file| Patch::read(file))
                .collect::<Result<_>>()?,
        })
    }
}

impl Patch {
    fn read(file: &Path) -> Result<Self> {
        let shown = file.display().to_string();
        let text = fs::read_to_string(file).with_context(|| shown.clone())?;
        let folder = file.parent().and_then(Path::file_name);
        let name = folder.unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self::parse(&name, &shown, &text)?)
    }

    /// Reads the text of a `patch.toml` called `shown`, in the folder `name`.
    ///
    /// # Errors
    ///
    /// What is not in the format, with its place.
    pub fn parse(name: &str, shown: &str, text: &str) -> Result<Self, Complaint> {
        let raw: RawPatch = toml::from_str(text).map_err(|error| {
            let Some(span) = error.span() else {
                return Complaint::of_file(shown, error.message());
            };
            let position = crate::complaint::Position::of_offset(text, span.start);
            Complaint::at(shown, position, error.message())
        })?;
        let edits = raw.edit.into_iter().map(RawEdit::checked);
        let patch = Self {
            name: name.to_owned(),
            given: raw.given,
            conditions: raw.condition,
            subject: raw.subject,
            message: raw.message,
            copies: raw.copy,
            edits: edits
                .collect::<Result<_, _>>()
                .map_err(|why| Complaint::of_file(shown, why))?,
        };
        patch
            .check_message()
            .and_then(|()| patch.check_conditions())
            .map_err(|why| Complaint::of_file(shown, why))?;
        Ok(patch)
    }

    /// Conditions that there are.
    fn check_conditions(&self) -> Result<(), String> {
        let copies = self.copies.iter().map(|copy| &copy.given);
        let edits = self.edits.iter().map(|edit| &edit.given);
        let given = std::iter::once(&self.given).chain(copies).chain(edits);
        let mut names = given.filter_map(Given::condition).map(|(name, _)| name);
        match names.find(|name| !self.conditions.contains_key(*name)) {
            Some(name) => Err(format!("`given`: there is no [condition.{name}]")),
            None => Ok(()),
        }
    }

    /// A message that `git am` reads back as it is.
    fn check_message(&self) -> Result<(), String> {
        let subject = self.subject.lines().count() == 1 && self.subject.trim() == self.subject;
        if !subject || self.subject.starts_with('[') {
            return Err("`subject` has to be one line, and not begin with a bracket".to_owned());
        }
        let ends_message = |line: &&str| {
            let line = line.trim_end();
            line == "---"
                || ["diff ", "Index: ", "From "]
                    .iter()
                    .any(|it| line.starts_with(it))
        };
        match self.message.lines().find(ends_message) {
            Some(line) => Err(format!("`git am` would end the message before `{line}`")),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPatch {
    subject: String,
    message: String,
    #[serde(default)]
    given: Given,
    #[serde(default)]
    condition: BTreeMap<String, Condition>,
    #[serde(default)]
    copy: Vec<CopyOf>,
    #[serde(default)]
    edit: Vec<RawEdit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEdit {
    file: String,
    #[serde(default)]
    given: Given,
    #[serde(default)]
    within: Within,
    before: Option<String>,
    after: Option<String>,
    replace: Option<String>,
    lines: String,
    #[serde(default)]
    or: Vec<RawWay>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWay {
    #[serde(default)]
    within: Within,
    before: Option<String>,
    after: Option<String>,
    replace: Option<String>,
    lines: String,
}

/// No enclosing anchor, one, or several from the outside in.
#[derive(Deserialize)]
#[serde(untagged)]
enum Within {
    One(String),
    Several(Vec<String>),
}

impl Default for Within {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl RawEdit {
    fn checked(self) -> Result<Edit, String> {
        let first = RawWay {
            within: self.within,
            before: self.before,
            after: self.after,
            replace: self.replace,
            lines: self.lines,
        };
        let ways = std::iter::once(first).chain(self.or);
        let ways = ways.map(RawWay::checked).collect::<Result<_, _>>();
        Ok(Edit {
            given: self.given,
            ways: ways.map_err(|why| format!("an edit of {}: {why}", self.file))?,
            file: self.file,
        })
    }
}

impl RawWay {
    fn checked(self) -> Result<Way, String> {
        let (position, lines) = match (self.before, self.after, self.replace) {
            (Some(lines), None, None) => (Position::Before, lines),
            (None, Some(lines), None) => (Position::After, lines),
            (None, None, Some(lines)) => (Position::Replace, lines),
            _ => return Err("one of `before`, `after` and `replace`".to_owned()),
        };
        let within = match self.within {
            Within::One(anchor) => vec![anchor],
            Within::Several(anchors) => anchors,
        };
        let is_blank = |anchor: &String| anchor.trim().is_empty();
        if within.iter().any(is_blank) || is_blank(&lines) {
            return Err("an anchor without a line that says something".to_owned());
        }
        Ok(Way {
            anchor: Anchor {
                within,
                lines,
                position,
            },
            lines: self.lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(edit: &str) -> Result<Patch, String> {
        let text = format!("subject = 'S'\nmessage = 'M'\n{edit}");
        Patch::parse("1", "1/patch.toml", &text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_edit_has_one_anchor_and_may_have_other_ways() {
        let patch = parse(
            "[[edit]]\nfile = 'f'\nwithin = 'w'\nafter = 'a'\nlines = 'l'\n\
             [[edit.or]]\nwithin = ['v', 'w']\nreplace = 'b'\nlines = 'm'\n",
        );
        let edit = &patch.unwrap().edits[0];
        assert_eq!(edit.ways[0].anchor.within, ["w"]);
        assert_eq!(edit.ways[0].anchor.position, Position::After);
        assert_eq!(edit.ways[1].anchor.within, ["v", "w"]);
        assert_eq!(edit.ways[1].anchor.position, Position::Replace);
        assert_eq!(edit.ways[1].lines, "m");
    }

    #[test]
    fn a_condition_that_is_asked_for_has_to_be_there() {
        let condition = "[condition.new]\nfile = 'f'\nhas = 'x'\n";
        let edit = "[[edit]]\nfile = 'f'\ngiven = '!new'\nafter = 'a'\nlines = 'l'\n";
        let patch = parse(&format!("{condition}{edit}")).unwrap();
        assert_eq!(patch.edits[0].given.condition(), Some(("new", false)));
        let error = parse(edit).unwrap_err();
        assert!(error.contains("no [condition.new]"), "{error}");
    }

    #[test]
    fn what_is_not_in_the_format_is_refused_with_its_place() {
        let two = parse("[[edit]]\nfile = 'f'\nafter = 'a'\nbefore = 'b'\nlines = ''\n");
        assert!(two.unwrap_err().contains("an edit of f: one of `before`"));
        let unknown = parse("[[edit]]\nfile = 'f'\nbehind = 'a'\nlines = ''\n");
        let unknown = unknown.unwrap_err();
        assert!(
            unknown.starts_with("1/patch.toml:5:1: unknown field `behind`"),
            "{unknown}"
        );
        let blank = parse("[[edit]]\nfile = 'f'\nafter = ' '\nlines = ''\n");
        assert!(blank.unwrap_err().contains("an anchor without"));
    }

    #[test]
    fn a_message_that_git_would_cut_is_refused() {
        let text = "subject = 'S'\nmessage = '''\nfirst\n---\nsecond\n'''\n";
        let error = Patch::parse("1", "p", text).unwrap_err().to_string();
        assert!(error.contains("`git am` would end"), "{error}");
    }
}
