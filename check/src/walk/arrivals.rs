//! What a node knows of each way that leads to it.
//!
//! A node is visited again when its state changes, and then it says something
//! else to the nodes behind it. What it said before holds no longer: it may be
//! about the first iteration of a loop alone. To meet it with the new would lose
//! what relates two values: after `v0 = 0, v1 = 2` has met
//! `v0 = x, v1 = 2 << x`, nobody knows that `v1` is `2 << v0`.
//!
//! So a node keeps what each node in front of it has said last, as a [`Part`],
//! and its state is what those have in common. The proof needs no more: each
//! node's last visit has led to states that say no more than what is true
//! there, whatever an earlier visit has found. What comes from nodes before all
//! loops, which are visited once, is one part, and is met.
//!
//! What comes around a loop is met into the state and not kept apart. It is
//! dropped when a new state comes from in front of the loop, a few times; the
//! nodes that it came from are then visited again, and say it anew.

use super::Walk;
use crate::memory::Side;
use crate::state::State;
use crate::terms::Terms;
use smallvec::SmallVec;

/// Parts that a node keeps. With more, all that was ever said is met.
const MAX_PARTS: usize = 4;

/// Entries of all parts together, for each instruction and block. Beyond it all
/// that is said is met.
const PARTED_ENTRIES_PER_INST: usize = 64;

/// How often a node forgets what came around a loop. Loops in loops in loops
/// would be walked more and more often.
const MAX_RESETS: u8 = 3;

/// Where something comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From nodes before all loops, or from the beginning.
    Once,
    /// From a node, in the visit with this number.
    Node(u32, u32),
}

impl Origin {
    /// Do two things come from the same place, in whatever visit?
    fn is_place_of(self, other: Self) -> bool {
        match (self, other) {
            (Self::Once, Self::Once) => true,
            (Self::Node(node, _), Self::Node(other, _)) => node == other,
            (Self::Once, Self::Node(..)) | (Self::Node(..), Self::Once) => false,
        }
    }
}

/// What has come from one place last.
struct Part {
    origin: Origin,
    /// `None` if it is the only part, and the state of the node itself.
    state: Option<State>,
}

/// What leads to a node.
pub(super) struct Arrivals {
    /// What came by edges that lead forward. Empty if it is not kept apart.
    parts: SmallVec<[Part; 1]>,
    /// The nodes from which something came around a loop.
    around: SmallVec<[u32; 1]>,
    resets: u8,
}

/// What an arrival has done to a node.
#[derive(Default)]
pub(super) struct Change {
    /// The state is another one.
    pub(super) changed: bool,
    /// These nodes have to say again what they say.
    pub(super) again: SmallVec<[u32; 1]>,
    /// Entries that are kept in addition.
    parted: usize,
}

impl Change {
    /// The state may have changed, and nothing else has.
    fn of_state(changed: bool) -> Self {
        Self {
            changed,
            ..Self::default()
        }
    }
}

impl Walk<'_> {
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
        let meeting = &mut self.nodes[node as usize];
        let (old, arrivals) = (&mut meeting.state, &mut meeting.arrivals);
        if self.parted_entries > room {
            arrivals.parts.clear();
        }
        if let Some(from) = comes_around {
            if !arrivals.around.contains(&from) {
                arrivals.around.push(from);
            }
            return Change::of_state(old.meet(&mut self.terms, &state));
        }
        let change = arrivals.forward(&mut self.terms, old, state, origin);
        self.parted_entries += change.parted;
        change
    }
}

impl Arrivals {
    /// The first one.
    pub(super) fn new(origin: Origin) -> Self {
        let mut parts = SmallVec::new();
        parts.push(Part {
            origin,
            state: None,
        });
        Self {
            parts,
            around: SmallVec::new(),
            resets: 0,
        }
    }

    /// Something comes by an edge that leads forward.
    fn forward(
        &mut self,
        terms: &mut Terms,
        old: &mut State,
        state: State,
        origin: Origin,
    ) -> Change {
        let mut parts = self.parts.iter();
        let at = parts.position(|part| part.origin.is_place_of(origin));
        match at {
            None if self.parts.is_empty() => Change::of_state(old.meet(terms, &state)),
            None => self.add(terms, old, state, origin),
            Some(at) if self.parts[at].origin == origin => {
                // By another way in one visit, or from a node that has no other:
                // both are true.
                if let Some(part) = &mut self.parts[at].state {
                    part.meet(terms, &state);
                }
                Change::of_state(old.meet(terms, &state))
            }
            Some(at) => self.replace(terms, old, state, (at, origin)),
        }
    }

    /// Adds a part.
    fn add(
        &mut self,
        terms: &mut Terms,
        old: &mut State,
        mut state: State,
        origin: Origin,
    ) -> Change {
        if self.parts.len() == MAX_PARTS {
            self.parts.clear();
            return Change::of_state(old.meet(terms, &state));
        }
        let mut parted = 0;
        if let [only] = &mut self.parts[..]
            && only.state.is_none()
        {
            parted += old.size();
            only.state = Some(old.clone());
        }
        let changed = old.meet(terms, &state);
        state.settle(terms);
        parted += state.size();
        self.parts.push(Part {
            origin,
            state: Some(state),
        });
        Change {
            parted,
            ..Change::of_state(changed)
        }
    }

    /// A part says something else than before.
    ///
    /// If that is in the state already, nothing happens, although less might be
    /// in it now.
    fn replace(
        &mut self,
        terms: &mut Terms,
        old: &mut State,
        mut state: State,
        (at, origin): (usize, Origin),
    ) -> Change {
        let mut met = old.clone();
        let changed = met.meet(terms, &state);
        if changed && self.resets == MAX_RESETS {
            self.parts.clear();
            *old = met;
            return Change::of_state(true);
        }
        let part = &mut self.parts[at];
        part.origin = origin;
        if part.state.is_some() || changed {
            state.settle(terms);
        }
        if let Some(part) = &mut part.state {
            *part = state.clone();
        }
        if !changed {
            return Change::default();
        }
        let mut parts = self.parts.iter().filter_map(|part| part.state.as_ref());
        *old = parts.next().map_or(state, State::clone);
        for part in parts {
            old.meet(terms, part);
        }
        self.resets += u8::from(!self.around.is_empty());
        Change {
            again: std::mem::take(&mut self.around),
            ..Change::of_state(true)
        }
    }
}
