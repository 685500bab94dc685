//! Versions of classes of memory, in either direction of the graph.
//!
//! Memory is divided into *classes*: an alias region, a stack slot, and a few
//! artificial ones. An *operation* belongs to one class and may define a new
//! version of it. [`Versions`] is static single assignment for classes: for
//! every operation, which operation of its class came last, or at which node
//! several of them meet (a *phi*, placed at iterated dominance frontiers).
//!
//! Over the forward graph "came last" is the write that reaches a load. Over
//! the reversed graph it is what happens next: the read, overwrite or observer
//! that a store meets first.
//!
//! Some classes are *epochs*. A fence or an opaque call concerns every class,
//! and is one operation in an epoch instead of one in each class, so that it
//! costs O(1) and not O(regions). A [`State`] is therefore a version of a class
//! together with the versions of the epochs: when an operation recorded the
//! same epoch, nothing that concerns everything came between.
//!
//! Previous work: memory SSA (Novillo, 2007), with one variable per class as
//! in "array SSA by region" formulations; LLVM's has a single variable.

use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{self, Graph, Node};
use alloc::vec;
use alloc::vec::Vec;

/// A class of memory, as a small number.
pub type Class = u32;

/// What fences and opaque calls define.
pub const EPOCH: Class = 0;

/// What else can end the function in view of its memory: traps. Only used over
/// the reversed graph.
pub const TRAP_EPOCH: Class = 1;

/// What ends the function in view of all memory but its own frame: returns.
/// Only used over the reversed graph.
pub const RETURN_EPOCH: Class = 2;

/// The number of epochs, and the first number that is free for other classes.
pub const FIRST_CLASS: Class = 3;

/// A version of each epoch.
type Epochs = [Version; FIRST_CLASS as usize];

/// An operation, by its position in the sequence of all.
pub type OpIndex = u32;

/// No operation.
pub const NONE: OpIndex = OpIndex::MAX;

/// One operation of one class.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// The class that it concerns.
    pub class: Class,
    /// Does it define a new version? Otherwise it only asks for the last one.
    pub defines: bool,
}

/// A version of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(u32);

/// What a [`Version`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition {
    /// The state in which the walk began.
    Entry,
    /// What this operation defined.
    Op(OpIndex),
    /// Where different versions meet.
    Phi(PhiIndex),
}

/// A phi, by its position in the sequence of all.
pub type PhiIndex = u32;

/// A version of one class and of the epochs, at one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The class in question.
    pub own: Version,
    /// [`EPOCH`].
    pub epoch: Version,
    /// [`TRAP_EPOCH`].
    pub traps: Version,
    /// [`RETURN_EPOCH`].
    pub returns: Version,
}

impl State {
    fn new(own: Version, [epoch, traps, returns]: Epochs) -> Self {
        Self {
            own,
            epoch,
            traps,
            returns,
        }
    }
}

const ENTRY: Version = Version(0);

#[derive(Clone, Copy)]
struct Phi {
    node: Node,
    class: Class,
    /// Where its arguments begin, one for each predecessor of `node`.
    args: u32,
}

/// Phis together may have so many arguments for each operation and edge.
///
/// A join of p predecessors at which c classes meet costs c·p. Real functions
/// stay below 2; a class that would go beyond is not tracked, and its queries
/// say so.
const PHI_ARGS_PER_ITEM: usize = 16;

/// The versions of all classes of a function.
pub struct Versions {
    ops: u32,
    /// The state just before each operation.
    before: Vec<State>,
    phis: Vec<Phi>,
    args: Vec<Version>,
    /// Epochs after the phis of each node.
    node_start: Vec<Epochs>,
    /// Epochs after the last operation of each node.
    node_end: Vec<Epochs>,
    tracked: Vec<bool>,
}

/// The operations of a function, node after node.
pub struct Ops {
    /// All of them, grouped by node, in the direction of the walk.
    pub list: Vec<Op>,
    /// Where those of each node begin; one entry more than there are nodes.
    pub starts: Vec<u32>,
    /// How many classes there are.
    pub classes: u32,
    /// Operations of classes that nobody asks about, which are not in the list.
    pub left_out: usize,
}

impl Ops {
    fn of_node(&self, node: Node) -> core::ops::Range<u32> {
        self.starts[node as usize]..self.starts[node as usize + 1]
    }
}

impl Versions {
    /// Computes the versions of every class in `ops`.
    ///
    /// Cost: O(operations + nodes + phis), phis within their limit.
    pub fn new(graph: &Graph, dominance: &Dominance, ops: &Ops) -> Self {
        let mut this = Self {
            ops: ops.list.len() as u32,
            before: Vec::with_capacity(ops.list.len()),
            phis: Vec::new(),
            args: Vec::new(),
            node_start: vec![[ENTRY; FIRST_CLASS as usize]; graph.len()],
            node_end: vec![[ENTRY; FIRST_CLASS as usize]; graph.len()],
            tracked: vec![true; ops.classes as usize],
        };
        let phi_starts = this.place_phis(graph, dominance, ops);
        this.rename(graph, dominance, ops, &phi_starts);
        this
    }

