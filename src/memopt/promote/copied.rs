//! The order in which fields become values: what is copied from, before what it is copied to.
//!
//! Whoever makes a value of a field converts what is stored to it, and sees what that is made of. A value that
//! was loaded from another field is seen once that field is a value:
//!
//! ```text
//! store.f64 v0, ss1
//! v1 = load.i64 ss1        ; bitcast.i64 v0
//! store.i64 v1, ss0        ; of type f64: v0, and not bitcast.f64 v1
//! ```
//!
//! Fields that are copied to each other become values in the order of their slots.
//!
//! Cost: O(accesses), and no more than a look at them where nothing that is stored is converted.

use crate::FxHashMap;
use crate::ir::{Function, Inst, StackSlot, Value};
use crate::memopt::edit::{FieldStep, Promotion};
use alloc::vec;
use alloc::vec::Vec;

/// How a field becomes a value, and its slot.
type Slotted = (StackSlot, Promotion);

/// `promotions`, each behind those of the fields that are copied to its own.
pub fn in_order(func: &Function, promotions: Vec<Slotted>) -> Vec<Slotted> {
    if !promotions.iter().any(converts) {
        return promotions;
    }
    let sources = sources(func, &promotions);
    if sources.iter().all(Vec::is_empty) {
        return promotions;
    }
    let mut promotions: Vec<Option<Slotted>> = promotions.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(promotions.len());
    let mut is_seen = vec![false; promotions.len()];
    let mut work: Vec<(usize, usize)> = Vec::new();
    for first in 0..sources.len() {
        if !core::mem::replace(&mut is_seen[first], true) {
            work.push((first, 0));
        }
        while let Some((field, next)) = work.last_mut() {
            match sources[*field].get(*next) {
                Some(source) => {
                    *next += 1;
                    if !core::mem::replace(&mut is_seen[*source], true) {
                        work.push((*source, 0));
                    }
                }
                None => {
                    ordered.extend(promotions[*field].take());
                    work.pop();
                }
            }
        }
    }
    ordered
}

/// Is anything stored to the field that is no value of its type?
fn converts((_, promotion): &Slotted) -> bool {
    let mut accesses = promotion.accesses.iter();
    accesses.any(|access| match &access.step {
        FieldStep::Store(_, recipe) => !recipe.is_empty(),
        FieldStep::StorePart { .. } => true,
        FieldStep::Load(_) => false,
    })
}

/// For each field the others of which a loaded value is stored to it.
fn sources(func: &Function, promotions: &[Slotted]) -> Vec<Vec<usize>> {
    let stored = |(_, promotion): &Slotted| {
        let mut loads: Vec<Inst> = { promotion.accesses.iter() }
            .filter_map(|access| loaded(func, stored_by(&access.step)?))
            .collect();
        loads.dedup();
        loads
    };
    let stored: Vec<Vec<Inst>> = promotions.iter().map(stored).collect();
    let mut of_load: FxHashMap<Inst, usize> = FxHashMap::default();
    if stored.iter().any(|loads| !loads.is_empty()) {
        for (field, (_, promotion)) in promotions.iter().enumerate() {
            let accesses = promotion.accesses.iter();
            let loads = accesses.filter(|access| matches!(access.step, FieldStep::Load(_)));
            of_load.extend(loads.map(|access| (access.inst, field)));
        }
    }
    let of = |loads: Vec<Inst>| {
        loads
            .iter()
            .filter_map(|it| of_load.get(it).copied())
            .collect()
    };
    stored.into_iter().map(of).collect()
}

/// What a step stores.
fn stored_by(step: &FieldStep) -> Option<Value> {
    match step {
        FieldStep::Store(value, _) | FieldStep::StorePart { value, .. } => Some(*value),
        FieldStep::Load(_) => None,
    }
}

/// The load that gives `value`.
fn loaded(func: &Function, value: Value) -> Option<Inst> {
    let inst = func.dfg.value_def(func.dfg.resolve_aliases(value)).inst()?;
    func.dfg.insts[inst].opcode().can_load().then_some(inst)
}
