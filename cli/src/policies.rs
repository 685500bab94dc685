//! Policies written in comments and in files.
//!
//! `; policy: CLAUSE` belongs to the next function in the text. The reader
//! attaches a comment to what comes *before* it, so the function is found by
//! the line that the comment stands on.

use crate::clif;
use crate::complaint::{Complaint, Position};
use cranelift_reader::TestFile;
use memopt_policy::DeclaredPolicy;

/// The policy of each function of a file: `base`, and the clauses in the
/// comments before the function.
///
/// # Errors
///
/// A clause that is not understood, or one that no function follows.
pub fn of_functions(
    name: &str,
    text: &str,
    file: &TestFile<'_>,
    base: &DeclaredPolicy,
) -> Result<Vec<DeclaredPolicy>, Complaint> {
    let mut policies = vec![base.clone(); file.functions.len()];
    for comment in clif::comments(file) {
        let Some(clause) = clif::directive(comment.text, "policy:") else {
            continue;
        };
        let position = Position::of(text, comment.text);
        let after = |d: &cranelift_reader::Details<'_>| d.location.line_number > position.line;
        let next = file.functions.iter().position(|(_, d)| after(d));
        let Some(next) = next else {
            let message = "no function follows this policy";
            return Err(Complaint::at(name, position, message));
        };
        policies[next]
            .declare(clause)
            .map_err(|error| Complaint::at(name, Position::of(text, clause), error))?;
    }
    Ok(policies)
}

/// Reads a policy file: one clause a line; `#` and `;` begin comment lines.
///
/// # Errors
///
/// A clause that is not understood, with its place.
pub fn parse(name: &str, text: &str) -> Result<DeclaredPolicy, Complaint> {
    let mut policy = DeclaredPolicy::default();
    for line in text.lines() {
        let clause = line.trim();
        if !clause.is_empty() && !clause.starts_with(['#', ';']) {
            policy
                .declare(clause)
                .map_err(|error| Complaint::at(name, Position::of(text, clause), error))?;
        }
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cranelift_memopt::Policy;

    const TWO: &str = "\
function %f() {
block0:
    return
}
; check: return

; policy: lost-at-trap 3
function %g() {
block0:
    return
}
";

    fn policies(text: &str) -> Result<Vec<DeclaredPolicy>, Complaint> {
        let file = clif::parse("a.clif", text).unwrap();
        of_functions("a.clif", text, &file, &DeclaredPolicy::default())
    }

    #[test]
    fn a_policy_belongs_to_the_next_function() {
        let policies = policies(TWO).unwrap();
        assert!(policies[0].survives_trap(3));
        assert!(!policies[1].survives_trap(3));
    }

    #[test]
    fn a_clause_that_is_not_understood_has_a_place() {
        let text = TWO.replace("lost-at-trap 3", "lost-at-sea 3");
        let said = policies(&text).unwrap_err().to_string();
        assert!(said.starts_with("a.clif:7:11: "), "{said}");
    }

    #[test]
    fn a_policy_that_nothing_follows_is_refused() {
        let text = format!("{TWO}; policy: lost-at-trap 3\n");
        let said = policies(&text).unwrap_err().to_string();
        assert!(said.starts_with("a.clif:12:1: no function"), "{said}");
    }
}
