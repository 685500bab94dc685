//! Accesses of the slot that a `select` gives become accesses of both.
//!
//! # The problem
//!
//! ```text
//!     v3 = select v0, v1, v2 ; ss0, ss1           v5 = load.i64 notrap v1
//!     v4 = load.i64 notrap v3        ==/==>       v6 = load.i64 notrap v2
//!                                                 v4 = select v0, v5, v6
//! ```
//!
//! To follow addresses, `v3` is anything, and both slots escape. With an access of each, nobody but
//! accesses knows the slots, and they become values. A store becomes two, of what is stored or of what is
//! there. So it is with two fields of one slot, of which it is not known which one `v3` is.
//!
//! # Soundness
//!
//! Nobody else knows the slots: their addresses are accessed by, moved by constants, and selected, and
//! each select is only accessed by in turn. So an access of one that the condition does not
//! choose is seen by nobody, and what it stores is what is there, also where the two share bytes: the second
//! is made behind the first. It lies inside of its slot and does not
//! trap. It does not promise to be aligned, which the access only does where it is chosen. Accesses
//! with a region are left alone: what is there would be read by another one than it was stored by.
//!
//! Cost: nothing unless the address of a slot is selected; then two scans.

use crate::entity::{EntitySet, SecondaryMap};
use crate::ir::{Function, Inst, InstructionData, Opcode, StackSlot, Type, Value, types};
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::graph::Order;
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::inst::effect::{Access, Effect, effect};
use crate::memopt::inst::isle::{self, Step};
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use alloc::vec::Vec;

/// Accesses by one select. What is given up are the slots of one with more, for which
/// code would grow.
const MAX_ACCESSES: usize = 16;

/// One edit for each select that goes. Every block of `func` has to be in `order`.
pub fn find(func: &Function, order: &Order, slots: &Slots, policy: &dyn Policy) -> Vec<Edit> {
    let mut selects = Selects::seeds(func, slots);
    if selects.all.is_empty() || func.layout.blocks().count() != order.len() {
        return Vec::new();
    }
    selects.uses(order, policy);
    selects.other_uses();
    selects.settle();
    selects.edits()
}

/// One select of the addresses of two slots, or of two places in one.
struct Select {
    inst: Inst,
    slots: [StackSlot; 2],
    addresses: [Value; 2],
    /// With the distance from the address that is selected.
    accesses: Vec<(Inst, i32)>,
    /// What adds the distances.
    sums: Vec<Inst>,
    is_spoilt: bool,
}

struct Selects<'a> {
    func: &'a Function,
    slots: &'a Slots,
    all: Vec<Select>,
    /// Of which select a value is made, counted from 1, and how far from it.
    made: SecondaryMap<Value, (u32, i64)>,
    /// Slots with other uses than this is about.
    spoilt: EntitySet<StackSlot>,
}

impl<'a> Selects<'a> {
    fn seeds(func: &'a Function, slots: &'a Slots) -> Self {
        let mut this = Self {
            func,
            slots,
            all: Vec::new(),
            made: SecondaryMap::new(),
            spoilt: EntitySet::new(),
        };
        if slots.are_left {
            return this;
        }
        for concerned in slots.concerned() {
            let InstructionData::Ternary {
                opcode: Opcode::Select,
                args: [condition, x, y],
            } = func.dfg.insts[concerned.inst]
            else {
                continue;
            };
            let is_plain = slots.address(condition).is_none();
            // Of one address twice it is known what is accessed.
            if let (Some((s, Some(a))), Some((t, Some(b))), true) =
                (slots.slot(x), slots.slot(y), is_plain)
                && (s, a) != (t, b)
            {
                this.all.push(Select {
                    inst: concerned.inst,
                    slots: [s, t],
                    addresses: [x, y],
                    accesses: Vec::new(),
                    sums: Vec::new(),
                    is_spoilt: false,
                });
                let result = func.dfg.first_result(concerned.inst);
                this.made[result] = (this.all.len() as u32, 0);
            }
        }
        this
    }

    fn made(&self, value: Value) -> Option<(usize, i64)> {
        let (at, by) = self.made[value];
        Some((at.checked_sub(1)? as usize, by))
    }

