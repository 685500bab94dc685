//! Machine code does what the interpreter says.

use cranelift_codegen::ir::{Endianness, Function};
use memopt_trace::generate::{self, Module};
use memopt_trace::inputs::Inputs;
use memopt_trace::machine::{self, Program};
use memopt_trace::native::{self, Native};
use memopt_trace::trace::{End, Trace};
use memopt_trace::world::{Temper, slot_regions};

/// Modules of the test, each with several inputs.
const MODULES: u64 = 400;
const INPUTS: usize = 4;

/// What the interpreter and the machine have seen, for each input whose run comes to
/// an end; none if this cannot run.
fn both(module: &Module, inputs: &[Inputs]) -> Vec<(Trace, Trace)> {
    let policy = module.policy().expect("the policy of a generated module");
    let functions: &[Function] = &module.functions;
    let slots = slot_regions(functions, &policy);
    let Ok(mut program) = Native::new(functions, &policy, &slots) else {
        return Vec::new();
    };
    let mut traces = Vec::new();
    for inputs in inputs {
        let interpreted = Program {
            functions,
            entry: 0,
            hosts: &[],
            policy: &policy,
            slot_regions: &slots,
            temper: Temper::Destructive,
            order: Endianness::Little,
        };
        let seen = machine::run(&interpreted, inputs).trace;
        if seen.is_meaningful() && seen.end != End::Cut {
            // SAFETY: it comes to an end.
            traces.push((seen, unsafe { program.run(inputs) }));
        }
    }
    traces
}

#[test]
fn all_kinds_of_ends_are_the_same() {
    if !native::is_available() {
        return;
    }
    let (mut returns, mut traps, mut exceptions, mut events) = (0, 0, 0, 0);
    for seed in 0..MODULES {
        let inputs = generate::inputs(seed, INPUTS);
        for (seen, found) in both(&generate::module(seed), &inputs) {
            assert_eq!(seen.difference(&found), None, "seed {seed}");
            events += found.events.len();
            match found.end {
                End::Return(..) => returns += 1,
                End::Trap(..) => traps += 1,
                End::Exception(..) => exceptions += 1,
                other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
    let counts = [returns, traps, exceptions];
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    assert!(events > 1000, "{events} events");
}

#[test]
fn what_memory_holds_is_seen() {
    if !native::is_available() {
        return;
    }
    // The same program in another world: nearly every run is told apart.
    let (mut runs, mut differ) = (0, 0);
    for seed in 0..MODULES / 4 {
        let module = generate::module(seed);
        let inputs = generate::inputs(seed, 1);
        let others: Vec<Inputs> = inputs.iter().cloned().map(another_seed).collect();
        let (ours, theirs) = (both(&module, &inputs), both(&module, &others));
        for ((seen, _), (_, found)) in ours.iter().zip(&theirs) {
            runs += 1;
            differ += usize::from(seen.difference(found).is_some());
        }
    }
    assert!(runs > 20 && differ * 10 > runs * 9, "{differ} of {runs}");
}

fn another_seed(inputs: Inputs) -> Inputs {
    Inputs {
        seed: !inputs.seed,
        ..inputs
    }
}
