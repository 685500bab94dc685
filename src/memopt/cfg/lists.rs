//! Lists of values, one for each value, in one allocation.

use crate::entity::SecondaryMap;
use crate::ir::Value;
use alloc::vec::Vec;

/// For some values a list of others, the one that was added last first.
pub struct Links {
    /// Where the list of a value begins, counted from 1; 0 for an empty one.
    first: SecondaryMap<Value, u32>,
    /// Each with the next of its list.
    items: Vec<(Value, u32)>,
}

impl Links {
    /// Empty lists. `values` is how many values there are, and `room` how many items there may
    /// be before they move.
    pub fn new(values: usize, room: usize) -> Self {
        let mut first = SecondaryMap::new();
        first.resize(values);
        Self {
            first,
            items: Vec::with_capacity(room),
        }
    }

    /// Adds `item` to the list of `value`. Cost: O(1).
    pub fn add(&mut self, value: Value, item: Value) {
        self.items.push((item, self.first[value]));
        self.first[value] = self.items.len() as u32;
    }

    /// The list of `value`.
    pub fn of(&self, value: Value) -> impl Iterator<Item = Value> + '_ {
        let mut next = self.first[value];
        core::iter::from_fn(move || {
            let (item, rest) = *self.items.get(next.checked_sub(1)? as usize)?;
            next = rest;
            Some(item)
        })
    }
}
