//! The scan that finds the memory instructions of a function.

use crate::ir::{Endianness, Function, Inst, InstructionData, Opcode, StackSlot, Value};
use crate::memopt::call::effects::{Policy, Summary};
use crate::memopt::cfg::graph::{Node, Order};
use crate::memopt::inst::address::Addresses;
use crate::memopt::inst::effect::{self, Effect, Place, Touch};
use crate::memopt::inst::location::{Address, Location, Root};
use crate::memopt::inst::transfer::{self, Range};
use crate::memopt::memory::calls::{handles_all_exceptions, summary_of_call};
use crate::memopt::memory::insts::{
    Access, Call, Event, EventKind, Foreign, Memory, TargetFacts, Traffic, Transfer,
};
use crate::memopt::memory::numbering::Numberer;
use crate::memopt::memory::slot_escape::Privacy;
use alloc::boxed::Box;
use smallvec::SmallVec;

/// A list of events that grows has room for as many again. So many are kept; of more, which only
/// large functions have, as much memory would be held for nothing.
const MAX_SPARE_EVENTS: usize = 1 << 10;

impl<'a> Memory<'a> {
    /// Finds all events of `func`, whose aliases are resolved.
    ///
    /// Cost: O(instructions).
    pub fn new(
        func: &'a Function,
        order: &Order,
        policy: &'a dyn Policy,
        target: TargetFacts,
    ) -> Self {
        Self::again(func, order, policy, target, Box::default(), false)
    }

    /// The same in the lists of `stale`, which is about `func` as it was, or has been
    /// [forgotten](Traffic::forget_function). If the slots are known, they are there.
    pub fn again(
        func: &'a Function,
        order: &Order,
        policy: &'a dyn Policy,
        target: TargetFacts,
        mut traffic: Box<Traffic>,
        knows_slots: bool,
    ) -> Self {
        let Traffic {
            events,
            starts,
            compares,
            slots,
            pointer_bits,
            untagged_stores,
            has_transfers,
            regions,
            foreign,
            numbering: _,
            translations: _,
        } = &mut *traffic;
        // About every fourth instruction that there ever was.
        events.clear();
        events.reserve(func.dfg.num_insts() / 4);
        starts.clear();
        starts.reserve(order.len() + 1);
        compares.clear();
        if !knows_slots {
            slots.find(func, order, policy);
        }
        *pointer_bits = target.pointer_bits;
        *untagged_stores = false;
        *has_transfers = false;
        regions.forget_stores(func, policy);
        foreign.clear();
        let mut this = Self {
            func,
            policy,
            traffic,
        };
        this.scan(order, target.endianness);
        let events = &mut this.traffic.events;
        if events.capacity() - events.len() > MAX_SPARE_EVENTS {
            events.shrink_to_fit();
        }
        this.number_roots(order);
        this
    }

    fn note_foreign(&mut self, inst: Inst) {
        let foreign = self.foreign_result(inst);
        if foreign != Foreign::No {
            self.traffic.foreign[self.func.dfg.first_result(inst)] = foreign;
        }
    }

    /// Can the result of `inst` be the address of a slot?
    fn foreign_result(&self, inst: Inst) -> Foreign {
        let dfg = &self.func.dfg;
        match dfg.insts[inst] {
            InstructionData::Load { arg, flags, .. } => {
                let flags = dfg.mem_flags[flags];
                let slot = self.slots.address(dfg.resolve_aliases(arg)).is_some();
                match flags.alias_region() {
                    Some(region) if flags.readonly() && !slot => {
                        Foreign::UnlessStored(self.regions.class(region))
                    }
                    Some(_) | None => Foreign::No,
                }
            }
            InstructionData::UnaryImm { .. } | InstructionData::FuncAddr { .. } => Foreign::Always,
            InstructionData::UnaryGlobalValue {
                opcode: Opcode::SymbolValue,
                ..
            } => Foreign::Always,
            _ => Foreign::No,
        }
    }

