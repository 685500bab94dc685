//! A copy of the sources with the mistakes in.

use crate::mistakes::{self, Mistake};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What of the repository the oracle is built from.
const SOURCES: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "src",
    "isle",
    "benches",
    "examples",
    "trace",
    "filetests",
];

/// The line of the workspace's manifest that names its members.
const MEMBERS: &str = "members = ";

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
    only_member(&copy.join("Cargo.toml"))?;
    plant(&copy, mistakes)?;
    insert(root, &copy)?;
    // Not the target directory of the repository: to cargo a package is known by
    // its path inside of its workspace, so that the copies would be taken for
    // the originals.
    let built = target.canonicalize()?.join("planted-build");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "cranelift-memopt-trace"])
        .args(["--bin", "planted-nets"])
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", &built)
        .status()?;
    ensure!(
        status.success(),
        "the copy in {} does not build",
        copy.display()
    );
    Ok(built.join("release/planted-nets"))
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

/// The copy has the oracle and what it tests, and no other members.
fn only_member(manifest: &Path) -> Result<()> {
    let text = fs::read_to_string(manifest)?;
    let lines = text.lines().map(|line| {
        if line.starts_with(MEMBERS) {
            "members = [\"trace\"]"
        } else {
            line
        }
    });
    let text: Vec<&str> = lines.collect();
    ensure!(
        text.contains(&"members = [\"trace\"]"),
        "no line of members"
    );
    fs::write(manifest, text.join("\n"))?;
    Ok(())
}

fn plant(copy: &Path, mistakes: &[Mistake]) -> Result<()> {
    let mut files: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (number, mistake) in (1..).zip(mistakes) {
        for edit in &mistake.edit {
            let path = copy.join(&edit.file);
            let text = fs::read_to_string(&path).with_context(|| edit.file.clone())?;
            let place = edit.place(&text, number);
            let place = place.with_context(|| format!("`{}` has no place", mistake.name))?;
            files.entry(&edit.file).or_default().push(place);
        }
    }
    for (file, changes) in files {
        let path = copy.join(file);
        let text = fs::read_to_string(&path)?;
        let merged = mistakes::merge(&text, changes).with_context(|| file.to_owned())?;
        fs::write(&path, merged)?;
    }
    Ok(())
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
