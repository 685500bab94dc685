//! Everybody but the program: the host, the collector, other threads.
//!
//! The world is as curious and as destructive as the contract lets it be. At
//! each event it looks at all memory that it can reach, and then fills it with
//! noise, unless it is [`Temper::Quiet`]. What it does depends on the event's ordinal and on what it may look
//! at, so that two runs with equal traces meet the same world.

use crate::arith;
use crate::heap::Owner;
use crate::layout::{self, HOMES, Place, VMCTX};
use crate::machine::Inputs;
use crate::memory::Memory;
use crate::noise::{mix, mix_bytes};
use crate::trace::{Event, Snapshot};
use cranelift_codegen::ir::{
    Block, BlockArg, Endianness, Function, Inst, InstructionData, Opcode, TrapCode, Value, ValueDef,
};
use cranelift_memopt::{CalleeName, Policy, RegionSet, Summary};
use memopt_policy::DeclaredPolicy;
use std::collections::{BTreeSet, HashMap};

/// The trap with which the host ends a program.
pub const HOST_TRAP: u8 = 99;

/// Which region a slot belongs to, by function and slot; `None` if its direct
/// accesses do not agree. A host that is confined to some regions sees no other
/// slots.
pub type SlotRegions = HashMap<(usize, u32), Option<u32>>;

/// Finds the regions of the slots of all functions.
pub fn slot_regions(functions: &[Function], policy: &DeclaredPolicy) -> SlotRegions {
    let mut found = SlotRegions::new();
    for (index, func) in functions.iter().enumerate() {
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                let Some((slots, region)) = tagged_slot_access(func, inst) else {
                    continue;
                };
                for slot in slots {
                    let region = Some(policy.representative(region));
                    let entry = found.entry((index, slot)).or_insert(region);
                    if *entry != region {
                        *entry = None;
                    }
                }
            }
        }
    }
    found
}

/// The slots that an access may be to, by a sum, a choice or a parameter of a
/// block, and its region.
fn tagged_slot_access(func: &Function, inst: Inst) -> Option<(BTreeSet<u32>, u32)> {
    let (address, flags) = match func.dfg.insts[inst] {
        InstructionData::Load { arg, flags, .. } => (arg, flags),
        InstructionData::Store { args, flags, .. } => (args[1], flags),
        _ => return None,
    };
    let region = func.dfg.mem_flags[flags].alias_region()?;
    let region = func.dfg.alias_regions[region].user_id;
    let mut slots = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut work = vec![address];
    while let Some(value) = work.pop() {
        let value = func.dfg.resolve_aliases(value);
        if !seen.insert(value) {
            continue;
        }
        match func.dfg.value_def(value) {
            ValueDef::Result(inst, _) => match func.dfg.insts[inst] {
                InstructionData::StackAddr { stack_slot, .. } => {
                    slots.insert(stack_slot.as_u32());
                }
                InstructionData::Binary {
                    opcode: Opcode::Iadd | Opcode::Isub,
                    args,
                } => work.extend(args),
                InstructionData::Ternary { args, .. } => work.extend(&args[1..]),
                _ => {}
            },
            ValueDef::Param(block, position) => passed(func, block, position, &mut work),
            ValueDef::Union(..) => {}
        }
    }
    Some((slots, region))
}

/// Adds what branches pass to a parameter of `block`.
fn passed(func: &Function, block: Block, position: usize, values: &mut Vec<Value>) {
    let dfg = &func.dfg;
    let ends = func.layout.blocks();
    for end in ends.filter_map(|block| func.layout.last_inst(block)) {
        let calls = dfg.insts[end].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        let calls = calls
            .iter()
            .filter(|call| call.block(&dfg.value_lists) == block);
        for call in calls {
            if let Some(BlockArg::Value(value)) = call.args(&dfg.value_lists).nth(position) {
                values.push(value);
            }
        }
    }
}

/// What becomes of an address that the world comes upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    /// It may use it ever after.
    Kept,
    /// It uses it at the time, and not again (see `Policy::forgets_addresses`).
    Forgotten,
}

/// What somebody may look at: homes, and slots by frame and number.
struct View<'v, 'w> {
    home: &'v dyn Fn(&World<'w>, usize) -> bool,
    slot: &'v dyn Fn(&World<'w>, (u32, u32)) -> bool,
}

