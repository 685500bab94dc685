//! Pointers to one of a few places in slots become the number of the place.
//!
//! # The problem
//!
//! ```text
//!     brif v0, block1(v1), block1(v2)             v20 = iconst.i8 0
//! block1(v3: i64):                                v21 = iconst.i8 1
//!     v4 = load.i64 notrap v3                     brif v0, block1(v20), block1(v21)
//!     v5 = iadd v4, v6                        block1(v22: i8):
//!     store notrap v5, v3                         v23 = load.i64 notrap v1    ; ss0
//!                                    ==/==>       v24 = load.i64 notrap v2    ; ss1
//!                                                 v4 = select v22, v24, v23
//!                                                 v5 = iadd v4, v6
//!                                                 v25 = select v22, v23, v5
//!                                                 store notrap v25, v1
//!                                                 v26 = select v22, v5, v24
//!                                                 store notrap v26, v2
//! ```
//!
//! This is `*(c ? &a : &b) += d`. To follow addresses, `v3` is anything, and both slots escape at the
//! branch; or `v3` is somewhere in the one slot of which both are fields. With the number of
//! the place nobody but accesses knows the slots, and they become values. Only what is loaded and
//! nothing else moves to the edges before, where no number is needed ([`super::choices`]); so
//! does what one `select` gives become two accesses ([`super::selects`]).
//!
//! Cranelift 0.137 does nothing here.
//!
//! # Soundness
//!
//! A *pointer* is here a block parameter or the result of a `select`, to which each edge passes, or
//! which selects from, only: the address of a place in a slot, zero, or another pointer. So it is always
//! one of a few constants, and the number says which. Pointers and slots that have to do with each
//! other form a *group*, of which all is left alone unless
//! - each pointer is only accessed by, at a constant distance, passed on, selected, compared with
//!   zero, with a place of its group or with another pointer of it, or tested by `brif`. The numbers of two
//!   places differ just as the addresses do: slots are disjoint, each place lies inside of its slot, and
//!   zero, which is number 0, is no address of a slot;
//! - each access lies inside of whatever place the pointer may be, so that no access of another place traps;
//! - a pointer that may be zero is accessed by only where a branch has found that it is not;
//! - no slot escapes but at those instructions, and no stack map names it: nobody else sees that a place
//!   that is not the one is loaded from, or that what it holds is stored back. Each such store is made behind
//!   a load of its own, so that places may share bytes.
//!
//! Accesses with a region, or that may move, are left alone, as in [`super::selects`].
//!
//! # Cost
//!
//! Nothing unless the address of a slot is passed to a parameter or selected, and stays behind
//! when [`super::choices`] and [`super::selects`] find nothing more; then O(instructions + edges) for each of at
//! most [`MAX_SCANS`] scans.
//!
//! # Previous work
//!
//! LLVM's SROA speculates loads of a phi or `select` of two `alloca`s, and rewrites stores to a `select` as
//! branches. It has nothing for stores through a phi.

mod closing;
mod uses;

use crate::FxHashMap;
use crate::dominator_tree::DominatorTree;
use crate::entity::{EntitySet, SecondaryMap};
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{Function, Inst, InstructionData, Opcode, StackSlot, Value};
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::cfg::graph::{Order, defining_node};
use crate::memopt::edit::{Change, Edit, Numbered, NumberedAccess, Reason};
use crate::memopt::memory::slot_escape::Slots;
use crate::memopt::promote::Promoting;
use crate::memopt::promote::groups::Groups;
use alloc::vec::Vec;
use core::ops::Range;
use smallvec::SmallVec;

/// Scans over the function until it is known what is passed on to what. Beyond it all stays as it
/// is, and the run counts one hit.
const MAX_SCANS: u32 = 16;

/// Places in slots that the pointers of a function may be. Those of a group are fewer. What is given up
/// are the slots of all pointers.
const MAX_PLACES: usize = 63;

/// Places that the pointers of one group may be. Each access becomes one of each. What is given up are the
/// slots of the group, and the run counts one hit.
const MAX_NUMBERS: usize = 4;

/// Accesses that those by the pointers of one group become. What is given up is as above.
const MAX_ACCESSES: usize = 48;

/// The bit of zero among those of places.
const ZERO: u64 = 1;

/// One edit for each group of pointers that become numbers. Every block of the function has to be in
/// the order.
pub fn find(promoting: &Promoting<'_>, slots: &Slots, limits_hit: &mut u32) -> Vec<Edit> {
    let order = &promoting.flow.order;
    let mut pointers = Pointers::seeds(promoting, order, slots);
    if pointers.all.is_empty() || promoting.func.layout.blocks().count() != order.len() {
        return Vec::new();
    }
    if !pointers.close() {
        *limits_hit += 1;
        return Vec::new();
    }
    pointers.sources();
    pointers.spread();
    pointers.uses();
    pointers.check_accesses();
    pointers.other_uses();
    let edits = pointers.edits();
    *limits_hit += pointers.limits_hit;
    edits
}

/// One pointer.
struct Pointer {
    /// The parameter, or what the select gives.
    value: Value,
    select: Option<Inst>,
    /// A bit for zero and each place that it may be.
    places: u64,
}

