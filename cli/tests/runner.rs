//! The filetest runner: what has to fail does fail, and blessing mends it.

mod common;

use common::{Bench, repository};

/// A function with a store that the passes leave alone, because it may trap.
const KEPT: &str = "\
function %f(i64, i64) {
block0(v0: i64, v1: i64):
    store v1, v0
    return
}
";

/// A function with a store that nobody observes.
const DEAD: &str = "\
function %f(i64) {
    ss0 = explicit_slot 8
    region0 = 1 \"R\"
block0(v0: i64):
    v1 = stack_addr.i64 ss0
    store notrap aligned region0 v0, v1
    return
}
";

fn test(header: &str, function: &str, comments: &str) -> common::Outcome {
    let bench = Bench::new();
    let text = format!("{header}\nset opt_level=speed\ntarget x86_64\n\n{function}{comments}");
    bench.write("a.clif", text);
    bench.memopt(&["test", "a.clif"])
}

#[test]
fn a_met_check_passes() {
    let outcome = test("test memopt", KEPT, "; check: store v1, v0\n");
    outcome.ends_with(0).prints("1 passed, 0 failed");
}

#[test]
fn a_missed_check_fails() {
    let outcome = test("test memopt", KEPT, "; not: store\n");
    outcome.ends_with(1).prints("FAILED a.clif").prints("%f");
}

#[test]
fn a_wrong_precise_output_fails_with_a_diff() {
    let outcome = test("test memopt precise-output", KEPT, "\n; nothing\n");
    outcome.ends_with(1).prints("-nothing").prints("+block0(");
}

#[test]
fn a_wrong_count_fails() {
    let kept = test("test memopt", KEPT, "; stats: dead_stores=1\n");
    kept.ends_with(1).prints("expected dead_stores=1");
    let right = test("test memopt", KEPT, "; stats: dead_stores=0 edits=0\n");
    right.ends_with(0);
}

#[test]
fn a_counter_that_does_not_exist_is_refused() {
    let outcome = test("test memopt", KEPT, "; stats: red_stores=1\n");
    outcome
        .ends_with(2)
        .complains("a.clif:10:10: unknown counter `red_stores`; the counters are edits, ");
}

#[test]
fn what_is_executed_is_counted() {
    let kept = test("test memopt", KEPT, "; dyn: %f(a, b) stores=1 loads=0\n");
    kept.ends_with(0);
    let dead = test("test memopt", DEAD, "; dyn: %f(a) stores=1\n");
    dead.ends_with(1)
        .prints("executed stores=0 loads=0 calls=0; before the passes stores=1");
    let unread = test("test optimize", DEAD, "; dyn: %f(a) stores=1\n");
    unread.ends_with(2).complains("`dyn:` without a command");
}

#[test]
fn a_test_that_checks_nothing_is_refused() {
    let outcome = test("test memopt", KEPT, "; just prose\n");
    outcome
        .ends_with(2)
        .complains("`test memopt` checks nothing");
    test("test optimize", KEPT, "").ends_with(0);
}

#[test]
fn an_expectation_before_all_functions_is_refused() {
    let outcome = test("test memopt\n; stats: edits=0", KEPT, "");
    outcome
        .ends_with(2)
        .complains("a.clif:2:1: this belongs behind");
}

#[test]
fn passes_that_do_not_run_are_not_tested() {
    let bench = Bench::new();
    bench.write("a.clif", format!("test memopt\n\n{KEPT}; check: store\n"));
    let outcome = bench.memopt(&["test", "a.clif"]);
    outcome
        .ends_with(2)
        .complains("without `set opt_level=speed`");
    let none = format!("test memopt\nset opt_level=none\n\n{KEPT}; stats: edits=0\n");
    bench.write("a.clif", none);
    bench.memopt(&["test", "a.clif"]).ends_with(0);
}

#[test]
fn a_call_that_nothing_runs_is_refused() {
    let outcome = test(
        "test memopt",
        DOUBLE,
        "; check: iadd\n; run: %double(4) == 8\n",
    );
    outcome
        .ends_with(2)
        .complains("`run:` and `print:` need `test run` or `test interpret`");
    let both = "test memopt\ntest run";
    test(both, DOUBLE, "; check: iadd\n; run: %double(4) == 8\n").ends_with(0);
}

#[test]
fn a_policy_about_nothing_is_told_with_a_failure() {
    let text = KEPT.replace("function", "; policy: callee %hots reads 2\nfunction");
    test("test memopt", &text, "; check: store\n").ends_with(0);
    let outcome = test("test memopt", &text, "; not: store\n");
    outcome
        .ends_with(1)
        .prints("a.clif:5:11: this clause is about no function");
}

