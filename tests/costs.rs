//! Every function of the interface says what it costs.

use std::fs;
use std::path::Path;

/// The files that have functions of the interface.
const FILES: [&str; 16] = [
    "check/src/check.rs",
    "check/src/run.rs",
    "policy/src/declared.rs",
    "policy/src/watched.rs",
    "src/memopt/call/effects.rs",
    "src/memopt/call/extent.rs",
    "src/memopt/call/from_body.rs",
    "src/memopt/call/region_set.rs",
    "src/memopt/call/summary.rs",
    "src/memopt/options.rs",
    "src/memopt/stats.rs",
    "src/pipeline/batch.rs",
    "src/pipeline/compile.rs",
    "src/pipeline/mod.rs",
    "src/pipeline/module.rs",
    "src/remarks/mod.rs",
];

/// The functions of a file without a word about their cost, and how many there are.
fn silent(text: &str) -> (Vec<&str>, usize) {
    let mut all = 0;
    let mut silent = Vec::new();
    let mut says = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("///") {
            says |= line.contains("Cost:");
            continue;
        }
        if line.starts_with("pub fn ") {
            all += 1;
            if !says {
                silent.push(line);
            }
        }
        // Attributes stand between a function and its documentation.
        says &= line.starts_with("#[");
    }
    (silent, all)
}

#[test]
fn every_public_function_has_a_cost() {
    let mut all = 0;
    let mut wrong = Vec::new();
    for file in FILES {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let (silent, count) = silent(&text);
        all += count;
        wrong.extend(silent.iter().map(|function| format!("{file}: {function}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all > 50, "{all} functions");
}

#[test]
fn a_function_without_a_cost_is_found() {
    let text = "/// A.\npub fn a() {}\n/// B.\n/// Cost: constant.\n#[inline]\npub fn b() {}\n";
    assert_eq!(silent(text), (vec!["pub fn a() {}"], 2));
}
