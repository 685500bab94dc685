//! Generates modules, optimizes them, and compares traces.

use cranelift_memopt::Stats;
use memopt_trace::compare::{Mode, Verdict, compare, host_isa};
use memopt_trace::generate;
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
        match compare(&module, &inputs, &*isa, &Default::default(), Mode::Alone) {
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
                if wrong < 6 {
                    println!("seed {seed}: {} {:.600}", failure.kind, failure.details);
                } else { println!("seed {seed}: {}", failure.kind); }
            }
        }
    }
    println!("{functions} functions, {edited} edited, {runs} runs, {wrong} wrong, {:?}", time.elapsed());
    println!("{total}");
    println!("{discards:#?}");
}
