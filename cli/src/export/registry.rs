//! The crates.io sources, as cargo has them.

use crate::export::sources::{CRATES, Crate, Sources};
use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::{MetadataCommand, Package};
use std::path::{Path, PathBuf};

/// Where the published sources of the crates are that the workspace of
/// `manifest` locks, with `overrides` in place of some of them.
///
/// Asks cargo, which downloads what it does not have yet. Crates that the
/// workspace does not use are left out.
///
/// # Errors
///
/// What cargo says; a crate that is locked in two versions, or that does not
/// come from a registry; an override that names no crate of [`CRATES`].
pub fn sources(manifest: &Path, overrides: &[(String, PathBuf)]) -> Result<Sources> {
    for (name, _) in overrides {
        let known = CRATES.iter().any(|it| it.name == name);
        ensure!(known, "{name} is not a crate that the export changes");
    }
    let named = |it: &Crate| overrides.iter().find(|(name, _)| name == it.name);
    let mut packages = Vec::new();
    if CRATES.iter().any(|it| named(it).is_none()) {
        packages = locked(manifest)?;
    }
    let mut crates = Vec::new();
    for it in CRATES {
        let source = match named(it) {
            Some((_, folder)) => Some(folder.clone()),
            None => published(it, &packages)?,
        };
        crates.extend(source.map(|folder| (*it, folder)));
    }
    ensure!(
        !crates.is_empty(),
        "{}: uses none of the crates that the export changes",
        manifest.display()
    );
    Ok(Sources::Crates(crates))
}

fn locked(manifest: &Path) -> Result<Vec<Package>> {
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest);
    let metadata = command.exec();
    let metadata = metadata.with_context(|| manifest.display().to_string())?;
    Ok(metadata.packages)
}

fn published(it: &Crate, packages: &[Package]) -> Result<Option<PathBuf>> {
    let found: Vec<_> = packages
        .iter()
        .filter(|package| *package.name == it.name)
        .collect();
    let package = match found[..] {
        [] => return Ok(None),
        [package] => package,
        _ => bail!("{} is locked in {} versions", it.name, found.len()),
    };
    let registry = package
        .source
        .as_ref()
        .is_some_and(|source| source.is_crates_io());
    ensure!(registry, "{} does not come from crates.io", it.name);
    let folder = package.manifest_path.parent();
    Ok(folder.map(|folder| folder.as_std_path().to_owned()))
}
