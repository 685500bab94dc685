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

use super::calls::{Class, Classes};
use super::terms::{Node, SlotSet, Term, Terms};
use crate::ir::{Endianness, StackSlot, Type};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Facts that are kept at one point. The oldest is dropped beyond it, which
/// can only make the checker refuse more; it says then that it hit a limit.
const MAX_FACTS: usize = 256;

/// Differences that are kept apart. Beyond it those of one class become one.
const MAX_DIFFERENCES: usize = 48;

/// Stores that are pending in their order. Beyond it only the places are known
/// in which the memories differ.
const MAX_QUEUE: usize = 16;

/// Loads of the original that the result may make later: the latest ones.
const MAX_SPARE: usize = 64;

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

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What its address is based on; `None` for anywhere but in private slots.
    pub root: Option<Term>,
    /// How far from the root it begins, and its size; `None` for all of the
    /// slot that is the root.
    pub range: Option<(i64, u32)>,
    /// The class that the access is tagged with.
    pub class: Option<Class>,
}

/// The bytes at a place are those of a value.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Where; with a root and a range.
    pub place: Place,
    /// What they are, as a value of their own size.
    pub value: Term,
    /// In which order.
    pub order: Endianness,
    /// In which memories.
    pub sides: u8,
    /// A load that carried `readonly` found it: proves nothing about stores.
    pub readonly: bool,
    /// Someone may have written the place since: only for `readonly` loads.
    pub outlived: bool,
    /// A store wrote it: another one will not trap.
    pub stored: bool,
    /// Of a place without a class: someone may have written it since as memory
    /// of these classes. What is accessed as another one is not what was
    /// written.
    pub except: SmallVec<[Class; 2]>,
}

impl Fact {
    /// Is it about what an access to `class` finds?
    fn is_for(&self, class: Option<Class>) -> bool {
        self.except.is_empty() || class.is_some_and(|class| !self.except.contains(&class))
    }

    /// Is there anything left of it where memory of `class` is written?
    fn is_narrowed(&mut self, class: Option<Class>) -> bool {
        match (self.place.class, class) {
            (None, Some(class)) => {
                if !self.except.contains(&class) {
                    self.except.push(class);
                }
                true
            }
            _ => false,
        }
    }
}

/// What an access says about the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Where they are.
    pub place: Place,
    /// Their type in memory.
    pub ty: Type,
    /// Their order.
    pub order: Endianness,
    /// Does a load carry `readonly`?
    pub readonly: bool,
    /// Is what is loaded certainly no address of a slot?
    pub foreign: bool,
}

/// A store that the original has made and the result has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Where.
    pub place: Place,
    /// What.
    pub value: Term,
    /// In which order of bytes.
    pub order: Endianness,
}

/// Both memories at one point.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What is known, the oldest first.
    pub facts: Vec<Fact>,
    /// Where the memories may differ.
    pub differences: Vec<Place>,
    /// Accesses to what others know that the result has made and the original
    /// has yet to make: a store of a value, or a load.
    pub ahead: Vec<(Place, Option<Term>)>,
    /// Accesses that the original has made and the result may yet make.
    pub spare: Vec<(Place, Option<Term>)>,
    /// Stores of the original, in their order, that make its memory out of that
    /// of the result; empty where both are equal, `None` where it is not known.
    pub queue: Option<Vec<Pending>>,
    /// Slots that the outside may know.
    pub escaped: SlotSet,
    /// Slots whose address may be in one memory, where it differs.
    pub hidden: [SlotSet; 2],
    /// Has a fact been dropped for want of room?
    pub forgot: bool,
}

impl Memory {
    /// Is the place in a slot that nobody outside knows?
    pub fn is_private(&self, terms: &Terms, place: &Place) -> bool {
        let slot = place.root.and_then(|root| terms.within(root));
        slot.is_some_and(|slot| !self.escaped.has(slot))
    }

