//! WebAssembly, compiled by stock Wasmtime; and its CLIF, compiled with the passes.
//!
//! Wasmtime inlines and runs the mid-end, and writes every function to a file
//! as it leaves it. That is the stock side. The other side is what it writes when it
//! does not optimize, which is what its mid-end gets: passes, mid-end and passes see all of these
//! functions as one module. The names that they call each other by are not
//! unique, because some trampolines have none of their own; symbols tell them
//! apart. The passes know nothing about a callee whose name two functions have.

use crate::complaint::Complaint;
use crate::functions::{self, Stages};
use crate::opt::batch::{Batch, Stock, Subject, parse_one};
use crate::opt::command::Choices;
use crate::opt::limits;
use crate::opt::origin::Names;
use crate::opt::progress::Progress;
use crate::opt::{engine, names};
use anyhow::{Context as _, Result, anyhow, ensure};
use cranelift_codegen::Context;
use cranelift_codegen::ir::UserFuncName;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_memopt::CalleeName;
use memopt_check::CheckedStats;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use wasmtime::Engine;
use wasmtime_environ::wasmparser::{Validator, WasmFeatures};

/// Translates the text format.
///
/// # Errors
///
/// A syntax error, with file, line and column.
pub fn assemble(name: &str, text: &str) -> Result<Vec<u8>, Complaint> {
    let parsed = wat::Parser::new().parse_str(Some(Path::new(name)), text);
    parsed.map_err(|error| {
        let message = error.to_string();
        match position(&message) {
            Some((line, column)) => {
                let what = message.lines().next().unwrap_or_default();
                let position = crate::complaint::Position { line, column };
                Complaint::at(name, position, what)
            }
            None => Complaint::of_file(name, message),
        }
    })
}

/// The line and column in a message of `wat`, which come after an arrow.
fn position(message: &str) -> Option<(usize, usize)> {
    let place = message.lines().find(|line| line.contains("-->"))?;
    let mut parts = place.trim().rsplit(':');
    let column = parts.next()?.parse().ok()?;
    Some((parts.next()?.parse().ok()?, column))
}

/// Checks options of Wasmtime's group `-W`.
///
/// # Errors
///
/// An option that Wasmtime does not know, or that it was not built with.
pub fn check_options(options: &[String]) -> Result<()> {
    engine::of_options(options).map(|_| ())
}

/// Compiles a module or component and optimizes its functions.
///
/// # Errors
///
/// WebAssembly that does not validate, a component that is too large for the
/// policy, an unknown target, and CLIF that cannot be read back.
pub fn batch(
    name: &str,
    mut wasm: Vec<u8>,
    choices: &Choices,
    progress: &Progress,
) -> Result<Batch> {
    progress.start("compiling", None);
    let written = place()?;
    if is_component(&wasm) {
        limits::check(&wasm, &choices.policy)?;
    }
    names::hide_slashes(&mut wasm);
    let isa = compile(&wasm, written.path(), &choices.opt_level, choices)?;
    let files = files(&written)?;
    let (mut contexts, mut subjects) = match choices.opt_level.as_str() {
        UNOPTIMIZED => read_all(&files, choices, progress)?,
        _ => {
            let unoptimized = place()?;
            compile(&wasm, unoptimized.path(), UNOPTIMIZED, choices)?;
            let inputs = self::files(&unoptimized)?;
            let [names, others] =
                [&inputs, &files].map(|list| list.iter().map(|it| it.file_name()));
            ensure!(
                names.eq(others),
                "unoptimized and optimized it has not the same functions"
            );
            read_all(&inputs, choices, progress)?
        }
    };
    let names = names_of(&wasm, &contexts, &subjects);
    for subject in &mut subjects {
        subject.name = names.get(&subject.symbol).map(str::to_owned);
    }
    choices.see(contexts.iter().map(|ctx| &ctx.func));
    progress.start("optimizing", None);
    let policies = vec![choices.policy.clone(); contexts.len()];
    let wanted = choices.wanted();
    let outcomes =
        functions::optimize_module(&mut contexts, &*isa, &policies, wanted, Stages::WithMidEnd)?;
    for (subject, outcome) in subjects.iter_mut().zip(outcomes) {
        subject.stats = outcome.stats;
        subject.explained = outcome.explained;
    }
    let batch = Batch {
        file: name.to_owned(),
        isa,
        subjects,
        notes: Vec::new(),
        stock: Stock::Written(written, files),
        memopt: contexts,
    };
    batch.verify()?;
    Ok(batch)
}

/// The level at which Wasmtime writes what its mid-end would get.
const UNOPTIMIZED: &str = "none";

/// A directory for CLIF, which is removed with this.
fn place() -> Result<TempDir> {
    tempfile::tempdir().context("no place for the CLIF")
}

