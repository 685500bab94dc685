//! Which net caught what.

use crate::mistakes::Mistake;
use anyhow::{Context, Result};
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The name under which the one filetest of a mistake is reported. That it is
/// caught there does not count: it has been written for that.
const FILETEST: &str = "its filetest";

/// What the nets made of one mistake.
pub struct Row {
    number: usize,
    name: String,
    /// Name, what was caught, cases; empty if the run itself went wrong, which
    /// is what a mistake that runs away does.
    hauls: Vec<(String, u64, u64)>,
}

impl Row {
    fn is_caught(&self) -> bool {
        let mut nets = self.hauls.iter().filter(|haul| haul.0 != FILETEST);
        nets.any(|(_, caught, _)| *caught > 0)
    }

    /// Is it caught in its filetest, if it has one?
    fn shows_in_filetest(&self) -> bool {
        let mut filetests = self.hauls.iter().filter(|haul| haul.0 == FILETEST);
        filetests.all(|(_, caught, _)| *caught > 0)
    }

    /// No mistake must not be caught, and every other one must.
    fn is_good(&self) -> bool {
        !self.hauls.is_empty() && self.is_caught() == (self.number > 0) && self.shows_in_filetest()
    }
}

/// How many cases a net looks at.
#[derive(Clone, Copy)]
pub struct Limits {
    /// At least so many; with 0, the nets take turns until one has caught something.
    pub least: u64,
    /// After so many a net that has caught nothing gives up.
    pub most: u64,
}

/// In turns, a part of the cases: that nothing is caught where nothing is planted is
/// what all other runs of the nets show, too.
const PART_WITHOUT_MISTAKE: u64 = 5;

/// Runs `nets` for each of `mistakes`, `jobs` at a time; each row goes to
/// standard error as soon as it is there.
///
/// # Errors
///
/// If the program cannot be started, or its output not be read.
pub fn rows(
    nets: &Path,
    mistakes: &[(usize, &Mistake)],
    limits: Limits,
    jobs: usize,
) -> Result<Vec<Row>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Some((number, mistake)) = mistakes.get(next.fetch_add(1, Ordering::Relaxed)) {
            let row = row(nets, *number, mistake, limits);
            if let Ok(row) = &row {
                eprintln!("{row}");
            }
            if let Ok(mut done) = done.lock() {
                done.push(row);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(work);
        }
    });
    let rows = done.into_inner().unwrap_or_default();
    let mut rows: Vec<Row> = rows.into_iter().collect::<Result<_>>()?;
    rows.sort_by_key(|row| row.number);
    Ok(rows)
}

fn row(nets: &Path, number: usize, mistake: &Mistake, limits: Limits) -> Result<Row> {
    let most = match (number, limits.least) {
        (0, 0) => limits.most / PART_WITHOUT_MISTAKE,
        _ => limits.most,
    };
    let args = [number as u64, limits.least, most].map(|arg| arg.to_string());
    let output = Command::new(nets)
        .args(args)
        .args(&mistake.filetest)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let hauls = text.lines().map(|line| {
        let mut words = line.split('\t');
        let name = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        Some((name, number()?, number()?))
    });
    let hauls: Option<Vec<_>> = hauls.collect();
    Ok(Row {
        number,
        name: mistake.name.clone(),
        hauls: hauls.context("the nets say what is no table")?,
    })
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_good() { ' ' } else { '!' };
        write!(f, "{mark} {:>2} {:<70}", self.number, self.name)?;
        for (name, caught, cases) in &self.hauls {
            write!(f, "  {name} {caught}/{cases}")?;
        }
        Ok(())
    }
}

/// Prints the table; is every mistake caught?
pub fn print(rows: &[Row]) -> bool {
    for row in rows {
        println!("{row}");
    }
    let mistakes = || rows.iter().filter(|row| row.number > 0);
    let caught = mistakes().filter(|row| row.is_caught()).count();
    println!("{caught} of {} mistakes caught", mistakes().count());
    rows.iter().all(Row::is_good)
}
