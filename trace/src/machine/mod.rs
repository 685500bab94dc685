//! Runs CLIF, one instruction after the other.
//!
//! Written for this purpose because `cranelift-interpreter` traps on negative
//! offsets, has no `try_call`, and knows no observers. It covers the
//! instructions that touch memory, the arithmetic around them, calls of all
//! kinds and exceptions. Anything else ends the run as [`End::Unsupported`].

mod accesses;
mod atomics;
mod calls;
mod collector;
mod compute;
mod interpreter;
mod libcalls;
mod names;
mod state;

pub use names::{callee_of, position};

use crate::heap::Heap;
use crate::inputs::Inputs;
use crate::memory::Memory;
use crate::trace::{End, Trace};
use crate::world::{SlotRegions, Temper, World};
use cranelift_codegen::ir::{Endianness, Function};
use cranelift_memopt::{CalleeName, Policy};
use memopt_policy::DeclaredPolicy;
use state::{Arguments, Callee, Machine, Outcome};
use std::collections::BTreeSet;

/// What runs, and what surrounds it.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    /// The functions, which may call each other; functions that are not among
    /// them belong to the host.
    pub functions: &'a [Function],
    /// The index of the one that is called from outside.
    pub entry: usize,
    /// Functions of the host that memory points to; those that the functions
    /// import are known without that.
    pub hosts: &'a [CalleeName],
    /// What holds for the world.
    pub policy: &'a DeclaredPolicy,
    /// The regions of the slots, by [`slot_regions`](crate::world::slot_regions)
    /// of the functions before they were optimized.
    pub slot_regions: &'a SlotRegions,
    /// What the world does.
    pub temper: Temper,
    /// The order of the bytes of accesses that do not say theirs.
    pub order: Endianness,
}

/// What the entry executed itself: calls have no part in it, and neither has a
/// function that took its place by a tail call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instructions that load, atomic ones included.
    pub loads: u32,
    /// Instructions that store, atomic ones included.
    pub stores: u32,
    /// Calls of all kinds.
    pub calls: u32,
}

/// What is left of a run.
pub struct Run {
    /// What could be observed.
    pub trace: Trace,
    /// What was executed.
    pub counts: Counts,
    /// The heap at the end, with the owners that were found.
    pub heap: Heap,
    /// The slots that were accessed under a region that a trap loses.
    pub lost: BTreeSet<(u32, u32)>,
    /// Was it asked which of two slots lies first? Nobody promises an answer: a frame is laid out
    /// by whoever compiles it, and slots that share a place move.
    pub orders_slots: bool,
}

/// Runs the entry of `program`.
pub fn run(program: &Program<'_>, inputs: &Inputs) -> Run {
    let mut machine = Machine {
        functions: program.functions,
        hosts: program.hosts,
        memory: Memory::new(inputs.seed, inputs.heap.clone()),
        world: World::new(program.policy, program.slot_regions, inputs, program.temper),
        loses_regions: loses_regions(program),
        fuel: inputs.fuel,
        order: program.order,
        counts: Counts::default(),
        lost: BTreeSet::new(),
        orders_slots: false,
        is_in_entry: true,
    };
    let args = Arguments {
        values: inputs.args.clone(),
        records: Vec::new(),
    };
    let end = match machine.call(Callee::Function(program.entry), args) {
        Ok(Outcome::Return(values)) => {
            End::Return(values, machine.world.at_return(&machine.memory))
        }
        Ok(Outcome::Throw(tag, payload)) => {
            End::Exception(tag, payload, machine.world.at_trap(&machine.memory))
        }
        Err(end) => end,
    };
    Run {
        trace: Trace {
            events: machine.world.events,
            end,
        },
        counts: machine.counts,
        heap: machine.memory.heap,
        lost: machine.lost,
        orders_slots: machine.orders_slots,
    }
}

fn loses_regions(program: &Program<'_>) -> bool {
    program.functions.iter().any(|func| {
        let mut regions = func.dfg.alias_regions.iter();
        regions.any(|(_, region)| !program.policy.survives_trap(region.user_id))
    })
}
