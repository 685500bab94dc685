//! How much the passes did, added up from what they log.
//!
//! Cranelift tells about each run of a pass in a debug message, as it does of
//! its egraph pass: `memopt stats: Stats { forwarded_loads: 1, … }`.

use log::{LevelFilter, Log, Metadata, Record};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where Cranelift's driver logs.
const TARGET: &str = "cranelift_codegen::context";

static EDITS: AtomicU64 = AtomicU64::new(0);

/// Begins to count. Only the first call in a process does anything; a process
/// that has a logger of its own counts nothing.
pub fn count() {
    if log::set_logger(&Counting).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

/// The edits that all passes have made since [`count`].
pub fn total() -> u64 {
    EDITS.load(Ordering::Relaxed)
}

struct Counting;

impl Log for Counting {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let edits = edits(&record.args().to_string()).unwrap_or(0);
            EDITS.fetch_add(edits, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// How many edits a message tells of; `None` if it is about something else.
fn edits(message: &str) -> Option<u64> {
    let counters = message.strip_prefix("memopt stats: Stats {")?;
    let mut counters = counters.trim_end_matches('}').split(',');
    let applied = counters.find_map(|counter| counter.trim().strip_prefix("applied: "));
    applied?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_that_were_applied_are_counted() {
        let message = "memopt stats: Stats { runs: 1, dead_stores: 2, freed_slots: 1, applied: 3, rounds: 7 }";
        assert_eq!(edits(message), Some(3));
        assert_eq!(edits("egraph stats: Stats { rewrites: 2 }"), None);
    }
}