    /// May two places share a byte?
    pub fn may_overlap(&self, terms: &Terms, a: &Place, b: &Place) -> bool {
        let (Some(x), Some(y)) = (a.root, b.root) else {
            return !self.is_private(terms, a)
                && !self.is_private(terms, b)
                && are_compatible(a.class, b.class);
        };
        let one_slot = terms.within(x).is_some() && terms.within(x) == terms.within(y);
        let one_memory =
            are_compatible(a.class, b.class) || (one_slot && self.is_private(terms, a));
        if !one_memory {
            return false;
        }
        if x == y {
            return match (a.range, b.range) {
                (Some((at, size)), Some((other, other_size))) => {
                    let distance = distance(terms, x, at, other);
                    distance < i64::from(size) && distance > -i64::from(other_size)
                }
                _ => true,
            };
        }
        // Access to memory outside of its slot has made every slot public.
        if self.escaped == SlotSet::ALL {
            return true;
        }
        let outside = |slot: Option<StackSlot>, other: Term| {
            slot.is_some_and(|slot| !terms.taint(other).has(slot))
        };
        !outside(terms.within(x), y) && !outside(terms.within(y), x)
    }

    /// How far into the bytes of `outer` those of `inner` begin, if `outer`
    /// certainly has all of them.
    fn position_in(&self, terms: &Terms, outer: &Place, inner: &Place) -> Option<u32> {
        let root = outer.root.filter(|root| Some(*root) == inner.root)?;
        if !are_compatible(outer.class, inner.class) && !self.is_private(terms, outer) {
            return None;
        }
        let (at, size) = outer.range?;
        let (other, other_size) = inner.range?;
        let distance = distance(terms, root, at, other);
        (distance >= 0 && distance + i64::from(other_size) <= i64::from(size))
            .then_some(distance as u32)
    }

    /// May the memories differ there?
    pub fn differs_at(&self, terms: &Terms, place: &Place) -> bool {
        let mut differences = self.differences.iter();
        differences.any(|difference| self.may_overlap(terms, difference, place))
    }

    /// The values that the memory of `side` is known to hold there, of the type
    /// of `access`: those that were accessed as such first, then those that a
    /// store left, the earliest first.
    fn known(
        &self,
        terms: &mut Terms,
        side: Side,
        access: &Access,
        purpose: Purpose,
    ) -> SmallVec<[Term; 2]> {
        let mut values: SmallVec<[(u8, Term); 2]> = SmallVec::new();
        if self.facts.is_empty() {
            return SmallVec::new();
        }
        let same = !self.differs_at(terms, &access.place);
        for fact in &self.facts {
            let usable = match purpose {
                Purpose::Load => !fact.outlived || access.readonly,
                Purpose::Store => !fact.outlived && !fact.readonly,
            };
            // Where the memories are equal, what is known of one is known of
            // the other.
            if !usable
                || !(same || fact.sides & side.bit() != 0)
                || !fact.is_for(access.place.class)
            {
                continue;
            }
            if let Some(position) = self.position_in(terms, &fact.place, &access.place)
                && let Some(value) = seen_through(terms, fact, position, access)
            {
                let is_exact = terms.ty(fact.value) == access.ty;
                let distance = match (is_exact, fact.stored) {
                    (true, _) => 0,
                    (false, true) => 1,
                    (false, false) => 2,
                };
                values.push((distance, value));
            }
        }
        values.sort_by_key(|(distance, _)| *distance);
        values.into_iter().map(|(_, value)| value).collect()
    }

    /// Is the memory of `side` known to hold `value` there, so that a store of
    /// it would change nothing?
    fn holds(&self, terms: &mut Terms, side: Side, access: &Access, value: Term) -> bool {
        self.known(terms, side, access, Purpose::Store)
            .contains(&value)
    }

    /// Has a load (or a store, if `store`) of all these bytes come through?
    pub fn is_accessible(&self, terms: &Terms, access: &Access, store: bool) -> bool {
        self.facts.iter().any(|fact| {
            (fact.stored || !store)
                && (!fact.outlived || (access.readonly && !store))
                && fact.is_for(access.place.class)
                && self
                    .position_in(terms, &fact.place, &access.place)
                    .is_some()
        })
    }

