//! The memory traffic of a function, as a list of events.
//!
//! One scan over the reachable blocks finds every instruction that reads,
//! writes, observes or changes memory, with its location and its class. The
//! analyses work on this list alone; what is not in it does not concern memory.

use crate::entity::SecondaryMap;
use crate::ir::AliasRegion;
use crate::ir::{Endianness, Function, Inst, Opcode, StackSlot, TrapCode, Value};
use crate::isa::TargetIsa;
use crate::memopt::call::effects::Policy;
use crate::memopt::call::extent::Extent;
use crate::memopt::call::summary::PointerUse;
use crate::memopt::cfg::graph::{Node, Order};
use crate::memopt::inst::coercion::Load;
use crate::memopt::inst::location::{Address, Location, Overlap, Root};
use crate::memopt::memory::bounds;
use crate::memopt::memory::numbering::{Meaning, Numbering};
use crate::memopt::memory::regions::{Classes, Regions};
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use crate::memopt::memory::ssa::{Class, FIRST_CLASS};
use crate::memopt::memory::translation::Translations;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Deref;
use smallvec::SmallVec;

/// Every access that is not to a private slot belongs to this class too, for
/// the sake of accesses that carry no region.
pub const ANY: Class = FIRST_CLASS;

/// An event, by its position in the list.
pub type EventIndex = u32;

/// Something that concerns memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The instruction.
    pub inst: Inst,
    /// The node of its block.
    pub node: Node,
    /// What it does.
    pub kind: EventKind,
}

/// What an [`Event`] does. The address of a slot may escape at any of them.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// A plain load or store.
    Access(Access),
    /// A call, as far as it is known.
    Call(Call),
    /// A call of one of Cranelift's own functions on memory. Few functions have any, and so it
    /// takes no room in those that have none.
    Transfer(Box<Transfer>),
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
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The bytes.
    pub location: Location,
    /// The region that it carries.
    pub region: Option<AliasRegion>,
    /// The class of its region; `None` if it carries none.
    pub class: Option<Class>,
    /// What is stored; `None` for a load.
    pub stored: Option<Value>,
    /// How a load makes a value of the bytes; see
    /// [`effect::Access::load`](crate::memopt::inst::effect::Access::load).
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
        self.location.slot()
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
        self.location.is_always_private(slots)
    }
}

/// A call, in the classes of this function.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What the callee may look at.
    pub reads: Classes,
    /// What may differ where the call comes back.
    pub writes: Classes,
    /// May it end the function: by a trap, or by unwinding out of it?
    pub may_end: bool,
    /// Stack slots in which a collector reads and rewrites references.
    pub mapped_slots: SmallVec<[StackSlot; 2]>,
    /// Stack slots that the callee is lent, and what it does with them, by the distance from the
    /// start of each.
    pub lent: Vec<(StackSlot, PointerUse)>,
}

impl Call {
    /// What the callee, or a collector meanwhile, does with `slot` while nobody else knows it.
    pub fn use_of(&self, slot: StackSlot) -> PointerUse {
        let mut usage = match self.lent.iter().find(|(lent, _)| *lent == slot) {
            Some((_, usage)) => *usage,
            None => PointerUse::default(),
        };
        if self.mapped_slots.contains(&slot) {
            usage.and(PointerUse::reading(Extent::ANY));
            usage.and(PointerUse::writing(Extent::ANY));
        }
        usage
    }

    /// The slots that it reads or writes while nobody else knows them.
    pub fn used_slots(&self) -> impl Iterator<Item = StackSlot> {
        let lent = self.lent.iter().map(|(slot, _)| *slot);
        let lent = lent.filter(|slot| !self.mapped_slots.contains(slot));
        self.mapped_slots.iter().copied().chain(lent)
    }
}

/// What one of Cranelift's own functions on memory does. It names no region.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// The bytes that it reads: of two ranges if it compares them, of one if it copies.
    pub reads: SmallVec<[Location; 2]>,
    /// The bytes that it writes.
    pub writes: Option<Location>,
    /// The value of which each byte that it writes is the low byte, if it does not copy.
    pub filling: Option<Value>,
    /// May the world access one of the ranges at any time?
    pub asynchronous: bool,
}

impl Transfer {
    /// Where it copies from, and where to; `None` if it does anything else.
    pub fn copied(&self) -> Option<(&Location, &Location)> {
        match (&self.reads[..], &self.writes) {
            ([from], Some(to)) => Some((from, to)),
            _ => None,
        }
    }

    /// The bytes of `part` where they are copied from, if all of them are copied by it.
    pub fn origin(&self, part: &Location, bits: u32) -> Option<Location> {
        let (from, to) = self.copied()?;
        let at = i64::from(self.position(to, part, bits)?);
        let address = Address {
            offset: Some(from.address.plus(at, bits).offset?),
            ..from.address
        };
        Some(Location {
            address,
            bytes: part.bytes,
        })
    }

