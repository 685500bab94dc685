//! `memopt bisect`: it finds the one edit, and says when there is none to find.

mod common;

use common::Bench;

/// Three fields in one function, and two in another, that are stored and never read.
const FIVE: &str = "\
test verifier

function %f(i64, i64) {
    ss0 = explicit_slot 24
block0(v0: i64, v1: i64):
    v2 = stack_addr.i64 ss0
    store notrap aligned v0, v2
    store notrap aligned v0, v2+8
    store notrap aligned v1, v2+16
    return
}
; kept: the comment

function %g(i64) {
    ss0 = explicit_slot 24
block0(v0: i64):
    v1 = stack_addr.i64 ss0
    store notrap aligned v0, v1
    store notrap aligned v0, v1+16
    return
}
";

fn bisect(check: &str) -> common::Outcome {
    let bench = Bench::new();
    bench.write("a.clif", FIVE);
    bench.memopt(&["bisect", "a.clif", "--check", check, "--target", "x86_64"])
}

#[test]
fn the_edit_that_breaks_a_command_is_found() {
    for (store, function) in [("v0, v2+8", "%f"), ("v1, v2+16", "%f"), ("v0, v1+16", "%g")] {
        let outcome = bisect(&format!("grep -q 'store notrap aligned {store}$'"));
        outcome
            .ends_with(0)
            .prints(&format!("of {function} (promoted_fields)\n"))
            .prints(&format!("-    store notrap aligned {store}\n"));
        // With the last access its address goes, too.
        assert_eq!(
            outcome.out.matches("\n-    store").count(),
            1,
            "{outcome:#?}"
        );
    }
}

#[test]
fn what_is_around_the_functions_is_kept() {
    let outcome = bisect("grep -qx '; kept: the comment' \"$1\" && grep -q 'v0, v2$'");
    outcome
        .ends_with(0)
        .prints("-    store notrap aligned v0, v2\n");
    let runner = env!("CARGO_BIN_EXE_memopt");
    let outcome = bisect(&format!("{runner} test \"$1\" && grep -q 'v0, v2$'"));
    outcome
        .ends_with(0)
        .prints("-    store notrap aligned v0, v2\n");
}

#[test]
fn there_may_be_nothing_to_find() {
    bisect("true")
        .ends_with(2)
        .complains("`true` succeeds with all edits");
    bisect("false")
        .ends_with(2)
        .complains("`false` fails without any edit");
    let absent = bisect("no-such-program");
    absent
        .ends_with(2)
        .complains("`no-such-program` cannot be run");
}

#[test]
fn the_edit_is_printed_with_its_reason() {
    let bench = Bench::new();
    let text = "function %f(i64, i64, i64) {
    region0 = 1 \"mine\"
    fn0 = %host(i64)
block0(v0: i64, v1: i64, v2: i64):
    store notrap aligned region0 v1, v0
    call fn0(v0)
    store notrap aligned region0 v2, v0
    return
}
";
    bench.write("a.clif", text);
    bench.write("a.policy", "callee %host reads 2\n");
    let check = ["--check", "grep -q 'v1, v0'"];
    let outcome =
        bench.memopt(&[&["bisect", "a.clif", "--policy", "a.policy"][..], &check].concat());
    outcome.ends_with(0).prints(
        "a.clif: edit 1 of %f (dead_stores)\n    store inst0 removed: the store at inst2 overwrites",
    );
}
