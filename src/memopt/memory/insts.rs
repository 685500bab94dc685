//! The memory traffic of a function, as a list of events.
//!
//! One scan over the reachable blocks finds every instruction that reads,
//! writes, observes or changes memory, with its location and its class. The
//! analyses work on this list alone; what is not in it does not concern memory.

use crate::FxHashMap;
use crate::entity::SecondaryMap;
use crate::ir::{
    AliasRegion, ArgumentPurpose, ExternalName, Function, Inst, InstructionData, Opcode, StackSlot,
    TrapCode, Value, ValueDef,
};
use crate::ir::{Endianness, ExceptionTableItem};
use crate::isa::TargetIsa;
use crate::memopt::call::effects::{CalleeName, Policy, RegionSet, Summary, is_asynchronous};
use crate::memopt::cfg::graph::{Node, Order};
use crate::memopt::inst::address::{Addresses, origin};
use crate::memopt::inst::coercion::Load;
use crate::memopt::inst::effect::{self, Effect, Touch};
use crate::memopt::inst::location::{Address, Location, Overlap, Root};
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use crate::memopt::memory::ssa::{Class, FIRST_CLASS};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Every access that is not to a private slot belongs to this class too, for
/// the sake of accesses that carry no region.
pub const ANY: Class = FIRST_CLASS;

/// An event, by its position in the list.
pub type EventIndex = u32;

/// Something that concerns memory.
#[derive(Clone, Debug)]
pub struct Event {
    /// The instruction.
    pub inst: Inst,
    /// The node of its block.
    pub node: Node,
    /// What it does.
    pub kind: EventKind,
}

/// What an [`Event`] does. The address of a slot may escape at any of them.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// A plain load or store.
    Access(Access),
    /// A call, as far as it is known.
    Call(Call),
    /// Sees and may change all memory but private slots.
    Barrier,
    /// May end the function in view of the memory.
    Trap,
    /// Ends the function in view of the memory.
    End,
    /// Compares the address of a slot.
    Compare,
    /// Lets the address of a slot escape, and does nothing else.
    Escape,
}

/// A plain load or store of memory.
#[derive(Clone, Debug)]
pub struct Access {
    /// The bytes.
    pub location: Location,
    /// The region that it carries.
    pub region: Option<AliasRegion>,
    /// The class of its region; `None` if it carries none.
    pub class: Option<Class>,
    /// What is stored; `None` for a load.
    pub stored: Option<Value>,
    /// How a load makes a value of the bytes; see [`effect::Access::load`].
    pub load: Option<Load>,
    /// The opcode.
    pub opcode: Opcode,
    /// How it traps, if it may.
    pub trap: Option<TrapCode>,
    /// The order of the bytes.
    pub endianness: Endianness,
    /// Does the load carry `readonly`?
    pub readonly: bool,
    /// Is its region accessed by the world at any time?
    pub asynchronous: bool,
}

impl Access {
    /// The slot that is accessed, if it is one.
    pub fn slot(&self) -> Option<StackSlot> {
        match self.location.address.root {
            Root::Slot(slot) => Some(slot),
            Root::Value(_) | Root::Shared(..) | Root::Absolute => None,
        }
    }

    /// Does this store, of what `load` loaded from the same bytes, leave them
    /// as `load` found them?
    pub fn puts_back(&self, load: &Access) -> bool {
        self.undone_loads().contains(&load.opcode)
    }

    /// The loads whose result this store puts back as the same bytes.
    pub fn undone_loads(&self) -> &'static [Opcode] {
        match self.opcode {
            Opcode::Store => &[Opcode::Load],
            Opcode::Istore8 => &[Opcode::Uload8, Opcode::Sload8],
            Opcode::Istore16 => &[Opcode::Uload16, Opcode::Sload16],
            Opcode::Istore32 => &[Opcode::Uload32, Opcode::Sload32],
            _ => &[],
        }
    }

    /// Does `slots` know the slot of this access, and nobody else ever?
    pub fn is_always_private(&self, slots: &Slots) -> bool {
        self.slot()
            .is_some_and(|slot| slots.privacy(slot) == Privacy::Always)
    }
}

/// A call, in the classes of this function.
#[derive(Clone, Debug)]
pub struct Call {
    /// What the callee may look at.
    pub reads: Classes,
    /// What may differ where the call comes back.
    pub writes: Classes,
    /// May it end the function: by a trap, or by unwinding out of it?
    pub may_end: bool,
    /// Stack slots in which a collector reads and rewrites references.
    pub mapped_slots: SmallVec<[StackSlot; 2]>,
}

