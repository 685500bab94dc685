//! What the passes find does not depend on how the blocks lie.

use cranelift_codegen::ir::{Block, Function, Inst};
use fastrand::Rng;
use memopt_trace::compare::{Setting, host_isa, optimize};
use memopt_trace::generate;

/// Modules of the test, each in two layouts.
const MODULES: u64 = 600;

#[test]
fn results_do_not_depend_on_the_layout_of_blocks() {
    let isa = host_isa();
    let mut moved = 0;
    for seed in 0..MODULES {
        let module = generate::module(seed);
        let Ok(policy) = module.policy() else {
            panic!("seed {seed} has no policy");
        };
        let mut rng = Rng::with_seed(seed);
        let shuffled: Vec<Function> = module
            .functions
            .iter()
            .map(|func| in_layout(func, |blocks| rng.shuffle(blocks)))
            .collect();
        moved += shuffled
            .iter()
            .zip(&module.functions)
            .filter(|(a, b)| order(a) != order(b))
            .count();
        let results = [&module.functions, &shuffled].map(|functions| {
            match optimize(functions, &*isa, &policy, &Setting::plain()) {
                Ok((functions, _)) => functions,
                Err(failure) => panic!("seed {seed}: {}", failure.details),
            }
        });
        let [ours, theirs] =
            results.map(|functions| functions.iter().map(text).collect::<String>());
        assert_eq!(ours, theirs, "seed {seed}");
    }
    assert!(
        moved as u64 > MODULES,
        "{moved} functions have another layout"
    );
}

fn order(func: &Function) -> Vec<Block> {
    func.layout.blocks().collect()
}

/// `func` with its blocks behind the entry in the order that `arrange` gives them.
fn in_layout(func: &Function, arrange: impl FnOnce(&mut [Block])) -> Function {
    let mut func = func.clone();
    let mut blocks = order(&func);
    arrange(&mut blocks[1..]);
    for block in &blocks[1..] {
        let insts: Vec<Inst> = func.layout.block_insts(*block).collect();
        for inst in &insts {
            func.layout.remove_inst(*inst);
        }
        func.layout.remove_block(*block);
        func.layout.append_block(*block);
        for inst in insts {
            func.layout.append_inst(inst, *block);
        }
    }
    func
}

/// The text of `func` with its blocks in the order of their numbers.
fn text(func: &Function) -> String {
    let sort = |blocks: &mut [Block]| blocks.sort_unstable();
    in_layout(func, sort).display().to_string()
}
