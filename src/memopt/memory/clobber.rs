//! Which write reaches a load: versions over the forward graph.
//!
//! [`Clobbers::source`] walks from an access towards the entry, from version
//! to version, over everything that cannot write the location. It answers with
//! a store that wrote the very bytes, or with the point from which on nothing
//! has: two accesses of one location with the same such point see the same
//! bytes, if the first dominates the second.

use crate::FxHashMap;
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::inst::location::Location;
use crate::memopt::memory::insts::{ANY, Access, EventIndex, EventKind, Memory};
use crate::memopt::memory::mod_ref::{Bytes, Writes, mod_ref};
use crate::memopt::memory::numbering::Meaning;
use crate::memopt::memory::ops_back::{Builder, EventOps};
use crate::memopt::memory::overlapping::Pairs;
use crate::memopt::memory::ssa::{
    Class, Definition, FIRST_CLASS, NONE, OpIndex, Ops, PhiIndex, State, Version, Versions,
};
use alloc::vec::Vec;
use core::cell::RefCell;

/// Versions that one query may look at.
///
/// The distance to the write is a handful in real code; a thousand stores to
/// other fields of one region in between are the exception. Beyond it the
/// location counts as overwritten, and the run counts one hit.
const MAX_STEPS: u32 = 128;

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
    event_of_op: Vec<EventIndex>,
    end_ops: FxHashMap<(EventIndex, Class), OpIndex>,
    /// See [`Pairs`].
    paired: Vec<bool>,
    /// Stores that are known to change nothing.
    noops: Vec<bool>,
    /// The joins of the query that is being answered.
    joins: RefCell<Joins>,
    /// How many queries [`MAX_STEPS`] has ended, and classes without versions.
    pub limits_hit: u32,
}

impl<'a> Clobbers<'a> {
    /// Computes the versions of all classes. `repeating` says which nodes may run more than once.
    ///
    /// Cost: O(instructions + edges), see [`Versions::new`].
    pub fn new(
        memory: &'a Memory<'a>,
        order: &'a Order,
        graph: &'a Graph,
        dominance: &'a Dominance,
        repeating: &[bool],
    ) -> Self {
        let paired = Pairs::new(memory, repeating).paired;
        Self::of_paired(memory, order, graph, dominance, &[], paired)
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
        let paired = Pairs::new(memory, &graph.repeating_nodes()).paired;
        Self::of_paired(memory, order, graph, dominance, classes_at_ends, paired)
    }

    /// The same, and [`Self::source`] can be asked about every access, also where no pass could
    /// make a use of the answer.
    ///
    /// Cost: that of [`Self::new`] for a function in which all accesses are paired.
    pub fn of_all(
        memory: &'a Memory<'a>,
        order: &'a Order,
        graph: &'a Graph,
        dominance: &'a Dominance,
    ) -> Self {
        let all = alloc::vec![true; memory.events.len()];
        Self::of_paired(memory, order, graph, dominance, &[], all)
    }

    fn of_paired(
        memory: &'a Memory<'a>,
        order: &'a Order,
        graph: &'a Graph,
        dominance: &'a Dominance,
        classes_at_ends: &'a [Class],
        paired: Vec<bool>,
    ) -> Self {
        let mut builder = Builder::new(memory, &paired, classes_at_ends);
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
        let versions = match builder.asks {
            true => Versions::new(graph, dominance, &ops),
            false => Versions::of_nothing(&ops),
        };
        Self {
            memory,
            order,
            graph,
            dominance,
            limits_hit: versions.untracked(),
            versions,
            ops: builder.ops,
            event_of_op: builder.event_of_op,
            end_ops: builder.end_ops,
            paired,
            noops: alloc::vec![false; memory.events.len()],
            joins: RefCell::default(),
        }
    }

