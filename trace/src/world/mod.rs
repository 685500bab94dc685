//! Everybody but the program: the host, the collector, other threads.
//!
//! The world is as curious and as destructive as the contract lets it be. At
//! each event it looks at all memory that it can reach, and then fills it with
//! noise, unless it is [`Temper::Quiet`]. What it does depends on the event's ordinal and on what it may look
//! at, so that two runs with equal traces meet the same world.

mod knowledge;
mod mutation;
mod observation;
mod slot_regions;

pub use slot_regions::{SlotRegions, slot_regions};

use crate::arith;
use crate::inputs::Inputs;
use crate::layout::{self, Place};
use crate::memory::Memory;
use crate::noise::{mix, mix_bytes};
use crate::trace::{Event, Snapshot};
use cranelift_codegen::ir::{Endianness, TrapCode};
use cranelift_memopt::{CalleeName, Policy, RegionSet, Summary};
use memopt_policy::DeclaredPolicy;
use std::collections::BTreeSet;

/// The trap with which the host ends a program.
pub const HOST_TRAP: u8 = 99;

/// What a call of the host comes to.
pub enum Reply {
    /// It returns.
    Return(u64),
    /// It throws: tag and payload.
    Throw(u32, u64),
    /// It ends the program.
    Trap(TrapCode),
}

/// What the world does when it may do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Nothing: it looks, returns zero, and changes no memory.
    Quiet,
    /// All that it may.
    Destructive,
}

/// The world, and what it has seen.
pub struct World<'a> {
    temper: Temper,
    policy: &'a DeclaredPolicy,
    slot_regions: &'a SlotRegions,
    seed: u64,
    /// How many objects the heap has.
    objects: usize,
    ordinal: u64,
    /// Slots whose address the world has seen where it does not forget it.
    known: Vec<(u32, u32)>,
    /// Those that it has found when it looked last, the known ones included.
    found: Vec<(u32, u32)>,
    /// Slots that a trap hides.
    lost: BTreeSet<(u32, u32)>,
    /// What has happened.
    pub events: Vec<Event>,
}

impl<'a> World<'a> {
    /// A world that has seen nothing yet.
    pub fn new(
        policy: &'a DeclaredPolicy,
        slot_regions: &'a SlotRegions,
        inputs: &Inputs,
        temper: Temper,
    ) -> Self {
        Self {
            temper,
            policy,
            slot_regions,
            seed: inputs.seed,
            objects: inputs.heap.objects.len(),
            ordinal: 0,
            known: Vec::new(),
            found: Vec::new(),
            lost: inputs.lost.clone(),
            events: Vec::new(),
        }
    }

    /// The memory that a tag stands for.
    pub fn representative(&self, tag: u32) -> u32 {
        self.policy.representative(tag)
    }

    /// Does the memory at `place`, if in no slot, belong to this region?
    pub fn owns(&self, tag: u32, place: Option<Place>) -> bool {
        let home = match place {
            Some(Place::Home(home, _)) => home as u32,
            Some(Place::ReadOnly(_)) => layout::READ_ONLY,
            Some(Place::Asynchronous) => layout::ASYNCHRONOUS,
            Some(Place::Slot(..) | Place::Heap(..)) | None => return true,
        };
        self.policy.representative(tag) == self.policy.representative(home)
    }

    /// Is memory with this tag accessed by the world at any time?
    pub fn is_asynchronous(&self, tag: u32) -> bool {
        self.policy.is_asynchronous(tag)
    }

    /// Does this world leave all memory as it is?
    pub fn is_quiet(&self) -> bool {
        self.temper == Temper::Quiet
    }

    /// The host function `name` is called, with arguments among which are the words
    /// of records that are passed by value.
    pub fn host(&mut self, memory: &mut Memory, name: &CalleeName, args: &[u128]) -> Reply {
        let declared = self.policy.callee(name);
        self.host_as(memory, name, args, declared)
    }

