//! Memory instructions as operations of memory SSA along the edges: what each of them may
//! write, and which of them ask.

use crate::FxHashMap;
use crate::ir::StackSlot;
use crate::memopt::cfg::graph::{Graph, Node};
use crate::memopt::inst::location::Location;
use crate::memopt::memory::insts::{ANY, Access, Call, EventIndex, EventKind, Memory, Transfer};
use crate::memopt::memory::room::{Room, emptied, filled};
use crate::memopt::memory::slot_escape::Privacy;
use crate::memopt::memory::ssa::{Class, EPOCH, NONE, Op, OpIndex};
use alloc::vec::Vec;

/// The operations of one event; `NONE` where there is none.
#[derive(Clone, Copy)]
pub(super) struct EventOps {
    /// In the class of its region, or [`ANY`].
    pub(super) region: OpIndex,
    /// In the class of its slot.
    pub(super) slot: OpIndex,
    /// In the class that tells whether its slot has escaped, and that class.
    pub(super) escape: (OpIndex, Class),
}

impl EventOps {
    pub(super) const NONE: Self = Self {
        region: NONE,
        slot: NONE,
        escape: (NONE, EPOCH),
    };
}

/// The classes in which one of the `paired` accesses is looked for, and others that are
/// asked about.
fn wanted_classes(
    memory: &Memory<'_>,
    paired: &[bool],
    classes_at_ends: &[Class],
    room: &mut Room,
) -> Vec<bool> {
    let mut wanted = filled(&mut room.wanted, memory.classes() as usize, false);
    wanted[EPOCH as usize] = true;
    for (event, _) in paired.iter().enumerate().filter(|(_, paired)| **paired) {
        if let Some(access) = memory.access(event as EventIndex) {
            wanted[memory.class_of(access, true) as usize] = true;
            wanted[memory.class_of(access, false) as usize] = true;
        }
    }
    let events = memory.events.iter().filter(|_| memory.has_transfers);
    for event in events {
        if let EventKind::Transfer(transfer) = &event.kind {
            for location in transfer.locations() {
                wanted[memory.class_at(location, None, true) as usize] = true;
                wanted[ANY as usize] = true;
            }
        }
    }
    for class in classes_at_ends {
        wanted[*class as usize] = true;
    }
    wanted
}