    /// Notes what is done with what is selected. Definitions come before their uses.
    fn uses(&mut self, order: &Order, policy: &dyn Policy) {
        let func = self.func;
        for block in order.blocks() {
            for inst in func.layout.block_insts(*block) {
                if let InstructionData::Binary { .. } = func.dfg.insts[inst] {
                    let result = func.dfg.first_result(inst);
                    if let Step::Offset { base, by } = isle::address_step(&func.dfg, policy, result)
                        && let Some((at, from)) = self.made(base)
                        && let Some(by) = from.checked_add(by)
                    {
                        self.made[result] = (at as u32 + 1, by);
                        self.all[at].sums.push(inst);
                        continue;
                    }
                }
                match effect(func, inst) {
                    Effect::Access(access) if self.made(access.address).is_some() => {
                        self.access(inst, &access);
                        access
                            .stored
                            .into_iter()
                            .for_each(|value| self.spoil(value));
                    }
                    _ => func
                        .dfg
                        .inst_values(inst)
                        .for_each(|value| self.spoil(value)),
                }
            }
        }
    }

    fn spoil(&mut self, value: Value) {
        if let Some((at, _)) = self.made(value) {
            self.all[at].is_spoilt = true;
        }
    }

    fn access(&mut self, inst: Inst, access: &Access) {
        let Some((at, by)) = self.made(access.address) else {
            return;
        };
        let offset = i32::try_from(by + i64::from(access.offset)).ok();
        let lies_inside = |address: &Value| {
            let mut place = access.place();
            place.address = *address;
            place.offset = offset.unwrap_or(i32::MIN);
            self.slots.is_inside(self.func, place)
        };
        let is_plain = access.region().is_none()
            && !access.flags.readonly()
            && !access.flags.can_move()
            && is_selectable(access.ty)
            && (access.stored.is_some() || access.load.is_some());
        let select = &self.all[at];
        match offset {
            Some(offset)
                if is_plain
                    && select.addresses.iter().all(lies_inside)
                    && select.accesses.len() < MAX_ACCESSES =>
            {
                self.all[at].accesses.push((inst, offset));
            }
            _ => self.all[at].is_spoilt = true,
        }
    }

    /// Spoils the slots that somebody else knows, or that would stay in memory.
    fn other_uses(&mut self) {
        let func = self.func;
        for slot in self.slots.used() {
            if self.slots.privacy(*slot) == Privacy::Never {
                self.spoilt.insert(*slot);
            }
        }
        for concerned in self.slots.concerned() {
            let inst = concerned.inst;
            let result = func.dfg.inst_results(inst).first();
            let is_fine = match (self.slots.access(concerned), func.dfg.insts[inst]) {
                (Some(access), _) => {
                    access
                        .stored
                        .is_none_or(|value| self.slots.slot(value).is_none())
                        && (self.made(access.address).is_some()
                            || !matches!(self.slots.slot(access.address), Some((_, None))))
                }
                (None, InstructionData::StackAddr { .. }) => true,
                (None, InstructionData::Binary { .. }) => {
                    let sum = result.and_then(|result| self.slots.slot(*result));
                    sum.is_some_and(|(_, offset)| offset.is_some())
                        || result.is_some_and(|result| self.made(*result).is_some())
                }
                (None, InstructionData::Ternary { .. }) => {
                    result.is_some_and(|result| self.made(*result).is_some())
                }
                (None, _) => false,
            };
            if is_fine {
                continue;
            }
            for value in func.dfg.inst_values(inst) {
                if let Some((slot, _)) = self.slots.slot(value) {
                    self.spoilt.insert(slot);
                }
            }
            for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
                self.spoilt.insert(entry.slot);
            }
        }
    }

    /// A select of one slot that stays keeps the other one, too.
    fn settle(&mut self) {
        loop {
            let mut changed = false;
            for select in &mut self.all {
                let [x, y] = select.slots.map(|slot| self.spoilt.contains(slot));
                select.is_spoilt |= x || y;
                if select.is_spoilt && !(x && y) {
                    self.spoilt.extend(select.slots);
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn edits(self) -> Vec<Edit> {
        // Two fields that are not accessed so are none that anything is in the way of.
        let is_found = |select: &Select| {
            let [s, t] = select.slots;
            !select.is_spoilt && (s != t || !select.accesses.is_empty())
        };
        let found = self.all.into_iter().filter(is_found);
        let edit = |select: Select| {
            let reason = Reason::Private(select.slots[0]);
            let change = Change::AccessBoth {
                select: select.inst,
                accesses: select.accesses,
                sums: select.sums,
            };
            change.because(reason)
        };
        found.map(edit).collect()
    }
}

/// May a value of this type be selected, on every target?
pub fn is_selectable(ty: Type) -> bool {
    matches!(
        ty,
        types::I8 | types::I16 | types::I32 | types::I64 | types::F32 | types::F64
    )
}
