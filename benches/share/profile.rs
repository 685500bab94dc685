//! Reads what callgrind writes.
//!
//! A profile names a function in a line `fn=(number) name` or `cfn=(number) name`, the
//! name only the first time. `fn` begins the costs of a function itself. After `cfn`,
//! which names a callee, come `calls=`, and a line with a position and the inclusive cost.

use std::collections::HashMap;

/// What each function costs, with all that it calls.
pub struct Profile {
    inclusive: HashMap<String, u64>,
}

impl Profile {
    /// Reads a profile.
    pub fn parse(text: &str) -> Self {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut costs: HashMap<&str, u64> = HashMap::new();
        let (mut caller, mut callee) = ("", None);
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                caller = number(name, &mut names);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                callee = Some(number(name, &mut names));
            } else if !line.contains('=')
                && let Some(called) = callee.take()
                && called != caller
            {
                let cost = line.rsplit(' ').next().and_then(|it| it.parse().ok());
                *costs.entry(called).or_default() += cost.unwrap_or(0);
            }
        }
        let inclusive = costs.into_iter().map(|(number, cost)| {
            let name = names.get(number).copied().unwrap_or_default();
            (name.to_owned(), cost)
        });
        let mut this = Self {
            inclusive: HashMap::new(),
        };
        for (name, cost) in inclusive {
            *this.inclusive.entry(name).or_default() += cost;
        }
        this
    }

    /// What the calls of the function with `part` in its name cost together.
    pub fn cost_of_calls(&self, part: &str) -> u64 {
        let called = self.inclusive.iter();
        let called = called.filter(|(name, _)| name.contains(part));
        called.map(|(_, cost)| cost).sum()
    }

    /// The functions with `part` in their name, the dearest first. What recurses counts
    /// more than once.
    pub fn functions(&self, part: &str) -> Vec<(&str, u64)> {
        let called = self.inclusive.iter();
        let called = called.filter(|(name, _)| name.contains(part));
        let mut functions: Vec<_> = called.map(|(name, cost)| (name.as_str(), *cost)).collect();
        functions.sort_by_key(|(name, cost)| (u64::MAX - cost, *name));
        functions
    }
}

/// The number in `(number) name`; remembers the name.
fn number<'t>(text: &'t str, names: &mut HashMap<&'t str, &'t str>) -> &'t str {
    let (number, name) = text.split_once(')').unwrap_or((text, ""));
    let name = name.trim_start();
    if !name.is_empty() {
        names.insert(number, name);
    }
    number
}
