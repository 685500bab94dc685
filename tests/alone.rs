//! The passes on functions that no mid-end has tidied up, which filetests do not
//! show: their conditions on constants are still there to be threaded past.

use cranelift_codegen::Context;
use cranelift_codegen::isa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_memopt::{NoPolicy, Options, Stats, run_module};

/// block3 and block8 are copied at once. `v11` has to come from the copies of block8,
/// and what they pass, `v1`, from the copies of block3: a copy of one broken value is
/// another broken value.
const COPIES_OF_COPIES: &str = "
function u0:0(i64) -> i64 {
    ss0 = explicit_slot 8, align = 8
block0(v0: i64):
    v2 = iconst.i64 0
    v3 = iconst.i64 3
    v4 = icmp ult v2, v3
    v5 = iconst.i64 -1
    brif v4, block3(v2), block3(v5)
block3(v1: i64):
    v6 = iconst.i64 5
    v7 = icmp ult v5, v6
    brif v7, block1, block5
block1:
    return v2
block5:
    v8 = iconst.i64 -2
    v10 = ireduce.i32 v2
    br_table v10, block6(v2), [block6(v8)]
block6(v9: i64):
    v12 = iconst.i64 0
    jump block8(v1)
block8(v11: i64):
    v13 = iconst.i64 0x7bf5_72c0_9662_703b
    v14 = iconst.i64 4
    v15 = icmp ult v13, v14
    brif v15, block11(v12), block9(v11)
block9(v16: i64):
    v17 = iconst.i64 1
    v18 = icmp ult v11, v17
    brif v18, block11(v9), block11(v1)
block11(v19: i64):
    return v19
}";

/// Runs the passes, with the verifier behind them.
fn run(text: &str) -> Stats {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed").unwrap();
    flags.set("enable_verifier", "true").unwrap();
    let isa = isa::lookup_by_name("x86_64").unwrap();
    let isa = isa.finish(settings::Flags::new(flags)).unwrap();
    let mut functions = cranelift_reader::parse_functions(text).unwrap();
    let mut contexts = [Context::for_function(functions.remove(0))];
    let stats = run_module(&mut contexts, &*isa, &|_| &NoPolicy, &Options::max());
    let stats = stats.unwrap();
    stats[0]
}

#[test]
fn a_copy_that_is_a_broken_value_has_a_definition_of_its_own() {
    let stats = run(COPIES_OF_COPIES);
    assert!(stats.threaded_branches >= 2, "{stats}");
}
