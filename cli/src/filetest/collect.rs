//! From paths to the list of things to try.

use crate::clif;
use crate::complaint::{Complaint, Position};
use crate::filetest::run::{Setup, Verdict, run};
use crate::passes;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One thing to try: a file, or a file without a pass that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The file.
    pub path: PathBuf,
    /// The pass that is switched off; the file has to fail then.
    pub needs: Option<&'static str>,
}

impl Trial {
    /// The trial's name: the path, and what is switched off.
    pub fn name(&self) -> String {
        let path = self.path.display();
        match self.needs {
            None => path.to_string(),
            Some(pass) => format!("{path} needs {pass}"),
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
            Some(pass) => run_without(&name, &text, setup, pass),
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
fn run_without(name: &str, text: &str, setup: &Setup, pass: &'static str) -> Verdict {
    let setup = Setup {
        passes: setup.passes.clone().and_without(pass),
        bless: false,
        ..setup.clone()
    };
    match run(name, text, &setup) {
        Verdict::Failed(_) => Verdict::Passed,
        Verdict::Passed | Verdict::Blessed(_) => Verdict::Failed(vec![format!(
            "passes without {pass}, which it says it needs"
        )]),
        unusable @ Verdict::Unusable(_) => unusable,
    }
}

/// The trials of all `.clif` files among `paths` and below them, sorted.
///
/// A file that cannot be read or parsed is a trial all the same: it will be
/// reported when it runs.
///
/// The complaints are about a path that does not exist, a directory without
/// tests, or a `needs:` comment that names no pass.
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
fn of_file(path: &Path, needs: &[&'static str]) -> Vec<Trial> {
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

/// The passes that the header of a file names as needed.
fn needs(path: &Path) -> Result<Vec<&'static str>, Complaint> {
    let name = path.display().to_string();
    // What cannot be read is reported by the trial itself.
    let text = read(path).unwrap_or_default();
    let mut needs = Vec::new();
    let header = text
        .lines()
        .take_while(|line| !line.starts_with("function"));
    let lines = header.filter(|line| line.starts_with(";;"));
    for words in lines.filter_map(|line| clif::directive(line, "needs:")) {
        for word in words.split([' ', ',']).filter(|word| !word.is_empty()) {
            let pass = passes::known(word).ok_or_else(|| {
                let message = format!("`{word}` is not the name of a pass");
                Complaint::at(&name, Position::of(&text, word), message)
            })?;
            needs.push(pass);
        }
    }
    Ok(needs)
}

fn read(path: &Path) -> Result<String, Complaint> {
    fs::read_to_string(path).map_err(|error| Complaint::of_file(&path.display().to_string(), error))
}
