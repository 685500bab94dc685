//! Removes stores that are undone before anybody looks.
//!
//! ```text
//! v1 = load.i64 notrap region0 v0          v1 = load.i64 notrap region0 v0
//! store notrap region0 v2, v0         ==>
//! store notrap region0 v1, v0
//! ```
//!
//! Two kinds of stores go: one whose bytes are all written again before anything
//! reads them, and one that writes what is there already. Where the first kind
//! goes, the second comes about: what is put back was never taken away.
//!
//! Alias analysis does both, as part of the egraph pass, and this does them again
//! behind that pass, with less in hand and for less:
//!
//! - The egraph pass turns branches into jumps, because a load was forwarded and
//!   a condition became known. Who observes which store, and which stores meet, was
//!   found on the graph from before. Here blocks that only a jump leads to belong
//!   to the block that jumps, so that a loop in which nothing branches any more is
//!   a straight line.
//! - Alias analysis knows one store of each region, the last. A store to another
//!   location of the same region hides the ones before. Here locations are
//!   followed one by one.
//!
//! An adapter between components is such a function: it saves fields of the store's
//! context, sets them, runs the callee, and puts back what was there. Once the callee
//! is inlined and looks at none of them, nothing of that is observed.
//!
//! # When a store may go
//!
//! A store that may trap never goes. Another goes if a later store in the straight
//! line is to the same bytes, and nothing in between may read them: no load of the
//! region or without one, nothing that may trap, no call and no other fence, no end
//! of the line. A *store* in between reads nothing, so that it does not matter
//! where it goes to. It does for what is known to be in memory:
//!
//! ```text
//! v1 = load.i64 notrap region0 v0          v1 = load.i64 notrap region0 v0
//! store notrap region0 v2, v0              store notrap region0 v2, v3
//! store notrap region0 v2, v3        ==>   store notrap region0 v1, v0
//! store notrap region0 v1, v0
//! ```
//!
//! The last store has to stay, because `v3` may be `v0`.
//!
//! What a `readonly` load has found is no proof that a store changes nothing.
//!
//! # Cost
//!
//! One walk over the instructions of functions that have stack slots, with at most
//! [`MAX_LOCATIONS`] locations compared at each access.

use crate::alias_analysis::has_memory_fence_semantics;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{
    AliasRegion, Block, Endianness, Function, Inst, InstructionData, MemFlags, Opcode, Type, Value,
};
use alloc::vec::Vec;

/// How many locations are followed at once. The oldest is forgotten beyond that,
/// so that the time for an access is bounded; an adapter has about a dozen.
const MAX_LOCATIONS: usize = 32;

/// Removes the stores that are undone before anybody looks. Returns whether there
/// were any.
pub fn remove_undone_stores(func: &mut Function, cfg: &ControlFlowGraph) -> bool {
    if func.sized_stack_slots.is_empty() {
        return false;
    }
    let mut dead = Vec::new();
    let mut line = Line::default();
    for block in func.layout.blocks() {
        if jumped_to_from(func, cfg, block).is_some() {
            continue;
        }
        line.locations.clear();
        let mut next = Some(block);
        while let Some(block) = next {
            for inst in func.layout.block_insts(block) {
                line.pass(func, inst, &mut dead);
            }
            next = jumps_to(func, block)
                .filter(|target| jumped_to_from(func, cfg, *target) == Some(block));
        }
    }
    for inst in &dead {
        func.layout.remove_inst(*inst);
    }
    !dead.is_empty()
}

/// The block that `block` jumps to.
fn jumps_to(func: &Function, block: Block) -> Option<Block> {
    match func.dfg.insts[func.layout.last_inst(block)?] {
        InstructionData::Jump { destination, .. } => Some(destination.block(&func.dfg.value_lists)),
        _ => None,
    }
}

/// The one predecessor of `block`, if it does nothing but jump there. No block but
/// the first of a cycle is its own predecessor along such jumps, because every block
/// can be reached from the entry.
fn jumped_to_from(func: &Function, cfg: &ControlFlowGraph, block: Block) -> Option<Block> {
    let mut preds = cfg.pred_iter(block).map(|pred| pred.block);
    match (preds.next(), preds.next()) {
        (Some(pred), None) if jumps_to(func, pred) == Some(block) => Some(pred),
        _ => None,
    }
}

/// Some bytes in memory, and how they are accessed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Location {
    region: Option<AliasRegion>,
    address: Value,
    offset: i32,
    ty: Type,
    /// The opcode of a store of such a value.
    opcode: Opcode,
    endianness: Option<Endianness>,
}

impl Location {
    fn new(
        func: &Function,
        flags: MemFlags,
        address: Value,
        offset: i32,
        ty: Type,
        opcode: Opcode,
    ) -> Self {
        let flags = func.dfg.mem_flags[flags];
        Self {
            region: flags.alias_region(),
            address: func.dfg.resolve_aliases(address),
            offset,
            ty,
            opcode,
            endianness: flags.explicit_endianness(),
        }
    }