    /// Is the slot that `event` concerns unknown to everyone else, just before?
    pub fn slot_is_private(&self, event: EventIndex) -> bool {
        let (op, class) = self.ops[event as usize].escape;
        op != NONE
            && self.versions.is_tracked(class)
            && self.versions.definition(self.versions.before(op).own) == Definition::Entry
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
        if !self.paired[event as usize] {
            return Source::Unknown(Unknown::NotAsked);
        }
        let memory = self.memory;
        let Some(access) = memory.access(event) else {
            return Source::Unknown(Unknown::NotAsked);
        };
        let Location { address, bytes } = access.location;
        if bytes.is_none() || address.offset.is_none() {
            return Source::Unknown(Unknown::NoPlace);
        }
        if access.readonly
            && access.slot().is_none()
            && access.class.is_some_and(|class| !memory.is_stored(class))
        {
            // Only a store in this function changes what it reads, and one to
            // a slot that this is none of does not.
            return Source::Entry;
        }
        let private = self.slot_is_private(event);
        let ops = self.ops[event as usize];
        let op = if private { ops.slot } else { ops.region };
        if op == NONE {
            return Source::Unknown(Unknown::NotAsked);
        }
        self.source_at(access, op, private)
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

    fn source_at(&mut self, access: &Access, op: OpIndex, private: bool) -> Source {
        let class = match access.slot() {
            Some(slot) if private => self.memory.slot_class(slot),
            Some(_) | None => access.class.unwrap_or(ANY),
        };
        self.search(access.location, class, op, private)
    }

    /// Is it known, at the end of each predecessor of the node `join`, what the
    /// access `event` would find?
    ///
    /// Only for an access whose [`Self::source`] is that join. `is_known` is
    /// asked about each predecessor and where the bytes come from there; `None`
    /// stands for the join itself, from which nothing has written them on the
    /// path round. One refusal is the answer; so it is if the address means
    /// something else there, or if the search is given up.
    pub fn is_known_on_all_edges(
        &mut self,
        event: EventIndex,
        join: Node,
        is_known: &mut dyn FnMut(Node, Option<Source>) -> bool,
    ) -> bool {
        let Some(access) = self.memory.access(event) else {
            return false;
        };
        let private = self.slot_is_private(event);
        let ops = self.ops[event as usize];
        let op = if private { ops.slot } else { ops.region };
        let state = self.versions.before(op);
        let Some(mut query) = self.query(access.location, private) else {
            return false;
        };
        query.question = Some(Question {
            join,
            is_known,
            answer: false,
        });
        query.walk(state);
        let exhausted = query.steps == 0;
        let answer = query.question.is_some_and(|question| question.answer);
        self.limits_hit += u32::from(exhausted);
        answer && !exhausted
    }

    /// Where the bytes come from that the access `event` finds if it is reached
    /// by `path`: joins, each with the predecessor from which it is entered.
    ///
    /// The joins are passed one after the other, the one next to the access
    /// first, and the answer holds at the end of the last predecessor.
    pub fn source_on_path(&mut self, event: EventIndex, path: &[(Node, Node)]) -> Source {
        let Some(access) = self.memory.access(event) else {
            return Source::Unknown(Unknown::NotAsked);
        };
        let Location { address, bytes } = access.location;
        if bytes.is_none() || address.offset.is_none() {
            return Source::Unknown(Unknown::NoPlace);
        }
        let private = self.slot_is_private(event);
        let ops = self.ops[event as usize];
        let op = if private { ops.slot } else { ops.region };
        let class = self.memory.class_of(access, private);
        if op == NONE || !self.versions.is_tracked(class) {
            return Source::Unknown(Unknown::NotTracked);
        }
        let state = self.versions.before(op);
        let Some(mut query) = self.query(access.location, private) else {
            return Source::Unknown(Unknown::Unreachable);
        };
        query.path = path;
        let found = query.walk(state);
        let exhausted = query.steps == 0;
        self.limits_hit += u32::from(exhausted);
        match found {
            Found::Source(source) if !exhausted => source,
            Found::Source(_) => Source::Unknown(Unknown::GaveUp),
            Found::Cycle => Source::Unknown(Unknown::Unreachable),
        }
    }

    /// Where the bytes come from that the access `event` would find at the end
    /// of each predecessor of the node `join`; [`Source::Join`] of that node
    /// where nothing has written them on the path round.
    ///
    /// Only for an access whose [`Self::source`] is that join. `None` as for
    /// [`Self::is_known_on_all_edges`].
    pub fn at_predecessors(
        &mut self,
        event: EventIndex,
        join: Node,
    ) -> Option<Vec<(Node, Source)>> {
        let mut sources = Vec::new();
        let mut collect = |pred, source: Option<Source>| {
            sources.push((pred, source.unwrap_or(Source::Join(join))));
            true
        };
        self.is_known_on_all_edges(event, join, &mut collect)
            .then_some(sources)
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
            Meaning::From(node) => Some(node),
        };
        Some(Query {
            clobbers: self,
            location,
            private,
            root_node,
            joins: self.joins_of_query(),
            steps: MAX_STEPS,
            question: None,
            all: None,
            path: &[],
        })
    }
}

