//! Where the world can find a slot whose address has escaped.
//!
//! Once the address of a slot has left the function, anybody may have kept it.
//! But an embedder can say of a region that the world forgets what it finds
//! there (`Policy::forgets_addresses`). A slot whose address this function
//! stores in such regions alone is *linked* where one of those locations may
//! still hold it, and nobody finds it anywhere else.
//!
//! A store of the address is followed in the direction of time until its
//! location is overwritten. A load that may find it makes another copy, which
//! is followed too if it is only stored, compared or accessed through; else
//! the slot counts as linked everywhere. What is loaded where nothing was found
//! to be linked is no address of the slot: whoever put one there would have
//! had to find it first.
//!
//! Where a branch has just found that a location holds something else, it does
//! not hold the address. A location inside of another slot is found only where
//! that one is.
//!
//! Cost: the events that the stores of addresses reach, up to
//! [`MAX_REACHED_PER_EVENT`] for each event of the function.

use crate::ir::condcodes::IntCC;
use crate::ir::{Inst, InstructionData, Opcode, StackSlot, Value};
use crate::memopt::call::summary::PointerUse;
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::inst::location::{Address, Location, Overlap};
use crate::memopt::memory::insts::{Access, EventIndex, EventKind, Memory};
use crate::memopt::memory::slot_escape::Privacy;
use crate::{FxHashMap, FxHashSet};
use alloc::vec::Vec;

/// Events, for each event of the function, that all links together may reach.
///
/// A record is published for the time of one call. A function in which many
/// links reach far has every slot linked everywhere.
const MAX_REACHED_PER_EVENT: usize = 16;

/// Slots inside of which a location may be found through others.
///
/// Records of nested adapters are linked to each other, one to the next.
const MAX_DEPTH: u32 = 8;

/// Which slots are linked where.
#[derive(Default)]
pub struct Links {
    /// The slots that have been followed; others are linked everywhere.
    followed: FxHashSet<StackSlot>,
    /// Linked by a location outside of slots.
    direct: FxHashSet<(StackSlot, EventIndex)>,
    /// Linked by a location inside of another slot.
    by_slot: FxHashMap<(StackSlot, EventIndex), Vec<StackSlot>>,
    private: FxHashSet<StackSlot>,
}

impl Links {
    /// Follows the addresses of all slots of a function.
    ///
    /// `reversed` is its graph against the edges, and `repeating` says which
    /// nodes may run more than once.
    pub fn new(memory: &Memory<'_>, order: &Order, reversed: &Graph, repeating: &[bool]) -> Self {
        let mut links = Self::default();
        let regions = memory.func.dfg.alias_regions.iter();
        let mut ids = regions.map(|(_, region)| region.user_id);
        if !ids.any(|id| memory.policy.forgets_addresses(id)) {
            return links;
        }
        let mut room = MAX_REACHED_PER_EVENT * memory.events.len();
        for slot in memory.slots.used() {
            match memory.slots.privacy(*slot) {
                Privacy::Always => {
                    links.private.insert(*slot);
                }
                Privacy::UntilEscape => {
                    let mut following = Following {
                        memory,
                        order,
                        reversed,
                        repeating,
                        links: &mut links,
                        slot: *slot,
                        address: None,
                        stores: Vec::new(),
                        seen: FxHashSet::default(),
                        copies: FxHashSet::default(),
                    };
                    if following.slot(&mut room).is_some() {
                        links.followed.insert(*slot);
                    }
                }
                Privacy::Never => {}
            }
        }
        links
    }

    /// Is it known where `slot` is linked?
    pub fn follows(&self, slot: StackSlot) -> bool {
        self.followed.contains(&slot)
    }

    /// May the world find `slot` at `event`?
    pub fn is_linked(&self, slot: StackSlot, event: EventIndex) -> bool {
        self.is_found(slot, event, MAX_DEPTH)
    }

    fn is_found(&self, slot: StackSlot, event: EventIndex, depth: u32) -> bool {
        if self.private.contains(&slot) {
            return false;
        }
        if depth == 0 || !self.follows(slot) || self.direct.contains(&(slot, event)) {
            return true;
        }
        let holders = self.by_slot.get(&(slot, event)).into_iter().flatten();
        { holders }.any(|holder| self.is_found(*holder, event, depth - 1))
    }
}

/// Is what `load` gives what `store` has put there, if they are of the same bytes and
/// nobody has written them in between? Half an address or one in the other byte order
/// is not equal to the address, though it is there.
fn gives_what_was_stored(store: &Access, load: &Access) -> bool {
    load.opcode == Opcode::Load
        && store.opcode == Opcode::Store
        && load.endianness == store.endianness
        && !load.asynchronous
}

