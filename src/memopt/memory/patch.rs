//! The patch of the list of memory instructions that follows edits instead of a new scan.
//!
//! Instructions that go take nothing else with them, unless they hold a slot's address. A load
//! that is replaced leaves its result's uses to another value: what stores write has another name
//! then, and an address that was computed from it would be another one.

use crate::ir::{Function, Inst, InstructionData, Opcode, Value};
use crate::memopt::call::effects::Policy;
use crate::memopt::edit::{Change, Edit};
use crate::memopt::inst::bits::number;
use crate::memopt::inst::effect;
use crate::memopt::inst::isle::{self, Step};
use crate::memopt::inst::location::Location;
use crate::memopt::memory::calls::called_pointer;
use crate::memopt::memory::insts::{Event, EventKind, Memory};
use crate::{FxHashMap, FxHashSet};
use alloc::vec::Vec;
use core::cell::LazyCell;

/// A load whose result is another value from now on.
#[derive(Clone, Copy)]
pub struct Replaced {
    /// The load.
    pub load: Inst,
    /// Its result.
    pub result: Value,
    /// What is there in its place.
    pub by: Value,
    /// Is its result, taken for an address, a root of its own?
    pub is_plain_root: bool,
}

impl Replaced {
    /// What `edits` replace, in their order; the edits have not been made.
    pub fn all(func: &Function, policy: &dyn Policy, edits: &[Edit]) -> Vec<Self> {
        let replaced = edits.iter().filter_map(|edit| match edit.change {
            Change::ReplaceLoad { load, value, .. } => {
                let result = func.dfg.first_result(load);
                let step = isle::address_step(&func.dfg, policy, result);
                Some(Self {
                    load,
                    result,
                    by: func.dfg.resolve_aliases(value),
                    is_plain_root: matches!(step, Step::Root),
                })
            }
            _ => None,
        });
        replaced.collect()
    }
}

