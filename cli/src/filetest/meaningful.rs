//! Refuses files that look like tests and could never fail.

use crate::clif;
use crate::complaint::{Complaint, Position};
use crate::filetest::command::Command;
use crate::filetest::{execute, expect};
use crate::numbers;
use cranelift_codegen::settings::{Flags, OptLevel};
use cranelift_reader::{Comment, IsaSpec, TestFile};

/// Checks that what `file` says can turn out wrong.
///
/// # Errors
///
/// An expectation that nothing reads, and a test of the passes that checks
/// nothing or does not let them run.
pub fn require(
    name: &str,
    text: &str,
    commands: &[Command],
    file: &TestFile<'_>,
) -> Result<(), Complaint> {
    expectations_have_functions(name, text, file)?;
    frames_fit(name, commands, file)?;
    something_is_checked(name, commands, file)?;
    passes_run(name, text, commands, file)
}

/// Does the command show what the passes leave?
fn shows_passes(command: &Command) -> bool {
    command.memopt && command.has_output() && !command.expect_fail
}

/// `opt_level=none` is the default, and the passes change nothing then. That
/// may be what is tested, but the file has to say so.
fn passes_run(
    name: &str,
    text: &str,
    commands: &[Command],
    file: &TestFile<'_>,
) -> Result<(), Complaint> {
    let none = |flags: &Flags| flags.opt_level() == OptLevel::None;
    let any_none = match &file.isa_spec {
        IsaSpec::None(flags) => none(flags),
        IsaSpec::Some(targets) => targets.iter().any(|isa| none(isa.flags())),
    };
    let is_set = |line: &str| line.starts_with("set ") && line.contains("opt_level=");
    match commands.iter().find(|command| shows_passes(command)) {
        Some(command) if any_none && !text.lines().any(is_set) => {
            let message = format!("`{command}` without `set opt_level=speed` runs no passes");
            Err(Complaint::of_file(name, message))
        }
        _ => Ok(()),
    }
}

/// The stack of a thread has no room for more than a function of a test needs,
/// and memory of an interpreter is not to be had for nothing.
const MAX_RUNNING_FRAME_BYTES: u64 = 1 << 20;

fn frames_fit(name: &str, commands: &[Command], file: &TestFile<'_>) -> Result<(), Complaint> {
    let runs = commands.iter().any(Command::executes);
    let counted = |c: &Comment<'_>| clif::directive(c.text, "dyn:").is_some();
    if runs || clif::comments(file).any(counted) {
        numbers::check_functions(name, file, MAX_RUNNING_FRAME_BYTES)?;
    }
    Ok(())
}

/// An expectation before the first function is attached to none, and would be
/// passed over in silence.
fn expectations_have_functions(
    name: &str,
    text: &str,
    file: &TestFile<'_>,
) -> Result<(), Complaint> {
    let mut preamble = file.preamble_comments.iter().map(|comment| comment.text);
    match preamble.find(|text| expect::is_about_function(text)) {
        None => Ok(()),
        Some(comment) => {
            let message = "this belongs behind the function that it is about";
            Err(Complaint::at(name, Position::of(text, comment), message))
        }
    }
}

/// A test of the passes that checks nothing cannot fail, and is a defect.
/// `test compile` and `test optimize` at least have to get through, so stock
/// commands may stand alone, as they do upstream.
fn something_is_checked(
    name: &str,
    commands: &[Command],
    file: &TestFile<'_>,
) -> Result<(), Complaint> {
    let any_memopt = commands.iter().find(|command| shows_passes(command));
    let counting = expect::counting(file);
    if let Some(keyword) = counting
        && any_memopt.is_none()
    {
        let message = format!("`{keyword}` without a command that runs the passes");
        return Err(Complaint::of_file(name, message));
    }
    let runs = execute::has_runs(file);
    if let Some(command) = commands.iter().find(|c| c.executes())
        && !runs
    {
        let message = format!("`{command}` without a `run:` or `print:` comment");
        return Err(Complaint::of_file(name, message));
    }
    let executes = commands.iter().any(Command::executes);
    if runs && !executes && any_memopt.is_some() {
        let message = "`run:` and `print:` need `test run` or `test interpret`";
        return Err(Complaint::of_file(name, message));
    }
    let executed = runs && executes;
    let checked = expect::has_checks(file) || counting.is_some() || executed;
    match any_memopt {
        Some(command) if !checked && !commands.iter().any(|c| c.precise) => Err(
            Complaint::of_file(name, format!("`{command}` checks nothing")),
        ),
        _ => Ok(()),
    }
}
