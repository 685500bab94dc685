//! What remarks cost when nobody asks for them.
//!
//! Two builds, with and without the lines that serve remarks, differ by what the compiler
//! inlines, by more than these lines take. So the instructions are counted that callgrind
//! sees in such lines, in one build. A line serves remarks if it is in a file that has
//! nothing else, or has one of the words of [`SERVES`]; what it calls counts too if the call is
//! for remarks alone ([`CALLS`]). Lines that do something else as well count whole, and what
//! such a call does in such lines counts twice, so that the figure is an upper bound, as far
//! as line tables go.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;

/// The most that remarks may be of a compile, in percent.
pub const LIMIT: f64 = 0.1;

/// Files in which every line is for remarks.
const FILES: [&str; 3] = [
    "memopt/refusal.rs",
    "memopt/remarks.rs",
    "memopt/observer.rs",
];

/// What is in lines that make, hand on or note refusals, reasons, and the names of passes.
const SERVES: [&str; 9] = [
    "refus",
    "Refus",
    "bstacle",
    "Subject",
    "observer",
    "why_not",
    "self.name,",
    "Reason::",
    ".because(",
];

/// What is in lines whose calls are for remarks alone.
const CALLS: [&str; 10] = [
    ".note(",
    ".refuse(",
    ".obstacle(",
    "are_heard(",
    ".refused(",
    ".because(",
    "refusals.take(",
    "why_not(",
    "note_kept(",
    "note_pinned(",
];

/// Instructions by line of this package.
#[derive(Default)]
pub struct Lines {
    counts: HashMap<(String, usize), Count>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    own: u64,
    called: u64,
}

impl Lines {
    /// Reads a profile that callgrind has written with `--compress-pos=no`.
    pub fn parse(text: &str) -> Self {
        let mut names = HashMap::new();
        let mut lines = Self::default();
        let (mut file, mut is_call) = (None, false);
        for line in text.lines() {
            let begins = |key: &str| line.strip_prefix(key);
            if let Some(name) = ["fl=", "fi=", "fe="].into_iter().find_map(begins) {
                file = named(name, &mut names);
            } else if let Some(name) = ["cfl=", "cfi="].into_iter().find_map(begins) {
                named(name, &mut names);
            } else if line.starts_with("calls=") {
                is_call = true;
            } else if let Some((number, cost)) = numbers(line) {
                if let Some(file) = &file {
                    let count = lines.counts.entry((file.clone(), number)).or_default();
                    match is_call {
                        true => count.called += cost,
                        false => count.own += cost,
                    }
                }
                is_call = false;
            }
        }
        lines
    }

    /// The lines that serve remarks, with their text and what they cost; the dearest first.
    pub fn serving(&self) -> Vec<(String, u64)> {
        let mut sources = HashMap::new();
        let mut serving = Vec::new();
        for ((file, number), count) in &self.counts {
            let source = sources.entry(file.as_str()).or_insert_with(|| source(file));
            let text = source.lines().nth(number.wrapping_sub(1)).unwrap_or("");
            let cost = cost(file, text, *count);
            if cost > 0 {
                serving.push((format!("src/{file}:{number}: {}", text.trim()), cost));
            }
        }
        serving.sort_by(|one, two| (two.1, &one.0).cmp(&(one.1, &two.0)));
        serving
    }
}

/// What of the cost of a line is for remarks.
fn cost(file: &str, text: &str, count: Count) -> u64 {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if FILES.contains(&file) || has(&CALLS) {
        count.own + count.called
    } else if has(&SERVES) {
        count.own
    } else {
        0
    }
}

/// The text of a file below `src/`.
fn source(file: &str) -> String {
    let path = format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap_or_default()
}

/// The file that `(number) path` names, below `src/` of this package; `None` if it is another
/// one. The path is there the first time only.
fn named<'t>(text: &'t str, names: &mut HashMap<&'t str, &'t str>) -> Option<String> {
    let (number, path) = text.split_once(')').unwrap_or((text, ""));
    let path = match path.trim_start() {
        "" => names.get(number).copied()?,
        path => {
            names.insert(number, path);
            path
        }
    };
    let path = path
        .strip_prefix(env!("CARGO_MANIFEST_DIR"))
        .unwrap_or(path);
    let path = path.trim_start_matches('/').strip_prefix("src/")?;
    Some(path.into())
}

/// The two numbers of a line that has a position and a cost.
fn numbers(line: &str) -> Option<(usize, u64)> {
    let (number, cost) = line.split_once(' ')?;
    Some((number.parse().ok()?, cost.parse().ok()?))
}

/// Above the tables.
pub const HEADER: &str = "instructions retired, both efforts       in lines that serve remarks";

/// One input: what the lines are of `whole`, and the dearest of them.
pub fn table(input: &str, lines: &[(String, u64)], whole: u64) -> String {
    let cost = total(lines);
    let share = share(lines, whole);
    let mut text = format!("{whole:>28} {cost:>28} = {share:.4} %  {input}\n");
    for (line, cost) in lines.iter().take(8) {
        let _ = writeln!(text, "{cost:>57}  {line}");
    }
    text
}

/// What the lines are of `whole`, in percent.
pub fn share(lines: &[(String, u64)], whole: u64) -> f64 {
    100.0 * total(lines) as f64 / whole.max(1) as f64
}

fn total(lines: &[(String, u64)]) -> u64 {
    lines.iter().map(|(_, cost)| cost).sum()
}
