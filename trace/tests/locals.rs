//! Functions with locals in stack slots are of the size and the shape that was asked for.

use cranelift_codegen::ir::{Function, Opcode};
use cranelift_codegen::verify_function;
use memopt_trace::compare::host_isa;
use memopt_trace::generate::locals::{Shape, module};

fn instructions(func: &Function) -> usize {
    let blocks = func.layout.blocks();
    blocks
        .map(|block| func.layout.block_insts(block).count())
        .sum()
}

fn count(func: &Function, wanted: impl Fn(Opcode) -> bool) -> usize {
    let blocks = func.layout.blocks();
    let insts = blocks.flat_map(|block| func.layout.block_insts(block));
    insts
        .filter(|inst| wanted(func.dfg.insts[*inst].opcode()))
        .count()
}

#[test]
fn shapes_are_valid_and_as_large_as_asked() {
    let isa = host_isa();
    for shape in Shape::ALL {
        assert_eq!(Shape::by_name(shape.name()), Some(shape));
        for size in [100, 1000, 10_000] {
            let module = module(7, shape, 2, size);
            assert_eq!(module.functions.len(), 2);
            for func in &module.functions {
                verify_function(func, &*isa).unwrap_or_else(|e| panic!("{}: {e}", shape.name()));
                let found = instructions(func);
                // A statement may have statements, and the locals are initialized.
                assert!(found >= size, "{}: {found} of {size}", shape.name());
                assert!(
                    found <= 2 * size + 2000,
                    "{}: {found} of {size}",
                    shape.name()
                );
            }
        }
    }
}

#[test]
fn shapes_have_what_they_are_named_after() {
    let has = |shape, wanted: fn(Opcode) -> bool| {
        count(&module(3, shape, 1, 1000).functions[0], wanted) > 0
    };
    assert!(has(Shape::Switches, |opcode| opcode == Opcode::BrTable));
    assert!(has(Shape::Ifs, |opcode| opcode == Opcode::Brif));
    assert!(has(Shape::References, Opcode::is_call));
    assert!(!has(Shape::Straight, Opcode::is_branch));
    let func = &module(3, Shape::References, 1, 1000).functions[0];
    let blocks = func.layout.blocks();
    let mut insts = blocks.flat_map(|block| func.layout.block_insts(block));
    assert!(insts.any(|inst| func.dfg.user_stack_map_entries(inst).is_some()));
}

#[test]
fn no_access_has_a_region() {
    for shape in Shape::ALL {
        let func = &module(5, shape, 1, 500).functions[0];
        assert_eq!(func.dfg.alias_regions.iter().count(), 0);
    }
}