/// `%f` shuffles bytes, which takes a function where there is no SSSE3.
#[cfg(target_arch = "x86_64")]
#[test]
fn machine_code_finds_the_functions_that_cranelift_calls() {
    let shuffle = "\
function %f(i8x16, i8x16) -> i8x16 {
block0(v0: i8x16, v1: i8x16):
    v2 = swizzle v0, v1
    return v2
}
; run: %f(0x0f0e0d0c0b0a09080706050403020100, 0x800f0e0d0c0b0a090807060504030201) == 0x000f0e0d0c0b0a090807060504030201
";
    let bench = Bench::new();
    let target = "target x86_64 has_sse3=0 has_ssse3=0 has_sse41=0 has_sse42=0";
    let text = format!("test run\nset opt_level=speed\n{target}\n\n{shuffle}");
    bench.write("a.clif", &text);
    bench.memopt(&["test", "a.clif"]).ends_with(0);
    bench.write("a.clif", text.replace("== 0x00", "== 0x01"));
    bench.memopt(&["test", "a.clif"]).ends_with(1);
}

#[test]
fn host_functions_have_names() {
    let calls = |name: &str| {
        format!(
            "function %f(f64) -> f64 {{\n    fn0 = %{name}(f64) -> f64\nblock0(v0: f64):\n    \
             v1 = call fn0(v0)\n    return v1\n}}\n; run: %f(0x1.4p1) == 0x1.8p1\n"
        )
    };
    test("test run", &calls("ceil"), "").ends_with(0);
    test("test run", &calls("floor"), "").ends_with(1);
    let absent = test("test run", &calls("upwards"), "");
    absent
        .ends_with(1)
        .prints("%f refers to %upwards, which is neither in the file nor a host function")
        .prints("ceil, ceilf");
}

#[test]
fn unknown_commands_and_options_are_refused() {
    let outcome = test("test mempot", KEPT, "");
    outcome
        .ends_with(2)
        .complains("a.clif:1:6: unknown test command `mempot`");
    let outcome = test("test memopt loudly", KEPT, "");
    outcome
        .ends_with(2)
        .complains("a.clif:1:13: unknown option `loudly`");
}

#[test]
fn a_pass_can_be_switched_off() {
    test("test memopt", DEAD, "; not: store\n").ends_with(0);
    // Promotion takes the slot, and its stores with it.
    test("test memopt no-promote-slots", DEAD, "; not: store\n").ends_with(0);
    let none = "test memopt no-promote-slots no-dead-stores";
    test(none, DEAD, "; not: store\n").ends_with(1);
}

#[test]
fn a_file_has_to_fail_without_the_pass_it_needs() {
    let needs = "test memopt no-promote-slots\n;; needs: dead_stores";
    let needed = test(needs, DEAD, "; not: store\n");
    needed.ends_with(0).prints("2 passed, 0 failed");
    let idle = test("test memopt\n;; needs: noop-stores", DEAD, "; not: store\n");
    idle.ends_with(1).prints("passes without noop_stores");
    let unknown = test("test memopt\n;; needs: magic", DEAD, "; not: store\n");
    unknown.ends_with(2).complains("a.clif:2:11: `magic`");
}

#[test]
fn what_is_for_other_versions_has_to_be_unmet_here() {
    for here in [">=0.135", ">=0.1, <9.0"] {
        let header = format!("test memopt\n;; cranelift: {here}");
        test(&header, KEPT, "; check: store v1, v0\n").ends_with(0);
        test(&header, KEPT, "; not: store\n").ends_with(1);
    }
    for elsewhere in ["<0.135", ">=9.0", ">=0.135 <0.135"] {
        let header = format!("test memopt\n;; cranelift: {elsewhere}");
        test(&header, KEPT, "; not: store\n").ends_with(0);
        test(&header, KEPT, "; stats: dead_stores=1\n").ends_with(0);
        test(&header, KEPT, "; dyn: %f(a, b) stores=0\n").ends_with(0);
        let holds = test(&header, KEPT, "; check: store v1, v0\n");
        holds
            .ends_with(1)
            .prints("holds for Cranelift 0.13")
            .prints(&format!("is for {elsewhere} alone"));
    }
}

#[test]
fn what_is_wrong_is_so_in_any_version() {
    let header = "test memopt\ntest run\n;; cranelift: <0.135";
    let comments = "; not: iadd\n; run: %double(4) == 8\n";
    test(header, DOUBLE, comments).ends_with(0);
    let wrong = test(header, DOUBLE, &comments.replace("== 8", "== 9"));
    wrong.ends_with(1).prints("actual: 8");
    let out = &wrong.out;
    assert!(!out.contains("filecheck"), "{out}");
    let counted = "; dyn: %double(4) stores=7\n; run: %double(4) == 8\n";
    test(header, DOUBLE, counted).ends_with(0);
}

