//! What a call does to memory: summaries, and the embedder's policy.
//!
//! A [`Summary`] says what a callee may read and write, in terms of the user
//! ids of alias regions, because those mean the same in every function. It is
//! computed from a body (see [`crate::memopt::call::from_body`]) or given by the
//! embedder's [`Policy`]. A call without a summary is opaque: it reads and
//! writes all memory but private stack slots, may trap and may unwind.

use crate::ir::{self, ExternalName, Function, LibCall, UserExternalName, UserFuncName};
use alloc::boxed::Box;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The name of a function, meaning the same in every function of a module.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CalleeName {
    /// `u<namespace>:<index>` in CLIF text.
    User(u32, u32),
    /// `%name` in CLIF text.
    Named(Box<[u8]>),
}

impl CalleeName {
    /// The name under which other functions call a function that has `name`.
    pub fn of_function(name: &UserFuncName) -> Self {
        match name {
            UserFuncName::User(name) => Self::of_user(name),
            UserFuncName::Testcase(name) => Self::Named(name.raw().into()),
        }
    }

    /// The name that `func_ref` stands for in `func`; `None` for a libcall or
    /// a known symbol.
    pub fn of_ref(func: &Function, func_ref: ir::FuncRef) -> Option<Self> {
        match &func.dfg.ext_funcs[func_ref].name {
            ExternalName::User(name) => Some(Self::of_user(&func.params.user_named_funcs()[*name])),
            ExternalName::TestCase(name) => Some(Self::Named(name.raw().into())),
            ExternalName::LibCall(_) | ExternalName::KnownSymbol(_) => None,
        }
    }

    fn of_user(name: &UserExternalName) -> Self {
        Self::User(name.namespace, name.index)
    }
}

/// A set of alias regions, by user id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegionSet {
    /// These regions alone; sorted, without duplicates.
    These(SmallVec<[u32; 4]>),
    /// Any memory but the caller's private stack slots.
    All,
}

impl RegionSet {
    /// No memory at all.
    pub fn none() -> Self {
        Self::These(SmallVec::new())
    }

    /// The regions with these user ids.
    pub fn of(ids: impl IntoIterator<Item = u32>) -> Self {
        let mut ids: SmallVec<[u32; 4]> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self::These(ids)
    }

    /// Is no region in this set?
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::These(ids) if ids.is_empty())
    }

    /// Is the region with user id `id` in this set?
    pub fn contains(&self, id: u32) -> bool {
        match self {
            Self::These(ids) => ids.binary_search(&id).is_ok(),
            Self::All => true,
        }
    }

    /// Adds one region.
    pub fn insert(&mut self, id: u32) {
        if let Self::These(ids) = self
            && let Err(at) = ids.binary_search(&id)
        {
            ids.insert(at, id);
        }
    }

    /// Adds all regions of `other`.
    pub fn union_with(&mut self, other: &Self) {
        match other {
            Self::These(ids) => ids.iter().for_each(|id| self.insert(*id)),
            Self::All => *self = Self::All,
        }
    }
}

/// What a call may do, seen from its caller.
///
/// The sets are upper bounds. The caller's private stack slots are never in
/// them; a slot whose address has escaped is, under the regions that its
/// accesses carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Regions whose contents before the call can make a difference to what
    /// the callee does or to what anyone it calls sees.
    pub reads: RegionSet,
    /// Regions whose contents after a normal return may differ from those
    /// before the call: the net effect, so that a callee that publishes a
    /// pointer and puts the old one back writes nothing.
    pub writes: RegionSet,
    /// Regions that may be written at any time during the call: what a caller
    /// finds after an abrupt way out (a trap, an exceptional return).
    pub touches: RegionSet,
    /// May the callee end in a trap, or leave the program?
    pub may_trap: bool,
    /// May the callee return to an exception handler?
    pub may_unwind: bool,
}

impl Summary {
    /// What is known about a callee of which nothing is known.
    pub fn opaque() -> Self {
        Self {
            reads: RegionSet::All,
            writes: RegionSet::All,
            touches: RegionSet::All,
            may_trap: true,
            may_unwind: true,
        }
    }

    /// A callee that computes from its arguments alone and always returns.
    /// The bottom of the lattice, where a fixpoint over a call cycle starts.
    pub fn pure() -> Self {
        Self {
            reads: RegionSet::none(),
            writes: RegionSet::none(),
            touches: RegionSet::none(),
            may_trap: false,
            may_unwind: false,
        }
    }

    /// Widens `self` to cover what `other` does as well.
    pub fn join(&mut self, other: &Self) {
        let Self {
            reads,
            writes,
            touches,
            may_trap,
            may_unwind,
        } = other;
        self.reads.union_with(reads);
        self.writes.union_with(writes);
        self.touches.union_with(touches);
        self.may_trap |= may_trap;
        self.may_unwind |= may_unwind;
    }

