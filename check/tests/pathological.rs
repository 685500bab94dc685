//! The checker on functions that nobody writes.

#[path = "../../tests/pathological/functions.rs"]
mod functions;

use cranelift_codegen::Context;
use cranelift_codegen::ir::Function;
use cranelift_memopt::{NoPolicy, Options};
use functions::{host, within_limits};
use memopt_check::{Checking, run_module_checked};

/// No run is refused, which would be an error.
fn prove(function: fn() -> Function) {
    let func = function();
    let result = within_limits(move || {
        let mut contexts = [Context::for_function(func)];
        let (options, checking) = (Options::max(), Checking::Fail);
        run_module_checked(&mut contexts, &*host(), &|_| &NoPolicy, &options, checking)
    });
    // A limit is none.
    assert!(result.is_ok(), "{:?}", result.err());
}

#[test]
fn blocks_in_a_row() {
    prove(functions::blocks_in_a_row);
}

#[test]
fn far_from_its_base() {
    prove(functions::far_from_its_base);
}

#[test]
fn far_from_a_slot() {
    prove(functions::far_from_a_slot);
}

#[test]
fn loads_that_feed_each_other() {
    prove(functions::loads_that_feed_each_other);
}

#[test]
fn value_through_memory() {
    prove(functions::value_through_memory);
}

#[test]
fn regions_at_joins() {
    prove(functions::regions_at_joins);
}

#[test]
fn nest_of_loops() {
    prove(functions::nest_of_loops);
}
