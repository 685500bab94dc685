//! The memory that generated functions share with the world: which addresses
//! exist, and which region owns each.
//!
//! | user id | what | where |
//! |---|---|---|
//! | none | memory that no region names | [`home`] 0 |
//! | 1, 2, 3 | ordinary regions | [`home`] 1, 2, 3 |
//! | [`ASYNCHRONOUS`] | memory that the world reads and writes at any time | far from the rest |
//! | [`JOINED`] | a second tag of region 1, where the policy joins them | home 1 |
//! | [`READ_ONLY`] | memory that nobody writes, twice over | two copies |
//!
//! Functions that nobody generated get a [`Heap`](crate::heap::Heap) instead,
//! whose objects lie apart from all that.
//!
//! Stack slots lie far away from that. The address of a slot is made of the
//! ordinal of its frame and of its number, so that a function and its optimized
//! self put it at the same place, and no two frames ever share one. The two are
//! scattered over the whole address space: a program that mangles the address of
//! one slot must not come upon another by accident.

use crate::noise::mix_bytes;
use cranelift_memopt::CalleeName;

/// What `vmctx` points to.
pub const VMCTX: u64 = 0x10_0000_0000;
/// Bytes of a home.
pub const HOME_BYTES: usize = 96;
/// The number of homes.
pub const HOMES: usize = 4;
/// From one home to the next.
const STRIDE: u64 = 0x100;

/// The region that the world accesses at any time, if the policy says so.
pub const ASYNCHRONOUS: u32 = 4;
/// The tag that a policy may join with region 1.
pub const JOINED: u32 = 5;
/// The region of memory that nobody writes.
pub const READ_ONLY: u32 = 6;

/// The distance from `vmctx` to the asynchronous memory.
pub const ASYNCHRONOUS_OFFSET: u64 = 0x1_0000;
/// The distances from `vmctx` to the two copies of the read-only memory.
pub const READ_ONLY_OFFSETS: [u64; 2] = [0x400, 0x500];
/// Where in the read-only memory there is a pointer to home 1 and one to home 2.
pub const POINTER_CELLS: [(i32, usize); 2] = [(0, 1), (8, 2)];
/// Where in the read-only memory there is a pointer to a function of the host.
pub const FUNCTION_CELL: i32 = 16;
/// From here on the read-only memory is only read-only to callees and to the
/// world: the function that was entered first may write it.
pub const SEALED: usize = 64;
/// The namespace of the host's functions.
pub const HOST: u32 = 1;
/// The index of the host function that [`FUNCTION_CELL`] points to.
pub const LOADED_HOST: u32 = 4;

/// The name of that function.
pub fn loaded_host() -> CalleeName {
    CalleeName::User(HOST, LOADED_HOST)
}

/// Where functions lie: `FUNCTIONS + namespace * 0x1000 + index * 16`.
const FUNCTIONS: u64 = 0x900_0000;
/// Where functions with a name in letters lie, and how many bits of a hash of
/// their name tell them apart.
const NAMED_FUNCTIONS: u64 = 0x5000_0000_0000;
const NAME_BITS: u32 = 32;
/// Where the objects of the heap lie.
const HEAP: u64 = 0x4000_0000;
/// From one object of the heap to the next.
const OBJECT_STRIDE: u64 = 0x10_0000;
/// Objects of the heap.
const OBJECTS: u64 = 64;
/// A slot has the low bits of an address for its bytes.
const BYTE_BITS: u32 = 12;
/// Slots of one frame.
const SLOTS: u64 = 64;
/// Frames of one run.
const FRAMES: u64 = 1 << 14;
/// All slots lie from this address on, where a process has nothing else, and below
/// its double.
const SLOTS_FROM: u64 = 1 << 45;
/// The bits of an address that tell slots apart.
const SLOT_BITS: u32 = 45 - BYTE_BITS;
/// Keeps sums and multiples of addresses from being addresses.
const SALT: u64 = 0x1_91d2_7e64;
/// Scatters slots; odd.
const SCATTER: u64 = 0x1_9b97_f4a5;
/// Gathers them again: the inverse of [`SCATTER`] modulo 2^33.
const GATHER: u64 = 0x1_0a2e_d32d;

/// The distance from `vmctx` to a home.
pub fn home(home: usize) -> u64 {
    STRIDE * home as u64
}

