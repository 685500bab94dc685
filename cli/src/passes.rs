//! The passes by name, to switch them off one by one.

use clap::Args;
use cranelift_memopt::{Effort, Options};

/// The part of a command line that chooses passes.
#[derive(Args, Clone, Debug, Default)]
pub struct Selection {
    /// Switch a pass off; can be given more than once
    #[arg(long, value_name = "PASS", value_parser = parse)]
    without: Vec<&'static str>,
    /// Which functions are looked at: gated, those that declare a stack slot or a
    /// region that the policy calls transient, as in a compiler; full, all; or max, all, and
    /// branches are threaded that memory has no part in [default: max]
    #[arg(long, value_name = "EFFORT", value_parser = effort)]
    effort: Option<Effort>,
    /// Apply at most so many edits to a function, to find the one that is wrong
    #[arg(long, value_name = "COUNT")]
    edit_limit: Option<u32>,
}

impl Selection {
    /// The options that the user chose.
    pub fn options(&self) -> Options {
        self.options_without(&[])
    }

    /// The options that the user chose, with more passes switched off.
    pub fn options_without(&self, off: &[&'static str]) -> Options {
        let mut options = without(&[&self.without, off].concat());
        options.edit_limit = self.edit_limit;
        options.effort = self.effort.unwrap_or(options.effort);
        options
    }

    /// Switches one more pass off.
    pub fn and_without(mut self, pass: &'static str) -> Self {
        self.without.push(pass);
        self
    }
}

/// The effort called `name`.
///
/// # Errors
///
/// The names that there are.
pub fn effort(name: &str) -> Result<Effort, String> {
    let known = Effort::ALL.iter().find(|(known, _)| *known == name);
    let names = || {
        let names: Vec<_> = Effort::ALL.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    };
    Ok(known
        .ok_or_else(|| format!("the efforts are {}", names()))?
        .1)
}

fn parse(name: &str) -> Result<&'static str, String> {
    known(name).ok_or_else(|| format!("the passes are {}", names().join(", ")))
}

/// The names of all passes, as fields of [`Options`] are called.
pub fn names() -> Vec<&'static str> {
    let mut options = Options::default();
    options.switches().map(|(name, _)| name).collect()
}

/// The name of a pass, however the user spelt it: `dead-stores` and
/// `dead_stores` are the same.
pub fn known(name: &str) -> Option<&'static str> {
    let name = name.replace('-', "_");
    names().into_iter().find(|known| *known == name)
}

/// All passes on all functions but those in `off`, which have to be names from
/// [`known`]: people who look at single functions want to see all that can be done.
pub fn without(off: &[&'static str]) -> Options {
    let mut options = Options::max();
    for (name, switch) in options.switches() {
        if off.contains(&name) {
            *switch = false;
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_switched_off_by_either_spelling() {
        let name = known("dead-stores").unwrap();
        assert!(!without(&[name]).dead_stores);
        assert_eq!(known("dead_stores"), Some(name));
    }

    #[test]
    fn an_unknown_pass_has_no_name() {
        assert_eq!(known("dead-parrots"), None);
    }
}
