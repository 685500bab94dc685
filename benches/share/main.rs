//! What the passes are of the whole compile, on functions as they come.
//!
//! `cargo bench --bench share -- INPUT…` compiles every function of each input one at
//! a time, from CLIF that no mid-end has seen to machine code, under valgrind's
//! callgrind: by stock Cranelift, with the passes gated, and with the passes full. It
//! prints a line for each input, and writes all figures to `target/share.json`. An
//! input is
//! - a CLIF file, or a directory of them. Without any, those filetests that look like
//!   adapters are taken. Of a file that `memopt opt FILE.wasm --opt-level none --all
//!   --emit clif` writes, each function is taken once;
//! - `locals:SIZE`, functions of about `SIZE` instructions that keep their locals in
//!   stack slots, of every shape that the generator has.
//!
//! With `--every N` each `N`th function alone is taken. With `--stages` the run is one
//! of the passes at full effort alone, and what each of their functions costs with
//! all that it calls is listed, as a share of the stock compile.
//!
//! With `--counts` nothing is measured, which takes no valgrind: it prints what becomes of the
//! functions at full effort, in bytes of code and of frames, and in loads and stores.
//!
//! With `--remarks` it prints, in place of all that, how many of the instructions of a compile
//! with the passes, at both efforts, are in lines that serve [`remarks`], which nobody asks for
//! there; above [`remarks::LIMIT`] it fails.

mod counted;
mod input;
mod parts;
mod profile;
mod remarks;
mod table;

use counted::Counted;
use cranelift_codegen::isa::TargetIsa;
use input::Input;
use parts::Mode;
use profile::Profile;
use remarks::Lines;
use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::process::{Command, ExitCode};

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Tells the program that it is the one to be measured.
const CHILD: &str = "--measure";

/// What is measured when nothing is asked for.
const DEFAULT: [&str; 4] = [
    "filetests/hot-path",
    "filetests/adapter",
    "filetests/upstream",
    "locals:100",
];

/// What the command line says.
struct Choices {
    inputs: Vec<String>,
    every: usize,
    mode: Mode,
}

impl Choices {
    fn parse(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut choices = Self {
            inputs: Vec::new(),
            every: 1,
            mode: Mode::All,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo says so to every bench.
                "--bench" => {}
                "--stages" => choices.mode = Mode::Stages,
                "--remarks" => choices.mode = Mode::Remarks,
                "--counts" => choices.mode = Mode::Counts,
                "--every" => {
                    let number = arguments.next().ok_or("--every takes a number")?;
                    choices.every = number.parse::<usize>()?.max(1);
                }
                input => choices.inputs.push(input.into()),
            }
        }
        if choices.inputs.is_empty() {
            choices.inputs = DEFAULT.map(String::from).to_vec();
        }
        Ok(choices)
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, input, every, out, mode] = arguments.as_slice()
        && flag == CHILD
    {
        return child(input, every.parse()?, out, Mode::by_name(mode));
    }
    let choices = Choices::parse(&arguments)?;
    let has_valgrind = || Command::new("valgrind").arg("--version").output().is_ok();
    if choices.mode != Mode::Counts && !has_valgrind() {
        println!("share: valgrind is not installed, nothing measured");
        return Ok(ExitCode::SUCCESS);
    }
    match choices.mode {
        Mode::Counts => counts(&choices),
        Mode::Remarks => share_of_remarks(&choices),
        Mode::All | Mode::Stages => shares(&choices),
    }
}

/// What the passes are of each input's compile.
fn shares(choices: &Choices) -> Result<ExitCode, Box<dyn Error>> {
    let mut all = Vec::new();
    println!("{}", table::HEADER);
    for input in &choices.inputs {
        let (profile, counts) = measure(input, choices)?;
        let profile = Profile::parse(&profile);
        let figures = figures(input, &profile, counts);
        println!("{}", table::line(&figures));
        if choices.mode == Mode::Stages {
            print!("{}", table::stages(&profile, &figures));
        }
        all.push(figures);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/share.json");
    fs::write(path, serde_json::to_string_pretty(&all)?)?;
    println!("all figures: {path}");
    Ok(ExitCode::SUCCESS)
}

/// What becomes of each input's functions.
fn counts(choices: &Choices) -> Result<ExitCode, Box<dyn Error>> {
    println!("{}", table::COUNTS_HEADER);
    let isa = parts::isa()?;
    for input in &choices.inputs {
        let counts = compiled(&*isa, input, choices.every, choices.mode)?;
        println!("{}", table::counts(input, &counts));
    }
    Ok(ExitCode::SUCCESS)
}

/// What remarks are of each input's compile when nobody asks for them.
fn share_of_remarks(choices: &Choices) -> Result<ExitCode, Box<dyn Error>> {
    println!("{}", remarks::HEADER);
    let mut is_exceeded = false;
    for input in &choices.inputs {
        let (profile, _) = measure(input, choices)?;
        let whole = Profile::parse(&profile).cost_of_calls("part_");
        let serving = Lines::parse(&profile).serving();
        print!("{}", remarks::table(input, &serving, whole));
        is_exceeded |= remarks::share(&serving, whole) > remarks::LIMIT;
    }
    Ok(match is_exceeded {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// What callgrind writes of all functions of `input`, and what the program counted.
fn measure(input: &str, choices: &Choices) -> Result<(String, Value), Box<dyn Error>> {
    let temporary = |what| {
        let name = format!("memopt-share-{}-{what}", std::process::id());
        std::env::temp_dir().join(name)
    };
    let (profile, counts) = (temporary("profile"), temporary("counts"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-pos=no"])
        .arg("--toggle-collect=*::part_*")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .args([CHILD, input, &choices.every.to_string()])
        .arg(&counts)
        .arg(choices.mode.name())
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("callgrind failed on {input}:\n{text}").into());
    }
    let read = (
        fs::read_to_string(&profile)?,
        serde_json::from_str(&fs::read_to_string(&counts)?)?,
    );
    fs::remove_file(&profile)?;
    fs::remove_file(&counts)?;
    Ok(read)
}

/// Everything that is known about one input.
fn figures(input: &str, profile: &Profile, mut counts: Value) -> Value {
    let cost = |part: &str| profile.cost_of_calls(part);
    counts["input"] = json!(input);
    counts["stock"]["optimize"] = json!(cost("part_stock_optimize"));
    counts["stock"]["back_end"] = json!(cost("part_stock_back_end"));
    counts["gated"]["optimize"] = json!(cost("part_gated_optimize"));
    counts["gated"]["back_end"] = json!(cost("part_gated_back_end"));
    counts["full"]["optimize"] = json!(cost("part_full_optimize"));
    counts["full"]["back_end"] = json!(cost("part_full_back_end"));
    counts["look"] = json!(cost("part_look"));
    counts
}

/// Compiles everything, and writes what it counts itself to `out`.
fn child(input: &str, every: usize, out: &str, mode: Mode) -> Result<ExitCode, Box<dyn Error>> {
    let counts = compiled(&*parts::isa()?, input, every, mode)?;
    fs::write(out, counts.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Compiles each `every`th function, and says what is counted.
fn compiled(
    isa: &dyn TargetIsa,
    input: &str,
    every: usize,
    mode: Mode,
) -> Result<Value, Box<dyn Error>> {
    let mut sides = parts::Sides::new(isa, mode);
    Input::parse(input)?.for_each(every, |function| sides.compile(function))?;
    Ok(sides.counts())
}
