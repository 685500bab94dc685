//! `memopt opt` and `memopt bisect` on WebAssembly, which takes the feature `wasm`.

mod common;

use common::{Bench, repository};
use serde_json::Value;

/// A bad input is reported with `complaint`, and the good one is still shown.
#[track_caller]
fn refuses(name: &str, content: impl AsRef<[u8]>, complaint: &str) {
    let bench = Bench::new();
    bench.write(name, content);
    bench.write("good.wat", "(module (func (export \"good\")))");
    let outcome = bench.memopt(&["opt", name, "good.wat", "--all"]);
    outcome.ends_with(2).complains(complaint).prints("good");
}

#[test]
fn an_unknown_target_is_reported() {
    let bench = Bench::new();
    bench.write("good.wat", "(module)");
    let outcome = bench.memopt(&["opt", "--target", "pdp11", "good.wat"]);
    let said = "--target pdp11: unknown target `pdp11`";
    outcome.ends_with(2).complains(said);
    assert!(!outcome.err.contains("good."), "{outcome:#?}");
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

/// More results than registers: Wasmtime compiles that with a setting of its own.
#[test]
fn the_settings_are_those_of_wasmtime() {
    let results = "i32 ".repeat(12);
    let gets = "local.get 0 ".repeat(12);
    let bench = Bench::new();
    let text = format!("(module (func (export \"f\") (param i32) (result {results}) {gets}))");
    bench.write("many.wat", text);
    for target in ["x86_64", "aarch64", "riscv64", "s390x"] {
        for emit in ["clif", "asm", "stats"] {
            let arguments = ["opt", "many.wat", "--emit", emit, "--target", target];
            bench.memopt(&arguments).ends_with(0);
        }
    }
}

#[test]
fn proposals_are_switched_by_wasmtimes_names() {
    let bench = Bench::new();
    let text = "(module (func (param i64 i64 i64 i64) (result i64 i64)
        (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3))))";
    bench.write("wide.wat", text);
    bench
        .memopt(&["opt", "wide.wat"])
        .ends_with(2)
        .complains("wide arithmetic")
        .complains("`-W all-proposals` turns most proposals on");
    // Wasmtime has no stack switching elsewhere.
    let some = ["--wasm", "all-proposals,stack-switching=n"];
    let all = ["--wasm", "all-proposals"];
    let all = if cfg!(target_arch = "x86_64") {
        all
    } else {
        some
    };
    for on in [["-W", "wide-arithmetic"], some, all] {
        bench
            .memopt(&[&["opt", "wide.wat"][..], &on].concat())
            .ends_with(0);
    }
    let wrong = bench.memopt(&["opt", "wide.wat", "-W", "wide-maths"]);
    let said = &wrong.ends_with(2).err;
    assert!(
        said.contains("wide-maths") && !said.contains("wide.wat"),
        "{said}"
    );
}

#[test]
fn the_first_screen_is_a_table_and_what_changed() {
    let bench = Bench::new();
    let file = repository("examples/trivial.wat");
    let outcome = bench.memopt(&["opt", &file, "--target", "x86_64"]);
    outcome
        .ends_with(0)
        .prints(";; wasm[1]::function[1], B.g'")
        .prints("15 > 0")
        .prints("wasm[2]::function[4], adapter B -> A.f', inlined into B.g' and B.run'")
        .prints(";; 15 functions without a change\n");
    let functions = |text: &str| text.matches(", as the passes leave it").count();
    assert_eq!(functions(&outcome.out), 3, "{outcome:#?}");
    let all = bench.memopt(&["opt", &file, "--target", "x86_64", "--all"]);
    assert_eq!(functions(&all.ends_with(0).out), 18, "{all:#?}");
    let named = bench.memopt(&["opt", &file, "--function", "B.run'", "--target", "x86_64"]);
    named
        .ends_with(0)
        .prints("wasm[1]::function[2], as the passes");
}

#[test]
fn webassembly_is_bisected_too() {
    let bench = Bench::new();
    let file = repository("examples/trivial.wat");
    let check = "grep -q 'explicit_slot 32'";
    let arguments = ["bisect", &file, "--check", check, "--target", "x86_64"];
    let outcome = bench.memopt(&arguments);
    outcome.ends_with(0).prints(": edit ").prints("freed_slots");
}

/// `Cargo.lock` has the text format as Wasmtime 48 knows it; newer ones refuse this.
#[test]
fn the_text_format_is_that_of_wasmtime() {
    let bench = Bench::new();
    let text = "(component (core func (canon thread.yield cancellable)))";
    bench.write("yields.wat", text);
    bench
        .memopt(&["opt", "yields.wat", "-W", "all-proposals"])
        .ends_with(0);
}

#[test]
fn what_no_proposal_allows_has_no_advice() {
    let bench = Bench::new();
    bench.write("wrong.wat", "(module (func (result i32) (i64.const 1)))");
    let outcome = bench.memopt(&["opt", "wrong.wat"]);
    let said = &outcome.ends_with(2).err;
    assert!(!said.contains("all-proposals"), "{said}");
}
