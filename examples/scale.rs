//! Makes a function of a given shape and size, and optimizes it.
//!
//! ```text
//! cargo run --release --example scale -- diamonds 100000
//! valgrind --tool=callgrind --toggle-collect='*measured*' target/release/examples/scale diamonds 100000
//! ```
//!
//! The first prints what the passes did and how long they took; the second how
//! many instructions they retired, and where. Shapes: see `Shape` in
//! `benches/support`.

#[path = "../benches/support/mod.rs"]
mod support;

use std::error::Error;
use std::time::Instant;
use support::Shape;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [shape, size] = arguments.as_slice() else {
        return Err("usage: scale SHAPE INSTRUCTIONS".into());
    };
    let Some(shape) = Shape::by_name(shape) else {
        let names = Shape::ALL.map(Shape::name).join(", ");
        return Err(format!("no shape `{shape}`; there are {names}").into());
    };
    let isa = support::isa()?;
    let policy = support::policy()?;
    let mut ctx = support::context(support::prepare(shape, size.parse()?, &*isa));
    let before = support::count(&ctx.func);
    let start = Instant::now();
    let stats = support::measured(&mut ctx, &*isa, &policy)?;
    let time = start.elapsed();
    let after = support::count(&ctx.func);
    println!("{before} instructions before, {after} after, in {time:?}");
    println!("{stats}");
    Ok(())
}
