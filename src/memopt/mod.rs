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
//! # The stages
//!
//! | stage | where |
//! |---|---|
//! | what an instruction, an address, a call does | [`inst`], [`call`] |
//! | the graph both ways, dominance, versions of classes | `analysis::{graph, dominance, versions}` |
//! | where addresses of slots go | `analysis::slots` |
//! | which write reaches an access, and its value | `analysis::{reaching, values}` |
//! | what branches say about their conditions | `analysis::conditions` |
//! | what happens next to a store | `analysis::upcoming` |
//! | forwarded loads, no-op stores, block parameters at joins | `passes::known_values` |
//! | comparisons and branches that are decided | `passes::{compares, branches}` |
//! | unused loads, dead stores, unused slots | `passes::{dead_code, dead_stores, unused_slots}` |
//! | ways past branches that they decide | `passes::{threading, repair}` |
//! | stores and what feeds them, moved to the ways that need them | `passes::{sinking, sink_values}` |
//! | accesses that some ways into a block make needless | `passes::partly_redundant` |
//! | parameters and blocks that are left over | `passes::{unused_params, empty_blocks}` |
//! | edits | `passes::{apply, rewire}` |
//! | upstream's egraph pass, where regions would mislead it | [`workarounds::one_region`] |
//! | the first pass that finds something | `search` |
//! | rounds | [`run()`] |
//! | who is shown what a run does | [`Observer`] |
//! | what a function does, for its callers | [`call::from_body`] |
//!
//! Passes use analyses, analyses use facts, and never the other way round.

mod apply;
pub mod call;
mod cfg;
mod gate;
pub mod inst;
mod memory;
mod observer;
mod options;
mod passes;
mod paths;
mod run;
mod search;
mod stats;
pub mod workarounds;

pub use call::effects::Policy;
pub use memory::insts::TargetFacts;
pub use observer::Observer;
pub use options::{Effort, Options};
pub use run::{run, run_observed};
pub use stats::Stats;
