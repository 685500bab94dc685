//! Man pages and shell completions, made from the command line's own description.

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_complete::Shell;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// What `memopt man` is told.
#[derive(Args, Debug)]
pub struct Man {
    /// Where the pages go, one for each command
    directory: PathBuf,
}

/// What `memopt completions` is told.
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell that is to complete
    shell: Shell,
}

/// Writes the man pages of `command`.
///
/// # Errors
///
/// A directory that cannot be written to.
pub fn man(arguments: &Man, command: Command) -> Result<()> {
    let directory = &arguments.directory;
    let shown = || directory.display().to_string();
    fs::create_dir_all(directory).with_context(shown)?;
    clap_mangen::generate_to(command, directory).with_context(shown)
}

/// Prints the completions of `command`.
///
/// # Errors
///
/// An output that cannot be written.
pub fn completions(arguments: &Completions, mut command: Command) -> Result<()> {
    let mut text = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(arguments.shell, &mut command, name, &mut text);
    std::io::stdout().write_all(&text)?;
    Ok(())
}
