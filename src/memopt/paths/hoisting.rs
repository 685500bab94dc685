//! Hoisting: loads that every iteration of a loop repeats go in front of it.
//!
//! ```text
//!     jump block1(v3)                        v5 = load.i64 v0+56
//! block1(v4: i64):                           jump block1(v3)
//!     v5 = load.i64 v0+56            ==> block1(v4: i64):
//!     v6 = load.i32 v4                       v6 = load.i32 v4
//!     store v6, v1                           store v6, v1
//!     brif v6, block1(v5), block2            brif v6, block1(v5), block2
//! ```
//!
//! What upstream misses here: its loop-invariant code motion takes loads that are
//! `readonly` and `can_move` alone.
//!
//! Soundness: the address is computed outside of the loop, or by pure operations of what is, which are
//! copied in front of it; and no instruction of
//! it may write the bytes ([`mod_ref`](crate::memopt::memory::mod_ref)), so that each iteration
//! finds what is there before the first. Every path from the header
//! comes to it before it leaves the loop or begins the next iteration, so that no path has a load
//! that it had not, but for those that leave the loop for a trap alone in front of a load that may move: it does not
//! depend on what they have found out. No barrier is passed, and what may trap only if the load
//! cannot and carries `can_move`: a guard can be why it
//! does not trap. A call is passed by a load of a stack slot at a known offset, or by one that may
//! move: a callee can be a guard, too. A load that may trap passes no store either but to a slot that
//! nobody else ever knows, and no access of memory that the world writes at any time: the same trap
//! comes, behind the same accesses, and shows the same memory. Later iterations load what the first one
//! has loaded.
//!
//! Cost: that of [`Invariants`] for each load and each loop around it.

use crate::FxHashMap;
use crate::ir::Inst;
use crate::loop_analysis::Loop;
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::Node;
use crate::memopt::edit::{Change, Edit, Hoisted, Reason};
use crate::memopt::memory::insts::EventIndex;
use crate::memopt::paths::computed::Computed;
use crate::memopt::paths::invariants::{Certainty, Invariants};
use crate::memopt::refusal::{Obstacle, Refusals, Subject};
use alloc::vec::Vec;

/// Values that a loop may keep for loads to leave it past checks of which one may trap.
///
/// Half of the registers of most machines: what the loop computes needs the others, and a value that is kept
/// in the frame is loaded all the same. Such loads are many where one component calls another, and upstream, which may
/// take those that are `readonly` wherever it likes, leaves them there. What is given up are the
/// other loads.
const MAX_KEPT: usize = 8;

/// Finds the loads that leave loops, each to the outermost that it can.
pub fn out_of_loops(
    invariants: &mut Invariants<'_, '_>,
    candidates: &[(EventIndex, Loop)],
    pass: &'static str,
    refusals: &mut Refusals,
) -> Vec<Edit> {
    let memory = invariants.memory;
    let mut loads: Vec<(Node, Loop, Inst, Computed)> = Vec::new();
    let mut kept = Kept::default();
    for (event, innermost) in candidates {
        let inst = memory.inst(*event);
        match outermost(invariants, &mut kept, *event, *innermost) {
            Ok((header, lp, computed)) => loads.push((header, lp, inst, computed)),
            Err(obstacle) => refusals.note(pass, Subject::Inst(inst), obstacle),
        }
    }
    loads.sort_by_key(|(header, ..)| *header);
    let groups = loads.chunk_by(|(a, ..), (b, ..)| a == b);
    let edits = groups.filter_map(|group| {
        let (node, lp, ..) = *group.first()?;
        let header = invariants.shape.order.block(node);
        let entries = invariants.shape.entries(memory, lp);
        let hoisted = Hoisted {
            header,
            splits: cfg_edit::splits(memory.func, header, &entries),
            entries,
            computed: group.iter().flat_map(|it| it.3.iter().copied()).collect(),
            loads: group.iter().map(|(_, _, inst, _)| *inst).collect(),
        };
        let change = Change::HoistLoads(hoisted);
        Some(change.because(Reason::InvariantIn(header)))
    });
    edits.collect()
}

/// How many values each loop keeps, if anybody has asked, with the loads that leave it.
#[derive(Default)]
struct Kept(FxHashMap<Loop, Option<usize>>);

impl Kept {
    /// Is there a register for one more load that leaves the loop? One that all paths come to is not
    /// refused.
    fn has_room(
        &mut self,
        invariants: &mut Invariants<'_, '_>,
        lp: Loop,
        certainty: Certainty,
    ) -> bool {
        if certainty == Certainty::Always {
            return true;
        }
        let kept = self.0.entry(lp).or_insert_with(|| invariants.kept(lp));
        *kept = kept.map(|kept| kept + 1);
        kept.is_some_and(|kept| kept <= MAX_KEPT)
    }
}

/// The outermost loop that the load can leave, its header, and what the loop computes of its
/// address; or why it cannot leave the innermost.
fn outermost(
    invariants: &mut Invariants<'_, '_>,
    kept: &mut Kept,
    event: EventIndex,
    innermost: Loop,
) -> Result<(Node, Loop, Computed), Obstacle> {
    let (memory, shape) = (invariants.memory, invariants.shape);
    let Some(access) = memory.access(event) else {
        return Err(Obstacle::NothingToLearn);
    };
    let inst = memory.inst(event);
    let mut found = Err(Obstacle::NothingToLearn);
    let mut next = Some(innermost);
    while let Some(lp) = next
        && let Some(computed) = invariants.computed(inst, lp)
        && let Some(header) = shape.header(lp)
    {
        let leaves = match invariants.clobber(access, lp) {
            Ok(None) => invariants.is_certain(header, event, lp),
            Ok(Some(clobber)) => {
                let clobber = memory.inst(clobber);
                Err(Obstacle::ClobberedBy(clobber))
            }
            Err(obstacle) => Err(obstacle),
        };
        match leaves {
            Ok(certainty) if kept.has_room(invariants, lp, certainty) => {
                found = Ok((header, lp, computed));
            }
            Ok(_) => return found.or(Err(Obstacle::NoGain)),
            Err(obstacle) => return found.or(Err(obstacle)),
        }
        next = shape.loops.loop_parent(lp);
    }
    found
}
