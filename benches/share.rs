//! What the passes are of the whole compile, on functions as they come.
//!
//! `cargo bench --bench share -- PATH…` compiles every function of the CLIF files
//! at or below each path, mid-end, passes and back end, under valgrind's callgrind,
//! and prints a line for each path: the instructions that each of the three
//! retires, and what the passes are of the whole, upstream's egraph pass included
//! where it runs again. Without a path it takes those filetests that look like
//! adapters, all of which have much to remove. `wasmtime compile --emit-clif DIR`
//! writes the functions of a WebAssembly module: code as it comes, in which there
//! is little.

use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::{self, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CodegenError, Context};
use cranelift_memopt::{Compiler, NoPolicy, Options, run};
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Tells the program that it is the one to be measured.
const CHILD: &str = "--measure";

/// What is measured when nothing is asked for.
const DEFAULT: [&str; 3] = [
    "filetests/hot-path",
    "filetests/adapter",
    "filetests/upstream",
];

/// The parts of a compile, as callgrind knows them.
const PARTS: [&str; 3] = ["part_mid_end", "part_passes", "part_back_end"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, paths @ ..] = arguments.as_slice()
        && flag == CHILD
    {
        return child(paths);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("share: valgrind is not installed, nothing measured");
        return Ok(ExitCode::SUCCESS);
    }
    let asked = arguments.iter().filter(|word| !word.starts_with('-'));
    let mut paths: Vec<&str> = asked.map(String::as_str).collect();
    if paths.is_empty() {
        paths.extend(DEFAULT);
    }
    println!("   mid-end       passes     back end  passes/whole  (instructions retired)");
    for path in paths {
        let [mid_end, passes, back_end] = measure(path)?;
        let whole = mid_end + passes + back_end;
        let share = 100.0 * passes as f64 / whole.max(1) as f64;
        println!("{mid_end:>10} {passes:>12} {back_end:>12} {share:>12.2}%  {path}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What callgrind counts of each part, for all functions at or below `path`.
fn measure(path: &str) -> Result<[u64; 3], Box<dyn Error>> {
    let out = std::env::temp_dir().join(format!("memopt-share-{}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*::part_*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args([CHILD, path])
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("callgrind failed on {path}:\n{text}").into());
    }
    let profile = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    Ok(PARTS.map(|part| cost_of_calls(&profile, part)))
}

/// What the calls of the function with `part` in its name cost together.
///
/// A profile names a called function in a line `cfn=(number) name`, the name
/// only the first time; after it come `calls=`, and a line with a position and
/// the cost.
fn cost_of_calls(profile: &str, part: &str) -> u64 {
    let name = profile
        .lines()
        .find(|line| line.contains("fn=(") && line.contains(part));
    let Some(number) = name.and_then(|line| Some(line.split_once('(')?.1.split_once(')')?.0))
    else {
        return 0;
    };
    let called = format!("cfn=({number})");
    let mut lines = profile.lines();
    let mut cost = 0;
    while let Some(line) = lines.next() {
        if line.starts_with(&called) {
            let line = { &mut lines }.find(|line| !line.contains('='));
            let number = line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            cost += number.unwrap_or(0);
        }
    }
    cost
}

fn child(paths: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let isa = isa()?;
    let mut files = Vec::new();
    for path in paths {
        collect(Path::new(path), &mut files)?;
    }
    files.sort();
    let mut compiler = Compiler::new();
    for file in files {
        // What is no function for this machine is no concern of this bench.
        let Ok(functions) = cranelift_reader::parse_functions(&fs::read_to_string(&file)?) else {
            continue;
        };
        for function in functions {
            let _ = compile(function, &*isa, &mut compiler);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The machine that Wasmtime compiles for, as far as it matters.
fn isa() -> Result<OwnedTargetIsa, Box<dyn Error>> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?;
    flags.set("enable_verifier", "false")?;
    flags.set("preserve_frame_pointers", "true")?;
    Ok(isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else if path
        .extension()
        .is_some_and(|extension| extension == "clif")
    {
        files.push(path.into());
    }
    Ok(())
}

fn compile(
    function: Function,
    isa: &dyn TargetIsa,
    compiler: &mut Compiler,
) -> Result<(), CodegenError> {
    let mut ctx = Context::for_function(function);
    part_mid_end(&mut ctx, isa)?;
    part_passes(&mut ctx, isa)?;
    part_back_end(&mut ctx, isa, compiler)
}

#[inline(never)]
fn part_mid_end(ctx: &mut Context, isa: &dyn TargetIsa) -> Result<(), CodegenError> {
    ctx.optimize(isa, &mut ControlPlane::default())
}

#[inline(never)]
fn part_passes(ctx: &mut Context, isa: &dyn TargetIsa) -> Result<(), CodegenError> {
    black_box(run(ctx, isa, &NoPolicy, &Options::full())?);
    Ok(())
}

#[inline(never)]
fn part_back_end(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    compiler: &mut Compiler,
) -> Result<(), CodegenError> {
    black_box(compiler.emit(ctx, isa)?);
    Ok(())
}
