//! Product program points, and the states that come to them.

use super::incoming::{Change, Incoming, Origin};
use super::product::{Path, ProductPoint, Step, Stop, Stopped, Stops};
use super::walker::Walk;
use crate::side::Side;
use crate::state::State;
use crate::terms::Term;
use crate::verdict::Limit;
use cranelift_codegen::ir::Value;

/// Entries of all states together, for each instruction and block.
const STATE_ENTRIES_PER_INST: usize = 256;

/// States that one pair of stops may have, see [`Walk::node_for`]. One for each
/// slot that escapes in a loop around it, and for each place that a pointer may be; more are met after all.
const MAX_STATES: usize = 6;

/// Entries of all parts together, for each instruction and block. Beyond it all
/// that is said is met.
const PARTED_ENTRIES_PER_INST: usize = 64;

impl Walk<'_> {
    /// Meets what is known into the node at `stops`.
    pub(super) fn arrive(&mut self, path: &mut Path, stops: Stops, from: Option<u32>) -> Step<()> {
        let mut state = State {
            values: Side::BOTH.map(|side| self.live_values(path, side, stops[side as usize])),
            memory: std::mem::take(&mut path.memory),
            assumed: std::mem::take(&mut path.assumed),
            meets: 0,
        };
        let node = match self.node_for(&stops, &state) {
            None => {
                state.settle(&mut self.terms);
                self.stored_entries += state.size();
                if self.stored_entries > STATE_ENTRIES_PER_INST * (self.instructions() + 64) {
                    return Err(Stopped::Limit(Limit::Facts));
                }
                let origin = self.origin(from);
                let node = self.nodes.len() as u32;
                self.nodes.push(ProductPoint {
                    stops,
                    state,
                    incoming: Incoming::new(origin),
                });
                self.known.entry(stops).or_default().push(node);
                self.enqueue(node);
                node
            }
            Some(node) => {
                let change = self.meet_into(node, state, from);
                if change.changed {
                    self.enqueue(node);
                }
                for other in change.again {
                    self.enqueue(other);
                }
                node
            }
        };
        if let Some(from) = from {
            for side in Side::BOTH {
                if !path.moved[side as usize] {
                    self.waits[side as usize].insert((from, node));
                }
            }
        }
        Ok(())
    }

    /// The node with which a state is met.
    ///
    /// Where a slot has escaped on one path only, or its address is at hand on one
    /// path only, and the memories differ in it on the other one, the two paths
    /// stay apart, up to a limit. So do paths on which a pointer that only the original has points
    /// to two places.
    pub(super) fn node_for(&self, stops: &Stops, state: &State) -> Option<u32> {
        let nodes = self.known.get(stops)?;
        let fits = |node: &&u32| {
            let old = &self.nodes[**node as usize].state;
            !old.would_expose(&self.terms, state)
                && !state.would_expose(&self.terms, old)
                && !self.is_parted_by_pointer(old, state)
        };
        match nodes.iter().find(fits) {
            Some(node) => Some(*node),
            None if nodes.len() < MAX_STATES => None,
            None => nodes.first().copied(),
        }
    }

    pub(super) fn enqueue(&mut self, node: u32) {
        let key = self.key(node);
        self.queue.insert(key);
    }

    /// The order in which nodes are visited: along both functions.
    pub(super) fn key(&self, node: u32) -> (u32, u32, u32) {
        let stops = self.nodes[node as usize].stops;
        let rank = |side: Side| {
            let block = self.block_at(side, stops);
            block.map_or(0, |block| self.bodies[side as usize].rank(block))
        };
        (rank(Side::Original), rank(Side::Result), node)
    }

    /// The values that may be used from a stop on.
    pub(super) fn live_values(&self, path: &Path, side: Side, stop: Stop) -> Vec<(Value, Term)> {
        let body = self.bodies[side as usize];
        let func = self.func(side);
        let mut live = Vec::new();
        let env = &self.env[side as usize];
        let mut add = |value: Value| {
            if let Some(term) = env[value] {
                live.push((value, term));
            }
        };
        let block = match stop {
            Stop::Join(block) => Some(block),
            Stop::At(inst) => func.layout.inst_block(inst),
        };
        let Some(block) = block else {
            return live;
        };
        body.live_into(block).iter().copied().for_each(&mut add);
        match stop {
            Stop::At(stop) => {
                func.dfg
                    .block_params(block)
                    .iter()
                    .copied()
                    .for_each(&mut add);
                for inst in func.layout.block_insts(block) {
                    if inst == stop {
                        break;
                    }
                    func.dfg
                        .inst_results(inst)
                        .iter()
                        .copied()
                        .for_each(&mut add);
                }
            }
            // A side that has waited here has them from the state.
            Stop::Join(_) if path.join_args[side as usize].is_empty() => {
                func.dfg
                    .block_params(block)
                    .iter()
                    .copied()
                    .for_each(&mut add);
            }
            Stop::Join(_) => live.extend(&path.join_args[side as usize]),
        }
        live
    }

    /// What this visit of a node, or the beginning, counts as.
    pub(super) fn origin(&self, from: Option<u32>) -> Origin {
        let is_before_loops = |from: u32| {
            let stops = self.nodes[from as usize].stops;
            Side::BOTH.into_iter().all(|side| {
                let block = self.block_at(side, stops);
                block.is_some_and(|block| self.bodies[side as usize].is_before_loops(block))
            })
        };
        match from {
            Some(from) if !is_before_loops(from) => Origin::Node(from, self.visits),
            Some(_) | None => Origin::Once,
        }
    }

    /// Meets `state`, which comes from the node `from`, into the state of a node.
    pub(super) fn meet_into(&mut self, node: u32, state: State, from: Option<u32>) -> Change {
        let origin = self.origin(from);
        let comes_around = from.filter(|from| self.key(*from) >= self.key(node));
        let room = PARTED_ENTRIES_PER_INST * (self.instructions() + 64);
        let point = &mut self.nodes[node as usize];
        let (old, incoming) = (&mut point.state, &mut point.incoming);
        if self.parted_entries > room {
            incoming.parts.clear();
        }
        if let Some(from) = comes_around {
            if !incoming.around.contains(&from) {
                incoming.around.push(from);
            }
            return Change::of_state(old.meet(&mut self.terms, &state));
        }
        let change = incoming.forward(&mut self.terms, old, state, origin);
        self.parted_entries += change.parted;
        change
    }
}