/// The search for the links of one slot. `None` is that they are not known.
struct Following<'f, 'a> {
    memory: &'f Memory<'a>,
    order: &'f Order,
    reversed: &'f Graph,
    repeating: &'f [bool],
    links: &'f mut Links,
    slot: StackSlot,
    /// The one address in the slot that is stored, unless there are several.
    address: Option<Address>,
    /// Stores of the address that have to be followed.
    stores: Vec<EventIndex>,
    seen: FxHashSet<EventIndex>,
    /// Values that may be the address because they were loaded.
    copies: FxHashSet<Value>,
}

impl Following<'_, '_> {
    fn slot(&mut self, room: &mut usize) -> Option<()> {
        for event in 0..self.memory.events.len() as EventIndex {
            let inst = self.memory.inst(event);
            // A collector finds it by the stack map, and a callee because it is lent it.
            if let EventKind::Call(call) = &self.memory.events[event as usize].kind
                && call.use_of(self.slot) != PointerUse::default()
            {
                self.links.direct.insert((self.slot, event));
            }
            if self.memory.slots.escapes_at(inst).contains(&self.slot) {
                self.add(event)?;
            }
        }
        self.address = self.one_address();
        while let Some(store) = self.stores.pop() {
            self.follow(store, room)?;
        }
        Some(())
    }

    /// The address that all stores have in common, if it is one byte's.
    fn one_address(&self) -> Option<Address> {
        let addresses = self.stores.iter().map(|store| {
            let stored = self.memory.access(*store)?.stored?;
            self.memory.slots.address(stored)
        });
        let mut addresses = { addresses };
        let first = addresses.next()??;
        let same = addresses.all(|one| one == Some(first));
        (same && first.offset.is_some()).then_some(first)
    }

    /// Adds an event that lets the address go.
    fn add(&mut self, event: EventIndex) -> Option<()> {
        let memory = self.memory;
        let access = memory.access(event)?;
        let region = memory.func.dfg.alias_regions[access.region?].user_id;
        let known = access.stored.is_some()
            && access.location.bytes.is_some()
            && access.location.address.offset.is_some()
            && access.trap.is_none()
            && memory.policy.forgets_addresses(region)
            && self.is_steady(access);
        if !known {
            return None;
        }
        if self.seen.insert(event) {
            self.stores.push(event);
        }
        Some(())
    }

    fn is_steady(&self, access: &Access) -> bool {
        let root = access.location.address.root;
        self.memory.is_steady(root, self.order, self.repeating) == Some(true)
    }

    /// Marks what the store `link` reaches.
    fn follow(&mut self, link: EventIndex, room: &mut usize) -> Option<()> {
        let memory = self.memory;
        let node = memory.node(link);
        let mut entered: FxHashSet<Node> = FxHashSet::default();
        let mut work = Vec::new();
        let rest = link + 1..memory.of_node(node).end;
        if self.pass(link, rest, room)? {
            work.push(node);
        }
        while let Some(from) = work.pop() {
            let refuted = self.refuted(link, from);
            // Against the edges of the reversed graph.
            for to in self.reversed.preds(from) {
                let is_exit = *to as usize == self.order.len();
                if !is_exit
                    && Some(*to) != refuted
                    && entered.insert(*to)
                    && self.pass(link, memory.of_node(*to), room)?
                {
                    work.push(*to);
                }
            }
        }
        Some(())
    }

    fn is_address(&self, value: Value, address: Address) -> bool {
        self.memory.slots.address(value) == Some(address)
    }

    /// The successor of `from` at whose start the location of `link` does not hold
    /// what `link` has stored, since the branch has just compared the two.
    fn refuted(&self, link: EventIndex, from: Node) -> Option<Node> {
        let func = self.memory.func;
        let dfg = &func.dfg;
        let branch = func.layout.last_inst(self.order.block(from))?;
        let InstructionData::Brif { arg, blocks, .. } = dfg.insts[branch] else {
            return None;
        };
        let compare = dfg.value_def(dfg.resolve_aliases(arg)).inst()?;
        let InstructionData::IntCompare { cond, args, .. } = dfg.insts[compare] else {
            return None;
        };
        let unequal = match cond {
            IntCC::Equal => 1,
            IntCC::NotEqual => 0,
            _ => return None,
        };
        let held = self.memory.access(link)?;
        let [x, y] = args.map(|arg| dfg.resolve_aliases(arg));
        let is_stored = |value| self.address.is_some_and(|one| self.is_address(value, one));
        let loaded = match (is_stored(x), is_stored(y)) {
            (true, false) => y,
            (false, true) => x,
            _ => return None,
        };
        // The last thing that concerns memory in this block.
        let mut events = self.memory.of_node(from).rev();
        let last = events.find(|event| {
            let kind = &self.memory.events[*event as usize].kind;
            !matches!(kind, EventKind::Compare)
        })?;
        let load = self.memory.access(last)?;
        let is_it = gives_what_was_stored(held, load)
            && dfg.first_result(self.memory.inst(last)) == loaded
            && load.class == held.class
            && self.memory.overlap(&load.location, &held.location, false) == Overlap::Same;
        let target = |at: usize| self.order.node(blocks[at].block(&dfg.value_lists));
        (is_it && target(0) != target(1)).then(|| target(unequal))?
    }

