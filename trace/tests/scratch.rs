//! What a run leaves to the next one are lists alone: a function becomes the same in the lists of
//! any other as in new ones.

use cranelift_codegen::Context;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;
use cranelift_memopt::{NoPolicy, Options, Policy, Scratch, Stats, optimize_in};
use memopt_trace::compare::host_isa;
use memopt_trace::filetests::Filetests;
use memopt_trace::generate::Family;
use std::path::Path;

/// Generated modules of each family.
const MODULES: u64 = 120;

/// The function as the passes leave it; `None` if it is none for this machine.
fn optimized(
    func: &Function,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    scratch: &mut Scratch,
) -> Option<(String, Stats)> {
    let mut ctx = Context::for_function(func.clone());
    let stats = optimize_in(&mut ctx, isa, policy, &Options::full(), scratch).ok()?;
    Some((ctx.func.to_string(), stats))
}

/// Optimizes one function after the other, each in the lists of those before it and in new ones.
#[derive(Default)]
struct Both {
    scratch: Scratch,
    functions: u32,
    edits: u32,
}

impl Both {
    fn compare(&mut self, name: &str, func: &Function, isa: &dyn TargetIsa, policy: &dyn Policy) {
        let alone = optimized(func, isa, policy, &mut Scratch::default());
        let behind = optimized(func, isa, policy, &mut self.scratch);
        assert_eq!(alone, behind, "{name}: {}", func.name);
        self.functions += 1;
        self.edits += alone.map_or(0, |(_, stats)| stats.applied);
    }
}

#[test]
fn the_lists_of_other_functions_change_nothing() {
    let isa = host_isa();
    let mut both = Both::default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filetests");
    let filetests = Filetests::read(&root).expect("the filetests");
    for (path, module) in filetests.modules() {
        let Ok(policy) = module.policy() else {
            continue;
        };
        for func in &module.functions {
            both.compare(&path.display().to_string(), func, &*isa, &policy);
        }
    }
    // Regions of other numbers, and slots of other sizes, under the same names.
    for seed in 0..MODULES {
        for family in Family::ALL {
            let module = family.module(seed);
            let policy = module.policy().expect("a policy");
            for func in &module.functions {
                both.compare(family.name(), func, &*isa, &policy);
                both.compare(family.name(), func, &*isa, &NoPolicy);
            }
        }
    }
    assert!(both.functions > 3_000, "{} functions", both.functions);
    assert!(both.edits > 10_000, "{} edits", both.edits);
}
