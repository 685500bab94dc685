//! Slots taken apart into fields: ranges of bytes that are accessed together.
//!
//! Accesses that share bytes belong to one field, and so do those that share bytes with
//! them. A field becomes a value where each of its accesses is all of it, or a part of it
//! that shifts and masks reach.

use super::accesses::{Touched, Traffic, Use, Used};
use crate::ir::{Endianness, Function, Inst, Opcode, StackSlot, Type};
use crate::memopt::call::effects::Policy;
use crate::memopt::edit::FieldStep;
use crate::memopt::inst::coercion::{Load, Recipe};
use crate::memopt::inst::insertion;
use crate::memopt::inst::isle;
use alloc::vec::Vec;
use core::cell::OnceCell;
use smallvec::SmallVec;

/// Some bytes of a slot.
pub struct Field {
    /// The slot.
    pub slot: StackSlot,
    /// What it is as a value, if it can be one.
    pub as_value: Option<FieldValue>,
}

/// A field as a value.
pub struct FieldValue {
    /// Its type.
    pub ty: Type,
    /// What each access does to it, by its position in [`Traffic::touched`]; in reverse postorder.
    pub steps: Vec<(u32, FieldStep)>,
}

/// The fields of all slots that are accessed, sorted by their slots.
///
/// Cost: O(accesses · log accesses).
pub fn find(func: &Function, policy: &dyn Policy, traffic: &Traffic) -> Vec<Field> {
    let touched = &traffic.touched;
    let accesses = (0..).zip(touched).map(|(at, it)| Sorted {
        place: u64::from(it.slot.as_u32()) << 32 | u64::from(it.start),
        at,
    });
    let mut sorted: Vec<Sorted> = accesses.collect();
    sorted.sort_unstable();
    let copied = OnceCell::new();
    let mut fields = Vec::new();
    let mut rest = &mut sorted[..];
    while !rest.is_empty() {
        let len = first_field(touched, rest);
        let (field, others) = rest.split_at_mut(len);
        rest = others;
        field.sort_unstable_by_key(|it| it.at);
        let slot = touched[field[0].at as usize].slot;
        let conversion = Conversion {
            func,
            policy,
            touched,
            copied: &copied,
        };
        let as_value = match traffic.used[slot] {
            Used::Whole => None,
            Used::Accessed | Used::Named => conversion.value(field),
        };
        fields.push(Field { slot, as_value });
    }
    fields
}

/// An access where it is sorted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sorted {
    /// The slot above the first byte.
    place: u64,
    /// The position in [`Traffic::touched`].
    at: u32,
}

/// How many of the accesses, which are sorted by where they begin, are to the first field.
fn first_field(touched: &[Touched], sorted: &[Sorted]) -> usize {
    let access = |it: &Sorted| &touched[it.at as usize];
    let first = access(&sorted[0]);
    let mut end = first.end;
    let others = sorted.iter().position(|it| {
        let next = access(it);
        let is_other = next.slot != first.slot || next.start >= end;
        end = end.max(next.end);
        is_other
    });
    others.unwrap_or(sorted.len())
}

struct Conversion<'a> {
    func: &'a Function,
    policy: &'a dyn Policy,
    touched: &'a [Touched],
    /// See [`copied`].
    copied: &'a OnceCell<Vec<Inst>>,
}

/// The loads whose value is stored somewhere, sorted.
fn copied(func: &Function, touched: &[Touched]) -> Vec<Inst> {
    let loaded = touched.iter().filter_map(|it| match it.usage {
        Use::Store(value, _) => {
            let inst = func.dfg.value_def(func.dfg.resolve_aliases(value)).inst()?;
            func.dfg.insts[inst].opcode().can_load().then_some(inst)
        }
        Use::Load(_) | Use::Kept => None,
    });
    let mut copied: Vec<Inst> = loaded.collect();
    copied.sort_unstable();
    copied
}

