//! Stores of which nobody sees all bytes.
//!
//! ```text
//! store 0.i8x16, v0                  store 0.i64, v0
//! store v1, v0+8             ==>     store v1, v0+8
//! ```
//!
//! Soundness: that of [`dead_stores`](super::dead_stores), for the bytes that are left out.
//!
//! It is done only where it saves something: a vector, an integer of 128 bits, or a constant
//! that no instruction has room for becomes a store that needs none of these.

use super::merged_stores::{address, is_small, opcode, unaligned};
use crate::ir::{Endianness, Type};
use crate::memopt::edit::{Change, NewStore, StoredWhole};
use crate::memopt::inst::bits::{self, Bits};
use crate::memopt::inst::location::Location;
use crate::memopt::memory::insts::{Access, EventIndex, Memory};

/// The store `index` without the bytes at its ends that nobody sees. `parts` are those into
/// which it is cut, in their order, and whether somebody may see them.
pub fn trimmed(
    memory: &Memory<'_>,
    index: EventIndex,
    parts: &[(Location, bool)],
) -> Option<Change> {
    let access = memory.access(index)?;
    let first = parts.iter().position(|(_, seen)| *seen)?;
    let last = parts.iter().rposition(|(_, seen)| *seen)?;
    let (from, to) = (&parts[first].0, &parts[last].0);
    let at = access.location.distance(from, memory.pointer_bits)?;
    let bytes = from.distance(to, memory.pointer_bits)? + i64::from(to.bytes?);
    let ty = Type::int_with_byte_size(bytes.try_into().ok()?).filter(|ty| ty.bits() <= 64)?;
    let whole = rest(memory, access, at, bytes)?;
    let inst = memory.inst(index);
    let dfg = &memory.func.dfg;
    let (address, offset) = address(memory.func, inst)?;
    Some(Change::TrimStore(NewStore {
        replaced: inst,
        address,
        offset: offset.checked_add(i32::try_from(at).ok()?)?,
        flags: unaligned(dfg.insts[inst].memflags_data(dfg)?),
        whole,
        ty,
    }))
}

/// The `bytes` bytes `at` bytes into what the store writes, if storing them costs less.
fn rest(memory: &Memory<'_>, store: &Access, at: i64, bytes: i64) -> Option<StoredWhole> {
    let dfg = &memory.func.dfg;
    let (stored, all) = (store.stored?, i64::from(store.location.bytes?));
    let is_big = store.endianness == Endianness::Big;
    if bytes >= all || (is_big && dfg.value_type(stored).is_vector()) {
        return None;
    }
    let low = if is_big { all - at - bytes } else { at };
    let is_large = match bits::find(dfg, stored, 0, 8 * all as u32) {
        Bits::Constant(bits) => !is_small(bits, all),
        Bits::Of(..) => all > 8,
    };
    match bits::find(dfg, stored, 8 * low as u32, 8 * bytes as u32) {
        Bits::Constant(bits) if is_large && is_small(bits, bytes) => {
            Some(StoredWhole::Constant(bits))
        }
        Bits::Of(value, 0) if all > 8 => {
            let opcode = opcode(dfg.value_type(value), bytes)?;
            Some(StoredWhole::Value {
                value,
                shift: 0,
                opcode,
                swapped: false,
            })
        }
        Bits::Constant(_) | Bits::Of(..) => None,
    }
}
