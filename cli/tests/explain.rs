//! `memopt explain`: what was done, what was not, and why.

mod common;

use common::{Bench, repository};
use serde_json::Value;
use std::process::{Command, Stdio};

/// Publishes a slot's address and puts the old pointer back; the callee does nothing.
const ADAPTER: &str = "filetests/adapter/issue-12311.clif";

fn explain(file: &str, arguments: &[&str]) -> common::Outcome {
    let bench = Bench::new();
    let file = repository(file);
    bench.memopt(&[&["explain", &file], arguments].concat())
}

#[test]
fn both_sides_stand_beside_each_other_with_reasons() {
    for width in ["60", "80", "120", "160", "200"] {
        let outcome = explain(ADAPTER, &["--width", width]);
        let text = &outcome.ends_with(0).out;
        let widest = text
            .lines()
            .filter(|line| line.contains(" |"))
            .map(|line| line.chars().count())
            .max();
        assert!(widest <= width.parse().ok(), "{width}: {text}");
        assert!(!text.contains('\u{1b}'), "no terminal, no colours: {text}");
        outcome.prints("removed: nothing reads ss0, and");
        outcome.prints("inst6       call fn0(v0)");
    }
}

#[test]
fn one_instruction_is_explained_in_full() {
    let outcome = explain(ADAPTER, &["--function", "adapter", "--inst", "inst7"]);
    outcome
        .ends_with(0)
        .prints("store inst7 removed: memory holds v1, which was loaded before")
        .prints("inst0: v1 = load.i64");
    assert!(!outcome.out.contains("inst3"), "{outcome:#?}");
}

#[test]
fn what_is_not_there_is_missed() {
    let absent = explain(ADAPTER, &["--function", "adapter", "--inst", "inst99"]);
    absent.ends_with(2).complains("%adapter has no inst99");
    let several = explain(ADAPTER, &["--inst", "inst7"]);
    several.ends_with(2).complains("--inst needs --function");
    let unknown = explain(ADAPTER, &["--function", "nobody"]);
    unknown
        .ends_with(2)
        .complains("--function nobody: no function");
    let odd = explain(ADAPTER, &["--inst", "v7"]);
    odd.ends_with(2).complains("instructions are called inst0");
}

#[test]
fn remarks_are_json_lines() {
    let outcome = explain(ADAPTER, &["--remarks", "json"]);
    let lines = outcome.ends_with(0).out.lines();
    let remarks: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let of = |subject: &str| {
        let found = remarks.iter().find(|remark| remark["subject"] == subject);
        found.expect("a remark").clone()
    };
    let last = of("inst7");
    assert_eq!(last["function"], "%adapter");
    assert_eq!(last["outcome"], "done");
    assert_eq!(last["pass"], "noop_stores");
    assert_eq!(last["block"], "block0");
    assert_eq!(last["blame"][0]["inst"], "inst0");
    assert_eq!(of("ss0")["pass"], "freed_slots");
}

#[test]
fn remarks_are_records_as_llvm_writes_them() {
    let text = explain(ADAPTER, &["--remarks", "yaml"]);
    let text = &text.ends_with(0).out;
    let documents = text.split("...\n").filter(|document| !document.is_empty());
    let mut count = 0;
    for document in documents {
        let mut lines = document.lines();
        let tag = lines.next();
        assert!(
            matches!(tag, Some("--- !Passed" | "--- !Missed")),
            "{document}"
        );
        for key in ["Pass:", "Name:", "Function:", "Args:"] {
            assert!(document.contains(&format!("\n{key}")), "{document}");
        }
        count += 1;
    }
    assert!(count >= 6, "{text}");
}

#[cfg(feature = "wasm")]
#[test]
fn where_each_store_went_is_shown() {
    let file = "examples/host-cold.wat";
    let outcome = explain(file, &["--remarks", "text", "--function", "adapter B"]);
    let sunk = outcome.ends_with(0).out.matches("sunk to block").count();
    assert!(sunk >= 5, "{outcome:#?}");
}

/// Without the wing each store of the record stays, and the remark names the call of the host
/// and who else looks: the check on the other path reads what is published.
#[cfg(feature = "wasm")]
#[test]
fn without_the_wing_the_call_and_the_check_are_to_blame() {
    let wing = ["sink-stores", "partly-redundant", "thread-branches"];
    let off = wing.iter().flat_map(|pass| ["--without", pass]);
    let wanted = ["--remarks", "text", "--function", "adapter B"];
    let arguments: Vec<_> = wanted.into_iter().chain(off).collect();
    let outcome = explain("examples/host-cold.wat", &arguments);
    let kept = outcome.ends_with(0).out.lines().map(str::trim_start);
    let kept: Vec<_> = kept
        .filter(|line| line.starts_with("store ") && line.contains(" kept: the call at "))
        .collect();
    assert!(kept.len() >= 8, "{outcome:#?}");
    let both = |line: &&&str| line.contains(", and so may the load at ");
    assert!(kept.iter().filter(both).count() >= 4, "{kept:#?}");
}