/// What a call of the host comes to.
pub enum Reply {
    /// It returns.
    Return(u64),
    /// It throws: tag and payload.
    Throw(u32, u64),
    /// It ends the program.
    Trap(TrapCode),
}

/// What the world does when it may do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Nothing: it looks, returns zero, and changes no memory.
    Quiet,
    /// All that it may.
    Destructive,
}

/// The world, and what it has seen.
pub struct World<'a> {
    temper: Temper,
    policy: &'a DeclaredPolicy,
    slot_regions: &'a SlotRegions,
    seed: u64,
    /// How many objects the heap has.
    objects: usize,
    ordinal: u64,
    /// Slots whose address the world has seen where it does not forget it.
    known: Vec<(u32, u32)>,
    /// Those that it has found when it looked last, the known ones included.
    found: Vec<(u32, u32)>,
    /// Slots that a trap hides.
    lost: BTreeSet<(u32, u32)>,
    /// What has happened.
    pub events: Vec<Event>,
}

impl<'a> World<'a> {
    /// A world that has seen nothing yet.
    pub fn new(
        policy: &'a DeclaredPolicy,
        slot_regions: &'a SlotRegions,
        inputs: &Inputs,
        temper: Temper,
    ) -> Self {
        Self {
            temper,
            policy,
            slot_regions,
            seed: inputs.seed,
            objects: inputs.heap.objects.len(),
            ordinal: 0,
            known: Vec::new(),
            found: Vec::new(),
            lost: inputs.lost.clone(),
            events: Vec::new(),
        }
    }

    /// The memory that a tag stands for.
    pub fn representative(&self, tag: u32) -> u32 {
        self.policy.representative(tag)
    }

    /// Does the memory at `place`, if in no slot, belong to this region?
    pub fn owns(&self, tag: u32, place: Option<Place>) -> bool {
        let home = match place {
            Some(Place::Home(home, _)) => home as u32,
            Some(Place::ReadOnly(_)) => layout::READ_ONLY,
            Some(Place::Asynchronous) => layout::ASYNCHRONOUS,
            Some(Place::Slot(..) | Place::Heap(..)) | None => return true,
        };
        self.policy.representative(tag) == self.policy.representative(home)
    }

    /// Is memory with this tag accessed by the world at any time?
    pub fn is_asynchronous(&self, tag: u32) -> bool {
        self.policy.is_asynchronous(tag)
    }

    /// Does this world leave all memory as it is?
    pub fn is_quiet(&self) -> bool {
        self.temper == Temper::Quiet
    }

    /// The host function `name` is called.
    pub fn host(&mut self, memory: &mut Memory, name: &CalleeName, args: &[u128]) -> Reply {
        let declared = self.policy.callee(name);
        self.host_as(memory, name, args, declared)
    }

    /// The host function `name` is called, of which the policy says `declared`.
    fn host_as(
        &mut self,
        memory: &mut Memory,
        name: &CalleeName,
        args: &[u128],
        declared: Option<Summary>,
    ) -> Reply {
        let confined = declared.is_some() || *name == layout::loaded_host();
        let summary = declared
            .or_else(|| self.loaded(name))
            .unwrap_or_else(Summary::opaque);
        let seen = self.look(memory, summary.reads(), args);
        let noise = if confined {
            // What a confined function does is a function of what it sees.
            self.hash(name, args, &seen)
        } else {
            self.next_noise()
        };
        self.events.push(Event::Host {
            name: name.clone(),
            args: args.to_vec(),
            memory: seen,
        });
        if self.is_quiet() {
            return Reply::Return(0);
        }
        if summary.may_trap() && noise % 29 == 1 {
            self.scribble(memory, summary.touches(), noise);
            return Reply::Trap(TrapCode::unwrap_user(HOST_TRAP));
        }
        if summary.may_unwind() && noise % 3 == 2 {
            self.scribble(memory, summary.touches(), noise);
            return Reply::Throw((noise >> 8) as u32 % 3, noise >> 16);
        }
        self.scribble(memory, summary.writes(), noise);
        Reply::Return(self.word(mix(noise, 77)))
    }