/// The address of a function.
pub fn function_address(name: &CalleeName) -> u64 {
    match name {
        CalleeName::User(namespace, index) => {
            FUNCTIONS + u64::from(*namespace) * 0x1000 + u64::from(*index) * 16
        }
        CalleeName::Named(name) => {
            let hash = mix_bytes(0, name) >> (64 - NAME_BITS);
            NAMED_FUNCTIONS + hash * 16
        }
    }
}

/// The name of the function at `address`, if it is one of numbers.
pub fn function_at(address: u64) -> Option<CalleeName> {
    let distance = address.checked_sub(FUNCTIONS)?;
    let (namespace, index) = (distance / 0x1000, distance % 0x1000);
    (namespace < 8 && index % 16 == 0)
        .then_some(CalleeName::User(namespace as u32, (index / 16) as u32))
}

/// The address of the first byte of an object of the heap.
pub fn object_address(object: usize) -> u64 {
    HEAP + OBJECT_STRIDE * object as u64
}

/// The address of the first byte of a slot.
pub fn slot_address(frame: u32, slot: u32) -> u64 {
    let number = u64::from(frame) * SLOTS + u64::from(slot) + 1;
    let scattered = (number ^ SALT).wrapping_mul(SCATTER) % (1 << SLOT_BITS);
    SLOTS_FROM | scattered << BYTE_BITS
}

/// Are there addresses for slots of these sizes in this frame? One more slot is left
/// for what is passed by value.
pub fn has_room(frame: u32, sizes: &[u32]) -> bool {
    let fits = |size: &u32| *size < 1 << BYTE_BITS;
    u64::from(frame) < FRAMES && (sizes.len() as u64) < SLOTS && sizes.iter().all(fits)
}

/// A place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A byte of a home.
    Home(usize, usize),
    /// A byte of the read-only memory, in either copy.
    ReadOnly(usize),
    /// A byte of the asynchronous memory.
    Asynchronous,
    /// A byte of an object of the heap.
    Heap(usize, usize),
    /// A byte of a slot: frame, slot, byte.
    Slot(u32, u32, usize),
}

/// What lies at `address`. The caller checks that a slot is as large as that.
pub fn place(address: u64) -> Option<Place> {
    let scattered = (address >> BYTE_BITS) % (1 << SLOT_BITS);
    let gathered = scattered.wrapping_mul(GATHER) % (1 << SLOT_BITS);
    let number = gathered ^ SALT;
    if address / SLOTS_FROM == 1 && number > 0 && number <= FRAMES * SLOTS {
        let (frame, slot) = ((number - 1) / SLOTS, (number - 1) % SLOTS);
        let byte = (address % (1 << BYTE_BITS)) as usize;
        return Some(Place::Slot(frame as u32, slot as u32, byte));
    }
    if let Some(distance) = address.checked_sub(HEAP)
        && distance < OBJECTS * OBJECT_STRIDE
    {
        let (object, byte) = (distance / OBJECT_STRIDE, distance % OBJECT_STRIDE);
        return Some(Place::Heap(object as usize, byte as usize));
    }
    let distance = address.checked_sub(VMCTX)?;
    let byte = (distance % STRIDE) as usize;
    if byte >= HOME_BYTES {
        return None;
    }
    let row = distance - distance % STRIDE;
    if row / STRIDE < HOMES as u64 {
        Some(Place::Home((row / STRIDE) as usize, byte))
    } else if READ_ONLY_OFFSETS.contains(&row) {
        Some(Place::ReadOnly(byte))
    } else {
        (row == ASYNCHRONOUS_OFFSET).then_some(Place::Asynchronous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_back_to_where_they_point() {
        for (frame, slot) in [(0, 0), (0, 3), (7, 0), (1000, 15)] {
            let address = slot_address(frame, slot);
            assert_eq!(place(address + 5), Some(Place::Slot(frame, slot, 5)));
        }
        assert_eq!(place(object_address(3) + 9), Some(Place::Heap(3, 9)));
        for at in 0..HOMES {
            assert_eq!(place(VMCTX + home(at) + 7), Some(Place::Home(at, 7)));
        }
        let asynchronous = VMCTX + ASYNCHRONOUS_OFFSET;
        assert_eq!(place(asynchronous), Some(Place::Asynchronous));
        assert_eq!(
            place(VMCTX + READ_ONLY_OFFSETS[1]),
            Some(Place::ReadOnly(0))
        );
        assert_eq!(place(VMCTX + HOME_BYTES as u64), None);
        let name = CalleeName::User(1, 4);
        assert_eq!(function_at(function_address(&name)), Some(name));
    }
}
