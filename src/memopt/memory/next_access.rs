//! What happens next to a store: versions over the reversed graph.
//!
//! [`NextAccess::fate_of_part`] walks from a store in the direction of time, over
//! everything that cannot see it, and ends on each path at the first event
//! that decides: an overwrite, a reader, an observer of everything, or the end
//! of the frame. A cycle without such an event observes nothing.
//!
//! Addresses need more care than in the clobber walker. The walk may come round a
//! loop to where a base is computed anew, and then the same value is another
//! address. Going forward only, by reverse postorder, excludes that: suppose a
//! step from P to Q > P passed the definition D of the base. D dominates P, so
//! from D too the next event is Q; but the store is an event itself and can be
//! reached from D, so that Q would have to dominate it, and Q < P.

mod query;

use crate::FxHashMap;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::inst::location::Location;
use crate::memopt::memory::insts::{EventIndex, Memory};
use crate::memopt::memory::links::Links;
use crate::memopt::memory::ops_ahead::Builder;
use crate::memopt::memory::room::Room;
use crate::memopt::memory::ssa::{Class, NONE, OpIndex, Ops, Versions};
use alloc::vec::Vec;
use query::Query;
use smallvec::SmallVec;

/// Versions that one query may look at. As for loads, see
/// [`super::clobber`]; beyond it the store counts as observed.
const MAX_STEPS: u32 = 128;

/// What becomes of what a store writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody sees it: on every path one of these and others overwrites it, or the frame ends.
    Unobserved(SmallVec<[EventIndex; 2]>),
    /// This event may see it.
    SeenBy(EventIndex),
    /// Somebody on some path may.
    SeenOnSomePath,
    /// The address may mean another place before anything decides.
    AddressChanges,
    /// The base of the address is computed where no path leads.
    Unreachable,
    /// Its class was not announced.
    NotAsked,
    /// Its class has too many phis, see [`Versions::is_tracked`].
    NotTracked,
    /// [`MAX_STEPS`] has ended the walk.
    GaveUp,
}

impl Fate {
    /// May anyone see it, for all that is known?
    pub fn is_observed(&self) -> bool {
        !matches!(self, Self::Unobserved(_))
    }
}

/// What is written somewhere.
#[derive(Clone, Copy)]
struct Written {
    /// The operation behind which it is there.
    op: OpIndex,
    /// The node of that.
    node: Node,
    /// The class of the region that the access carries.
    region: Option<Class>,
    /// Does nobody else know its slot?
    private: bool,
    location: Location,
}

/// Answers what happens to a store.
pub struct NextAccess<'a> {
    memory: &'a Memory<'a>,
    order: &'a Order,
    graph: &'a Graph,
    /// Blocks that may run more than once.
    repeating: &'a [bool],
    versions: Versions,
    /// The operation of each event in the class of its region, or of any.
    region_ops: Vec<OpIndex>,
    /// The operation of each event in the class of its slot.
    slot_ops: Vec<OpIndex>,
    /// Where the world can find slots that have escaped.
    links: Links,
    /// What may be asked at the start of a node.
    start_ops: FxHashMap<(Node, Class), OpIndex>,
    event_of_op: Vec<EventIndex>,
    /// Does the operation stand for the access, or does it observe all?
    is_access: Vec<bool>,
    /// What is left of the lists that it was made in.
    room: Room,
    /// How many queries [`MAX_STEPS`] has ended, and classes without versions.
    pub limits_hit: u32,
}

impl<'a> NextAccess<'a> {
    /// Computes the versions of the classes in `asked`, in the lists of others. `reversed` is the
    /// graph against the edges, and `dominance` is that of it.
    ///
    /// Of a store in another class everything is observed.
    ///
    /// Cost: O(instructions + edges), see [`Versions::make`].
    pub fn new(
        memory: &'a Memory<'a>,
        order: &'a Order,
        reversed: &'a Graph,
        dominance: &Dominance,
        repeating: &'a [bool],
        asked: impl IntoIterator<Item = Class>,
        mut room: Room,
    ) -> Self {
        let builder = Builder::new(memory, asked, &mut room);
        let flow = (order, reversed, dominance);
        Self::build(memory, flow, repeating, builder, &[], room)
    }

    /// The same, for [`Self::is_observed_from`] to be asked about the classes at
    /// the starts of the nodes in `questions`, which are sorted.
    pub fn with_questions_at_starts(
        memory: &'a Memory<'a>,
        order: &'a Order,
        reversed: &'a Graph,
        dominance: &Dominance,
        repeating: &'a [bool],
        questions: &[(Node, Class)],
        mut room: Room,
    ) -> Self {
        let classes = questions.iter().map(|(_, class)| *class);
        let builder = Builder::new(memory, classes, &mut room);
        let flow = (order, reversed, dominance);
        Self::build(memory, flow, repeating, builder, questions, room)
    }