/// What a query has found out about joins, by node. It is kept from one query to
/// the next, so that a query costs nothing for the joins that it does not meet.
#[derive(Default)]
struct Joins {
    /// What is known, and in which time it was found.
    met: Vec<(u32, Option<Source>)>,
    /// The time; what is from another one is forgotten. It begins behind 0.
    now: u32,
}

impl Joins {
    /// Forgets all.
    fn clear(&mut self) {
        self.now = match self.now.checked_add(1) {
            Some(now) => now,
            None => {
                self.met.fill((0, None));
                1
            }
        };
    }

    fn get(&self, node: Node) -> Option<Option<Source>> {
        let (time, source) = self.met[node as usize];
        (time == self.now).then_some(source)
    }

    fn insert(&mut self, node: Node, source: Option<Source>) {
        self.met[node as usize] = (self.now, source);
    }

    fn remove(&mut self, node: Node) {
        self.met[node as usize].0 = 0;
    }
}

enum Found {
    Source(Source),
    /// Back at a join that is being looked at: adds nothing to it.
    Cycle,
}

/// One walk from an access towards the entry.
struct Query<'q, 'a> {
    clobbers: &'q Clobbers<'a>,
    location: Location,
    private: bool,
    /// Where the root gets its meaning; `None` if it means one thing always.
    root_node: Option<Node>,
    /// Joins that have been entered, and what they came to if the ones that are
    /// still open come to the same. If one does not, then neither does what
    /// asked, and so the answer to the whole query is right.
    joins: &'q RefCell<Joins>,
    steps: u32,
    /// What is to be asked at a join.
    question: Option<Question<'q>>,
    /// Collects what is found behind joins, which are then no answer.
    all: Option<Vec<Source>>,
    /// Joins that are passed by one edge only, and the predecessor that it comes from.
    path: &'q [(Node, Node)],
}

/// Something to be asked about each input of a join.
struct Question<'q> {
    join: Node,
    is_known: &'q mut dyn FnMut(Node, Option<Source>) -> bool,
    answer: bool,
}

impl Query<'_, '_> {
    fn walk(&mut self, mut state: State) -> Found {
        let clobbers = self.clobbers;
        let versions = &clobbers.versions;
        loop {
            if self.steps == 0 {
                return Found::Source(Source::Unknown(Unknown::GaveUp));
            }
            self.steps -= 1;
            let own = versions.definition(state.own);
            if !self.private && state.epoch != self.epoch_at(own) {
                // The epoch is the more recent of the two.
                match versions.definition(state.epoch) {
                    Definition::Op(op) => match self.operation(op) {
                        Some(found) => return found,
                        None => state.epoch = versions.before(op).epoch,
                    },
                    Definition::Phi(phi) => {
                        let own = state.own;
                        let node = versions.phi_node(phi);
                        let graph = clobbers.graph;
                        return self.join(node, versions.inputs_without_phi(graph, node, own));
                    }
                    Definition::Entry => {
                        return Found::Source(Source::Unknown(Unknown::Unreachable));
                    }
                }
                continue;
            }
            match own {
                Definition::Entry => return Found::Source(Source::Entry),
                Definition::Op(op) => match self.operation(op) {
                    Some(found) => return found,
                    None => state = versions.before(op),
                },
                Definition::Phi(phi) => return self.phi(phi),
            }
        }
    }

    /// The epoch when `own` was defined.
    fn epoch_at(&self, own: Definition) -> Version {
        let versions = &self.clobbers.versions;
        match own {
            Definition::Entry => Versions::entry(),
            Definition::Op(op) => versions.before(op).epoch,
            Definition::Phi(phi) => versions.at_phi(phi).epoch,
        }
    }

    /// What an operation does to the location; `None` if nothing.
    fn operation(&self, op: OpIndex) -> Option<Found> {
        let event = self.clobbers.event_of_op[op as usize];
        match &self.clobbers.memory.events[event as usize].kind {
            EventKind::Access(_) => self.store(event),
            // What else has an operation in a class or the epoch may write it.
            EventKind::Call(_)
            | EventKind::Barrier
            | EventKind::Trap
            | EventKind::End
            | EventKind::Compare
            | EventKind::Escape => Some(Found::Source(Source::Event(event))),
        }
    }

