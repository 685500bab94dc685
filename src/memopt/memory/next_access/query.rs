//! One walk from a store in the direction of time, from version to version.

use super::{Fate, NextAccess};
use crate::ir::StackSlot;
use crate::memopt::cfg::graph::Node;
use crate::memopt::inst::location::{Location, Overlap};
use crate::memopt::memory::insts::EventIndex;
use crate::memopt::memory::mod_ref::{Bytes, Writes, mod_ref};
use crate::memopt::memory::ssa::{Definition, OpIndex, State, Versions};
use smallvec::SmallVec;

/// One walk from a store in the direction of time.
pub(super) struct Query<'q, 'a> {
    pub(super) next_access: &'q NextAccess<'a>,
    /// The slot in question, if it has escaped and is not found everywhere.
    pub(super) linked: Option<StackSlot>,
    pub(super) location: Location,
    pub(super) private: bool,
    pub(super) traps_observe: bool,
    /// Whoever knows the address of a slot of ours may read it until we return,
    /// and no longer.
    pub(super) returns_observe: bool,
    /// Does the base mean one address for the whole run of the function?
    pub(super) steady: bool,
    /// Branches whose successors have been queued; at most [`MAX_STEPS`](super::MAX_STEPS).
    pub(super) seen: SmallVec<[Node; 8]>,
    pub(super) steps: u32,
}

enum Next {
    Observed,
    /// Nobody sees it on this path.
    Gone,
    /// Go on behind this event.
    Pass,
}

impl Query<'_, '_> {
    /// Follows all paths; also returns the steps that are left.
    pub(super) fn run(mut self, state: State, node: Node) -> (Fate, u32) {
        let mut work: SmallVec<[(State, Node); 8]> = SmallVec::new();
        let mut kills: SmallVec<[EventIndex; 2]> = SmallVec::new();
        work.push((state, node));
        while let Some((mut state, mut from)) = work.pop() {
            loop {
                if self.steps == 0 {
                    return (Fate::GaveUp, 0);
                }
                self.steps -= 1;
                let own = self.next_access.versions.definition(state.own);
                if self.something_observes_all(state, own) {
                    match self.pass_observer(&mut state, own, &mut work) {
                        Some(true) => continue,
                        Some(false) => break,
                        None => return (self.observer(state, own), self.steps),
                    }
                }
                match own {
                    // The frame ends, or nothing ever happens again.
                    Definition::Entry => break,
                    Definition::Op(op) => {
                        let event = self.next_access.event_of_op[op as usize];
                        let node = self.next_access.memory.node(event);
                        if !self.may_step(from, node) {
                            return (Fate::AddressChanges, self.steps);
                        }
                        match self.event(op, event) {
                            Next::Observed => return (Fate::SeenBy(event), self.steps),
                            Next::Gone => {
                                if kills.len() < kills.inline_size() && !kills.contains(&event) {
                                    kills.push(event);
                                }
                                break;
                            }
                            Next::Pass => {
                                state = self.next_access.versions.before(op);
                                from = node;
                            }
                        }
                    }
                    Definition::Phi(phi) => {
                        let node = self.next_access.versions.phi_node(phi);
                        if !self.may_step(from, node) {
                            return (Fate::AddressChanges, self.steps);
                        }
                        if !self.seen.contains(&node) {
                            self.seen.push(node);
                            let versions = &self.next_access.versions;
                            for (succ, state) in versions.phi_inputs(self.next_access.graph, phi) {
                                let exit = succ as usize == self.next_access.order.len();
                                if !exit && succ <= node && !self.steady {
                                    return (Fate::AddressChanges, self.steps);
                                }
                                work.push((state, if exit { node } else { succ }));
                            }
                        }
                        break;
                    }
                }
            }
        }
        (Fate::Unobserved(kills), self.steps)
    }

