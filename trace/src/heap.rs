//! Memory for functions that nobody generated.
//!
//! Such functions come with regions and offsets of their own, so that the
//! [`crate::layout`] cannot say which address belongs to which region.
//! Here a byte belongs to the region that it is first accessed under. An access
//! under another one means that the run is not defined. What a confined host
//! may see depends on the owners, so that two runs can be compared only if both
//! start from the owners that a run before them found.

use crate::layout;
use std::fmt;

/// What is known about a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The region that it has been accessed under.
    pub region: Option<u32>,
    /// Has it been loaded as `readonly`? Then nobody outside writes it.
    pub constant: bool,
}

/// An object: bytes at neighbouring addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Who owns each byte.
    pub owners: Vec<Owner>,
}

impl Object {
    /// An object that holds `bytes` and belongs to nobody yet.
    pub fn new(bytes: Vec<u8>) -> Self {
        let owners = vec![Owner::default(); bytes.len()];
        Self { bytes, owners }
    }
}

/// Objects, each at [`layout::object_address`] of its index.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Heap {
    /// The objects.
    pub objects: Vec<Object>,
}

impl Heap {
    /// `count` objects of `size` zeros each.
    pub fn zeroed(count: usize, size: usize) -> Self {
        let objects = (0..count).map(|_| Object::new(vec![0; size]));
        Self {
            objects: objects.collect(),
        }
    }

    /// Puts bytes into an object; `false` if they do not fit.
    pub fn put(&mut self, object: usize, offset: usize, bytes: &[u8]) -> bool {
        let object = self.objects.get_mut(object);
        let place = object.and_then(|o| o.bytes.get_mut(offset..offset + bytes.len()));
        place.map(|place| place.copy_from_slice(bytes)).is_some()
    }

    /// Notes that bytes are accessed under `region`; `false` if one of them
    /// belongs to another. Bytes outside of the object are nobody's.
    pub fn claim(&mut self, object: usize, start: usize, bytes: usize, region: u32) -> bool {
        self.owners(object, start, bytes).iter_mut().all(|owner| {
            let free = owner.region.is_none_or(|owner| owner == region);
            owner.region = Some(region);
            free
        })
    }

    /// The owners of bytes; none if they are not all in the object.
    pub fn owners(&mut self, object: usize, start: usize, bytes: usize) -> &mut [Owner] {
        let object = self.objects.get_mut(object);
        let owners = object.and_then(|o| o.owners.get_mut(start..start + bytes));
        owners.unwrap_or_default()
    }

    /// The owners that `other` has found; the bytes stay.
    pub fn with_owners_of(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.objects.iter_mut().zip(&other.objects) {
            mine.owners.clone_from(&theirs.owners);
        }
        self
    }
}

impl fmt::Debug for Heap {
    /// The words that are not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (index, object) in self.objects.iter().enumerate() {
            for (at, word) in object.bytes.chunks(8).enumerate() {
                if word.iter().any(|byte| *byte != 0) {
                    let address = layout::object_address(index) + 8 * at as u64;
                    let mut bytes = [0; 8];
                    bytes[..word.len()].copy_from_slice(word);
                    let word = u64::from_le_bytes(bytes);
                    map.entry(&format_args!("{address:#x}"), &format_args!("{word:#x}"));
                }
            }
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_belongs_to_one_region() {
        let mut heap = Heap::zeroed(2, 16);
        assert!(heap.claim(0, 4, 4, 7));
        assert!(heap.claim(0, 0, 8, 7));
        assert!(heap.claim(1, 0, 8, 8));
        assert!(!heap.claim(0, 7, 2, 8));
    }

    #[test]
    fn owners_move_and_bytes_stay() {
        let mut known = Heap::zeroed(1, 8);
        assert!(known.claim(0, 0, 8, 3));
        let mut heap = Heap::zeroed(1, 8);
        assert!(heap.put(0, 4, &[1, 2, 3, 4]));
        assert!(!heap.put(0, 5, &[1, 2, 3, 4]));
        let mut heap = heap.with_owners_of(&known);
        assert_eq!(heap.objects[0].bytes, [0, 0, 0, 0, 1, 2, 3, 4]);
        assert!(!heap.claim(0, 0, 1, 4));
    }
}
