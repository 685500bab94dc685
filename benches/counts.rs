//! Instructions that the passes retire, and how they grow with the function.
//!
//! `cargo bench --bench counts` runs itself under valgrind's callgrind once for
//! each shape and size, collecting within [`support::measured`] alone, and
//! prints a line for each shape. It fails if ten times as large a function takes
//! more than [`LIMIT`] times as many instructions, or more than [`PATIENCE`].
//! Without valgrind it says so and measures nothing. Some shapes alone:
//! `cargo bench --bench counts -- loops slots`.
//!
//! With `--plot` it counts functions of [`SIZES`] instead, the passes beside upstream's egraph
//! pass with its alias analysis on the same function, prints what each retires for each
//! instruction of the function, and draws it to `target/counts.svg`. `--to SIZE` ends at another
//! size. What takes longer than [`PATIENCE`] is left out, and a `-` in the table.
//!
//! With `--memory` it prints how many bytes the passes have at once, over those of the function,
//! and how often they allocate, for the same sizes. That takes no valgrind.

mod callgrind;
#[path = "share/counted.rs"]
mod counted;
mod plot;
mod support;

use callgrind::{CHILD, PATIENCE};
use counted::Counted;
use plot::Panel;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use support::Shape;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

const SMALL: usize = 10_000;
const LARGE: usize = 100_000;

/// The sizes that are drawn.
const SIZES: [usize; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];

/// The largest of them, unless another is asked for.
const LARGEST: usize = 100_000;

/// What is counted: a word for the child.
const PASSES: &str = "passes";
const UPSTREAM: &str = "upstream";

/// Linear is 10; what is above may be a logarithm, a table that grew, but no
/// second factor of the size.
const LIMIT: f64 = 12.0;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, side, shape, size] = arguments.as_slice()
        && flag == CHILD
    {
        let shape = Shape::by_name(shape).ok_or("no such shape")?;
        return child(side, shape, size.parse()?);
    }
    let asked = |shape: &Shape| {
        let mut names = arguments.iter().filter_map(|word| Shape::by_name(word));
        names.clone().next().is_none() || names.any(|other| other == *shape)
    };
    let has = |flag: &str| arguments.iter().any(|word| word == flag);
    let to = arguments.iter().skip_while(|word| *word != "--to").nth(1);
    let largest = to.map_or(Ok(LARGEST), |to| to.parse())?;
    let shapes: Vec<Shape> = Shape::ALL.into_iter().filter(asked).collect();
    if has("--memory") {
        return memory(&shapes, largest);
    }
    if !callgrind::is_available() {
        println!("counts: valgrind is not installed, nothing measured");
        return Ok(ExitCode::SUCCESS);
    }
    if has("--plot") {
        return plot(&shapes, largest);
    }
    println!("shape       {SMALL:>14} {LARGE:>14}  ratio  (instructions retired)");
    let mut failed = false;
    for shape in shapes {
        let small = count(PASSES, shape, SMALL)?;
        let large = match small {
            Some(_) => count(PASSES, shape, LARGE)?,
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

/// Counts and draws `shapes`, up to functions of `largest` instructions.
fn plot(shapes: &[Shape], largest: usize) -> Result<ExitCode, Box<dyn Error>> {
    let mut panels = Vec::new();
    println!("shape           size      passes    upstream  (retired for each instruction)");
    for shape in shapes {
        let mut panel = Panel {
            name: shape.name(),
            passes: Vec::new(),
            upstream: Vec::new(),
        };
        for size in SIZES.into_iter().filter(|size| *size <= largest) {
            let each = |side| -> Result<Option<f64>, Box<dyn Error>> {
                let count = count(side, *shape, size)?;
                Ok(count.map(|count| count as f64 / size as f64))
            };
            let (passes, upstream) = (each(PASSES)?, each(UPSTREAM)?);
            let number = |it: Option<f64>| it.map_or("-".into(), |it| format!("{it:.0}"));
            let (ours, theirs) = (number(passes), number(upstream));
            println!("{:<11} {size:>8} {ours:>11} {theirs:>11}", shape.name());
            let point = |cost: f64| (size as f64, cost);
            panel.passes.extend(passes.map(point));
            panel.upstream.extend(upstream.map(point));
        }
        panels.push(panel);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/counts.svg");
    plot::write(Path::new(path), &panels)?;
    println!("drawn: target/counts.svg");
    Ok(ExitCode::SUCCESS)
}

/// Prints the most bytes that the passes have at once over those of the function, for `shapes` up
/// to `largest` instructions.
fn memory(shapes: &[Shape], largest: usize) -> Result<ExitCode, Box<dyn Error>> {
    let (isa, policy) = (support::isa()?, support::policy()?);
    println!("shape           size   function      passes  ratio  (bytes)  allocations");
    for shape in shapes {
        for size in SIZES.into_iter().filter(|size| *size <= largest) {
            let func = support::prepare(*shape, size, &*isa);
            // A copy has no room to grow.
            let before = counted::alive();
            let func = func.clone();
            let own = counted::alive() - before;
            let mut ctx = support::context(func);
            let (done, counted) = counted::count(|| support::measured(&mut ctx, &*isa, &policy));
            done?;
            let (name, peak, calls) = (shape.name(), counted.peak, counted.calls);
            let ratio = peak as f64 / own as f64;
            println!("{name:<11} {size:>8} {own:>10} {peak:>11} {ratio:>6.2} {calls:>21}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What callgrind counts of one `side` on one function; `None` if it takes too
/// long.
fn count(side: &str, shape: Shape, size: usize) -> Result<Option<u64>, Box<dyn Error>> {
    callgrind::count(&[side, shape.name(), &size.to_string()])
}

fn child(side: &str, shape: Shape, size: usize) -> Result<ExitCode, Box<dyn Error>> {
    counted::stop();
    let isa = support::isa()?;
    let policy = support::policy()?;
    let func = support::prepare(shape, size, &*isa);
    let mut ctx = support::context(func);
    match side {
        UPSTREAM => support::measured_upstream(&mut ctx, &*isa)?,
        _ => {
            support::measured(&mut ctx, &*isa, &policy)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
