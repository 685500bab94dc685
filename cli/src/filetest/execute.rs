//! `test interpret` and `test run`: calls functions, with and without the
//! passes, and compares both with the `; run:` comments and with each other.

use crate::clif;
use crate::filetest::command::Kind;
use crate::filetest::output::Module;
use crate::filetest::{expect, interpret, native};
use anyhow::{Result, ensure};
use cranelift_codegen::data_value::{DataValue, DisplayDataValues};
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_reader::{Details, RunCommand, TestFile, parse_run_command};

/// A way to call the functions of a file.
pub trait Machine {
    /// Calls the function at `index`.
    ///
    /// # Errors
    ///
    /// A trap, or a call that this machine cannot make.
    fn call(&self, index: usize, arguments: &[DataValue]) -> Result<Vec<DataValue>>;
}

/// Does any function of the file have a `; run:` or `; print:` comment?
pub fn has_runs(file: &TestFile<'_>) -> bool {
    clif::comments(file).any(|comment| is_run(comment.text))
}

fn is_run(comment: &str) -> bool {
    let keywords = ["run:", "print:"];
    let has = |keyword: &&str| clif::directive(comment, keyword).is_some();
    keywords.iter().any(has) || expect::is_bare_run(comment)
}

/// Runs every call of the file on both sides; the failures, one text each.
///
/// `target` is the host as the file's target describes it. It is used by
/// [`Kind::Run`] alone, as the module is already optimized for it.
///
/// # Errors
///
/// What keeps the functions from being compiled.
pub fn check(
    kind: Kind,
    file: &TestFile<'_>,
    module: &Module<'_>,
    target: &OwnedTargetIsa,
) -> Result<Vec<String>> {
    let stock: Vec<_> = module.stock()?.into_iter().map(|ctx| ctx.func).collect();
    let (optimized, _) = module.optimized()?;
    let optimized: Vec<_> = optimized.into_iter().map(|ctx| ctx.func).collect();
    let stock = machine(kind, &stock, target)?;
    let optimized = machine(kind, &optimized, target)?;
    let mut failures = Vec::new();
    for (index, (func, details)) in file.functions.iter().enumerate() {
        for command in calls(func, details)? {
            let callee = callee(kind, file, &command).unwrap_or(index);
            if let Err(error) = compare(&command, callee, &*stock, &*optimized) {
                failures.push(format!("{}: {error:#}", clif::label(func, details)));
            }
        }
    }
    Ok(failures)
}

fn machine<'f>(
    kind: Kind,
    functions: &'f [Function],
    target: &OwnedTargetIsa,
) -> Result<Box<dyn Machine + 'f>> {
    Ok(match kind {
        Kind::Run => Box::new(native::Native::new(functions, target.clone())?),
        _ => Box::new(interpret::Interpreted::new(functions)),
    })
}

/// The calls that the comments of a function ask for.
fn calls(func: &Function, details: &Details<'_>) -> Result<Vec<RunCommand>> {
    let comments = details.comments.iter().filter(|c| is_run(c.text));
    let parse = |text| parse_run_command(text, &func.signature);
    let commands = comments.map(|comment| parse(comment.text));
    Ok(commands
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()?)
}

/// The function that a call names, where that counts. As upstream has it, the
/// interpreter calls it by name, and `test run` the one before the comment.
fn callee(kind: Kind, file: &TestFile<'_>, command: &RunCommand) -> Option<usize> {
    if kind == Kind::Run {
        return None;
    }
    let (RunCommand::Print(call) | RunCommand::Run(call, ..)) = command;
    let name = format!("%{}", call.func);
    let mut functions = file.functions.iter();
    functions.position(|(func, _)| func.name.to_string() == name)
}

fn compare(
    command: &RunCommand,
    callee: usize,
    stock: &dyn Machine,
    optimized: &dyn Machine,
) -> Result<()> {
    let (RunCommand::Print(call) | RunCommand::Run(call, ..)) = command;
    let before = stock.call(callee, &call.args);
    let before = before.map_err(|error| error.context("without the passes"))?;
    let after = optimized.call(callee, &call.args);
    let after = after.map_err(|error| error.context("with the passes"))?;
    meets(command, &before).map_err(|error| error.context("without the passes"))?;
    meets(command, &after).map_err(|error| error.context("with the passes"))?;
    let equal =
        before.len() == after.len() && before.iter().zip(&after).all(|(b, a)| b.bitwise_eq(a));
    ensure!(
        equal,
        "`{command}` gives {} without the passes and {} with them",
        DisplayDataValues(&before),
        DisplayDataValues(&after)
    );
    if matches!(command, RunCommand::Print(_)) {
        println!("{call} -> {}", DisplayDataValues(&after));
    }
    Ok(())
}

/// Is the result the one that the comment expects?
fn meets(command: &RunCommand, result: &[DataValue]) -> Result<()> {
    if let RunCommand::Run(..) = command {
        let outcome = command.run(|_, _| Ok(result.to_vec()));
        outcome.map_err(|message| anyhow::anyhow!(message))?;
    }
    Ok(())
}
