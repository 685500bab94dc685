//! Where the files of upstream's repository are on this machine.

use anyhow::{Result, bail};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A published crate that the series changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crate {
    /// Its name on crates.io.
    pub name: &'static str,
    /// Its folder in upstream's repository.
    pub folder: &'static str,
}

/// The published crates that the series may change. Where one folder is
/// inside another, the inner one comes first.
pub const CRATES: &[Crate] = &[
    Crate {
        name: "cranelift-codegen-meta",
        folder: "cranelift/codegen/meta",
    },
    Crate {
        name: "cranelift-codegen",
        folder: "cranelift/codegen",
    },
    Crate {
        name: "cranelift-reader",
        folder: "cranelift/reader",
    },
    Crate {
        name: "wasmtime-internal-cranelift",
        folder: "crates/cranelift",
    },
    Crate {
        name: "wasmtime-environ",
        folder: "crates/environ",
    },
    Crate {
        name: "wasmtime",
        folder: "crates/wasmtime",
    },
];

/// Folders of upstream's repository that are on no registry.
const UNPUBLISHED: &[&str] = &["cranelift/docs", "cranelift/filetests", "tests/disas"];

/// Pristine sources, to be read by the paths that upstream's repository has.
#[derive(Clone, Debug)]
pub enum Sources {
    /// A checkout of upstream's repository.
    Checkout(PathBuf),
    /// Published crates, each in a folder of its own.
    Crates(Vec<(Crate, PathBuf)>),
}

/// Where a path of upstream's repository leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// To this file, whether there is one or not.
    At(PathBuf),
    /// To a part of upstream's repository that these sources do not have.
    Elsewhere,
}

impl Sources {
    /// Where the file is that upstream's repository calls `path`.
    ///
    /// # Errors
    ///
    /// A path that is in none of the crates that the series may change.
    pub fn locate(&self, path: &str) -> Result<Location> {
        let crates = match self {
            Self::Checkout(root) => return Ok(Location::At(root.join(path))),
            Self::Crates(crates) => crates,
        };
        if UNPUBLISHED
            .iter()
            .any(|folder| inside(path, folder).is_some())
        {
            return Ok(Location::Elsewhere);
        }
        for known in CRATES {
            let Some(rest) = inside(path, known.folder) else {
                continue;
            };
            let source = crates.iter().find(|(it, _)| it == known);
            return Ok(source.map_or(Location::Elsewhere, |(_, root)| {
                Location::At(root.join(rest))
            }));
        }
        bail!("{path} is in no crate that the export knows");
    }

    /// The text at `location`; `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that is no text.
    pub fn read(location: &Path) -> Result<Option<String>> {
        match fs::read_to_string(location) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => bail!("{}: {error}", location.display()),
        }
    }
}

/// What is left of `path` below `folder`, if it is below it.
pub fn inside<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crates() -> Sources {
        let root = |it: &Crate| (*it, PathBuf::from(it.name));
        Sources::Crates(CRATES.iter().map(root).collect())
    }

    #[test]
    fn the_innermost_crate_has_the_file() {
        let located = |path| crates().locate(path).unwrap();
        let at = |path: &str| Location::At(PathBuf::from(path));
        assert_eq!(
            located("cranelift/codegen/meta/src/isle.rs"),
            at("cranelift-codegen-meta/src/isle.rs")
        );
        assert_eq!(
            located("cranelift/codegen/src/lib.rs"),
            at("cranelift-codegen/src/lib.rs")
        );
        assert_eq!(
            located("cranelift/filetests/src/lib.rs"),
            Location::Elsewhere
        );
        assert_eq!(
            located("tests/disas/pulley/coremark-1.wat"),
            Location::Elsewhere
        );
    }

    #[test]
    fn a_misspelt_folder_is_an_error() {
        assert!(crates().locate("cranelift/codgen/src/lib.rs").is_err());
        assert!(crates().locate("cranelift/codegen2/src/lib.rs").is_err());
    }
}
