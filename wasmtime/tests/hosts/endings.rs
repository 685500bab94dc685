//! What is left when guests end in other ways than by a return, and who sees it:
//! calls that are dropped, stores that are used on, exceptions, debuggers.

use crate::world::Event::{Depth, Note, Returned, Trapped};
use crate::world::{Host, World, both_ways, note_depth, poll};
use anyhow::Result;
use wasmtime::{AsContextMut, DebugEvent, DebugHandler, StoreContextMut, Trap};

/// Notes what a component finds that is instantiated now.
fn instantiate_newcomer(world: &mut World) -> Result<()> {
    world.set_other(include_str!("newcomer.wat"))
}

#[test]
fn a_store_that_a_trap_has_closed_starts_further_instances() {
    for asks in [32, 33, 34] {
        let seen = both_ways(
            include_str!("chain.wat"),
            |_| {},
            |world| {
                let instance = world.instantiate()?;
                world.call_run(&instance, asks)?;
                world.note_depth()?;
                instantiate_newcomer(world)?;
                world.call_run(&instance, 0)?;
                world.note_depth()
            },
        );
        assert!(seen.contains(&Trapped(Trap::UnreachableCodeReached)));
        // What it finds in its slot, and what it has put there.
        let notes: Vec<_> = seen.iter().filter(|it| matches!(it, Note(_))).collect();
        assert_eq!(notes, [&Note(0), &Note(5)], "{seen:?}");
    }
}

#[test]
fn a_call_that_is_dropped_half_way_ends_its_adapters() {
    let seen = both_ways(
        include_str!("pause.wat"),
        |_| {},
        |world| {
            let instance = world.instantiate_on_a_fiber()?;
            world.call_run_on_a_fiber(&instance, 0)?;
            let run = instance.get_typed_func::<(u32,), (u32,)>(&mut world.store, "run")?;
            let outcome = poll(run.call_async(&mut world.store, (1,)), 10);
            assert!(outcome.is_none(), "it waits");
            world.note_depth()?;
            instantiate_newcomer_on_a_fiber(world)?;
            world.call_run_on_a_fiber(&instance, 0)
        },
    );
    assert_eq!(seen.first(), Some(&Returned(49)));
    assert_eq!(seen.last(), Some(&Trapped(Trap::CannotEnterComponent)));
}

fn instantiate_newcomer_on_a_fiber(world: &mut World) -> Result<()> {
    let wat = include_str!("newcomer.wat");
    world.component = wasmtime::component::Component::new(world.store.engine(), wat)?;
    world.instantiate_on_a_fiber().map(drop)
}

#[test]
fn a_call_that_waits_finds_its_slots_again() {
    let seen = both_ways(
        include_str!("pause.wat"),
        |_| {},
        |world| {
            let instance = world.instantiate_on_a_fiber()?;
            world.wake();
            world.call_run_on_a_fiber(&instance, 3)
        },
    );
    assert_eq!(seen, [Returned(52)]);
}

#[test]
fn an_exception_ends_at_an_adapter() {
    let seen = both_ways(
        include_str!("barrier.wat"),
        |config| {
            config.wasm_exceptions(true).wasm_gc(true);
        },
        |world| {
            let instance = world.instantiate()?;
            world.call_run(&instance, 0)?;
            world.call_run(&instance, 1)?;
            world.note_depth()
        },
    );
    assert_eq!(seen[0], Returned(43));
    assert!(matches!(seen[1], Trapped(_)), "{seen:?}");
}

/// Asks for the call stack at each event, and notes it at traps.
#[derive(Clone)]
struct Debugger;

impl DebugHandler for Debugger {
    type Data = Host;

    async fn handle(&self, mut store: StoreContextMut<'_, Host>, event: DebugEvent<'_>) {
        let asked = note_depth(&mut store.as_context_mut());
        let depth = Depth(asked.expect("the call stack can be read"));
        let seen = &mut store.data_mut().seen;
        seen.pop();
        if let DebugEvent::Trap(trap) = event {
            seen.extend([Trapped(trap), depth]);
        }
    }
}

#[test]
fn a_debugger_finds_the_whole_call_stack_at_a_trap() {
    let seen = both_ways(
        include_str!("chain.wat"),
        |config| {
            config.guest_debug(true);
        },
        |world| {
            world.store.set_debug_handler(Debugger);
            let instance = world.instantiate_on_a_fiber()?;
            world.call_run_on_a_fiber(&instance, 0)?;
            world.call_run_on_a_fiber(&instance, 32)
        },
    );
    let unreachable = Trapped(Trap::UnreachableCodeReached);
    assert_eq!(seen, [Returned(2), unreachable, Depth(3), unreachable]);
}
