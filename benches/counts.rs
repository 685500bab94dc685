//! Instructions that the passes retire, and how they grow with the function.
//!
//! `cargo bench --bench counts` runs itself under valgrind's callgrind once for
//! each shape and size, collecting within [`support::measured`] alone, and
//! prints a line for each shape. It fails if ten times as large a function takes
//! more than [`LIMIT`] times as many instructions, or more than [`PATIENCE`].
//! Without valgrind it says so and measures nothing. Some shapes alone:
//! `cargo bench --bench counts -- loops slots`.

mod callgrind;
mod support;

use callgrind::{CHILD, PATIENCE};
use std::error::Error;
use std::process::ExitCode;
use support::Shape;

const SMALL: usize = 10_000;
const LARGE: usize = 100_000;

/// Linear is 10; what is above may be a logarithm, a table that grew, but no
/// second factor of the size.
const LIMIT: f64 = 12.0;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, shape, size] = arguments.as_slice()
        && flag == CHILD
    {
        let shape = Shape::by_name(shape).ok_or("no such shape")?;
        return child(shape, size.parse()?);
    }
    if !callgrind::is_available() {
        println!("counts: valgrind is not installed, nothing measured");
        return Ok(ExitCode::SUCCESS);
    }
    let asked = |shape: &Shape| {
        let mut names = arguments.iter().filter(|word| !word.starts_with('-'));
        names.clone().next().is_none() || names.any(|name| name == shape.name())
    };
    println!("shape       {SMALL:>14} {LARGE:>14}  ratio  (instructions retired)");
    let mut failed = false;
    for shape in Shape::ALL.into_iter().filter(asked) {
        let small = count(shape, SMALL)?;
        let large = match small {
            Some(_) => count(shape, LARGE)?,
            None => None,
        };
        let ratio = small
            .zip(large)
            .map(|(small, large)| large as f64 / small.max(1) as f64);
        failed |= ratio.is_none_or(|ratio| ratio > LIMIT);
        let number = |count: Option<u64>| count.map_or("too long".into(), |n| n.to_string());
        let ratio = ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let (small, large) = (number(small), number(large));
        println!("{:<11} {small:>14} {large:>14} {ratio:>6}", shape.name());
    }
    if failed {
        println!("not linear: a ratio above {LIMIT}, or more than {PATIENCE:?} for one function");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// What callgrind counts of the passes on one function; `None` if it takes too
/// long.
fn count(shape: Shape, size: usize) -> Result<Option<u64>, Box<dyn Error>> {
    callgrind::count(&[shape.name(), &size.to_string()])
}

fn child(shape: Shape, size: usize) -> Result<ExitCode, Box<dyn Error>> {
    let isa = support::isa()?;
    let policy = support::policy()?;
    let func = support::prepare(shape, size, &*isa);
    let mut ctx = support::context(func);
    support::measured(&mut ctx, &*isa, &policy)?;
    Ok(ExitCode::SUCCESS)
}
