//! Each input is the seed of a module.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memopt_trace::campaign::Tally;
use memopt_trace::compare::host_isa;
use memopt_trace::generate::Family;

fuzz_target!(|seed: u64| {
    if let Some(report) = Tally::default().test(Family::Mixed, seed, &*host_isa()) {
        panic!("{report}");
    }
});
