//! The functions that the benches measure are what they claim to be.

#[path = "../benches/support/mod.rs"]
mod support;

use cranelift_codegen::verify_function;
use support::Shape;

#[test]
fn functions_are_valid_before_and_after() {
    let isa = support::isa().unwrap();
    let policy = support::policy().unwrap();
    for shape in Shape::ALL {
        let func = support::prepare(shape, 3000, &*isa);
        verify_function(&func, &*isa).unwrap_or_else(|errors| panic!("{shape:?}: {errors}"));
        let mut ctx = support::context(func);
        let stats = support::measured(&mut ctx, &*isa, &policy).unwrap();
        ctx.verify(&*isa)
            .unwrap_or_else(|errors| panic!("{shape:?}: {errors}"));
        assert!(
            stats.edits() > 0,
            "{shape:?} gives the passes nothing to do"
        );
    }
}

#[test]
fn functions_have_their_size() {
    let isa = support::isa().unwrap();
    for shape in Shape::ALL {
        for size in [1_000, 10_000] {
            let count = support::count(&support::prepare(shape, size, &*isa));
            assert!((size..size + 1_000).contains(&count), "{shape:?}: {count}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_function() {
    let isa = support::isa().unwrap();
    for shape in Shape::ALL {
        let [one, two, other] =
            [1, 1, 2].map(|seed| support::generate(shape, 3000, seed, &*isa).to_string());
        assert_eq!(one, two, "{shape:?}");
        assert_ne!(one, other, "{shape:?}");
    }
}
