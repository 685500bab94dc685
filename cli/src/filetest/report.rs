//! Runs trials one after the other and says how they went.

use crate::complaint::Complaint;
use crate::filetest::collect::Trial;
use crate::filetest::run::{Setup, Verdict};

/// How many trials ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// As the file says; blessed files are among them.
    pub passed: usize,
    /// Not as the file says.
    pub failed: usize,
    /// No tests.
    pub unusable: usize,
}

impl Tally {
    /// The exit code of the program: 1 if a test failed, 2 if one was none.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self { unusable: 1.., .. } => 2,
            Self { failed: 1.., .. } => 1,
            _ => 0,
        }
    }
}

/// Should new precise outputs be accepted? The variable is upstream's.
pub fn bless_wanted() -> bool {
    std::env::var("CRANELIFT_TEST_BLESS").is_ok_and(|value| value == "1")
}

/// Runs `trials`; failures go to standard output, with a summary at the end,
/// and `complaints` and what cannot be used to standard error.
pub fn run_all(trials: &[Trial], complaints: &[Complaint], setup: &Setup) -> Tally {
    for complaint in complaints {
        anstream::eprintln!("{complaint}");
    }
    let mut tally = Tally {
        unusable: complaints.len(),
        ..Tally::default()
    };
    for trial in trials {
        match trial.run(setup) {
            Verdict::Passed => tally.passed += 1,
            Verdict::Blessed(_) => {
                tally.passed += 1;
                anstream::println!("BLESSED {}", trial.name());
            }
            Verdict::Failed(reasons) => {
                tally.failed += 1;
                print_failure(trial, &reasons);
            }
            Verdict::Unusable(why) => {
                tally.unusable += 1;
                anstream::eprintln!("{why}");
            }
        }
    }
    print_summary(&tally);
    tally
}

fn print_failure(trial: &Trial, reasons: &[String]) {
    anstream::println!("FAILED {}", trial.name());
    for reason in reasons {
        anstream::println!("    {}", reason.trim_end().replace('\n', "\n    "));
    }
}

fn print_summary(tally: &Tally) {
    let Tally {
        passed,
        failed,
        unusable,
    } = tally;
    let rest = match unusable {
        0 => String::new(),
        count => format!(", {count} unusable"),
    };
    anstream::println!("{passed} passed, {failed} failed{rest}");
}
