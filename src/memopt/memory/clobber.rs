//! Which write reaches a load: versions over the forward graph.
//!
//! [`Clobbers::source`] walks from an access towards the entry, from version
//! to version, over everything that cannot write the location. It answers with
//! a store that wrote the very bytes, or with the point from which on nothing
//! has: two accesses of one location with the same such point see the same
//! bytes, if the first dominates the second.

mod edges;
mod query;
mod translated;

use crate::FxHashMap;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::inst::location::Location;
use crate::memopt::memory::insts::{EventIndex, Memory};
use crate::memopt::memory::numbering::Meaning;
use crate::memopt::memory::ops_back::{Builder, EventOps};
use crate::memopt::memory::overlapping::Pairs;
use crate::memopt::memory::room::{Room, filled};
use crate::memopt::memory::ssa::{
    Class, Definition, FIRST_CLASS, NONE, Op, OpIndex, Ops, Versions,
};
use alloc::vec::Vec;
use core::cell::RefCell;
use query::{Found, Joins, Query};
use smallvec::SmallVec;
pub use translated::AtEdge;

/// Versions that one query may look at.
///
/// The distance to the write is a handful in real code; a thousand stores to
/// other fields of one region in between are the exception. Beyond it the
/// location counts as overwritten, and the run counts one hit.
const MAX_STEPS: u32 = 128;

/// Copies that one query may pass, see [`Clobbers::source_past_copies`].
///
/// What is copied elsewhere and put back is copied once or twice. Beyond it the location counts
/// as overwritten.
const MAX_COPIES: usize = 4;

/// Where the bytes of a location come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// They have not been written since the function began.
    Entry,
    /// This store wrote all of them, and nothing has written them since.
    Store(EventIndex),
    /// This event may have written some of them; nothing has since.
    Event(EventIndex),
    /// Different writes meet at this node; nothing has written since.
    Join(Node),
    /// Nothing is known, for this reason.
    Unknown(Unknown),
}

/// Why it is not known where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// No other access could make a use of it, so that it was not looked for.
    NotAsked,
    /// It is not known how many bytes they are, or where in a slot.
    NoPlace,
    /// Their class has too many phis, see [`Versions::is_tracked`].
    NotTracked,
    /// [`MAX_STEPS`] has ended the walk.
    GaveUp,
    /// No path leads here from the entry.
    Unreachable,
}

impl Source {
    /// Is nothing known?
    pub fn is_unknown(self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

/// Answers which write reaches an access.
pub struct Clobbers<'a> {
    memory: &'a Memory<'a>,
    order: &'a Order,
    graph: &'a Graph,
    dominance: &'a Dominance,
    versions: Versions,
    ops: Vec<EventOps>,
    written_ops: FxHashMap<EventIndex, EventOps>,
    event_of_op: Vec<EventIndex>,
    /// The operations, and where those of each node begin.
    op_list: Vec<Op>,
    op_starts: Vec<OpIndex>,
    end_ops: FxHashMap<(EventIndex, Class), OpIndex>,
    /// See [`Pairs`].
    pairs: Pairs,
    /// Stores that are known to change nothing.
    noops: Vec<bool>,
    /// The joins of the query that is being answered.
    joins: RefCell<Joins>,
    /// What is left of the lists that it was made in.
    room: Room,
    /// How many queries [`MAX_STEPS`] has ended, and classes without versions.
    pub limits_hit: u32,
}

impl<'a> Clobbers<'a> {
    /// Computes the versions of all classes that one of the accesses of `pairs` asks about, in the
    /// lists of others.
    ///
    /// Cost: O(instructions + edges), see [`Versions::make`].
    pub fn in_room(
        memory: &'a Memory<'a>,
        order: &'a Order,
        graph: &'a Graph,
        dominance: &'a Dominance,
        pairs: Pairs,
        room: Room,
    ) -> Self {
        Self::of_pairs(memory, order, graph, dominance, &[], pairs, room)
    }

    /// The same, and [`Self::sources_at_end`] can be asked about `classes`.
    ///
    /// Cost: also O(`classes` · ends of the function).
    pub fn with_classes_at_ends(
        memory: &'a Memory<'a>,
        order: &'a Order,
        graph: &'a Graph,
        dominance: &'a Dominance,
        classes_at_ends: &'a [Class],
    ) -> Self {
        let pairs = Pairs::new(memory, &graph.repeating_nodes(), None);
        let room = Room::default();
        Self::of_pairs(
            memory,
            order,
            graph,
            dominance,
            classes_at_ends,
            pairs,
            room,
        )
    }

