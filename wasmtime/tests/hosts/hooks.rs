//! Call hooks: the host runs whenever a guest calls the runtime, also where the
//! runtime only copies a string or raises a trap.

use crate::world::Event::{Depth, Failed, Note, Returned, Trapped};
use crate::world::{Event, World, both_ways, enter_other, note_depth};
use wasmtime::{CallHook, Trap};

const STRINGS: &str = include_str!("strings.wat");

/// Has the host note each call of it and how deep the call stack is then.
fn ask_at_each_hook(world: &mut World) {
    world.store.call_hook(|mut store, hook| {
        let hook = Note(hook_number(hook));
        store.data_mut().seen.push(hook);
        note_depth(&mut store)?;
        Ok(())
    });
}

fn hook_number(hook: CallHook) -> u32 {
    match hook {
        CallHook::CallingWasm => 0,
        CallHook::ReturningFromWasm => 1,
        CallHook::CallingHost => 2,
        CallHook::ReturningFromHost => 3,
    }
}

/// What a host sees that asks at each hook, as pairs, and how `run` ends.
fn seen_at_hooks(argument: u32) -> (Vec<[Event; 2]>, Event) {
    let mut seen = both_ways(
        STRINGS,
        |config| {
            config.call_hooks(true);
        },
        |world| {
            let instance = world.instantiate()?;
            ask_at_each_hook(world);
            world.call_run(&instance, argument)
        },
    );
    let end = seen.pop().expect("`run` has ended");
    let (pairs, rest) = seen.as_chunks::<2>();
    assert!(rest.is_empty());
    (pairs.to_vec(), end)
}

#[test]
fn a_hook_around_the_copy_of_a_string_finds_the_callee_on_the_stack() {
    let (hooks, end) = seen_at_hooks(0);
    let expected = [
        [Note(0), Depth(1)],
        [Note(2), Depth(2)],
        [Note(3), Depth(2)],
    ];
    assert_eq!(hooks[..3], expected, "{hooks:?}");
    assert_eq!(end, Returned(4_200_000 + 5000 + u32::from('G')));
}

#[test]
fn a_hook_around_a_copy_that_fails_finds_the_callee_on_the_stack() {
    let (hooks, end) = seen_at_hooks(1);
    assert!(hooks.contains(&[Note(2), Depth(2)]), "{hooks:?}");
    assert_eq!(end, Failed);
}

#[test]
fn a_hook_around_a_trap_of_an_adapter_finds_the_callee_on_the_stack() {
    let (hooks, end) = seen_at_hooks(2);
    assert!(hooks.contains(&[Note(2), Depth(2)]), "{hooks:?}");
    assert_eq!(end, Trapped(Trap::StringOutOfBounds));
}

#[test]
fn a_hook_around_the_copy_of_a_string_may_enter_another_instance() {
    for argument in [0, 0x7fff_0000] {
        let seen = both_ways(
            STRINGS,
            |config| {
                config.call_hooks(true);
            },
            |world| {
                world.set_other(include_str!("intruder.wat"))?;
                let instance = world.instantiate()?;
                let mut armed = true;
                world.store.call_hook(move |mut store, hook| {
                    if matches!(hook, CallHook::CallingHost) && std::mem::take(&mut armed) {
                        enter_other(&mut store, argument);
                        note_depth(&mut store)?;
                    }
                    Ok(())
                });
                world.call_run(&instance, 0)?;
                world.note_depth()
            },
        );
        assert!(seen.len() >= 4, "{seen:?}");
    }
}
