//! What is left of adapters on the way round the hot loop, and that they
//! compute the same in all variants.

use adapter_bench::component::{Effort, Report, measure};
use adapter_bench::hot::Counts;
use adapter_bench::read;
use adapter_bench::variant::Variant;
use std::path::Path;

fn report(file: &str, off: Option<&str>) -> Report {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let off = off.map(|off| read(&root.join(off)).unwrap());
    let wasm = read(&root.join(file)).unwrap();
    let effort = Effort {
        variants: &Variant::ALL,
        calls: 1000,
        rounds: 1,
    };
    measure(file, &wasm, off.as_deref(), effort).unwrap()
}

/// Is this a Wasmtime in which a callee that imports nothing is called without a record, so
/// that its adapter costs nothing?
fn is_free_without_imports() -> bool {
    !cranelift_codegen::VERSION.starts_with("0.135.")
}

/// Is the adapter in `file` what it is with concurrency support off, with the passes and
/// without?
fn is_free(file: &str) {
    let report = report(file, None);
    let [off, on, memopt] = &report.variants[..] else {
        panic!("three variants");
    };
    assert_eq!(on.hot_loop, off.hot_loop, "{file}");
    assert_eq!(memopt.hot_loop, off.hot_loop, "{file}");
}

/// With the passes; without them it is more, or they have nothing to do.
fn left(file: &str, off: Option<&str>) -> Counts {
    let report = report(file, off);
    let [_, on, memopt] = &report.variants[..] else {
        panic!("three variants");
    };
    let (on, memopt) = (on.hot_loop, memopt.hot_loop);
    assert!(memopt.stores < on.stores, "{file}: {memopt:?}");
    assert!(memopt.loads < on.loads, "{file}: {memopt:?}");
    assert!(memopt.instructions < on.instructions, "{file}: {memopt:?}");
    memopt
}

#[test]
fn nothing_but_the_check_is_left_of_an_adapter_that_nobody_observes() {
    if is_free_without_imports() {
        return is_free("../examples/trivial.wat");
    }
    let counts = left("../examples/trivial.wat", None);
    // The check is left, and what it loads has been loaded in front of the loop.
    assert_eq!((counts.stores, counts.loads), (0, 0));
}

#[test]
fn a_call_of_the_host_on_a_cold_path_costs_the_hot_one_nothing() {
    let counts = left("../examples/host-cold.wat", None);
    // The flag that says whether the callee may be left has been loaded in front of the loop.
    assert_eq!((counts.stores, counts.loads), (0, 0));
}

#[test]
fn a_chain_of_components_stores_nothing() {
    if is_free_without_imports() {
        return is_free("adapters/chain.wat");
    }
    assert_eq!(left("adapters/chain.wat", None).stores, 0);
}

#[test]
fn a_slot_of_the_callees_context_is_as_good_as_a_local() {
    let counts = left("adapters/context.wat", Some("adapters/context-global.wat"));
    assert_eq!(counts.stores, 0);
}

#[test]
fn a_chain_with_hosts_on_cold_paths_fills_no_record() {
    // A host that an earlier turn has called was given the addresses of both records,
    // and has forgotten them. The trap of the inner adapter shows the context slots, which
    // are cleared and put back: that is done on a path of its own, also where the trap is a
    // `trapz`.
    assert_eq!(left("adapters/chain-host-cold.wat", None).stores, 0);
}

#[test]
fn a_call_through_a_pointer_may_look_at_the_record_which_costs_no_more_than_before() {
    if is_free_without_imports() {
        return is_free("adapters/twice.wat");
    }
    let report = report("adapters/twice.wat", None);
    let [_, on, memopt] = &report.variants[..] else {
        panic!("three variants");
    };
    let (on, memopt) = (on.hot_loop, memopt.hot_loop);
    assert_eq!((memopt.calls, memopt.stores), (1, on.stores));
    assert!(memopt.loads < on.loads, "{memopt:?}");
    assert!(memopt.instructions < on.instructions, "{memopt:?}");
}

#[test]
fn around_a_large_callee_only_what_a_trap_must_show_is_stored() {
    if is_free_without_imports() {
        return is_free("adapters/large.wat");
    }
    let file = "adapters/large.wat";
    // `task_may_block` and two context slots: each turn puts back what the next one clears, so that
    // it is done once.
    assert_eq!(left(file, None).stores, 3);
    let report = report(file, None);
    let func = report.variants[2].written.parse().unwrap();
    assert!(func.sized_stack_slots.values().all(|slot| slot.size == 0));
}
