//! What is known at the ends of predecessors, and along paths.

use super::query::{Found, Question};
use super::{Clobbers, Source, Unknown};
use crate::memopt::cfg::graph::Node;
use crate::memopt::inst::location::Location;
use crate::memopt::memory::insts::EventIndex;
use crate::memopt::memory::ssa::{NONE, State};
use alloc::vec::Vec;

impl Clobbers<'_> {
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
        let (op, _) = self.asked(event);
        self.asks_at_edges(event, self.versions.before(op), join, is_known)
    }

    /// [`Self::is_known_on_all_edges`] of an access that is made in `state`.
    fn asks_at_edges(
        &mut self,
        event: EventIndex,
        state: State,
        join: Node,
        is_known: &mut dyn FnMut(Node, Option<Source>) -> bool,
    ) -> bool {
        let Some(access) = self.memory.access(event) else {
            return false;
        };
        let (_, private) = self.asked(event);
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
        let (op, private) = self.asked(event);
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

    /// The same for an access in the node `join` itself, if it were made at the start of it:
    /// what comes before it in the node does not count.
    ///
    /// `None` too where no other access could make a use of the answer, and where nothing meets
    /// at `join` that the access could find.
    ///
    /// Cost: also O(operations of the node).
    pub fn at_predecessors_of_start(
        &mut self,
        event: EventIndex,
        join: Node,
    ) -> Option<Vec<(Node, Source)>> {
        let state = self.at_start_for(event, join)?;
        self.sources_at_edges(event, state, join)
    }

    /// The same at the predecessors of another join, `behind`, from which nothing has written the bytes
    /// until the end of `pred`, a predecessor of `join`.
    ///
    /// Cost: that of [`Self::at_predecessors_of_start`].
    pub fn at_predecessors_behind(
        &mut self,
        event: EventIndex,
        (join, pred): (Node, Node),
        behind: Node,
    ) -> Option<Vec<(Node, Source)>> {
        let own = self.at_start_for(event, join)?.own;
        let state = self.versions.at_predecessor(self.graph, join, own, pred)?;
        self.sources_at_edges(event, state, behind)
    }

    /// The state at the start of the node `join` in which the access `event` would find its bytes.
    fn at_start_for(&self, event: EventIndex, join: Node) -> Option<State> {
        let memory = self.memory;
        let access = memory.access(event)?;
        let location = access.location;
        let (op, private) = self.asked(event);
        let class = memory.class_of(access, private);
        if !self.pairs.paired[event as usize]
            || location.bytes.is_none()
            || location.address.offset.is_none()
            || memory.is_constant(access)
            || op == NONE
            || !self.versions.is_tracked(class)
        {
            return None;
        }
        // Until the first operation of a class in a node its version is that of the start.
        let first = (self.op_starts[join as usize]..op).find(|at| self.class_of_op(*at) == class);
        let own = self.versions.before(first.unwrap_or(op)).own;
        Some(self.versions.at_start(join, own))
    }

    /// Where the bytes of the access `event`, if it is made in `state`, come from at the end of each
    /// predecessor of `join`.
    fn sources_at_edges(
        &mut self,
        event: EventIndex,
        state: State,
        join: Node,
    ) -> Option<Vec<(Node, Source)>> {
        let mut sources = Vec::new();
        let mut collect = |pred, source: Option<Source>| {
            sources.push((pred, source.unwrap_or(Source::Join(join))));
            true
        };
        self.asks_at_edges(event, state, join, &mut collect)
            .then_some(sources)
    }
}
