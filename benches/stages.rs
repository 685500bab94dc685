//! How long the passes take, by shape and size of the function.
//!
//! `cargo bench --bench stages`; a shape alone: `cargo bench --bench stages -- loops`.
//! For numbers that do not depend on the machine's mood see `counts`.

mod support;

use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use std::fmt;
use std::time::{Duration, Instant};
use support::Shape;

fn main() {
    divan::main();
}

#[derive(Clone, Copy)]
struct Case {
    shape: Shape,
    size: usize,
}

impl Case {
    fn function(self, isa: &dyn TargetIsa) -> Function {
        support::prepare(self.shape, self.size, isa)
    }

    /// How long one run takes.
    fn time(self) -> Duration {
        let isa = support::isa().expect("x86_64 is built in");
        let policy = support::policy().expect("the policy is well-formed");
        let mut ctx = support::context(self.function(&*isa));
        let start = Instant::now();
        black_box(support::measured(&mut ctx, &*isa, &policy)).expect("nothing is verified");
        start.elapsed()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.shape.name(), self.size)
    }
}

/// The functions to measure. A larger one is left out if the one before it took
/// so long that something must be wrong; `counts` then tells what.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in Shape::ALL {
        for size in [1_000, 10_000, 100_000] {
            let case = Case { shape, size };
            cases.push(case);
            if size == 100_000 {
                break;
            }
            let time = case.time();
            if time > PATIENCE {
                eprintln!("larger {} left out: {case} took {time:?}", shape.name());
                break;
            }
        }
    }
    cases
}

/// Ten times that, a hundred times over, is more than anyone waits for.
const PATIENCE: Duration = Duration::from_millis(250);

/// `memopt::run` on a fresh copy each time.
#[divan::bench(args = cases(), max_time = Duration::from_secs(1))]
fn run(bencher: Bencher<'_, '_>, case: Case) {
    let isa = support::isa().expect("x86_64 is built in");
    let policy = support::policy().expect("the policy is well-formed");
    let func = case.function(&*isa);
    bencher
        .counter(ItemsCount::new(support::count(&func)))
        .with_inputs(|| support::context(func.clone()))
        .bench_local_refs(|ctx| black_box(support::measured(ctx, &*isa, &policy)));
}
