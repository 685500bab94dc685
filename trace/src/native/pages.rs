//! Real memory at the addresses that the [`layout`] gives out.
//!
//! The homes are mapped once and stay; the slots of a frame are mapped when it
//! begins and go with their run. There is one set of homes in a process, so that
//! only one program may run at a time.

use crate::layout::{self, HOME_BYTES, HOMES, READ_ONLY_OFFSETS, VMCTX};
use crate::memory::{Frame, Memory};
use cranelift_codegen::ir::Endianness;
use std::sync::OnceLock;

/// Bytes of a page, and of what a slot may have at most.
#[cfg(target_os = "linux")]
const PAGE: usize = 0x1000;

/// The pages of the slots of one run.
#[derive(Default)]
pub struct Pages {
    mapped: Vec<u64>,
}

impl Pages {
    /// Maps the page of a slot.
    ///
    /// # Panics
    ///
    /// If something else lies there: nothing of this process does.
    pub fn map_slot(&mut self, address: u64) {
        assert!(map(address), "the page of a slot at {address:#x} is taken");
        self.mapped.push(address);
    }

    /// Gives all pages back.
    pub fn clear(&mut self) {
        self.mapped.drain(..).for_each(unmap);
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Maps the homes and the read-only memory; `false` if this machine does not let
/// us.
pub fn map_homes() -> bool {
    static MAPPED: OnceLock<bool> = OnceLock::new();
    *MAPPED.get_or_init(|| map(VMCTX))
}

/// Maps one page of zeros, and nothing if something is there.
#[cfg(target_os = "linux")]
fn map(address: u64) -> bool {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let at = address as *mut libc::c_void;
    // SAFETY: a new mapping that replaces none changes no memory that anybody has.
    let found = unsafe { libc::mmap(at, PAGE, access, flags, -1, 0) };
    found == at
}

/// Elsewhere, nothing.
#[cfg(not(target_os = "linux"))]
fn map(_address: u64) -> bool {
    false
}

/// Gives back a page that [`map`] has mapped.
#[cfg(target_os = "linux")]
fn unmap(address: u64) {
    // SAFETY: no reference to these pages is ever made.
    unsafe { libc::munmap(address as *mut libc::c_void, PAGE) };
}

#[cfg(not(target_os = "linux"))]
fn unmap(_address: u64) {}

/// Copies the read-only memory out, to both of its places.
pub fn put_read_only(memory: &Memory) {
    for offset in READ_ONLY_OFFSETS {
        let bytes = (0..HOME_BYTES as u64).map(|at| VMCTX + offset + at);
        let bytes = bytes.map(|at| memory.read(at, 1, Endianness::Little) as u8);
        put(VMCTX + offset, &bytes.collect::<Vec<u8>>());
    }
}

/// Copies the homes and slots of `memory` to where they lie.
pub fn put_all(memory: &Memory) {
    for home in 0..HOMES {
        put(VMCTX + layout::home(home), &memory.homes[home]);
    }
    memory.frames.iter().for_each(put_frame);
}

/// Copies the slots of a frame to where they lie.
pub fn put_frame(frame: &Frame) {
    for (slot, bytes) in (0..).zip(&frame.slots) {
        put(layout::slot_address(frame.ordinal, slot), bytes);
    }
}

/// Copies the homes, the read-only memory and the slots of `memory` from where they lie.
pub fn take_all(memory: &mut Memory) {
    for home in 0..HOMES {
        take(VMCTX + layout::home(home), &mut memory.homes[home]);
    }
    // What is written there is written to the first of the copies.
    take(VMCTX + READ_ONLY_OFFSETS[0], &mut memory.read_only);
    for frame in &mut memory.frames {
        for (slot, bytes) in (0..).zip(&mut frame.slots) {
            take(layout::slot_address(frame.ordinal, slot), bytes);
        }
    }
}

/// Copies `bytes` to a mapped address.
pub fn put(address: u64, bytes: &[u8]) {
    // SAFETY: the callers name homes and slots of frames that stand, which are
    // mapped, are as large as that, and are memory of no Rust object.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) }
}

/// Copies bytes from a mapped address.
pub fn take(address: u64, bytes: &mut [u8]) {
    // SAFETY: as for `put`.
    unsafe { std::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len()) }
}