#[test]
fn a_file_for_other_versions_is_not_blessed() {
    let bench = Bench::new();
    let header = "test memopt precise-output\nset opt_level=speed\ntarget x86_64\n";
    let text = format!("{header};; cranelift: <0.135\n\n{KEPT}\n; nothing\n");
    bench.write("a.clif", &text);
    bench.memopt_blessing(&["test", "a.clif"]).ends_with(0);
    assert_eq!(bench.read("a.clif"), text);
}

#[test]
fn a_pass_may_be_needed_in_some_versions_only() {
    let without = "test memopt no-promote-slots";
    let on = |bounds| format!("{without}\n;; needs: dead_stores on {bounds}");
    test(&on(">=0.135"), DEAD, "; not: store\n").ends_with(0);
    let needed = test(&on("<0.135"), DEAD, "; not: store\n");
    needed
        .ends_with(1)
        .prints("a.clif does not need dead_stores")
        .prints("needs dead_stores, and says that it does not");
    let idle = format!("{without}\n;; needs: noop_stores on <0.135");
    let idle = test(&idle, DEAD, "; not: store\n");
    idle.ends_with(0).prints("2 passed, 0 failed");
    // Nothing that a file for other versions states is to hold, and no pass is needed for it.
    let elsewhere = format!("{without}\n;; cranelift: <0.135\n;; needs: dead_stores");
    let elsewhere = test(&elsewhere, DEAD, "; check: store\n");
    elsewhere.ends_with(0).prints("1 passed, 0 failed");
}

#[test]
fn bounds_that_are_none_are_refused() {
    let outcome = test("test memopt\n;; cranelift: 0.137", KEPT, "; check: store\n");
    outcome
        .ends_with(2)
        .complains("a.clif:2:15: `0.137` is not `<0.N` or `>=0.N`");
    let outcome = test(
        "test memopt\n;; needs: dead_stores on <137",
        DEAD,
        "; not: store\n",
    );
    outcome.ends_with(2).complains("`137` is not the number");
    let twice = "test memopt\n;; cranelift: <0.137\n;; cranelift: >=0.136";
    let outcome = test(twice, KEPT, "; check: store\n");
    outcome
        .ends_with(2)
        .complains("a.clif:3:15: one `cranelift:` line can say all");
}

#[test]
fn blessing_writes_what_then_passes() {
    let bench = Bench::new();
    let header = "test memopt precise-output\nset opt_level=speed\ntarget x86_64\n\n";
    let kept = "; stats: edits=0\n; policy: lost-at-trap 1\n";
    let second = KEPT.replace("%f", "%g");
    let second = second.replace("block0", "    region0 = 1 \"R\"\nblock0");
    bench.write("a.clif", format!("{header}{KEPT}{kept}{second}"));
    bench.memopt(&["test", "a.clif"]).ends_with(1);
    let blessing = bench.memopt_blessing(&["test", "a.clif"]);
    blessing.ends_with(0).prints("BLESSED a.clif");
    bench.memopt(&["test", "a.clif"]).ends_with(0);
    let text = bench.read("a.clif");
    assert!(
        text.contains("; stats: edits=0\n\n; function %f("),
        "{text}"
    );
    assert!(
        text.contains("\n\n; policy: lost-at-trap 1\nfunction %g"),
        "{text}"
    );
    bench.memopt_blessing(&["test", "a.clif"]).ends_with(0);
    assert_eq!(bench.read("a.clif"), text);
}

#[test]
fn machine_code_is_blessed_too() {
    let bench = Bench::new();
    let header = "test compile memopt precise-output\nset opt_level=speed\ntarget aarch64\n\n";
    bench.write("a.clif", format!("{header}{DEAD}"));
    bench.memopt_blessing(&["test", "a.clif"]).ends_with(0);
    bench.memopt(&["test", "a.clif"]).ends_with(0);
    let text = bench.read("a.clif");
    assert!(text.contains("; VCode:\n"), "{text}");
    assert!(text.contains("; Disassembled:\n"), "{text}");
    assert!(!text.contains(";   str "), "{text}");
}

