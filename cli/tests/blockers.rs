//! For the `not-` twins of filetests, the remark about what is kept names the true blocker:
//! what the twin has and its positive has not.

mod common;

use common::{Bench, repository};

/// A file, a function in it, and how the remark begins.
type Expected = (&'static str, &'static str, &'static str);

const ADAPTER: &[Expected] = &[
    (
        "not-around-a-loop-with-unknown-callee",
        "%adapter",
        "store inst5 kept: the call of %unknown at inst7 may read region0",
    ),
    (
        "not-code-aarch64",
        "%adapter",
        "store inst5 kept: the call of %unknown at inst6 may read region0",
    ),
    (
        "not-code-riscv64",
        "%adapter",
        "store inst3 kept: the call of %unknown at inst6 may read region1",
    ),
    (
        "not-code-s390x",
        "%adapter",
        "store inst4 kept: the call of %unknown at inst6 may read region2",
    ),
    (
        "not-code-x86_64",
        "%adapter",
        "store inst5 kept: the call of %unknown at inst6 may read region0",
    ),
    (
        "not-in-a-loop-with-unknown-callee",
        "%adapter",
        "store inst6 kept: the call of %unknown at inst7 may read region0",
    ),
    (
        "not-two-records-with-an-observer-between",
        "%caller",
        "store inst14 kept: the call of %unknown at inst15 may read region0",
    ),
    (
        "not-variant-plain-with-unknown-callee",
        "%adapter",
        "load inst7 kept: the call of %unknown at inst6 may write region0",
    ),
    (
        "not-when-callee-of-callee-reads-current-task",
        "%adapter",
        "store inst5 kept: the call of %middle at inst6 may read region0",
    ),
    (
        "not-when-callee-reads-current-task",
        "%adapter",
        "store inst5 kept: the call of %callee at inst6 may read region0",
    ),
    (
        "not-when-callee-unknown",
        "%adapter",
        "store inst5 kept: the call of %unknown at inst6 may read region0 \
         (\"VMContext.current_task\"); define %unknown in the same batch, or tell the policy",
    ),
    (
        "not-when-the-record-is-passed",
        "%adapter",
        "store inst3 kept: the call of %callee at inst6 may read region1",
    ),
    (
        "not-with-indirect-call",
        "%adapter",
        "store inst5 kept: the call at inst6 may read region0",
    ),
    (
        "not-with-indirect-call-that-may-trap",
        "%adapter",
        "store inst5 kept: the call at inst7 may trap or unwind, and region0",
    ),
    (
        "not-with-one-of-two-callees-that-reads",
        "%adapter",
        "store inst15 kept: the call of %other at inst9 may read region0",
    ),
    (
        "not-with-tail-call",
        "%adapter",
        "store inst5 kept: region0 (\"VMContext.current_task\") outlives the function, which ends \
         with the call of %callee at inst6",
    ),
    (
        "not-with-trap",
        "%adapter",
        "store inst5 kept: the call of %callee at inst6 may trap or unwind, and region0",
    ),
    (
        "not-with-trap-before-the-old-pointer-is-back",
        "%adapter",
        "store inst5 kept: the trapz at inst7 may trap, and region0",
    ),
    (
        "not-with-try-call",
        "%adapter",
        "store inst5 kept: the call of %log at inst10 may read region0",
    ),
];

const DEAD_STORES: &[Expected] = &[
    (
        "not-across-a-load-through-another-pointer",
        "%f",
        "store inst1 kept: the load at inst2 may read region0",
    ),
    (
        "not-across-call-that-reads",
        "%f",
        "store inst1 kept: the call of %callee at inst2 may read region0",
    ),
    (
        "not-before-a-loop-that-never-ends-and-calls",
        "%f",
        "store inst0 kept: the call at inst2 may read region0",
    ),
    (
        "not-before-a-division-that-may-trap",
        "%f",
        "store inst0 kept: the udiv at inst1 may trap, and region0 (\"state\") outlives that; \
         tell the policy if region 1 is lost at a trap",
    ),
    (
        "not-before-an-overwriter-that-may-trap",
        "%f",
        "store inst0 kept: the store at inst1 may trap, and region0",
    ),
    (
        "not-overwritten-behind-a-loop-that-reads",
        "%f",
        "store inst2 kept: the load at inst4 may read region0",
    ),
    (
        "not-overwritten-by-the-same-name-of-the-next-iteration",
        "%f",
        "store inst7 kept: the load at inst8 may read region0",
    ),
    (
        "not-under-another-offset-that-is-not-known",
        "%f",
        "store inst2 kept: region0 (\"state\") outlives the function",
    ),
    (
        "not-wider-store-before-narrower",
        "%f",
        "store inst0 kept: region0 (\"state\") outlives the function",
    ),
];

const FORWARD: &[Expected] = &[
    (
        "not-across-call-that-writes",
        "%f",
        "load inst2 kept: the call of %callee at inst1 may write region0",
    ),
    (
        "not-across-diamond-with-store-through-another-pointer",
        "%f",
        "load inst9 kept: the store at inst3 may write region0",
    ),
    (
        "not-across-store-through-readonly-load-of-a-published-slot",
        "%f",
        "load inst7 kept: the store at inst6 may write region1",
    ),
    (
        "not-across-store-without-region",
        "%f",
        "load inst3 kept: the store at inst2 may write region0 (\"state\"); inst2 has no alias \
         region: tag it",
    ),
    (
        "not-eight-bytes-out-of-two-stores",
        "%f",
        "load inst2 kept: the istore32 at inst1 may write region0",
    ),
    (
        "not-into-a-loop-that-stores-there",
        "%f",
        "load inst5 kept: the istore8 at inst7 may write region0",
    ),
    (
        "not-load-again-after-overlapping-store",
        "%f",
        "load inst2 kept: the store at inst1 may write region0",
    ),
    (
        "not-memory-across-fence",
        "%f",
        "load inst3 kept: the fence at inst2 may write region0",
    ),
    (
        "not-memory-across-fence",
        "%f",
        "store inst1 kept: the fence at inst2 lets other threads see region0",
    ),
    (
        "not-offset-spelled-as-addition-of-another-constant",
        "%f",
        "load inst4 kept: the store at inst2 may write region0",
    ),
    (
        "not-offset-spelled-as-subtraction-of-a-variable",
        "%f",
        "load inst3 kept: the store at inst2 may write region0",
    ),
    (
        "not-published-slot-across-store-without-region",
        "%f",
        "load inst6 kept: the store at inst5 may write region1",
    ),
    (
        "not-readonly-loads-across-atomic-cas",
        "%f",
        "load inst2 kept: the atomic_cas at inst1 may write region0",
    ),
    (
        "not-readonly-loads-across-atomic-rmw",
        "%f",
        "load inst2 kept: the atomic_rmw at inst1 may write region0",
    ),
    (
        "not-readonly-loads-across-atomic-store",
        "%atomic",
        "load inst2 kept: the atomic_store at inst1 may write region0",
    ),
    (
        "not-readonly-loads-across-atomic-store-without-region",
        "%f",
        "load inst2 kept: the atomic_store at inst1 may write region0",
    ),
    (
        "not-readonly-loads-across-sequence-point",
        "%f",
        "load inst2 kept: the sequence_point at inst1 may write region0",
    ),
    (
        "not-readonly-loads-across-store-in-this-function",
        "%f",
        "load inst3 kept: the store at inst2 may write region0",
    ),
    (
        "not-readonly-loads-across-store-through-another-pointer",
        "%f",
        "load inst2 kept: the store at inst1 may write region0",
    ),
    (
        "not-store-to-load-past-store-through-another-pointer",
        "%f",
        "load inst3 kept: the store at inst2 may write region0",
    ),
];

const SLOTS: &[Expected] = &[
    (
        "not-dead-at-a-return-if-it-is-outside-of-its-slot",
        "%f",
        "store inst1 kept: what it writes outlives the function",
    ),
    (
        "not-indexed-slot-that-a-call-gets",
        "%f",
        "store inst2 kept: the call at inst4 may read region0",
    ),
    (
        "not-keyed-slot-at-a-trap",
        "%f",
        "store inst1 kept: the outside can see ss0",
    ),
    (
        "not-one-slot-at-an-offset-that-is-not-known",
        "%f",
        "load inst6 kept: the store at inst5 may write region0",
    ),
    (
        "not-slot-is-read-by-the-callee",
        "%f",
        "store inst1 kept: the call at inst2 may read region0",
    ),
    (
        "not-slot-that-a-sequence-point-names",
        "%f",
        "store inst1 kept: the outside can see ss0",
    ),
    (
        "not-two-slots-if-one-access-is-outside",
        "%f",
        "store inst2 kept: the outside can see ss0",
    ),
    (
        "not-two-slots-if-one-atomic-access-is-outside",
        "%f",
        "store inst3 kept: the outside can see ss1",
    ),
];

const CALL_EFFECTS: &[Expected] = &[
    (
        "not-call-on-one-path-that-is-unknown",
        "%f",
        "load inst5 kept: the call of %unknown at inst2 may write region0",
    ),
    (
        "not-call-through-a-choice-of-function-addresses",
        "%f",
        "load inst5 kept: the call at inst4 may write region0",
    ),
    (
        "not-callee-that-may-write-the-region",
        "%f",
        "load inst2 kept: the call of %callee at inst1 may write region0",
    ),
    (
        "not-callee-that-stores-atomically-outside-of-its-slot",
        "%store_caller",
        "load inst2 kept: the call of %store_callee at inst1 may write region0",
    ),
    (
        "not-callee-that-stores-outside-of-its-slot",
        "%store_caller",
        "load inst2 kept: the call of %store_callee at inst1 may write region0",
    ),
    (
        "not-callee-that-stores-outside-of-its-slot-in-another-region",
        "%store_caller",
        "load inst2 kept: the call of %store_callee at inst1 may write region0",
    ),
    (
        "not-context-get-then-set",
        "%adapter",
        "store inst2 kept: the call of %callee at inst3 may read region0",
    ),
    (
        "not-context-slot-that-is-read",
        "%adapter",
        "store inst4 kept: the call of %callee at inst5 may read region1",
    ),
    (
        "not-dead-before-call-that-copies-it-as-struct-argument",
        "%f",
        "store inst1 kept: the call of %callee at inst2 may read region0",
    ),
    (
        "not-dead-before-callee-that-loads-outside-of-its-slot",
        "%caller",
        "store inst0 kept: the call of %callee at inst1 may read region0",
    ),
    (
        "not-dead-before-callee-that-may-overwrite",
        "%f",
        "store inst1 kept: region0 (\"state\") outlives the function",
    ),
    (
        "not-dead-before-memcmp",
        "%f",
        "store inst0 kept: the call of %Memcmp at inst1 may read region0",
    ),
    (
        "not-memmove-writes-nothing",
        "%f",
        "load inst2 kept: the call of %Memmove at inst1 may write region0",
    ),
    (
        "not-mutual-recursion-that-writes-the-region",
        "%f",
        "load inst2 kept: the call of %count at inst1 may write region0",
    ),
    (
        "not-no-write-when-another-value-is-restored",
        "%f",
        "load inst2 kept: the call of %publisher at inst1 may write region0",
    ),
    (
        "not-no-write-when-restored-from-elsewhere",
        "%f",
        "load inst2 kept: the call of %publisher at inst1 may write region0",
    ),
    (
        "not-no-write-when-restored-on-one-path",
        "%f",
        "load inst2 kept: the call of %publisher at inst1 may write region0",
    ),
    (
        "not-pure-libcall-memcpy",
        "%f",
        "store inst1 kept: the call of %Memcpy at inst2 may read region0",
    ),
    (
        "not-pure-libcall-memset",
        "%f",
        "load inst5 kept: the call of %Memset at inst2 may write region0",
    ),
    (
        "not-recursion-that-restores-on-the-way-up-alone",
        "%f",
        "load inst2 kept: the call of %publisher at inst1 may write region0",
    ),
    (
        "not-recursion-that-writes-the-region",
        "%f",
        "load inst2 kept: the call of %count at inst1 may write region0",
    ),
    (
        "not-when-callee-stores-without-region",
        "%f",
        "load inst2 kept: the call of %callee at inst1 may write region0",
    ),
    (
        "not-when-two-callees-have-one-name",
        "%f",
        "load inst2 kept: the call of %callee at inst1 may write region0",
    ),
];

/// The remarks about `function` in the text of all.
fn remarks_of<'t>(text: &'t str, function: &str) -> impl Iterator<Item = &'t str> {
    let head = format!("{function}:");
    let lines = text.lines().skip_while(move |line| *line != head).skip(1);
    lines
        .take_while(|line| line.starts_with("  "))
        .map(str::trim_start)
}

