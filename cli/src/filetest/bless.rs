//! Writes new precise outputs into a test file.
//!
//! The comment lines behind a function are its old expectation; they are
//! replaced. What says something to the runner (`; run:`, `; stats:`, …) is
//! kept, and so is everything from the first `;;` comment or line of CLIF on.

use crate::clif;
use crate::filetest::expect;
use cranelift_reader::Details;

/// The text of the file with the expectation of each function replaced by its
/// entry in `outputs`; `None` leaves a function as it is.
pub fn rewrite(text: &str, functions: &[&Details<'_>], outputs: &[Option<String>]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut rewritten = String::with_capacity(text.len());
    let mut next = 0;
    for (details, output) in functions.iter().zip(outputs) {
        let Some(output) = output else { continue };
        let body_end = clif::last_line(text, details).min(lines.len());
        push_lines(&mut rewritten, &lines[next..body_end]);
        let old = lines[body_end..].iter().take_while(|line| is_old(line));
        next = body_end + old.count();
        push_expectation(&mut rewritten, &lines[body_end..next], output);
    }
    push_lines(&mut rewritten, &lines[next..]);
    // One newline ends the file, whatever stood there.
    rewritten.truncate(rewritten.trim_end().len());
    rewritten.push('\n');
    rewritten
}

/// Is this line, behind a function, part of its expectation or blank?
fn is_old(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || (line.starts_with(';') && !line.starts_with(";;"))
}

/// Pushes the new expectation, with the directives of the old one around it:
/// a policy belongs to the next function and so comes last.
fn push_expectation(text: &mut String, old: &[&str], output: &str) {
    let directives = || old.iter().filter(|line| expect::is_directive(line.trim()));
    let is_policy = |line: &str| clif::directive(line.trim(), "policy:").is_some();
    for line in directives().filter(|line| !is_policy(line)) {
        push_lines(text, &[line]);
    }
    text.push('\n');
    for line in output.lines() {
        let space = if line.is_empty() { "" } else { " " };
        push_lines(text, &[&format!(";{space}{line}")]);
    }
    text.push('\n');
    for line in directives().filter(|line| is_policy(line)) {
        push_lines(text, &[line]);
    }
}

fn push_lines(text: &mut String, lines: &[&str]) {
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
test memopt precise-output

function %f() {
block0:
    return
}
; stats: edits=0
; old

; policy: lost-at-trap 3
;; Why there is a second function.
function %g() {
block0:
    return
}
";

    const NEW: &str = "\
test memopt precise-output

function %f() {
block0:
    return
}
; stats: edits=0

; new
;
; lines

; policy: lost-at-trap 3
;; Why there is a second function.
function %g() {
block0:
    return
}

; g
";

    fn bless(text: &str) -> String {
        let file = clif::parse("a.clif", text).unwrap();
        let details: Vec<_> = file.functions.iter().map(|(_, d)| d).collect();
        let outputs = [Some("new\n\nlines\n".to_owned()), Some("g\n".to_owned())];
        rewrite(text, &details, &outputs)
    }

    #[test]
    fn expectations_are_replaced_and_directives_kept() {
        assert_eq!(bless(OLD), NEW);
    }

    #[test]
    fn blessing_twice_changes_nothing() {
        assert_eq!(bless(&bless(OLD)), NEW);
    }
}
