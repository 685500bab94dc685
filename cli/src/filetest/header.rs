//! What the `;;` lines in front of the first function say to the runner.

use crate::clif;
use crate::complaint::{Complaint, Position};
use crate::filetest::versions;
use crate::passes;
use cranelift_codegen::VERSION;

/// The versions of Cranelift that a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds<'a> {
    /// As the file has them; empty if it is for all.
    pub text: &'a str,
    /// Is this one among them?
    pub hold: bool,
}

/// A pass that a file needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The pass.
    pub pass: &'static str,
    /// Does the file need it in this version of Cranelift? If not, it has to pass without.
    pub here: bool,
}

/// What the line `;; cranelift: BOUNDS` says.
///
/// # Errors
///
/// A second such line, or what is not a bound, with its place.
pub fn bounds<'a>(name: &str, text: &'a str) -> Result<Bounds<'a>, Complaint> {
    let mut lines = directives(text, "cranelift:");
    let Some(bounds) = lines.next() else {
        return Ok(Bounds {
            text: "",
            hold: true,
        });
    };
    if let Some(second) = lines.next() {
        let message = "one `cranelift:` line can say all";
        return Err(Complaint::at(name, Position::of(text, second), message));
    }
    Ok(Bounds {
        text: bounds,
        hold: hold(name, text, bounds)?,
    })
}

/// What the lines `;; needs: PASS …` and `;; needs: PASS … on BOUNDS` say.
///
/// # Errors
///
/// What is not a pass or a bound, with its place.
pub fn needs(name: &str, text: &str) -> Result<Vec<Need>, Complaint> {
    let mut needs = Vec::new();
    for line in directives(text, "needs:") {
        let (words, here) = match line.split_once(" on ") {
            None => (line, true),
            Some((words, bounds)) => (words, hold(name, text, bounds)?),
        };
        for word in words.split([' ', ',']).filter(|word| !word.is_empty()) {
            let pass = passes::known(word).ok_or_else(|| {
                let message = format!("`{word}` is not the name of a pass");
                Complaint::at(name, Position::of(text, word), message)
            })?;
            needs.push(Need { pass, here });
        }
    }
    Ok(needs)
}

fn hold(name: &str, text: &str, bounds: &str) -> Result<bool, Complaint> {
    versions::hold(bounds, VERSION)
        .map_err(|why| Complaint::at(name, Position::of(text, bounds), why))
}

/// What stands behind `keyword` in the header.
fn directives<'a>(text: &'a str, keyword: &str) -> impl Iterator<Item = &'a str> {
    let header = text
        .lines()
        .take_while(|line| !line.starts_with("function"));
    let lines = header.filter(|line| line.starts_with(";;"));
    lines.filter_map(move |line| clif::directive(line, keyword))
}
