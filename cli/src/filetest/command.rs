//! The `test …` lines of a file.

use crate::complaint::{Complaint, Position};
use crate::passes;
use cranelift_reader::{TestCommand, TestFile, TestOption};
use std::fmt;

/// What a command does with the functions of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Show the CLIF after optimization.
    Optimize,
    /// Show the machine code.
    Compile,
    /// Run the functions in Cranelift's interpreter.
    Interpret,
    /// Run the functions on the host.
    Run,
    /// Check what the verifier says.
    Verifier,
}

/// One `test …` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it does.
    pub kind: Kind,
    /// Do the passes of this crate run? `test memopt` is `test optimize
    /// memopt`; running a function always compares both.
    pub memopt: bool,
    /// Is the output compared as a whole, and not by checks?
    pub precise: bool,
    /// Is the compilation expected to fail?
    pub expect_fail: bool,
    /// The passes that the line switches off.
    pub off: Vec<&'static str>,
}

impl Command {
    /// Does the command turn functions into a text that comments describe?
    pub fn has_output(&self) -> bool {
        matches!(self.kind, Kind::Optimize | Kind::Compile)
    }

    /// Does the command run functions?
    pub fn executes(&self) -> bool {
        matches!(self.kind, Kind::Interpret | Kind::Run)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.kind, self.memopt) {
            (Kind::Optimize, true) => "memopt",
            (Kind::Optimize, false) => "optimize",
            (Kind::Compile, true) => "compile memopt",
            (Kind::Compile, false) => "compile",
            (Kind::Interpret, _) => "interpret",
            (Kind::Run, _) => "run",
            (Kind::Verifier, _) => "verifier",
        };
        write!(f, "test {name}")
    }
}

/// The commands of a file, in the order of its lines.
///
/// # Errors
///
/// A command or an option that is not known, with its place; a file without
/// commands.
pub fn of_file(name: &str, text: &str, file: &TestFile<'_>) -> Result<Vec<Command>, Complaint> {
    if file.commands.is_empty() {
        return Err(Complaint::of_file(name, "no `test` commands in this file"));
    }
    let parse = |line| parse(line).map_err(|(at, why)| place(name, text, at, &why));
    file.commands.iter().map(parse).collect()
}

fn place(name: &str, text: &str, part: &str, why: &str) -> Complaint {
    Complaint::at(name, Position::of(text, part), why)
}

/// A part of the text, and what is wrong with it.
type Wrong<'a> = (&'a str, String);

fn parse<'a>(line: &TestCommand<'a>) -> Result<Command, Wrong<'a>> {
    let (kind, memopt) = match line.command {
        "memopt" => (Kind::Optimize, true),
        "optimize" => (Kind::Optimize, false),
        "compile" => (Kind::Compile, false),
        "interpret" => (Kind::Interpret, true),
        "run" => (Kind::Run, true),
        "verifier" => (Kind::Verifier, false),
        other => return Err((other, format!("unknown test command `{other}`"))),
    };
    let mut command = Command {
        kind,
        memopt,
        precise: false,
        expect_fail: false,
        off: Vec::new(),
    };
    for option in &line.options {
        add_option(&mut command, option)?;
    }
    // Without the passes there is nothing to switch off.
    if !command.off.is_empty() && !command.memopt {
        return Err((
            line.command,
            "this command does not run the passes".to_owned(),
        ));
    }
    Ok(command)
}

fn add_option<'a>(command: &mut Command, option: &TestOption<'a>) -> Result<(), Wrong<'a>> {
    let word = match option {
        TestOption::Flag(word) => *word,
        TestOption::Value(name, value) => {
            return Err((name, format!("unknown option `{name}={value}`")));
        }
    };
    match word {
        "precise-output" if command.has_output() => command.precise = true,
        "expect-fail" if command.kind == Kind::Compile => command.expect_fail = true,
        "memopt" if command.has_output() => command.memopt = true,
        _ => match word.strip_prefix("no-").and_then(passes::known) {
            Some(pass) => command.off.push(pass),
            None => return Err((word, format!("unknown option `{word}`"))),
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<Command, String> {
        parse(&TestCommand::new(line)).map_err(|(_, why)| why)
    }

    #[test]
    fn memopt_is_optimize_with_the_passes() {
        assert_eq!(command("memopt"), command("optimize memopt"));
    }

    #[test]
    fn a_pass_can_be_switched_off() {
        let command = command("memopt precise-output no-dead-stores").unwrap();
        assert!(command.precise);
        assert_eq!(command.off, ["dead_stores"]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(command("alias-analysis").is_err());
        assert!(command("run precise-output").is_err());
        assert!(command("optimize no-dead-stores").is_err());
        assert!(command("memopt verbose=1").is_err());
    }
}
