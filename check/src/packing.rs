//! The proof that slots may have other places in the frame.
//!
//! The optimizer moves slots when it has done all else: what differs then are the slots that
//! `stack_addr` names, the offsets there, and the sizes. So this is no walk over two functions. The
//! code is one, and a proof about the original says that each slot may be where it is put.
//!
//! Every address of a slot that moves has to be [followed](addresses): it is used by accesses, by
//! `memcpy` and its kin, by callees that do not keep it, and is compared with addresses of the same
//! slot alone. What is accessed has to lie in its new place. Where several slots are in one,
//! [`holders`] shows that whoever reads finds what its own slot holds.

mod addresses;
mod holders;

use crate::tables;
use crate::verdict::{Limit, Reason};
use addresses::{Addresses, Use};
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Block, Function, Inst, InstructionData, StackSlot};
use cranelift_memopt::{Policy, TargetFacts};

/// Where the bytes of a slot are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    slot: StackSlot,
    /// How far they have moved in it.
    by: i64,
}

/// What became of the slots of the original.
struct Packing<'a> {
    original: &'a Function,
    result: &'a Function,
    places: SecondaryMap<StackSlot, Option<Place>>,
    /// The bytes of a machine word.
    word: i64,
}

/// Do the functions differ in the places of their slots alone, and if so, may they?
///
/// All other tables agree.
pub fn compare(
    original: &Function,
    result: &Function,
    policy: &dyn Policy,
    target: TargetFacts,
) -> Option<Result<(), Stop>> {
    let packing = Packing::of(original, result, target)?;
    Some(packing.prove(policy))
}

/// Why there is no proof.
pub enum Stop {
    /// A slot may not be where it is.
    Refused(Reason),
    /// It would take too long.
    Limit(Limit),
}

impl<'a> Packing<'a> {
    /// `None` if no slot moves, or something else differs.
    fn of(original: &'a Function, result: &'a Function, target: TargetFacts) -> Option<Self> {
        let slots = |func: &Function| func.sized_stack_slots.values().cloned().collect::<Vec<_>>();
        if original.sized_stack_slots.len() != result.sized_stack_slots.len()
            || slots(original) == slots(result)
        {
            return None;
        }
        let mut this = Self {
            original,
            result,
            places: SecondaryMap::new(),
            word: i64::from(target.pointer_bits / 8),
        };
        let (mut mine, mut theirs) = (original.layout.blocks(), result.layout.blocks());
        loop {
            match (mine.next(), theirs.next()) {
                (None, None) => return this.moves_any().then_some(this),
                (Some(block), Some(other)) if block == other => this.block(block)?,
                _ => return None,
            }
        }
    }

    fn block(&mut self, block: Block) -> Option<()> {
        let (mine, theirs) = (self.original, self.result);
        let types = |func: &Function| {
            let params = func.dfg.block_params(block).iter();
            let types = params.map(|param| (*param, func.dfg.value_type(*param)));
            types.collect::<Vec<_>>()
        };
        let insts = mine.layout.block_insts(block);
        let same = types(mine) == types(theirs) && insts.eq(theirs.layout.block_insts(block));
        if !same {
            return None;
        }
        mine.layout
            .block_insts(block)
            .try_for_each(|inst| self.inst(inst))
    }

