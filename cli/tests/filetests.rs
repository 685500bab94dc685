//! Runs every file below `filetests/` as a test of its own name, and once more
//! without each pass that the file says it needs.

use libtest_mimic::{Arguments, Failed, Trial};
use memopt_cli::filetest::{self, Setup, Verdict};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../filetests"));
    let (trials, complaints) = filetest::trials(std::slice::from_ref(&root));
    let files = trials.into_iter().map(|trial| {
        let name = trial.name();
        let short = name.strip_prefix(&*root.to_string_lossy());
        let name = short.unwrap_or(&name).trim_start_matches('/').to_owned();
        Trial::test(name, move || run(&trial))
    });
    let complaints = complaints.into_iter().map(|complaint| {
        let message = complaint.to_string();
        Trial::test(message.clone(), || Err(Failed::from(message)))
    });
    libtest_mimic::run(&arguments, files.chain(complaints).collect()).exit_code()
}

fn run(trial: &filetest::Trial) -> Result<(), Failed> {
    let setup = Setup {
        bless: filetest::report::bless_wanted(),
        ..Setup::default()
    };
    match trial.run(&setup) {
        Verdict::Passed | Verdict::Blessed(_) => Ok(()),
        Verdict::Failed(reasons) => Err(reasons.join("\n").into()),
        Verdict::Unusable(why) => Err(why.into()),
    }
}
