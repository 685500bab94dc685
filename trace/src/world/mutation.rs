//! What the world does to memory.

use super::World;
use crate::layout::{self, HOMES, VMCTX};
use crate::memory::Memory;
use crate::noise::mix;
use cranelift_memopt::RegionSet;

impl<'a> World<'a> {
    /// Fills what the world may write with noise.
    pub(super) fn scribble(&mut self, memory: &mut Memory, set: &RegionSet, noise: u64) {
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

    pub(super) fn scribble_on_heap(&self, memory: &mut Memory, set: &RegionSet, noise: u64) {
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

    pub(super) fn scribble_on(&self, bytes: &mut [u8], noise: u64) {
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
    pub(super) fn word(&self, noise: u64) -> u64 {
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