/// Turns events into operations.
pub(super) struct Builder<'a> {
    memory: &'a Memory<'a>,
    pub(super) list: Vec<Op>,
    pub(super) starts: Vec<u32>,
    pub(super) event_of_op: Vec<EventIndex>,
    pub(super) ops: Vec<EventOps>,
    /// Those by which a transfer asks about what it is to write; its other ones ask about what it
    /// reads.
    pub(super) written_ops: FxHashMap<EventIndex, EventOps>,
    classes_at_ends: &'a [Class],
    pub(super) end_ops: FxHashMap<(EventIndex, Class), OpIndex>,
    /// The classes that can be asked about. Those of escapes are always.
    pub(super) wanted: Vec<bool>,
    /// Operations of other classes.
    pub(super) left_out: usize,
    /// Is there anything that asks?
    pub(super) asks: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        memory: &'a Memory<'a>,
        paired: &[bool],
        classes_at_ends: &'a [Class],
        room: &mut Room,
    ) -> Self {
        // Most accesses have an operation in the class of their region and one in that of all.
        let ops = memory.events.len() * 2;
        Self {
            memory,
            list: emptied(&mut room.list, ops),
            starts: emptied(&mut room.starts, memory.starts.len()),
            event_of_op: emptied(&mut room.event_of_op, ops),
            ops: emptied(&mut room.event_ops, memory.events.len()),
            written_ops: FxHashMap::default(),
            classes_at_ends,
            end_ops: FxHashMap::default(),
            wanted: wanted_classes(memory, paired, classes_at_ends, room),
            left_out: 0,
            asks: false,
        }
    }

    pub(super) fn add_all(&mut self, graph: &Graph) {
        for node in 0..graph.len() as Node {
            self.starts.push(self.list.len() as u32);
            for event in self.memory.of_node(node) {
                self.add(event);
            }
        }
        self.starts.push(self.list.len() as u32);
    }

    /// Nobody asks anything: no event has operations.
    pub(super) fn add_nothing(&mut self) {
        self.ops.resize(self.memory.events.len(), EventOps::NONE);
    }

    /// Adds an operation, unless nobody asks about its class.
    fn push(&mut self, event: EventIndex, class: Class, defines: bool) -> OpIndex {
        if self.wanted.get(class as usize) == Some(&false) {
            self.left_out += 1;
            return NONE;
        }
        self.asks |= class != EPOCH;
        let op = self.list.len() as OpIndex;
        self.list.push(Op { class, defines });
        self.event_of_op.push(event);
        op
    }

    fn add(&mut self, event: EventIndex) {
        let mut ops = EventOps::NONE;
        let memory = self.memory;
        let inst = memory.inst(event);
        match &memory.events[event as usize].kind {
            EventKind::Access(access) => self.access(event, access, &mut ops),
            EventKind::Call(call) => self.call(event, call),
            EventKind::Transfer(transfer) => self.transfer(event, transfer, &mut ops),
            EventKind::Barrier => {
                self.push(event, EPOCH, true);
            }
            EventKind::Compare => ops.escape = self.compared_slot(event),
            EventKind::End => {
                for class in self.classes_at_ends {
                    let op = self.push(event, *class, false);
                    self.end_ops.insert((event, *class), op);
                }
            }
            EventKind::Trap | EventKind::Escape => {}
        }
        for slot in memory.slots.escapes_at(inst) {
            self.push(event, self.escape_class(*slot), true);
        }
        self.ops.push(ops);
    }

    fn access(&mut self, event: EventIndex, access: &Access, ops: &mut EventOps) {
        let writes = access.stored.is_some();
        if let Some(slot) = access.slot()
            && self.memory.slots.privacy(slot) != Privacy::Never
        {
            ops.escape = self.ask_escape(event, slot);
            ops.slot = self.push(event, self.memory.slot_class(slot), writes);
            if self.memory.slots.privacy(slot) == Privacy::Always {
                return;
            }
        }
        match access.class {
            Some(class) => {
                ops.region = self.push(event, class, writes);
                if writes {
                    self.push(event, ANY, true);
                }
            }
            None => {
                ops.region = self.push(event, ANY, writes);
                if writes {
                    self.push(event, EPOCH, true);
                }
            }
        }
    }

    /// A function that reads some bytes and then writes others, without a region.
    fn transfer(&mut self, event: EventIndex, transfer: &Transfer, ops: &mut EventOps) {
        if let Some((from, _)) = transfer.copied() {
            *ops = self.asking(event, from);
        }
        let Some(to) = &transfer.writes else {
            return;
        };
        let written = self.asking(event, to);
        self.written_ops.insert(event, written);
        if let Some(slot) = to.slot()
            && self.memory.slots.privacy(slot) != Privacy::Never
        {
            self.push(event, self.memory.slot_class(slot), true);
        }
        if !to.is_always_private(&self.memory.slots) {
            self.push(event, ANY, true);
            self.push(event, EPOCH, true);
        }
    }

    /// Asks about the bytes of a location without a region.
    fn asking(&mut self, event: EventIndex, location: &Location) -> EventOps {
        let mut ops = EventOps::NONE;
        if let Some(slot) = location.slot()
            && self.memory.slots.privacy(slot) != Privacy::Never
        {
            ops.escape = self.ask_escape(event, slot);
            ops.slot = self.push(event, self.memory.slot_class(slot), false);
        }
        if !location.is_always_private(&self.memory.slots) {
            ops.region = self.push(event, ANY, false);
        }
        ops
    }

    fn call(&mut self, event: EventIndex, call: &Call) {
        for class in call.writes.of_ops() {
            self.push(event, *class, true);
        }
        let is_written = |slot: &StackSlot| !call.use_of(*slot).writes.is_none();
        for slot in call.used_slots().filter(is_written) {
            self.push(event, self.memory.slot_class(slot), true);
        }
    }

    /// Asks about the escape of the slot in a comparison.
    fn compared_slot(&mut self, event: EventIndex) -> (OpIndex, Class) {
        let memory = self.memory;
        let slot = memory.compared_slot(memory.inst(event));
        match slot {
            Some(slot) if memory.slots.privacy(slot) != Privacy::Never => {
                self.ask_escape(event, slot)
            }
            Some(_) | None => (NONE, EPOCH),
        }
    }

    fn ask_escape(&mut self, event: EventIndex, slot: StackSlot) -> (OpIndex, Class) {
        let class = self.escape_class(slot);
        (self.push(event, class, false), class)
    }

    /// The class that tells whether `slot` has escaped. They come behind all others.
    fn escape_class(&self, slot: StackSlot) -> Class {
        let at = self.memory.slots.used_at(slot);
        self.memory.classes() + at.expect("the address of the slot is taken")
    }
}
