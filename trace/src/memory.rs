//! The bytes of homes and stack slots.

use crate::heap::Heap;
use crate::layout::{self, FUNCTION_CELL, HOME_BYTES, HOMES, Place, VMCTX};
use crate::noise::mix;
use crate::trace::Site;
use cranelift_codegen::ir::{DynamicStackSlot, Endianness, Function};

/// The slots of one frame.
pub struct Frame {
    /// The ordinal of the frame, which its addresses are made of.
    pub ordinal: u32,
    /// The index of its function.
    pub function: usize,
    /// The bytes of each slot.
    pub slots: Vec<Vec<u8>>,
    /// The region that each byte of each slot has been accessed under, or 0.
    pub regions: Vec<Vec<u32>>,
    /// Slots that the outside can name: those with a key, dynamic ones, and those
    /// that a debug tag names for the time of the tagged instruction.
    pub named: Vec<u32>,
    /// The instruction that the frame waits at, if it has a location or tags.
    pub site: Option<Site>,
}

impl Frame {
    /// Adds a slot that no instruction names, for a record that is passed by
    /// value; its address.
    pub fn add_slot(&mut self, bytes: Vec<u8>) -> u64 {
        let slot = self.slots.len() as u32;
        self.regions.push(vec![0; bytes.len()]);
        self.slots.push(bytes);
        layout::slot_address(self.ordinal, slot)
    }
}

/// The number of a dynamic slot among the slots of a frame of `func`: they follow
/// the sized ones.
pub fn dynamic_slot(func: &Function, slot: DynamicStackSlot) -> u32 {
    func.sized_stack_slots.len() as u32 + slot.as_u32()
}

/// The bytes of a machine word, at multiples of which slots begin.
const WORD: u32 = 8;

/// How many times as large as its base type a dynamic type is.
const DYNAMIC_SCALE: u32 = 1;

/// Memory, as far as it exists.
pub struct Memory {
    /// The homes.
    pub homes: [[u8; HOME_BYTES]; HOMES],
    /// The objects of the heap.
    pub heap: Heap,
    /// The memory that the world does not write.
    pub read_only: [u8; HOME_BYTES],
    /// The frames of functions that have not returned, the outermost first.
    pub frames: Vec<Frame>,
    next_frame: u32,
}

/// Where an access goes.
pub enum Reach {
    /// To bytes of this memory.
    Plain,
    /// To memory that the world accesses at any time.
    Asynchronous,
    /// To nowhere.
    Outside,
}

impl Memory {
    /// Memory at the begin of a run: homes filled from `seed`, and a heap.
    pub fn new(seed: u64, heap: Heap) -> Self {
        let mut homes = [[0; HOME_BYTES]; HOMES];
        for (home, bytes) in homes.iter_mut().enumerate() {
            for (cell, bytes) in bytes.chunks_mut(8).enumerate() {
                let noise = mix(seed, (home * 100 + cell) as u64);
                // Small numbers steer loops and branches, large ones do not.
                let noise = if noise & 1 == 0 { noise >> 61 } else { noise };
                bytes.copy_from_slice(&noise.to_le_bytes());
            }
        }
        Self {
            homes,
            heap,
            read_only: read_only(seed),
            frames: Vec::new(),
            next_frame: 0,
        }
    }