impl Conversion<'_> {
    fn value(&self, field: &[Sorted]) -> Option<FieldValue> {
        let whole = self.whole(field)?;
        let one_order = field.iter().all(|at| {
            let it = self.access(*at);
            it.bytes() == 1 || it.endianness == whole.endianness
        });
        if !one_order {
            return None;
        }
        let types = self.types(field, whole);
        types.into_iter().find_map(|ty| {
            let mut steps = Vec::with_capacity(field.len());
            for it in field {
                steps.push((it.at, self.step(self.access(*it), whole, ty)?));
            }
            Some(FieldValue { ty, steps })
        })
    }

    fn access(&self, it: Sorted) -> &Touched {
        &self.touched[it.at as usize]
    }

    /// An access of all bytes of the field, the first if there is a choice.
    fn whole(&self, field: &[Sorted]) -> Option<&Touched> {
        let start = field.iter().map(|at| self.access(*at).start).min()?;
        let end = field.iter().map(|at| self.access(*at).end).max()?;
        let mut accesses = field.iter().map(|at| self.access(*at));
        accesses.find(|it| it.start == start && it.end == end)
    }

    /// The types that the value may have, the best first: the one that all accesses have,
    /// or else the one that most accesses of the whole field need no conversion for, those first that do
    /// not only copy a value or store a constant; and the integer as wide as the field.
    fn types(&self, field: &[Sorted], whole: &Touched) -> SmallVec<[Type; 4]> {
        let accesses = field.iter().map(|at| self.access(*at));
        let accesses = accesses.filter(|it| it.bytes() == whole.bytes());
        let mut all = accesses.clone().filter_map(Touched::type_in_memory);
        let first = all.next();
        // Mostly there is no choice.
        let own = match all.all(|ty| Some(ty) == first) {
            true => first,
            false => most(accesses.clone().filter(|it| !self.is_of_any_type(it))),
        };
        let integer = u16::try_from(whole.bytes()).ok();
        let integer = integer.and_then(Type::int_with_byte_size);
        let types = [own, most(accesses), integer];
        let mut types: SmallVec<[Type; 4]> = types.into_iter().flatten().collect();
        types.dedup();
        types
    }

    /// Does an access copy a value, or store a constant, so that another type would do?
    fn is_of_any_type(&self, it: &Touched) -> bool {
        let dfg = &self.func.dfg;
        match it.usage {
            Use::Load(_) => {
                let copied = || copied(self.func, self.touched);
                let copied = self.copied.get_or_init(copied);
                copied.binary_search(&it.inst).is_ok()
            }
            Use::Store(value, _) => {
                let by = dfg.value_def(dfg.resolve_aliases(value)).inst();
                by.is_some_and(|by| {
                    let opcode = dfg.insts[by].opcode();
                    let constants = [Opcode::Iconst, Opcode::F32const, Opcode::F64const];
                    opcode.can_load() || constants.contains(&opcode)
                })
            }
            Use::Kept => false,
        }
    }

    /// What one access does to a value of type `ty` that has the bytes of `whole`.
    fn step(&self, it: &Touched, whole: &Touched, ty: Type) -> Option<FieldStep> {
        let at = it.start - whole.start;
        let below = match whole.endianness {
            Endianness::Little => at,
            Endianness::Big => whole.bytes() - at - it.bytes(),
        };
        let shift = 8 * below;
        match it.usage {
            Use::Kept => None,
            Use::Load(load) => {
                let recipe = self.coerce(ty, whole, shift, &load)?;
                Some(FieldStep::Load(recipe))
            }
            Use::Store(value, stored) if it.bytes() == whole.bytes() => {
                let recipe = self.coerce(stored, whole, 0, &Load::Plain { ty })?;
                Some(FieldStep::Store(value, recipe))
            }
            Use::Store(value, stored) => {
                let part = Type::int_with_byte_size(it.bytes().try_into().ok()?)?;
                let in_order = !ty.is_vector() || whole.endianness == Endianness::Little;
                if !in_order || !insertion::inserts(ty, part, shift) {
                    return None;
                }
                let recipe = self.coerce(stored, whole, 0, &Load::Plain { ty: part })?;
                Some(FieldStep::StorePart {
                    value,
                    recipe,
                    part,
                    shift,
                })
            }
        }
    }

    fn coerce(&self, from: Type, whole: &Touched, shift: u32, load: &Load) -> Option<Recipe> {
        let order = whole.endianness;
        isle::coerce(&self.func.dfg, self.policy, from, order, shift, load)
    }
}

/// The type in memory that most accesses have, the first if there is a choice.
fn most<'a>(accesses: impl Iterator<Item = &'a Touched>) -> Option<Type> {
    let mut counts: SmallVec<[(Type, u32); 4]> = SmallVec::new();
    for ty in accesses.filter_map(Touched::type_in_memory) {
        match counts.iter_mut().find(|(known, _)| *known == ty) {
            Some((_, count)) => *count += 1,
            None => counts.push((ty, 1)),
        }
    }
    // The last of those that are equally frequent would be found; the order is turned
    // round so that it is the first.
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    most.map(|(ty, _)| *ty)
}