/// Has Wasmtime compile `wasm` at this level and write its CLIF to `directory`; the target and
/// the settings that it compiled with.
fn compile(
    wasm: &[u8],
    directory: &Path,
    opt_level: &str,
    choices: &Choices,
) -> Result<OwnedTargetIsa> {
    let config = engine::config(choices, opt_level, directory)?;
    let engine = Engine::new(&config).map_err(|error| anyhow!("{error:#}"))?;
    let compiled = match is_component(wasm) {
        true => engine.precompile_component(wasm),
        false => engine.precompile_module(wasm),
    };
    let compiled = compiled.map_err(|error| match takes_proposals(wasm) {
        true => {
            anyhow!("{error:#}; `-W all-proposals` turns most proposals on, `-W help` lists all")
        }
        false => anyhow!("{error:#}"),
    });
    engine::isa(&compiled?)
}

/// Is `wasm` valid if every proposal is on?
fn takes_proposals(wasm: &[u8]) -> bool {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    validator.validate_all(wasm).is_ok()
}

/// The layer field of the header, behind magic number and version.
pub fn is_component(wasm: &[u8]) -> bool {
    wasm.get(6..8) == Some(&[1, 0])
}

/// The names that the functions have where they come from.
fn names_of(wasm: &[u8], contexts: &[Context], subjects: &[Subject]) -> Names {
    let index = |symbol: &str| {
        let is_it = |known: &str| known == symbol || known.starts_with(&format!("{symbol}::"));
        subjects.iter().position(|subject| is_it(&subject.symbol))
    };
    let calls = |caller: &str, callee: &str| {
        let (Some(caller), Some(callee)) = (index(caller), index(callee)) else {
            return true;
        };
        let callee = CalleeName::of_function(&contexts[callee].func.name);
        let caller = &contexts[caller].func;
        functions::callees(caller).any(|name| name == callee)
    };
    Names::of(wasm, &calls)
}

/// The files that Wasmtime has written, a function in each.
fn files(written: &TempDir) -> Result<Vec<PathBuf>> {
    let entries: std::io::Result<Vec<_>> = fs::read_dir(written.path())?.collect();
    let mut files: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
    files.sort_by_key(|path| sort_key(&path.file_name().unwrap_or_default().to_string_lossy()));
    Ok(files)
}

/// Everything that was read, in the same order.
type Read = (Vec<Context>, Vec<Subject>);

/// Reads all functions that Wasmtime has written.
fn read_all(files: &[PathBuf], choices: &Choices, progress: &Progress) -> Result<Read> {
    progress.start("reading", Some(files.len()));
    let mut contexts = Vec::with_capacity(files.len());
    let mut subjects = Vec::with_capacity(files.len());
    for path in files {
        progress.step();
        let text = fs::read_to_string(path)?;
        let symbol = symbol(&text).context("CLIF without the name of its function")?;
        let mut func = parse_one(&text).with_context(|| symbol.clone())?;
        if is_misnamed(&symbol, &func.name) {
            func.name = UserFuncName::user(u32::MAX, contexts.len() as u32);
        }
        contexts.push(Context::for_function(func));
        subjects.push(Subject {
            symbol,
            name: None,
            policy: choices.policy_name.clone(),
            stats: CheckedStats::default(),
            explained: None,
        });
    }
    Ok((contexts, subjects))
}

/// Does the text name a function that its symbol says it is not?
///
/// Calls name a function by Wasmtime's key for it, and the key of function `i`
/// of module `m` is `u<m>:<i>`. Some trampolines have no name set and print as
/// `u0:0`; nobody calls them by it, and it would hide the function that has it.
fn is_misnamed(symbol: &str, name: &UserFuncName) -> bool {
    let UserFuncName::User(name) = name else {
        return false;
    };
    let unset = name.namespace == 0 && name.index == 0;
    unset && !symbol.starts_with("wasm[0]::function[")
}

/// Orders `function[9]` before `function[10]`: numbers count as numbers.
fn sort_key(name: &str) -> Vec<(u64, String)> {
    let parts = name.split('[');
    let key = parts.map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        (number.parse().unwrap_or(0), rest.to_owned())
    });
    key.collect()
}

/// The symbol that Wasmtime names in the first line, in angle brackets.
fn symbol(text: &str) -> Option<String> {
    let (_, rest) = text.lines().next()?.split_once('<')?;
    let (symbol, _) = rest.rsplit_once('>')?;
    Some(symbol.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_in_text_has_its_place() {
        let said = assemble("a.wat", "(module\n  (func (wrong))").unwrap_err();
        let said = said.to_string();
        assert!(said.starts_with("a.wat:2:10: "), "{said}");
    }

    #[test]
    fn a_trampoline_without_a_name_is_no_wasm_function() {
        let unset = UserFuncName::user(0, 0);
        assert!(is_misnamed("component-trampolines[1]-wasm-call", &unset));
        assert!(!is_misnamed("wasm[0]::function[0]::fib", &unset));
        assert!(!is_misnamed(
            "wasm[0]::function[1]",
            &UserFuncName::user(0, 1)
        ));
    }

    #[test]
    fn the_symbol_may_hold_angle_brackets() {
        let text = ";; Intermediate Representation of function <wasm[0]::a<b>>:\n";
        assert_eq!(symbol(text).as_deref(), Some("wasm[0]::a<b>"));
    }
}
