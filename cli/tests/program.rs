//! `memopt opt`: what it shows, and what it says about bad inputs.

mod common;

use common::{Bench, repository};
use cranelift_codegen::Context;
use cranelift_memopt::{Options, Policy};
use memopt_check::{Checking, optimize_module_checked};
use memopt_policy::DeclaredPolicy;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

const GOOD: &str = "\
function %good(i64) {
    ss0 = explicit_slot 8
    region0 = 1 \"R\"
block0(v0: i64):
    v1 = stack_addr.i64 ss0
    store notrap aligned region0 v0, v1
    return
}
";

/// A bad input is reported with `complaint`, and the good one is still shown.
#[track_caller]
fn refuses(name: &str, content: impl AsRef<[u8]>, complaint: &str) {
    let bench = Bench::new();
    bench.write(name, content);
    bench.write("good.clif", GOOD);
    let outcome = bench.memopt(&["opt", name, "good.clif"]);
    outcome
        .ends_with(2)
        .complains(complaint)
        .prints("function %good");
}

/// A module that the passes change in a manner which the checker cannot follow: the
/// first of those that the oracle makes. Any one that is written down may be
/// proven by the next checker.
fn unproven() -> String {
    let isa = memopt_trace::compare::host_isa();
    let found = (0..50_000).find_map(|seed| {
        let module = memopt_trace::generate::module(seed);
        let policy = module.policy().expect("clauses");
        let functions = module.functions.iter().cloned();
        let mut contexts: Vec<_> = functions.clone().map(Context::for_function).collect();
        let policy_of = |_| -> &dyn Policy { &policy };
        let options = Options::full();
        // Upstream's mid-end panics on some types that the generator knows.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            optimize_module_checked(&mut contexts, &*isa, &policy_of, &options, Checking::Fail)
        }));
        outcome.ok()?.err()?;
        let clauses = module
            .clauses
            .iter()
            .map(|clause| format!("; policy: {clause}\n"));
        let clauses: String = clauses.collect();
        let functions = functions.map(|func| format!("{clauses}{func}\n"));
        Some(functions.collect())
    });
    found.expect("none of 50,000 modules is unproven")
}

#[test]
fn a_run_that_is_not_proven_is_reported_with_the_place() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    bench.write("odd.clif", unproven());
    let arguments = ["opt", "--effort", "full", "odd.clif", "good.clif"];
    let outcome = bench.memopt(&[&arguments[..], &["--checked"]].concat());
    outcome
        .ends_with(2)
        .complains("odd.clif: ")
        .complains("is not proven: ")
        .prints("function %good");
    assert!(!outcome.err.contains("odd.clif: proven"), "{outcome:#?}");
    bench.memopt(&arguments).ends_with(0);
}

#[test]
fn a_syntax_error_names_file_line_and_column() {
    let text = "function %f() {\nblock0:\n    retrun\n}\n";
    refuses("bad.clif", text, "bad.clif:3:5: ");
}

#[test]
fn a_function_that_the_verifier_refuses_is_named() {
    let text = "function %f() -> i32 {\nblock0:\n    return\n}\n";
    refuses("bad.clif", text, "bad.clif: the verifier refuses %f");
}

#[test]
fn an_empty_file_is_refused() {
    refuses("bad.clif", "", "bad.clif: the file is empty");
    refuses("bad.clif", "; prose\n", "bad.clif: no functions");
}

#[test]
fn a_file_of_no_known_kind_is_refused() {
    refuses("bad", b"\xff\xfe\x00", "bad: neither text nor WebAssembly");
}

#[test]
fn webassembly_that_does_not_validate_is_refused() {
    let text = "(module (func (result i32) nop))";
    refuses("bad.wat", text, "type mismatch");
    refuses("bad.wasm", b"\0asm\x01\0\0\0\x01", "bad.wasm: ");
}

#[test]
fn a_syntax_error_in_webassembly_names_its_place() {
    refuses("bad.wat", "(module\n  (fnc))", "bad.wat:2:4: ");
}

#[test]
fn a_missing_file_is_reported() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    let outcome = bench.memopt(&["opt", "missing.clif", "good.clif"]);
    outcome
        .ends_with(2)
        .complains("missing.clif: ")
        .prints("function %good");
}

