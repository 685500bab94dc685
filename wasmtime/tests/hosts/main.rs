//! Hosts of all kinds, without the passes and with them: each way into guest code
//! and out of it that `docs/wasmtime-policy.md` speaks of.

mod api;
mod call_stack;
mod endings;
mod hooks;
mod slots;
mod waiting;
mod world;
