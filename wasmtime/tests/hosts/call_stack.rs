//! Hosts that look at what adapters do lazily: call stacks, traps that the host
//! survives, re-entrance, epochs.

use crate::api::{CALLS_DROP_TRAPS, finds_guest};
use crate::world::Event::{Depth, Note, Returned, Trapped};
use crate::world::{Other, both_ways};
use anyhow::Context as _;
use std::time::Duration;
use wasmtime::{Trap, UpdateDeadline};

const CHAIN: &str = include_str!("chain.wat");
const ENTER: &str = include_str!("enter.wat");
const FOREVER: &str = include_str!("forever.wat");
const ASYNC: &str = include_str!("async.wat");

#[test]
fn the_call_stack_is_whole_whoever_asks_for_it() {
    let seen = both_ways(
        CHAIN,
        |_| {},
        |world| {
            let instance = world.instantiate()?;
            (0..32).try_for_each(|asks| world.call_run(&instance, asks))
        },
    );
    // Nobody asks; the innermost asks; the middle one before its call.
    let first = [
        Returned(2),
        Depth(3),
        Returned(3),
        Depth(2),
        Returned(4),
        Depth(2),
    ];
    assert_eq!(seen[..6], first, "{seen:?}");
    assert_eq!(seen.len(), 32 + 5 * 16);
}

#[test]
fn a_trap_in_a_chain_ends_all_of_it_and_closes_the_store() {
    let seen = both_ways(
        CHAIN,
        |_| {},
        |world| {
            let instance = world.instantiate()?;
            [1, 32, 1]
                .into_iter()
                .try_for_each(|asks| world.call_run(&instance, asks))
        },
    );
    let expected = [
        Depth(3),
        Returned(3),
        Trapped(Trap::UnreachableCodeReached),
        Trapped(Trap::CannotEnterComponent),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_trap_behind_a_forced_thread_ends_the_chain_as_well() {
    for asks in [1, 2, 8, 3, 11] {
        let seen = both_ways(
            CHAIN,
            |_| {},
            |world| {
                let instance = world.instantiate()?;
                world.call_run(&instance, asks | 32)?;
                world.note_depth()
            },
        );
        let unreachable = Trapped(Trap::UnreachableCodeReached);
        assert!(seen.contains(&unreachable), "{seen:?}");
    }
}

#[test]
fn the_host_may_enter_another_instance_in_the_middle() {
    let seen = both_ways(
        ENTER,
        |_| {},
        |world| {
            world.set_other(CHAIN)?;
            let instance = world.instantiate()?;
            world.call_run(&instance, 1)
        },
    );
    // The depth inside, what the other instance gave, the depth behind it.
    let inside = [Depth(5), Returned(3), Depth(2)];
    let expected = [&inside[..], &[Depth(1)], &inside, &[Returned(8)]].concat();
    assert_eq!(seen, expected);
}

#[test]
fn a_trap_of_another_instance_leaves_the_callers_thread_alone() {
    if !CALLS_DROP_TRAPS {
        return;
    }
    let seen = both_ways(
        ENTER,
        |_| {},
        |world| {
            world.set_other(CHAIN)?;
            let instance = world.instantiate()?;
            world.call_run(&instance, 32)
        },
    );
    // The task that has trapped stays on the host's stack for that call.
    let expected = [
        Trapped(Trap::UnreachableCodeReached),
        Depth(3),
        Depth(1),
        Trapped(Trap::CannotEnterComponent),
        Depth(2),
        Returned(2_000_002),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_host_may_not_enter_the_same_instance_again() {
    if !CALLS_DROP_TRAPS {
        return;
    }
    let seen = both_ways(
        ENTER,
        |_| {},
        |world| {
            let instance = world.instantiate()?;
            world.store.data_mut().other = Some(Other::Instance(instance));
            world.call_run(&instance, 1)
        },
    );
    let refused = [Trapped(Trap::CannotEnterComponent), Depth(2)];
    let expected = [&refused[..], &[Depth(1)], &refused, &[Returned(2_000_002)]].concat();
    assert_eq!(seen, expected);
}

#[test]
fn a_loop_of_adapter_calls_is_interrupted_by_an_epoch() {
    let seen = both_ways(
        FOREVER,
        |config| {
            config.epoch_interruption(true);
        },
        |world| {
            world.store.set_epoch_deadline(1);
            // Twice the host looks at the stack and lets the guest go on.
            world.store.epoch_deadline_callback(|mut store| {
                let found = finds_guest(&mut store)?;
                let seen = &mut store.data_mut().seen;
                seen.push(Note(u32::from(found)));
                Ok(match seen.len() {
                    1 | 2 => UpdateDeadline::Continue(1),
                    _ => UpdateDeadline::Interrupt,
                })
            });
            let instance = world.instantiate()?;
            let engine = world.store.engine().clone();
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let ticks = std::thread::spawn(move || {
                while stopped.recv_timeout(Duration::from_millis(2)).is_err() {
                    engine.increment_epoch();
                }
            });
            let outcome = world.call_run(&instance, 0);
            stop.send(()).context("the ticker is gone")?;
            ticks.join().expect("the ticker does not panic");
            outcome
        },
    );
    assert_eq!(seen, [Note(1), Note(1), Note(1), Trapped(Trap::Interrupt)]);
}

#[test]
fn callers_that_wait_and_callers_that_do_not_share_a_callee() {
    let seen = both_ways(
        ASYNC,
        |_| {},
        |world| {
            let instance = world.instantiate_on_a_fiber()?;
            world.call_run_on_a_fiber(&instance, 2)?;
            world.call_run_on_a_fiber(&instance, 1)
        },
    );
    // The status of the call that does not wait is "returned".
    let expected = [
        Depth(1),
        Returned(20_000 + 714),
        Depth(2),
        Depth(2),
        Depth(2),
        Depth(1),
        Returned(20_000 + 612),
    ];
    assert_eq!(seen, expected);
}
