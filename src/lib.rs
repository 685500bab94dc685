//! Cranelift optimization passes that remove memory traffic nobody observes.
//!
//! Dead stores, also across calls that cannot alias; loads of values that are known; stack
//! slots that end up unused; locals in stack slots. Those become values before Cranelift's own
//! mid-end, and all else runs after it. None of it needs a patch.
//!
//! | you have | call |
//! |---|---|
//! | a [`Context`], and go on yourself | [`optimize`]; [`run`] if it is past the mid-end |
//! | a `Context`, and want machine code | [`Compiler::compile`] |
//! | functions that call each other | [`optimize_module`]; [`run_module`] if they are past the mid-end |
//! | functions that come in batches | [`optimize_batch`], with [`Summaries`] |
//! | a `cranelift_module::Module` | [`define_functions`], [`define_batch`] (feature `module`) |
//!
//! All of them take a [`Policy`], which says what bodies cannot tell ([`NoPolicy`] says
//! nothing), and [`Options`]. They return [`Stats`]; [`remarks`] says what was done and what
//! was not, and why.
//!
//! **The ISA has to have `opt_level=speed` (or `speed_and_size`).** `settings::builder()` and
//! `JITBuilder::new` have `none`; then nothing runs, and the statistics say so.
//!
//! ```
//! use cranelift_codegen::settings::{self, Configurable};
//! use cranelift_codegen::{Context, isa};
//! use cranelift_memopt::{NoPolicy, Options, optimize};
//!
//! # let clif = "function %f(i64) -> i32 {
//! #     ss0 = explicit_slot 4
//! # block0(v9: i64):
//! #     v0 = stack_addr.i64 ss0
//! #     v1 = iconst.i32 7
//! #     store notrap aligned v1, v0
//! #     v2 = load.i32 notrap aligned v0
//! #     return v2
//! # }";
//! # let func = cranelift_reader::parse_functions(clif)?.remove(0);
//! let mut flags = settings::builder();
//! flags.set("opt_level", "speed")?;
//! let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
//!
//! let mut ctx = Context::for_function(func);
//! let stats = optimize(&mut ctx, &*isa, &NoPolicy, &Options::default())?;
//! assert_eq!(stats.freed_slots, 1, "{stats}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// The optimizer is `src/memopt/`, written so that the same files compile inside
// `cranelift-codegen`, with `core` and `alloc` alone; this attribute makes sure of it.
// The crate as a whole makes no such claim: cranelift-codegen brings `std` by default.
#![no_std]
#![deny(missing_docs)]

extern crate alloc;
// The optimizer does without it; `cranelift-module` and tests do not.
#[cfg(any(test, feature = "module"))]
extern crate std;

// The names that `src/memopt/` uses as `crate::…`, here and in tree.
pub(crate) use cranelift_codegen::{
    CodegenError, CodegenResult, Context, FxHashMap, FxHashSet, VERSION, control, cursor,
    dominator_tree, entity, flowgraph, ir, isa, loop_analysis, settings, trace, trace_log_enabled,
};

// build.rs goes by the version of a crate that is released with cranelift-codegen. Were
// there two releases of both in one build, cargo might have given it the other one.
const _: () = assert!(
    is_same(VERSION, env!("CRANELIFT_VERSION")),
    "cranelift-codegen and cranelift-codegen-shared are of different versions: \
     `cargo update -p cranelift-codegen-shared --precise` makes them one"
);

/// Are these the same text? `==` cannot be asked where constants are computed.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

// For the checker, the oracle and their tests; no part of the interface.
#[doc(hidden)]
#[allow(
    rustdoc::private_intra_doc_links,
    reason = "it is read as source, where its modules lie beside each other"
)]
pub mod memopt;
mod pipeline;
pub mod remarks;

/// ```
/// use cranelift_codegen::settings::{self, Configurable};
/// use cranelift_codegen::{Context, isa};
/// use cranelift_memopt::{CalleeName, Options, Policy, RegionSet, Summary, optimize};
///
/// /// The memory of the program, in region 1, and that of the host, in region 2.
/// struct Host;
///
/// impl Policy for Host {
///     /// `log` reads memory of the host, and returns.
///     fn callee(&self, name: &CalleeName) -> Option<Summary> {
///         (*name == CalleeName::from("log")).then(|| Summary::pure().reading(&RegionSet::of([2])))
///     }
/// }
///
/// let clif = r#"function %f(i64, i32, i32) {
///     region0 = 1 "of the program"
///     fn0 = %log(i32)
/// block0(v0: i64, v1: i32, v2: i32):
///     store notrap aligned region0 v1, v0
///     call fn0(v1)
///     store notrap aligned region0 v2, v0
///     return
/// }"#;
/// # let mut flags = settings::builder();
/// # flags.set("opt_level", "speed")?;
/// # let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
/// let func = cranelift_reader::parse_functions(clif)?.remove(0);
/// let mut ctx = Context::for_function(func);
/// let stats = optimize(&mut ctx, &*isa, &Host, &Options::full())?;
/// assert_eq!(stats.dead_stores, 1, "nobody sees the first store: {stats}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use memopt::call::effects::Policy;
pub use memopt::call::effects::{CalleeName, NoPolicy, Origin, RegionSet};
/// ```
/// use cranelift_memopt::{RegionSet, Summary};
/// let log = Summary::pure()
///     .reading(&RegionSet::of([2]))
///     .writing(&RegionSet::of([3]))
///     .unwinding();
/// assert!(log.touches().contains(3) && !log.may_trap());
/// ```
///
/// Nobody else can fill in the fields:
///
/// ```compile_fail
/// use cranelift_memopt::{RegionSet, Summary};
/// let writes = RegionSet::of([1]);
/// let contradiction = Summary { writes, may_unwind: true, ..Summary::pure() };
/// ```
pub use memopt::call::extent::{ByteSet, Extent};
pub use memopt::call::from_body::Summaries;
pub use memopt::call::summary::{PointerUse, Summary};
pub use memopt::{Effort, Options, Scratch, Stats};
#[cfg(feature = "module")]
pub use pipeline::{Cause, DefineError, Defined, Handover, define_batch, define_functions};
pub use pipeline::{
    Compiler, FunctionError, optimize, optimize_batch, optimize_in, optimize_module, run,
    run_module,
};

// What the checker is built on.
#[doc(hidden)]
pub use memopt::call::from_body::WithSummaries;
#[doc(hidden)]
pub use memopt::{Observer, TargetFacts};
#[doc(hidden)]
pub use pipeline::{Phase, alignment, optimize_module_with, run_module_with};