    /// Marks `events`, which follow each other in one block, up to one that
    /// overwrites the location of `link`; is there none?
    fn pass(
        &mut self,
        link: EventIndex,
        events: core::ops::Range<EventIndex>,
        room: &mut usize,
    ) -> Option<bool> {
        let memory = self.memory;
        let held = memory.access(link)?;
        for event in events {
            *room = room.checked_sub(1)?;
            match &memory.events[event as usize].kind {
                EventKind::Access(access) => {
                    let overlap = memory.overlap(&access.location, &held.location, false);
                    let one_class = access.class == held.class;
                    if access.stored.is_some() && one_class && overlap.covers() {
                        return Some(false);
                    }
                    let other_class = access.class.is_some() && !one_class;
                    if access.stored.is_none() && !other_class && overlap != Overlap::None {
                        self.copy(memory.inst(event), room)?;
                    }
                    if access.trap.is_some() {
                        self.mark(event, held);
                    }
                }
                EventKind::Transfer(transfer) => {
                    let finds = |location: &Location| {
                        memory.overlap(location, &held.location, false) != Overlap::None
                    };
                    // What is copied is not followed.
                    if transfer.reads.iter().any(finds) {
                        return None;
                    }
                }
                EventKind::Barrier => {
                    self.mark(event, held);
                    // An atomic load may find it as well.
                    let inst = memory.inst(event);
                    if !memory.func.dfg.inst_results(inst).is_empty() {
                        self.copy(inst, room)?;
                    }
                }
                EventKind::Call(call)
                    if { held.slot() }.is_some_and(|slot| !call.use_of(slot).reads.is_none()) =>
                {
                    // The callee finds it in the slot that it is lent.
                    self.links.direct.insert((self.slot, event));
                }
                EventKind::Call(_) | EventKind::Trap | EventKind::End => {
                    self.mark(event, held);
                }
                EventKind::Compare | EventKind::Escape => {}
            }
        }
        Some(true)
    }

    fn mark(&mut self, event: EventIndex, held: &Access) {
        match held.slot() {
            None => {
                self.links.direct.insert((self.slot, event));
            }
            Some(holder) => {
                let holders = self.links.by_slot.entry((self.slot, event)).or_default();
                if !holders.contains(&holder) {
                    holders.push(holder);
                }
            }
        }
    }

    /// The load `inst` may give the address.
    fn copy(&mut self, inst: Inst, room: &mut usize) -> Option<()> {
        let mut work = alloc::vec![self.memory.func.dfg.first_result(inst)];
        while let Some(value) = work.pop() {
            if self.copies.insert(value) {
                *room = room.checked_sub(self.memory.events.len())?;
                self.uses(value, &mut work)?;
            }
        }
        Some(())
    }

    /// Looks at what is done with `value`, which may be the address; adds
    /// parameters that it is passed to.
    fn uses(&mut self, value: Value, work: &mut Vec<Value>) -> Option<()> {
        let memory = self.memory;
        let func = memory.func;
        for event in 0..memory.events.len() as EventIndex {
            if let Some(access) = memory.access(event)
                && access.stored == Some(value)
            {
                self.add(event)?;
            }
        }
        let insts = self.order.blocks().iter();
        for inst in insts.flat_map(|block| func.layout.block_insts(*block)) {
            let dfg = &func.dfg;
            let is_harmless = matches!(
                dfg.insts[inst],
                InstructionData::Load { .. }
                    | InstructionData::Store { .. }
                    | InstructionData::IntCompare { .. }
            );
            let mut args = dfg.inst_args(inst).iter();
            if !is_harmless && args.any(|arg| dfg.resolve_aliases(*arg) == value) {
                return None;
            }
            if dfg.insts[inst].exception_table().is_some()
                && dfg
                    .inst_values(inst)
                    .any(|used| dfg.resolve_aliases(used) == value)
            {
                return None;
            }
            for_each_block_arg(func, inst, |param, arg| {
                if arg.is_some_and(|arg| dfg.resolve_aliases(arg) == value) {
                    work.push(param);
                }
            });
        }
        Some(())
    }
}
