//! The passes on functions that nobody writes, see [`functions`].

#[path = "pathological/functions.rs"]
mod functions;
#[path = "pathological/slots.rs"]
mod slots;

use cranelift_codegen::Context;
use cranelift_codegen::ir::Function;
use cranelift_memopt::{NoPolicy, Options, Stats, run_module};
use functions::{host, within_limits};

fn optimize(function: fn() -> Function) -> Stats {
    let func = function();
    within_limits(move || {
        let mut contexts = [Context::for_function(func)];
        let options = Options::max();
        run_module(&mut contexts, &*host(), &|_| &NoPolicy, &options).unwrap()[0]
    })
}

#[test]
fn a_million_blocks_in_a_row() {
    // All but one go, unless a limit is named.
    let stats = optimize(functions::blocks_in_a_row);
    let gone = stats.dead_stores + stats.noop_stores;
    assert!(gone == 999_999 || stats.limits_hit > 0, "{stats}");
}

#[test]
fn a_long_way_to_the_base_of_an_address() {
    assert_eq!(optimize(functions::far_from_its_base).dead_stores, 1);
}

#[test]
fn a_long_way_from_a_slot() {
    let stats = optimize(functions::far_from_a_slot);
    assert_eq!((stats.dead_stores, stats.freed_slots), (1, 1));
}

#[test]
fn a_hundred_thousand_loads_that_feed_each_other() {
    assert_eq!(
        optimize(functions::loads_that_feed_each_other).unused_loads,
        100_000
    );
}

#[test]
fn a_value_that_is_stored_and_loaded_again_and_again() {
    // Nobody uses the last one.
    let stats = optimize(functions::value_through_memory);
    assert_eq!((stats.forwarded_loads, stats.unused_loads), (99_999, 1));
}

#[test]
fn a_thousand_regions_at_a_thousand_joins() {
    optimize(functions::regions_at_joins);
}

#[test]
fn a_deep_nest_of_loops() {
    optimize(functions::nest_of_loops);
}

#[test]
fn a_thousand_locals_at_a_thousand_joins() {
    let stats = optimize(slots::slots_at_joins);
    assert_eq!((stats.promoted_fields, stats.freed_slots), (1000, 1000));
}

#[test]
fn locals_of_all_arms_meet_at_the_end_of_a_switch() {
    // The arguments would grow with the square of the arms.
    let stats = optimize(slots::slots_in_a_switch);
    assert!(stats.promoted_fields > 0 && stats.limits_hit > 0, "{stats}");
}
