//! Call hooks, which are told of the data of the store alone.

use crate::world::Event::{Failed, Note, Returned, Trapped};
use crate::world::{Event, both_ways};
use wasmtime::{CallHook, Trap};

const STRINGS: &str = include_str!("strings.wat");

fn hook_number(hook: CallHook) -> u32 {
    match hook {
        CallHook::CallingWasm => 0,
        CallHook::ReturningFromWasm => 1,
        CallHook::CallingHost => 2,
        CallHook::ReturningFromHost => 3,
    }
}

/// The hooks that a host sees, and how `run` ends.
fn seen_at_hooks(argument: u32) -> (Vec<Event>, Event) {
    let mut seen = both_ways(
        STRINGS,
        |config| {
            config.call_hooks(true);
        },
        |world| {
            let instance = world.instantiate()?;
            world.store.call_hook(|mut store, hook| {
                store.data_mut().seen.push(Note(hook_number(hook)));
                Ok(())
            });
            world.call_run(&instance, argument)
        },
    );
    let end = seen.pop().expect("`run` has ended");
    (seen, end)
}

#[test]
fn a_hook_runs_around_the_copy_of_a_string() {
    let (hooks, end) = seen_at_hooks(0);
    assert_eq!(hooks[..3], [Note(0), Note(2), Note(3)], "{hooks:?}");
    assert_eq!(end, Returned(4_200_000 + 5000 + u32::from('G')));
}

#[test]
fn a_hook_runs_around_a_copy_that_fails() {
    let (hooks, end) = seen_at_hooks(1);
    assert!(hooks.contains(&Note(2)), "{hooks:?}");
    assert_eq!(end, Failed);
}

#[test]
fn no_hook_runs_in_front_of_a_trap_of_an_adapter() {
    let (_, end) = seen_at_hooks(2);
    assert_eq!(end, Trapped(Trap::StringOutOfBounds));
}
