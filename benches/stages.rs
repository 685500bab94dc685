//! How long the passes take, by shape and size of the function.
//!
//! `cargo bench --bench stages`; a shape alone: `cargo bench --bench stages -- loops`.
//! For numbers that do not depend on the machine's mood see `counts`.

mod support;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use std::fmt;
use std::time::Duration;
use support::Shape;

fn main() {
    divan::main();
}

#[derive(Clone, Copy)]
struct Case {
    shape: Shape,
    size: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.shape.name(), self.size)
    }
}

fn cases() -> Vec<Case> {
    let sizes = [1_000, 10_000, 100_000];
    let of_shape = |shape| sizes.map(|size| Case { shape, size });
    Shape::ALL.into_iter().flat_map(of_shape).collect()
}

/// `memopt::run` on a function that is past the mid-end; a fresh copy each time.
#[divan::bench(args = cases(), max_time = Duration::from_secs(2))]
fn run(bencher: Bencher<'_, '_>, case: Case) {
    let isa = support::isa().expect("x86_64 is built in");
    let policy = support::policy().expect("the policy is well-formed");
    let func = support::prepare(case.shape, case.size, &*isa).expect("the function is valid");
    bencher
        .counter(ItemsCount::new(support::count(&func)))
        .with_inputs(|| support::context(func.clone()))
        .bench_local_refs(|ctx| black_box(support::measured(ctx, &*isa, &policy)));
}
