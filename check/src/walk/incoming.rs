//! The states that come to a product program point.
//!
//! A point is visited again when its state changes, and then gives a new state to each of
//! its successors. The new state replaces the one that the same predecessor gave before:
//! that one may have described the first iteration of a loop only, and the meet of both
//! would lose what relates two values. After `v0 = 0, v1 = 2` has met
//! `v0 = x, v1 = 2 << x`, nobody knows that `v1` is `2 << v0`.
//!
//! So a point keeps the last state of each of its forward predecessors, as a [`Part`], and
//! its own state is the meet of the parts. That is enough for the proof: at the end, the
//! state of each point is above all that the last visits of its predecessors gave, and the
//! last visits are those of the final states. Points in front of all loops are visited
//! once; what they give is met into one part.
//!
//! What comes by a back edge is met into the state, and no part keeps it. If a new state
//! comes from in front of the loop, it is dropped, at most [`MAX_RESETS`] times, and the
//! points that it came from are visited again.

use crate::state::State;
use crate::terms::Terms;
use smallvec::SmallVec;

/// Parts that a node keeps. With more, all that was ever said is met.
const MAX_PARTS: usize = 4;

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
pub(super) struct Part {
    origin: Origin,
    /// `None` if it is the only part, and the state of the node itself.
    state: Option<State>,
}

/// What leads to a node.
pub(super) struct Incoming {
    /// What came by edges that lead forward. Empty if it is not kept apart.
    pub(super) parts: SmallVec<[Part; 1]>,
    /// The nodes from which something came around a loop.
    pub(super) around: SmallVec<[u32; 1]>,
    pub(super) resets: u8,
}

/// What an arrival has done to a node.
#[derive(Default)]
pub(super) struct Change {
    /// The state is another one.
    pub(super) changed: bool,
    /// These nodes have to say again what they say.
    pub(super) again: SmallVec<[u32; 1]>,
    /// Entries that are kept in addition.
    pub(super) parted: usize,
}

impl Change {
    /// The state may have changed, and nothing else has.
    pub(super) fn of_state(changed: bool) -> Self {
        Self {
            changed,
            ..Self::default()
        }
    }
}

impl Incoming {
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
    pub(super) fn forward(
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
                // By another path in one visit, or by the only path of its predecessor:
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