    /// Keeps count of accesses to what others know, so that the result fetches
    /// nothing where the original does not, nothing twice that the original
    /// fetches once, and stores nothing that the original does not: another
    /// thread may see it.
    pub fn account(&mut self, terms: &Terms, side: Side, place: Place, stored: Option<Term>) {
        if self.is_private(terms, &place) {
            return;
        }
        let entry = (place, stored);
        match side {
            Side::Original => match self.ahead.iter().position(|ahead| *ahead == entry) {
                Some(at) => {
                    self.ahead.remove(at);
                }
                None if self.spare.contains(&entry) => {}
                None => {
                    if self.spare.len() == MAX_SPARE {
                        self.spare.remove(0);
                    }
                    self.spare.push(entry);
                }
            },
            Side::Result => match self.spare.iter().position(|spare| *spare == entry) {
                Some(at) => {
                    self.spare.remove(at);
                }
                None => self.ahead.push(entry),
            },
        }
    }

    /// Something happens that both runs have in common: loads do not pass it.
    /// Has the result made a load before it that the original has not?
    pub fn settle_loads(&mut self) -> bool {
        self.spare.retain(|(_, stored)| stored.is_some());
        self.ahead.iter().any(|(_, stored)| stored.is_none())
    }

    /// A plain load of one run; returns the value of the bytes.
    pub fn load(&mut self, terms: &mut Terms, side: Side, access: &Access) -> Term {
        let known = self.known(terms, side, access, Purpose::Load);
        if let Some(value) = known.first() {
            return *value;
        }
        let differs = self.differs_at(terms, &access.place);
        let taint = if access.foreign {
            SlotSet::default()
        } else if differs {
            self.escaped.and(self.hidden[side as usize])
        } else {
            self.escaped
        };
        let value = terms.leaf(access.ty, taint, None);
        let sides = if differs {
            side.bit()
        } else {
            Side::Original.bit() | Side::Result.bit()
        };
        self.learn(access, value, sides, false);
        value
    }

    /// The same store of `value` by both runs.
    pub fn store_both(&mut self, terms: &mut Terms, access: &Access, value: Term) {
        self.escape(terms.taint(value));
        let mut sides = Side::BOTH.into_iter();
        if sides.all(|side| self.holds(terms, side, access, value)) {
            self.close(terms, &access.place);
            self.pass_queue(terms, &access.place);
            return;
        }
        let mut kept = Vec::with_capacity(self.facts.len() + 1);
        for fact in core::mem::take(&mut self.facts) {
            if self.may_overlap(terms, &fact.place, &access.place) {
                self.keep_rest(terms, fact, &access.place, &mut kept);
            } else {
                kept.push(fact);
            }
        }
        self.facts = kept;
        self.close(terms, &access.place);
        let sides = Side::Original.bit() | Side::Result.bit();
        self.learn(access, value, sides, true);
        self.pass_queue(terms, &access.place);
    }

    /// Both runs have written `place`: what is pending has to come after it.
    fn pass_queue(&mut self, terms: &Terms, place: &Place) {
        if let Some(mut queue) = self.queue.take() {
            queue.retain(|pending| self.position_in(terms, place, &pending.place).is_none());
            let mut left = queue.iter();
            if !left.any(|pending| self.may_overlap(terms, &pending.place, place)) {
                self.queue = Some(queue);
            }
        }
        self.renew_queue();
    }

    /// Where there is no difference nothing is pending.
    fn renew_queue(&mut self) {
        if self.differences.is_empty() {
            self.queue = Some(Vec::new());
        }
    }

    /// One run has made a store that changed its memory.
    fn change_queue(&mut self, terms: &mut Terms, side: Side, pending: Pending) {
        if let Some(mut queue) = self.queue.take() {
            match side {
                Side::Original if queue.len() < MAX_QUEUE => {
                    queue.push(pending);
                    self.queue = Some(queue);
                }
                Side::Original => {}
                Side::Result => {
                    if let Some(at) = self.first_of_queue(terms, &queue, &pending) {
                        queue.remove(at);
                        self.differences.clear();
                        for left in &queue {
                            self.open(terms, left.place);
                        }
                        self.queue = Some(queue);
                    }
                }
            }
        }
        self.renew_queue();
    }