#[test]
fn targets_that_differ_cannot_share_an_expectation() {
    let bench = Bench::new();
    let header = "test compile precise-output\ntarget aarch64\ntarget riscv64\n\n";
    bench.write("a.clif", format!("{header}{KEPT}"));
    let outcome = bench.memopt_blessing(&["test", "a.clif"]);
    outcome.ends_with(1).prints("test compile on riscv64");
    assert!(bench.read("a.clif").ends_with("}\n"));
}

#[test]
fn a_policy_reaches_the_next_function_alone() {
    let bench = Bench::new();
    let call = |name: &str| {
        format!(
            "function %{name}(i64) {{
    region0 = 1 \"R\"
    fn0 = %callee()
block0(v0: i64):
    v1 = iconst.i64 1
    store notrap aligned region0 v1, v0
    call fn0()
    v2 = iconst.i64 2
    store notrap aligned region0 v2, v0
    return
}}
"
        )
    };
    let (plain, told) = (call("plain"), call("told"));
    let text = format!(
        "test memopt\nset opt_level=speed\ntarget x86_64\n\n\
         {plain}; stats: dead_stores=0\n\n\
         ; policy: callee %callee\n{told}; stats: dead_stores=1\n"
    );
    bench.write("a.clif", &text);
    bench.memopt(&["test", "a.clif"]).ends_with(0);
    bench.write("b.clif", text.replace("callee %callee", "called %callee"));
    let wrong = bench.memopt(&["test", "b.clif"]);
    wrong
        .ends_with(2)
        .complains("b.clif:18:11: unknown policy clause");
}

const DOUBLE: &str = "\
function %double(i64) -> i64 {
    ss0 = explicit_slot 8
block0(v0: i64):
    v1 = stack_addr.i64 ss0
    store v0, v1
    v2 = load.i64 v1
    v3 = iadd v0, v2
    return v3
}
";

#[test]
fn functions_are_run_on_both_machines() {
    for command in ["test run", "test interpret"] {
        test(command, DOUBLE, "; run: %double(4) == 8\n").ends_with(0);
        let wrong = test(command, DOUBLE, "; run: %double(4) == 9\n");
        wrong.ends_with(1).prints("actual: 8");
        test(command, DOUBLE, "").ends_with(2);
    }
}

#[test]
fn a_call_reaches_the_other_functions_of_the_file() {
    let caller = "
function %twice(i64) -> i64 {
    fn0 = %double(i64) -> i64
block0(v0: i64):
    v1 = call fn0(v0)
    v2 = call fn0(v1)
    return v2
}
; run: %twice(3) == 12
";
    let both = "test run\ntest interpret";
    test(both, DOUBLE, caller).ends_with(0);
}

#[cfg(unix)]
#[test]
fn a_crash_names_its_test() {
    let text = "function %f() -> i8 {\nblock0:\n    trap user1\n}\n";
    let outcome = test("test run", text, "; run\n");
    assert_eq!(outcome.code, None);
    outcome.complains("machine code crashed in a.clif: test run");
}

#[test]
fn announced_verifier_errors_are_expected() {
    let wrong = "function %f() -> i32 {\nblock0:\n    return";
    let announced = format!("{wrong} ; error: must match function signature\n}}\n");
    test("test verifier", &announced, "").ends_with(0);
    let silent = format!("{wrong}\n}}\n");
    test("test verifier", &silent, "")
        .ends_with(1)
        .prints("not expected");
    let header = "test verifier";
    let missing = KEPT.replace("store v1, v0", "store v1, v0 ; error: no such thing");
    test(header, &missing, "")
        .ends_with(1)
        .prints("missing: inst0");
}

#[test]
fn directories_are_searched() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("sub")).unwrap();
    bench.write("sub/a.clif", format!("test optimize\n\n{KEPT}"));
    bench.write("sub/notes.md", "no test");
    bench.memopt(&["test", "."]).ends_with(0).prints("1 passed");
    let missing = bench.memopt(&["test", "nowhere", "sub"]);
    missing
        .ends_with(2)
        .complains("nowhere: ")
        .prints("1 passed, 0 failed, 1 unusable");
}

/// What a newcomer does first.
#[test]
fn the_readmes_filetest_passes_once_its_output_is_accepted() {
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let (_, section) = readme.split_once("## Writing a filetest").unwrap();
    let blocks = section.split("\n```\n");
    let example = blocks
        .into_iter()
        .find(|block| block.starts_with("test memopt"));
    let bench = Bench::new();
    bench.write("mine.clif", example.expect("an example"));
    bench.memopt(&["test", "mine.clif"]).ends_with(1);
    let accepted = bench.memopt_blessing(&["test", "mine.clif"]);
    accepted.ends_with(0);
    bench.memopt(&["test", "mine.clif"]).ends_with(0);
}