    /// No versions at all, where no operation asks about one.
    pub fn of_nothing(ops: &Ops) -> Self {
        Self {
            ops: ops.list.len() as u32,
            before: Vec::new(),
            phis: Vec::new(),
            args: Vec::new(),
            node_start: Vec::new(),
            node_end: Vec::new(),
            tracked: vec![true; ops.classes as usize],
        }
    }

    /// Is `class` tracked, or has it too many phis?
    pub fn is_tracked(&self, class: Class) -> bool {
        self.tracked[class as usize]
    }

    /// The number of classes that are not tracked.
    pub fn untracked(&self) -> u32 {
        self.tracked.iter().filter(|tracked| !**tracked).count() as u32
    }

    /// The state just before an operation.
    pub fn before(&self, op: OpIndex) -> State {
        self.before[op as usize]
    }

    /// What defined `version`.
    pub fn definition(&self, version: Version) -> Definition {
        match version.0 {
            0 => Definition::Entry,
            n if n <= self.ops => Definition::Op(n - 1),
            n => Definition::Phi(n - 1 - self.ops),
        }
    }

    /// The state in which the walk begins.
    pub fn entry() -> Version {
        ENTRY
    }

    /// The same, of all epochs too.
    pub fn entry_state() -> State {
        State::new(ENTRY, [ENTRY; FIRST_CLASS as usize])
    }

    /// The version that `op` defines.
    pub fn defined_by(op: OpIndex) -> Version {
        Version(op + 1)
    }

    /// The node at whose start `phi` is.
    pub fn phi_node(&self, phi: PhiIndex) -> Node {
        self.phis[phi as usize].node
    }

    /// The state at the start of `node`, where the version of the class in question is `own`.
    pub fn at_start(&self, node: Node, own: Version) -> State {
        State::new(own, self.node_start[node as usize])
    }

    /// The epochs at the start of the node of `phi`, and `phi` itself.
    pub fn at_phi(&self, phi: PhiIndex) -> State {
        self.at_start(self.phi_node(phi), self.phi_version(phi))
    }

    /// The state of the class of `phi` at the end of each predecessor of its
    /// node, in their order.
    pub fn phi_inputs<'a>(
        &'a self,
        graph: &'a Graph,
        phi: PhiIndex,
    ) -> impl Iterator<Item = (Node, State)> + 'a {
        let phi = self.phis[phi as usize];
        let preds = graph.preds(phi.node);
        let args = &self.args[phi.args as usize..];
        preds
            .iter()
            .zip(args)
            .map(|(pred, own)| (*pred, State::new(*own, self.node_end[*pred as usize])))
    }

    /// The same at the predecessors of `node` for a class that has no phi
    /// there, where its version is `own`.
    pub fn inputs_without_phi<'a>(
        &'a self,
        graph: &'a Graph,
        node: Node,
        own: Version,
    ) -> impl Iterator<Item = (Node, State)> + 'a {
        graph
            .preds(node)
            .iter()
            .map(move |pred| (*pred, State::new(own, self.node_end[*pred as usize])))
    }

    fn phi_version(&self, phi: PhiIndex) -> Version {
        Version(1 + self.ops + phi)
    }

    /// Places the phis; where those of each node begin.
    fn place_phis(&mut self, graph: &Graph, dominance: &Dominance, ops: &Ops) -> Vec<u32> {
        let sites = DefinitionSites::new(graph, ops);
        let mut placing = Placing {
            graph,
            dominance,
            room: (ops.list.len() + ops.left_out + graph.edges() + 64) * PHI_ARGS_PER_ITEM,
            has_phi: vec![u32::MAX; graph.len()],
            phis: Vec::with_capacity(graph.len()),
            work: Vec::with_capacity(graph.len()),
        };
        for class in 0..ops.classes {
            // A class that is only asked about once has no client for a phi,
            // except for epochs, which every query reads.
            if class >= FIRST_CLASS && sites.uses_and_definitions[class as usize] < 2 {
                continue;
            }
            self.tracked[class as usize] = placing.place(class, sites.of(class));
        }
        let mut starts = vec![0u32; graph.len() + 1];
        self.sort_phis(&placing.phis, &mut starts);
        let mut args = 0;
        for phi in &mut self.phis {
            phi.args = args;
            args += graph.preds(phi.node).len() as u32;
        }
        self.args = vec![ENTRY; args as usize];
        starts
    }

    /// Takes the phis, which come class after class, node after node. `starts` is all 0; then it
    /// says where those of each node begin.
    fn sort_phis(&mut self, phis: &[Phi], starts: &mut [u32]) {
        for phi in phis {
            starts[phi.node as usize] += 1;
        }
        let mut next = graph::begin(starts);
        self.phis.extend_from_slice(phis);
        for phi in phis {
            self.phis[next.place(phi.node) as usize] = *phi;
        }
        next.finish();
    }

    fn rename(&mut self, graph: &Graph, dominance: &Dominance, ops: &Ops, phi_starts: &[u32]) {
        self.before.resize(ops.list.len(), Self::entry_state());
        let mut renaming = Renaming {
            current: vec![ENTRY; ops.classes as usize],
            undo: Vec::with_capacity(ops.list.len() + self.phis.len()),
            marks: Vec::with_capacity(graph.len()),
        };
        let phis = |node: Node| phi_starts[node as usize]..phi_starts[node as usize + 1];
        dominance.walk(graph.entry, |node, enter| {
            if !enter {
                renaming.leave();
                return;
            }
            renaming.enter();
            for phi in phis(node) {
                let class = self.phis[phi as usize].class;
                renaming.define(class, self.phi_version(phi));
            }
            self.node_start[node as usize] = renaming.epochs();
            for op in ops.of_node(node) {
                let Op { class, defines } = ops.list[op as usize];
                self.before[op as usize] = renaming.state(class);
                if defines {
                    renaming.define(class, Self::defined_by(op));
                }
            }
            self.node_end[node as usize] = renaming.epochs();
            if self.phis.is_empty() {
                return;
            }
            for (succ, position) in graph.edges_out(node) {
                for phi in phis(succ) {
                    let Phi { class, args, .. } = self.phis[phi as usize];
                    let version = renaming.current[class as usize];
                    self.args[(args + position) as usize] = version;
                }
            }
        });
    }
}

