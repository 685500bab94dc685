//! What one call may do to memory.

use super::extent::{ByteSet, Extent};
use super::region_set::RegionSet;
use crate::ir::LibCall;
use smallvec::SmallVec;

/// What a call may do, seen from its caller.
///
/// The sets are upper bounds. The caller's private stack slots are never in
/// them; a slot whose address has escaped is, under the regions that its
/// accesses carry.
///
/// A summary begins as [`Summary::pure`] or [`Summary::opaque`] and can only be made
/// larger, so that it never contradicts itself: what is written is also touched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Summary {
    reads: RegionSet,
    writes: RegionSet,
    touches: RegionSet,
    may_trap: bool,
    may_unwind: bool,
    /// What it does with each parameter; anything with those that are left out.
    params: SmallVec<[PointerUse; 4]>,
}

/// What a callee does with a pointer that it is passed, and with what is behind it.
///
/// What it does by other pointers to the same memory is not in it. The default is that it ignores
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PointerUse {
    /// The bytes whose contents before the call can make a difference to what the callee does:
    /// those that it may read through the pointer, but for what it has certainly overwritten
    /// until then.
    pub reads: Extent,
    /// The bytes that it may write through it.
    pub writes: Extent,
    /// Those of [`Self::writes`] that it certainly overwrites, on each path on which it returns,
    /// and does not read before. Where it does not return, nothing is said of them.
    pub overwrites: ByteSet,
    /// Somebody may know it when the callee has come back: its caller's caller, memory.
    pub escapes: bool,
    /// The first result is this pointer, wherever the callee returns. That is no escape.
    pub returned: bool,
}

impl PointerUse {
    /// It may do anything.
    pub(crate) const ESCAPES: Self = Self {
        reads: Extent::ANY,
        writes: Extent::ANY,
        overwrites: ByteSet::NONE,
        escapes: true,
        returned: false,
    };

    /// It may read these bytes.
    pub(crate) fn reading(reads: Extent) -> Self {
        Self {
            reads,
            ..Self::default()
        }
    }

    /// It may write these bytes.
    pub(crate) fn writing(writes: Extent) -> Self {
        Self {
            writes,
            ..Self::default()
        }
    }

    /// Widens `self` to cover what another callee does, of which one is called.
    pub(crate) fn join(&mut self, other: Self) {
        let overwrites = self.overwrites.common(other.overwrites);
        // What one of them returns, the caller has, and does not follow.
        let differ = self.returned != other.returned;
        self.and(other);
        self.overwrites = overwrites;
        self.escapes |= differ;
        self.returned &= !differ;
    }

    /// Widens `self` to cover what the callee does with another pointer as well. What it
    /// overwrites by one of them, it may have read by the other one before.
    pub(crate) fn and(&mut self, other: Self) {
        let Self {
            reads,
            writes,
            overwrites: _,
            escapes,
            returned,
        } = other;
        self.reads = self.reads.join(reads);
        self.writes = self.writes.join(writes);
        self.overwrites = ByteSet::NONE;
        self.escapes |= escapes;
        self.returned |= returned;
    }

    /// The same of the memory in which the pointer is `by` bytes behind the start; `None` if it is
    /// not known how far.
    pub(crate) fn behind(self, by: Option<i64>) -> Self {
        Self {
            reads: self.reads.behind(by),
            writes: self.writes.behind(by),
            overwrites: self.overwrites.behind(by),
            ..self
        }
    }

    /// Does it neither read nor write what is behind it?
    pub(crate) fn accesses_nothing(&self) -> bool {
        self.reads.is_none() && self.writes.is_none()
    }
}

impl Summary {
    /// What is known about a callee of which nothing is known.
    ///
    /// Cost: constant.
    pub fn opaque() -> Self {
        Self::pure()
            .reading(&RegionSet::all())
            .writing(&RegionSet::all())
            .trapping()
            .unwinding()
    }

    /// A callee that computes from its arguments alone and always returns.
    /// The bottom of the lattice, where a fixpoint over a call cycle starts.
    ///
    /// Cost: constant.
    pub fn pure() -> Self {
        Self {
            reads: RegionSet::none(),
            writes: RegionSet::none(),
            touches: RegionSet::none(),
            may_trap: false,
            may_unwind: false,
            params: SmallVec::new(),
        }
    }

    /// The same, and this is all that it does with what it is passed by these parameters, the
    /// first ones. Of others, and if nothing is said, they may go anywhere.
    ///
    /// Cost: O(parameters).
    #[must_use]
    pub(crate) fn passing(mut self, params: SmallVec<[PointerUse; 4]>) -> Self {
        self.params = params;
        self
    }

