//! Edits as data that make other accesses of some.

use crate::ir::{Inst, MemFlagsData, Opcode, Type, Value};
use smallvec::SmallVec;

/// Two stores of one block that become one.
#[derive(Clone, Debug)]
pub struct MergedStores {
    /// The first of them, which goes.
    pub removed: Inst,
    /// The one store, in the place of the second.
    pub store: NewStore,
}

/// A word that is loaded in parts.
#[derive(Clone, Debug)]
pub struct CombinedLoads {
    /// What gives the word, and goes.
    pub sum: Inst,
    /// The last of the loads, behind which the word is loaded.
    pub last: Inst,
    /// The address.
    pub address: Value,
    /// The offset that the load adds.
    pub offset: i32,
    /// The flags of the load.
    pub flags: MemFlagsData,
    /// How many bytes are loaded. The others of the sum, which are the upper ones, are zero.
    pub bytes: u32,
    /// Are they put together the other way round?
    pub swapped: bool,
}

/// A copy of what another one has copied.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded {
    /// The call.
    pub call: Inst,
    /// The other one in front of it.
    pub first: Inst,
    /// How far behind the address that it copies from.
    pub offset: i32,
    /// Does the other one go, because nobody else reads what it copies?
    pub removes_first: bool,
}

/// A short copy that becomes loads and stores.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// The call.
    pub call: Inst,
    /// Where each word begins, and its type.
    pub words: SmallVec<[(i32, Type); 8]>,
    /// The byte that is stored everywhere, if nothing is loaded.
    pub fill: Option<u8>,
}

/// A store that takes the place of another one.
#[derive(Clone, Debug)]
pub struct NewStore {
    /// Whose place it takes.
    pub replaced: Inst,
    /// The address.
    pub address: Value,
    /// The offset that the store adds.
    pub offset: i32,
    /// The flags of the store.
    pub flags: MemFlagsData,
    /// What is stored.
    pub whole: StoredWhole,
    /// The integer type of as many bytes.
    pub ty: Type,
}

/// What a [`NewStore`] stores.
#[derive(Clone, Copy, Debug)]
pub enum StoredWhole {
    /// These bits.
    Constant(u64),
    /// The low bytes of a value that is there, by `opcode`, once it is shifted right.
    Value {
        /// What is there.
        value: Value,
        /// By how many bits it is shifted.
        shift: u32,
        /// How its low bytes are stored.
        opcode: Opcode,
        /// Are they stored the other way round?
        swapped: bool,
    },
}