    /// Does it fill all of `part`?
    pub fn fills(&self, part: &Location, bits: u32) -> bool {
        let to = self.writes.filter(|_| self.filling.is_some());
        to.is_some_and(|to| self.position(&to, part, bits).is_some())
    }

    /// How far into `outer` the bytes of `part` begin, if all of them are there.
    fn position(&self, outer: &Location, part: &Location, bits: u32) -> Option<u32> {
        if outer.address.root != part.address.root {
            return None;
        }
        match outer.overlap_in_root(part, bits) {
            Overlap::Same => Some(0),
            Overlap::Covers { at } => Some(at),
            Overlap::None | Overlap::Inside | Overlap::Partial | Overlap::Unknown => None,
        }
    }

    /// All bytes that it touches.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        self.writes.iter().chain(&self.reads)
    }

    /// The same, to be given other roots.
    pub(super) fn locations_mut(&mut self) -> impl Iterator<Item = &mut Location> {
        self.writes.iter_mut().chain(&mut self.reads)
    }
}

impl Location {
    /// The slot in which the bytes are, if it is one.
    pub fn slot(&self) -> Option<StackSlot> {
        self.address.root.slot()
    }

    /// Does `slots` know the slot of the bytes, and nobody else ever?
    pub fn is_always_private(&self, slots: &Slots) -> bool {
        self.slot()
            .is_some_and(|slot| slots.privacy(slot) == Privacy::Always)
    }
}

/// The memory traffic of a function, with the function.
pub struct Memory<'a> {
    /// The function.
    pub func: &'a Function,
    /// What the embedder knows.
    pub policy: &'a dyn Policy,
    pub(super) traffic: Box<Traffic>,
}

/// The memory traffic of a function, without the function.
#[derive(Default)]
pub struct Traffic {
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
    pub(super) untagged_stores: bool,
    /// Are there [transfers](EventKind::Transfer)?
    pub has_transfers: bool,
    pub(super) regions: Regions,
    pub(super) foreign: SecondaryMap<Value, Foreign>,
    pub(super) numbering: Numbering,
    /// The pointers that are one of several.
    pub translations: Translations,
}

impl Traffic {
    /// From now on another function is asked about.
    pub fn forget_function(&mut self) {
        self.regions.forget_function();
    }

    /// The instruction that an event is.
    pub fn inst(&self, event: EventIndex) -> Inst {
        self.events[event as usize].inst
    }

    /// The node of its block.
    pub fn node(&self, event: EventIndex) -> Node {
        self.events[event as usize].node
    }
}

impl Deref for Memory<'_> {
    type Target = Traffic;

    fn deref(&self) -> &Traffic {
        &self.traffic
    }
}

/// Can a value be the address of a slot?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Foreign {
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

impl<'a> Memory<'a> {
    /// The traffic of `func`, to which it has to belong.
    pub fn resume(func: &'a Function, policy: &'a dyn Policy, traffic: Box<Traffic>) -> Self {
        Self {
            func,
            policy,
            traffic,
        }
    }

