//! Odd inputs: a message and exit code 2, soon, and the other files are done.

mod common;

use common::Bench;
use std::time::{Duration, Instant};

const GOOD: &str = "function %good() {\nblock0:\n    return\n}\n";

/// No input of a few lines takes longer, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(20);

/// `opt` and `test` refuse `text` with `complaint`, and go on.
#[track_caller]
fn refuses(text: &str, complaint: &str) {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    bench.write("odd.clif", text);
    let start = Instant::now();
    let outcome = bench.memopt(&["opt", "odd.clif", "good.clif"]);
    outcome
        .ends_with(2)
        .complains(complaint)
        .prints("function %good");
    bench.write("good.clif", format!("test optimize\n\n{GOOD}"));
    let commands = "test optimize\ntest compile\ntest verifier\n\n";
    bench.write("odd.clif", format!("{commands}{text}"));
    let outcome = bench.memopt(&["test", "odd.clif", "good.clif"]);
    let lines = commands.lines().count();
    let moved = moved(complaint, lines);
    outcome.ends_with(2).complains(&moved).prints("1 passed");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

/// A complaint about text that is so many lines further down.
fn moved(complaint: &str, lines: usize) -> String {
    let mut parts = complaint.splitn(3, ':');
    let mut next = || parts.next().expect("file:line:rest");
    let (file, line, rest) = (next(), next(), next());
    let line: usize = line.parse().expect("a line");
    format!("{file}:{}:{rest}", line + lines)
}

/// A function with `declaration` and `body`.
fn function(declaration: &str, body: &str) -> String {
    format!(
        "function %odd(i64) {{\n    {declaration}\nblock0(v0: i64):\n    {body}\n    return\n}}\n"
    )
}

#[test]
fn a_function_without_blocks() {
    refuses("function %odd() {\n}\n", "odd.clif:1:1: %odd has no blocks");
    let slot = "function %odd() {\n    ss0 = explicit_slot 8\n}\n";
    refuses(slot, "odd.clif:1:1: %odd has no blocks");
}

#[test]
fn entities_with_large_numbers() {
    for (name, declaration) in [
        ("ss4294967290", "ss4294967290 = explicit_slot 8"),
        ("gv4294967290", "gv4294967290 = vmctx"),
        ("sig4294967290", "sig4294967290 = (i64)"),
        ("fn4294967294", "fn4294967294 = %f()"),
        ("dss4294967290", "dss4294967290 = explicit_dynamic_slot dt0"),
        ("dt4294967290", "dt4294967290 = i32x4*gv0"),
        ("region4294967290", "region4294967290 = 1"),
        ("ss1048577", "ss1048577 = explicit_slot 8"),
        (
            "ss99999999999999999999",
            "ss99999999999999999999 = explicit_slot 8",
        ),
    ] {
        refuses(
            &function(declaration, ""),
            &format!("odd.clif:2:5: `{name}`: "),
        );
    }
    refuses(
        &function("", "v4294967290 = iconst.i64 1"),
        "odd.clif:4:5: `v4294967290`: ",
    );
    refuses(
        &function("", "jump block4294967290"),
        "odd.clif:4:10: `block4294967290`: ",
    );
    refuses(
        "function %odd() {\nblock4294967290:\n    return\n}\n",
        "odd.clif:2:1: `block",
    );
}

#[test]
fn slots_of_gigabytes() {
    let said = "odd.clif:1:1: the stack slots of %odd take ";
    refuses(&function("ss0 = explicit_slot 4294967295", ""), said);
    refuses(
        &function("ss0 = explicit_slot 8, align = 2147483648", ""),
        said,
    );
    let two = "ss0 = explicit_slot 800000000\n    ss1 = explicit_slot 800000000";
    refuses(&function(two, ""), said);
}

/// Upstream tells some of its own limits by panics.
#[test]
fn what_cranelift_gives_up_on_is_told_in_a_line() {
    let params = "i64, ".repeat(70_000);
    let values: String = (0..70_001).map(|v| format!("v{v}: i64, ")).collect();
    let values = values.trim_end_matches(", ");
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    let text = format!("function %odd({params}i64) {{\nblock0({values}):\n    return\n}}\n");
    bench.write("odd.clif", text);
    let outcome = bench.memopt(&["opt", "odd.clif", "good.clif"]);
    outcome
        .ends_with(2)
        .complains("odd.clif: internal error: Too many parameters on block (cranelift-codegen-")
        .prints("function %good");
}

/// A number below the bound is fine, and so is a slot.
#[test]
fn what_is_large_and_possible_is_done() {
    let bench = Bench::new();
    let text = function(
        "ss1000000 = explicit_slot 100000000",
        "v1000000 = iconst.i64 1",
    );
    bench.write("odd.clif", text);
    bench.memopt(&["opt", "odd.clif"]).ends_with(0);
}

#[test]
fn a_large_frame_is_not_run() {
    let bench = Bench::new();
    let text = function("ss0 = explicit_slot 100000000", "");
    for command in ["test run", "test interpret"] {
        let file = format!("{command}\ntarget x86_64\n\n{text}; run: %odd(1)\n");
        bench.write("odd.clif", file);
        let outcome = bench.memopt(&["test", "odd.clif"]);
        outcome
            .ends_with(2)
            .complains("the stack slots of %odd take 100000000 bytes");
    }
    let dynamic = "test memopt\nset opt_level=speed\ntarget x86_64\n\n";
    let dynamic = format!("{dynamic}{text}; dyn: %odd(1) stores=0\n");
    bench.write("odd.clif", dynamic);
    let outcome = bench.memopt(&["test", "odd.clif"]);
    outcome
        .ends_with(2)
        .complains("the stack slots of %odd take");
}

#[test]
fn a_directory_is_no_input() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    let outcome = bench.memopt(&["opt", ".", "good.clif"]);
    outcome
        .ends_with(2)
        .complains(".: this is a directory")
        .prints("function %good");
}