    /// What Cranelift's own libcalls do. `memcpy` and its kin touch memory
    /// that has no region here, so they may touch any; but they neither trap
    /// with a code of their own nor unwind.
    pub fn of_libcall(libcall: LibCall) -> Self {
        let memory = |reads, writes: RegionSet| Self {
            reads,
            touches: writes.clone(),
            writes,
            // The pointers may be bad, and then the access traps.
            may_trap: true,
            may_unwind: false,
        };
        match libcall {
            LibCall::CeilF32
            | LibCall::CeilF64
            | LibCall::FloorF32
            | LibCall::FloorF64
            | LibCall::TruncF32
            | LibCall::TruncF64
            | LibCall::NearestF32
            | LibCall::NearestF64
            | LibCall::FmaF32
            | LibCall::FmaF64
            | LibCall::X86Pshufb => Self::pure(),
            LibCall::Memcmp => memory(RegionSet::All, RegionSet::none()),
            LibCall::Memset => memory(RegionSet::none(), RegionSet::All),
            LibCall::Memcpy | LibCall::Memmove => memory(RegionSet::All, RegionSet::All),
            LibCall::Probestack | LibCall::ElfTlsGetAddr | LibCall::ElfTlsGetOffset => {
                Self::opaque()
            }
        }
    }
}

/// Where a pointer came from: the loads that led to it, the last one first,
/// and what the first of them went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `(user id of the region, constant offset)` of each load, beginning with
    /// the one that produced the pointer. The offset is from the value that the
    /// address is based on, however the sum is written. At most
    /// [`Origin::MAX_LOADS`].
    pub loads: Vec<(u32, i64)>,
    /// The function whose address the chain begins with, if it does.
    pub function: Option<CalleeName>,
}

impl Origin {
    /// Longer chains of loads are cut here: no embedder tells callees apart by
    /// more, and the walk stays short. What is given up is a policy entry.
    pub const MAX_LOADS: usize = 4;
}

/// What the embedder knows and no body can tell.
///
/// Every method has a default that grants nothing. What is said of a region is
/// said of its memory, and so is the same for all regions with one
/// [`Self::representative`]. An implementation is part
/// of the key of any cache of compiled code, and has to give the same answers
/// for as long as the code is in use.
pub trait Policy {
    /// What a directly called function does, if the embedder knows.
    ///
    /// The answer has to hold for every call of that name, whatever the
    /// arguments are and whatever is linked in its place.
    fn callee(&self, name: &CalleeName) -> Option<Summary> {
        let _ = name;
        None
    }

    /// What a function does that is called through a pointer from `origin`.
    fn indirect_callee(&self, origin: &Origin) -> Option<Summary> {
        let _ = origin;
        None
    }

    /// Can anyone see the contents of this region after a trap or an unwind
    /// out of the function? The embedder may say `false` only if no handler,
    /// signal handler, debugger or later call reads it before writing it.
    fn survives_trap(&self, region: u32) -> bool {
        let _ = region;
        true
    }

    /// Is this region worth the look at a function that accesses it, for
    /// [`Effort::Gated`](crate::memopt::Effort::Gated)? The regions to name are those that
    /// code publishes into and puts back, whose contents a trap loses, or that
    /// several contexts share. No promise: a wrong answer costs time, or what
    /// could have been optimized.
    fn is_transient(&self, region: u32) -> bool {
        !self.survives_trap(region)
    }

    /// Does the world write (or watch) this region at any time, between any
    /// two instructions? Such memory is accessed exactly as the source says.
    fn is_asynchronous(&self, region: u32) -> bool {
        let _ = region;
        false
    }

    /// Is there any memory of which [`Self::is_asynchronous`] is true? Accesses
    /// without a region may be to it.
    fn has_asynchronous_memory(&self) -> bool {
        false
    }

    /// The region that stands for `region` when two tags name one memory. Has
    /// to be idempotent: the representative represents itself.
    fn representative(&self, region: u32) -> u32 {
        region
    }

    /// Does a `readonly` load at `offset` in `region` give the same pointer,
    /// for as long as this function runs, whatever pointer it goes through?
    /// The offset is from that pointer, however the sum is written.
    fn is_shared_pointer(&self, region: u32, offset: i64) -> bool {
        let _ = (region, offset);
        false
    }
}

/// Is the memory of an access that carries `region`, by its user id,
/// asynchronous under any of the names that the access knows for it?
pub fn is_asynchronous(policy: &dyn Policy, region: Option<u32>) -> bool {
    match region {
        Some(id) => policy.is_asynchronous(id) || policy.is_asynchronous(policy.representative(id)),
        None => policy.has_asynchronous_memory(),
    }
}

/// The policy that grants nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPolicy;

impl Policy for NoPolicy {}
