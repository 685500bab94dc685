//! Policies written in comments and in files.
//!
//! `; policy: CLAUSE` belongs to the next function in the text. The reader
//! attaches a comment to what comes *before* it, so the function is found by
//! the line that the comment stands on.

use crate::clif;
use crate::complaint::{Complaint, Position};
use cranelift_codegen::ir::Function;
use cranelift_memopt::CalleeName;
use cranelift_reader::TestFile;
use memopt_policy::DeclaredPolicy;
use std::cell::Cell;

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

/// The `; policy:` clauses that are about no function of the file.
pub fn unmatched(name: &str, text: &str, file: &TestFile<'_>) -> Vec<Complaint> {
    let clauses = clif::comments(file).filter_map(|c| clif::directive(c.text, "policy:"));
    let idle = clauses.filter(|clause| {
        let mut policy = DeclaredPolicy::default();
        let is_read = policy.declare(clause).is_ok();
        let mut functions = file.functions.iter();
        is_read && !functions.any(|(func, _)| concerns(&policy, func))
    });
    idle.map(|clause| Complaint::at(name, Position::of(text, clause), IDLE))
        .collect()
}

/// What is said of a clause that is about nothing: most are misspelt.
const IDLE: &str = "this clause is about no function: none calls this name or has these regions";

/// Does `func` call a function, or have a region, that `policy` names?
fn concerns(policy: &DeclaredPolicy, func: &Function) -> bool {
    let refs = func.dfg.ext_funcs.keys();
    let mut names = refs.filter_map(|callee| CalleeName::of_ref(func, callee));
    names.any(|name| policy.callees().any(|callee| *callee == name))
        || policy
            .regions()
            .any(|region| func.dfg.alias_regions.contains(region))
}

/// A policy, with its clauses one by one.
#[derive(Clone, Default)]
pub struct Clauses {
    /// All of them.
    pub policy: DeclaredPolicy,
    file: String,
    clauses: Vec<Clause>,
}

#[derive(Clone)]
struct Clause {
    position: Position,
    alone: DeclaredPolicy,
    /// Has there been a function that it is about?
    is_met: Cell<bool>,
}

impl Clauses {
    /// More clauses than this are not reported one by one.
    const MOST_REPORTED: usize = 4;

    /// Notes which clauses are about one of these functions.
    pub fn see<'f>(&self, functions: impl Iterator<Item = &'f Function> + Clone) {
        for clause in self.clauses.iter().filter(|clause| !clause.is_met.get()) {
            let is_met = functions.clone().any(|func| concerns(&clause.alone, func));
            clause.is_met.set(is_met);
        }
    }

    /// Tells on standard error which clauses are about nothing that was seen.
    pub fn report(&self) {
        let idle: Vec<_> = self.clauses.iter().filter(|c| !c.is_met.get()).collect();
        for clause in idle.iter().take(Self::MOST_REPORTED) {
            let complaint = Complaint::at(&self.file, clause.position, IDLE);
            anstream::eprintln!("{complaint}");
        }
        if let Some(more @ 1..) = idle.len().checked_sub(Self::MOST_REPORTED) {
            anstream::eprintln!("{}: and {more} more of them", self.file);
        }
    }
}

/// Reads a policy file: one clause a line; `#` and `;` begin comment lines.
///
/// # Errors
///
/// A clause that is not understood, with its place.
pub fn parse(name: &str, text: &str) -> Result<Clauses, Complaint> {
    let mut clauses = Clauses {
        file: name.to_owned(),
        ..Clauses::default()
    };
    for line in text.lines() {
        let clause = line.trim();
        if clause.is_empty() || clause.starts_with(['#', ';']) {
            continue;
        }
        let position = Position::of(text, clause);
        let mut alone = DeclaredPolicy::default();
        for policy in [&mut alone, &mut clauses.policy] {
            policy
                .declare(clause)
                .map_err(|error| Complaint::at(name, position, error))?;
        }
        clauses.clauses.push(Clause {
            position,
            alone,
            is_met: Cell::new(false),
        });
    }
    Ok(clauses)
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
