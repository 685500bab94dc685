//! Accesses that only one run has made so far, to what others know.
//!
//! Plain memory may be read by another thread, and an address may be good for an
//! access here and not there. So the result stores nothing that the original
//! does not, and loads nothing that the original does not load, each as often
//! at most.

use super::place::Place;
use super::terms::Term;
use cranelift_codegen::ir::TrapCode;

/// Accesses of the original that the result may make later: the latest ones.
const MAX_CREDIT: usize = 64;

/// Accesses of the original that are the same, and that the result may make
/// later. It may make no more of them.
const MAX_REPEATED: usize = 4;

/// Accesses of the result that the original has yet to make. What is beyond it
/// counts as one that the original does not make.
pub const MAX_AHEAD: usize = 64;

/// An access: of a store, the value; of a load that may trap where the other run has not come
/// through it yet, how.
pub type Entry = (Place, Option<Term>, Option<TrapCode>);

/// Accesses that only one run has made so far.
#[derive(Clone, Debug, Default)]
pub struct AccessBalance {
    /// Those of the result that the original has yet to make.
    pub ahead: Vec<Entry>,
    /// Those of the original that the result may make later.
    pub credit: Vec<Entry>,
    /// Has the result made a load, or a store, that has no name any more? The
    /// original will not be seen to make it.
    pub lost: [bool; 2],
}

impl AccessBalance {
    /// How much room it takes.
    pub fn size(&self) -> usize {
        self.ahead.len() + self.credit.len()
    }

    pub fn original(&mut self, entry: Entry) {
        if let Some(at) = self.ahead.iter().position(|ahead| *ahead == entry) {
            self.ahead.remove(at);
        } else if self.credit.iter().filter(|old| **old == entry).count() < MAX_REPEATED {
            if self.credit.len() == MAX_CREDIT {
                self.credit.remove(0);
            }
            self.credit.push(entry);
        }
    }

    /// Is this load the first of those that the result has made ahead, which has trapped if the
    /// original does here?
    pub fn is_promised(&self, place: Place, trap: TrapCode) -> bool {
        let mut loads = self.ahead.iter().filter(|(_, stored, _)| stored.is_none());
        loads.next() == Some(&(place, None, Some(trap)))
    }

    /// Has the result come through a load that may trap, and the original has yet to?
    pub fn has_promise(&self) -> bool {
        self.ahead.iter().any(|(.., trap)| trap.is_some())
    }

    pub fn result(&mut self, entry: Entry) {
        match self.credit.iter().position(|credit| *credit == entry) {
            Some(at) => {
                self.credit.remove(at);
            }
            None => self.ahead.push(entry),
        }
    }

    /// Takes loads of the result that are ahead off, and the loads of the original off the credit that
    /// together are of the bytes of one.
    pub fn settle_loads_in_parts(&mut self) {
        let Self { ahead, credit, .. } = self;
        ahead.retain(|whole| match parts_of_load(whole, credit) {
            Some(mut parts) => {
                parts.sort_unstable();
                for part in parts.into_iter().rev() {
                    credit.remove(part);
                }
                false
            }
            None => true,
        });
    }

    /// Takes a store of the result that is ahead off, and the stores of the original off the credit
    /// that together are of its bytes, or of more, and store the same there: `byte` says what a
    /// store stores at an offset. Only what the access of `newest` has a part in is looked at.
    pub fn settle_in_parts(
        &mut self,
        newest: &Place,
        mut byte: impl FnMut(&Entry, i64) -> Option<Term>,
    ) {
        let Self { ahead, credit, .. } = self;
        ahead.retain(|whole| {
            let (Some((start, bytes)), Some(_)) = (whole.0.range, whole.1) else {
                return true;
            };
            let is_part = |part: &Entry| {
                let (first, end) = (start, start + i64::from(bytes));
                let inside = part.0.range.is_some_and(|(at, count)| {
                    let to = at + i64::from(count);
                    (at >= first && to <= end) || (at <= first && to >= end)
                });
                inside
                    && part.1.is_some()
                    && part.0.root == whole.0.root
                    && part.0.class == whole.0.class
            };
            let concerns = whole.0 == *newest || is_part(&(*newest, whole.1, None));
            if !concerns {
                return true;
            }
            let parts: Vec<Entry> = credit.iter().copied().filter(is_part).collect();
            // What is of the very bytes has another value, or it would be off already.
            if parts.iter().all(|part| part.0.range == whole.0.range) {
                return true;
            }
            let offsets = start..start + i64::from(bytes);
            let is_whole = { offsets }.all(|at| {
                let stored = byte(whole, at);
                let mut parts = parts.iter();
                stored.is_some() && parts.any(|part| byte(part, at) == stored)
            });
            if is_whole {
                credit.retain(|entry| !is_part(entry));
            }
            !is_whole
        });
    }

    /// Has the result made a load that the original has not?
    pub fn has_load_ahead(&self) -> bool {
        self.lost[0] || self.ahead.iter().any(|(_, stored, _)| stored.is_none())
    }

    /// Has the result made a store that the original has not?
    pub fn has_store_ahead(&self) -> bool {
        self.lost[1] || self.ahead.iter().any(|(_, stored, _)| stored.is_some())
    }
}

/// The loads in `credit` that together are of the bytes of `whole`, a load that does not trap.
fn parts_of_load(whole: &Entry, credit: &[Entry]) -> Option<Vec<usize>> {
    let (place, None, None) = whole else {
        return None;
    };
    let (start, bytes) = place.range?;
    let end = start.checked_add(bytes.into())?;
    let mut parts = Vec::new();
    let mut at = start;
    while at < end {
        let next = credit.iter().position(|(part, stored, trap)| {
            let is_near = part.root == place.root && part.class == place.class;
            let range = part
                .range
                .filter(|_| is_near && stored.is_none() && trap.is_none());
            range.is_some_and(|(from, count)| {
                from == at && count > 0 && at + i64::from(count) <= end
            })
        })?;
        parts.push(next);
        at += i64::from(credit[next].0.range?.1);
    }
    Some(parts)
}
