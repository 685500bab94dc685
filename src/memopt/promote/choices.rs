//! Pointers that are the address of one slot or of another, and are only loaded from.
//!
//! # The problem
//!
//! The value of a branch that is a record is a pointer, to a slot of its own on each path:
//!
//! ```text
//!     jump block3(v1)                             v8 = load.i64 notrap v1 ; ss0
//!                                                 jump block3(v8)
//!     …                                           …
//!     jump block3(v2)              ==/==>         v9 = load.i64 notrap v2 ; ss1
//!                                                 jump block3(v9)
//! block3(v3: i64):                            block3(v7: i64):
//!     v4 = load.i64 notrap v3
//! ```
//!
//! To follow addresses, `v3` is anything, and both slots escape at the jumps. With the loads
//! where the pointer is chosen, nobody but accesses knows the slots, and they become values.
//!
//! # Soundness
//!
//! A *choice* is a block parameter to which every edge passes the address of a slot, at a
//! constant offset, or another choice. Choices and slots that have to do with each other form
//! a *group*. All of a group is left alone unless
//! - each choice is only loaded from, in its block, or passed to choices by the end of its block;
//! - each slot of it escapes at those jumps alone, and no stack map names it: so it is written by
//!   stores through its own address alone, and by callees that are given it;
//! - in front of such a load, or of the end of a block that passes a choice on, no store of the
//!   block is to a slot of the group, and no call of it has the address of one. So memory holds there what it held on the edges into it;
//! - each load lies inside of every slot, so that none traps, on no edge.
//!
//! A load of a slot that nobody else knows may be made on a path that goes elsewhere: where the
//! end of a predecessor has several destinations, it is.
//!
//! # Cost
//!
//! Nothing unless an address of a slot is passed to a parameter that is no address of one slot; then
//! O(instructions + edges) for each of at most [`MAX_SCANS`] scans, and each choice is loaded from at
//! no more than [`MAX_LOADS`] places.
//!
//! # Previous work
//!
//! LLVM's SROA speculates loads of a phi into its predecessors, one phi at a time.

use crate::entity::SecondaryMap;
use crate::ir::{Block, Function, Inst, StackSlot, Value, ValueDef};
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::cfg::graph::Order;
use crate::memopt::edit::{Change, Choice, Edit, Reason};
use crate::memopt::inst::effect::{Access, Effect, are_loads_alike, effect};
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use crate::memopt::promote::groups::Groups;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Scans over the branches until it is known what is passed on to what. Front ends nest
/// conditions, and a scan follows a nest from the inside out. Beyond it all stays as it is, and the
/// run counts one hit.
const MAX_SCANS: u32 = 16;

/// Places that a choice is loaded from: the fields of a record. Each becomes a parameter, and what is
/// given up are larger records, which a register allocator would put back into the frame.
const MAX_LOADS: usize = 16;

/// The loads that move to the edges, if there are any.
///
/// Every block of `func` has to be in `order`.
pub fn find(func: &Function, order: &Order, slots: &Slots, limits_hit: &mut u32) -> Option<Edit> {
    let mut choices = Choices::seeds(func, slots);
    if choices.params.is_empty() || func.layout.blocks().count() != order.len() {
        return None;
    }
    if !choices.close(order) {
        *limits_hit += 1;
        return None;
    }
    choices.uses(order);
    choices.edges(order);
    choices.stores(order);
    choices.escapes();
    *limits_hit += choices.limits_hit;
    let found = choices.found();
    let slot = choices.slots_of(&found).next()?;
    Some(Change::LoadWhereChosen(found).because(Reason::Private(slot)))
}

/// What is known about one choice.
#[derive(Default)]
struct Known {
    /// The loads of it, and the position of each in `places`.
    loads: Vec<(Inst, u32)>,
    /// Loads that stand for the places that it is loaded from, also behind the choices that it is
    /// passed to.
    places: SmallVec<[Inst; 4]>,
    /// Is it passed to another choice?
    is_passed_on: bool,
}

