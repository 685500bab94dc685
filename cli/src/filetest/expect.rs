//! Compares what came out with what the comments of a function expect.

use crate::clif;
use crate::complaint::{Complaint, Position};
use crate::diff;
use crate::filetest::output::Output;
use cranelift_memopt::Stats;
use cranelift_reader::{Comment, Details, TestFile};
use filecheck::{CheckerBuilder, NO_VARIABLES};

/// Keywords of comments that are for us, and no part of a precise output.
const OURS: [&str; 10] = [
    "policy:",
    "stats:",
    "run:",
    "print:",
    "error:",
    "needs:",
    "unproven:",
    "cranelift:",
    "dyn:",
    "dyn-memory:",
];

/// A counter of [`Stats`] and the number that it should have.
type Count<'a> = (&'a str, u32);

/// Does this comment say something to the runner, so that it is neither prose
/// nor a line of a precise output?
pub fn is_directive(comment: &str) -> bool {
    let ours = OURS.iter().any(|k| clif::directive(comment, k).is_some());
    ours || is_bare_run(comment) || is_check(comment)
}

/// Does this comment expect something of the function that it follows?
pub fn is_about_function(comment: &str) -> bool {
    let keywords = ["stats:", "run:", "print:", "error:", "dyn:", "dyn-memory:"];
    keywords
        .iter()
        .any(|k| clif::directive(comment, k).is_some())
}

/// `; run` and `; print` without a colon, which upstream allows.
pub fn is_bare_run(comment: &str) -> bool {
    matches!(
        comment.trim_start_matches([';', ' ']).trim(),
        "run" | "print"
    )
}

fn is_check(comment: &str) -> bool {
    // A directive that does not parse is one all the same.
    CheckerBuilder::new().directive(comment).unwrap_or(true)
}

/// Does any comment of the file check an output?
pub fn has_checks(file: &TestFile<'_>) -> bool {
    clif::comments(file).any(|comment| is_check(comment.text))
}

/// The first of these keywords that a comment of the file begins with, of those
/// that count what the passes did or what their result executes.
pub fn counting(file: &TestFile<'_>) -> Option<&'static str> {
    let is_used = |keyword: &&str| {
        clif::comments(file).any(|comment| clif::directive(comment.text, keyword).is_some())
    };
    ["stats:", "dyn:"].into_iter().find(is_used)
}

/// Runs the checks of the file's preamble and of one function on `text`.
///
/// # Errors
///
/// What did not match, as `filecheck` explains it.
pub fn filecheck(
    text: &str,
    preamble: &[Comment<'_>],
    details: &Details<'_>,
) -> Result<(), String> {
    let mut builder = CheckerBuilder::new();
    for comment in preamble.iter().chain(&details.comments) {
        builder
            .directive(comment.text)
            .map_err(|error| format!("{error} in `{}`", comment.text))?;
    }
    let checker = builder.finish();
    let met = checker.check(text, NO_VARIABLES).map_err(|e| e.to_string());
    if met? {
        return Ok(());
    }
    let explained = checker.explain(text, NO_VARIABLES);
    let (_, explained) = explained.map_err(|error| error.to_string())?;
    Err(format!("filecheck failed:\n{checker}{explained}"))
}

/// The lines of a function's precise output, from the comments behind it.
pub fn precise_lines<'a>(text: &str, details: &Details<'a>) -> Vec<&'a str> {
    let end = clif::last_line(text, details);
    let behind = |c: &&Comment<'_>| Position::of(text, c.text).line > end;
    let comments = details.comments.iter().filter(behind).map(|c| c.text);
    let lines = comments.filter(|c| !c.starts_with(";;") && !is_directive(c));
    lines
        .map(|c| c.strip_prefix("; ").or(c.strip_prefix(';')).unwrap_or(c))
        .collect()
}

/// Compares a precise output with its expectation.
///
/// # Errors
///
/// The difference, as a unified diff.
pub fn precise(expected: &[&str], actual: &str) -> Result<(), String> {
    if actual.lines().eq(expected.iter().copied()) {
        return Ok(());
    }
    let expected: String = expected.iter().flat_map(|line| [line, "\n"]).collect();
    let diff = diff::unified(&expected, actual, "expected", "actual");
    Err(format!(
        "the output is not the one expected\n{diff}\
         run again with CRANELIFT_TEST_BLESS=1 to accept it"
    ))
}

/// The `stats:` comments of a function.
///
/// # Errors
///
/// A counter that is not known or a count that is no number, with its place.
pub fn counts<'a>(
    name: &str,
    text: &str,
    details: &Details<'a>,
) -> Result<Vec<Count<'a>>, Complaint> {
    let mut counts = Vec::new();
    for comment in &details.comments {
        let line = clif::directive(comment.text, "stats:").unwrap_or_default();
        for word in line.split_whitespace() {
            let count =
                count(word).map_err(|why| Complaint::at(name, Position::of(text, word), why))?;
            counts.push(count);
        }
    }
    Ok(counts)
}

fn count(word: &str) -> Result<Count<'_>, String> {
    let not_one = || format!("`{word}` is not COUNTER=COUNT");
    let (name, count) = word.split_once('=').ok_or_else(not_one)?;
    if counter(&Stats::default(), name).is_none() {
        let known = Stats::default().counters();
        let known: Vec<_> = known.map(|(known, _)| known).collect();
        let known = known.join(", ");
        return Err(format!(
            "unknown counter `{name}`; the counters are edits, {known}"
        ));
    }
    Ok((name, count.parse().map_err(|_| not_one())?))
}

/// A counter by name; `edits` is the sum over all kinds.
fn counter(stats: &Stats, name: &str) -> Option<u32> {
    if name == "edits" {
        return Some(stats.edits());
    }
    let found = stats.counters().find(|(known, _)| *known == name);
    found.map(|(_, count)| count)
}

/// Compares the counters of the passes with what the comments say.
///
/// # Errors
///
/// The counters that differ.
pub fn stats(expected: &[Count<'_>], output: &Output) -> Result<(), String> {
    let Some(stats) = &output.stats else {
        return Ok(());
    };
    let differs = |(name, count): &&Count<'_>| counter(stats, name) != Some(*count);
    let wrong: Vec<_> = expected.iter().filter(differs).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let wrong = wrong.iter().map(|(name, count)| format!("{name}={count}"));
    let wrong = wrong.collect::<Vec<_>>().join(" ");
    Err(format!("expected {wrong}\nthe passes: {stats}"))
}
