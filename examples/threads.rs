//! Functions compiled on several threads, with one compiler a thread.
//!
//! `cargo run --example threads`. A `Compiler` keeps the register allocator's memory from one
//! function for the next. It is `Send`, and so are contexts and summaries; a policy that is
//! `Sync` is shared. The code does not depend on who compiled what.

use cranelift_codegen::Context;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_memopt::{Compiler, NoPolicy, Options, Stats};
use std::error::Error;
use std::sync::Mutex;

/// The functions, and how many threads compile them.
const FUNCTIONS: usize = 64;
const THREADS: usize = 4;

/// The machine code of each function.
type Codes = Vec<Vec<u8>>;

/// Keeps its argument in a slot.
const FUNCTION: &str = "
function %f(i32) -> i32 {
    ss0 = explicit_slot 4
block0(v0: i32):
    v1 = stack_addr.i64 ss0
    v2 = iconst.i32 NUMBER
    v3 = imul v0, v2
    store notrap aligned v3, v1
    v4 = load.i32 notrap aligned v1
    return v4
}";

pub fn main() -> Result<(), Box<dyn Error>> {
    let isa = optimizing()?;
    let alone = compile_all(&isa, 1)?;
    let together = compile_all(&isa, THREADS)?;
    assert_eq!(alone.0, together.0, "the code depends on the threads");
    println!("{FUNCTIONS} functions on {THREADS} threads: {}", together.1);
    assert_eq!(together.1.freed_slots as usize, FUNCTIONS);
    Ok(())
}

fn optimizing() -> Result<OwnedTargetIsa, Box<dyn Error>> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?; // With "none", the default, nothing runs.
    Ok(isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?)
}

/// The code of each function, and what the passes did to all of them.
fn compile_all(isa: &OwnedTargetIsa, threads: usize) -> Result<(Codes, Stats), Box<dyn Error>> {
    let mut queue = Vec::new();
    for number in 0..FUNCTIONS {
        let text = FUNCTION.replace("NUMBER", &(number + 3).to_string());
        let func = cranelift_reader::parse_functions(&text)?.remove(0);
        queue.push((number, Context::for_function(func)));
    }
    let queue = Mutex::new(queue);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut compiler = Compiler::new();
                loop {
                    let Some((number, mut ctx)) = queue.lock().expect("no panic").pop() else {
                        return;
                    };
                    let code = compiler.compile(&mut ctx, &**isa, &NoPolicy, &Options::default());
                    let code = code.map(|(code, stats)| (code.code_buffer().to_vec(), stats));
                    done.lock().expect("no panic").push((number, code));
                }
            });
        }
    });
    let mut done = done.into_inner()?;
    done.sort_by_key(|(number, _)| *number);
    let mut codes = Vec::new();
    let mut stats = Stats::default();
    for (_, outcome) in done {
        let (code, one) = outcome?;
        codes.push(code);
        stats += one;
    }
    Ok((codes, stats))
}