    fn end(&self) -> i64 {
        let bytes = match self.opcode {
            Opcode::Istore8 => 1,
            Opcode::Istore16 => 2,
            Opcode::Istore32 => 4,
            _ => self.ty.bytes(),
        };
        i64::from(self.offset) + i64::from(bytes)
    }

    /// May an access to `self` touch bytes of `other`?
    fn may_alias(&self, other: &Self) -> bool {
        match (self.region, other.region) {
            (Some(a), Some(b)) if a != b => return false,
            _ => {}
        }
        self.address != other.address
            || (i64::from(self.offset) < other.end() && i64::from(other.offset) < self.end())
    }
}

/// What is known of a location at some point of a line.
struct Known {
    location: Location,

    /// The value there.
    value: Option<Value>,

    /// The last store to exactly this location, if nothing has observed it and it
    /// may go.
    store: Option<Inst>,

    /// The value there if `store` is removed.
    without_store: Option<Value>,
}

/// The locations that are followed along a straight line of blocks.
#[derive(Default)]
struct Line {
    locations: Vec<Known>,
}

impl Line {
    /// Goes past `inst`, and adds the stores that may go because of it to `dead`.
    fn pass(&mut self, func: &Function, inst: Inst, dead: &mut Vec<Inst>) {
        let data = &func.dfg.insts[inst];
        let opcode = data.opcode();
        match *data {
            _ if has_memory_fence_semantics(opcode) || opcode.is_call() => self.locations.clear(),
            InstructionData::Load {
                flags, arg, offset, ..
            } => {
                let ty = func.dfg.value_type(func.dfg.first_result(inst));
                let location = Location::new(func, flags, arg, offset.into(), ty, Opcode::Store);
                self.load(func, inst, opcode, flags, location);
            }
            InstructionData::Store {
                flags,
                args: [value, address],
                offset,
                ..
            } => {
                let ty = func.dfg.value_type(value);
                let location = Location::new(func, flags, address, offset.into(), ty, opcode);
                let value = func.dfg.resolve_aliases(value);
                if func.dfg.mem_flags[flags].notrap() {
                    self.store(inst, location, value, dead);
                } else {
                    self.observe_all();
                    self.at(location).value = Some(value);
                    self.clobber(&location);
                }
            }
            _ if opcode.can_load() || opcode.can_store() || opcode.other_side_effects() => {
                self.locations.clear();
            }
            _ if opcode.can_trap() || opcode.is_return() => self.observe_all(),
            _ => {}
        }
    }

    fn load(
        &mut self,
        func: &Function,
        inst: Inst,
        opcode: Opcode,
        flags: MemFlags,
        location: Location,
    ) {
        let flags = func.dfg.mem_flags[flags];
        if !flags.notrap() {
            self.observe_all();
        } else if opcode == Opcode::Load {
            self.observe(|known| known.may_alias(&location));
        } else {
            // One that extends reads less than its type has.
            self.observe(|known| {
                known
                    .region
                    .is_none_or(|r| location.region.is_none_or(|l| l == r))
            });
        }
        if opcode == Opcode::Load && !flags.readonly() {
            let known = self.at(location);
            known.value.get_or_insert(func.dfg.first_result(inst));
        }
    }

    fn store(&mut self, inst: Inst, location: Location, value: Value, dead: &mut Vec<Inst>) {
        let known = self.at(location);
        if known.value == Some(value) {
            // It changes nothing.
            dead.push(inst);
            return;
        }
        match known.store.take() {
            None => known.without_store = known.value,
            Some(overwritten) => dead.push(overwritten),
        }
        known.value = Some(value);
        if known.without_store == Some(value) {
            // It puts back what was there.
            known.without_store = None;
            dead.push(inst);
            return;
        }
        known.store = Some(inst);
        self.clobber(&location);
    }

    /// What is known of `location`.
    fn at(&mut self, location: Location) -> &mut Known {
        let is_it = |known: &Known| known.location == location;
        let index = match self.locations.iter().position(is_it) {
            Some(index) => index,
            None => {
                if self.locations.len() == MAX_LOCATIONS {
                    self.locations.remove(0);
                }
                self.locations.push(Known {
                    location,
                    value: None,
                    store: None,
                    without_store: None,
                });
                self.locations.len() - 1
            }
        };
        &mut self.locations[index]
    }

    /// Forgets the values of locations other than `location` that a store to it may
    /// have changed.
    fn clobber(&mut self, location: &Location) {
        for known in &mut self.locations {
            if known.location != *location && known.location.may_alias(location) {
                known.value = None;
                known.without_store = None;
            }
        }
    }

    /// Keeps the stores to locations that are `seen`.
    fn observe(&mut self, seen: impl Fn(&Location) -> bool) {
        for known in &mut self.locations {
            if seen(&known.location) {
                known.store = None;
                known.without_store = None;
            }
        }
    }

    fn observe_all(&mut self) {
        self.observe(|_| true);
    }
}
