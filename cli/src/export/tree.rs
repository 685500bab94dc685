//! Writing changed sources as a tree.

use crate::export::apply::Application;
use crate::export::sources::{Crate, Sources, inside};
use anyhow::{Context as _, Result, ensure};
use ignore::WalkBuilder;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The list of the files that an export wrote, in the folder that it wrote to.
pub const LIST: &str = ".memopt-export";

/// Writes the changed files into the checkout itself.
///
/// # Errors
///
/// A file that cannot be written.
pub fn write_in_place(application: &Application<'_>, checkout: &Path) -> Result<usize> {
    let texts = application.texts();
    for (path, text) in &texts {
        write(&checkout.join(path), text.as_bytes())?;
    }
    Ok(texts.len())
}

/// Writes a changed copy of `sources` to `out`: a checkout as it is, crates
/// each in a folder with the name of the crate. Returns the number of files.
///
/// What `.gitignore` names is no part of a checkout, and neither is its
/// history. Files that are already as they should be are not touched, so that
/// cargo builds again only what differs; files of an earlier export that are
/// no longer part of it are removed.
///
/// # Errors
///
/// A file that cannot be read or written; an `out` that holds something else
/// than an earlier export.
pub fn write_copy(application: &Application<'_>, sources: &Sources, out: &Path) -> Result<usize> {
    let earlier = earlier_files(out)?;
    let mut files = match sources {
        Sources::Checkout(root) => checkout_files(root)?,
        Sources::Crates(crates) => crate_files(crates)?,
    };
    for (path, text) in application.texts() {
        let path = place_in_copy(sources, path);
        files.insert(path, Content::Changed(text));
    }
    for (path, content) in &files {
        let bytes = match content {
            Content::Pristine(file) => {
                &fs::read(file).with_context(|| file.display().to_string())?
            }
            Content::Changed(text) => text.as_bytes(),
        };
        write(&out.join(path), bytes)?;
    }
    for path in earlier.iter().filter(|path| !files.contains_key(*path)) {
        let file = out.join(path);
        fs::remove_file(&file).with_context(|| file.display().to_string())?;
    }
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    write(&out.join(LIST), (names.join("\n") + "\n").as_bytes())?;
    Ok(files.len())
}

enum Content<'a> {
    Pristine(PathBuf),
    Changed(&'a str),
}

/// What an earlier export wrote to `out`.
fn earlier_files(out: &Path) -> Result<BTreeSet<String>> {
    let list = out.join(LIST);
    if let Some(text) = Sources::read(&list)? {
        let exists = |path: &&str| out.join(path).exists();
        return Ok(text.lines().filter(exists).map(str::to_owned).collect());
    }
    let mut entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(_) => return Ok(BTreeSet::new()),
    };
    ensure!(
        entries.next().is_none(),
        "{}: not empty, and no export of before",
        out.display()
    );
    Ok(BTreeSet::new())
}

fn checkout_files(root: &Path) -> Result<BTreeMap<String, Content<'static>>> {
    let mut walk = WalkBuilder::new(root);
    // The checkout's own `.gitignore` and no other; it need not be a clone.
    walk.hidden(false).parents(false).require_git(false);
    walk.ignore(false).git_global(false).git_exclude(false);
    walk.filter_entry(|entry| entry.file_name() != ".git");
    listed(root, "", walk)
}

fn crate_files(crates: &[(Crate, PathBuf)]) -> Result<BTreeMap<String, Content<'static>>> {
    let mut files = BTreeMap::new();
    for (it, root) in crates {
        let mut walk = WalkBuilder::new(root);
        walk.standard_filters(false);
        // Cargo's own mark on what it unpacked.
        walk.filter_entry(|entry| entry.file_name() != ".cargo-ok");
        files.extend(listed(root, &format!("{}/", it.name), walk)?);
    }
    Ok(files)
}

fn listed(
    root: &Path,
    prefix: &str,
    walk: WalkBuilder,
) -> Result<BTreeMap<String, Content<'static>>> {
    let mut files = BTreeMap::new();
    for entry in walk.build() {
        let entry = entry?;
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let rest = entry.path().strip_prefix(root)?.components();
        let rest: Vec<_> = rest
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        let path = format!("{prefix}{}", rest.join("/"));
        files.insert(path, Content::Pristine(entry.into_path()));
    }
    Ok(files)
}

/// Where the file that upstream's repository calls `path` goes in the copy.
fn place_in_copy(sources: &Sources, path: &str) -> String {
    let Sources::Crates(crates) = sources else {
        return path.to_owned();
    };
    let in_crate = |(it, _): &(Crate, PathBuf)| {
        inside(path, it.folder).map(|rest| format!("{}/{rest}", it.name))
    };
    crates
        .iter()
        .find_map(in_crate)
        .unwrap_or_else(|| path.to_owned())
}

/// Writes a file unless it is like that already.
fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    fs::write(file, bytes).with_context(|| file.display().to_string())
}