#[test]
fn an_unknown_target_is_reported() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    bench.write("good.wat", "(module)");
    for file in ["good.clif", "good.wat"] {
        let outcome = bench.memopt(&["opt", "--target", "pdp11", file]);
        let said = "--target pdp11: unknown target `pdp11`";
        outcome.ends_with(2).complains(said);
        assert!(!outcome.err.contains("good."), "{outcome:#?}");
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    bench.write("bad.policy", "# a comment\nlost-at-sea 3\n");
    let refused = |arguments: &[&str], complaint: &str| {
        let outcome = bench.memopt(&[&["opt", "good.clif"], arguments].concat());
        outcome.ends_with(2).complains(complaint);
    };
    refused(&["--json"], "--json needs --emit stats");
    refused(&["--emit", "stats", "--diff"], "--diff needs --emit");
    refused(
        &["--opt-level", "fast"],
        "unknown optimization level `fast`",
    );
    refused(
        &["--policy", "bad.policy"],
        "bad.policy:2:1: unknown policy",
    );
    refused(&["--policy", "none.policy"], "none.policy: ");
}

#[test]
fn the_output_is_clif_again() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    let arguments = ["opt", "good.clif", "--target", "x86_64"];
    let first = bench.memopt(&arguments);
    assert!(!first.ends_with(0).out.contains("store"), "{first:#?}");
    bench.write("good.clif", &first.out);
    let second = bench.memopt(&arguments);
    assert_eq!(second.ends_with(0).out, first.out);
}

#[test]
fn a_diff_without_a_terminal_has_no_colours() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    let outcome = bench.memopt(&["opt", "good.clif", "--diff", "--target", "aarch64"]);
    outcome.ends_with(0).prints("-    store notrap");
    assert!(!outcome.out.contains('\u{1b}'), "{outcome:#?}");
    let to_file = [
        "opt",
        "good.clif",
        "--diff",
        "-o",
        "out",
        "--target",
        "aarch64",
    ];
    bench.memopt(&to_file).ends_with(0);
    assert_eq!(bench.read("out"), outcome.out);
}

#[test]
fn machine_code_is_shown_for_every_target() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    for target in ["x86_64", "aarch64", "riscv64", "s390x"] {
        let outcome = bench.memopt(&["opt", "good.clif", "--emit", "asm", "--target", target]);
        outcome
            .ends_with(0)
            .prints("%good, as stock")
            .prints("block0:");
    }
}

#[test]
fn only_wanted_functions_are_shown() {
    let bench = Bench::new();
    bench.write(
        "a.clif",
        format!("{GOOD}\n{}", GOOD.replace("good", "other")),
    );
    let outcome = bench.memopt(&["opt", "a.clif", "--function", "oth"]);
    assert!(
        outcome.ends_with(0).out.starts_with("function %other("),
        "{outcome:#?}"
    );
    assert!(!outcome.out.contains("%good"), "{outcome:#?}");
}

/// The figures of a function that Wasmtime compiled.
fn figures(file: &str, more: &[&str]) -> Vec<Value> {
    let bench = Bench::new();
    bench.write("some.policy", "lost-at-trap 8\n");
    let file = repository(file);
    let arguments = ["opt", &file, "--emit", "stats", "--json"];
    let outcome = bench.memopt(&[&arguments, more].concat());
    serde_json::from_str(&outcome.ends_with(0).out).expect("valid JSON")
}

fn of_symbol<'v>(figures: &'v [Value], symbol: &str) -> &'v Value {
    let found = figures.iter().find(|f| f["symbol"] == symbol);
    found.expect("the function is there")
}

/// The loads of one side that are not `readonly`.
fn plain_loads(side: &Value) -> u64 {
    let count = |name: &str| side[name].as_u64().expect("a count");
    count("loads") - count("readonly_loads")
}

#[test]
fn the_figures_of_an_adapter_are_json() {
    let figures = figures("examples/trivial.wat", &["--target", "x86_64"]);
    // The caller into which Wasmtime has inlined the adapter and its callee.
    let adapter = of_symbol(&figures, "wasm[1]::function[1]");
    let stock = &adapter["stock"];
    assert_eq!(adapter["policy"], "none");
    assert_eq!(stock["stores"], 15);
    assert_eq!(stock["stack_slots"], 1);
    assert_eq!(plain_loads(stock), 6);
    assert!(stock["code_bytes"].as_u64() > Some(0));
    assert!(adapter["edits"]["dead_stores"].is_u64());
}

#[test]
fn an_adapter_keeps_the_load_of_its_check_alone() {
    for target in ["x86_64", "aarch64", "riscv64", "s390x"] {
        let figures = figures("examples/trivial.wat", &["--target", target]);
        for symbol in [
            "wasm[1]::function[1]",
            "wasm[1]::function[2]",
            "wasm[2]::function[4]",
        ] {
            let memopt = &of_symbol(&figures, symbol)["memopt"];
            assert_eq!(memopt["stores"], 0, "{symbol} on {target}");
            assert_eq!(memopt["stack_slots"], 0, "{symbol} on {target}");
            assert_eq!(plain_loads(memopt), 1, "{symbol} on {target}");
        }
    }
}

