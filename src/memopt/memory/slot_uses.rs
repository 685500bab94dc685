//! What is done to private stack slots, in order.
//!
//! A list for whoever wants to give slots other places in the frame: all accesses of the slots that
//! nobody outside knows, and where one of them has to be told from others.

use crate::entity::SecondaryMap;
use crate::ir::{AliasRegion, Function, Inst, InstructionData, StackSlot};
use crate::memopt::call::extent::Extent;
use crate::memopt::call::summary::PointerUse;
use crate::memopt::cfg::graph::Node;
use crate::memopt::inst::effect::{Access, Place};
use crate::memopt::inst::transfer::Transfer;
use crate::memopt::memory::slot_escape::Slots;
use alloc::vec::Vec;

/// Bytes of a slot, from the first up to that behind the last.
pub type Bytes = (u32, u32);

/// What one instruction does to one slot.
#[derive(Clone, Copy, Debug)]
pub struct SlotUse {
    /// The instruction.
    pub inst: Inst,
    /// The node of its block.
    pub node: Node,
    /// The slot.
    pub slot: StackSlot,
    /// Which bytes; `None` if that is not known, or if a callee may touch any.
    pub bytes: Option<Bytes>,
    /// May it read them?
    pub reads: bool,
    /// May it write them? If it reads as well, in any order.
    pub writes: bool,
    /// Does it overwrite all of them, if it is known which they are?
    pub surely: bool,
}

/// What is done to some bytes.
#[derive(Clone, Copy)]
struct Does {
    reads: bool,
    writes: bool,
    surely: bool,
}

impl Does {
    const NOTHING: Self = Self {
        reads: false,
        writes: false,
        surely: false,
    };
    const READ: Self = Self {
        reads: true,
        ..Self::NOTHING
    };
    /// They are overwritten, or put back.
    const MAY_WRITE: Self = Self {
        writes: true,
        ..Self::NOTHING
    };
    const WRITE: Self = Self {
        surely: true,
        ..Self::MAY_WRITE
    };
}

/// What the accesses of a slot say about where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tag {
    /// There are none.
    #[default]
    Nothing,
    /// All of them this region, or that it may be in any.
    Region(Option<AliasRegion>),
    /// They differ, or promise more than that.
    Several,
}

impl Tag {
    /// What those of both say.
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, tag) | (tag, Self::Nothing) => tag,
            _ if self == other => self,
            _ => Self::Several,
        }
    }

    fn of(access: &Access) -> Self {
        match access.flags.readonly() || access.flags.can_move() {
            true => Self::Several,
            false => Self::Region(access.region()),
        }
    }
}

/// The uses of the slots of a function that are always private.
pub struct SlotUses {
    /// In reverse postorder; of one instruction those that only read come first.
    pub uses: Vec<SlotUse>,
    /// The slots that can only be what they are: a stack map names them, or their addresses are
    /// compared with something else than their own.
    pub fixed: SecondaryMap<StackSlot, bool>,
    /// What the plain accesses of each slot say.
    pub tags: SecondaryMap<StackSlot, Tag>,
    /// Slots that one instruction is given the addresses of, and which one.
    pub together: Vec<(StackSlot, StackSlot, Inst)>,
    /// The `stack_addr` of each slot.
    pub addresses: Vec<(StackSlot, Inst)>,
}

impl SlotUses {
    /// Lists them. `slots` are those of `func`.
    ///
    /// Cost: O(instructions that are [concerned](Slots::concerned)).
    pub fn new(func: &Function, slots: &Slots) -> Self {
        let mut this = Self {
            uses: Vec::new(),
            fixed: SecondaryMap::new(),
            tags: SecondaryMap::new(),
            together: Vec::new(),
            addresses: Vec::new(),
        };
        // Edits may have removed some since the list was made.
        let concerned = slots.concerned().iter();
        for concerned in concerned.filter(|it| func.layout.inst_block(it.inst).is_some()) {
            let (node, inst) = (concerned.node, concerned.inst);
            match slots.access(concerned) {
                Some(access) => {
                    let does = match access.stored {
                        Some(_) => Does::WRITE,
                        None => Does::READ,
                    };
                    if let Some((slot, _)) = slots.private(access.address) {
                        let tag = &mut this.tags[slot];
                        *tag = tag.join(Tag::of(access));
                    }
                    this.touch(slots, (node, inst), access.place(), does);
                }
                None => this.other(func, slots, node, inst),
            }
        }
        this
    }

    fn touch(&mut self, slots: &Slots, at: (Node, Inst), place: Place, does: Does) {
        if let Some((slot, bytes)) = private_bytes(slots, place) {
            self.note(at, slot, bytes, does);
        }
    }