    fn scan(&mut self, order: &Order, endianness: Endianness) {
        let func = self.func;
        let mut addresses = Addresses::new(func, self.policy);
        let has_slots = !self.slots.used().is_empty();
        if has_slots {
            self.traffic.foreign.resize(func.dfg.num_values());
        }
        if has_slots && let Some(entry) = order.blocks().first() {
            for param in func.dfg.block_params(*entry) {
                self.traffic.foreign[*param] = Foreign::Always;
            }
        }
        for (node, block) in order.blocks().iter().enumerate() {
            self.traffic.starts.push(self.events.len() as u32);
            for inst in func.layout.block_insts(*block) {
                if has_slots {
                    self.note_foreign(inst);
                }
                let effect = effect::effect(func, inst);
                match effect {
                    Effect::None | Effect::Call | Effect::Trap | Effect::End => {}
                    Effect::Access(_) | Effect::Transfer(_) | Effect::Barrier(_) => {
                        self.note_store(effect.writes());
                    }
                }
                let kind = match effect {
                    Effect::None => {
                        if func.dfg.insts[inst].opcode() == Opcode::Icmp {
                            self.traffic.compares.push(inst);
                        }
                        match has_slots.then(|| self.concern_with_slots(inst)).flatten() {
                            Some(kind) => kind,
                            None => continue,
                        }
                    }
                    Effect::Access(access) => {
                        EventKind::Access(self.place(&mut addresses, &access, endianness))
                    }
                    Effect::Call => EventKind::Call(self.call(inst)),
                    Effect::Transfer(transfer) => {
                        self.traffic.has_transfers = true;
                        EventKind::Transfer(Box::new(
                            self.placed_transfer(&mut addresses, &transfer),
                        ))
                    }
                    Effect::Barrier(_) => EventKind::Barrier,
                    Effect::Trap => EventKind::Trap,
                    Effect::End => EventKind::End,
                };
                self.traffic.events.push(Event {
                    inst,
                    node: node as Node,
                    kind,
                });
            }
        }
        self.traffic.starts.push(self.events.len() as u32);
    }

    /// Gives congruent roots one name.
    fn number_roots(&mut self, order: &Order) {
        let mut events = core::mem::take(&mut self.traffic.events);
        let stale = core::mem::take(&mut self.traffic.numbering);
        let translations = core::mem::take(&mut self.traffic.translations);
        let is_constant = |load: &InstructionData| self.finds_one_value(load);
        let mut numberer = Numberer::new(self.func, order, &is_constant, stale);
        let bits = self.pointer_bits;
        for event in &mut events {
            let mut name = |location: &mut Location| {
                let root = location.address.root;
                if let Some(value) = root.value() {
                    let (name, ahead) = numberer.root(value);
                    location.address.root = root.named(name);
                    location.address = location.address.plus(ahead, bits);
                }
            };
            match &mut event.kind {
                EventKind::Access(access) => name(&mut access.location),
                EventKind::Transfer(transfer) => transfer.locations_mut().for_each(name),
                EventKind::Call(_)
                | EventKind::Barrier
                | EventKind::Trap
                | EventKind::End
                | EventKind::Compare
                | EventKind::Escape => {}
            }
        }
        let translations = self.find_translations(&events, &mut numberer, order, translations);
        self.traffic.numbering = numberer.finish();
        self.traffic.translations = translations;
        self.traffic.events = events;
    }

    /// Is what `load` finds a function of its address alone, wherever it is executed?
    fn finds_one_value(&self, load: &InstructionData) -> bool {
        let InstructionData::Load { arg, flags, .. } = *load else {
            return false;
        };
        let flags = self.func.dfg.mem_flags[flags];
        flags.readonly()
            && flags.notrap()
            && self.slots.address(arg).is_none()
            && flags.alias_region().is_some_and(|region| {
                let class = self.regions.class(region);
                let facts = self.regions.of(class);
                !self.is_stored(class) && facts.is_some_and(|facts| !facts.asynchronous)
            })
    }

    fn concern_with_slots(&self, inst: Inst) -> Option<EventKind> {
        if !self.slots.escapes_at(inst).is_empty() {
            return Some(EventKind::Escape);
        }
        let InstructionData::IntCompare { args, .. } = self.func.dfg.insts[inst] else {
            return None;
        };
        let dfg = &self.func.dfg;
        let compares = args
            .iter()
            .any(|arg| self.slots.address(dfg.resolve_aliases(*arg)).is_some());
        compares.then_some(EventKind::Compare)
    }

    fn place(
        &mut self,
        addresses: &mut Addresses<'a>,
        access: &effect::Access,
        endianness: Endianness,
    ) -> Access {
        let base = self.base(addresses, access.place());
        let bits = self.func.dfg.value_type(access.address).bits();
        let class = access.region().map(|region| self.regions.class(region));
        let facts = class.and_then(|class| self.regions.of(class));
        let mut placed = Access {
            location: Location {
                address: base.plus(access.offset.into(), bits),
                bytes: access.bytes,
            },
            region: access.region(),
            class,
            stored: access.stored,
            load: access.load,
            opcode: access.opcode,
            trap: access.flags.trap_code(),
            endianness: access.flags.endianness(endianness),
            readonly: access.flags.readonly(),
            asynchronous: match facts {
                Some(facts) => facts.asynchronous,
                None => self.policy.has_asynchronous_memory(),
            },
        };
        // Nobody else writes what nobody else knows.
        placed.asynchronous &= !placed.is_always_private(&self.slots);
        placed
    }

