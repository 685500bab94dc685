//! Calls of Cranelift's own functions on memory: what both runs do, and what the original does by
//! itself.

use super::events::no_trap_ahead;
use super::product::{Path, Step, Stopped};
use super::walker::Walk;
use crate::copying::{Written, accessed_parts};
use crate::place::Place;
use crate::side::Side;
use crate::slot_set::SlotSet;
use crate::terms::{Term, sign_extend};
use crate::transfers::Transfer;
use crate::verdict::Reason;
use cranelift_codegen::ir::{Inst, LibCall, Value, types};

/// What one call touches.
struct Ranges {
    to: Option<Place>,
    from: Vec<Place>,
}

impl Walk<'_> {
    /// Does the original alone call the function at `inst`? It cannot trap, so that it may go if
    /// nobody sees what it writes.
    pub(super) fn is_removed_transfer(&mut self, side: Side, inst: Inst) -> Step<bool> {
        let is_there = self.bodies[Side::Result as usize].block_of(inst).is_some();
        let is_gone = !is_there || Transfer::of(self.func(Side::Result), inst).is_none();
        if side != Side::Original || !is_gone || !self.same_tags_as_none(inst) {
            return Ok(false);
        }
        let Some(transfer) = Transfer::of(self.func(side), inst) else {
            return Ok(false);
        };
        Ok(transfer.writes())
    }

    /// Both call the same, with the same arguments.
    pub(super) fn match_transfers(
        &mut self,
        path: &mut Path,
        x: Inst,
        y: Inst,
        transfer: &Transfer,
    ) -> Step<()> {
        let (original, result) = (self.func(Side::Original), self.func(Side::Result));
        self.same_callee(&original.dfg.insts[x], &result.dfg.insts[y])?;
        let Some(other) = Transfer::of(result, y) else {
            return Err(Reason::StackMap.into());
        };
        let is_copying = transfer.writes() && transfer.read().len() == 1;
        let source = |this: &mut Self| {
            let (mine, theirs) = (transfer.args[1], other.args[1]);
            this.term(Side::Original, mine) != this.term(Side::Result, theirs)
        };
        let elsewhere = is_copying && source(self);
        if !elsewhere {
            self.same_arguments(x, y)?;
        }
        no_trap_ahead(path)?;
        self.let_numbers_go(path, transfer);
        let Ranges { to, from } = self.ranges(Side::Original, transfer)?;
        if elsewhere {
            let theirs = self.ranges(Side::Result, &other)?;
            self.copied_from_elsewhere(path, (x, y), to, [from, theirs.from])?;
            self.returns_destination(Side::Original, x, transfer);
            self.returns_destination(Side::Result, y, &other);
            return Ok(());
        }
        if transfer.function == LibCall::Memcmp {
            let mut from = from.iter();
            if from.any(|place| path.memory.differs_at(&self.terms, place)) {
                return Err(Reason::MemoryAtCall.into());
            }
            return self.new_results(path, x, y);
        }
        if let Some(to) = to {
            let written = self.written(transfer, &from);
            let order = self.target.endianness;
            let terms = &mut self.terms;
            path.memory.transfer_both(terms, order, to, written);
        }
        self.returns_destination(Side::Original, x, transfer);
        let destination = self.term(Side::Original, transfer.args[0]);
        for value in result.dfg.inst_results(y) {
            self.set(Side::Result, *value, destination);
        }
        Ok(())
    }

    /// Both copy as many bytes to the same place, each from another one. What the result reads there,
    /// nobody else may write, or the original has read it too.
    fn copied_from_elsewhere(
        &mut self,
        path: &mut Path,
        (x, y): (Inst, Inst),
        to: Option<Place>,
        from: [Vec<Place>; 2],
    ) -> Step<()> {
        let (mine, theirs) = (self.args(Side::Original, x), self.args(Side::Result, y));
        let (Some(to), ([from], [other])) = (to, (&from[0][..], &from[1][..])) else {
            return Err(Reason::Arguments.into());
        };
        let order = self.target.endianness;
        let (terms, places) = (&mut self.terms, [*from, *other]);
        // Ranges of a `memcpy` do not overlap, whatever those of the original do.
        let is_apart = !path.memory.may_overlap(terms, &to, other);
        if (mine[0], mine[2]) != (theirs[0], theirs[2])
            || !is_apart
            || !path.memory.transfer_from_each(terms, order, to, places)
        {
            return Err(Reason::Arguments.into());
        }
        for (side, place) in [(Side::Original, from), (Side::Result, other)] {
            for part in accessed_parts(place) {
                path.memory.account(terms, side, (part, None, None));
            }
        }
        Ok(())
    }

    /// The original calls the function, and the result does not.
    pub(super) fn transfer_by_original(
        &mut self,
        path: &mut Path,
        inst: Inst,
        transfer: &Transfer,
    ) -> Step<()> {
        no_trap_ahead(path)?;
        self.let_numbers_go(path, transfer);
        let Ranges { to, from } = self.ranges(Side::Original, transfer)?;
        for part in from.iter().flat_map(accessed_parts) {
            let entry = (part, None, None);
            path.memory.account(&self.terms, Side::Original, entry);
        }
        if let Some(to) = to {
            let written = self.written(transfer, &from);
            let order = self.target.endianness;
            let terms = &mut self.terms;
            path.memory.transfer_by_original(terms, order, to, written);
        }
        self.returns_destination(Side::Original, inst, transfer);
        Ok(())
    }

    /// The slots whose addresses are passed as something else than a pointer.
    fn let_numbers_go(&mut self, path: &mut Path, transfer: &Transfer) {
        let mut taint = SlotSet::default();
        for value in transfer.numbers() {
            let term = self.term(Side::Original, *value);
            taint = taint.and(self.terms.taint(term));
        }
        path.memory.escape(taint);
    }

    fn returns_destination(&mut self, side: Side, inst: Inst, transfer: &Transfer) {
        let destination = self.term(side, transfer.args[0]);
        for value in self.func(side).dfg.inst_results(inst) {
            self.set(side, *value, destination);
        }
    }

    fn written(&mut self, transfer: &Transfer, from: &[Place]) -> Written {
        match from {
            [from] => Written::Copy(*from),
            _ => {
                let value = self.term(Side::Original, transfer.args[1]);
                Written::Fill(self.terms.bits(value, 0, types::I8))
            }
        }
    }

    fn ranges(&mut self, side: Side, transfer: &Transfer) -> Step<Ranges> {
        let count = self.term(side, transfer.args[2]);
        let count = self.terms.constant(count);
        if count == Some(0) {
            return Ok(Ranges {
                to: None,
                from: Vec::new(),
            });
        }
        let count = count.and_then(|count| u32::try_from(count).ok());
        let mut range = |address: Value| {
            let address = self.term(side, address);
            self.range(address, count)
        };
        let to = match transfer.writes() {
            true => Some(range(transfer.args[0])?),
            false => None,
        };
        let from: Step<Vec<Place>> = transfer.read().into_iter().map(range).collect();
        Ok(Ranges { to, from: from? })
    }

    /// As many bytes behind an address.
    fn range(&mut self, address: Term, count: Option<u32>) -> Step<Place> {
        let (base, by) = self.terms.base(address);
        let ty = self.terms.ty(base);
        let slot = self.terms.within(base);
        let (root, by) = match self.terms.constant(address) {
            Some(bits) => (self.terms.number(ty, 0), bits as i64),
            None => (base, by),
        };
        let place = Place {
            root: Some(root),
            range: count.map(|count| (sign_extend(by as u64, ty), count)),
            class: None,
        };
        match (slot, count) {
            (Some(slot), None) => Ok(Place {
                root: Some(self.terms.slot(slot, ty)),
                ..place
            }),
            (None, None) => Ok(Place {
                root: None,
                ..place
            }),
            _ if self.terms.is_closed(root) && slot.is_some() && !place.is_in_slot(&self.terms) => {
                // It is anywhere, and so may every slot be.
                if self.slots_are_left {
                    return Ok(place);
                }
                self.slots_are_left = true;
                Err(Stopped::Restart)
            }
            _ => Ok(place),
        }
    }

    fn same_tags_as_none(&self, inst: Inst) -> bool {
        self.func(Side::Original).debug_tags.get(inst).is_empty()
    }
}
