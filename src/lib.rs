//! Cranelift optimization passes that remove memory traffic nobody observes.
//!
//! The optimizer is [`memopt`]; [`pipeline`] plugs it into the way from a
//! [`Context`] to machine code. The module `memopt` is written so that the same
//! files compile inside `cranelift-codegen`, which is why this file re-exports
//! the names that `memopt` finds under `crate::` there.
//!
//! ```
//! use cranelift_codegen::{Context, isa, settings};
//! use cranelift_memopt::{NoPolicy, Options, optimize};
//!
//! # fn demo(mut ctx: Context) -> Result<(), Box<dyn std::error::Error>> {
//! let flags = settings::Flags::new(settings::builder());
//! let isa = isa::lookup_by_name("x86_64")?.finish(flags)?;
//! let stats = optimize(&mut ctx, &*isa, &NoPolicy, &Options::default())?;
//! println!("{stats}");
//! # Ok(())
//! # }
//! ```

#![no_std]
#![deny(missing_docs)]

extern crate alloc;
// The optimizer does without it; `cranelift-module` and tests do not.
#[cfg(any(test, feature = "module"))]
extern crate std;

// The names that `src/memopt/` uses as `crate::…`, here and in tree.
pub(crate) use cranelift_codegen::{
    CodegenError, CodegenResult, Context, FxHashMap, FxHashSet, VERSION, control, cursor,
    dominator_tree, entity, flowgraph, ir, isa, loop_analysis, settings,
};

pub mod memopt;
pub mod pipeline;

pub use memopt::call::effects::{CalleeName, NoPolicy, Origin, Policy, RegionSet, Summary};
pub use memopt::call::from_body::{Summaries, WithSummaries};
pub use memopt::{Effort, Observer, Options, Stats, TargetFacts};
pub use pipeline::{optimize, optimize_module, optimize_module_with, run_module, run_module_with};
