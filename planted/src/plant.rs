//! A copy of the sources with the mistakes in.

use crate::mistakes::{self, Mistake};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What of the repository the oracle is built from.
const SOURCES: [&str; 13] = [
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "src",
    "isle",
    "benches",
    "examples",
    "check",
    "cli",
    "planted",
    "policy",
    "trace",
    "filetests",
];

/// The version of the workspace, and that of the copy: to cargo a package is known
/// by its name, its version, and its path inside of its workspace, and the two share
/// a target directory, with all that they depend on.
const VERSIONS: [&str; 2] = ["version = \"0.1.0\"", "version = \"0.1.0-planted\""];

/// In the copy, as in a release, no assertion of the passes is a net.
const PROFILE: &str = "
[profile.dev.package.cranelift-memopt]
debug-assertions = false
overflow-checks = false
";

/// Builds the program with the features that the tests of the workspace have.
const BUILD: [&str; 6] = [
    "build",
    "--workspace",
    "--bin",
    "planted-nets",
    "--example",
    "jit",
];

/// Copies the sources at `root`, plants `mistakes` in them, builds, and returns
/// the program that throws the nets.
///
/// # Errors
///
/// A mistake whose place has changed, and what does not build.
pub fn build(root: &Path, mistakes: &[Mistake]) -> Result<PathBuf> {
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => PathBuf::from(target),
        None => root.join("target"),
    };
    let copy = target.join("planted");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    for source in SOURCES {
        copy_all(&root.join(source), &copy.join(source))?;
    }
    adapt(&copy.join("Cargo.toml"))?;
    plant(&copy, mistakes)?;
    insert(root, &copy)?;
    let target = target.canonicalize()?;
    let status = Command::new(env!("CARGO"))
        .args(BUILD)
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", &target)
        .status()?;
    ensure!(
        status.success(),
        "the copy in {} does not build",
        copy.display()
    );
    Ok(target.join("debug/planted-nets"))
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from, to).with_context(|| from.display().to_string())?;
        return Ok(());
    }
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let name = entry?.file_name();
        copy_all(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// Makes the manifest of the workspace that of the copy.
fn adapt(manifest: &Path) -> Result<()> {
    let text = fs::read_to_string(manifest)?;
    let [ours, its] = VERSIONS;
    // That of the packages, and those by which they ask for each other.
    ensure!(text.contains(ours), "no line `{ours}`");
    fs::write(manifest, text.replace(ours, its) + PROFILE)?;
    Ok(())
}

fn plant(copy: &Path, mistakes: &[Mistake]) -> Result<()> {
    for (file, text) in with_mistakes(copy, mistakes)? {
        fs::write(copy.join(file), text)?;
    }
    Ok(())
}

/// The files below `root` that `mistakes` change, each with all of them in.
fn with_mistakes<'m>(root: &Path, mistakes: &'m [Mistake]) -> Result<Vec<(&'m str, String)>> {
    let mut files: BTreeMap<&str, (String, Vec<_>)> = BTreeMap::new();
    for (number, mistake) in (1..).zip(mistakes) {
        for edit in &mistake.edit {
            let (text, changes) = match files.entry(&edit.file) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let text = fs::read_to_string(root.join(&edit.file));
                    entry.insert((text.with_context(|| edit.file.clone())?, Vec::new()))
                }
            };
            let place = edit.place(text, number);
            changes.push(place.with_context(|| format!("`{}` has no place", mistake.name))?);
        }
    }
    let merged = files.into_iter().map(|(file, (text, changes))| {
        let merged = mistakes::merge(&text, changes).with_context(|| file.to_owned())?;
        Ok((file, merged))
    });
    merged.collect()
}

/// Adds the switch and the program that throws the nets.
fn insert(root: &Path, copy: &Path) -> Result<()> {
    let inserted = root.join("planted/inserted");
    fs::copy(inserted.join("switch.rs"), copy.join("src/planted.rs"))?;
    let bin = copy.join("trace/src/bin/planted-nets.rs");
    fs::copy(inserted.join("nets.rs"), bin)?;
    let face = copy.join("src/lib.rs");
    let text = fs::read_to_string(&face)?;
    fs::write(&face, text + "\npub mod planted;\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever changes a line that a mistake stands on hears of it at once.
    #[test]
    fn every_mistake_has_its_place_in_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mistakes = mistakes::read(&root.join("planted/mistakes.toml")).unwrap();
        let files = with_mistakes(&root, &mistakes).unwrap();
        assert!(!files.is_empty());
    }
}
