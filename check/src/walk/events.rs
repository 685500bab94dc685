//! What both sides do, and who may see it.

use super::lending::Reached;
use super::product::{Next, Path, Step};
use super::walker::Walk;
use crate::calls::{Classes, Effect, copies_arguments};
use crate::memory::Memory;
use crate::opcodes::{self, Bytes, Kind, Touched, kind};
use crate::place::Place;
use crate::side::Side;
use crate::slot_set::SlotSet;
use crate::terms::{Node, Term};
use crate::transfers::Transfer;
use crate::verdict::Reason;
use cranelift_codegen::ir::{
    ExceptionTableItem, Inst, InstructionData, MemFlagsData, Opcode, TrapCode, Value,
};
use smallvec::SmallVec;

impl Walk<'_> {
    /// Compares two things that can be observed; do both functions go on?
    pub(super) fn matched(
        &mut self,
        path: &mut Path,
        x: Inst,
        y: Inst,
        paths: &mut Vec<Path>,
    ) -> Step<bool> {
        let (mine, theirs) = (
            self.func(Side::Original).dfg.insts[x],
            self.func(Side::Result).dfg.insts[y],
        );
        if let Some(code) = self.certain_trap(path, Side::Original, x)
            && self.certain_trap(path, Side::Result, y) == Some(code)
        {
            self.same_tags(x, y)?;
            self.trap_point(path)?;
            return Ok(false);
        }
        if mine.opcode() != theirs.opcode() {
            return Err(Reason::Event.into());
        }
        self.same_tags(x, y)?;
        match kind(mine.opcode()) {
            Kind::Load(_) | Kind::Store(_) => self.match_accesses(path, x, y)?,
            Kind::PureOrTrap => {
                self.same_shape(x, y)?;
                self.same_arguments(x, y)?;
                self.trap_point(path)?;
                self.pure(Side::Original, x)?;
                self.pure(Side::Result, y)?;
            }
            Kind::ConditionalTrap => {
                self.same_shape(x, y)?;
                self.same_arguments(x, y)?;
                self.trap_point(path)?;
                let argument = self.args(Side::Original, x)[0];
                let (condition, turned) = self.terms.condition(argument);
                let holds = mine.opcode() == Opcode::Trapz;
                path.learn(condition, holds != turned);
            }
            Kind::Call => match Transfer::of(self.func(Side::Original), x) {
                Some(transfer) => self.match_transfers(path, x, y, &transfer)?,
                None => self.match_calls(path, x, y)?,
            },
            Kind::TryCall => {
                self.match_try_calls(path, x, y, paths)?;
                return Ok(false);
            }
            Kind::Barrier => {
                self.same_shape(x, y)?;
                self.same_arguments(x, y)?;
                self.all_memory_is_seen(path, x)?;
                path.memory
                    .forget_changed(&mut self.terms, &Classes::All, &Reached::default());
                self.barrier_touches(path, x)?;
                self.new_results(path, x, y)?;
            }
            Kind::Return => {
                self.same_arguments(x, y)?;
                self.ends(path)?;
                return Ok(false);
            }
            Kind::TailCall => {
                self.same_callee(&mine, &theirs)?;
                self.same_arguments(x, y)?;
                if copies_arguments(self.func(Side::Original), x) {
                    self.all_memory_is_seen(path, x)?;
                }
                self.ends(path)?;
                return Ok(false);
            }
            Kind::Trap => {
                self.same_shape(x, y)?;
                self.trap_point(path)?;
                return Ok(false);
            }
            Kind::Pure | Kind::Nothing | Kind::Jump | Kind::Branch | Kind::Switch => {
                return Err(Reason::Event.into());
            }
        }
        Ok(true)
    }

    /// How `inst` traps on this path, if it certainly does: a conditional trap whose condition is
    /// known is a trap.
    fn certain_trap(&mut self, path: &Path, side: Side, inst: Inst) -> Option<TrapCode> {
        match self.func(side).dfg.insts[inst] {
            InstructionData::Trap { code, .. } => Some(code),
            InstructionData::CondTrap { opcode, arg, code } => {
                let condition = self.term(side, arg);
                let truth = self.truth(condition, &path.assumed)?;
                (truth == (opcode == Opcode::Trapnz)).then_some(code)
            }
            _ => None,
        }
    }

    /// What a barrier itself writes, a `readonly` load finds behind it: the promise is
    /// about what others write.
    fn barrier_touches(&mut self, path: &mut Path, inst: Inst) -> Step<()> {
        let [read, written] = opcodes::touched(self.func(Side::Original), inst);
        // An atomic access outside of its slot is one, too.
        if let Touched::At(bytes) = read {
            self.touched_place(&path.memory, &bytes)?;
        }
        match written {
            Touched::Nothing => {}
            Touched::At(bytes) => {
                let place = self.touched_place(&path.memory, &bytes)?;
                path.memory
                    .forget_overwritten_in_both(&mut self.terms, &place, |_| false);
            }
            Touched::Anything => path.memory.forget_all_but_private(&self.terms),
        }
        Ok(())
    }

    /// The bytes that the original touches.
    fn touched_place(&mut self, memory: &Memory, bytes: &Bytes) -> Step<Place> {
        let address = self.term(Side::Original, bytes.address);
        let flags = bytes.flags.unwrap_or_else(MemFlagsData::new);
        match bytes.ty {
            Some(ty) => self.place(memory, address, bytes.offset.into(), ty, flags),
            None => Ok(Place {
                root: Some(self.terms.base(address).0),
                range: None,
                class: None,
            }),
        }
    }

    /// An access that may trap, or that the world sees at any time.
    pub(super) fn match_accesses(&mut self, path: &mut Path, x: Inst, y: Inst) -> Step<()> {
        let (mine, value) = self.access(&path.memory, Side::Original, x)?;
        let (theirs, other) = self.access(&path.memory, Side::Result, y)?;
        let trap = |side: Side, inst: Inst| -> Option<TrapCode> {
            opcodes::access(self.func(side), inst)?.trap
        };
        let (code, other_code) = (trap(Side::Original, x), trap(Side::Result, y));
        if mine.place != theirs.place
            || mine.ty != theirs.ty
            || mine.order != theirs.order
            || code != other_code
        {
            return Err(Reason::Event.into());
        }
        if value != other {
            return Err(Reason::Arguments.into());
        }
        match code {
            Some(_) => self.trap_point(path)?,
            None => no_trap_ahead(path)?,
        }
        let asynchronous = self.regions.is_asynchronous(mine.place.class)
            && !path.memory.is_private(&self.terms, &mine.place);
        match value {
            Some(value) => path.memory.store_both(&mut self.terms, &mine, value),
            None if asynchronous => {
                let escaped = path.memory.escaped;
                let bytes = self.terms.leaf(mine.ty, escaped, None);
                self.loaded(Side::Original, x, bytes);
                self.loaded(Side::Result, y, bytes);
            }
            None => {
                self.load(path, Side::Original, x, &mine, None);
                self.load(path, Side::Result, y, &theirs, None);
            }
        }
        Ok(())
    }

    pub(super) fn match_calls(&mut self, path: &mut Path, x: Inst, y: Inst) -> Step<()> {
        let (effect, written) = self.enter_callee(path, x, y)?;
        path.memory
            .forget_changed(&mut self.terms, &effect.writes, &written);
        self.new_results(path, x, y)?;
        if let Some(at) = effect.returned(self.func(Side::Original), x) {
            // Both are passed the same.
            let term = self.args(Side::Original, x)[at];
            for (side, inst) in [(Side::Original, x), (Side::Result, y)] {
                let result = self.func(side).dfg.first_result(inst);
                self.set(side, result, term);
            }
        }
        Ok(())
    }

    pub(super) fn match_try_calls(
        &mut self,
        path: &mut Path,
        x: Inst,
        y: Inst,
        paths: &mut Vec<Path>,
    ) -> Step<()> {
        let (effect, written) = self.enter_callee(path, x, y)?;
        self.same_handlers(x, y)?;
        for edge in (0..self.successors(Side::Original, x)).rev() {
            let mut fork = path.clone();
            // The edge of the normal return is the last one of the table.
            let normal = edge + 1 == self.successors(Side::Original, x);
            let changed = if normal {
                &effect.writes
            } else {
                &effect.touches
            };
            let memory = &mut fork.memory;
            memory.forget_changed(&mut self.terms, changed, &written);
            fork.next = [Next::Edge(x, edge), Next::Edge(y, edge)];
            paths.push(fork);
        }
        Ok(())
    }

    /// Compares two calls up to where the callee begins: what it is given, and
    /// all memory that it or anyone behind it may see.
    pub(super) fn enter_callee(
        &mut self,
        path: &mut Path,
        x: Inst,
        y: Inst,
    ) -> Step<(Effect, Reached)> {
        let (original, result) = (self.func(Side::Original), self.func(Side::Result));
        self.same_callee(&original.dfg.insts[x], &result.dfg.insts[y])?;
        self.same_arguments(x, y)?;
        let entries = original.dfg.user_stack_map_entries(x);
        if entries != result.dfg.user_stack_map_entries(y) {
            return Err(Reason::StackMap.into());
        }
        let mut effect = Effect::of(original, x, self.policy);
        if effect.is_opaque() && effect.pointers.is_empty() {
            // Both call the same: what is known of one is true of the other.
            effect = Effect::of(result, y, self.policy);
        }
        self.loads_ahead_are_anywhere(path, &effect)?;
        let mapped = entries
            .unwrap_or_default()
            .iter()
            .fold(SlotSet::default(), |all, entry| {
                all.and(SlotSet::of(entry.slot))
            });
        let lent = self.lend(path, x, &effect, mapped);
        for place in &lent.overwritten {
            path.memory.close(&self.terms, place);
        }
        let seen = path.memory.visible(
            &self.terms,
            |class| effect.reads.has(class),
            &lent.reads,
            self.named,
        );
        if seen.is_some() {
            return Err(Reason::MemoryAtCall.into());
        }
        no_store_ahead(path)?;
        if effect.may_end {
            self.trap_point(path)?;
        }
        Ok((effect, lent.writes))
    }

    /// The original has made each load that the result has made by now, but for what may be loaded
    /// even if the callee goes on for ever: bytes of a slot, unless it may end the run.
    fn loads_ahead_are_anywhere(&self, path: &Path, effect: &Effect) -> Step<()> {
        let balance = &path.memory.balance;
        let mut loads = { balance.ahead.iter() }.filter(|(_, stored, _)| stored.is_none());
        let are_there = !self.slots_are_left
            && loads.all(|(place, _, trap)| {
                let root = place.root.map(|root| self.terms.node(root));
                trap.is_none() && place.range.is_some() && matches!(root, Some(Node::Slot(_)))
            });
        match are_there && !effect.may_end && !balance.lost[0] {
            true => Ok(()),
            false => no_load_ahead(path),
        }
    }

    /// Whoever handles a trap here sees the same memory.
    pub(super) fn trap_point(&mut self, path: &Path) -> Step<()> {
        no_load_ahead(path)?;
        self.same_memory_at_trap(path)
    }

    /// Whoever handles a trap of the result here, or one that the original comes to before
    /// it changes what a trap shows, sees the same memory.
    pub(super) fn same_memory_at_trap(&mut self, path: &Path) -> Step<()> {
        let regions = self.regions;
        let seen = path.memory.visible(
            &self.terms,
            |class| regions.survives_trap(class),
            &Reached::default(),
            self.named,
        );
        match seen {
            Some(_) => Err(Reason::MemoryAtTrap.into()),
            None => no_store_ahead(path),
        }
    }

    pub(super) fn all_memory_is_seen(&mut self, path: &mut Path, inst: Inst) -> Step<()> {
        no_load_ahead(path)?;
        let taint = self.taint_of_arguments(inst);
        path.memory.escape(taint);
        let seen = path
            .memory
            .visible(&self.terms, |_| true, &Reached::default(), self.named);
        match seen {
            Some(_) => Err(Reason::MemoryAtBarrier.into()),
            None => no_store_ahead(path),
        }
    }

    /// Both functions end, and their frames with them.
    pub(super) fn ends(&mut self, path: &Path) -> Step<()> {
        no_load_ahead(path)?;
        let memory = &path.memory;
        let in_frame = |place: &Place| {
            let slot = place.root.and_then(|root| self.terms.within(root));
            slot.is_some() && !self.slots_are_left
        };
        if !memory.differences.iter().all(in_frame) {
            return Err(Reason::MemoryAtEnd.into());
        }
        if memory.balance.lost[1]
            || !memory
                .balance
                .ahead
                .iter()
                .all(|(place, ..)| in_frame(place))
        {
            return Err(Reason::InventedStore.into());
        }
        Ok(())
    }

    /// The slots whose addresses an instruction hands to the outside: by its
    /// arguments, and by what an exception table hands to the unwinder.
    pub(super) fn taint_of_arguments(&mut self, inst: Inst) -> SlotSet {
        let dfg = &self.func(Side::Original).dfg;
        let mut values: SmallVec<[Value; 8]> = dfg.inst_args(inst).iter().copied().collect();
        if let Some(table) = dfg.insts[inst].exception_table() {
            for item in dfg.exception_tables[table].items() {
                if let ExceptionTableItem::Context(value) = item {
                    values.push(value);
                }
            }
        }
        let mut taint = SlotSet::default();
        for value in values {
            let term = self.term(Side::Original, value);
            taint = taint.and(self.terms.taint(term));
        }
        taint
    }

    pub(super) fn same_shape(&mut self, x: Inst, y: Inst) -> Step<()> {
        if self.shape(Side::Original, x)? == self.shape(Side::Result, y)? {
            Ok(())
        } else {
            Err(Reason::Event.into())
        }
    }

    pub(super) fn same_arguments(&mut self, x: Inst, y: Inst) -> Step<()> {
        if self.args(Side::Original, x) == self.args(Side::Result, y) {
            Ok(())
        } else {
            Err(Reason::Arguments.into())
        }
    }

    pub(super) fn same_callee(&self, mine: &InstructionData, theirs: &InstructionData) -> Step<()> {
        let callee =
            |data: &InstructionData, dfg: &cranelift_codegen::ir::DataFlowGraph| match *data {
                InstructionData::Call { func_ref, .. }
                | InstructionData::TryCall { func_ref, .. } => (Some(func_ref), None),
                InstructionData::CallIndirect { sig_ref, .. } => (None, Some(sig_ref)),
                InstructionData::TryCallIndirect { exception, .. } => {
                    (None, Some(dfg.exception_tables[exception].signature()))
                }
                _ => (None, None),
            };
        let a = callee(mine, &self.func(Side::Original).dfg);
        let b = callee(theirs, &self.func(Side::Result).dfg);
        if a == b && a != (None, None) {
            Ok(())
        } else {
            Err(Reason::Event.into())
        }
    }

    /// The same exceptions go to the same edges.
    pub(super) fn same_handlers(&mut self, x: Inst, y: Inst) -> Step<()> {
        let mine = self.handlers(Side::Original, x);
        let theirs = self.handlers(Side::Result, y);
        let target = |side: Side, inst: Inst, edge: usize| {
            let dfg = &self.func(side).dfg;
            let data = &dfg.insts[inst];
            let calls = data.branch_destination(&dfg.jump_tables, &dfg.exception_tables);
            calls[edge].block(&dfg.value_lists)
        };
        // Whoever takes the address of a handler's block means that block.
        let same_blocks = !self.names_handler
            || (0..self
                .successors(Side::Original, x)
                .min(self.successors(Side::Result, y)))
                .all(|edge| target(Side::Original, x, edge) == target(Side::Result, y, edge));
        if mine.is_some() && mine == theirs && same_blocks {
            Ok(())
        } else {
            Err(Reason::Handlers.into())
        }
    }

    /// The items of an exception table: their tags, or the contexts in between.
    pub(super) fn handlers(
        &mut self,
        side: Side,
        inst: Inst,
    ) -> Option<Vec<(u8, u32, Option<Term>)>> {
        let dfg = &self.func(side).dfg;
        let table = &dfg.exception_tables[dfg.insts[inst].exception_table()?];
        let items = table.items().map(|item| match item {
            ExceptionTableItem::Tag(tag, _) => (0, tag.as_u32(), None),
            ExceptionTableItem::Default(_) => (1, 0, None),
            ExceptionTableItem::Context(value) => (2, 0, Some(self.term(side, value))),
        });
        Some(items.collect())
    }

    pub(super) fn same_tags(&self, x: Inst, y: Inst) -> Step<()> {
        let tags = |side: Side, inst: Inst| self.func(side).debug_tags.get(inst);
        if tags(Side::Original, x) == tags(Side::Result, y) {
            Ok(())
        } else {
            Err(Reason::DebugTags.into())
        }
    }

    /// Both get the same from outside.
    pub(super) fn new_results(&mut self, path: &Path, x: Inst, y: Inst) -> Step<()> {
        let (original, result) = (self.func(Side::Original), self.func(Side::Result));
        let mine = original.dfg.inst_results(x);
        let theirs = result.dfg.inst_results(y);
        if mine.len() != theirs.len() {
            return Err(Reason::Event.into());
        }
        for (a, b) in mine.iter().zip(theirs) {
            let ty = original.dfg.value_type(*a);
            let term = self.terms.leaf(ty, path.memory.escaped, None);
            self.set(Side::Original, *a, term);
            self.set(Side::Result, *b, term);
        }
        Ok(())
    }
}

/// The original has made each load that the result has made by now.
///
/// That has to be so where a run may end, and where memory may change.
fn no_load_ahead(path: &Path) -> Step<()> {
    if path.memory.balance.has_load_ahead() {
        return Err(Reason::InventedLoad.into());
    }
    Ok(())
}

/// The original changes memory here, or lets the world do so: it has come through each load that may
/// trap and that the result has made before.
pub(super) fn no_trap_ahead(path: &Path) -> Step<()> {
    if path.memory.balance.has_promise() {
        return Err(Reason::MemoryAtTrap.into());
    }
    Ok(())
}

/// The original has made each store that the result has made by now, although nobody
/// here sees a difference: the original may not come to it.
fn no_store_ahead(path: &Path) -> Step<()> {
    if path.memory.balance.has_store_ahead() {
        return Err(Reason::InventedStore.into());
    }
    Ok(())
}