#[track_caller]
fn compare(folder: &str, expected: &[Expected]) {
    let bench = Bench::new();
    let mut wrong = Vec::new();
    for (file, function, beginning) in expected {
        let path = repository(&format!("filetests/{folder}/{file}.clif"));
        let outcome = bench.memopt(&["explain", &path, "--remarks", "text"]);
        let text = &outcome.ends_with(0).out;
        let mut remarks = remarks_of(text, function);
        if !remarks.any(|remark| remark.starts_with(beginning)) {
            wrong.push(format!("{file}: no `{beginning}` in\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_adapters() {
    compare("adapter", ADAPTER);
}

#[test]
fn of_dead_stores() {
    compare("dead-stores", DEAD_STORES);
}

#[test]
fn of_forwarded_loads() {
    compare("forward", FORWARD);
}

#[test]
fn of_slots() {
    compare("slots", SLOTS);
}

#[test]
fn of_calls() {
    compare("call-effects", CALL_EFFECTS);
}

/// Who is known already is not asked for.
#[test]
fn a_callee_that_is_known_is_no_advice() {
    let file = repository("filetests/adapter/not-when-callee-reads-current-task.clif");
    let outcome = Bench::new().memopt(&["explain", &file, "--remarks", "text"]);
    outcome.ends_with(0).prints("the call of %callee at inst6");
    assert!(!outcome.out.contains("define %callee"), "{outcome:#?}");
}

/// Both functions load a pointer first behind a call; a call changes nothing that is `readonly`
/// and not stored here.
#[test]
fn no_call_is_to_blame_for_a_load_of_what_never_changes() {
    let clif = |flags| {
        format!(
            "function %f(i64) -> i64 {{\n    region0 = 1 \"imports\"\n    fn0 = %host(i64)\n\
             block0(v0: i64):\n    call fn0(v0)\n    \
             v1 = load.i64 notrap aligned {flags} region0 v0\n    return v1\n}}\n"
        )
    };
    let bench = Bench::new();
    let remarks = |flags| {
        let path = bench.write("f.clif", clif(flags));
        let path = path.to_str().expect("a path in text");
        let outcome = bench.memopt(&["explain", path, "--remarks", "text", "--effort", "full"]);
        outcome.ends_with(0).out.clone()
    };
    let changing = remarks("");
    assert!(
        changing.contains("the call of %host at inst0 may write"),
        "{changing}"
    );
    let constant = remarks("readonly");
    assert!(!constant.contains("may write"), "{constant}");
    assert!(
        constant.contains("nothing has accessed the bytes before"),
        "{constant}"
    );
}

/// Of the two paths one ends the function and the other calls out.
#[test]
fn who_reads_on_another_path_than_the_one_that_returns_is_said_to_read() {
    let bench = Bench::new();
    let clif = "function %f(i64, i32) {\n    region0 = 1 \"mine\"\n    fn0 = %host()\n\
                block0(v0: i64, v1: i32):\n    store notrap aligned region0 v1, v0\n    \
                brif v1, block1, block2\n\
                block1:\n    return\n\
                block2:\n    call fn0()\n    return\n}\n";
    let path = bench.write("f.clif", clif);
    let path = path.to_str().expect("a path in text");
    let outcome = bench.memopt(&["explain", path, "--remarks", "text", "--effort", "full"]);
    outcome.ends_with(0).prints(
        "outlives the function, which ends with the return at inst2, \
         and the call of %host at inst3 may read it",
    );
}