    /// What the policy says of a function that is reached through
    /// [`layout::FUNCTION_CELL`] alone.
    fn loaded(&self, name: &CalleeName) -> Option<Summary> {
        if *name != layout::loaded_host() {
            return None;
        }
        self.policy.indirect_callee(&cranelift_memopt::Origin {
            loads: vec![(layout::READ_ONLY, layout::FUNCTION_CELL.into())],
            function: None,
        })
    }

    /// The program executes an instruction at which the world may do anything.
    pub fn point(&mut self, memory: &mut Memory, what: &'static str) {
        let seen = self.look(memory, &RegionSet::all(), &[]);
        self.events.push(Event::Point { what, memory: seen });
        let noise = self.next_noise();
        self.scribble(memory, &RegionSet::all(), noise);
    }

    /// The collector visits a cell, and moves what it refers to.
    pub fn collect(&mut self, memory: &mut Memory, address: u64, bytes: usize) {
        let found = memory.read(address, bytes, Endianness::Little);
        self.events.push(Event::Collect {
            address,
            bytes: found.to_le_bytes()[..bytes].to_vec(),
        });
        if self.is_quiet() {
            return;
        }
        let noise = self.next_noise();
        let moved = found ^ u128::from(noise);
        memory.write(address, bytes, Endianness::Little, moved);
    }

    /// A load from asynchronous memory, and what it finds there this time.
    pub fn asynchronous_load(&mut self, address: u64, bytes: usize) -> u128 {
        self.events.push(Event::AsynchronousLoad { address, bytes });
        let noise = self.next_noise();
        let noise = u128::from(noise) << 64 | u128::from(mix(noise, 1));
        arith::mask(noise, 8 * bytes as u32)
    }

    /// A store to asynchronous memory.
    pub fn asynchronous_store(&mut self, address: u64, bytes: Vec<u8>) {
        self.events
            .push(Event::AsynchronousStore { address, bytes });
    }

    /// The memory that a caller finds after a normal return.
    pub fn at_return(&mut self, memory: &Memory) -> Box<Snapshot> {
        Box::new(self.look(memory, &RegionSet::all(), &[]))
    }

    /// The memory that is seen after a trap or an uncaught exception.
    pub fn at_trap(&mut self, memory: &Memory) -> Box<Snapshot> {
        let survives =
            |world: &World<'a>, home: usize| home == 0 || world.home_survives(home as u32);
        let heap = self.heap(memory, &|owner| {
            owner
                .region
                .is_none_or(|region| self.policy.survives_trap(region))
        });
        let view = View {
            home: &survives,
            slot: &|world, slot| !world.lost.contains(&slot),
        };
        Box::new(self.look_at(memory, &view, &[], heap))
    }

    fn home_survives(&self, home: u32) -> bool {
        let mut tags = [home, layout::JOINED].into_iter();
        let same = |tag: &u32| self.policy.representative(*tag) == self.policy.representative(home);
        tags.any(|tag| same(&tag) && self.policy.survives_trap(tag))
    }

    fn next_noise(&mut self) -> u64 {
        self.ordinal += 1;
        mix(self.seed, self.ordinal)
    }

    fn hash(&self, name: &CalleeName, args: &[u128], seen: &Snapshot) -> u64 {
        let mut hash = mix(self.seed, layout::function_address(name));
        for arg in args {
            hash = mix(hash, *arg as u64);
        }
        for home in seen.homes.iter().flatten() {
            hash = mix_bytes(hash, home);
        }
        for (address, bytes) in seen.slots.iter().chain(&seen.heap) {
            hash = mix_bytes(mix(hash, *address), bytes);
        }
        hash
    }

    /// Is this home in the set?
    fn contains(&self, set: &RegionSet, home: usize) -> bool {
        match set.ids() {
            None => true,
            Some(ids) => {
                let home = self.policy.representative(home as u32);
                ids.iter()
                    .any(|id| self.policy.representative(*id) == home && home != 0)
            }
        }
    }

    fn contains_slot(&self, memory: &Memory, set: &RegionSet, (frame, slot): (u32, u32)) -> bool {
        if set.is_all() {
            return true;
        }
        let region = self.slot_region(memory, (frame, slot));
        region.is_some_and(|region| self.contains(set, region as usize))
    }

