//! The memories of both runs: what they hold, and where they may differ.
//!
//! *Invariant.* At the same point of both runs, the memory of the result is
//! that of the original in every byte that lies in no *difference*; each
//! *fact* holds in the memories that it is about; and each pointer to a slot
//! that the outside may know is in [`Memory::escaped`].
//!
//! A store that one run makes alone opens a difference. It is closed when the
//! other run makes the store too, or when both memories are known to hold the
//! same there for another reason: because the original puts back what it found,
//! or because both overwrite it. Whoever looks at memory may look only where
//! there is no difference. This is the invariant of pending stores, with both
//! runs in the place of logical and physical memory.

use super::calls::Classes;
use super::facts::{Fact, Passed, Purpose};
use super::ledger::Ledger;
use super::pending::{Pending, Store};
use super::place::{Access, Place};
use super::terms::{SlotSet, Term, Terms};
use cranelift_codegen::ir::StackSlot;

/// One of the two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The function before the optimizer.
    Original,
    /// The function after it.
    Result,
}

impl Side {
    /// Both, the original first.
    pub const BOTH: [Self; 2] = [Self::Original, Self::Result];

    /// The one that it is not.
    pub fn other(self) -> Self {
        match self {
            Self::Original => Self::Result,
            Self::Result => Self::Original,
        }
    }

    /// The bit that stands for it in [`Fact::sides`].
    pub fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Both memories at one point.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What is known, the oldest first.
    pub facts: Vec<Fact>,
    /// Where the memories may differ.
    pub differences: Vec<Place>,
    /// Where they may differ if the slot has not escaped, though it may have.
    ///
    /// Where two ways meet, a slot may have escaped on one of them, and be equal
    /// there, and differ on the other one, where nobody knows it.
    pub in_private: Vec<(StackSlot, Place)>,
    /// What makes both memories out of nearly equal ones.
    pub pending: Pending,
    /// Accesses that only one run has made so far.
    pub ledger: Ledger,
    /// Slots that the outside may know.
    pub escaped: SlotSet,
    /// Those of them that the outside could name from the start, while it has not
    /// run since: it cannot have told this function where they are, and nobody has
    /// written their addresses to memory.
    pub unheard: SlotSet,
    /// Slots whose address may be in one memory, where it differs.
    pub hidden: [SlotSet; 2],
    /// Has a fact been dropped for want of room?
    pub forgot: bool,
}

impl Memory {
    /// A plain load of one run; returns the value of the bytes.
    pub fn load(&mut self, terms: &mut Terms, side: Side, access: &Access) -> Term {
        let known = self.known(terms, side, access, Purpose::Load);
        let differs = self.differs_at(terms, &access.place);
        let sides = if differs {
            side.bit()
        } else {
            Side::Original.bit() | Side::Result.bit()
        };
        let passed = Passed::by(side, false);
        if let Some(value) = known.first() {
            if access.readonly {
                self.revive(terms, side, access, *value);
            }
            self.pass(terms, access, *value, sides, passed);
            return *value;
        }
        let heard = self.escaped.without(self.unheard);
        let taint = if access.foreign {
            SlotSet::default()
        } else if differs {
            heard.and(self.hidden[side as usize])
        } else {
            heard
        };
        let value = terms.leaf(access.ty, taint, None);
        self.learn(access, value, sides, false, passed);
        value
    }

    /// The same store of `value` by both runs.
    pub fn store_both(&mut self, terms: &mut Terms, access: &Access, value: Term) {
        self.escape(terms.taint(value));
        let mut sides = Side::BOTH.into_iter();
        if sides.all(|side| self.holds(terms, side, access, value)) {
            self.close(terms, &access.place);
            let sides = Side::Original.bit() | Side::Result.bit();
            self.pass(terms, access, value, sides, Passed::Store);
            self.append(terms, &[], Store::new(access, value));
            return;
        }
        self.forget_overwritten_in_both(terms, &access.place);
        self.close(terms, &access.place);
        let sides = Side::Original.bit() | Side::Result.bit();
        self.learn(access, value, sides, true, Passed::Store);
        self.append(terms, &Side::BOTH, Store::new(access, value));
    }

    /// A store that one run makes alone, for now.
    pub fn store_alone(&mut self, terms: &mut Terms, side: Side, access: &Access, value: Term) {
        let before = self.holds(terms, side, access, value);
        let other = self.holds(terms, side.other(), access, value);
        self.account(terms, side, access.place, Some(value));
        if before {
            // Memory stays as it is.
            self.pass(terms, access, value, side.bit(), Passed::by(side, true));
            return;
        }
        self.forget_overwritten(terms, side, &access.place);
        // What is known of one memory because both were equal has to be said
        // of the other one before they differ.
        let passed = Passed::by(side, true);
        self.learn(access, value, side.bit(), true, passed);
        if other {
            self.escape(terms.taint(value));
            self.close(terms, &access.place);
        } else {
            let hidden = &mut self.hidden[side as usize];
            *hidden = hidden.and(terms.taint(value));
            self.open(terms, access.place);
        }
        self.close_equal(terms, access.order);
        self.append(terms, &[side], Store::new(access, value));
    }

    /// The outside may know these slots from now on.
    pub fn escape(&mut self, slots: SlotSet) {
        self.escaped = self.escaped.and(slots);
        self.unheard = self.unheard.without(slots);
        let differences = &mut self.differences;
        self.in_private.retain(|(slot, place)| {
            if slots.has(*slot) {
                differences.push(*place);
            }
            !slots.has(*slot)
        });
    }

    /// The outside has run. Forgets what it may change: all memory of `changed`,
    /// and what is in `slots`.
    pub fn forget_changed(&mut self, terms: &Terms, changed: &Classes, slots: SlotSet) {
        self.unheard = SlotSet::default();
        let is_mapped = |place: &Place| {
            let taint = place.root.map_or(SlotSet::ALL, |root| terms.taint(root));
            slots.may_share(taint)
        };
        let mut pending = self.pending.stores.iter().flatten();
        let is_written = |store: &Store| {
            is_mapped(&store.place)
                || (!self.is_private(terms, &store.place) && changed.has(store.place.class))
        };
        if pending.any(is_written) {
            self.forget_order();
        }
        self.forget_loads(terms, changed);
        let mut facts = std::mem::take(&mut self.facts);
        facts.retain_mut(|fact| {
            let mapped = is_mapped(&fact.place);
            let written = !self.is_private(terms, &fact.place) && changed.has(fact.place.class);
            if mapped {
                return false;
            }
            if written && fact.readonly {
                fact.outlived = true;
                return true;
            }
            match changed {
                _ if !written => true,
                Classes::All => false,
                Classes::These(classes) => {
                    let mut classes = classes.iter();
                    classes.all(|class| fact.is_narrowed(Some(*class)))
                }
            }
        });
        self.facts = facts;
    }
}
