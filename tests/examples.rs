//! The examples run, and what they assert holds.
#![allow(dead_code, reason = "an example is a program of its own")]

use std::error::Error;

#[path = "../examples/jit.rs"]
mod jit;
#[path = "../examples/object.rs"]
mod object;
#[path = "../examples/policy.rs"]
mod policy;
#[path = "../examples/regions.rs"]
mod regions;
#[path = "../examples/threads.rs"]
mod threads;
#[path = "../examples/variables.rs"]
mod variables;

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn a_jit_runs_what_it_optimized() -> Outcome {
    jit::main()
}

#[test]
fn an_object_file_is_linked_and_runs() -> Outcome {
    object::main()
}

#[test]
fn a_policy_from_text_has_its_say() -> Outcome {
    policy::main()
}

#[test]
fn a_front_end_tags_its_memory() -> Outcome {
    regions::main()
}

#[test]
fn threads_compile_the_same() -> Outcome {
    threads::main()
}

#[test]
fn a_local_in_a_slot_costs_as_much_as_a_variable() -> Outcome {
    variables::main()
}