    fn slot_region(&self, memory: &Memory, (frame, slot): (u32, u32)) -> Option<u32> {
        let mut frames = memory.frames.iter();
        let frame = frames.find(|f| f.ordinal == frame)?;
        let region = self.slot_regions.get(&(frame.function, slot));
        region.copied().flatten()
    }

    /// Does a trap lose what is written under this tag?
    pub fn is_lost_at_trap(&self, tag: u32) -> bool {
        let mut names = [tag, self.policy.representative(tag)].into_iter();
        !names.any(|name| self.policy.survives_trap(name))
    }

    /// Is a byte of the heap with this owner in the set?
    fn contains_owner(&self, set: &RegionSet, owner: &Owner) -> bool {
        let Some(ids) = set.ids() else {
            return true;
        };
        let mut ids = ids.iter();
        let same = |region| ids.any(|id| self.policy.representative(*id) == region);
        owner.region.is_some_and(same)
    }

    /// The heap, as somebody sees it who sees the bytes of some owners.
    fn heap(&self, memory: &Memory, sees: &dyn Fn(&Owner) -> bool) -> Vec<(u64, Vec<u8>)> {
        let objects = memory.heap.objects.iter().enumerate();
        objects
            .map(|(index, object)| {
                let bytes = object.bytes.iter().zip(&object.owners);
                let bytes = bytes.map(|(byte, owner)| if sees(owner) { *byte } else { 0 });
                (layout::object_address(index), bytes.collect())
            })
            .collect()
    }

    /// What somebody sees who may look at the regions of `set`, and who has
    /// been given `args`. The world remembers the slots that come to light.
    fn look(&mut self, memory: &Memory, set: &RegionSet, args: &[u128]) -> Snapshot {
        let heap = self.heap(memory, &|owner| self.contains_owner(set, owner));
        let view = View {
            home: &|world, home| world.contains(set, home),
            slot: &|world, slot| world.contains_slot(memory, set, slot),
        };
        self.look_at(memory, &view, args, heap)
    }

    /// The same, for what `view` names and the heap as it is given.
    fn look_at(
        &mut self,
        memory: &Memory,
        view: &View<'_, 'a>,
        args: &[u128],
        heap: Vec<(u64, Vec<u8>)>,
    ) -> Snapshot {
        self.known
            .retain(|(frame, slot)| memory.slot(*frame, *slot).is_some());
        self.found.clone_from(&self.known);
        for frame in &memory.frames {
            for slot in &frame.named {
                let address = layout::slot_address(frame.ordinal, *slot);
                self.learn(memory, address, Keeping::Kept);
            }
        }
        for arg in args {
            self.learn(memory, *arg as u64, Keeping::Kept);
        }
        let mut homes = [None; HOMES];
        for (home, bytes) in homes.iter_mut().enumerate() {
            if (view.home)(self, home) {
                *bytes = Some(memory.homes[home]);
                let keeping = self.keeping(home as u32);
                self.learn_from(memory, &memory.homes[home], keeping);
            }
        }
        for ((_, bytes), object) in heap.iter().zip(&memory.heap.objects) {
            self.learn_from_heap(memory, bytes, &object.owners);
        }
        let mut slots = Vec::new();
        let mut at = 0;
        while let Some((frame, slot)) = self.found.get(at).copied() {
            at += 1;
            if !(view.slot)(self, (frame, slot)) {
                continue;
            }
            if let Some(bytes) = memory.slot(frame, slot) {
                let keeping = self.keeping_in_slot(memory, (frame, slot));
                self.learn_from(memory, bytes, keeping);
                slots.push((layout::slot_address(frame, slot), bytes.clone()));
            }
        }
        slots.sort_unstable();
        // One order, whichever way they came to light.
        self.known.sort_unstable();
        self.found.sort_unstable();
        Snapshot { homes, slots, heap }
    }

    /// Does the world keep the addresses that it finds in this home?
    fn keeping(&self, home: u32) -> Keeping {
        let _ = home;
        Keeping::Kept
    }

    /// The same, in a slot. Of one whose region is not known it keeps nothing if
    /// there is anything that it forgets.
    fn keeping_in_slot(&self, memory: &Memory, slot: (u32, u32)) -> Keeping {
        match self.slot_region(memory, slot) {
            Some(region) => self.keeping(region),
            None => {
                let mut homes = 0..HOMES as u32;
                let forgets = homes.find(|home| self.keeping(*home) == Keeping::Forgotten);
                forgets.map_or(Keeping::Kept, |_| Keeping::Forgotten)
            }
        }
    }