impl Memory<'_> {
    /// Brings the list up to date after `edits`, or some of them, were made; `false` if
    /// it has to be made anew, because what is known about a slot may have changed.
    ///
    /// The edits remove instructions and leave all others where they are. `replaced` are the
    /// loads among those, whose results are other values now.
    ///
    /// Cost: O(memory instructions + edits).
    pub fn patch(&mut self, edits: &[Edit], replaced: &[Replaced]) -> bool {
        let has_slots = !self.slots.used().is_empty();
        let mut changes = edits.iter().map(|edit| &edit.change);
        if changes
            .any(|change| self.replaces_address(change) || has_slots && self.concerns_slots(change))
        {
            return false;
        }
        if self.concern_addresses(replaced) {
            return false;
        }
        // With slots, what a `readonly` load finds counts as memory of others.
        let is_readonly = |load: Inst| {
            let flags = self.func.dfg.insts[load].memflags_data(&self.func.dfg);
            flags.is_some_and(|flags| flags.readonly())
        };
        if has_slots && replaced.iter().any(|it| is_readonly(it.load)) {
            return false;
        }
        self.forget_removed();
        self.rename_stored(replaced);
        self.ask_for_callees_again(replaced);
        let stored = self.stored();
        self.note_stores_again();
        // What a load finds may be a function of its address now.
        stored == self.stored()
    }

    /// Is the result of a copy another name of an address from now on?
    fn replaces_address(&self, change: &Change) -> bool {
        let dfg = &self.func.dfg;
        match change {
            Change::RemoveNoopCopy(call) | Change::RemoveDeadCopy(call) => {
                let signature = dfg.call_signature(*call);
                signature.is_none_or(|it| !dfg.signatures[it].returns.is_empty())
            }
            _ => false,
        }
    }

    /// May what is known about the slots be something else after `change`?
    fn concerns_slots(&self, change: &Change) -> bool {
        let func = self.func;
        let removed = |inst: Inst| {
            let takes_address = matches!(func.dfg.insts[inst], InstructionData::StackAddr { .. });
            let is_tagged = !func.debug_tags.get(inst).is_empty();
            let escapes = !self.slots.escapes_at(inst).is_empty();
            self.slots.are_left || takes_address || is_tagged || escapes
        };
        match change {
            Change::RemoveNoopStore(inst)
            | Change::RemoveDeadStore(inst)
            | Change::RemoveUnusedLoad(inst)
            | Change::RemoveUnusedCode(inst)
            | Change::ReplaceLoad { load: inst, .. } => removed(*inst),
            Change::RemoveNoopCopy(call) | Change::RemoveDeadCopy(call) => removed(*call),
            Change::FreeSlot(_) => self.slots.are_left,
            // All others replace or move instructions, and are not patched.
            _ => true,
        }
    }

    /// Is the address of an access, or where in a slot an address is, computed from a load that is
    /// replaced, or a slot's address what replaces it? All else is the same under another name.
    fn concern_addresses(&self, replaced: &[Replaced]) -> bool {
        let is_concerned = |it: &Replaced| {
            !it.is_plain_root
                || self.slots.address(it.by).is_some()
                || self.numbering.is_part(it.result)
                || self.is_offset(it.by)
        };
        if replaced.is_empty() {
            return false;
        }
        if replaced.iter().any(is_concerned) {
            return true;
        }
        // They are passed addresses, and numbers of bytes.
        if self.has_transfers {
            return true;
        }
        let results: FxHashSet<Value> = replaced.iter().map(|it| it.result).collect();
        if self.translations.concern(|value| results.contains(&value)) {
            return true;
        }
        self.events.iter().any(|event| match &event.kind {
            EventKind::Access(access) => {
                let root = access.location.address.root.value();
                root.is_some_and(|root| results.contains(&root))
            }
            _ => false,
        })
    }

    /// Is `value` a constant that is added to a slot's address, so that it is known by now where
    /// in the slot the sum is?
    fn is_offset(&self, value: Value) -> bool {
        let dfg = &self.func.dfg;
        let mut concerned = self.slots.concerned().iter();
        number(dfg, value).is_some()
            && concerned.any(|it| {
                let is_sum = matches!(dfg.insts[it.inst], InstructionData::Binary { .. });
                let address = || self.slots.slot(dfg.first_result(it.inst));
                is_sum
                    && matches!(address(), Some((_, None)))
                    && dfg.inst_args(it.inst).contains(&value)
            })
    }

    /// What stores write has the names that replaced loads have left it.
    fn rename_stored(&mut self, replaced: &[Replaced]) {
        let gone = replaced
            .iter()
            .filter(|it| self.func.layout.inst_block(it.load).is_none());
        let mut names: FxHashMap<Value, Value> = gone.map(|it| (it.result, it.by)).collect();
        if names.is_empty() {
            return;
        }
        for event in &mut self.traffic.events {
            if let EventKind::Access(access) = &mut event.kind
                && let Some(stored) = &mut access.stored
            {
                *stored = last_name(&mut names, *stored);
            }
        }
    }

    /// Asks again what calls do through pointers that stand for replaced loads now: what the policy
    /// knows of a callee depends on the loads that its pointer came from.
    fn ask_for_callees_again(&mut self, replaced: &[Replaced]) {
        if replaced.is_empty() {
            return;
        }
        let func = self.func;
        let pointers = replaced.iter().map(|it| it.by);
        let pointers = LazyCell::new(|| pointers.collect::<FxHashSet<Value>>());
        for at in 0..self.events.len() {
            let Event { inst, kind, .. } = &self.events[at];
            if matches!(kind, EventKind::Call(_))
                && let Some(callee) = called_pointer(func, *inst)
                && pointers.contains(&callee)
            {
                let call = self.call(*inst);
                self.traffic.events[at].kind = EventKind::Call(call);
            }
        }
    }

    /// Drops the events of instructions that are gone.
    fn forget_removed(&mut self) {
        let func = self.func;
        let had_transfers = self.has_transfers;
        let is_there = |inst: Inst| func.layout.inst_block(inst).is_some();
        self.traffic.events.retain(|event| is_there(event.inst));
        self.traffic
            .compares
            .retain(|inst| is_there(*inst) && func.dfg.insts[*inst].opcode() == Opcode::Icmp);
        let mut at = 0;
        for (node, start) in self.traffic.starts.iter_mut().enumerate() {
            *start = at as u32;
            let own = self.traffic.events[at..].iter();
            at += own.take_while(|event| event.node as usize == node).count();
        }
        let mut events = self.events.iter();
        let is_transfer = |event: &Event| matches!(event.kind, EventKind::Transfer(_));
        self.traffic.has_transfers = had_transfers && events.any(is_transfer);
    }

    /// Which memory the instructions write by themselves.
    fn stored(&self) -> (bool, Vec<bool>) {
        let regions = self.regions.data.iter();
        (self.untagged_stores, regions.map(|it| it.stored).collect())
    }

    /// Finds again which memory the instructions write by themselves.
    fn note_stores_again(&mut self) {
        self.traffic.untagged_stores = false;
        for region in &mut self.traffic.regions.data {
            region.stored = false;
        }
        for at in 0..self.events.len() {
            let event = &self.events[at];
            if matches!(
                event.kind,
                EventKind::Access(_) | EventKind::Transfer(_) | EventKind::Barrier
            ) {
                let effect = effect::effect(self.func, event.inst);
                self.note_store(effect.writes());
            }
        }
    }

    /// Does it say the same as `other`, which is about the same function? That is what builds
    /// with debug assertions check of what was patched.
    pub fn is_like(&self, other: &Self) -> bool {
        let slots = self.slots.used().iter();
        let mut values = (0..self.func.dfg.num_values() as u32).map(Value::from_u32);
        self.events_are_like(other)
            && self.starts == other.starts
            && self.compares == other.compares
            && self.untagged_stores == other.untagged_stores
            && self.has_transfers == other.has_transfers
            && self.regions.data == other.regions.data
            && self.slots.used() == other.slots.used()
            && self.slots.are_left == other.slots.are_left
            && { slots }.all(|slot| self.slots.privacy(*slot) == other.slots.privacy(*slot))
            && values.all(|value| {
                !self.is_computed(value)
                    || (self.is_foreign(value) == other.is_foreign(value)
                        && self.slots.address(value) == other.slots.address(value))
            })
    }

    /// Are the events those of `other`? Of roots that stand for each other, some bytes ahead, the
    /// first may be gone since.
    fn events_are_like(&self, other: &Self) -> bool {
        let mut renamed: FxHashMap<Value, (Value, i64)> = FxHashMap::default();
        let bits = self.pointer_bits;
        let mut pairs = self.events.iter().zip(&other.events);
        self.events.len() == other.events.len()
            && pairs.all(|(own, other_event)| {
                let mut own = own.clone();
                let mut rename = |own: &mut Location, others: &Location| {
                    let roots = (own.address.root, others.address.root);
                    if let (Some(root), Some(of_other)) = (roots.0.value(), roots.1.value())
                        && roots.0.slot() == roots.1.slot()
                        && self.numbering.agrees(root, &other.numbering, of_other)
                    {
                        let distance = own.distance(others, bits).unwrap_or(0);
                        let (name, ahead) = *renamed.entry(root).or_insert((of_other, distance));
                        own.address.root = roots.0.named(name);
                        own.address = own.address.plus(ahead, bits);
                    }
                };
                match (&mut own.kind, &other_event.kind) {
                    (EventKind::Access(own), EventKind::Access(others)) => {
                        rename(&mut own.location, &others.location);
                    }
                    (EventKind::Transfer(own), EventKind::Transfer(others)) => {
                        let pairs = own.locations_mut().zip(others.locations());
                        pairs.for_each(|(own, others)| rename(own, others));
                    }
                    _ => {}
                }
                own == *other_event
            })
    }

    /// Is `value` the result of an instruction in the layout?
    fn is_computed(&self, value: Value) -> bool {
        let dfg = &self.func.dfg;
        // What was an alias and is resolved has no definition any more.
        !dfg.value_is_alias(value)
            && dfg
                .value_def(value)
                .inst()
                .is_some_and(|inst| self.func.layout.inst_block(inst).is_some())
    }
}

/// The name at the end of those that lead on from `value`; all of them lead there afterwards.
///
/// Cost: O(1) for each name, over all calls.
fn last_name(names: &mut FxHashMap<Value, Value>, value: Value) -> Value {
    let mut last = value;
    while let Some(next) = names.get(&last) {
        last = *next;
    }
    let mut at = value;
    while let Some(next) = names.get_mut(&at) {
        at = core::mem::replace(next, last);
    }
    last
}