#[test]
fn a_wrong_target_is_no_fault_of_the_file() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    let outcome = bench.memopt(&["opt", "good.clif", "--target", "foo"]);
    let said = &outcome.ends_with(2).err;
    assert!(
        said.starts_with("--target foo: unknown target `foo`"),
        "{said}"
    );
}

#[test]
fn clauses_that_are_about_nothing_are_told() {
    let bench = Bench::new();
    let text = "function %f() {\n    fn0 = %host()\nblock0:\n    call fn0()\n    return\n}\n";
    bench.write("a.clif", format!("; policy: lost-at-trap 7\n{text}"));
    bench.write(
        "a.policy",
        "# hosts\ncallee %host\ncallee %hots\nlost-at-trap 9\n",
    );
    let outcome = bench.memopt(&["opt", "a.clif", "--policy", "a.policy"]);
    outcome
        .ends_with(0)
        .complains("a.clif:1:11: this clause is about no function")
        .complains("a.policy:3:1: this clause is about no function")
        .complains("a.policy:4:1: this clause is about no function");
    assert!(!outcome.err.contains("a.policy:2:"), "{outcome:#?}");
}

#[test]
fn a_proof_is_told() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    let outcome = bench.memopt(&["opt", "good.clif", "--checked"]);
    outcome
        .ends_with(0)
        .complains("good.clif: proven, its function (1)");
}

#[test]
fn one_of_a_kind_is_singular() {
    let bench = Bench::new();
    let text = "function %f() {\n    fn0 = %host()\nblock0:\n    call fn0()\n    return\n}\n";
    bench.write("a.clif", text);
    let outcome = bench.memopt(&["opt", "a.clif", "--emit", "asm"]);
    outcome.ends_with(0).prints(", 1 call, ").prints("0 loads");
    assert!(!outcome.out.contains("1 calls"), "{outcome:#?}");
}

/// The widest terminal that everybody has.
#[test]
fn help_fits_into_80_columns() {
    let bench = Bench::new();
    for command in [
        "opt",
        "bisect",
        "test",
        "fuzz",
        "export",
        "man",
        "completions",
    ] {
        let outcome = bench.memopt(&[command, "--help"]);
        let widest = outcome.ends_with(0).out.lines().map(str::len).max();
        assert!(widest <= Some(80), "{outcome:#?}");
    }
}

#[test]
fn export_says_how_it_is_used() {
    let outcome = Bench::new().memopt(&["export"]);
    outcome
        .ends_with(2)
        .complains("Usage: memopt export --registry [--out DIR]")
        .complains("memopt export --report DIR");
}

#[test]
fn there_are_man_pages_and_completions() {
    let bench = Bench::new();
    bench.memopt(&["man", "pages"]).ends_with(0);
    let page = bench.read("pages/memopt-opt.1");
    assert!(
        page.contains(".TH memopt") && page.contains("all\\-proposals"),
        "{page}"
    );
    for (shell, part) in [
        ("bash", "complete -F _memopt"),
        ("zsh", "#compdef memopt"),
        ("fish", "complete -c memopt"),
    ] {
        bench
            .memopt(&["completions", shell])
            .ends_with(0)
            .prints(part);
    }
}
