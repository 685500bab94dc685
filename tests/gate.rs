//! What gated effort costs where it does not look: nothing is allocated.

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_memopt::{NoPolicy, Options, optimize, run};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with a count of each thread's calls.
struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// The result of `work`, and how often it allocates.
fn allocations<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let before = CALLS.get();
    let result = work();
    (result, CALLS.get() - before)
}

/// As a compiler of WebAssembly writes code: every access has a region. There is something
/// to forward and something to remove.
const TAGGED: &str = "
function %tagged(i64, i64) -> i64 {
    region0 = 1 \"memory\"
    region1 = 2 \"globals\"
block0(v0: i64, v1: i64):
    store notrap region0 v1, v0
    store notrap region1 v1, v0+8
    v2 = load.i64 notrap region0 v0
    brif v2, block1, block2
block1:
    store notrap region0 v2, v0
    jump block2
block2:
    v3 = load.i64 notrap region1 v0+8
    return v3
}";

/// The same with a local in a slot.
const WITH_SLOT: &str = "
function %slot(i64, i64) -> i64 {
    ss0 = explicit_slot 8
    region0 = 1 \"memory\"
block0(v0: i64, v1: i64):
    v4 = stack_addr.i64 ss0
    store notrap region0 v1, v4
    v2 = load.i64 notrap region0 v4
    return v2
}";

fn target() -> OwnedTargetIsa {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed").unwrap();
    flags.set("enable_verifier", "false").unwrap();
    let isa = isa::lookup_by_name("x86_64").unwrap();
    isa.finish(settings::Flags::new(flags)).unwrap()
}

fn context(text: &str) -> Context {
    let mut functions = cranelift_reader::parse_functions(text).unwrap();
    Context::for_function(functions.remove(0))
}

/// What the passes allocate behind the mid-end, and what they say.
fn behind_the_mid_end(text: &str, options: &Options) -> (String, usize) {
    let isa = target();
    let mut ctx = context(text);
    ctx.optimize(&*isa, &mut ControlPlane::default()).unwrap();
    let (stats, calls) = allocations(|| run(&mut ctx, &*isa, &NoPolicy, options).unwrap());
    (stats.to_string(), calls)
}

#[test]
fn a_function_that_is_not_looked_at_costs_no_allocation() {
    let (stats, calls) = behind_the_mid_end(TAGGED, &Options::default());
    assert_eq!(calls, 0);
    assert!(stats.starts_with("did not look"), "{stats}");
}

#[test]
fn a_function_that_is_looked_at_costs_some() {
    for (text, options) in [(TAGGED, Options::full()), (WITH_SLOT, Options::default())] {
        let (stats, calls) = behind_the_mid_end(text, &options);
        assert!(calls > 0 && !stats.starts_with("did not"), "{stats}");
    }
}

#[test]
fn the_mid_end_costs_what_it_costs_alone() {
    let isa = target();
    let mut alone = context(TAGGED);
    let mut ours = context(TAGGED);
    let (_, stock) = allocations(|| alone.optimize(&*isa, &mut ControlPlane::default()).unwrap());
    let (_, gated) =
        allocations(|| optimize(&mut ours, &*isa, &NoPolicy, &Options::default()).unwrap());
    assert_eq!(stock, gated);
    assert_eq!(alone.func.to_string(), ours.func.to_string());
}