/// Some classes of memory outside of private slots.
#[derive(Clone, Debug)]
pub enum Classes {
    /// These, and [`ANY`] unless there is none.
    These(SmallVec<[Class; 4]>),
    /// All.
    All,
}

/// The memory traffic of a function.
pub struct Memory<'a> {
    /// The function.
    pub func: &'a Function,
    /// What the embedder knows.
    pub policy: &'a dyn Policy,
    /// The events of all reachable blocks, node after node.
    pub events: Vec<Event>,
    /// Where the events of each node begin; one more than there are nodes.
    pub starts: Vec<u32>,
    /// The integer comparisons of all reachable blocks, in their order.
    pub compares: Vec<Inst>,
    /// The slots.
    pub slots: Slots,
    /// The width of a pointer, in bits.
    pub pointer_bits: u32,
    /// Does an instruction write memory without a region, but for private slots?
    untagged_stores: bool,
    regions: Regions,
    slot_classes: FxHashMap<StackSlot, Class>,
    foreign: SecondaryMap<Value, Foreign>,
}

/// Can a value be the address of a slot?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Foreign {
    /// For all that is known.
    #[default]
    No,
    /// It was there before the function, or names something else.
    Always,
    /// It came from memory of this class, which nobody else writes while the
    /// function runs.
    UnlessStored(Class),
}

/// What the target says about memory accesses.
#[derive(Clone, Copy, Debug)]
pub struct TargetFacts {
    /// The byte order of accesses that do not name one.
    pub endianness: Endianness,
    /// The width of a pointer, in bits.
    pub pointer_bits: u32,
}

impl TargetFacts {
    /// What `isa` says.
    pub fn of(isa: &dyn TargetIsa) -> Self {
        Self {
            endianness: isa.endianness(),
            pointer_bits: isa.pointer_bits().into(),
        }
    }
}

/// The classes of alias regions.
#[derive(Default)]
struct Regions {
    classes: SecondaryMap<AliasRegion, Option<Class>>,
    /// By the user id of the representative.
    by_id: FxHashMap<u32, Class>,
    /// What the policy says, by class.
    data: Vec<RegionFacts>,
}