    fn store(&self, event: EventIndex) -> Option<Found> {
        if self.clobbers.noops[event as usize] {
            return None;
        }
        // The class of the versions says which regions concern it.
        let bytes = Bytes {
            location: self.location,
            class: None,
            private: self.private,
        };
        match mod_ref(self.clobbers.memory, event, &bytes).writes {
            Writes::None => None,
            Writes::All => Some(Found::Source(Source::Store(event))),
            Writes::Some | Writes::Part => Some(Found::Source(Source::Event(event))),
        }
    }

    fn phi(&mut self, phi: PhiIndex) -> Found {
        let Clobbers {
            versions, graph, ..
        } = self.clobbers;
        self.join(versions.phi_node(phi), versions.phi_inputs(graph, phi))
    }

    fn asks_at(&self, node: Node) -> bool {
        let question = self.question.as_ref();
        question.is_some_and(|question| question.join == node)
    }

    /// Asks about each input of the join `node`.
    fn ask(&mut self, node: Node, mut inputs: impl Iterator<Item = (Node, State)>) -> bool {
        let here = Source::Join(node);
        inputs.all(|(pred, state)| {
            // Each is a question of its own. What a join came to in between, for
            // one answer holds under the assumption that the joins around it
            // come to the same.
            self.joins.borrow_mut().clear();
            self.joins.borrow_mut().insert(node, None);
            let source = match self.walk(state) {
                Found::Cycle => Source::Unknown(Unknown::Unreachable),
                Found::Source(source) => source,
            };
            let source = (source != here).then_some(source);
            match &mut self.question {
                Some(question) => (question.is_known)(pred, source),
                None => false,
            }
        })
    }

    /// Adds what is found on all edges into a join.
    fn collect(&mut self, inputs: impl Iterator<Item = (Node, State)>) {
        for (_, state) in inputs {
            if let Found::Source(source) = self.walk(state)
                && let Some(all) = &mut self.all
            {
                all.push(source);
            }
        }
    }

    /// Follows all predecessors of `node`, unless the address means something
    /// else there. One answer from all of them is the answer.
    fn join(&mut self, node: Node, inputs: impl Iterator<Item = (Node, State)>) -> Found {
        let here = Source::Join(node);
        let same_address = self
            .root_node
            .is_none_or(|root| self.clobbers.dominance.strictly_dominates(root, node));
        if !same_address {
            return Found::Source(here);
        }
        if let Some(at) = self.path.iter().position(|(join, _)| *join == node) {
            let (_, from) = self.path[at];
            // Met again, it is an earlier time round some loop.
            self.path = &self.path[at + 1..];
            let mut inputs = inputs;
            return match inputs.find(|(pred, _)| *pred == from) {
                Some((_, state)) => self.walk(state),
                None => Found::Source(Source::Unknown(Unknown::Unreachable)),
            };
        }
        let known = self.joins.borrow().get(node);
        match known {
            Some(Some(source)) => return Found::Source(source),
            // It is known to be a mixture, and has a name of its own.
            Some(None) if self.asks_at(node) => return Found::Source(here),
            Some(None) => return Found::Cycle,
            None => {}
        }
        self.joins.borrow_mut().insert(node, None);
        if self.all.is_some() {
            self.collect(inputs);
            return Found::Cycle;
        }
        if self.asks_at(node) {
            let answer = self.ask(node, inputs);
            if let Some(question) = &mut self.question {
                question.answer = answer;
            }
            return Found::Source(here);
        }
        let mut common = None;
        for (_, state) in inputs {
            let found = match self.walk(state) {
                Found::Cycle => continue,
                Found::Source(source) => source,
            };
            if found.is_unknown() {
                // The budget is spent.
                return Found::Source(found);
            }
            if *common.get_or_insert(found) != found {
                common = Some(here);
                break;
            }
        }
        match common {
            Some(source) => {
                self.joins.borrow_mut().insert(node, Some(source));
                Found::Source(source)
            }
            None => {
                self.joins.borrow_mut().remove(node);
                Found::Cycle
            }
        }
    }
}