    /// Where the queue has that store, if it may as well be its first.
    fn first_of_queue(&self, terms: &Terms, queue: &[Pending], store: &Pending) -> Option<usize> {
        let at = queue.iter().position(|pending| pending == store)?;
        let mut before = queue[..at].iter();
        (!before.any(|pending| self.may_overlap(terms, &pending.place, &store.place))).then_some(at)
    }

    /// A store that one run makes alone, for now.
    pub fn store_alone(&mut self, terms: &mut Terms, side: Side, access: &Access, value: Term) {
        let before = self.holds(terms, side, access, value);
        let other = self.holds(terms, side.other(), access, value);
        self.account(terms, side, access.place, Some(value));
        if before {
            // Memory stays as it is.
            return;
        }
        self.forget_overwritten(terms, side, &access.place);
        // What is known of one memory because both were equal has to be said
        // of the other one before they differ.
        self.learn(access, value, side.bit(), true);
        if other {
            self.escape(terms.taint(value));
            self.close(terms, &access.place);
        } else {
            let hidden = &mut self.hidden[side as usize];
            *hidden = hidden.and(terms.taint(value));
            self.open(terms, access.place);
        }
        self.close_equal(terms, access.order);
        let pending = Pending {
            place: access.place,
            value,
            order: access.order,
        };
        self.change_queue(terms, side, pending);
    }

    /// Closes differences in which both memories are known to hold the same.
    fn close_equal(&mut self, terms: &mut Terms, order: Endianness) {
        let mut differences = core::mem::take(&mut self.differences);
        for at in (0..differences.len()).rev() {
            let place = differences[at];
            let bits = place.range.map_or(0, |(_, bytes)| 8 * bytes);
            let Some(ty) = Type::int(bits as u16).filter(|_| place.root.is_some() && bits <= 128)
            else {
                continue;
            };
            let access = Access {
                place,
                ty,
                order,
                readonly: false,
                foreign: false,
            };
            // The difference itself does not count: what is known of each
            // memory by itself does.
            self.differences = differences.clone();
            let mine = self.known(terms, Side::Original, &access, Purpose::Store);
            let theirs = self.known(terms, Side::Result, &access, Purpose::Store);
            let same = mine.iter().find(|value| theirs.contains(value));
            if let Some(value) = same {
                self.escape(terms.taint(*value));
                differences.remove(at);
            }
        }
        self.differences = differences;
    }

    /// Forgets what a store to `place` may change in the memory of `side`.
    fn forget_overwritten(&mut self, terms: &mut Terms, side: Side, place: &Place) {
        let mut kept = Vec::with_capacity(self.facts.len() + 1);
        for mut fact in core::mem::take(&mut self.facts) {
            if !self.may_overlap(terms, &fact.place, place) {
                kept.push(fact);
                continue;
            }
            // It was known of both if they were equal there, and stays known
            // of the other.
            if !self.differs_at(terms, &fact.place) {
                fact.sides = Side::Original.bit() | Side::Result.bit();
            }
            let both = fact.sides;
            fact.sides = both & !side.bit();
            let mut rest = fact.clone();
            rest.sides = both & side.bit();
            if fact.sides != 0 {
                kept.push(fact);
            }
            if rest.sides != 0 {
                self.keep_rest(terms, rest, place, &mut kept);
            }
        }
        self.facts = kept;
    }

    /// Keeps what a store to `place` leaves of a fact.
    fn keep_rest(&self, terms: &mut Terms, mut fact: Fact, place: &Place, kept: &mut Vec<Fact>) {
        if fact.place.root == place.root {
            // The bytes before and behind the place.
            let (Some(root), Some((at, size)), Some((start, bytes))) =
                (place.root, fact.place.range, place.range)
            else {
                return;
            };
            let before = distance(terms, root, at, start).clamp(0, size.into()) as u32;
            let end = distance(terms, root, at, start) + i64::from(bytes);
            let behind = end.clamp(0, size.into()) as u32;
            for (from, to) in [(0, before), (behind, size)] {
                keep_bytes(terms, &fact, from, to, kept);
            }
        } else if !self.is_private(terms, &fact.place) && fact.is_narrowed(place.class) {
            kept.push(fact);
        }
    }

