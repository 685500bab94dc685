//! Generates modules, optimizes them, and compares traces.

use cranelift_memopt::Stats;
use memopt_trace::compare::{Mode, Verdict, compare, host_isa};
use memopt_trace::generate::{self, Module};
use memopt_trace::machine::Inputs;
use memopt_trace::shrink::shrink;
use memopt_trace::compare::Failure;
use cranelift_codegen::isa::TargetIsa;
use cranelift_memopt::Options;
use std::collections::BTreeMap;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let start: u64 = args[1].parse().unwrap();
    let count: u64 = args[2].parse().unwrap();
    let isa = host_isa();
    if args.len() > 3 {
        let module = generate::module(start);
        println!("{:?}", module.clauses);
        for func in &module.functions { println!("{}", func.display()); }
        println!("{:?}", generate::inputs(start, 4));
    }
    let mut total = Stats::default();
    let (mut functions, mut edited, mut runs) = (0, 0, 0);
    let mut discards: BTreeMap<String, u64> = BTreeMap::new();
    let mut wrong = 0;
    let time = std::time::Instant::now();
    for seed in start..start + count {
        let module = generate::module(seed);
        let inputs = generate::inputs(seed, 4);
        match compare(&module, &inputs, &*isa, &Options { rerun_egraph: false, ..Default::default() }, Mode::Alone) {
            Verdict::Equal { stats, runs: n, discarded } => {
                for s in &stats {
                    functions += 1;
                    edited += u64::from(s.edits() > 0);
                    total.add(s);
                }
                runs += n;
                for d in discarded {
                    *discards.entry(d.chars().take(60).collect()).or_default() += 1;
                }
            }
            Verdict::Upstream => {}
            Verdict::Wrong(failure) => {
                wrong += 1;
                if wrong < 4 {
                    report(seed, module, *failure, &*isa);
                } else {
                    println!("seed {seed}: {}", failure.kind);
                }
            }
        }
    }
    println!("{functions} functions, {edited} edited, {runs} runs, {wrong} wrong, {:?}", time.elapsed());
    println!("{total}");
    println!("{discards:#?}");
}

fn report(seed: u64, module: Module, failure: Failure, isa: &dyn TargetIsa) {
    let inputs: Vec<Inputs> = failure.inputs.into_iter().collect();
    let options = Options { rerun_egraph: false, ..Default::default() };
    let check = |module: &Module| match compare(module, &inputs, isa, &options, Mode::Alone) {
        Verdict::Wrong(found) => (found.kind == failure.kind).then_some(found),
        _ => None,
    };
    let small = shrink(module, isa, &|module| check(module).is_some());
    println!("==== seed {seed}: {}", failure.kind);
    println!("{}", small.clauses.join("\n"));
    for func in &small.functions {
        println!("{}", func.display());
    }
    println!("{inputs:?}");
    if let Some(found) = check(&small) {
        println!("{}", found.details);
    }
    let policy = small.policy().unwrap();
    if let Ok((functions, _)) = memopt_trace::compare::optimize(&small.functions, isa, &policy, &options, Mode::Alone) {
        println!("---- optimized");
        for func in &functions {
            println!("{}", func.display());
        }
    }
}
