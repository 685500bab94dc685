//! From paths to the list of things to try.

use crate::complaint::Complaint;
use crate::filetest::header::{self, Need};
use crate::filetest::run::{Setup, Verdict, run};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One thing to try: a file, or a file without a pass that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The file.
    pub path: PathBuf,
    /// The pass that is switched off; the file has to fail then, or to pass, as it says of
    /// this version of Cranelift.
    pub needs: Option<Need>,
}

impl Trial {
    /// The trial's name: the path, and what is switched off.
    pub fn name(&self) -> String {
        let path = self.path.display();
        match self.needs {
            None => path.to_string(),
            Some(Need { pass, here: true }) => format!("{path} needs {pass}"),
            Some(Need { pass, here: false }) => format!("{path} does not need {pass}"),
        }
    }

    /// Runs the trial. If `setup` says so, new expectations are written to the
    /// file; but never those of a run without a pass.
    pub fn run(&self, setup: &Setup) -> Verdict {
        let name = self.path.display().to_string();
        let text = match read(&self.path) {
            Ok(text) => text,
            Err(complaint) => return Verdict::Unusable(complaint.to_string()),
        };
        match self.needs {
            None => write_blessed(&self.path, run(&name, &text, setup)),
            Some(need) => run_without(&name, &text, setup, need),
        }
    }
}

fn write_blessed(path: &Path, verdict: Verdict) -> Verdict {
    match &verdict {
        Verdict::Blessed(text) => match fs::write(path, text) {
            Ok(()) => verdict,
            Err(error) => Verdict::Failed(vec![format!("cannot be written: {error}")]),
        },
        _ => verdict,
    }
}

/// A test that still passes without the pass it is about tests something else.
fn run_without(name: &str, text: &str, setup: &Setup, need: Need) -> Verdict {
    let Need { pass, here } = need;
    let setup = Setup {
        passes: setup.passes.clone().and_without(pass),
        bless: false,
        ..setup.clone()
    };
    match (run(name, text, &setup), here) {
        (Verdict::Failed(_), true) => Verdict::Passed,
        (Verdict::Passed | Verdict::Blessed(_), true) => Verdict::Failed(vec![format!(
            "passes without {pass}, which it says it needs"
        )]),
        (Verdict::Failed(why), false) => {
            let first = format!("needs {pass}, and says that it does not in this version");
            Verdict::Failed([first].into_iter().chain(why).collect())
        }
        (verdict, false) => verdict,
        (unusable @ Verdict::Unusable(_), true) => unusable,
    }
}

/// The trials of all `.clif` files among `paths` and below them, sorted.
///
/// A file that cannot be read or parsed is a trial all the same: it will be
/// reported when it runs.
///
/// The complaints are about a path that does not exist, a directory without
/// tests, a `needs:` comment that names no pass, or bounds that are none.
pub fn trials(paths: &[PathBuf]) -> (Vec<Trial>, Vec<Complaint>) {
    let mut trials = Vec::new();
    let mut complaints = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let mut files = Vec::new();
        match find(path, &mut files) {
            Err(error) => complaints.push(Complaint::of_file(&name, error)),
            Ok(()) if files.is_empty() => {
                complaints.push(Complaint::of_file(&name, "no .clif files in here"));
            }
            Ok(()) => {}
        }
        for file in files {
            match needs(&file) {
                Ok(needs) => trials.extend(of_file(&file, &needs)),
                Err(complaint) => complaints.push(complaint),
            }
        }
    }
    (trials, complaints)
}

/// The trials of one file: as it is, and without each pass it needs.
fn of_file(path: &Path, needs: &[Need]) -> Vec<Trial> {
    let all = [None].into_iter().chain(needs.iter().copied().map(Some));
    let trial = |needs| Trial {
        path: path.to_owned(),
        needs,
    };
    all.map(trial).collect()
}

/// Adds `path`, or all `.clif` files below it.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries: io::Result<Vec<_>> = fs::read_dir(path)?.collect();
    let mut entries: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|ext| ext == "clif") {
            find(&entry, files)?;
        }
    }
    Ok(())
}

/// The passes that the header of a file names as needed; none if its expectations are for
/// other versions of Cranelift, where nothing that it states is to hold.
fn needs(path: &Path) -> Result<Vec<Need>, Complaint> {
    let name = path.display().to_string();
    // What cannot be read is reported by the trial itself.
    let text = read(path).unwrap_or_default();
    let needs = header::needs(&name, &text)?;
    match header::bounds(&name, &text)?.hold {
        true => Ok(needs),
        false => Ok(Vec::new()),
    }
}

fn read(path: &Path) -> Result<String, Complaint> {
    fs::read_to_string(path).map_err(|error| Complaint::of_file(&path.display().to_string(), error))
}
