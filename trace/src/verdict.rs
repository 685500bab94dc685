//! What a comparison is told, and what comes of it.

use crate::inputs::Inputs;
use cranelift_memopt::Options;
use memopt_check::{CheckedStats, Checking};
use std::fmt;

/// What surrounds the passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The passes alone.
    Alone,
    /// Behind upstream's mid-end.
    BehindMidEnd,
}

/// How a module is optimized and compared.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Which passes run.
    pub options: Options,
    /// What surrounds them.
    pub mode: Mode,
    /// Whether each run is proven right, or else put back.
    pub checking: Checking,
    /// Is the module run as machine code too, before and after?
    pub native: bool,
}

impl Setting {
    /// All passes alone, interpreted and not proven.
    pub fn plain() -> Self {
        Self {
            options: Options::max(),
            mode: Mode::Alone,
            checking: Checking::Off,
            native: false,
        }
    }

    /// The same, not proven.
    pub fn unchecked(&self) -> Self {
        Self {
            checking: Checking::Off,
            ..self.clone()
        }
    }
}

/// What came of one module.
#[derive(Debug)]
pub enum Verdict {
    /// No input tells the two apart.
    Equal {
        /// What the passes did to each function.
        stats: Vec<CheckedStats>,
        /// Inputs whose run meant something.
        runs: usize,
        /// Inputs whose run meant nothing, and why.
        discarded: Vec<String>,
        /// Runs of machine code.
        native: usize,
    },
    /// They are wrong.
    Wrong(Box<Failure>),
}

/// How they are wrong.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub kind: Kind,
    /// All there is to know.
    pub details: String,
    /// The input that shows it, if one is needed.
    pub inputs: Option<Inputs>,
    /// What the passes did to each function, if they have come to an end.
    pub stats: Vec<CheckedStats>,
    /// What the checker says of it.
    pub proof: Proof,
}

/// What the checker says of a module that is optimized wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It was not asked, or there is no result of which it could say anything.
    NotAsked,
    /// It refuses what is wrong: with that put back as it was, the module is right.
    Refused,
    /// It has accepted something that is wrong.
    Accepted,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAsked => "the checker was not asked",
            Self::Refused => "the checker refuses it",
            Self::Accepted => "the checker has ACCEPTED it",
        })
    }
}

/// What is wrong with the passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The policy cannot be read.
    Policy,
    /// Something else can be observed than before.
    Trace,
    /// Machine code does something else than the interpreter.
    Native,
    /// They panic.
    Panic,
    /// They report an error; mostly the verifier's.
    Error,
    /// A second run finds more.
    Unsettled,
}

impl Kind {
    /// Does the result mean something else, or nothing?
    pub fn changes_meaning(self) -> bool {
        match self {
            Self::Trace | Self::Native | Self::Panic | Self::Error => true,
            Self::Policy | Self::Unsettled => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy",
            Self::Trace => "trace",
            Self::Native => "native",
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Unsettled => "a second run finds more",
        })
    }
}

impl Failure {
    pub(crate) fn new(kind: Kind, details: String) -> Box<Self> {
        Box::new(Self {
            kind,
            details,
            inputs: None,
            stats: Vec::new(),
            proof: Proof::NotAsked,
        })
    }
}