/// Finds where the versions of one class after the other meet.
struct Placing<'a> {
    graph: &'a Graph,
    dominance: &'a Dominance,
    /// What is left of [`PHI_ARGS_PER_ITEM`]; looking costs as much as having.
    room: usize,
    has_phi: Vec<Class>,
    /// The phis of the classes so far; none has arguments yet.
    phis: Vec<Phi>,
    /// Where to look next; empty between two classes.
    work: Vec<Node>,
}

impl Placing<'_> {
    /// Adds a phi at each node of the iterated dominance frontier of `sites`; none, and
    /// `false`, if there is no room for them. Epochs always have room.
    fn place(&mut self, class: Class, sites: &[Node]) -> bool {
        let before = self.phis.len();
        self.work.clear();
        self.work.extend_from_slice(sites);
        while let Some(node) = self.work.pop() {
            for join in self.dominance.frontier(node) {
                let mut cost = 1;
                if core::mem::replace(&mut self.has_phi[*join as usize], class) != class {
                    cost += self.graph.preds(*join).len();
                    self.phis.push(Phi {
                        node: *join,
                        class,
                        args: 0,
                    });
                    self.work.push(*join);
                }
                if class >= FIRST_CLASS && cost > self.room {
                    self.phis.truncate(before);
                    return false;
                }
                self.room = self.room.saturating_sub(cost);
            }
        }
        true
    }
}

/// The versions that hold at one point of the walk over the dominator tree.
struct Renaming {
    current: Vec<Version>,
    undo: Vec<(Class, Version)>,
    marks: Vec<usize>,
}

impl Renaming {
    fn enter(&mut self) {
        self.marks.push(self.undo.len());
    }

    fn leave(&mut self) {
        let mark = self.marks.pop().expect("every node is entered first");
        for (class, version) in self.undo.drain(mark..).rev() {
            self.current[class as usize] = version;
        }
    }

    fn define(&mut self, class: Class, version: Version) {
        let old = core::mem::replace(&mut self.current[class as usize], version);
        self.undo.push((class, old));
    }

    fn epochs(&self) -> Epochs {
        [EPOCH, TRAP_EPOCH, RETURN_EPOCH].map(|class| self.current[class as usize])
    }

    fn state(&self, class: Class) -> State {
        State::new(self.current[class as usize], self.epochs())
    }
}

/// In which nodes each class is defined, in their order, with repetitions.
struct DefinitionSites {
    starts: Vec<u32>,
    nodes: Vec<Node>,
    uses_and_definitions: Vec<u32>,
}

impl DefinitionSites {
    fn new(graph: &Graph, ops: &Ops) -> Self {
        let mut uses_and_definitions = vec![0; ops.classes as usize];
        let mut starts = vec![0u32; ops.classes as usize + 1];
        for op in &ops.list {
            uses_and_definitions[op.class as usize] += 1;
            starts[op.class as usize] += u32::from(op.defines);
        }
        let mut next = graph::begin(&mut starts);
        let mut nodes = vec![0; next.places()];
        for node in 0..graph.len() as Node {
            for op in ops.of_node(node) {
                let Op { class, defines } = ops.list[op as usize];
                if defines {
                    nodes[next.place(class) as usize] = node;
                }
            }
        }
        next.finish();
        Self {
            starts,
            nodes,
            uses_and_definitions,
        }
    }

    fn of(&self, class: Class) -> &[Node] {
        let class = class as usize;
        &self.nodes[self.starts[class] as usize..self.starts[class + 1] as usize]
    }
}
