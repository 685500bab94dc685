//! The context slots behind a trap that somebody has dropped: the guest below goes
//! on with what the other one left in them.

use crate::api::{CALLBACKS_ENTER, CALLS_DROP_TRAPS, enter_at_epoch, enter_at_hook};
use crate::world::Event::{Depth, Returned, Trapped};
use crate::world::{Event, World, both_ways};
use anyhow::Result;
use wasmtime::{Config, Trap, UpdateDeadline};

/// How the host comes to enter the other instance; the argument of `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum By {
    Destructor,
    Call,
    Epoch,
    Hook,
    Exception,
}

impl By {
    const ALL: [Self; 5] = [
        Self::Destructor,
        Self::Call,
        Self::Epoch,
        Self::Hook,
        Self::Exception,
    ];

    /// Has the store do its part.
    fn arm(self, world: &mut World) {
        world.store.set_epoch_deadline(1);
        world
            .store
            .epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(1_000_000)));
        match self {
            Self::Epoch => enter_at_epoch(world, 0x7fff_0000),
            Self::Hook => enter_at_hook(world, 0x7fff_0000),
            Self::Destructor | Self::Call | Self::Exception => {}
        }
    }

    /// What is seen if the other instance ends like `end` and leaves `left` in the
    /// slot, which the guest then finds.
    fn sees(self, end: Event, left: u32) -> Vec<Event> {
        match self {
            // A host function has a task of its own, and the caller's is restored.
            // What has trapped stays on the call stack for it.
            Self::Call => vec![end, Depth(2), Returned(42)],
            _ => vec![end, Returned(left)],
        }
    }

    fn configure(self, config: &mut Config) {
        config
            .wasm_exceptions(true)
            .wasm_gc(true)
            .epoch_interruption(true)
            .call_hooks(self == Self::Hook);
    }
}

/// Has `set_other` put another instance into the world, which is then entered in
/// all manners, and checks that each time it ends like `end` and leaves `left`.
fn leaves(left: u32, end: Event, set_other: impl Fn(&mut World) -> Result<()>) {
    for by in By::ALL {
        let enters = match by {
            By::Epoch | By::Hook => CALLBACKS_ENTER,
            By::Call => CALLS_DROP_TRAPS,
            By::Destructor | By::Exception => true,
        };
        if !enters {
            continue;
        }
        let seen = both_ways(
            include_str!("victim.wat"),
            |config| by.configure(config),
            |world| {
                world.store.set_epoch_deadline(1);
                set_other(world)?;
                let instance = world.instantiate()?;
                by.arm(world);
                world.call_run(&instance, by as u32)
            },
        );
        assert_eq!(seen, by.sees(end, left), "{by:?}");
    }
}

const OUT_OF_BOUNDS: Event = Trapped(Trap::MemoryOutOfBounds);

#[test]
fn a_trap_leaves_what_the_guest_has_set() {
    leaves(7, OUT_OF_BOUNDS, |world| {
        world.set_other(include_str!("intruder.wat"))
    });
}

#[test]
fn a_trap_behind_two_adapters_leaves_what_the_innermost_has_set() {
    leaves(7, OUT_OF_BOUNDS, |world| {
        world.set_other(include_str!("intruder-chain.wat"))
    });
}

#[test]
fn a_trap_behind_a_call_leaves_what_the_adapter_has_put_back() {
    leaves(7, OUT_OF_BOUNDS, |world| {
        world.set_other(include_str!("intruder-behind.wat"))
    });
}

#[test]
fn a_trap_where_the_host_passes_a_string_leaves_the_slots_of_realloc() {
    leaves(7, OUT_OF_BOUNDS, |world| {
        world.set_other(include_str!("intruder-realloc.wat"))
    });
}

#[test]
fn a_trap_in_a_post_return_function_leaves_its_slots() {
    leaves(7, OUT_OF_BOUNDS, |world| {
        world.set_other(include_str!("intruder-post-return.wat"))
    });
}

#[test]
fn a_trap_in_a_start_function_leaves_its_slots() {
    leaves(7, OUT_OF_BOUNDS, |world| {
        world.set_other_to_be_instantiated(include_str!("intruder-start.wat"))
    });
}
