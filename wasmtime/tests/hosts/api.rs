//! What an embedder is told by Wasmtime 48 and not by every version.

use crate::world::{Event, Host, World, enter_other, note_depth};
use wasmtime::{CallHook, StoreContextMut, Trap, UpdateDeadline};

/// May call hooks and epoch callbacks enter guests?
pub const CALLBACKS_ENTER: bool = true;

/// May a host function enter a guest, drop its trap, and return?
pub const CALLS_DROP_TRAPS: bool = true;

/// How a caller traps in `waiting.wat` that has waited for another component, if it finds in
/// its slot what its own `realloc` has left there.
pub const WAITED_FOR_COMPONENT: Trap = Trap::UnreachableCodeReached;

/// How many guest tasks are on the call stack.
pub fn depth(store: &mut StoreContextMut<'_, Host>) -> wasmtime::Result<u32> {
    Ok(store.async_call_stack()?.count() as u32)
}

/// Is it noted that so many guests were on the call stack, whoever else waits?
pub fn is_deep(event: &Event, guests: u32) -> bool {
    *event == Event::Depth(guests)
}

/// Enters the other instance the first time that a guest calls the host.
pub fn enter_at_hook(world: &mut World, argument: u32) {
    let mut armed = true;
    world.store.call_hook(move |mut store, hook| {
        // Once: what is entered calls the host as well.
        if matches!(hook, CallHook::CallingHost) && std::mem::take(&mut armed) {
            enter_other(&mut store, argument);
        }
        Ok(())
    });
}

/// Enters the other instance when the epoch ends.
pub fn enter_at_epoch(world: &mut World, argument: u32) {
    world.store.epoch_deadline_callback(move |mut store| {
        // What is entered is not to be interrupted.
        store.set_epoch_deadline(1_000_000);
        enter_other(&mut store, argument);
        Ok(UpdateDeadline::Continue(1_000_000))
    });
}

/// Does an epoch callback find a guest on the call stack?
pub fn finds_guest(store: &mut StoreContextMut<'_, Host>) -> wasmtime::Result<bool> {
    let depth = note_depth(store)?;
    // How deep it is depends on when the epoch ends.
    store.data_mut().seen.pop();
    Ok(depth >= 1)
}