    /// The observer of all memory that comes before `own` happens.
    fn observer(&self, state: State, own: Definition) -> Fate {
        let at = self.state_at(own);
        let next = match () {
            () if state.epoch != at.epoch => state.epoch,
            () if self.traps_observe && state.traps != at.traps => state.traps,
            () => state.returns,
        };
        match self.next_access.versions.definition(next) {
            Definition::Op(op) => Fate::SeenBy(self.next_access.event_of_op[op as usize]),
            Definition::Phi(_) | Definition::Entry => Fate::SeenOnSomePath,
        }
    }

    /// Is there an observer of all memory before `own` happens?
    fn something_observes_all(&self, state: State, own: Definition) -> bool {
        if self.private {
            return false;
        }
        let at = self.state_at(own);
        state.epoch != at.epoch || self.may_end(state, at)
    }

    /// May the function end between the two, so that what is stored is seen?
    fn may_end(&self, state: State, at: State) -> bool {
        (self.traps_observe && state.traps != at.traps)
            || (self.returns_observe && state.returns != at.returns)
    }

    /// Goes on behind the next observer of all memory, or, if different ones come next on
    /// different paths, queues those; then it is `false`.
    /// `None` if one of them can find the location.
    fn pass_observer(
        &mut self,
        state: &mut State,
        own: Definition,
        work: &mut SmallVec<[(State, Node); 8]>,
    ) -> Option<bool> {
        // Of the observers of all memory and of the ends, which comes first is not known here.
        let at = self.state_at(own);
        if !self.steady || state.epoch == at.epoch || self.may_end(*state, at) {
            return None;
        }
        let versions = &self.next_access.versions;
        match versions.definition(state.epoch) {
            Definition::Op(op) => {
                let event = self.next_access.event_of_op[op as usize];
                if self.finds(event) {
                    return None;
                }
                state.epoch = versions.before(op).epoch;
                Some(true)
            }
            Definition::Phi(phi) => {
                let node = versions.phi_node(phi);
                if !self.seen.contains(&node) {
                    self.seen.push(node);
                    let inputs =
                        versions.inputs_without_phi(self.next_access.graph, node, state.own);
                    for (succ, state) in inputs {
                        let exit = succ as usize == self.next_access.order.len();
                        work.push((state, if exit { node } else { succ }));
                    }
                }
                Some(false)
            }
            Definition::Entry => None,
        }
    }

    /// May `event`, which sees all memory or no region, see the location?
    fn finds(&self, event: EventIndex) -> bool {
        let memory = self.next_access.memory;
        let finds =
            |location: &Location| memory.overlap(location, &self.location, false) != Overlap::None;
        match (memory.access(event), memory.transfer(event)) {
            (Some(access), _) => finds(&access.location),
            (None, Some(transfer)) => transfer.reads.iter().any(finds),
            (None, None) => {
                let links = &self.next_access.links;
                self.linked.is_none_or(|slot| links.is_linked(slot, event))
            }
        }
    }

    /// The state when `own` happens, as far as the epochs go.
    fn state_at(&self, own: Definition) -> State {
        let versions = &self.next_access.versions;
        match own {
            Definition::Entry => Versions::entry_state(),
            Definition::Op(op) => versions.before(op),
            Definition::Phi(phi) => versions.at_phi(phi),
        }
    }

    /// Does the base still mean what it meant, one step on? See the header.
    ///
    /// Inside one block, the events behind the store are those that follow it
    /// without leaving: coming round again would mean passing a branch, which
    /// is a step to another block or, for a loop of one block, a phi.
    fn may_step(&self, from: Node, to: Node) -> bool {
        self.steady || to >= from
    }

    fn event(&self, op: OpIndex, event: EventIndex) -> Next {
        if !self.next_access.is_access[op as usize] {
            let links = &self.next_access.links;
            let found = self.linked.is_none_or(|slot| links.is_linked(slot, event));
            return if found { Next::Observed } else { Next::Pass };
        }
        // The class of the versions says which regions concern it.
        let bytes = Bytes {
            location: self.location,
            class: None,
            private: self.private,
        };
        let answer = mod_ref(self.next_access.memory, event, &bytes);
        match answer.writes {
            _ if answer.reads => Next::Observed,
            Writes::All => Next::Gone,
            Writes::None | Writes::Part | Writes::Some => Next::Pass,
        }
    }
}