    fn note(
        &mut self,
        (node, inst): (Node, Inst),
        slot: StackSlot,
        bytes: Option<Bytes>,
        does: Does,
    ) {
        let Does {
            reads,
            writes,
            surely,
        } = does;
        self.uses.push(SlotUse {
            inst,
            node,
            slot,
            bytes,
            reads,
            writes,
            surely,
        });
    }

    /// What an instruction does that is no plain access.
    fn other(&mut self, func: &Function, slots: &Slots, node: Node, inst: Inst) {
        match func.dfg.insts[inst] {
            InstructionData::StackAddr { stack_slot, .. } => {
                self.addresses.push((stack_slot, inst));
                return;
            }
            InstructionData::IntCompare { args, .. } => {
                let [x, y] = args.map(|arg| slots.private(arg).map(|(slot, _)| slot));
                if x != y {
                    for slot in [x, y].into_iter().flatten() {
                        self.fixed[slot] = true;
                    }
                }
                return;
            }
            _ => {}
        }
        if let Some(transfer) = Transfer::of(func, inst) {
            for range in transfer.read() {
                self.touch(slots, (node, inst), Place::of_range(range), Does::READ);
            }
            if let Some(range) = transfer.written() {
                self.touch(slots, (node, inst), Place::of_range(range), Does::WRITE);
            }
            let pointers = transfer.pointers().iter();
            let slots = pointers.filter_map(|pointer| slots.private(*pointer));
            self.tell_apart(inst, slots.map(|(slot, _)| slot).collect());
        }
        let lent = slots.lent_at(inst);
        for (slot, usage) in lent {
            let size = func.sized_stack_slots[*slot].size;
            self.lend((node, inst), *slot, size, usage);
        }
        self.tell_apart(inst, lent.iter().map(|(slot, _)| *slot).collect());
        for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
            self.fixed[entry.slot] = true;
        }
    }

    /// What a callee does to a slot of `size` bytes that it is lent: it reads what it asks for, may
    /// write what it says, and, if it returns, has overwritten some bytes for sure, none of which it has
    /// read before. Where it does not return, nobody sees a private slot again.
    fn lend(&mut self, at: (Node, Inst), slot: StackSlot, size: u32, usage: &PointerUse) {
        if let Some(bytes) = touched(usage.reads, size) {
            self.note(at, slot, bytes, Does::READ);
        }
        // It counts as an access of all of it in any case.
        self.note(at, slot, None, Does::NOTHING);
        if let Some(bytes) = touched(usage.writes, size) {
            self.note(at, slot, bytes, Does::MAY_WRITE);
        }
        let overwritten = usage.overwrites.ranges();
        for bytes in overwritten.filter_map(|range| within(range, size)) {
            self.note(at, slot, Some(bytes), Does::WRITE);
        }
    }

    /// Who is given the addresses of `slots` may compare them, and write one while it reads another.
    fn tell_apart(&mut self, inst: Inst, slots: Vec<StackSlot>) {
        for (at, slot) in slots.iter().enumerate() {
            let others = slots[..at].iter().filter(|other| *other != slot);
            self.together
                .extend(others.map(|other| (*slot, *other, inst)));
        }
    }
}

/// The slot that `place` is in, if it is always private, and which of its bytes are meant, if that is
/// known.
pub fn private_bytes(slots: &Slots, place: Place) -> Option<(StackSlot, Option<Bytes>)> {
    let (slot, offset) = slots.private(place.address)?;
    let start = offset.and_then(|at| u32::try_from(at + i64::from(place.offset)).ok());
    // What is known to lie in the slot fits into it, or no slot were private.
    let bytes = start.and_then(|start| Some((start, start.checked_add(place.bytes?)?)));
    Some((slot, bytes))
}

/// The bytes of a slot of `size` bytes that a callee may touch; `None` if there are none. All of it may
/// lie outside, where it is never accessed.
fn touched(extent: Extent, size: u32) -> Option<Option<Bytes>> {
    match extent.range() {
        Some(range) => within(range, size).map(Some),
        None => (!extent.is_none()).then_some(None),
    }
}

/// The bytes of a machine word, of which the frame gives a slot whole ones.
pub const WORD: u32 = 8;

/// To where an access may reach that begins in a slot of `size` bytes: to the end of its last word.
pub fn room(size: u32) -> u32 {
    size.checked_next_multiple_of(WORD).unwrap_or(size)
}

/// Those of so many bytes from `start` on that are in a slot of `size` bytes, or in its last word.
fn within((start, bytes): (i64, u32), size: u32) -> Option<Bytes> {
    let end = start.saturating_add(bytes.into());
    let room = i64::from(room(size));
    let (start, end) = (start.clamp(0, room), end.clamp(0, room));
    let found = u32::try_from(start).ok().zip(u32::try_from(end).ok());
    found.filter(|(start, end)| start < end)
}
