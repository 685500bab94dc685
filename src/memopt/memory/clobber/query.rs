//! One walk from an access towards the entry, from version to version.

use super::{Clobbers, MAX_COPIES, Source, Unknown, is_aligned};
use crate::memopt::cfg::graph::Node;
use crate::memopt::inst::location::Location;
use crate::memopt::memory::insts::{EventIndex, EventKind};
use crate::memopt::memory::mod_ref::{Bytes, Writes, mod_ref};
use crate::memopt::memory::ssa::{Definition, OpIndex, PhiIndex, State, Version, Versions};
use alloc::vec::Vec;
use core::cell::RefCell;
use smallvec::SmallVec;

/// What a query has found out about joins, by node. It is kept from one query to
/// the next, so that a query costs nothing for the joins that it does not meet.
#[derive(Default)]
pub(super) struct Joins {
    /// What is known, and in which time it was found.
    pub(super) met: Vec<(u32, Option<Source>)>,
    /// The time; what is from another one is forgotten. It begins behind 0.
    now: u32,
}

impl Joins {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
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

/// What a walk comes to.
pub(super) enum Found {
    /// An answer.
    Source(Source),
    /// Back at a join that is being looked at: adds nothing to it.
    Cycle,
}

/// One walk from an access towards the entry.
pub(super) struct Query<'q, 'a> {
    pub(super) clobbers: &'q Clobbers<'a>,
    pub(super) location: Location,
    pub(super) private: bool,
    /// Where the root gets its meaning; `None` if it means one thing at all joins.
    pub(super) root_node: Option<Node>,
    /// Joins that have been entered, and what they came to if the ones that are
    /// still open come to the same. If one does not, then neither does what
    /// asked, and so the answer to the whole query is right.
    pub(super) joins: &'q RefCell<Joins>,
    pub(super) steps: u32,
    /// A node at whose start the walk ends, and the version of the class there once it has come to it.
    pub(super) stop: Option<(Node, Option<Version>)>,
    /// What is to be asked at a join.
    pub(super) question: Option<Question<'q>>,
    /// Collects what is found behind joins, which are then no answer.
    pub(super) all: Option<Vec<Source>>,
    /// Joins that are passed by one edge only, and the predecessor that it comes from.
    pub(super) path: &'q [(Node, Node)],
    /// Stores that have been passed because they may be to all of the bytes or to none.
    pub(super) copies: Option<RefCell<SmallVec<[EventIndex; MAX_COPIES]>>>,
}

/// Something to be asked about each input of a join.
pub(super) struct Question<'q> {
    pub(super) join: Node,
    pub(super) is_known: &'q mut dyn FnMut(Node, Option<Source>) -> bool,
    pub(super) answer: bool,
}

impl Query<'_, '_> {
    pub(super) fn walk(&mut self, mut state: State) -> Found {
        let clobbers = self.clobbers;
        let versions = &clobbers.versions;
        loop {
            if self.steps == 0 {
                return Found::Source(Source::Unknown(Unknown::GaveUp));
            }
            self.steps -= 1;
            let own = versions.definition(state.own);
            let is_epoch = !self.private && state.epoch != self.epoch_at(own);
            if self.stop.is_some()
                && let Some(found) = self.stopped(state, own, is_epoch)
            {
                return found;
            }
            if is_epoch {
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

    /// Has the walk come to the start of the node at which it ends? Then the later one of both
    /// versions was not defined behind that.
    fn stopped(&mut self, state: State, own: Definition, is_epoch: bool) -> Option<Found> {
        let clobbers = self.clobbers;
        let (stop, version) = self.stop.as_mut()?;
        let last = match is_epoch {
            true => clobbers.versions.definition(state.epoch),
            false => own,
        };
        let is_before = match last {
            Definition::Entry => true,
            Definition::Op(op) => {
                let event = clobbers.event_of_op[op as usize];
                clobbers.memory.node(event) < *stop
            }
            Definition::Phi(phi) => clobbers.versions.phi_node(phi) <= *stop,
        };
        is_before.then(|| {
            *version = Some(state.own);
            Found::Source(Source::Join(*stop))
        })
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
            EventKind::Access(_) | EventKind::Transfer(_) => self.store(event),
            // Of a slot that nobody else knows, a callee writes what it writes by its pointer.
            EventKind::Call(_) if self.private => self.store(event),
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
        let clobbers = self.clobbers;
        match mod_ref(clobbers.memory, event, &bytes).writes {
            Writes::None => None,
            Writes::All if clobbers.memory.access(event).is_some() => {
                Some(Found::Source(Source::Store(event)))
            }
            Writes::Some if self.passes_copy(event) => None,
            Writes::Some | Writes::Part | Writes::All => Some(Found::Source(Source::Event(event))),
        }
    }

    /// Is the store to all of the bytes or to none of them? It is passed then.
    fn passes_copy(&self, event: EventIndex) -> bool {
        let (Some(copies), Some(bytes)) = (&self.copies, self.location.bytes) else {
            return false;
        };
        let memory = self.clobbers.memory;
        let mut copies = copies.borrow_mut();
        let as_many = memory
            .access(event)
            .is_some_and(|store| store.location.bytes == Some(bytes));
        let passes = as_many && is_aligned(memory, event, bytes);
        if passes && !copies.contains(&event) {
            copies.push(event);
        }
        passes && copies.len() <= MAX_COPIES
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
