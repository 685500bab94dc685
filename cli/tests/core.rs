//! The core without its wing: every filetest passes without jump threading, PRE and
//! sinking, unless it says `;; paths`; and those that say so need them, in the versions of
//! Cranelift that they are for.

mod common;

use common::{Bench, repository};
use memopt_cli::filetest::header;
use std::fs;
use std::path::Path;

/// The switches of the passes in `src/memopt/paths/`.
const WING: [&str; 5] = [
    "straighten",
    "thread_branches",
    "sink_stores",
    "partly_redundant",
    "hoist_loads",
];

/// The filetests at or below `directory`: those that the core alone passes, and
/// those that the wing has a part in.
fn files(directory: &Path) -> (Vec<String>, Vec<String>) {
    let (mut core, mut wing) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let (more, others) = files(&path);
            core.extend(more);
            wing.extend(others);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            if !header::bounds("", &text).unwrap().hold {
                continue;
            }
            let list = match text.lines().any(|line| line == ";; paths") {
                true => &mut wing,
                false => &mut core,
            };
            list.push(path.display().to_string());
        }
    }
    (core, wing)
}

fn arguments(files: &[String]) -> Vec<&str> {
    let off = WING.iter().flat_map(|pass| ["--without", pass]);
    let files = files.iter().map(String::as_str);
    ["test"].into_iter().chain(off).chain(files).collect()
}

#[test]
fn the_core_passes_what_does_not_ask_for_paths() {
    let (core, _) = files(Path::new(&repository("filetests")));
    assert!(core.len() > 300);
    Bench::new().memopt(&arguments(&core)).ends_with(0);
}

#[test]
fn what_asks_for_paths_needs_them() {
    let (_, wing) = files(Path::new(&repository("filetests")));
    assert!(wing.len() > 50);
    let outcome = Bench::new().memopt(&arguments(&wing));
    outcome.ends_with(1);
    for file in wing {
        assert!(
            outcome.out.contains(&file),
            "{file} passes without the wing"
        );
    }
}