/// An access by a pointer.
struct Access {
    inst: Inst,
    pointer: u32,
    /// With the distance from the pointer.
    offset: i32,
}

/// The pointers of a function.
struct Pointers<'a> {
    func: &'a Function,
    cfg: &'a ControlFlowGraph,
    domtree: &'a DominatorTree,
    policy: &'a dyn Policy,
    order: &'a Order,
    slots: &'a Slots,
    all: Vec<Pointer>,
    /// Of which pointer a value is made, counted from 1, and how far from it.
    made: SecondaryMap<Value, (u32, i64)>,
    /// The places, and a value that is the address of each.
    places: Vec<((StackSlot, i64), Value)>,
    /// Values that are zero or the address of a place, with the bit of that.
    known: FxHashMap<Value, u64>,
    /// Pointers that are passed to others, or selected.
    passed: Vec<(u32, u32)>,
    accesses: Vec<Access>,
    /// Comparisons of pointers, and branches on them.
    tests: Vec<(Inst, u32)>,
    tested: EntitySet<Inst>,
    /// What adds distances to pointers.
    sums: Vec<(Inst, u32)>,
    /// The groups, by pointers and then by slots.
    groups: Groups,
    limits_hit: u32,
}

impl<'a> Pointers<'a> {
    /// The parameters and selects at which an address of a slot is lost track of.
    fn seeds(promoting: &'a Promoting<'_>, order: &'a Order, slots: &'a Slots) -> Self {
        let func = promoting.func;
        let mut this = Self {
            func,
            cfg: promoting.cfg,
            domtree: promoting.domtree,
            policy: promoting.policy,
            order,
            slots,
            all: Vec::new(),
            made: SecondaryMap::new(),
            places: Vec::new(),
            known: FxHashMap::default(),
            passed: Vec::new(),
            accesses: Vec::new(),
            tests: Vec::new(),
            tested: EntitySet::new(),
            sums: Vec::new(),
            groups: Groups::default(),
            limits_hit: 0,
        };
        if slots.are_left {
            return this;
        }
        for concerned in slots.concerned() {
            let data = &func.dfg.insts[concerned.inst];
            if data.opcode().is_branch() {
                for_each_block_arg(func, concerned.inst, |param, arg| {
                    if arg.is_some_and(|arg| slots.address(arg).is_some()) {
                        this.add(param, None);
                    }
                });
            } else if let Some([_, x, y]) = selected(data)
                && (slots.address(x).is_some() || slots.address(y).is_some())
            {
                let result = func.dfg.first_result(concerned.inst);
                this.add(result, Some(concerned.inst));
            }
        }
        this
    }

    /// Adds a pointer, unless it is one already, or it is known where it points.
    fn add(&mut self, value: Value, select: Option<Inst>) -> bool {
        let is_followed = matches!(self.slots.slot(value), Some((_, Some(_))));
        if is_followed || self.made[value].0 != 0 {
            return false;
        }
        self.all.push(Pointer {
            value,
            select,
            places: 0,
        });
        self.made[value] = (self.all.len() as u32, 0);
        true
    }

    /// The pointer that `value` is made of, and how far from it.
    fn made(&self, value: Value) -> Option<(u32, i64)> {
        let (at, by) = self.made[value];
        Some((at.checked_sub(1)?, by))
    }

    /// The pointer that `value` is.
    fn pointer(&self, value: Value) -> Option<u32> {
        self.made(value)
            .filter(|(_, by)| *by == 0)
            .map(|(at, _)| at)
            .filter(|at| self.all[*at as usize].value == value)
    }

    /// The position of a slot among the members of groups.
    fn slot(&self, slot: StackSlot) -> u32 {
        self.all.len() as u32 + slot.as_u32()
    }

    fn spoil(&mut self, value: Value) {
        if let Some((at, _)) = self.made(value) {
            self.groups.spoil(at);
        }
    }

    /// One for each group that nothing has spoilt.
    fn edits(&mut self) -> Vec<Edit> {
        let mut done: Vec<u32> = Vec::new();
        let mut edits = Vec::new();
        for at in 0..self.all.len() as u32 {
            let group = self.groups.of(at);
            if self.groups.is_spoilt(at) || done.contains(&group) {
                continue;
            }
            done.push(group);
            if let Some(numbered) = self.numbered(group) {
                let slot = numbered.places[0].0;
                edits.push(Change::NumberPlaces(numbered).because(Reason::Private(slot)));
            }
        }
        edits
    }