#[derive(Clone, Copy, Default)]
struct RegionFacts {
    asynchronous: bool,
    survives_trap: bool,
    stored: bool,
}

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
        let slots = Slots::new(func, order, policy);
        let regions = Regions::new(func, policy);
        let mut this = Self {
            func,
            policy,
            // About every eighth instruction that there ever was.
            events: Vec::with_capacity(func.dfg.num_insts() / 8),
            starts: Vec::with_capacity(order.len() + 1),
            compares: Vec::new(),
            slots,
            pointer_bits: target.pointer_bits,
            untagged_stores: false,
            regions,
            slot_classes: FxHashMap::default(),
            foreign: SecondaryMap::new(),
        };
        let first_slot = ANY + 1 + this.regions.data.len() as Class;
        for (class, slot) in (first_slot..).zip(this.slots.used()) {
            this.slot_classes.insert(*slot, class);
        }
        this.scan(order, target.endianness);
        this
    }

    /// The events of one node, in the order of execution.
    pub fn of_node(&self, node: Node) -> core::ops::Range<u32> {
        self.starts[node as usize]..self.starts[node as usize + 1]
    }

    /// The access that an event is, if it is one.
    pub fn access(&self, event: EventIndex) -> Option<&Access> {
        match &self.events[event as usize].kind {
            EventKind::Access(access) => Some(access),
            EventKind::Call(_)
            | EventKind::Barrier
            | EventKind::Trap
            | EventKind::End
            | EventKind::Compare
            | EventKind::Escape => None,
        }
    }

    /// The class of the private life of `slot`.
    pub fn slot_class(&self, slot: StackSlot) -> Class {
        self.slot_classes[&slot]
    }

    /// The class of `access`; that of its slot while that is `private`.
    pub fn class_of(&self, access: &Access, private: bool) -> Class {
        match access.slot() {
            Some(slot) if private => self.slot_class(slot),
            Some(_) | None => access.class.unwrap_or(ANY),
        }
    }

    /// The number of classes of regions and slots together.
    pub fn classes(&self) -> u32 {
        ANY + 1 + (self.regions.data.len() + self.slot_classes.len()) as u32
    }

    /// Is what `class` holds at a trap seen by anyone?
    pub fn survives_trap(&self, class: Class) -> bool {
        self.regions
            .of(class)
            .is_none_or(|region| region.survives_trap)
    }

    /// May an instruction of this function write to `class` by itself: a store, or an
    /// atomic that stores? What a callee does, or another thread, does not count.
    pub fn is_stored(&self, class: Class) -> bool {
        self.untagged_stores || self.regions.of(class).is_none_or(|region| region.stored)
    }

    /// Is `value` certainly no address of any slot?
    pub fn is_foreign(&self, value: Value) -> bool {
        match self.foreign[value] {
            Foreign::No => false,
            Foreign::Always => true,
            Foreign::UnlessStored(class) => !self.is_stored(class),
        }
    }

    /// How location `a` lies to `b`. Where one of them is in a slot,
    /// `slot_is_private` says whether at the later access nobody knows it.
    ///
    /// Both have to mean the same iteration of any loop around them.
    pub fn overlap(&self, a: &Location, b: &Location, slot_is_private: bool) -> Overlap {
        let separate = |other: Root| match other {
            Root::Value(value) => self.is_foreign(value),
            Root::Slot(_) | Root::Shared(..) | Root::Absolute => true,
        };
        match (a.address.root, b.address.root) {
            (x, y) if x == y => a.overlap_in_root(b, self.pointer_bits),
            // An address that has left its slot may be anywhere.
            (Root::Slot(_), _) | (_, Root::Slot(_)) if self.slots.are_left => Overlap::Unknown,
            (Root::Slot(_), other) | (other, Root::Slot(_)) => {
                if slot_is_private || separate(other) {
                    Overlap::None
                } else {
                    Overlap::Unknown
                }
            }
            _ => Overlap::Unknown,
        }
    }

    fn note_foreign(&mut self, inst: Inst) {
        let foreign = self.foreign_result(inst);
        if foreign != Foreign::No {
            self.foreign[self.func.dfg.first_result(inst)] = foreign;
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
        if has_slots && let Some(entry) = order.blocks().first() {
            for param in func.dfg.block_params(*entry) {
                self.foreign[*param] = Foreign::Always;
            }
        }
        for (node, block) in order.blocks().iter().enumerate() {
            self.starts.push(self.events.len() as u32);
            for inst in func.layout.block_insts(*block) {
                if has_slots {
                    self.note_foreign(inst);
                }
                let effect = effect::effect(func, inst);
                self.note_store(effect.writes());
                let kind = match effect {
                    Effect::None => {
                        if func.dfg.insts[inst].opcode() == Opcode::Icmp {
                            self.compares.push(inst);
                        }
                        match self.concern_with_slots(inst) {
                            Some(kind) => kind,
                            None => continue,
                        }
                    }
                    Effect::Access(access) => {
                        EventKind::Access(self.place(&mut addresses, &access, endianness))
                    }
                    Effect::Call => EventKind::Call(self.call(inst)),
                    Effect::Barrier(_) => EventKind::Barrier,
                    Effect::Trap => EventKind::Trap,
                    Effect::End => EventKind::End,
                };
                self.events.push(Event {
                    inst,
                    node: node as Node,
                    kind,
                });
            }
        }
        self.starts.push(self.events.len() as u32);
    }

    fn concern_with_slots(&self, inst: Inst) -> Option<EventKind> {
        if self.slots.used().is_empty() {
            return None;
        }
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
        let base = self.base(addresses, access);
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

    /// What the address of `access` is based on: not on a slot if the access has left it.
    fn base(&self, addresses: &mut Addresses<'a>, access: &effect::Access) -> Address {
        let slot = self.slots.address(access.address);
        let base = slot.unwrap_or_else(|| addresses.of(access.address));
        let stays = match base.root {
            Root::Slot(_) => slot.is_some() && self.slots.is_inside(self.func, access.place()),
            Root::Value(_) | Root::Shared(..) | Root::Absolute => true,
        };
        match stays {
            true => base,
            false => Address {
                root: Root::Value(access.address),
                offset: Some(0),
            },
        }
    }

    /// An instruction writes this by itself.
    fn note_store(&mut self, writes: Touch) {
        let place = match writes {
            Touch::Nothing => return,
            Touch::Place(place) => place,
            Touch::Anything => {
                self.untagged_stores = true;
                return;
            }
        };
        match place.region {
            Some(region) => {
                let class = self.regions.class(region);
                self.regions.of_mut(class).stored = true;
            }
            None => {
                let slot = self.slots.address(place.address).map(|base| base.root);
                let private = matches!(slot, Some(Root::Slot(slot))
                    if self.slots.privacy(slot) == Privacy::Always);
                self.untagged_stores |= !private;
            }
        }
    }

    fn call(&self, inst: Inst) -> Call {
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
        }
    }

    /// The slots that a stack map of `inst` names. One whose address nobody
    /// takes holds nothing that this function reads.
    fn mapped_slots(&self, inst: Inst) -> SmallVec<[StackSlot; 2]> {
        let mut slots = SmallVec::new();
        for entry in self.func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
            if self.slot_classes.contains_key(&entry.slot) && !slots.contains(&entry.slot) {
                slots.push(entry.slot);
            }
        }
        slots
    }
}

