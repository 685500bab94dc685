//! Which clauses of a policy have had a say.

use crate::{DeclaredPolicy, PolicyError};
use cranelift_memopt::{CalleeName, Origin, Policy, Summary};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

/// A policy from text, one clause a line, that notes which clauses have had a say: a clause
/// that never had one may be misspelt, and nothing else would tell.
///
/// Blank lines and lines that begin with `#` or `;` say nothing. It answers as
/// [`DeclaredPolicy`] does. The passes ask only in functions that they look at, so a clause
/// can be idle because no such function concerns it.
///
/// Cost: a question that a [`DeclaredPolicy`] is asked costs O(clauses); here once more, for
/// the clauses that are idle.
///
/// ```
/// use cranelift_memopt::{CalleeName, Policy};
/// use memopt_policy::Watched;
///
/// let policy: Watched = "callee %log reads 2\ncallee %lgo reads 3".parse()?;
/// // The passes ask when they meet a call of `log`.
/// assert!(policy.callee(&CalleeName::from("log")).is_some());
/// assert_eq!(policy.idle().collect::<Vec<_>>(), ["callee %lgo reads 3"]);
/// # Ok::<(), memopt_policy::PolicyError>(())
/// ```
#[derive(Debug, Default)]
pub struct Watched {
    policy: DeclaredPolicy,
    clauses: Vec<Clause>,
}

#[derive(Debug)]
struct Clause {
    text: String,
    alone: DeclaredPolicy,
    had_a_say: AtomicBool,
}

impl Watched {
    /// The clauses that have had no say, in their order.
    ///
    /// Cost: O(clauses).
    pub fn idle(&self) -> impl Iterator<Item = &str> {
        let idle = |clause: &&Clause| !clause.had_a_say.load(Ordering::Relaxed);
        let clauses = self.clauses.iter().filter(idle);
        clauses.map(|clause| clause.text.as_str())
    }

    /// Notes the clauses of which `says` is true.
    fn note(&self, says: impl Fn(&DeclaredPolicy) -> bool) {
        for clause in &self.clauses {
            if !clause.had_a_say.load(Ordering::Relaxed) && says(&clause.alone) {
                clause.had_a_say.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl FromStr for Watched {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut watched = Self::default();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
            watched.policy.declare(line)?;
            let mut alone = DeclaredPolicy::default();
            alone.declare(line)?;
            watched.clauses.push(Clause {
                text: line.to_owned(),
                // What is told to whoever compiles components is nothing to the passes.
                had_a_say: AtomicBool::new(alone.component_limits().is_some()),
                alone,
            });
        }
        Ok(watched)
    }
}

impl Policy for Watched {
    fn callee(&self, name: &CalleeName) -> Option<Summary> {
        self.note(|clause| clause.callee(name).is_some());
        self.policy.callee(name)
    }

    fn indirect_callee(&self, origin: &Origin) -> Option<Summary> {
        self.note(|clause| clause.indirect_callee(origin).is_some());
        self.policy.indirect_callee(origin)
    }

    fn survives_trap(&self, region: u32) -> bool {
        self.note(|clause| !clause.survives_trap(region));
        self.policy.survives_trap(region)
    }

    fn is_transient(&self, region: u32) -> bool {
        self.note(|clause| clause.is_transient(region));
        self.policy.is_transient(region)
    }

    fn is_asynchronous(&self, region: u32) -> bool {
        self.note(|clause| clause.is_asynchronous(region));
        self.policy.is_asynchronous(region)
    }

    fn has_asynchronous_memory(&self) -> bool {
        self.policy.has_asynchronous_memory()
    }

    fn representative(&self, region: u32) -> u32 {
        self.note(|clause| clause.representative(region) != region);
        self.policy.representative(region)
    }

    fn forgets_addresses(&self, region: u32) -> bool {
        self.note(|clause| clause.forgets_addresses(region));
        self.policy.forgets_addresses(region)
    }

    fn is_shared_pointer(&self, region: u32, offset: i64) -> bool {
        self.note(|clause| clause.is_shared_pointer(region, offset));
        self.policy.is_shared_pointer(region, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeclaredPolicy;

    /// Does the policy say what a clause says?
    type Says = fn(&dyn Policy) -> bool;

    /// Each clause about regions has its say, and is not listed as one without.
    #[test]
    fn it_says_of_regions_what_the_policy_says() {
        let says: [(&str, Says); 6] = [
            ("lost-at-trap 1", |policy| !policy.survives_trap(1)),
            ("transient 1", |policy| policy.is_transient(1)),
            ("asynchronous 1", |policy| policy.is_asynchronous(1)),
            ("join 2 1", |policy| {
                policy.representative(1) == policy.representative(2)
            }),
            ("forgets 1", |policy| policy.forgets_addresses(1)),
            ("shared-pointer 1 8", |policy| {
                policy.is_shared_pointer(1, 8)
            }),
        ];
        for (clause, is_said) in says {
            let declared: DeclaredPolicy = clause.parse().unwrap();
            assert!(is_said(&declared), "{clause}");
            let watched: Watched = clause.parse().unwrap();
            assert!(is_said(&watched), "{clause}");
            assert_eq!(watched.idle().count(), 0, "{clause}");
        }
    }
}