    /// How a group becomes numbers; `None` beyond a limit, or if it need not.
    fn numbered(&mut self, group: u32) -> Option<Numbered> {
        let goes_round = self.goes_round(group);
        let members = self.of_group(group, 0..self.all.len(), |_, at| at as u32);
        let accesses = self.of_group(group, 0..self.accesses.len(), |this, at| {
            this.accesses[at].pointer
        });
        let tests = self.of_group(group, 0..self.tests.len(), |this, at| this.tests[at].1);
        let sums = self.of_group(group, 0..self.sums.len(), |this, at| this.sums[at].1);
        let mut bits = { members.iter() }.fold(0, |bits, at| bits | self.all[*at].places);
        if !tests.is_empty() {
            bits |= ZERO;
        }
        let more = { accesses.iter() }.map(|at| {
            let pointer = self.accesses[*at].pointer;
            self.leaves(pointer, MAX_ACCESSES)
        });
        let places = (bits & !ZERO).count_ones() as usize;
        let mut each = { members.iter() }.map(|at| self.leaves(*at as u32, MAX_ACCESSES));
        if places > MAX_NUMBERS
            || more.sum::<usize>() > MAX_ACCESSES
            || each.any(|leaves| leaves > MAX_ACCESSES)
        {
            self.limits_hit += 1;
            return None;
        }
        let is_idle = accesses.is_empty() && tests.is_empty();
        if is_idle || places == 0 || places == 1 && !goes_round {
            return None;
        }
        let mut numbered = self.numbers(bits);
        for at in members {
            let Pointer {
                value,
                select,
                places,
            } = self.all[at];
            match select {
                Some(select) => numbered.selects.push(select),
                None => numbered
                    .params
                    .push((value, numbers_of(places & !ZERO, bits))),
            }
        }
        let access = |at: &usize| NumberedAccess {
            inst: self.accesses[*at].inst,
            pointer: self.all[self.accesses[*at].pointer as usize].value,
            offset: self.accesses[*at].offset,
        };
        numbered.accesses = accesses.iter().map(access).collect();
        numbered.tests = tests.iter().map(|at| self.tests[*at].0).collect();
        numbered.sums = sums.iter().map(|at| self.sums[*at].0).collect();
        Some(numbered)
    }

    /// Those of `all` of which the pointer is in the group.
    fn of_group(
        &mut self,
        group: u32,
        all: Range<usize>,
        pointer: impl Fn(&Self, usize) -> u32,
    ) -> Vec<usize> {
        all.filter(|at| {
            let pointer = pointer(self, *at);
            self.groups.of(pointer) == group
        })
        .collect()
    }

    /// The numbers of zero and the places of `bits`, and nothing that has to change.
    fn numbers(&self, bits: u64) -> Numbered {
        let mut known: Vec<(Value, u8)> = { self.known.iter() }
            .filter(|(_, bit)| bits & **bit != 0)
            .map(|(value, bit)| (*value, number_of(*bit, bits)))
            .collect();
        known.sort_unstable();
        let places = { self.places.iter().enumerate() }
            .filter(|(at, _)| bits & place_bit(*at) != 0)
            .map(|(_, (place, _))| *place);
        Numbered {
            places: places.collect(),
            first: (bits & ZERO) as u8,
            known,
            params: Vec::new(),
            selects: Vec::new(),
            accesses: Vec::new(),
            tests: Vec::new(),
            sums: Vec::new(),
        }
    }

    /// Is a pointer of the group passed on around a loop?
    ///
    /// If a pointer to one place, or zero, is not, its test follows the edges ([threading]), and no
    /// number is needed.
    ///
    /// [threading]: crate::memopt::pipeline
    fn goes_round(&mut self, group: u32) -> bool {
        for at in 0..self.passed.len() {
            let (from, to) = self.passed[at];
            let [above, below] = [from, to].map(|at| {
                let value = self.all[at as usize].value;
                defining_node(self.func, self.order, value)
            });
            if self.groups.of(to) == group && above >= below {
                return true;
            }
        }
        false
    }

    /// How many accesses one by a pointer becomes, at least one; if that is more than `limit`,
    /// anything above it.
    fn leaves(&self, at: u32, limit: usize) -> usize {
        let pointer = &self.all[at as usize];
        let Some([_, x, y]) = pointer
            .select
            .and_then(|it| selected(&self.func.dfg.insts[it]))
        else {
            let places = (pointer.places & !ZERO).count_ones();
            return places.max(1) as usize;
        };
        let leaves = |value: Value, limit: usize| match self.pointer(value) {
            Some(inner) => self.leaves(inner, limit),
            None => 1,
        };
        // Each of the two is at least one, so that either has less room, and no more of them
        // are looked at than there may be.
        let Some(room) = limit.checked_sub(1) else {
            return 2;
        };
        let first = leaves(x, room);
        if first > room {
            return limit + 1;
        }
        first + leaves(y, limit - first)
    }
}

/// The operands, if it is a `select`.
fn selected(data: &InstructionData) -> Option<[Value; 3]> {
    match data {
        InstructionData::Ternary {
            opcode: Opcode::Select,
            args,
        } => Some(*args),
        _ => None,
    }
}

/// The number of what `bit` stands for, if what `bits` stand for is numbered.
fn number_of(bit: u64, bits: u64) -> u8 {
    (bits & (bit - 1)).count_ones() as u8
}

fn numbers_of(some: u64, bits: u64) -> SmallVec<[u8; 4]> {
    let some = (0..64).map(|at| 1 << at).filter(|bit| some & bit != 0);
    some.map(|bit| number_of(bit, bits)).collect()
}

/// The bit of the place at a position.
fn place_bit(at: usize) -> u64 {
    1 << (at + 1)
}