    /// Makes room for the slots of a function that begins; `false` if the layout has
    /// no addresses for so many, or for such large ones.
    pub fn push_frame(&mut self, function: usize, func: &Function) -> bool {
        let ordinal = self.next_frame;
        self.next_frame += 1;
        let sized = func.sized_stack_slots.values().map(|data| data.size);
        let dynamic = func.dynamic_stack_slots.values().map(|data| {
            let base = func.dfg.dynamic_types[data.dyn_ty].base_vector_ty;
            base.bytes() * DYNAMIC_SCALE
        });
        // A frame gives each slot whole words, and front ends copy records by words.
        let whole_words = |size: u32| size.next_multiple_of(WORD);
        let sizes: Vec<u32> = sized.chain(dynamic).map(whole_words).collect();
        if !layout::has_room(ordinal, &sizes) {
            return false;
        }
        // Whoever makes a value of a slot takes it for zero where nobody has written it.
        let slots: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0; *size as usize]).collect();
        let keyed = func.sized_stack_slots.iter();
        let keyed = keyed.filter(|(_, data)| data.key.is_some());
        let keyed = keyed.map(|(slot, _)| slot.as_u32());
        let dynamic = func.dynamic_stack_slots.keys();
        let dynamic = dynamic.map(|slot| dynamic_slot(func, slot));
        self.frames.push(Frame {
            ordinal,
            function,
            regions: slots.iter().map(|slot| vec![0; slot.len()]).collect(),
            slots,
            named: keyed.chain(dynamic).collect(),
            site: None,
        });
        true
    }

    /// Notes that bytes are accessed under a region; `false` if one of them has
    /// been accessed under another. Only slots and the heap are looked at.
    pub fn claim(&mut self, address: u64, bytes: usize, region: u32) -> bool {
        let (frame, slot, start) = match layout::place(address) {
            Some(Place::Slot(frame, slot, start)) => (frame, slot, start),
            Some(Place::Heap(object, start)) => {
                return self.heap.claim(object, start, bytes, region);
            }
            _ => return true,
        };
        let Some(at) = self.frame_index(frame) else {
            return true;
        };
        let owners = self.frames[at].regions.get_mut(slot as usize);
        let owners = owners.and_then(|owners| owners.get_mut(start..start + bytes));
        owners.is_none_or(|owners| {
            let free = owners.iter().all(|owner| *owner == 0 || *owner == region);
            owners.fill(region);
            free
        })
    }

    /// Where do all of `bytes` bytes at `address` lie?
    pub fn reach(&self, address: u64, bytes: usize) -> Reach {
        let Some(last) = address.checked_add(bytes as u64 - 1) else {
            return Reach::Outside;
        };
        match (layout::place(address), layout::place(last)) {
            (Some(Place::Asynchronous), Some(Place::Asynchronous)) => Reach::Asynchronous,
            (Some(Place::Home(a, _)), Some(Place::Home(b, _))) if a == b => Reach::Plain,
            (Some(Place::ReadOnly(a)), Some(Place::ReadOnly(b))) if b - a < bytes => Reach::Plain,
            (Some(Place::Heap(a, _)), Some(Place::Heap(b, last))) if a == b => {
                match self.heap.objects.get(a) {
                    Some(object) if last < object.bytes.len() => Reach::Plain,
                    Some(_) | None => Reach::Outside,
                }
            }
            (Some(Place::Slot(f, s, _)), Some(Place::Slot(g, t, last))) if (f, s) == (g, t) => {
                match self.slot(f, s) {
                    Some(slot) if last < slot.len() => Reach::Plain,
                    Some(_) | None => Reach::Outside,
                }
            }
            _ => Reach::Outside,
        }
    }

    /// The bytes of a slot, if its frame still stands.
    pub fn slot(&self, frame: u32, slot: u32) -> Option<&Vec<u8>> {
        let at = self.frame_index(frame)?;
        self.frames[at].slots.get(slot as usize)
    }

    fn frame_index(&self, ordinal: u32) -> Option<usize> {
        let found = self.frames.binary_search_by_key(&ordinal, |f| f.ordinal);
        found.ok()
    }

    /// Reads bytes within [`Reach::Plain`], as a number.
    pub fn read(&self, address: u64, bytes: usize, order: Endianness) -> u128 {
        let read = (0..bytes as u64).map(|byte| u128::from(self.byte(address + byte)));
        let join = |value: u128, (at, byte): (usize, u128)| value | (byte << (8 * at));
        match order {
            Endianness::Little => read.enumerate().fold(0, join),
            Endianness::Big => read.rev().enumerate().fold(0, join),
        }
    }

    fn byte(&self, address: u64) -> u8 {
        match layout::place(address) {
            Some(Place::Home(home, byte)) => self.homes[home][byte],
            Some(Place::ReadOnly(byte)) => self.read_only[byte],
            Some(Place::Heap(object, byte)) => self.heap.objects[object].bytes[byte],
            Some(Place::Slot(frame, slot, byte)) => {
                let slot = self.slot(frame, slot);
                slot.and_then(|slot| slot.get(byte).copied()).unwrap_or(0)
            }
            Some(Place::Asynchronous) | None => 0,
        }
    }

    /// Writes bytes within [`Reach::Plain`]; `false` if they are read-only.
    pub fn write(&mut self, address: u64, bytes: usize, order: Endianness, value: u128) -> bool {
        for at in 0..bytes {
            let shift = match order {
                Endianness::Little => 8 * at,
                Endianness::Big => 8 * (bytes - 1 - at),
            };
            let byte = (value >> shift) as u8;
            match layout::place(address + at as u64) {
                Some(Place::Home(home, index)) => self.homes[home][index] = byte,
                Some(Place::Slot(frame, slot, index)) => {
                    if let Some(frame) = self.frame_index(frame) {
                        self.frames[frame].slots[slot as usize][index] = byte;
                    }
                }
                Some(Place::Heap(object, index)) => {
                    self.heap.objects[object].bytes[index] = byte;
                }
                Some(Place::ReadOnly(index))
                    if index >= layout::SEALED && self.frames.len() == 1 =>
                {
                    self.read_only[index] = byte;
                }
                Some(Place::ReadOnly(_) | Place::Asynchronous) | None => return false,
            }
        }
        true
    }
}

fn read_only(seed: u64) -> [u8; HOME_BYTES] {
    let mut bytes = [0; HOME_BYTES];
    let mut put = |at: usize, word: u64| bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    for at in (0..HOME_BYTES).step_by(8) {
        put(at, mix(seed ^ 0x5555, at as u64) >> 60);
    }
    for (at, home) in layout::POINTER_CELLS {
        put(at as usize, VMCTX + layout::home(home) + 16);
    }
    let host = layout::function_address(&layout::loaded_host());
    put(FUNCTION_CELL as usize, host);
    bytes
}
