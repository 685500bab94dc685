//! Removes memory traffic that nobody observes.
//!
//! # The model
//!
//! A function is known by its *observation trace*: its opaque calls with their
//! arguments and the memory that they may read, its atomics, fences, debug and
//! sequence points with the memory, and its end with values and memory. What
//! leaves the trace as it is may be changed.
//!
//! - A *region* is a `CLIF` alias region. Regions are disjoint, up to those that
//!   the policy joins; an access without a region may be to any of them.
//! - A *location* is a base, a constant offset and a size.
//! - A *class* is what has versions: a region, a stack slot while it is
//!   private, and everything at once.
//! - A slot is *private* until its address may have *escaped*; then nobody
//!   else can see it, not even a trap handler, and it is gone at every end.
//!   Later it is seen like other memory, but not when the function returns:
//!   an address into a frame that is gone means nothing.
//! - A *summary* says what a call does, a *policy* what no body can tell.
//!
//! # The rooms
//!
//! Imports go down this table only, but for the two modules at its head that know all of
//! it. `paths/` is imported by nothing but them, and the optimizer builds without it
//! (configuration `memopt_paths`).
//!
//! | what | where |
//! |---|---|
//! | the table of passes, rounds; the first pass that finds something; what comes before the mid-end | `pipeline`, `search`, `run_before` |
//! | lists that outlive a run; analyses that outlive edits | [`Scratch`], `analyses` |
//! | whether a function is looked at | `gate` |
//! | the wing: jump threading, SSA repair, PRE, sinking, their clean-up | `paths::*` |
//! | the core: load and store elimination, folds, dead stores, dead code, slots | `passes::*` |
//! | locals in stack slots become values | `promote` |
//! | the one place that changes the function | `apply` |
//! | memory instructions, slot escape, memory SSA, clobber walker, next access, values | `memory::*` |
//! | the graph in both directions, dominance, edits of edges | `cfg::*` |
//! | what a change is, with its reason; why none is made | [`edit`], [`refusal`] |
//! | what a call does: the embedder's word, and what bodies tell | [`call`] |
//! | what one instruction and address is | [`inst`] |
//! | guards against defects of Cranelift | [`workarounds`] |

#![cfg_attr(
    not(memopt_paths),
    allow(dead_code, reason = "the wing alone asks for some of the analyses")
)]

mod analyses;
mod apply;
pub mod call;
pub(crate) mod cfg;
pub mod edit;
mod gate;
pub mod inst;
pub(crate) mod memory;
mod observer;
mod options;
mod passes;
#[cfg(memopt_paths)]
mod paths;
mod pipeline;
mod promote;
pub mod refusal;
mod run_before;
mod scratch;
mod search;
mod stats;
pub mod workarounds;

pub use call::effects::Policy;
pub use edit::{Change, Edit, Reason};
pub use gate::skipped;
pub use memory::insts::TargetFacts;
pub use observer::Observer;
pub use options::{Effort, Options};
pub use pipeline::{run, run_in};
pub use refusal::{Obstacle, Refusal, Subject};
pub use run_before::{run_before, run_before_in};
pub use scratch::Scratch;
pub use stats::{Skipped, Stats};