    /// What the address of `place` is based on: not on a slot if the access has left it.
    #[inline(always)]
    fn base(&self, addresses: &mut Addresses<'a>, place: Place) -> Address {
        let base = match self.slots.address(place.address) {
            Some(base) => return self.base_in_slot(addresses, place, base),
            None => addresses.of(place.address),
        };
        match base.root {
            Root::Slot(_) | Root::InSlot(..) => plain(place),
            Root::Value(_) | Root::Shared(..) | Root::Absolute => base,
        }
    }

    /// The same of a place at an address in a slot, which is `base`.
    fn base_in_slot(&self, addresses: &mut Addresses<'a>, place: Place, base: Address) -> Address {
        let base = match base {
            Address {
                root: Root::Slot(slot),
                offset: None,
            } => within(slot, place.address, addresses.of(place.address)),
            base => base,
        };
        match self.slots.is_inside(self.func, place) {
            true => base,
            false => plain(place),
        }
    }

    /// What a call of one of Cranelift's own functions touches.
    fn placed_transfer(
        &self,
        addresses: &mut Addresses<'a>,
        transfer: &transfer::Transfer,
    ) -> Transfer {
        let mut located = |range: Range| self.range(addresses, range);
        let writes = transfer.written().map(&mut located);
        let reads: SmallVec<[Location; 2]> = transfer.read().map(located).collect();
        let mut all = writes.iter().chain(&reads);
        let asynchronous = self.policy.has_asynchronous_memory()
            && !all.all(|location| location.is_always_private(&self.slots));
        Transfer {
            reads,
            writes,
            filling: transfer.filling(),
            asynchronous,
        }
    }

    /// The bytes of a range. One of as many bytes as nobody knows is somewhere in its slot.
    fn range(&self, addresses: &mut Addresses<'a>, range: Range) -> Location {
        let slot = self.slots.address(range.address);
        let address = match (slot, range.bytes) {
            (Some(slot), None) => Address {
                offset: None,
                ..slot
            },
            _ => self.base(addresses, Place::of_range(range)),
        };
        Location {
            address,
            bytes: range.bytes,
        }
    }

    /// An instruction writes this by itself.
    pub(super) fn note_store(&mut self, writes: Touch) {
        let place = match writes {
            Touch::Nothing => return,
            Touch::Place(place) => place,
            Touch::Anything => {
                self.traffic.untagged_stores = true;
                return;
            }
        };
        match place.region {
            Some(region) => {
                let class = self.regions.class(region);
                self.traffic.regions.of_mut(class).stored = true;
            }
            None => {
                let slot = self.slots.address(place.address).map(|base| base.root);
                let private = matches!(slot, Some(Root::Slot(slot))
                    if self.slots.privacy(slot) == Privacy::Always);
                self.traffic.untagged_stores |= !private;
            }
        }
    }

    /// What the call `inst` does to memory, as the list of events has it.
    pub(super) fn call(&self, inst: Inst) -> Call {
        let mut summary = summary_of_call(self.func, self.policy, inst);
        let opcode = self.func.dfg.insts[inst].opcode();
        let has_handlers = matches!(opcode, Opcode::TryCall | Opcode::TryCallIndirect);
        let mapped_slots = self.mapped_slots(inst);
        // A collector reads and rewrites also what others know of a slot, and
        // that is looked at as part of its region.
        let mut slots = mapped_slots.iter();
        if slots.any(|slot| self.slots.privacy(*slot) != Privacy::Always) {
            summary = Summary::opaque();
        }
        let written = if has_handlers {
            summary.touches()
        } else {
            summary.writes()
        };
        Call {
            reads: self.regions.classes_of(summary.reads(), self.policy),
            writes: self.regions.classes_of(written, self.policy),
            may_end: summary.may_trap()
                || (summary.may_unwind() && !handles_all_exceptions(self.func, inst)),
            mapped_slots,
            lent: self.slots.lent_at(inst).to_vec(),
        }
    }

    /// The slots that a stack map of `inst` names. One whose address nobody
    /// takes holds nothing that this function reads.
    fn mapped_slots(&self, inst: Inst) -> SmallVec<[StackSlot; 2]> {
        let mut slots = SmallVec::new();
        for entry in self.func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
            if self.slots.used_at(entry.slot).is_some() && !slots.contains(&entry.slot) {
                slots.push(entry.slot);
            }
        }
        slots
    }
}

/// The address `value`, which is somewhere in `slot`, and `address` as far as it can be taken apart.
fn within(slot: StackSlot, value: Value, address: Address) -> Address {
    let (value, offset) = match (address.root, address.offset) {
        (Root::Value(root), Some(offset)) => (root, offset),
        _ => (value, 0),
    };
    Address {
        root: Root::InSlot(slot, value),
        offset: Some(offset),
    }
}

/// The address of `place`, of which nothing is known.
fn plain(place: Place) -> Address {
    Address {
        root: Root::Value(place.address),
        offset: Some(0),
    }
}
