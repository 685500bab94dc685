//! Memory instructions as operations of memory SSA against the edges: what each of them
//! sees or overwrites.

use crate::FxHashMap;
use crate::ir::StackSlot;
use crate::memopt::cfg::graph::Node;
use crate::memopt::inst::location::Location;
use crate::memopt::memory::insts::{ANY, Access, Call, EventIndex, EventKind, Memory, Transfer};
use crate::memopt::memory::room::{Room, emptied, filled};
use crate::memopt::memory::slot_escape::Privacy;
use crate::memopt::memory::ssa::{
    Class, EPOCH, FIRST_CLASS, NONE, Op, OpIndex, RETURN_EPOCH, TRAP_EPOCH,
};
use alloc::vec::Vec;

/// Turns events into operations, the last one first.
pub(super) struct Builder<'a> {
    memory: &'a Memory<'a>,
    pub(super) list: Vec<Op>,
    pub(super) starts: Vec<u32>,
    pub(super) event_of_op: Vec<EventIndex>,
    pub(super) is_access: Vec<bool>,
    pub(super) region_ops: Vec<OpIndex>,
    pub(super) slot_ops: Vec<OpIndex>,
    pub(super) start_ops: FxHashMap<(Node, Class), OpIndex>,
    /// The classes that are asked about, and the epochs.
    pub(super) wanted: Vec<bool>,
    /// Operations of other classes.
    pub(super) left_out: usize,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        memory: &'a Memory<'a>,
        asked: impl IntoIterator<Item = Class>,
        room: &mut Room,
    ) -> Self {
        let events = memory.events.len();
        let mut wanted = filled(&mut room.wanted, memory.classes() as usize, false);
        for class in (0..FIRST_CLASS).chain(asked) {
            wanted[class as usize] = true;
        }
        Self {
            memory,
            list: emptied(&mut room.list, events * 2),
            starts: emptied(&mut room.starts, memory.starts.len() + 1),
            event_of_op: emptied(&mut room.event_of_op, events * 2),
            is_access: emptied(&mut room.marks, events * 2),
            region_ops: filled(&mut room.region_ops, events, NONE),
            slot_ops: filled(&mut room.slot_ops, events, NONE),
            start_ops: FxHashMap::default(),
            wanted,
            left_out: 0,
        }
    }

    /// Adds an operation, unless nobody asks about its class.
    fn push(&mut self, event: EventIndex, class: Class, is_access: bool) -> OpIndex {
        if !self.wanted[class as usize] {
            self.left_out += 1;
            return NONE;
        }
        let op = self.list.len() as OpIndex;
        self.list.push(Op {
            class,
            defines: true,
        });
        self.event_of_op.push(event);
        self.is_access.push(is_access);
        op
    }

    /// Lets `class` be asked about at the start of `node`.
    pub(super) fn ask(&mut self, node: Node, class: Class) {
        let op = self.list.len() as OpIndex;
        self.list.push(Op {
            class,
            defines: false,
        });
        // Nothing leads to an operation that defines nothing.
        self.event_of_op.push(EventIndex::MAX);
        self.is_access.push(false);
        self.start_ops.insert((node, class), op);
    }

    /// Adds what `event` does, last things first.
    pub(super) fn add(&mut self, event: EventIndex) {
        let memory = self.memory;
        // From where an address escapes on, its slot is looked at as part of
        // its region; its private life ends there.
        for slot in memory.slots.escapes_at(memory.inst(event)) {
            self.observe_slot(event, *slot);
        }
        match &memory.events[event as usize].kind {
            EventKind::Access(access) => self.access(event, access),
            EventKind::Call(call) => self.call(event, call),
            EventKind::Transfer(transfer) => self.transfer(event, transfer),
            EventKind::Barrier => {
                self.push(event, EPOCH, false);
            }
            EventKind::End => {
                self.push(event, RETURN_EPOCH, false);
            }
            EventKind::Trap => {
                self.push(event, TRAP_EPOCH, false);
            }
            EventKind::Compare | EventKind::Escape => {}
        }
    }

    fn observe_slot(&mut self, event: EventIndex, slot: StackSlot) {
        let class = self.memory.slot_class(slot);
        self.push(event, class, false);
    }

    fn access(&mut self, event: EventIndex, access: &Access) {
        let mut is_private = false;
        if let Some(slot) = access.slot() {
            let privacy = self.memory.slots.privacy(slot);
            if privacy != Privacy::Never {
                let class = self.memory.slot_class(slot);
                self.slot_ops[event as usize] = self.push(event, class, true);
            }
            is_private = privacy == Privacy::Always;
        }
        if !is_private {
            let op = self.push(event, access.class.unwrap_or(ANY), true);
            self.region_ops[event as usize] = op;
            match access.class {
                Some(_) => {
                    self.push(event, ANY, true);
                }
                // Without a region it may be in any class.
                None if access.stored.is_none() => {
                    self.push(event, EPOCH, false);
                }
                None => {}
            }
        }
        if access.trap.is_some() {
            self.push(event, TRAP_EPOCH, false);
        }
    }

    /// One operation for each class of what it touches, whether it reads or writes there.
    fn transfer(&mut self, event: EventIndex, transfer: &Transfer) {
        let memory = self.memory;
        for (at, location) in transfer.locations().enumerate() {
            let mut before = transfer.locations().take(at);
            if let Some(slot) = location.slot()
                && memory.slots.privacy(slot) != Privacy::Never
                && !before.any(|other| other.slot() == Some(slot))
            {
                let op = self.push(event, memory.slot_class(slot), true);
                if transfer.writes.as_ref().and_then(Location::slot) == Some(slot) {
                    self.slot_ops[event as usize] = op;
                }
            }
        }
        let is_public = |location: &Location| !location.is_always_private(&memory.slots);
        if transfer.locations().any(is_public) {
            self.region_ops[event as usize] = self.push(event, ANY, true);
        }
        // Without a region they may be in any class.
        if transfer.reads.iter().any(is_public) {
            self.push(event, EPOCH, false);
        }
    }

    fn call(&mut self, event: EventIndex, call: &Call) {
        for class in call.reads.of_ops() {
            self.push(event, *class, false);
        }
        if call.may_end {
            self.push(event, TRAP_EPOCH, false);
        }
        // What it reads and what it overwrites of a slot that nobody else knows, mod/ref says.
        let concerns = |slot: &StackSlot| {
            let usage = call.use_of(*slot);
            !usage.reads.is_none() || !usage.overwrites.is_none()
        };
        for slot in call.used_slots().filter(concerns) {
            self.push(event, self.memory.slot_class(slot), true);
        }
    }
}
