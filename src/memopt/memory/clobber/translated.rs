//! What is known of the bytes behind a pointer that is one of several, see
//! [`translation`](crate::memopt::memory::translation).

use super::query::Found;
use super::{Clobbers, Source, Unknown};
use crate::memopt::cfg::graph::Node;
use crate::memopt::inst::location::Location;
use crate::memopt::memory::insts::{Access, EventIndex};
use crate::memopt::memory::ssa::{NONE, State, Version};
use crate::memopt::memory::translation::{Passed, Pointer};
use alloc::vec::Vec;

/// What a load would find at the end of a predecessor.
pub struct AtEdge {
    /// The predecessor.
    pub from: Node,
    /// The load, by what the edge passes.
    pub access: Access,
    /// Where its bytes come from there; `None` if they are those of the load itself, which has
    /// been made before, and from the start of whose block nothing has written them.
    pub source: Option<Source>,
}

impl<'a> Clobbers<'a> {
    /// What the load `event`, by a pointer that edges pass to a block, would find at the end of
    /// each predecessor of that block, by what that passes, for each edge; and the block.
    ///
    /// `None` if the load is by no such pointer, or if anything may write its bytes between the
    /// start of the block and the load.
    pub fn at_edges(&mut self, event: EventIndex) -> Option<(Node, Vec<AtEdge>)> {
        let (access, op, join, edges) = self.passed(event)?;
        if self.memory.is_constant(access) {
            return self.constant_at_edges(access, join, edges);
        }
        let state = self.versions.before(op);
        let mut query = self.query(access.location, false)?;
        query.stop = Some((join, None));
        let found = query.walk(state);
        let (stop, exhausted) = (query.stop, query.steps == 0);
        self.limits_hit += u32::from(exhausted);
        match (found, stop) {
            (Found::Source(Source::Join(node)), Some((_, Some(own))))
                if node == join && !exhausted =>
            {
                self.each_edge(access, join, edges, own)
            }
            _ => None,
        }
    }

    /// The same for a load in that block, if it were made at the start of it: what comes before it
    /// in the block does not count.
    pub fn at_edges_of_start(&mut self, event: EventIndex) -> Option<(Node, Vec<AtEdge>)> {
        let (access, op, join, edges) = self.passed(event)?;
        if self.memory.node(event) != join {
            return None;
        }
        if self.memory.is_constant(access) {
            return self.constant_at_edges(access, join, edges);
        }
        let class = self.memory.class_of(access, false);
        let first = (self.op_starts[join as usize]..op).find(|at| self.class_of_op(*at) == class);
        let own = self.versions.before(first.unwrap_or(op)).own;
        self.each_edge(access, join, edges, own)
    }

    /// The load `event` and the operation by which it asks, the block whose parameter it is
    /// loaded by, and what the edges pass to that.
    fn passed(&self, event: EventIndex) -> Option<(&'a Access, u32, Node, &'a [Passed])> {
        let memory = self.memory;
        let access = memory.access(event)?;
        let Pointer::Passed { join, edges } = memory.pointer(&access.location)? else {
            return None;
        };
        Some((access, self.region_of_load(event)?, *join, edges))
    }

    /// Where the bytes come from that the load `event` would find if it were of `location`.
    pub fn source_elsewhere(&mut self, event: EventIndex, location: Location) -> Source {
        let memory = self.memory;
        let (Some(access), Some(op)) = (memory.access(event), self.region_of_load(event)) else {
            return Source::Unknown(Unknown::NotAsked);
        };
        match memory.is_constant(access) {
            true => Source::Entry,
            false => self.search(location, memory.class_of(access, false), op, false),
        }
    }

    /// The operation by which the load `event` asks in the class of its region.
    fn region_of_load(&self, event: EventIndex) -> Option<u32> {
        let access = self.memory.access(event)?;
        let (op, private) = self.asked(event);
        let asks = self.pairs.paired[event as usize]
            && access.stored.is_none()
            && !private
            && op != NONE
            && self
                .versions
                .is_tracked(self.memory.class_of(access, false));
        asks.then_some(op)
    }

    /// All edges, where what the load finds is the same throughout the function.
    fn constant_at_edges(
        &self,
        access: &Access,
        join: Node,
        edges: &[Passed],
    ) -> Option<(Node, Vec<AtEdge>)> {
        let found = edges.iter().map(|edge| {
            let translated = self.memory.translated(access, edge.address?)?;
            let is_same = translated.location == access.location;
            Some(AtEdge {
                from: edge.from,
                source: (!is_same).then_some(Source::Entry),
                access: translated,
            })
        });
        Some((join, found.collect::<Option<_>>()?))
    }

    /// All edges, where the version of the class of the load is `own` at the start of `join`.
    fn each_edge(
        &mut self,
        access: &Access,
        join: Node,
        edges: &[Passed],
        own: Version,
    ) -> Option<(Node, Vec<AtEdge>)> {
        let mut found = Vec::with_capacity(edges.len());
        for edge in edges {
            let state = self
                .versions
                .at_predecessor(self.graph, join, own, edge.from)?;
            let translated = self.memory.translated(access, edge.address?)?;
            let source = self.source_at(translated.location, state)?;
            let is_same = translated.location == access.location && source == Source::Join(join);
            found.push(AtEdge {
                from: edge.from,
                access: translated,
                source: (!is_same).then_some(source),
            });
        }
        Some((join, found))
    }

    /// Where the bytes at `location` come from in `state`, without a slot that is private there;
    /// `None` if the search is given up.
    fn source_at(&mut self, location: Location, state: State) -> Option<Source> {
        let mut query = self.query(location, false)?;
        let found = query.walk(state);
        let exhausted = query.steps == 0;
        self.limits_hit += u32::from(exhausted);
        match found {
            Found::Source(source) => (!exhausted).then_some(source),
            Found::Cycle => Some(Source::Unknown(Unknown::Unreachable)),
        }
    }
}