/// The choices of a function.
struct Choices<'a> {
    func: &'a Function,
    slots: &'a Slots,
    /// The position of a parameter in `params`, counted from 1.
    at: SecondaryMap<Value, u32>,
    params: Vec<Value>,
    known: Vec<Known>,
    /// Those to which this one is passed, and that one.
    passed: Vec<(u32, u32)>,
    /// The groups, by choices and then by slots.
    groups: Groups,
    /// How often a limit has left something as it is.
    limits_hit: u32,
}

impl<'a> Choices<'a> {
    /// The parameters at which an address of a slot is lost track of.
    fn seeds(func: &'a Function, slots: &'a Slots) -> Self {
        let mut this = Self {
            func,
            slots,
            at: SecondaryMap::new(),
            params: Vec::new(),
            known: Vec::new(),
            passed: Vec::new(),
            groups: Groups::default(),
            limits_hit: 0,
        };
        if slots.are_left {
            return this;
        }
        for concerned in slots.concerned() {
            let opcode = func.dfg.insts[concerned.inst].opcode();
            if opcode.is_branch() && !slots.escapes_at(concerned.inst).is_empty() {
                for_each_block_arg(func, concerned.inst, |param, arg| {
                    let is_slot = arg.is_some_and(|arg| slots.address(arg).is_some());
                    if is_slot && slots.address(param).is_none() {
                        this.add(param);
                    }
                });
            }
        }
        this
    }

    fn add(&mut self, param: Value) -> bool {
        if self.at[param] != 0 {
            return false;
        }
        self.params.push(param);
        self.at[param] = self.params.len() as u32;
        true
    }

    fn choice(&self, value: Value) -> Option<u32> {
        self.at[value].checked_sub(1)
    }

    /// Adds the parameters that choices are passed to; `false` beyond the limit.
    fn close(&mut self, order: &Order) -> bool {
        let func = self.func;
        for _ in 0..MAX_SCANS {
            let mut changed = false;
            for block in order.blocks() {
                let Some(branch) = func.layout.last_inst(*block) else {
                    continue;
                };
                for_each_block_arg(func, branch, |param, arg| {
                    if arg.is_some_and(|arg| self.choice(arg).is_some()) {
                        changed |= self.add(param);
                    }
                });
            }
            if !changed {
                let len = self.params.len();
                self.known.resize_with(len, Known::default);
                self.groups = Groups::new(len + func.sized_stack_slots.len());
                return true;
            }
        }
        false
    }

    /// The position of a slot among the members of groups.
    fn slot(&self, slot: StackSlot) -> u32 {
        self.params.len() as u32 + slot.as_u32()
    }