/// What the call `inst` may do, by the policy or because it is Cranelift's own.
pub fn summary_of_call(func: &Function, policy: &dyn Policy, inst: Inst) -> Summary {
    let dfg = &func.dfg;
    let summary = match dfg.insts[inst] {
        // Tail calls have the formats of calls.
        InstructionData::Call { func_ref, .. } | InstructionData::TryCall { func_ref, .. } => {
            match &dfg.ext_funcs[func_ref].name {
                ExternalName::LibCall(libcall) => Some(Summary::of_libcall(*libcall)),
                ExternalName::User(_) | ExternalName::TestCase(_) => {
                    CalleeName::of_ref(func, func_ref).and_then(|name| policy.callee(&name))
                }
                ExternalName::KnownSymbol(_) => None,
            }
        }
        InstructionData::CallIndirect { .. } | InstructionData::TryCallIndirect { .. } => {
            let origin = origin(func, dfg.inst_args(inst)[0]);
            let direct = match &origin.function {
                Some(name) if origin.loads.is_empty() => policy.callee(name),
                Some(_) | None => None,
            };
            direct.or_else(|| policy.indirect_callee(&origin))
        }
        _ => None,
    };
    // A struct argument is copied by the caller, from wherever it lies.
    let signature = dfg.call_signature(inst).map(|sig| &dfg.signatures[sig]);
    let copies = signature.is_none_or(|signature| {
        let mut params = signature.params.iter();
        params.any(|param| matches!(param.purpose, ArgumentPurpose::StructArgument(_)))
    });
    match summary {
        Some(summary) if copies => summary.reading(&RegionSet::all()),
        Some(summary) => summary,
        None => Summary::opaque(),
    }
}

/// Does the `try_call` at `inst` handle every exception that comes back to it?
pub fn handles_all_exceptions(func: &Function, inst: Inst) -> bool {
    let Some(table) = func.dfg.insts[inst].exception_table() else {
        return false;
    };
    let mut items = func.dfg.exception_tables[table].items();
    items.any(|item| matches!(item, ExceptionTableItem::Default(_)))
}

impl Regions {
    fn new(func: &Function, policy: &dyn Policy) -> Self {
        let mut this = Self::default();
        for (region, data) in func.dfg.alias_regions.iter() {
            let id = policy.representative(data.user_id);
            let next = ANY + 1 + this.data.len() as Class;
            let class = *this.by_id.entry(id).or_insert(next);
            if class == next {
                this.data.push(RegionFacts {
                    asynchronous: false,
                    survives_trap: policy.survives_trap(id),
                    stored: false,
                });
            }
            // What holds for one tag of a memory holds for the memory.
            let facts = this.of_mut(class);
            facts.asynchronous |= is_asynchronous(policy, Some(data.user_id));
            facts.survives_trap |= policy.survives_trap(data.user_id);
            this.classes[region] = Some(class);
        }
        this
    }

    fn class(&self, region: AliasRegion) -> Class {
        self.classes[region].expect("every region of the function has a class")
    }

    /// The facts of the class of a region.
    fn of_mut(&mut self, class: Class) -> &mut RegionFacts {
        &mut self.data[(class - ANY - 1) as usize]
    }

    /// The facts of `class`, if it is that of a region.
    fn of(&self, class: Class) -> Option<RegionFacts> {
        let index = class.checked_sub(ANY + 1)?;
        self.data.get(index as usize).copied()
    }

    fn classes_of(&self, regions: &RegionSet, policy: &dyn Policy) -> Classes {
        let Some(ids) = regions.ids() else {
            return Classes::All;
        };
        let mut classes = SmallVec::new();
        if !ids.is_empty() {
            classes.push(ANY);
        }
        for id in ids {
            // A region that this function does not name concerns nothing here
            // but accesses without a region.
            if let Some(class) = self.by_id.get(&policy.representative(*id))
                && !classes.contains(class)
            {
                classes.push(*class);
            }
        }
        Classes::These(classes)
    }
}

/// The node in which `value` is defined; `None` if its definition is not in
/// the layout, or cannot be reached.
pub fn defining_node(func: &Function, order: &Order, value: Value) -> Option<Node> {
    let block = match func.dfg.value_def(value) {
        ValueDef::Result(inst, _) => func.layout.inst_block(inst)?,
        ValueDef::Param(block, _) => block,
        ValueDef::Union(..) => return None,
    };
    order.node(block)
}
