//! What somebody sees who looks at memory.

use super::World;
use super::knowledge::Keeping;
use crate::heap::Owner;
use crate::layout::{self, HOMES};
use crate::memory::Memory;
use crate::trace::Snapshot;
use cranelift_memopt::{Policy, RegionSet};

/// What somebody may look at: homes, and slots by frame and number.
struct View<'v, 'w> {
    home: &'v dyn Fn(&World<'w>, usize) -> bool,
    slot: &'v dyn Fn(&World<'w>, (u32, u32)) -> bool,
}

impl<'a> World<'a> {
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

    pub(super) fn home_survives(&self, home: u32) -> bool {
        let mut tags = [home, layout::JOINED].into_iter();
        let same = |tag: &u32| self.policy.representative(*tag) == self.policy.representative(home);
        tags.any(|tag| same(&tag) && self.policy.survives_trap(tag))
    }

    /// Is this home in the set?
    pub(super) fn contains(&self, set: &RegionSet, home: usize) -> bool {
        match set.ids() {
            None => true,
            Some(ids) => {
                let home = self.policy.representative(home as u32);
                ids.iter()
                    .any(|id| self.policy.representative(*id) == home && home != 0)
            }
        }
    }

    pub(super) fn contains_slot(
        &self,
        memory: &Memory,
        set: &RegionSet,
        (frame, slot): (u32, u32),
    ) -> bool {
        if set.is_all() {
            return true;
        }
        let region = self.slot_region(memory, (frame, slot));
        region.is_some_and(|region| self.contains(set, region as usize))
    }

    pub(super) fn slot_region(&self, memory: &Memory, (frame, slot): (u32, u32)) -> Option<u32> {
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
    pub(super) fn contains_owner(&self, set: &RegionSet, owner: &Owner) -> bool {
        let Some(ids) = set.ids() else {
            return true;
        };
        let mut ids = ids.iter();
        let same = |region| ids.any(|id| self.policy.representative(*id) == region);
        owner.region.is_some_and(same)
    }

    /// The heap, as somebody sees it who sees the bytes of some owners.
    pub(super) fn heap(
        &self,
        memory: &Memory,
        sees: &dyn Fn(&Owner) -> bool,
    ) -> Vec<(u64, Vec<u8>)> {
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
    pub(super) fn look(&mut self, memory: &Memory, set: &RegionSet, args: &[u128]) -> Snapshot {
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
        self.learn_named(memory, args);
        let mut homes = [None; HOMES];
        for (home, bytes) in homes.iter_mut().enumerate() {
            if (view.home)(self, home) {
                *bytes = Some(memory.homes[home]);
                let keeping = self.keeping(home as u32);
                self.learn_from(memory, &memory.homes[home], keeping);
            }
        }
        let sees_read_only = (view.home)(self, layout::READ_ONLY as usize);
        let read_only = sees_read_only.then_some(memory.read_only);
        if let Some(bytes) = &read_only {
            self.learn_from(memory, bytes, Keeping::Kept);
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
        // One order, in whichever order they came to light.
        self.known.sort_unstable();
        self.found.sort_unstable();
        Snapshot {
            homes,
            read_only,
            slots,
            heap,
            stack: memory.frames.iter().map(|f| f.site.clone()).collect(),
        }
    }
}
