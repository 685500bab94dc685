//! Runs the program on files made for one test.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A directory that lives as long as one test.
pub struct Bench {
    directory: TempDir,
}

impl Bench {
    /// An empty directory.
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// Writes a file into the directory.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file in the directory");
        path
    }

    /// The path of a file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Reads a file of the directory.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("the file is there")
    }

    /// Runs the program in the directory.
    pub fn memopt(&self, arguments: &[&str]) -> Outcome {
        self.run(arguments, false)
    }

    /// Runs the program in the directory and lets it accept new outputs.
    pub fn memopt_blessing(&self, arguments: &[&str]) -> Outcome {
        self.run(arguments, true)
    }

    fn run(&self, arguments: &[&str], bless: bool) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memopt"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_remove("CRANELIFT_TEST_BLESS");
        if bless {
            command.env("CRANELIFT_TEST_BLESS", "1");
        }
        Outcome::of(command.output().expect("the program starts"))
    }
}

/// What the program said, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Asserts the exit code, and shows everything if it is another.
    #[track_caller]
    pub fn ends_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that standard output has `part` in it.
    #[track_caller]
    pub fn prints(&self, part: &str) -> &Self {
        assert!(self.out.contains(part), "no {part:?} in {self:#?}");
        self
    }

    /// Asserts that standard error has `part` in it, and no panic.
    #[track_caller]
    pub fn complains(&self, part: &str) -> &Self {
        assert!(self.err.contains(part), "no {part:?} in {self:#?}");
        assert!(!self.err.contains("panicked"), "{self:#?}");
        self
    }
}

/// A file of the repository.
pub fn repository(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(path).display().to_string()
}
