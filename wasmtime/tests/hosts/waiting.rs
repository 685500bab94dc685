//! Tasks that wait: what a trap in a `realloc` that runs for a waiting caller leaves
//! to it, and what tasks find that take turns.

use crate::api::{WAITED_FOR_COMPONENT, is_deep};
use crate::world::Event::{Note, Returned, Trapped, Waiting};
use crate::world::{Event, World, both_ways, poll, wait};
use anyhow::Result;
use std::future::poll_fn;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use wasmtime::Trap;
use wasmtime::component::Instance;

const WAITING: &str = include_str!("waiting.wat");

/// Polls the store's event loop as often as that, and notes if it traps.
fn turn(world: &mut World, turns: u32) {
    let outcome = poll(
        world.store.run_concurrent(async |_| wait(turns).await),
        1000,
    );
    match outcome {
        None => world.store.data_mut().seen.push(Waiting),
        Some(Ok(())) => {}
        Some(Err(why)) => world.note(Err(why)),
    }
}

/// Calls an export and drops the call if it does not end.
fn call(world: &mut World, instance: &Instance, name: &str) -> Result<()> {
    let function = instance.get_typed_func::<(u32,), (u32,)>(&mut world.store, name)?;
    let running = world
        .store
        .run_concurrent(async |accessor| function.call_concurrent(accessor, (0,)).await);
    match poll(running, 1000) {
        None => world.store.data_mut().seen.push(Waiting),
        Some(outcome) => world.note(outcome.flatten().map(|(result,)| result)),
    }
    Ok(())
}

/// What is seen if an export waits while its `realloc` traps, and is resumed.
fn realloc_traps_for(wat: &str, name: &str) -> Vec<Event> {
    both_ways(
        wat,
        |config| {
            config.wasm_component_model_async_stackful(true);
        },
        |world| {
            let instance = world.instantiate_on_a_fiber()?;
            call(world, &instance, name)?;
            world.note_depth()?;
            world.wake();
            turn(world, 50);
            Ok(())
        },
    )
}

#[test]
fn a_realloc_that_traps_for_a_waiting_caller_leaves_it_its_slots() {
    let seen = realloc_traps_for(WAITING, "from-component");
    assert_eq!(seen[..2], [Note(100_042), Trapped(Trap::MemoryOutOfBounds)]);
    assert_eq!(seen.last(), Some(&Trapped(WAITED_FOR_COMPONENT)));
}

#[test]
fn a_realloc_that_traps_where_the_host_answers_leaves_a_waiting_caller_its_own() {
    let seen = realloc_traps_for(WAITING, "from-host");
    assert_eq!(seen[..2], [Note(100_042), Trapped(Trap::MemoryOutOfBounds)]);
    assert_eq!(seen.last(), Some(&Trapped(Trap::BadConversionToInteger)));
}

#[test]
fn a_realloc_that_traps_where_a_future_is_copied_leaves_the_reader_its_slots() {
    let seen = realloc_traps_for(include_str!("copying.wat"), "run");
    assert_eq!(seen[..2], [Note(100_042), Trapped(Trap::MemoryOutOfBounds)]);
    assert_eq!(seen.last(), Some(&Trapped(Trap::UnreachableCodeReached)));
}

#[test]
fn tasks_that_take_turns_have_slots_and_callers_of_their_own() {
    let seen = both_ways(
        include_str!("sleepers.wat"),
        |config| {
            config.wasm_component_model_async_stackful(true);
        },
        |world| {
            let instance = world.instantiate_on_a_fiber()?;
            let run = instance.get_typed_func::<(u32,), (u32,)>(&mut world.store, "run")?;
            let awake = world.store.data().awake.clone();
            let running = world.store.run_concurrent(async |accessor| {
                let mut calls = [1, 2, 3].map(|x| Box::pin(run.call_concurrent(accessor, (x,))));
                let mut outcomes = [None, None, None];
                let mut turns = 0;
                poll_fn(|context| {
                    turns += 1;
                    // All of them are asleep by then.
                    awake.store(turns > 20, SeqCst);
                    for (call, outcome) in calls.iter_mut().zip(&mut outcomes) {
                        if outcome.is_none()
                            && let Poll::Ready(ready) = call.as_mut().poll(context)
                        {
                            *outcome = Some(ready);
                        }
                    }
                    context.waker().wake_by_ref();
                    if outcomes.iter().all(Option::is_some) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
                outcomes
            });
            let outcomes = poll(running, 1000).expect("all tasks end")?;
            for outcome in outcomes {
                let outcome = outcome.expect("all tasks have ended");
                world.note(outcome.map(|(result,)| result));
            }
            world.note_depth()
        },
    );
    let results = [1, 2, 3].map(|x| Returned(1000 * x + 2 * (x + 100)));
    assert_eq!(seen[seen.len() - 4..seen.len() - 1], results, "{seen:?}");
    // Each asks in its callee, before it sleeps and afterwards.
    let asked = seen.iter().filter(|event| is_deep(event, 2)).count();
    assert_eq!(asked, 6, "{seen:?}");
}