    /// Notes how choices are used, and which slots have other uses than this is about.
    fn uses(&mut self, order: &Order) {
        let func = self.func;
        for block in order.blocks() {
            for inst in func.layout.block_insts(*block) {
                let data = &func.dfg.insts[inst];
                // What is passed to blocks is looked at with the edges.
                for arg in data.arguments(&func.dfg.value_lists) {
                    if let Some(choice) = self.choice(*arg)
                        && !self.is_load_of(inst, choice)
                    {
                        self.groups.spoil(choice);
                    }
                }
                let opcode = data.opcode();
                if opcode.is_call() {
                    for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
                        let slot = self.slot(entry.slot);
                        self.groups.spoil(slot);
                    }
                    for value in func.dfg.inst_values(inst) {
                        if let Some(choice) = self.choice(value) {
                            self.groups.spoil(choice);
                        }
                    }
                }
            }
        }
    }

    /// Is `inst` a plain load of `choice` in its block? Then it is noted.
    fn is_load_of(&mut self, inst: Inst, choice: u32) -> bool {
        let param = self.params[choice as usize];
        let ValueDef::Param(block, _) = self.func.dfg.value_def(param) else {
            return false;
        };
        let Effect::Access(access) = effect(self.func, inst) else {
            return false;
        };
        let is_load = access.stored.is_none() && access.address == param;
        if !is_load || access.bytes.is_none() || self.func.layout.inst_block(inst) != Some(block) {
            return false;
        }
        let place = self.place(choice, inst);
        self.known[choice as usize].loads.push((inst, place));
        if place as usize >= MAX_LOADS {
            self.limits_hit += 1;
            return false;
        }
        true
    }

    /// The position of the place that `load` reads among those of `choice`, which gets it.
    fn place(&mut self, choice: u32, load: Inst) -> u32 {
        let places = &mut self.known[choice as usize].places;
        let known = places
            .iter()
            .position(|it| are_loads_alike(&self.func.dfg, *it, load));
        let at = known.unwrap_or_else(|| {
            places.push(load);
            places.len() - 1
        });
        at as u32
    }

    /// Puts what is passed to a choice into its group, and takes what is loaded behind it for
    /// loaded from what is passed.
    fn edges(&mut self, order: &Order) {
        let func = self.func;
        for block in order.blocks() {
            let Some(branch) = func.layout.last_inst(*block) else {
                continue;
            };
            let is_plain = !func.dfg.insts[branch].opcode().is_call();
            for_each_block_arg(func, branch, |param, arg| {
                let Some(to) = self.choice(param) else {
                    return;
                };
                let from = arg.and_then(|arg| match self.slots.slot(arg) {
                    Some((slot, Some(_))) => Some(self.slot(slot)),
                    Some((_, None)) => None,
                    None => self.choice(arg).filter(|from| self.is_of(*from, *block)),
                });
                match from.filter(|_| is_plain) {
                    Some(from) => self.groups.join(from, to),
                    None => {
                        let from = arg.and_then(|arg| self.choice(arg));
                        from.into_iter().for_each(|from| self.groups.spoil(from));
                        self.groups.spoil(to);
                    }
                }
                if let Some(from) = from.filter(|from| (*from as usize) < self.params.len()) {
                    self.known[from as usize].is_passed_on = true;
                    self.passed.push((from, to));
                }
            });
        }
        self.pass_places();
        self.check_bounds(order);
    }

    /// Is `block` the block of the choice? What others pass on may have been written since.
    fn is_of(&self, choice: u32, block: Block) -> bool {
        let param = self.params[choice as usize];
        matches!(self.func.dfg.value_def(param), ValueDef::Param(home, _) if home == block)
    }

    /// What a choice is loaded from is loaded from the choices that are passed to it.
    fn pass_places(&mut self) {
        for _ in 0..MAX_SCANS {
            let mut changed = false;
            for at in (0..self.passed.len()).rev() {
                let (from, to) = self.passed[at];
                if self.groups.is_spoilt(from) {
                    continue;
                }
                for load in self.known[to as usize].places.clone() {
                    let before = self.known[from as usize].places.len();
                    self.place(from, load);
                    changed |= self.known[from as usize].places.len() != before;
                }
                if self.known[from as usize].places.len() > MAX_LOADS {
                    self.groups.spoil(from);
                    self.limits_hit += 1;
                }
            }
            if !changed {
                return;
            }
        }
        for choice in 0..self.params.len() as u32 {
            self.groups.spoil(choice);
        }
        self.limits_hit += 1;
    }

    /// Each place that a choice is loaded from has to lie in the slots that are passed to it.
    fn check_bounds(&mut self, order: &Order) {
        let func = self.func;
        for block in order.blocks() {
            let Some(branch) = func.layout.last_inst(*block) else {
                continue;
            };
            for_each_block_arg(func, branch, |param, arg| {
                let (Some(to), Some(arg)) = (self.choice(param), arg) else {
                    return;
                };
                let mut places = self.known[to as usize].places.iter();
                let lies_inside = places.all(|load| match access(func, *load) {
                    Some(access) => {
                        let mut place = access.place();
                        place.address = arg;
                        self.slots.is_inside(func, place)
                    }
                    None => false,
                });
                if !lies_inside {
                    self.groups.spoil(to);
                }
            });
        }
    }

    /// Spoils the groups that something changes between an edge and what is read behind it.
    fn stores(&mut self, order: &Order) {
        let func = self.func;
        for block in order.blocks() {
            let params = func.dfg.block_params(*block);
            if !params.iter().any(|param| self.choice(*param).is_some()) {
                continue;
            }
            let mut written: SmallVec<[u32; 8]> = SmallVec::new();
            for inst in func.layout.block_insts(*block) {
                if func.dfg.insts[inst].opcode().is_call() {
                    // A callee may write what it is lent, and a copy its target.
                    for arg in func.dfg.inst_args(inst) {
                        self.note_written(*arg, &mut written);
                    }
                } else if let Some(access) = access(func, inst) {
                    match access.stored {
                        Some(_) => self.note_written(access.address, &mut written),
                        None => self.read_behind(access.address, &written),
                    }
                }
            }
            for param in params {
                if let Some(choice) = self.choice(*param)
                    && self.known[choice as usize].is_passed_on
                {
                    self.read_behind(*param, &written);
                }
            }
        }
    }

    /// What is at `address` is written: adds its group, if it is in a slot.
    fn note_written(&mut self, address: Value, written: &mut SmallVec<[u32; 8]>) {
        if let Some((slot, _)) = self.slots.slot(address) {
            let group = self.groups.of(self.slot(slot));
            if !written.contains(&group) {
                written.push(group);
            }
        }
    }

    /// `value` is loaded from behind stores to those groups.
    fn read_behind(&mut self, value: Value, written: &[u32]) {
        if let Some(choice) = self.choice(value)
            && written.contains(&self.groups.of(choice))
        {
            self.groups.spoil(choice);
        }
    }

    /// Spoils the groups of slots that somebody else knows.
    fn escapes(&mut self) {
        for slot in self.slots.used() {
            if self.slots.privacy(*slot) == Privacy::Never {
                self.groups.spoil(self.slot(*slot));
            }
        }
        for concerned in self.slots.concerned() {
            let inst = concerned.inst;
            let opcode = self.func.dfg.insts[inst].opcode();
            if !opcode.is_branch() || opcode.is_call() {
                for slot in self.slots.escapes_at(inst) {
                    self.groups.spoil(self.slot(*slot));
                }
            }
        }
    }

    /// The choices whose groups nothing has spoilt.
    fn found(&mut self) -> Vec<Choice> {
        let mut found = Vec::new();
        for choice in 0..self.params.len() {
            if !self.groups.is_spoilt(choice as u32) {
                let known = core::mem::take(&mut self.known[choice]);
                found.push(Choice {
                    param: self.params[choice],
                    loads: known.loads,
                    places: known.places.to_vec(),
                });
            }
        }
        found
    }

    /// The slots whose addresses are passed to the choices.
    fn slots_of(&mut self, found: &[Choice]) -> impl Iterator<Item = StackSlot> {
        let first = found.first().and_then(|choice| self.choice(choice.param));
        let group = first.map(|choice| self.groups.of(choice));
        let mut slots = Vec::new();
        for slot in self.slots.used() {
            if Some(self.groups.of(self.slot(*slot))) == group {
                slots.push(*slot);
            }
        }
        slots.into_iter()
    }
}

fn access(func: &Function, inst: Inst) -> Option<Access> {
    match effect(func, inst) {
        Effect::Access(access) => Some(access),
        Effect::None
        | Effect::Call
        | Effect::Transfer(_)
        | Effect::Barrier(_)
        | Effect::Trap
        | Effect::End => None,
    }
}
