//! Optimized modules are observed to do what they did before.

use memopt_trace::campaign::Tally;
use memopt_trace::compare::host_isa;
use memopt_trace::generate::Family;
use memopt_trace::native;

/// Modules of the test; a few seconds without optimization.
const MODULES: u64 = 3000;

#[test]
fn optimized_modules_have_the_traces_they_had() {
    let isa = host_isa();
    let mut tally = Tally::default();
    for seed in 0..MODULES {
        if let Some(report) = tally.test(Family::Mixed, seed, &*isa) {
            panic!("{report}");
        }
    }
    println!("{tally}");
    assert!(tally.is_good(), "{tally}");
    assert!(tally.edited * 2 >= tally.functions, "{tally}");
    assert!(tally.runs >= 3 * MODULES, "{tally}");
    assert!(
        tally.native >= MODULES / 2 || !native::is_available(),
        "{tally}"
    );
}
