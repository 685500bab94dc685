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
use alloc::vec::Vec;
use making::{Making, Placing, UnsortedPhis};

mod making;

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
}

/// Phis together may have so many arguments for each operation and edge.
///
/// A join of p predecessors at which c classes meet costs c·p. Real functions
/// stay below 2; a class that would go beyond is not tracked, and its queries
/// say so.
const PHI_ARGS_PER_ITEM: usize = 16;

/// The versions of all classes of a function.
#[derive(Default)]
pub struct Versions {
    ops: u32,
    /// The state just before each operation.
    before: Vec<State>,
    /// Node after node, and class after class in each.
    phis: Vec<Phi>,
    /// What the phis get, one after the other, from each predecessor of their node.
    args: Vec<Version>,
    /// For each node, where the arguments of the first of all phis would begin if all phis were of
    /// this node; wraps.
    args_base: Vec<u32>,
    /// Epochs after the phis of each node.
    node_start: Vec<Epochs>,
    /// Epochs after the last operation of each node.
    node_end: Vec<Epochs>,
    tracked: Vec<bool>,
    making: Making,
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
    /// Computes the versions of every class in `ops`; what is known of others is forgotten.
    ///
    /// Cost: O(operations + nodes + phis), phis within their limit.
    pub fn make(&mut self, graph: &Graph, dominance: &Dominance, ops: &Ops) {
        self.make_none(ops);
        let epochs = [ENTRY; FIRST_CLASS as usize];
        self.node_start.resize(graph.len(), epochs);
        self.node_end.resize(graph.len(), epochs);
        self.before.resize(ops.list.len(), Self::entry_state());
        let mut making = core::mem::take(&mut self.making);
        self.place_phis(graph, dominance, ops, &mut making);
        self.rename(graph, dominance, ops, &mut making);
        self.making = making;
    }

    /// No versions at all, where no operation asks about one.
    pub fn make_none(&mut self, operations: &Ops) {
        let Self {
            ops,
            before,
            phis,
            args,
            args_base,
            node_start,
            node_end,
            tracked,
            making: _,
        } = self;
        *ops = operations.list.len() as u32;
        before.clear();
        phis.clear();
        args.clear();
        args_base.clear();
        node_start.clear();
        node_end.clear();
        tracked.clear();
        tracked.resize(operations.classes as usize, true);
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
        let preds = graph.preds(self.phi_node(phi));
        let args = &self.args[self.first_arg(phi, preds.len() as u32) as usize..];
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

    /// The state at the end of `pred`, a predecessor of `node`, where the version of the class in
    /// question is `own` at the start of `node`.
    pub fn at_predecessor(
        &self,
        graph: &Graph,
        node: Node,
        own: Version,
        pred: Node,
    ) -> Option<State> {
        let preds = graph.preds(node);
        let at = preds.iter().position(|it| *it == pred)?;
        let own = match self.definition(own) {
            Definition::Phi(phi) if self.phi_node(phi) == node => {
                self.args[self.first_arg(phi, preds.len() as u32) as usize + at]
            }
            Definition::Phi(_) | Definition::Op(_) | Definition::Entry => own,
        };
        Some(State::new(own, self.node_end[pred as usize]))
    }

    /// Where the arguments of `phi` begin, whose node has so many predecessors.
    fn first_arg(&self, phi: PhiIndex, preds: u32) -> u32 {
        let base = self.args_base[self.phi_node(phi) as usize];
        base.wrapping_add(phi.wrapping_mul(preds))
    }

    fn phi_version(&self, phi: PhiIndex) -> Version {
        Version(1 + self.ops + phi)
    }

    fn place_phis(&mut self, graph: &Graph, dominance: &Dominance, ops: &Ops, making: &mut Making) {
        making.sites.find(graph, ops);
        making.has_phi.clear();
        making.has_phi.resize(graph.len(), u32::MAX);
        making.phis.clear();
        let sites = &making.sites;
        let mut placing = Placing {
            graph,
            dominance,
            room: (ops.list.len() + ops.left_out + graph.edges() + 64) * PHI_ARGS_PER_ITEM,
            has_phi: &mut making.has_phi,
            phis: &mut making.phis,
            work: &mut making.work,
        };
        for class in 0..ops.classes {
            // A class that is only asked about once has no client for a phi,
            // except for epochs, which every query reads.
            if class < FIRST_CLASS || sites.uses_and_definitions[class as usize] >= 2 {
                self.tracked[class as usize] = placing.place(class, sites.of(class));
            }
            placing.phis.end_class();
        }
        making.phi_starts.clear();
        making.phi_starts.resize(graph.len() + 1, 0);
        self.sort_phis(&making.phis, &mut making.phi_starts);
        making.phis.release();
        self.args_base.reserve_exact(graph.len());
        let mut args: u32 = 0;
        for node in 0..graph.len() {
            let [first, end] = [making.phi_starts[node], making.phi_starts[node + 1]];
            let preds = graph.preds(node as Node).len() as u32;
            self.args_base
                .push(args.wrapping_sub(first.wrapping_mul(preds)));
            args += (end - first) * preds;
        }
        self.args.resize(args as usize, ENTRY);
    }

    /// Takes the phis, which come class after class, node after node. `starts` is all 0; then it
    /// says where those of each node begin.
    fn sort_phis(&mut self, phis: &UnsortedPhis, starts: &mut [u32]) {
        for node in &phis.nodes {
            starts[*node as usize] += 1;
        }
        let mut next = graph::begin(starts);
        let [node, class] = [0, 0];
        self.phis.resize(phis.nodes.len(), Phi { node, class });
        for (class, nodes) in (0..).zip(phis.of_classes()) {
            for node in nodes {
                self.phis[next.place(*node) as usize] = Phi { node: *node, class };
            }
        }
        next.finish();
    }

    fn rename(&mut self, graph: &Graph, dominance: &Dominance, ops: &Ops, making: &mut Making) {
        let (renaming, phi_starts) = (&mut making.renaming, &making.phi_starts);
        renaming.begin(ops);
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
                let phis = phis(succ);
                if phis.is_empty() {
                    continue;
                }
                let preds = graph.preds(succ).len() as u32;
                let mut at = self.first_arg(phis.start, preds) + position;
                for phi in phis {
                    let class = self.phis[phi as usize].class;
                    self.args[at as usize] = renaming.current[class as usize];
                    at += preds;
                }
            }
        });
    }
}