    fn of_pairs(
        memory: &'a Memory<'a>,
        order: &'a Order,
        graph: &'a Graph,
        dominance: &'a Dominance,
        classes_at_ends: &'a [Class],
        pairs: Pairs,
        mut room: Room,
    ) -> Self {
        let mut builder = Builder::new(memory, &pairs.paired, classes_at_ends, &mut room);
        if memory.slots.used().is_empty() && !builder.wanted[FIRST_CLASS as usize..].contains(&true)
        {
            builder.add_nothing();
        } else {
            builder.add_all(graph);
        }
        let classes = memory.classes() + memory.slots.used().len() as u32;
        let ops = Ops {
            list: builder.list,
            starts: builder.starts,
            classes,
            left_out: builder.left_out,
        };
        let mut versions = core::mem::take(&mut room.versions);
        match builder.asks {
            true => versions.make(graph, dominance, &ops),
            false => versions.make_none(&ops),
        }
        room.wanted = builder.wanted;
        Self {
            memory,
            order,
            graph,
            dominance,
            limits_hit: versions.untracked(),
            versions,
            ops: builder.ops,
            written_ops: builder.written_ops,
            event_of_op: builder.event_of_op,
            op_list: ops.list,
            op_starts: ops.starts,
            end_ops: builder.end_ops,
            pairs,
            noops: filled(&mut room.marks, memory.events.len(), false),
            joins: RefCell::default(),
            room,
        }
    }

    /// The lists, for the next one.
    pub fn into_lists(self) -> (Room, Pairs) {
        let room = Room {
            versions: self.versions,
            list: self.op_list,
            starts: self.op_starts,
            event_of_op: self.event_of_op,
            marks: self.noops,
            event_ops: self.ops,
            ..self.room
        };
        (room, self.pairs)
    }

    fn class_of_op(&self, op: OpIndex) -> Class {
        self.op_list[op as usize].class
    }

    /// Is the slot that `event` concerns unknown to everyone else, just before?
    pub fn slot_is_private(&self, event: EventIndex) -> bool {
        self.is_private(&self.ops[event as usize])
    }

    fn is_private(&self, ops: &EventOps) -> bool {
        let (op, class) = ops.escape;
        op != NONE
            && self.versions.is_tracked(class)
            && self.versions.definition(self.versions.before(op).own) == Definition::Entry
    }

    /// May another access be to some of the bytes of `event`, or it itself once more, by what is
    /// known of their roots and offsets?
    pub fn is_shared(&self, event: EventIndex) -> bool {
        self.pairs.is_shared(event)
    }

    /// From now on `event`, a store, counts as changing nothing.
    ///
    /// The caller has to have proven that memory holds its value already.
    pub fn set_noop(&mut self, event: EventIndex) {
        self.noops[event as usize] = true;
    }

    /// Where the bytes come from that the access `event` finds.
    ///
    /// For a store, what its location held just before. Unknown where no other
    /// access could make a use of the answer.
    pub fn source(&mut self, event: EventIndex) -> Source {
        match self.memory.access(event) {
            Some(access) => self.source_of_part(event, access.location),
            None => Source::Unknown(Unknown::NotAsked),
        }
    }

    /// Where some of the bytes come from that the access `event` finds: those at `part`, which
    /// has the root of its location and lies in it.
    pub fn source_of_part(&mut self, event: EventIndex, part: Location) -> Source {
        if !self.pairs.paired[event as usize] {
            return Source::Unknown(Unknown::NotAsked);
        }
        let memory = self.memory;
        let Some(access) = memory.access(event) else {
            return Source::Unknown(Unknown::NotAsked);
        };
        let Location { address, bytes } = part;
        if bytes.is_none() || address.offset.is_none() {
            return Source::Unknown(Unknown::NoPlace);
        }
        if memory.is_constant(access) {
            return Source::Entry;
        }
        let (op, private) = self.asked(event);
        if op == NONE {
            return Source::Unknown(Unknown::NotAsked);
        }
        self.search(part, memory.class_of(access, private), op, private)
    }

    /// Where the bytes come from that are at `part` just before the transfer `event`: of what it
    /// reads, if it copies, or of what it [is to write](Self::source_to_be_written).
    ///
    /// Only if the world does not access them at any time.
    pub fn source_to_be_read(&mut self, event: EventIndex, part: Location) -> Source {
        self.source_of(self.ops[event as usize], part)
    }

    /// See [`Self::source_to_be_read`].
    pub fn source_to_be_written(&mut self, event: EventIndex, part: Location) -> Source {
        match self.written_ops.get(&event) {
            Some(ops) => self.source_of(*ops, part),
            None => Source::Unknown(Unknown::NotAsked),
        }
    }

    /// Where the bytes at `part` come from, without a region, where `ops` ask.
    fn source_of(&mut self, ops: EventOps, part: Location) -> Source {
        if part.bytes.is_none() || part.address.offset.is_none() {
            return Source::Unknown(Unknown::NoPlace);
        }
        let private = self.is_private(&ops);
        let op = if private { ops.slot } else { ops.region };
        if op == NONE {
            return Source::Unknown(Unknown::NotAsked);
        }
        let class = self.memory.class_at(&part, None, private);
        self.search(part, class, op, private)
    }

