//! Compiles functions that keep their locals in stack slots, to be measured.
//!
//! `compile_locals SHAPE stock|passes [COUNT [SIZE]]` compiles `COUNT` functions of about `SIZE`
//! instructions, with Cranelift alone or with the passes, and prints the bytes of code and of
//! frames that come of it. Under `valgrind --tool=callgrind '--toggle-collect=*::part_compile'`
//! it says what that costs.

use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CodegenError, Context, isa};
use cranelift_memopt::{Compiler, NoPolicy, Options};
use memopt_trace::generate::locals::{Shape, module};
use std::process::ExitCode;

/// Functions that are compiled unless it is said otherwise.
const COUNT: usize = 40;
/// Their size.
const SIZE: usize = 200;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default| args.get(at).map_or(Some(default), |text| text.parse().ok());
    let wanted = (
        args.first().and_then(|name| Shape::by_name(name)),
        args.get(1).and_then(|with| by_name(with)),
        number(2, COUNT),
        number(3, SIZE),
    );
    let (Some(shape), Some(passes), Some(count), Some(size)) = wanted else {
        eprintln!("usage: compile_locals SHAPE stock|passes [COUNT [SIZE]]");
        return ExitCode::FAILURE;
    };
    match compile_all(shape, passes, count, size) {
        Ok((code, frames)) => {
            println!("{code} bytes of code, {frames} bytes of slots");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn by_name(with: &str) -> Option<bool> {
    match with {
        "stock" => Some(false),
        "passes" => Some(true),
        _ => None,
    }
}

fn compile_all(
    shape: Shape,
    passes: bool,
    count: usize,
    size: usize,
) -> Result<(usize, u64), Box<dyn std::error::Error>> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?;
    flags.set("enable_verifier", "false")?;
    flags.set("preserve_frame_pointers", "true")?;
    let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
    let mut compiler = Compiler::new();
    let (mut code, mut frames) = (0, 0);
    for seed in 0..count as u64 {
        let func = module(seed, shape, 1, size).functions.remove(0);
        let mut ctx = Context::for_function(func);
        code += part_compile(&mut ctx, &*isa, passes, &mut compiler)?;
        let slots = ctx.func.sized_stack_slots.values();
        frames += slots.map(|slot| u64::from(slot.size)).sum::<u64>();
    }
    Ok((code, frames))
}

/// One compile; the bytes of code.
#[inline(never)]
fn part_compile(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    passes: bool,
    compiler: &mut Compiler,
) -> Result<usize, CodegenError> {
    let code = if passes {
        compiler
            .compile(ctx, isa, &NoPolicy, &Options::default())?
            .0
    } else {
        ctx.optimize(isa, &mut ControlPlane::default())?;
        compiler.emit(ctx, isa)?
    };
    Ok(code.code_buffer().len())
}