    /// The host function `name` is called, of which the policy says `declared`.
    fn host_as(
        &mut self,
        memory: &mut Memory,
        name: &CalleeName,
        args: &[u128],
        declared: Option<Summary>,
    ) -> Reply {
        let confined = declared.is_some() || *name == layout::loaded_host();
        let summary = declared
            .or_else(|| self.loaded(name))
            .unwrap_or_else(Summary::opaque);
        let seen = self.look(memory, summary.reads(), args);
        let noise = if confined {
            // What a confined function does is a function of what it sees.
            self.hash(name, args, &seen)
        } else {
            self.next_noise()
        };
        self.events.push(Event::Host {
            name: name.clone(),
            args: args.to_vec(),
            memory: seen,
        });
        if self.is_quiet() {
            return Reply::Return(0);
        }
        if summary.may_trap() && noise % 29 == 1 {
            self.scribble(memory, summary.touches(), noise);
            return Reply::Trap(TrapCode::unwrap_user(HOST_TRAP));
        }
        if summary.may_unwind() && noise % 3 == 2 {
            self.scribble(memory, summary.touches(), noise);
            return Reply::Throw((noise >> 8) as u32 % 3, noise >> 16);
        }
        self.scribble(memory, summary.writes(), noise);
        Reply::Return(self.word(mix(noise, 77)))
    }

    /// What the policy says of a function that is reached through
    /// [`layout::FUNCTION_CELL`] alone.
    fn loaded(&self, name: &CalleeName) -> Option<Summary> {
        if *name != layout::loaded_host() {
            return None;
        }
        self.policy.indirect_callee(&cranelift_memopt::Origin {
            loads: vec![(layout::READ_ONLY, layout::FUNCTION_CELL.into())],
            function: None,
        })
    }

    /// The program executes an instruction at which the world may do anything.
    /// `args` are its operands: what an atomic access does to memory of the
    /// program's own is part of the event.
    pub fn point(&mut self, memory: &mut Memory, what: &'static str, args: &[u128]) {
        let seen = self.look(memory, &RegionSet::all(), &[]);
        self.events.push(Event::Point {
            what,
            args: args.to_vec(),
            memory: seen,
        });
        let noise = self.next_noise();
        self.scribble(memory, &RegionSet::all(), noise);
    }

    /// The program switches to another stack, with these operands. Somebody comes
    /// back with a payload, or nobody does.
    pub fn switch_stacks(&mut self, memory: &mut Memory, args: &[u128]) -> Option<u64> {
        let seen = self.look(memory, &RegionSet::all(), args);
        self.events.push(Event::Point {
            what: "stack_switch",
            args: args.to_vec(),
            memory: seen,
        });
        let noise = self.next_noise();
        self.scribble(memory, &RegionSet::all(), noise);
        let is_gone = !self.is_quiet() && noise % 29 == 1;
        (!is_gone).then(|| self.word(mix(noise, 77)))
    }

    /// The collector visits a cell, and moves what it refers to.
    pub fn collect(&mut self, memory: &mut Memory, address: u64, bytes: usize) {
        let found = memory.read(address, bytes, Endianness::Little);
        self.events.push(Event::Collect {
            address,
            bytes: found.to_le_bytes()[..bytes].to_vec(),
        });
        if self.is_quiet() {
            return;
        }
        let noise = self.next_noise();
        let moved = found ^ u128::from(noise);
        memory.write(address, bytes, Endianness::Little, moved);
    }

    /// A load from asynchronous memory, and what it finds there this time.
    pub fn asynchronous_load(&mut self, address: u64, bytes: usize) -> u128 {
        self.events.push(Event::AsynchronousLoad { address, bytes });
        let noise = self.next_noise();
        let noise = u128::from(noise) << 64 | u128::from(mix(noise, 1));
        arith::mask(noise, 8 * bytes as u32)
    }

    /// A store to asynchronous memory.
    pub fn asynchronous_store(&mut self, address: u64, bytes: Vec<u8>) {
        self.events
            .push(Event::AsynchronousStore { address, bytes });
    }

    fn next_noise(&mut self) -> u64 {
        self.ordinal += 1;
        mix(self.seed, self.ordinal)
    }

    fn hash(&self, name: &CalleeName, args: &[u128], seen: &Snapshot) -> u64 {
        let mut hash = mix(self.seed, layout::function_address(name));
        for arg in args {
            hash = mix(hash, *arg as u64);
        }
        for home in seen.homes.iter().flatten() {
            hash = mix_bytes(hash, home);
        }
        for (address, bytes) in seen.slots.iter().chain(&seen.heap) {
            hash = mix_bytes(mix(hash, *address), bytes);
        }
        hash
    }
}
