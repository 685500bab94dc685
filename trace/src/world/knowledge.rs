//! The slots that the world has come to know.

use super::World;
use crate::layout::{self, Place};
use crate::memory::Memory;

impl World<'_> {
    /// Forgets slots whose frame is gone, and comes to know those that somebody
    /// names: keys, debug tags, and the arguments of a call.
    pub(super) fn learn_named(&mut self, memory: &Memory, args: &[u128]) {
        self.known
            .retain(|(frame, slot)| memory.slot(*frame, *slot).is_some());
        for frame in &memory.frames {
            for slot in &frame.named {
                self.learn(memory, layout::slot_address(frame.ordinal, *slot));
            }
        }
        for arg in args {
            self.learn(memory, *arg as u64);
        }
    }

    /// Comes to know the slots whose address lies in `bytes`, at any alignment.
    pub(super) fn learn_from(&mut self, memory: &Memory, bytes: &[u8]) {
        for window in bytes.windows(8) {
            let word = u64::from_le_bytes([
                window[0], window[1], window[2], window[3], window[4], window[5], window[6],
                window[7],
            ]);
            self.learn(memory, word);
        }
    }

    fn learn(&mut self, memory: &Memory, address: u64) {
        let Some(Place::Slot(frame, slot, byte)) = layout::place(address) else {
            return;
        };
        let is_there = memory.slot(frame, slot);
        if is_there.is_none_or(|bytes| byte > bytes.len()) {
            return;
        }
        if !self.known.contains(&(frame, slot)) {
            self.known.push((frame, slot));
        }
    }
}