#[cfg(feature = "wasm")]
#[test]
fn the_page_needs_nothing_else() {
    let outcome = explain("examples/host-cold.wat", &["--html"]);
    let page = &outcome.ends_with(0).out;
    assert!(page.starts_with("<!DOCTYPE html>"));
    // The name of SVG is a name and is not loaded.
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for loads in ["http:", "https:", "src=", "href=", "@import", "url(http"] {
        assert!(!page.contains(loads), "{loads}");
    }
    let (_, data) = page.split_once("id=\"data\">").unwrap();
    let (data, _) = data.split_once("</script>").unwrap();
    let data: Value = serde_json::from_str(data).expect("valid JSON");
    let gains = data["functions"].as_array().unwrap().iter();
    let gains: Vec<_> = gains.map(|one| one["gain"].as_i64().unwrap()).collect();
    assert!(
        gains.len() >= 3 && gains.is_sorted_by(|a, b| a >= b),
        "{gains:?}"
    );
}

#[test]
fn what_ends_a_script_is_no_end_of_the_page() {
    let bench = Bench::new();
    let name = "function %f(i64) {\n    region0 = 1 \"</script><b>\"\nblock0(v0: i64):\n    \
                store notrap aligned region0 v0, v0\n    return\n}\n";
    bench.write("odd.clif", name);
    let outcome = bench.memopt(&["explain", "odd.clif", "--html"]);
    let page = &outcome.ends_with(0).out;
    assert_eq!(page.matches("</script>").count(), 2, "{page}");
}

#[test]
fn graphs_are_for_graphviz() {
    let outcome = explain("filetests/loops", &["--dot"]);
    outcome.ends_with(2).complains("is a directory");
    let outcome = explain(ADAPTER, &["--dot"]);
    let text = &outcome.ends_with(0).out;
    assert!(text.starts_with("digraph memopt {"));
    assert_eq!(text.matches('{').count(), text.matches('}').count());
    assert_eq!(text.matches("subgraph").count(), 4);
}

#[test]
fn versions_of_memory_are_shown_on_demand() {
    let all = explain(ADAPTER, &["--memory"]);
    all.ends_with(0)
        .prints("over inst5; next inst8 may see it")
        .prints("nobody sees it before inst7 overwrites it")
        .prints("nobody sees it before inst5 gives its address away")
        .prints("finds what the function began with");
    let none = explain(ADAPTER, &[]);
    assert!(!none.ends_with(0).out.contains("memory:"), "{none:#?}");
    let both = explain(ADAPTER, &["--memory", "--dot"]);
    both.ends_with(2).complains("--memory");
}

#[test]
fn a_join_of_memory_says_what_meets() {
    let bench = Bench::new();
    let text = "function %f(i64, i32, i64) -> i64 {
    region0 = 1 \"mine\"
    fn0 = %host()
block0(v0: i64, v1: i32, v2: i64):
    store notrap aligned region0 v2, v0
    brif v1, block1, block2
block1:
    call fn0()
    jump block2
block2:
    v3 = load.i64 notrap aligned region0 v0
    store notrap aligned region0 v3, v0+8
    return v3
}
";
    bench.write("join.clif", text);
    bench
        .memopt(&["explain", "join.clif", "--memory", "--width", "400"])
        .ends_with(0)
        .prints(
            "finds what meets at block2: from block0 inst0, from block1 what inst2 may have left",
        );
}

#[test]
fn who_else_sees_a_store_is_named() {
    let bench = Bench::new();
    let text = "function %f(i64, i32, i64) -> i64 {
    region0 = 1 \"mine\"
    fn0 = %host()
block0(v0: i64, v1: i32, v2: i64):
    store notrap aligned region0 v2, v0
    brif v1, block1, block2
block1:
    call fn0()
    jump block3
block2:
    v3 = load.i32 notrap aligned region0 v0
    jump block3
block3:
    return v2
}
";
    bench.write("two.clif", text);
    let arguments = ["explain", "two.clif", "--remarks", "text", "--without"];
    bench
        .memopt(
            &[
                &arguments[..],
                &["forward-loads", "--without", "unused-loads"],
            ]
            .concat(),
        )
        .ends_with(0)
        .prints(
            "kept: the call of %host at inst2 may read region0 (\"mine\"), and so may the load at",
        );
}

/// As with `memopt explain FILE | head`.
#[test]
fn whoever_reads_no_further_hears_no_complaint() {
    let file = repository(ADAPTER);
    for command in ["explain", "opt"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_memopt"))
            .args([command, &file])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{command}: {said}"
        );
    }
}