    /// Is the slot that the transfer `event` is to write to unknown to everyone else, just before?
    pub fn written_slot_is_private(&self, event: EventIndex) -> bool {
        let ops = self.written_ops.get(&event);
        ops.is_some_and(|ops| self.is_private(ops))
    }

    /// Does another access share some of the bytes of `event`, without being of the same ones?
    pub fn is_parted(&self, event: EventIndex) -> bool {
        self.pairs.parted[event as usize]
    }

    /// Where the bytes come from that a location in `class` holds where the
    /// function ends by `event`, on all paths there: no source is a join, unless
    /// the address means something else before it.
    ///
    /// Only for a class that was announced to [`Self::with_classes_at_ends`].
    /// `None` if the search is given up.
    pub fn sources_at_end(
        &mut self,
        event: EventIndex,
        class: Class,
        location: Location,
    ) -> Option<Vec<Source>> {
        let op = self.end_ops[&(event, class)];
        if !self.versions.is_tracked(class) {
            return None;
        }
        let state = self.versions.before(op);
        let mut query = self.query(location, false)?;
        query.all = Some(Vec::new());
        let found = query.walk(state);
        let exhausted = query.steps == 0;
        let mut sources = query.all?;
        if let Found::Source(source) = found {
            sources.push(source);
        }
        self.limits_hit += u32::from(exhausted);
        (!exhausted).then_some(sources)
    }

    /// [`Self::source`], but past stores that may be to all of the bytes, and are to none of them
    /// otherwise; and those stores, whose value the bytes may be.
    ///
    /// They are of as many bytes as the access, and both are `aligned`, or of one byte. `None` if it is not
    /// known where the bytes come from.
    pub fn source_past_copies(
        &mut self,
        event: EventIndex,
    ) -> Option<(Source, SmallVec<[EventIndex; MAX_COPIES]>)> {
        let memory = self.memory;
        let access = memory.access(event)?;
        if !self.pairs.paired[event as usize] || !is_aligned(memory, event, access.location.bytes?)
        {
            return None;
        }
        let (op, private) = self.asked(event);
        let class = memory.class_of(access, private);
        if op == NONE || private || !self.versions.is_tracked(class) {
            return None;
        }
        let state = self.versions.before(op);
        let mut query = self.query(access.location, private)?;
        query.copies = Some(RefCell::default());
        let found = query.walk(state);
        let (left, copies) = (query.steps, query.copies.take()?.into_inner());
        self.limits_hit += u32::from(left == 0);
        match found {
            Found::Source(source) if left > 0 && !source.is_unknown() => Some((source, copies)),
            Found::Source(_) | Found::Cycle => None,
        }
    }

    /// The operation by which the access `event` asks, in the class of its slot while nobody else
    /// knows that; and whether so it is.
    fn asked(&self, event: EventIndex) -> (OpIndex, bool) {
        let private = self.slot_is_private(event);
        let ops = self.ops[event as usize];
        (if private { ops.slot } else { ops.region }, private)
    }

    fn search(&mut self, location: Location, class: Class, op: OpIndex, private: bool) -> Source {
        if !self.versions.is_tracked(class) {
            return Source::Unknown(Unknown::NotTracked);
        }
        let state = self.versions.before(op);
        let Some(mut query) = self.query(location, private) else {
            return Source::Unknown(Unknown::Unreachable);
        };
        let found = query.walk(state);
        if query.steps == 0 {
            self.limits_hit += 1;
            return Source::Unknown(Unknown::GaveUp);
        }
        match found {
            Found::Source(source) => source,
            // Only reached from itself: the code never runs.
            Found::Cycle => Source::Unknown(Unknown::Unreachable),
        }
    }

    /// Room for the joins of one query, of which there is one at a time.
    fn joins_of_query(&self) -> &RefCell<Joins> {
        let mut joins = self.joins.borrow_mut();
        joins.met.resize(self.graph.len(), (0, None));
        joins.clear();
        &self.joins
    }

    fn query<'q>(&'q self, location: Location, private: bool) -> Option<Query<'q, 'a>> {
        let root_node = match self.memory.meaning(location.address.root, self.order)? {
            Meaning::Always => None,
            // No paths meet where the function begins: it comes before all joins.
            Meaning::From(node) if node == self.graph.entry => None,
            Meaning::From(node) => Some(node),
        };
        Some(Query {
            clobbers: self,
            location,
            private,
            root_node,
            joins: self.joins_of_query(),
            stop: None,
            steps: MAX_STEPS,
            question: None,
            all: None,
            path: &[],
            copies: None,
        })
    }
}

/// Is the address of the access a multiple of how many bytes it is of, as all are of one?
fn is_aligned(memory: &Memory<'_>, event: EventIndex, bytes: u32) -> bool {
    let dfg = &memory.func.dfg;
    let flags = dfg.insts[memory.inst(event)].memflags_data(dfg);
    bytes == 1 || bytes.is_power_of_two() && flags.is_some_and(|flags| flags.aligned())
}
