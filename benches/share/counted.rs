//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The system's allocator, counted. The program has one thread.
pub struct Counted;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static ALIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Does nobody ask?
static STOPPED: AtomicBool = AtomicBool::new(false);

fn grow(bytes: usize) {
    if STOPPED.load(Relaxed) {
        return;
    }
    CALLS.store(CALLS.load(Relaxed) + 1, Relaxed);
    let alive = ALIVE.load(Relaxed) + bytes;
    ALIVE.store(alive, Relaxed);
    if alive > PEAK.load(Relaxed) {
        PEAK.store(alive, Relaxed);
    }
}

fn shrink(bytes: usize) {
    if STOPPED.load(Relaxed) {
        return;
    }
    ALIVE.store(ALIVE.load(Relaxed).wrapping_sub(bytes), Relaxed);
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        shrink(layout.size());
        grow(size);
        // SAFETY: the caller's.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Counts no more, so that next to nothing of it is in what callgrind counts.
#[allow(
    dead_code,
    reason = "each program that includes this file uses a part of it"
)]
pub fn stop() {
    STOPPED.store(true, Relaxed);
}

/// Bytes that are allocated now.
pub fn alive() -> usize {
    ALIVE.load(Relaxed)
}

/// What `run` gives, how often it allocates, and how many bytes it has at once.
pub fn count<T>(run: impl FnOnce() -> T) -> (T, Allocations) {
    let (calls, alive) = (CALLS.load(Relaxed), ALIVE.load(Relaxed));
    PEAK.store(alive, Relaxed);
    let result = run();
    let counted = Allocations {
        calls: CALLS.load(Relaxed) - calls,
        peak: PEAK.load(Relaxed) - alive,
    };
    (result, counted)
}

/// See [`count`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocations {
    /// How often memory was asked for.
    pub calls: usize,
    /// The most bytes at once.
    pub peak: usize,
}