    fn build(
        memory: &'a Memory<'a>,
        (order, reversed, dominance): (&'a Order, &'a Graph, &Dominance),
        repeating: &'a [bool],
        mut builder: Builder<'a>,
        questions: &[(Node, Class)],
        mut room: Room,
    ) -> Self {
        let mut questions = questions.iter().copied().peekable();
        for node in 0..order.len() as Node {
            builder.starts.push(builder.list.len() as u32);
            for event in memory.of_node(node).rev() {
                builder.add(event);
            }
            while let Some((_, class)) = questions.next_if(|(at, _)| *at == node) {
                builder.ask(node, class);
            }
        }
        // The exit has no events.
        builder.starts.extend([builder.list.len() as u32; 2]);
        let ops = Ops {
            list: builder.list,
            starts: builder.starts,
            classes: memory.classes(),
            left_out: builder.left_out,
        };
        let mut versions = core::mem::take(&mut room.versions);
        versions.make(reversed, dominance, &ops);
        (room.list, room.starts, room.wanted) = (ops.list, ops.starts, builder.wanted);
        Self {
            memory,
            order,
            graph: reversed,
            repeating,
            links: Links::new(memory, order, reversed, repeating),
            limits_hit: versions.untracked(),
            versions,
            region_ops: builder.region_ops,
            slot_ops: builder.slot_ops,
            start_ops: builder.start_ops,
            event_of_op: builder.event_of_op,
            is_access: builder.is_access,
            room,
        }
    }

    /// The lists, for the next one.
    pub fn into_room(self) -> Room {
        Room {
            versions: self.versions,
            event_of_op: self.event_of_op,
            marks: self.is_access,
            region_ops: self.region_ops,
            slot_ops: self.slot_ops,
            ..self.room
        }
    }

    /// What becomes of some of the bytes that the store `event` writes: those at `part`, which
    /// has the root of its location.
    ///
    /// `private`: is its slot known to nobody else when it executes?
    pub fn fate_of_part(&mut self, event: EventIndex, private: bool, part: Location) -> Fate {
        let memory = self.memory;
        let Some(access) = memory.access(event) else {
            return Fate::NotAsked;
        };
        let op = if private && access.slot().is_some() {
            self.slot_ops[event as usize]
        } else {
            self.region_ops[event as usize]
        };
        let node = memory.node(event);
        self.fate_of(Written {
            op,
            node,
            region: access.class,
            private,
            location: part,
        })
    }

    /// What becomes of what the transfer `event` writes at `part`, which has the root of what it
    /// writes. `private` as for [`Self::fate_of_part`].
    pub fn fate_of_transfer(&mut self, event: EventIndex, private: bool, part: Location) -> Fate {
        let op = match private && part.slot().is_some() {
            true => self.slot_ops[event as usize],
            false => self.region_ops[event as usize],
        };
        let node = self.memory.node(event);
        self.fate_of(Written {
            op,
            node,
            region: None,
            private,
            location: part,
        })
    }

    /// What would become of what the store `event` writes if it were written on an edge
    /// to `node`. `private` as for [`Self::fate_of_part`], there.
    ///
    /// From the store, only that one edge may lead back in reverse postorder.
    pub fn fate_from(&mut self, node: Node, event: EventIndex, private: bool) -> Fate {
        let memory = self.memory;
        let Some(access) = memory.access(event) else {
            return Fate::NotAsked;
        };
        match self
            .start_ops
            .get(&(node, memory.class_of(access, private)))
        {
            Some(op) => {
                let home = memory.node(event);
                let location = match node > home || self.is_steady(&access.location) == Some(true) {
                    true => Some(access.location),
                    false => access.location.anywhere_in_slot(),
                };
                match location {
                    Some(location) => self.fate_of(Written {
                        op: *op,
                        node,
                        region: access.class,
                        private,
                        location,
                    }),
                    None => Fate::AddressChanges,
                }
            }
            None => Fate::NotAsked,
        }
    }

    /// See [`Memory::is_steady`].
    fn is_steady(&self, location: &Location) -> Option<bool> {
        let root = location.address.root;
        self.memory.is_steady(root, self.order, self.repeating)
    }

    /// What becomes of it; where its address changes in between, of whatever is in its slot.
    fn fate_of(&mut self, written: Written) -> Fate {
        let fate = self.fate_of_place(written);
        match (&fate, written.location.anywhere_in_slot()) {
            (Fate::AddressChanges, Some(location)) => self.fate_of_place(Written {
                location,
                ..written
            }),
            _ => fate,
        }
    }

    /// The same as far as its address means one place.
    fn fate_of_place(&mut self, written: Written) -> Fate {
        let Written {
            op,
            node,
            region,
            private,
            location,
        } = written;
        let memory = self.memory;
        let class = memory.class_at(&location, region, private);
        if op == NONE {
            return Fate::NotAsked;
        }
        if !self.versions.is_tracked(class) {
            return Fate::NotTracked;
        }
        let Some(steady) = self.is_steady(&location) else {
            return Fate::Unreachable;
        };
        let slot = location.slot().filter(|_| !private);
        let query = Query {
            next_access: self,
            linked: slot.filter(|slot| self.links.follows(*slot)),
            location,
            private,
            traps_observe: !private && memory.survives_trap(class),
            returns_observe: !private && location.slot().is_none(),
            steady,
            seen: SmallVec::new(),
            steps: MAX_STEPS,
        };
        let (fate, steps) = query.run(self.versions.before(op), node);
        if steps == 0 {
            self.limits_hit += 1;
        }
        fate
    }
}
