//! Which planted mistake is switched on. Inserted into a copy of the sources.

use core::sync::atomic::{AtomicUsize, Ordering};

static PLANTED: AtomicUsize = AtomicUsize::new(0);

/// Switches one mistake on and all others off; 0 is none.
pub fn switch_on(mistake: usize) {
    PLANTED.store(mistake, Ordering::Relaxed);
}

/// Is this mistake on?
pub fn is_on(mistake: usize) -> bool {
    PLANTED.load(Ordering::Relaxed) == mistake
}
