//! Each input is the seed of a module.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memopt_trace::campaign::Tally;
use memopt_trace::compare::host_isa;

fuzz_target!(|seed: u64| {
    if let Some(report) = Tally::default().test(seed, &*host_isa()) {
        panic!("{report}");
    }
});
