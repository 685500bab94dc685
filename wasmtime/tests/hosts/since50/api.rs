//! What an embedder is told by Wasmtime 50: no call stack, and in call hooks and epoch
//! callbacks the data of the store alone.

use crate::world::{Event, Host, World};
use wasmtime::{StoreContextMut, StoreHookState, Trap};

/// May call hooks and epoch callbacks enter guests?
pub const CALLBACKS_ENTER: bool = false;

/// May a host function enter a guest, drop its trap, and return? Wasmtime 50 takes that for a
/// mistake of its own: the thread of the guest stays the current one.
pub const CALLS_DROP_TRAPS: bool = false;

/// How a caller traps in `waiting.wat` that has waited for another component: it finds in its
/// slot what it has put there itself.
pub const WAITED_FOR_COMPONENT: Trap = Trap::BadConversionToInteger;

/// How many guests there are, on the call stack and elsewhere: each has three entries in a
/// table, and a call of the host has one. Whoever counts them has the records of adapters
/// made into such entries first.
pub fn depth(store: &mut StoreContextMut<'_, Host>) -> wasmtime::Result<u32> {
    Ok(store.concurrent_state_table_size() as u32 / 3)
}

/// Is it noted that so many guests were on the call stack, whoever else waits?
pub fn is_deep(event: &Event, guests: u32) -> bool {
    matches!(event, Event::Depth(all) if *all >= guests)
}

/// Nobody enters guests there.
pub fn enter_at_hook(_: &mut World, _: u32) {}

/// Nobody enters guests there.
pub fn enter_at_epoch(_: &mut World, _: u32) {}

/// Nobody is told whether there is a guest on the call stack.
pub fn finds_guest(_: &mut StoreHookState<'_, Host>) -> wasmtime::Result<bool> {
    Ok(true)
}
