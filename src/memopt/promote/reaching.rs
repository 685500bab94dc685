//! Which definition of a field reaches each of its accesses: pruned SSA form.
//!
//! # Terms
//!
//! A node *defines* the field if it stores to it, or if it is a join that different
//! definitions reach (the iterated dominance frontier of the stores). The definition that
//! reaches the beginning of a node is that of its closest strict dominator that defines the
//! field; a join has its parameter.
//!
//! # Phases
//!
//! Loads and stores of one node are matched in their order. What a node needs from before is
//! asked of the closest defining dominator, and only a parameter that was asked for asks for
//! the ends of its predecessors. So a parameter exists only if a load needs it, and a local of an inner scope
//! costs nothing where it is not alive.
//!
//! # Cost
//!
//! Defining nodes lie in a forest, each below the closest one that dominates it. A question
//! climbs it by skip pointers (Myers: "An applicative random-access stack", 1983), in
//! O(log definitions).

use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::graph::{Graph, Node};
use crate::memopt::edit::Content;
use alloc::vec;
use alloc::vec::Vec;

/// Arguments of all parameters of a function together, and joins that are looked at for
/// them, for each access and edge.
///
/// Functions of front ends stay below 2. Beyond it locals that change in every arm of many
/// large switches would make code that grows with the square of the function; what is given up
/// is the promotion of the fields that come last, and each counts one hit.
pub const ARGS_PER_ITEM: usize = 16;

/// No definition, or no parameter.
const NONE: u32 = u32::MAX;

/// One access of a field.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Where it is.
    pub node: Node,
    /// Does it need what the field held before?
    pub reads: bool,
    /// Does it define the field?
    pub writes: bool,
}

/// The answer for one field.
#[derive(Debug, Default)]
pub struct Reached {
    /// What each access finds.
    pub before: Vec<Content>,
    /// The nodes that take the field as a parameter.
    pub params: Vec<Node>,
    /// For each edge into them: the predecessor, the parameter, and what it passes.
    pub args: Vec<(Node, u32, Content)>,
}

/// A node that defines the field.
#[derive(Clone, Copy)]
struct Definition {
    node: Node,
    /// Its last store.
    store: Option<u32>,
    /// Do several definitions reach its beginning?
    is_join: bool,
    /// Its parameter, once somebody has asked for it.
    param: u32,
    /// The closest definition that dominates it.
    parent: u32,
    /// One that dominates it further up.
    jump: u32,
    depth: u32,
}

/// Answers for one field after the other.
pub struct Reaching<'a> {
    graph: &'a Graph,
    dominance: &'a Dominance,
    /// What is left of [`ARGS_PER_ITEM`].
    room: usize,
    /// The definitions of this field, in preorder of the dominator tree.
    definitions: Vec<Definition>,
    /// For each node its definition, if it was found for this field.
    found: Vec<(u32, u32)>,
    /// The number of this field.
    field: u32,
    room_for: Buffers,
}

/// Lists that are empty between two fields, kept so that they need not grow anew.
#[derive(Default)]
struct Buffers {
    asked: Vec<Asked>,
    exposed: Vec<u32>,
    stores: Vec<(Node, u32)>,
    nodes: Vec<Node>,
    definitions: Vec<u32>,
}

impl<'a> Reaching<'a> {
    /// For a function with so many accesses of fields.
    pub fn new(graph: &'a Graph, dominance: &'a Dominance, accesses: usize) -> Self {
        let edges: usize = (0..graph.len() as Node).map(|n| graph.preds(n).len()).sum();
        Self {
            graph,
            dominance,
            room: (accesses + edges + 64) * ARGS_PER_ITEM,
            definitions: Vec::new(),
            found: vec![(NONE, NONE); graph.len()],
            field: NONE,
            room_for: Buffers::default(),
        }
    }

    /// What reaches the accesses of one field, which are in reverse postorder; `None` beyond
    /// the limit.
    pub fn definitions(&mut self, asked: impl Iterator<Item = Asked>) -> Option<Reached> {
        let mut buffers = core::mem::take(&mut self.room_for);
        buffers.asked.clear();
        buffers.asked.extend(asked);
        let reached = self.reached(&mut buffers);
        self.room_for = buffers;
        reached
    }

    fn reached(&mut self, buffers: &mut Buffers) -> Option<Reached> {
        let mut reached = Reached {
            before: vec![Content::Unwritten; buffers.asked.len()],
            ..Reached::default()
        };
        within_nodes(buffers, &mut reached.before);
        if buffers.exposed.is_empty() {
            return Some(reached);
        }
        self.place(buffers)?;
        let pending = &mut buffers.definitions;
        pending.clear();
        for at in &buffers.exposed {
            let node = buffers.asked[*at as usize].node;
            reached.before[*at as usize] = self.at_start(node, &mut reached.params, pending);
        }
        while let Some(join) = pending.pop() {
            let Definition { node, param, .. } = self.definitions[join as usize];
            for pred in self.graph.preds(node) {
                self.room = self.room.checked_sub(1)?;
                let at = self.closest(*pred);
                let content = self.at_end(at, &mut reached.params, pending);
                reached.args.push((*pred, param, content));
            }
        }
        Some(reached)
    }