    fn learn(&mut self, access: &Access, value: Term, sides: u8, stored: bool) {
        if access.place.root.is_none() || access.place.range.is_none() {
            return;
        }
        if self.facts.len() == MAX_FACTS {
            self.facts.remove(0);
            self.forgot = true;
        }
        self.facts.push(Fact {
            place: access.place,
            value,
            order: access.order,
            sides,
            readonly: access.readonly && !stored,
            outlived: false,
            stored,
            except: SmallVec::new(),
        });
    }

    /// From now on the memories may differ there. Is that new?
    pub fn open(&mut self, terms: &mut Terms, mut place: Place) -> bool {
        if let Some(root) = place.root
            && let Some(slot) = terms.within(root)
            && !matches!(terms.node(root), Node::Slot(_))
        {
            // Somewhere in a slot; its name may not live long.
            let ty = terms.ty(root);
            place.root = Some(terms.slot(slot, ty));
            place.range = None;
        }
        let mut differences = core::mem::take(&mut self.differences);
        let is_new = !differences
            .iter()
            .any(|old| self.has_all(terms, old, &place));
        if is_new {
            differences.retain(|old| !self.has_all(terms, &place, old));
            differences.push(place);
        }
        self.differences = differences;
        if self.differences.len() > MAX_DIFFERENCES {
            self.merge_differences(terms);
        }
        is_new
    }

    /// Does `outer`, as a difference, say all that `inner` says?
    fn has_all(&self, terms: &Terms, outer: &Place, inner: &Place) -> bool {
        let classes = outer.class.is_none() || outer.class == inner.class;
        match (outer.root, outer.range) {
            (None, _) => classes && !self.is_private(terms, inner),
            (Some(root), None) => {
                let slot = terms.within(root);
                classes && slot.is_some() && slot == inner.root.and_then(|root| terms.within(root))
            }
            (Some(_), Some(_)) => classes && self.position_in(terms, outer, inner).is_some(),
        }
    }

    /// Makes one difference of all those in a class.
    fn merge_differences(&mut self, terms: &mut Terms) {
        self.forgot = true;
        for place in core::mem::take(&mut self.differences) {
            let slot = place.root.and_then(|root| terms.within(root));
            let wide = Place {
                root: place.root.filter(|_| slot.is_some()),
                range: None,
                class: place.class,
            };
            if !self.differences.contains(&wide) {
                self.differences.push(wide);
            }
        }
    }

    /// Both memories are equal in all bytes of `place`.
    fn close(&mut self, terms: &Terms, place: &Place) {
        let mut left = Vec::with_capacity(self.differences.len());
        for difference in core::mem::take(&mut self.differences) {
            self.outside_of(terms, difference, place, &mut left);
        }
        self.differences = left;
    }

    /// Keeps what lies outside of `place`.
    fn outside_of(&self, terms: &Terms, difference: Place, place: &Place, left: &mut Vec<Place>) {
        let mut whole = difference;
        if let (Some(root), None) = (whole.root, whole.range)
            && let Node::Slot(slot) = *terms.node(root)
        {
            whole.range = Some((0, terms.slot_size(slot)));
        }
        let one_memory = are_compatible(whole.class, place.class) || self.is_private(terms, place);
        let (Some(root), Some((at, size)), Some((start, bytes))) =
            (whole.root, whole.range, place.range)
        else {
            left.push(difference);
            return;
        };
        if Some(root) != place.root || !one_memory {
            left.push(difference);
            return;
        }
        let distance = distance(terms, root, at, start);
        let before = distance.clamp(0, size.into()) as u32;
        let behind = (distance + i64::from(bytes)).clamp(0, size.into()) as u32;
        if before == behind {
            left.push(difference);
            return;
        }
        for (from, to) in [(0, before), (behind, size)] {
            if from < to {
                left.push(Place {
                    range: Some((at.wrapping_add(from.into()), to - from)),
                    ..whole
                });
            }
        }
    }

    /// The outside may know these slots from now on.
    pub fn escape(&mut self, slots: SlotSet) {
        self.escaped = self.escaped.and(slots);
    }