#[test]
fn what_sinks_into_a_cold_path_makes_no_function_larger() {
    for target in ["x86_64", "aarch64", "riscv64", "s390x"] {
        for figures in figures("examples/host-cold.wat", &["--target", target]) {
            let size = |side: &str| figures[side]["code_bytes"].as_u64().expect("a count");
            let symbol = &figures["symbol"];
            assert!(size("memopt") <= size("stock"), "{symbol} on {target}");
        }
    }
}

#[test]
fn the_policy_is_named_with_every_figure() {
    let figures = figures(
        "examples/trivial.wat",
        &["--policy", "some.policy", "--function", "function["],
    );
    assert!(!figures.is_empty());
    assert!(figures.iter().all(|f| f["policy"] == "some.policy"));
}

#[test]
fn wasmtimes_policy_as_text_is_understood() {
    let text = std::fs::read_to_string(repository("wasmtime/wasmtime48.policy"));
    let policy: DeclaredPolicy = text.unwrap().parse().unwrap();
    let (current_thread, public_global, may_leave) = (67_109_000, 402_653_184, 738_197_536);
    assert!(!policy.survives_trap(current_thread));
    assert!(policy.survives_trap(public_global));
    for context_slot in [67_108_992, 67_108_996] {
        assert!(policy.survives_trap(context_slot));
    }
    assert_eq!(policy.representative(may_leave), public_global);
    assert!(policy.is_shared_pointer(8, 8));
    assert!(policy.is_asynchronous(26 << 26));
}

#[test]
fn a_component_that_is_too_large_for_the_policy_is_refused() {
    let bench = Bench::new();
    bench.write("small.policy", "component-limits 3 3");
    let file = repository("examples/trivial.wat");
    let large = repository("wasmtime/adapters/chain.wat");
    let stats = ["--emit", "stats", "--policy", "small.policy"];
    let arguments = [&["opt", &file][..], &stats].concat();
    bench.memopt(&arguments).ends_with(0);
    let arguments = [&["opt", &large][..], &stats].concat();
    bench.memopt(&arguments).ends_with(2).complains(
        "the policy holds for components of at most 3 modules and 3 instances, and this one has",
    );
}

#[test]
fn a_function_that_is_not_there_is_missed() {
    let bench = Bench::new();
    bench.write("good.clif", GOOD);
    let absent = ["opt", "good.clif", "--function", "evil"];
    let outcome = bench.memopt(&absent);
    outcome
        .ends_with(2)
        .complains("--function evil: no function has this in its name; there are\n  %good");
    let stats = [&absent[..], &["--emit", "stats", "--json"]].concat();
    let outcome = bench.memopt(&stats);
    let figures: Value = serde_json::from_str(&outcome.ends_with(2).out).expect("valid JSON");
    assert_eq!(figures, Value::Array(Vec::new()));
}

#[test]
fn both_sides_of_webassembly_are_shown() {
    let bench = Bench::new();
    let file = repository("examples/trivial.wat");
    let outcome = bench.memopt(&["opt", &file, "--function", "wasm[1]::function[1]"]);
    outcome
        .ends_with(0)
        .prints("wasm[1]::function[1], as stock Cranelift leaves it: 15 loads")
        .prints("wasm[1]::function[1], as the passes leave it (policy none): ");
}

#[test]
fn names_with_slashes_do_not_stop_wasmtime() {
    let bench = Bench::new();
    bench.write("a.wat", "(module (func $a/b (export \"f\")))");
    let outcome = bench.memopt(&["opt", "a.wat", "--emit", "stats"]);
    outcome
        .ends_with(0)
        .prints("wasm[0]::function[0] (policy none)");
}

/// The mid-end alone panics over these; `docs/upstream-findings.md` has why.
#[test]
fn upstream_has_no_zero_of_some_types() {
    for (ty, operation) in [("f16", "bxor"), ("f128", "bxor"), ("i16x4", "isub")] {
        let text = format!(
            "function %f({ty}) -> {ty} {{\nblock0(v0: {ty}):\n    v1 = {operation} v0, v0\n    return v1\n}}\n"
        );
        let bench = Bench::new();
        bench.write("f.clif", text);
        let outcome = bench.memopt(&["opt", "f.clif", "--target", "aarch64"]);
        let panicked = outcome.err.contains("no rule matched for term");
        assert!(panicked, "{ty} {operation}: mended? {outcome:#?}");
    }
}
