//! Instructions that the passes retire, and how they grow with the function.
//!
//! `cargo bench --bench counts` runs itself under valgrind's callgrind once for
//! each shape and size, collecting within [`support::measured`] alone, and
//! prints a line for each shape. It fails if ten times as large a function takes
//! more than [`LIMIT`] times as many instructions. Without valgrind it says so
//! and measures nothing. One shape alone: `cargo bench --bench counts -- loops`.

mod support;

use std::error::Error;
use std::process::{Command, ExitCode};
use support::Shape;

const SMALL: usize = 10_000;
const LARGE: usize = 100_000;

/// Linear is 10; what is above may be a logarithm, a table that grew, but no
/// second factor of the size.
const LIMIT: f64 = 12.0;

/// Tells the program that it is the one to be measured.
const CHILD: &str = "--measure";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, shape, size] = arguments.as_slice()
        && flag == CHILD
    {
        let shape = Shape::by_name(shape).ok_or("no such shape")?;
        return child(shape, size.parse()?);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("counts: valgrind is not installed, nothing measured");
        return Ok(ExitCode::SUCCESS);
    }
    let asked = |shape: &Shape| {
        let mut names = arguments.iter().filter(|word| !word.starts_with('-'));
        names.clone().next().is_none() || names.any(|name| name == shape.name())
    };
    println!("shape       {SMALL:>14} {LARGE:>14}  ratio  (instructions retired)");
    let mut worst = 0.0_f64;
    for shape in Shape::ALL.into_iter().filter(asked) {
        let (small, large) = (count(shape, SMALL)?, count(shape, LARGE)?);
        let ratio = large as f64 / small.max(1) as f64;
        println!("{:<11} {small:>14} {large:>14} {ratio:>6.2}", shape.name());
        worst = worst.max(ratio);
    }
    if worst > LIMIT {
        println!("the worst ratio, {worst:.2}, is above {LIMIT}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// What callgrind counts of the passes on one function.
fn count(shape: Shape, size: usize) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*measured*")
        .arg(std::env::current_exe()?)
        .args([CHILD, shape.name(), &size.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.split_once("Collected :"));
    let (true, Some((_, number))) = (output.status.success(), line) else {
        return Err(format!("callgrind failed on {} {size}:\n{text}", shape.name()).into());
    };
    Ok(number.trim().parse()?)
}

fn child(shape: Shape, size: usize) -> Result<ExitCode, Box<dyn Error>> {
    let isa = support::isa()?;
    let policy = support::policy()?;
    let func = support::prepare(shape, size, &*isa)?;
    let mut ctx = support::context(func);
    support::measured(&mut ctx, &*isa, &policy)?;
    Ok(ExitCode::SUCCESS)
}