    /// Forgets what the outside may change: all memory of `changed`, and what
    /// is in `slots`.
    pub fn forget_changed(&mut self, terms: &Terms, changed: &Classes, slots: SlotSet) {
        if let Some(queue) = &self.queue {
            let mut queue = queue.iter();
            let changes = queue.any(|pending| {
                !slots.is_empty()
                    || (!self.is_private(terms, &pending.place) && changed.has(pending.place.class))
            });
            if changes {
                self.queue = None;
            }
        }
        let mut facts = core::mem::take(&mut self.facts);
        facts.retain_mut(|fact| {
            let root = fact.place.root;
            let taint = root.map_or(SlotSet::ALL, |root| terms.taint(root));
            let mapped = !slots.is_empty() && slots.may_share(taint);
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

    /// Would a difference in a private slot come to be seen, if the outside knew
    /// these slots as well?
    pub fn would_expose(&self, terms: &Terms, escaped: SlotSet) -> bool {
        self.differences.iter().any(|difference| {
            let slot = difference.root.and_then(|root| terms.within(root));
            slot.is_some_and(|slot| !self.escaped.has(slot) && escaped.has(slot))
        })
    }

    /// A difference that someone sees who looks at all memory for which
    /// `looks` is true, and at `slots`.
    pub fn visible(
        &self,
        terms: &Terms,
        looks: impl Fn(Option<Class>) -> bool,
        slots: SlotSet,
    ) -> Option<Place> {
        let mut differences = self.differences.iter();
        let seen = differences.find(|difference| {
            let taint = difference.root.map(|root| terms.taint(root));
            let mapped = !slots.is_empty() && taint.is_none_or(|taint| slots.may_share(taint));
            mapped || (!self.is_private(terms, difference) && looks(difference.class))
        });
        seen.copied()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// What would a load find?
    Load,
    /// Does a store change anything?
    Store,
}

/// May memory of two classes be the same?
fn are_compatible(a: Option<Class>, b: Option<Class>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// How far `other` lies behind `at`, as pointers of the type of `root` wrap.
fn distance(terms: &Terms, root: Term, at: i64, other: i64) -> i64 {
    super::terms::sign_extend(other.wrapping_sub(at) as u64, terms.ty(root))
}

/// What `access` makes of the bytes of a fact that begin `position` bytes into
/// them.
fn seen_through(terms: &mut Terms, fact: &Fact, position: u32, access: &Access) -> Option<Term> {
    let (_, have) = fact.place.range?;
    let (_, want) = access.place.range?;
    if have > 1 && fact.order != access.order {
        return None;
    }
    let stored = terms.ty(fact.value);
    if stored == access.ty && have == want {
        return Some(fact.value);
    }
    let low = match fact.order {
        Endianness::Little => position,
        Endianness::Big => have - position - want,
    };
    let from = integer_like(stored)?;
    integer_like(access.ty)?;
    let integer = terms.cast(fact.value, from);
    let part = terms.bits(integer, 8 * low, Type::int(8 * want as u16)?);
    Some(terms.cast(part, access.ty))
}

/// Keeps the bytes of a fact from one position to another, as integers.
fn keep_bytes(terms: &mut Terms, fact: &Fact, mut from: u32, to: u32, kept: &mut Vec<Fact>) {
    let Some((at, _)) = fact.place.range else {
        return;
    };
    while from < to {
        let left = to - from;
        let bytes = 1 << left.ilog2().min(3);
        let place = Place {
            range: Some((at.wrapping_add(from.into()), bytes)),
            ..fact.place
        };
        let Some(ty) = Type::int(8 * bytes as u16) else {
            return;
        };
        let access = Access {
            place,
            ty,
            order: fact.order,
            readonly: false,
            foreign: false,
        };
        let Some(value) = seen_through(terms, fact, from, &access) else {
            return;
        };
        kept.push(Fact {
            place,
            value,
            ..fact.clone()
        });
        from += bytes;
    }
}

/// The type of integers as wide as a scalar type.
fn integer_like(ty: Type) -> Option<Type> {
    if ty.is_int() || ty.is_float() {
        Type::int(ty.bits() as u16)
    } else {
        None
    }
}
