//! Instructions that the passes retire, and how they grow with the function.
//!
//! `cargo bench --bench counts` runs itself under valgrind's callgrind once for
//! each shape and size, collecting within [`support::measured`] alone, and
//! prints a line for each shape. It fails if ten times as large a function takes
//! more than [`LIMIT`] times as many instructions, or more than [`PATIENCE`].
//! Without valgrind it says so and measures nothing. Some shapes alone:
//! `cargo bench --bench counts -- loops slots`.
//!
//! `cargo bench --bench counts -- --checked` says instead how many times as many
//! instructions a run takes that is proven right.

mod support;

use cranelift_memopt::Checking;
use std::error::Error;
use std::io::Read;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::Shape;

const SMALL: usize = 10_000;
const LARGE: usize = 100_000;

/// Linear is 10; what is above may be a logarithm, a table that grew, but no
/// second factor of the size.
const LIMIT: f64 = 12.0;

/// How long callgrind may take for one function. What grows with the size times
/// ten takes a tenth of it on an idle machine, even after many rounds.
const PATIENCE: Duration = Duration::from_secs(180);

/// Tells the program that it is the one to be measured.
const CHILD: &str = "--measure";

/// Asks for the price of the checker.
const CHECKED: &str = "--checked";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, shape, size, checking] = arguments.as_slice()
        && flag == CHILD
    {
        let shape = Shape::by_name(shape).ok_or("no such shape")?;
        let checking = match checking.as_str() {
            CHECKED => Checking::Restore,
            _ => Checking::Off,
        };
        return child(shape, size.parse()?, checking);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("counts: valgrind is not installed, nothing measured");
        return Ok(ExitCode::SUCCESS);
    }
    let asked = |shape: &Shape| {
        let mut names = arguments.iter().filter(|word| !word.starts_with('-'));
        names.clone().next().is_none() || names.any(|name| name == shape.name())
    };
    if arguments.iter().any(|word| word == CHECKED) {
        return price(Shape::ALL.into_iter().filter(asked));
    }
    println!("shape       {SMALL:>14} {LARGE:>14}  ratio  (instructions retired)");
    let mut failed = false;
    for shape in Shape::ALL.into_iter().filter(asked) {
        let small = count(shape, SMALL, Checking::Off)?;
        let large = match small {
            Some(_) => count(shape, LARGE, Checking::Off)?,
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

/// Prints what the checker costs, for each shape.
fn price(shapes: impl Iterator<Item = Shape>) -> Result<ExitCode, Box<dyn Error>> {
    println!("shape            unchecked        checked  ratio  (instructions retired, {SMALL})");
    for shape in shapes {
        let plain = count(shape, SMALL, Checking::Off)?;
        let Ok(checked) = count(shape, SMALL, Checking::Restore) else {
            println!("{:<11} is not proven", shape.name());
            continue;
        };
        let (Some(plain), Some(checked)) = (plain, checked) else {
            println!("{:<11} takes more than {PATIENCE:?}", shape.name());
            continue;
        };
        let ratio = checked as f64 / plain.max(1) as f64;
        println!(
            "{:<11} {plain:>14} {checked:>14} {ratio:>6.1}",
            shape.name()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// What callgrind counts of the passes on one function; `None` if it takes too
/// long.
fn count(shape: Shape, size: usize, checking: Checking) -> Result<Option<u64>, Box<dyn Error>> {
    let mut child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*measured*")
        .arg(std::env::current_exe()?)
        .args([CHILD, shape.name(), &size.to_string()])
        .arg(match checking {
            Checking::Off => "--unchecked",
            Checking::Restore | Checking::Fail => CHECKED,
        })
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let Some(succeeded) = wait(&mut child)? else {
        return Ok(None);
    };
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut text)?;
    }
    let line = text.lines().find_map(|line| line.split_once("Collected :"));
    let (true, Some((_, number))) = (succeeded, line) else {
        return Err(format!("callgrind failed on {} {size}:\n{text}", shape.name()).into());
    };
    Ok(Some(number.trim().parse()?))
}

/// Did the child succeed? `None` if it had to be stopped.
fn wait(child: &mut Child) -> Result<Option<bool>, Box<dyn Error>> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn child(shape: Shape, size: usize, checking: Checking) -> Result<ExitCode, Box<dyn Error>> {
    let isa = support::isa()?;
    let policy = support::policy()?;
    let func = support::prepare(shape, size, &*isa);
    let mut ctx = support::context(func);
    let stats = support::measured(&mut ctx, &*isa, &policy, checking)?;
    if stats.refused + stats.unproven > 0 {
        return Err("the checker does not accept the run".into());
    }
    Ok(ExitCode::SUCCESS)
}
