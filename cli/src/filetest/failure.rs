//! Why a file fails.

use std::fmt;

/// One reason. A file whose expectations are not for this version of Cranelift fails for
/// reasons of the first kind alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// What came out is not what the file states, which another version may bring about.
    Unmet(String),
    /// What came out, or that nothing did, is wrong in any version.
    Wrong(String),
}

impl Failure {
    /// The same, with what it is about in front.
    pub fn of(self, subject: &str) -> Self {
        match self {
            Self::Unmet(why) => Self::Unmet(format!("{subject}: {why}")),
            Self::Wrong(why) => Self::Wrong(format!("{subject}: {why}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unmet(why) | Self::Wrong(why)) = self;
        f.write_str(why)
    }
}