    /// The same, in an object of the heap: it forgets what the owner of one of the
    /// bytes forgets.
    fn learn_from_heap(&mut self, memory: &Memory, bytes: &[u8], owners: &[Owner]) {
        for (word, owners) in bytes.windows(8).zip(owners.windows(8)) {
            let _ = owners;
            self.learn_from(memory, word, Keeping::Kept);
        }
    }

    fn learn_from(&mut self, memory: &Memory, bytes: &[u8], keeping: Keeping) {
        for window in bytes.windows(8) {
            let word = u64::from_le_bytes([
                window[0], window[1], window[2], window[3], window[4], window[5], window[6],
                window[7],
            ]);
            self.learn(memory, word, keeping);
        }
    }

    fn learn(&mut self, memory: &Memory, address: u64, keeping: Keeping) {
        let Some(Place::Slot(frame, slot, byte)) = layout::place(address) else {
            return;
        };
        let is_there = memory.slot(frame, slot);
        if is_there.is_none_or(|bytes| byte > bytes.len()) {
            return;
        }
        let slot = (frame, slot);
        if !self.found.contains(&slot) {
            self.found.push(slot);
        }
        if keeping == Keeping::Kept && !self.known.contains(&slot) {
            self.known.push(slot);
        }
    }

    /// Fills what the world may write with noise.
    fn scribble(&mut self, memory: &mut Memory, set: &RegionSet, noise: u64) {
        if self.is_quiet() {
            return;
        }
        self.scribble_on_heap(memory, set, noise);
        for home in 0..HOMES {
            if self.contains(set, home) {
                let mut bytes = memory.homes[home];
                self.scribble_on(&mut bytes, mix(noise, home as u64));
                memory.homes[home] = bytes;
            }
        }
        for at in 0..self.found.len() {
            let (frame, slot) = self.found[at];
            if !self.contains_slot(memory, set, (frame, slot)) {
                continue;
            }
            let found = memory.frames.iter_mut().find(|f| f.ordinal == frame);
            if let Some(frame) = found {
                let mut bytes = core::mem::take(&mut frame.slots[slot as usize]);
                let address = layout::slot_address(frame.ordinal, slot);
                self.scribble_on(&mut bytes, mix(noise, address));
                frame.slots[slot as usize] = bytes;
            }
        }
    }

    fn scribble_on_heap(&self, memory: &mut Memory, set: &RegionSet, noise: u64) {
        for (index, object) in memory.heap.objects.iter_mut().enumerate() {
            let old = object.bytes.clone();
            self.scribble_on(&mut object.bytes, mix(noise, layout::object_address(index)));
            let bytes = object.bytes.iter_mut().zip(old).zip(&object.owners);
            for ((byte, old), owner) in bytes {
                if owner.constant || !self.contains_owner(set, owner) {
                    *byte = old;
                }
            }
        }
    }

    fn scribble_on(&self, bytes: &mut [u8], noise: u64) {
        for (cell, bytes) in bytes.chunks_mut(8).enumerate() {
            let noise = mix(noise, cell as u64);
            if noise & 1 == 0 {
                let word = self.word(noise >> 1).to_le_bytes();
                bytes.copy_from_slice(&word[..bytes.len()]);
            }
        }
    }

    /// A word that the world may come up with: small, large, or a pointer to
    /// something that it knows.
    fn word(&self, noise: u64) -> u64 {
        let pick = noise >> 8;
        match noise % 8 {
            0..3 => pick % 8,
            3 | 4 => mix(noise, 3),
            5 if self.objects > 0 => {
                layout::object_address(pick as usize % self.objects) + 8 * (pick >> 8 & 3)
            }
            5 => VMCTX + layout::home(pick as usize % HOMES) + 8 * (pick >> 8 & 3),
            _ if self.known.is_empty() => 0,
            _ => {
                let (frame, slot) = self.known[pick as usize % self.known.len()];
                layout::slot_address(frame, slot) + 8 * (pick >> 32 & 1)
            }
        }
    }
}