    /// Finds the nodes that define the field, given the last store of each node that stores.
    fn place(&mut self, buffers: &mut Buffers) -> Option<()> {
        self.field = self.field.wrapping_add(1);
        self.definitions.clear();
        // What nobody has written is there from the entry on.
        let entry = self.graph.entry;
        self.add(entry);
        let work = &mut buffers.nodes;
        work.clear();
        for (node, store) in &buffers.stores {
            let at = self.add(*node);
            self.definitions[at].store = Some(*store);
            work.push(*node);
        }
        while let Some(node) = work.pop() {
            for join in self.dominance.frontier(node) {
                self.room = self.room.checked_sub(1)?;
                let is_new = self.found[*join as usize].0 != self.field;
                let at = self.add(*join);
                self.definitions[at].is_join = true;
                if is_new {
                    work.push(*join);
                }
            }
        }
        self.make_forest(&mut buffers.definitions);
        Some(())
    }

    /// The position of the definition of `node`, which is added if there is none.
    fn add(&mut self, node: Node) -> usize {
        let found = &mut self.found[node as usize];
        if found.0 != self.field {
            *found = (self.field, self.definitions.len() as u32);
            self.definitions.push(Definition {
                node,
                store: None,
                is_join: false,
                param: NONE,
                parent: 0,
                jump: 0,
                depth: 0,
            });
        }
        found.1 as usize
    }

    /// Sorts the definitions, and puts each below the closest one that dominates it. `path` is
    /// a list to work with.
    fn make_forest(&mut self, path: &mut Vec<u32>) {
        let dominance = self.dominance;
        self.definitions
            .sort_unstable_by_key(|definition| dominance.position(definition.node));
        path.clear();
        for at in 0..self.definitions.len() as u32 {
            let node = self.definitions[at as usize].node;
            self.found[node as usize].1 = at;
            while let Some(above) = path.last()
                && !dominance.dominates(self.definitions[*above as usize].node, node)
            {
                path.pop();
            }
            // The entry dominates all, and is its own parent.
            let parent = path.last().copied().unwrap_or(at);
            let above = self.definitions[parent as usize];
            let skipped = self.definitions[above.jump as usize];
            let equally_far = above.depth - skipped.depth
                == skipped.depth - self.definitions[skipped.jump as usize].depth;
            let definition = &mut self.definitions[at as usize];
            definition.parent = parent;
            definition.depth = above.depth + 1;
            definition.jump = if equally_far { skipped.jump } else { parent };
            path.push(at);
        }
    }

    /// The closest definition that dominates `node`, or is in it.
    fn closest(&self, node: Node) -> u32 {
        let (field, at) = self.found[node as usize];
        if field == self.field {
            return at;
        }
        let position = self.dominance.position(node);
        let before = |it: &Definition| self.dominance.position(it.node) <= position;
        let mut at = self.definitions.partition_point(before) as u32 - 1;
        loop {
            let definition = &self.definitions[at as usize];
            if self.dominance.dominates(definition.node, node) {
                return at;
            }
            let skipped = &self.definitions[definition.jump as usize];
            at = match self.dominance.dominates(skipped.node, node) {
                true => definition.parent,
                false => definition.jump,
            };
        }
    }

    /// What the field holds at the start of `node`.
    fn at_start(&mut self, node: Node, params: &mut Vec<Node>, pending: &mut Vec<u32>) -> Content {
        let at = self.closest(node);
        let definition = self.definitions[at as usize];
        if definition.node != node {
            return self.at_end(at, params, pending);
        }
        if definition.is_join {
            return Content::Param(self.param(at, params, pending));
        }
        if node == self.graph.entry {
            return Content::Unwritten;
        }
        self.at_end(definition.parent, params, pending)
    }

    /// What it holds at the end of the node of a definition.
    fn at_end(&mut self, at: u32, params: &mut Vec<Node>, pending: &mut Vec<u32>) -> Content {
        let definition = self.definitions[at as usize];
        match definition.store {
            Some(store) => Content::Store(store),
            None if definition.is_join => Content::Param(self.param(at, params, pending)),
            None => Content::Unwritten,
        }
    }

    fn param(&mut self, at: u32, params: &mut Vec<Node>, pending: &mut Vec<u32>) -> u32 {
        let definition = &mut self.definitions[at as usize];
        if definition.param == NONE {
            definition.param = params.len() as u32;
            params.push(definition.node);
            pending.push(at);
        }
        definition.param
    }
}

/// Matches the accesses with the stores before them in the same node. Also finds the accesses that
/// need what the field holds at the start of their node, and the last store of each node.
fn within_nodes(buffers: &mut Buffers, before: &mut [Content]) {
    let Buffers {
        asked,
        exposed,
        stores,
        ..
    } = buffers;
    exposed.clear();
    stores.clear();
    for (at, access) in asked.iter().enumerate() {
        let last = stores.last_mut().filter(|(node, _)| *node == access.node);
        match &last {
            Some((_, store)) => before[at] = Content::Store(*store),
            None if access.reads => exposed.push(at as u32),
            None => {}
        }
        if access.writes {
            match last {
                Some((_, store)) => *store = at as u32,
                None => stores.push((access.node, at as u32)),
            }
        }
    }
}