    /// What it does with the pointer that it is passed by the parameter at this position.
    ///
    /// Cost: constant.
    pub fn param(&self, at: usize) -> PointerUse {
        let known = self.params.get(at).copied();
        known.unwrap_or(PointerUse::ESCAPES)
    }

    /// The position of the parameter that its first result is, wherever it returns.
    ///
    /// Cost: O(parameters).
    pub fn returned(&self) -> Option<usize> {
        self.params.iter().position(|usage| usage.returned)
    }

    /// The same, and it may read `regions`.
    ///
    /// Cost: O(regions of both).
    #[must_use]
    pub fn reading(mut self, regions: &RegionSet) -> Self {
        self.reads.union_with(regions);
        self
    }

    /// The same, and it may write `regions`, which are touched by that.
    ///
    /// Cost: O(regions of both).
    #[must_use]
    pub fn writing(mut self, regions: &RegionSet) -> Self {
        self.writes.union_with(regions);
        self.touching(regions)
    }

    /// The same, and it may write `regions` but puts back what it found in them before it
    /// returns.
    ///
    /// Cost: O(regions of both).
    #[must_use]
    pub fn touching(mut self, regions: &RegionSet) -> Self {
        self.touches.union_with(regions);
        self
    }

    /// The same, and it may end in a trap, or leave the program.
    ///
    /// Cost: constant.
    #[must_use]
    pub fn trapping(mut self) -> Self {
        self.may_trap = true;
        self
    }

    /// The same, and it may return to an exception handler.
    ///
    /// Cost: constant.
    #[must_use]
    pub fn unwinding(mut self) -> Self {
        self.may_unwind = true;
        self
    }

    /// Regions whose contents before the call can make a difference to what
    /// the callee does or to what anyone it calls sees.
    ///
    /// Cost: constant.
    pub fn reads(&self) -> &RegionSet {
        &self.reads
    }

    /// Regions whose contents after a normal return may differ from those
    /// before the call: the net effect, so that a callee that publishes a
    /// pointer and puts the old one back writes nothing.
    ///
    /// Cost: constant.
    pub fn writes(&self) -> &RegionSet {
        &self.writes
    }

    /// Regions that may be written at any time during the call: what a caller
    /// finds after an abrupt exit (a trap, an exceptional return). All that are written
    /// are among them.
    ///
    /// Cost: constant.
    pub fn touches(&self) -> &RegionSet {
        &self.touches
    }

    /// May the callee end in a trap, or leave the program?
    ///
    /// Cost: constant.
    pub fn may_trap(&self) -> bool {
        self.may_trap
    }

    /// May the callee return to an exception handler?
    ///
    /// Cost: constant.
    pub fn may_unwind(&self) -> bool {
        self.may_unwind
    }

    /// Widens `self` to cover what `other` does as well.
    ///
    /// Cost: O(regions of both).
    pub fn join(&mut self, other: &Self) {
        let Self {
            reads,
            writes,
            touches,
            may_trap,
            may_unwind,
            params,
        } = other;
        self.params.truncate(params.len());
        for (own, other) in self.params.iter_mut().zip(params) {
            own.join(*other);
        }
        self.reads.union_with(reads);
        self.writes.union_with(writes);
        self.touches.union_with(touches);
        self.may_trap |= may_trap;
        self.may_unwind |= may_unwind;
    }

    /// What Cranelift's own libcalls do. `memcpy` and its kin touch memory
    /// that has no region here, so they may touch any, and as their pointers may be bad
    /// they may trap; but they do not unwind.
    ///
    /// Cost: constant.
    pub fn of_libcall(libcall: LibCall) -> Self {
        let all = RegionSet::all();
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
            LibCall::Memcmp => Self::pure().reading(&all).trapping(),
            LibCall::Memset => Self::pure().writing(&all).trapping(),
            LibCall::Memcpy | LibCall::Memmove => {
                Self::pure().reading(&all).writing(&all).trapping()
            }
            LibCall::Probestack | LibCall::ElfTlsGetAddr | LibCall::ElfTlsGetOffset => {
                Self::opaque()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn what_is_written_is_touched_however_a_summary_is_made() {
        let one = RegionSet::of([1]);
        let mut summaries = vec![
            Summary::pure().writing(&one),
            Summary::pure()
                .touching(&RegionSet::of([2]))
                .writing(&one)
                .unwinding(),
            Summary::opaque(),
        ];
        let mut joined = Summary::pure();
        joined.join(&summaries[1]);
        summaries.push(joined);
        for summary in &summaries {
            assert!(summary.writes().is_subset(summary.touches()), "{summary:?}");
            assert!(summary.touches().contains(1));
        }
    }
}