    /// What is known, without the function.
    pub fn into_traffic(self) -> Box<Traffic> {
        self.traffic
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
            | EventKind::Transfer(_)
            | EventKind::Barrier
            | EventKind::Trap
            | EventKind::End
            | EventKind::Compare
            | EventKind::Escape => None,
        }
    }

    /// What the call of one of Cranelift's own functions does that an event is, if it is one.
    pub fn transfer(&self, event: EventIndex) -> Option<&Transfer> {
        match &self.events[event as usize].kind {
            EventKind::Transfer(transfer) => Some(transfer),
            EventKind::Access(_)
            | EventKind::Call(_)
            | EventKind::Barrier
            | EventKind::Trap
            | EventKind::End
            | EventKind::Compare
            | EventKind::Escape => None,
        }
    }

    /// The class of the private life of `slot`.
    pub fn slot_class(&self, slot: StackSlot) -> Class {
        let at = self.slots.used_at(slot);
        self.first_slot_class() + at.expect("the address of the slot is taken")
    }

    /// The class of `access`; that of its slot while that is `private`.
    pub fn class_of(&self, access: &Access, private: bool) -> Class {
        self.class_at(&access.location, access.class, private)
    }

    /// The class of an access of `class` to `location`; that of its slot while that is
    /// `private`.
    pub fn class_at(&self, location: &Location, class: Option<Class>, private: bool) -> Class {
        match location.slot() {
            Some(slot) if private => self.slot_class(slot),
            Some(_) | None => class.unwrap_or(ANY),
        }
    }

    /// The number of classes of regions and slots together.
    pub fn classes(&self) -> u32 {
        self.first_slot_class() + self.slots.used().len() as u32
    }

    /// The class of the first slot; those of the regions come before, and the others behind.
    fn first_slot_class(&self) -> Class {
        ANY + 1 + self.regions.data.len() as Class
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

    /// Is what the access finds the same throughout the function? It is `readonly`, so that
    /// only a store in this function changes what it reads, and one to a slot that it is
    /// none of does not.
    pub fn is_constant(&self, access: &Access) -> bool {
        access.readonly
            && access.slot().is_none()
            && access.class.is_some_and(|class| !self.is_stored(class))
    }

    /// Is `value` certainly no address of any slot?
    pub fn is_foreign(&self, value: Value) -> bool {
        match self.foreign[value] {
            Foreign::No => false,
            Foreign::Always => true,
            Foreign::UnlessStored(class) => !self.is_stored(class),
        }
    }

    /// Does `root` mean one address for the whole run of the function? `repeating` says which
    /// nodes may run more than once. `None` if its definition cannot be reached.
    pub fn is_steady(&self, root: Root, order: &Order, repeating: &[bool]) -> Option<bool> {
        Some(match self.meaning(root, order)? {
            Meaning::Always => true,
            Meaning::From(node) => !repeating[node as usize],
        })
    }

    /// Where `root` gets its meaning; `None` if its definition cannot be reached.
    pub fn meaning(&self, root: Root, order: &Order) -> Option<Meaning> {
        self.numbering.meaning(self.func, order, root)
    }

    /// Does `event` give the address of `slot` away?
    pub fn lets_go(&self, event: EventIndex, slot: StackSlot) -> bool {
        let inst = self.inst(event);
        self.slots.escapes_at(inst).contains(&slot)
    }

    /// The slot of which the comparison `inst` compares an address, the first if there are
    /// two.
    pub fn compared_slot(&self, inst: Inst) -> Option<StackSlot> {
        let dfg = &self.func.dfg;
        let mut args = dfg.inst_args(inst).iter();
        args.find_map(|arg| self.slots.address(dfg.resolve_aliases(*arg))?.root.slot())
    }

    /// How location `a` lies to `b`. Where one of them is in a slot,
    /// `slot_is_private` says whether at the later access nobody knows it.
    ///
    /// Both have to mean the same iteration of any loop around them.
    pub fn overlap(&self, a: &Location, b: &Location, slot_is_private: bool) -> Overlap {
        let (x, y) = (a.address.root, b.address.root);
        if x == y {
            return a.overlap_in_root(b, self.pointer_bits);
        }
        if let (Root::Value(_), Root::Value(_)) = (x, y) {
            return self.apart_behind_values(a, b);
        }
        match (x.slot(), y.slot()) {
            (None, None) => self.apart_behind_values(a, b),
            // An address that has left its slot may be anywhere.
            _ if self.slots.are_left => Overlap::Unknown,
            (Some(x), Some(y)) if x == y => match self.are_apart_in_slot(a, b) {
                true => Overlap::None,
                false => self.apart_behind_values(a, b),
            },
            (Some(_), Some(_)) => Overlap::None,
            (Some(_), None) | (None, Some(_)) => {
                let mut values = [x, y].into_iter().filter(|it| it.slot().is_none());
                let is_separate = |it: Root| it.value().is_none_or(|it| self.is_foreign(it));
                match slot_is_private || values.all(is_separate) {
                    true => Overlap::None,
                    false => Overlap::Unknown,
                }
            }
        }
    }

    /// Are two locations in one slot apart, by how far behind its start they may lie at most?
    fn are_apart_in_slot(&self, a: &Location, b: &Location) -> bool {
        let range = |location: &Location| {
            let (slot, value) = match location.address.root {
                Root::Slot(_) => return Some((location.address.offset?, location.end()?)),
                Root::InSlot(slot, value) => (slot, value),
                Root::Value(_) | Root::Shared(..) | Root::Absolute => return None,
            };
            let (in_slot, (least, most)) = bounds::in_slot(&self.func.dfg, &self.slots, value)?;
            let end = location.end()?.checked_add(most)?;
            let start = location.address.offset?.checked_add(least)?;
            (in_slot == slot).then_some((start, end))
        };
        match (range(a), range(b)) {
            (Some((start, end)), Some((other, other_end))) => end <= other || other_end <= start,
            _ => false,
        }
    }

    /// How two locations behind different values lie to each other.
    fn apart_behind_values(&self, a: &Location, b: &Location) -> Overlap {
        let dfg = &self.func.dfg;
        self.numbering.overlap(dfg, a, b, self.pointer_bits)
    }
}