    /// Notes where an address says that its slot is; `None` if the instructions differ in more.
    fn inst(&mut self, inst: Inst) -> Option<()> {
        let (mine, theirs) = (&self.original.dfg, &self.result.dfg);
        let types = |func: &Function| {
            let results = func.dfg.inst_results(inst).iter();
            let types = results.map(|it| (*it, func.dfg.value_type(*it)));
            types.collect::<Vec<_>>()
        };
        if types(self.original) != types(self.result) {
            return None;
        }
        let address = |func: &Function| match func.dfg.insts[inst] {
            InstructionData::StackAddr {
                stack_slot, offset, ..
            } => Some((stack_slot, i64::from(i32::from(offset)))),
            _ => None,
        };
        if let (Some((slot, offset)), Some((other, there))) =
            (address(self.original), address(self.result))
        {
            let place = Place {
                slot: other,
                by: there - offset,
            };
            let known = self.places[slot].get_or_insert(place);
            return (*known == place).then_some(());
        }
        let values = |func: &Function| {
            let values = func.dfg.inst_values(inst);
            values
                .map(|it| func.dfg.resolve_aliases(it))
                .collect::<Vec<_>>()
        };
        let flags = |func: &Function| func.dfg.insts[inst].memflags_data(&func.dfg);
        let table = |func: &'a Function| {
            let table = func.dfg.insts[inst].exception_table()?;
            Some(&func.dfg.exception_tables[table])
        };
        let same = mine.insts[inst] == theirs.insts[inst]
            && values(self.original) == values(self.result)
            && flags(self.original) == flags(self.result)
            && table(self.original) == table(self.result)
            && self.destinations(self.original, inst) == self.destinations(self.result, inst);
        same.then_some(())
    }

    fn destinations(&self, func: &Function, inst: Inst) -> Vec<(Block, Vec<String>)> {
        let dfg = &func.dfg;
        let calls = dfg.insts[inst].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        let calls = calls.iter().map(|call| {
            let args = call.args(&dfg.value_lists).map(|arg| format!("{arg:?}"));
            (call.block(&dfg.value_lists), args.collect())
        });
        calls.collect()
    }

    /// Is a slot that code names another place, or one of another size?
    fn moves_any(&self) -> bool {
        let mut slots = self.original.sized_stack_slots.iter();
        slots.any(|(slot, data)| {
            let place = self.places[slot];
            place.is_some_and(|place| {
                place != (Place { slot, by: 0 }) || *data != self.result.sized_stack_slots[slot]
            })
        })
    }

    /// Where the bytes of a slot are. One that no address names is where it was.
    fn place(&self, slot: StackSlot) -> Place {
        self.places[slot].unwrap_or(Place { slot, by: 0 })
    }

    fn size(&self, func: &Function, slot: StackSlot) -> i64 {
        func.sized_stack_slots[slot].size.into()
    }

    /// To where an access that begins in a slot of that size may reach.
    fn room(&self, size: i64) -> i64 {
        (size + self.word - 1) / self.word * self.word
    }

    fn prove(&self, policy: &dyn Policy) -> Result<(), Stop> {
        let refused = Err(Stop::Refused(Reason::SharedSlots));
        let named = tables::named_by_others([self.original, self.result]);
        let slots = self.original.sized_stack_slots.keys();
        let used: Vec<StackSlot> = slots.filter(|slot| self.places[*slot].is_some()).collect();
        let mut members: SecondaryMap<StackSlot, Vec<StackSlot>> = SecondaryMap::new();
        for slot in &used {
            members[self.place(*slot).slot].push(*slot);
        }
        let is_moved = |slot: StackSlot| {
            let place = self.place(slot);
            let data = |func: &Function| func.sized_stack_slots[place.slot].clone();
            let is_alone = members[place.slot].len() == 1;
            !is_alone
                || place != (Place { slot, by: 0 })
                || data(self.original) != data(self.result)
        };
        for slot in self.original.sized_stack_slots.keys() {
            let (old, new) = (
                &self.original.sized_stack_slots[slot],
                &self.result.sized_stack_slots[slot],
            );
            // One that has no place of its own any more is somewhere else, or not named at all.
            let stays = old == new || !named.contains(slot);
            if old.key != new.key || !stays || (old != new && old.key.is_some()) {
                return refused;
            }
        }
        let addresses = Addresses::new(self.original, policy);
        for slot in used.iter().copied().filter(|slot| is_moved(*slot)) {
            let place = self.place(slot);
            let data = |func: &Function, slot: StackSlot| func.sized_stack_slots[slot].clone();
            let (old, new) = (data(self.original, slot), data(self.result, place.slot));
            let may_move = !named.contains(slot)
                && !named.contains(place.slot)
                && old.key.is_none()
                && new.key.is_none()
                && !addresses.is_lost(slot)
                && old.align_shift <= new.align_shift
                && place.by % (1 << old.align_shift) == 0;
            let (mine, theirs) = (i64::from(old.size), i64::from(new.size));
            let fits = place.by >= 0
                && place.by + mine <= theirs
                && place.by + self.room(mine) <= self.room(theirs);
            let mut uses = addresses.of(slot);
            if !may_move || !(fits || uses.all(|it| self.lies_inside(it, place))) {
                return refused;
            }
        }
        // Whoever leaves a slot may be in any other one.
        if addresses.all().any(|it| !self.begins_inside(it)) {
            return refused;
        }
        holders::prove(self, &addresses, &members)
    }

    /// Is an access in the new place of its slot?
    fn lies_inside(&self, usage: &Use, place: Place) -> bool {
        let size = self.size(self.result, place.slot);
        usage.bytes.is_some_and(|(start, end)| {
            (0..size).contains(&(start + place.by)) && end + place.by <= self.room(size)
        })
    }

    /// Is an access at a known offset in its slot, in the original?
    fn begins_inside(&self, usage: &Use) -> bool {
        let size = self.size(self.original, usage.slot);
        usage
            .bytes
            .is_none_or(|(start, end)| (0..size).contains(&start) && end <= self.room(size))
    }
}
