//! What a call does to memory: summaries, and the embedder's policy.
//!
//! A [`Summary`] says what a callee may read and write, in terms of the user
//! ids of alias regions, because those mean the same in every function. It is
//! computed from a body (see [`crate::memopt::call::from_body`]) or given by the
//! embedder's [`Policy`]. A call without a summary is opaque: it reads and
//! writes all memory but private stack slots, may trap and may unwind.

use crate::ir::{self, AliasRegionSet, ExternalName, Function, UserExternalName, UserFuncName};
pub use crate::memopt::call::region_set::RegionSet;
pub use crate::memopt::call::summary::Summary;
use alloc::boxed::Box;
use alloc::vec::Vec;

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
    ///
    /// Cost: a copy of the name.
    pub fn of_function(name: &UserFuncName) -> Self {
        match name {
            UserFuncName::User(name) => Self::of_user(name),
            UserFuncName::Testcase(name) => Self::Named(name.raw().into()),
        }
    }

    /// The name that `func_ref` stands for in `func`; `None` for a libcall or
    /// a known symbol.
    ///
    /// Cost: a copy of the name.
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

impl From<&str> for CalleeName {
    /// `%name` in CLIF text, and the name that a function of a module was declared with.
    fn from(name: &str) -> Self {
        Self::Named(name.as_bytes().into())
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
/// Every method has a default that grants nothing. What an embedder grants is a promise:
/// no body and no run can check it, and where it is broken the compiled code is wrong, without
/// any message. Each method says what is promised. What is said of a region is
/// said of its memory, and so is the same for all regions with one
/// [`Self::representative`]. An implementation is part
/// of the key of any cache of compiled code, and has to give the same answers
/// for as long as the code is in use.
pub trait Policy {
    /// What a directly called function does, if the embedder knows.
    ///
    /// The embedder promises that every call of that name does no more than the answer
    /// says, whatever the arguments are, whatever is linked in its place, and by
    /// whomever it calls in turn, and that an exit from it by a trap or an unwind is in
    /// the answer. Nothing checks that.
    ///
    /// Cost: asked once for each direct call in each search of a run, and once for each summary.
    fn callee(&self, name: &CalleeName) -> Option<Summary> {
        let _ = name;
        None
    }

    /// What a function does that is called through a pointer from `origin`.
    ///
    /// The embedder promises of each function that such a pointer may ever lead to what
    /// [`Self::callee`] promises of one. Nothing checks that.
    ///
    /// Cost: asked as often, for each indirect call.
    fn indirect_callee(&self, origin: &Origin) -> Option<Summary> {
        let _ = origin;
        None
    }

    /// Can anyone see the contents of this region after a trap or an unwind
    /// out of the function?
    ///
    /// With `false` the embedder promises that no handler, signal handler, debugger,
    /// destructor, callback or later call reads what is there before writing it, whoever
    /// catches the trap. Nothing checks that.
    ///
    /// Cost: asked once for each region of a function in each search of a run.
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
    ///
    /// With `false` the embedder promises that it changes only where this function lets
    /// others run: at calls, atomics, fences, and debug and sequence points. Nothing checks
    /// that.
    ///
    /// Cost: asked once for each region of a function in each search of a run.
    fn is_asynchronous(&self, region: u32) -> bool {
        let _ = region;
        false
    }

    /// Is there any memory of which [`Self::is_asynchronous`] is true? Accesses
    /// without a region may be to it.
    ///
    /// With `false` the embedder promises that there is none, also under tags that the
    /// function does not name. Nothing checks that.
    ///
    /// Cost: asked once for each access without a region.
    fn has_asynchronous_memory(&self) -> bool {
        false
    }

    /// The region that stands for `region` when two tags name one memory. Has
    /// to be idempotent: the representative represents itself.
    ///
    /// The embedder promises that regions with two representatives share no byte, in this
    /// function and in all whose summaries it is given. Nothing checks that.
    ///
    /// Cost: asked once for each region of a function in each search of a run.
    fn representative(&self, region: u32) -> u32 {
        region
    }

    /// Does the world forget the addresses of stack slots that it finds in this
    /// region? Whoever looks at a slot whose address this function has stored
    /// there, and in no other kind of region, reads that address from there at
    /// the time. When a call comes back, the address is in no result and in no
    /// memory but where it was found.
    fn forgets_addresses(&self, region: u32) -> bool {
        let _ = region;
        false
    }

    /// Does a `readonly` load at `offset` in `region` give the same pointer,
    /// for as long as this function runs, whatever pointer it goes through?
    /// The offset is from that pointer, however the sum is written.
    ///
    /// The embedder promises that this pointer is one for all bases and that nobody stores
    /// another there meanwhile, nor this function itself. Nothing checks that.
    ///
    /// Cost: asked for each `readonly` load that an address goes through.
    fn is_shared_pointer(&self, region: u32, offset: i64) -> bool {
        let _ = (region, offset);
        false
    }

    /// Is one of `regions` [transient](Self::is_transient)? That follows from what is said of
    /// each, and only what stands before another policy has to say anything here: that one's
    /// answer.
    ///
    /// Cost: asked once for each function, so that one that is left alone pays for one call of the
    /// policy and not for one a region.
    fn names_transient(&self, regions: &AliasRegionSet) -> bool {
        let mut regions = regions.iter();
        regions.any(|(_, region)| self.is_transient(region.user_id))
    }

    /// Is each of `regions` its own [representative](Self::representative)? As
    /// [`Self::names_transient`].
    ///
    /// Cost: as that of [`Self::names_transient`].
    fn joins_none(&self, regions: &AliasRegionSet) -> bool {
        let mut ids = regions.iter().map(|(_, region)| region.user_id);
        ids.all(|id| self.representative(id) == id)
    }
}

/// In an `impl` of [`Policy`] that stands before another one in its field `policy`: what that
/// one says of regions. Every question about regions stands here, so that no policy in
/// front loses one.
macro_rules! regions_as_policy {
    () => {
        fn survives_trap(&self, region: u32) -> bool {
            self.policy.survives_trap(region)
        }

        fn is_transient(&self, region: u32) -> bool {
            self.policy.is_transient(region)
        }

        fn is_asynchronous(&self, region: u32) -> bool {
            self.policy.is_asynchronous(region)
        }

        fn has_asynchronous_memory(&self) -> bool {
            self.policy.has_asynchronous_memory()
        }

        fn representative(&self, region: u32) -> u32 {
            self.policy.representative(region)
        }

        fn forgets_addresses(&self, region: u32) -> bool {
            self.policy.forgets_addresses(region)
        }

        fn is_shared_pointer(&self, region: u32, offset: i64) -> bool {
            self.policy.is_shared_pointer(region, offset)
        }

        fn names_transient(&self, regions: &crate::ir::AliasRegionSet) -> bool {
            self.policy.names_transient(regions)
        }

        fn joins_none(&self, regions: &crate::ir::AliasRegionSet) -> bool {
            self.policy.joins_none(regions)
        }
    };
}
pub(crate) use regions_as_policy;

/// Is the memory of an access that carries `region`, by its user id,
/// asynchronous under any of the names that the access knows for it?
///
/// Cost: asked once for each region of a function in each search of a run.
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
