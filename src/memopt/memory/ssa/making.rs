//! What versions are made with, in two walks: one over the dominance frontiers of the definitions,
//! which finds the phis, and one over the dominator tree, which finds what came last.

use super::{
    Class, ENTRY, EPOCH, Epochs, FIRST_CLASS, Op, Ops, RETURN_EPOCH, State, TRAP_EPOCH, Version,
};
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{self, Graph, Node};
use alloc::vec::Vec;

/// Lists that versions are made with, and of which nothing counts afterwards.
#[derive(Default)]
pub(super) struct Making {
    pub(super) sites: DefinitionSites,
    pub(super) has_phi: Vec<Class>,
    pub(super) phis: UnsortedPhis,
    pub(super) phi_starts: Vec<u32>,
    pub(super) work: Vec<Node>,
    pub(super) renaming: Renaming,
}

/// The nodes of phis, class after class. Of a large function they are more than anything else that
/// is known of it, and so they are kept as short as they can be.
#[derive(Default)]
pub(super) struct UnsortedPhis {
    pub(super) nodes: Vec<Node>,
    /// Where those of each class end.
    ends: Vec<u32>,
}

/// So many nodes of phis are kept for the next versions; more than that are released as soon as
/// they are sorted, so that they are not there beside what is made of them.
const MAX_KEPT: usize = 1 << 14;

impl UnsortedPhis {
    pub(super) fn clear(&mut self) {
        let Self { nodes, ends } = self;
        nodes.clear();
        ends.clear();
    }

    /// All phis of the next class are there.
    pub(super) fn end_class(&mut self) {
        self.ends.push(self.nodes.len() as u32);
    }

    /// The nodes of the phis of each class.
    pub(super) fn of_classes(&self) -> impl Iterator<Item = &[Node]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let first = core::mem::replace(&mut start, *end as usize);
            &self.nodes[first..start]
        })
    }

    /// Nobody asks for them any more.
    pub(super) fn release(&mut self) {
        if self.nodes.capacity() > MAX_KEPT {
            self.nodes = Vec::new();
        }
    }
}

/// Finds where the versions of one class after the other meet.
pub(super) struct Placing<'a> {
    pub(super) graph: &'a Graph,
    pub(super) dominance: &'a Dominance,
    /// What is left of [`PHI_ARGS_PER_ITEM`]; looking costs as much as having.
    pub(super) room: usize,
    pub(super) has_phi: &'a mut [Class],
    /// The phis of the classes so far.
    pub(super) phis: &'a mut UnsortedPhis,
    /// Where to look next; empty between two classes.
    pub(super) work: &'a mut Vec<Node>,
}

impl Placing<'_> {
    /// Adds a phi at each node of the iterated dominance frontier of `sites`; none, and
    /// `false`, if there is no room for them. Epochs always have room.
    pub(super) fn place(&mut self, class: Class, sites: &[Node]) -> bool {
        let before = self.phis.nodes.len();
        self.work.clear();
        self.work.extend_from_slice(sites);
        while let Some(node) = self.work.pop() {
            for join in self.dominance.frontier(node) {
                let mut cost = 1;
                if core::mem::replace(&mut self.has_phi[*join as usize], class) != class {
                    cost += self.graph.preds(*join).len();
                    self.phis.nodes.push(*join);
                    self.work.push(*join);
                }
                if class >= FIRST_CLASS && cost > self.room {
                    self.phis.nodes.truncate(before);
                    return false;
                }
                self.room = self.room.saturating_sub(cost);
            }
        }
        true
    }
}

/// The versions that hold at one point of the walk over the dominator tree.
#[derive(Default)]
pub(super) struct Renaming {
    pub(super) current: Vec<Version>,
    pub(super) undo: Vec<(Class, Version)>,
    pub(super) marks: Vec<usize>,
}

impl Renaming {
    /// At the entry, and nowhere else has been looked at.
    pub(super) fn begin(&mut self, ops: &Ops) {
        let Self {
            current,
            undo,
            marks,
        } = self;
        current.clear();
        current.resize(ops.classes as usize, ENTRY);
        undo.clear();
        marks.clear();
    }

    pub(super) fn enter(&mut self) {
        self.marks.push(self.undo.len());
    }

    pub(super) fn leave(&mut self) {
        let mark = self.marks.pop().expect("every node is entered first");
        for (class, version) in self.undo.drain(mark..).rev() {
            self.current[class as usize] = version;
        }
    }

    pub(super) fn define(&mut self, class: Class, version: Version) {
        let old = core::mem::replace(&mut self.current[class as usize], version);
        self.undo.push((class, old));
    }

    pub(super) fn epochs(&self) -> Epochs {
        [EPOCH, TRAP_EPOCH, RETURN_EPOCH].map(|class| self.current[class as usize])
    }

    pub(super) fn state(&self, class: Class) -> State {
        State::new(self.current[class as usize], self.epochs())
    }
}

/// In which nodes each class is defined, in their order, with repetitions.
#[derive(Default)]
pub(super) struct DefinitionSites {
    pub(super) starts: Vec<u32>,
    pub(super) nodes: Vec<Node>,
    pub(super) uses_and_definitions: Vec<u32>,
}

impl DefinitionSites {
    /// Finds those of `ops`.
    pub(super) fn find(&mut self, graph: &Graph, ops: &Ops) {
        let Self {
            starts,
            nodes,
            uses_and_definitions,
        } = self;
        uses_and_definitions.clear();
        uses_and_definitions.resize(ops.classes as usize, 0);
        starts.clear();
        starts.resize(ops.classes as usize + 1, 0);
        for op in &ops.list {
            uses_and_definitions[op.class as usize] += 1;
            starts[op.class as usize] += u32::from(op.defines);
        }
        let mut next = graph::begin(starts);
        nodes.clear();
        nodes.resize(next.places(), 0);
        for node in 0..graph.len() as Node {
            for op in ops.of_node(node) {
                let Op { class, defines } = ops.list[op as usize];
                if defines {
                    nodes[next.place(class) as usize] = node;
                }
            }
        }
        next.finish();
    }

    pub(super) fn of(&self, class: Class) -> &[Node] {
        let class = class as usize;
        &self.nodes[self.starts[class] as usize..self.starts[class + 1] as usize]
    }
}
