//! The parts of a compile, each under a name of its own for callgrind.

use crate::counted::{self, Allocations};
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::{self, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CodegenError, CompiledCode, Context};
use cranelift_memopt::{Compiler, NoPolicy, Options, Phase, Scratch, Stats, optimize_in};

use serde_json::{Value, json};
use std::error::Error;
use std::hint::black_box;

/// The machine that Wasmtime compiles for, as far as it matters.
pub fn isa() -> Result<OwnedTargetIsa, Box<dyn Error>> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?;
    flags.set("enable_verifier", "false")?;
    flags.set("preserve_frame_pointers", "true")?;
    Ok(isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?)
}

/// What comes of all functions on one side.
#[derive(Default)]
struct Side {
    allocations: usize,
    /// The most bytes that optimizing one function takes.
    peak: usize,
    /// The most that it takes over what the function has itself.
    peak_ratio: f64,
    code_bytes: usize,
    /// Those that the frames take below the frame pointer.
    frame_bytes: u64,
    loads: usize,
    stores: usize,
}

impl Side {
    fn optimized(&mut self, ctx: &Context, own: usize, counted: Allocations) {
        self.allocations += counted.calls;
        self.peak = self.peak.max(counted.peak);
        let ratio = counted.peak as f64 / own.max(1) as f64;
        self.peak_ratio = self.peak_ratio.max(ratio);
        let func = &ctx.func;
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                let opcode = func.dfg.insts[inst].opcode();
                self.loads += usize::from(opcode.can_load() && !opcode.is_call());
                self.stores += usize::from(opcode.can_store() && !opcode.is_call());
            }
        }
    }

    fn counts(&self) -> Value {
        json!({
            "allocations": self.allocations,
            "peak_bytes": self.peak,
            "peak_over_function": self.peak_ratio,
            "code_bytes": self.code_bytes,
            "frame_bytes": self.frame_bytes,
            "loads": self.loads,
            "stores": self.stores,
        })
    }
}

/// What is compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All sides.
    All,
    /// By stock, and with the passes at full effort.
    Stages,
    /// With the passes alone, at both efforts, and each function once.
    Remarks,
    /// All sides, and only what becomes of the functions.
    Counts,
}

impl Mode {
    /// What [`Self::by_name`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Stages => "stages",
            Self::Remarks => "remarks",
            Self::Counts => "counts",
        }
    }

    /// The mode of this name; all sides if there is none.
    pub fn by_name(name: &str) -> Self {
        let mut modes = [Self::Stages, Self::Remarks, Self::Counts].into_iter();
        modes.find(|mode| mode.name() == name).unwrap_or(Self::All)
    }

    /// The sides with the passes.
    fn with_passes(self) -> &'static [Part] {
        match self {
            Self::All | Self::Remarks | Self::Counts => &[Part::GATED, Part::FULL],
            Self::Stages => &[Part::FULL],
        }
    }
}

/// Compiles functions on all sides.
pub struct Sides<'a> {
    isa: &'a dyn TargetIsa,
    compiler: Compiler,
    scratch: Scratch,
    mode: Mode,
    functions: usize,
    instructions: usize,
    stock: Side,
    gated: Side,
    full: Side,
    look: Stats,
}

impl<'a> Sides<'a> {
    /// Sides that have compiled nothing.
    pub fn new(isa: &'a dyn TargetIsa, mode: Mode) -> Self {
        Self {
            isa,
            compiler: Compiler::new(),
            scratch: Scratch::default(),
            mode,
            functions: 0,
            instructions: 0,
            stock: Side::default(),
            gated: Side::default(),
            full: Side::default(),
            look: Stats::default(),
        }
    }

    /// Compiles `function` on each side. One that is refused on one side counts on none.
    pub fn compile(&mut self, function: &Function) {
        // The allocators' memory grows with the first function that needs it, and whoever
        // comes first would pay.
        let warm = self.warm_up(function);
        let has_stock = self.mode != Mode::Remarks;
        if warm.is_err() || has_stock && self.side(function, Part::STOCK).is_err() {
            return;
        }
        self.functions += 1;
        let blocks = function.layout.blocks();
        self.instructions += blocks
            .map(|block| function.layout.block_insts(block).count())
            .sum::<usize>();
        for side in self.mode.with_passes() {
            let done = self.side(function, *side);
            done.expect("what stock compiles is compiled with the passes");
        }
    }

    /// Compiles as stock does, where nothing is counted.
    fn warm_up(&mut self, function: &Function) -> Result<(), CodegenError> {
        let mut ctx = Context::for_function(function.clone());
        ctx.optimize(self.isa, &mut ControlPlane::default())?;
        black_box(self.compiler.emit(&mut ctx, self.isa)?);
        Ok(())
    }

    fn side(&mut self, function: &Function, part: Part) -> Result<(), CodegenError> {
        let before = counted::alive();
        let mut ctx = Context::for_function(function.clone());
        let own = counted::alive() - before;
        let scratch = &mut self.scratch;
        let (done, counted) = counted::count(|| (part.optimize)(&mut ctx, self.isa, scratch));
        done?;
        let side = match part.name {
            "stock" => &mut self.stock,
            "gated" => &mut self.gated,
            _ => &mut self.full,
        };
        side.optimized(&ctx, own, counted);
        let code = (part.back_end)(&mut ctx, self.isa, &mut self.compiler)?;
        side.code_bytes += code.code_buffer().len();
        let frame = code.buffer.frame_layout();
        side.frame_bytes += frame.map_or(0, |frame| frame.frame_to_fp_offset.into());
        if part.name == "full" && matches!(self.mode, Mode::All | Mode::Stages) {
            self.look += part_look(&mut ctx, self.isa, &mut self.scratch)?;
        }
        Ok(())
    }

    /// What was counted.
    pub fn counts(&self) -> Value {
        json!({
            "functions": self.functions,
            "instructions": self.instructions,
            "stock": self.stock.counts(),
            "gated": self.gated.counts(),
            "full": self.full.counts(),
            "second_run": self.look.to_string(),
        })
    }
}

/// How one side compiles.
#[derive(Clone, Copy)]
struct Part {
    name: &'static str,
    optimize: fn(&mut Context, &dyn TargetIsa, &mut Scratch) -> Result<(), CodegenError>,
    back_end: fn(&mut Context, &dyn TargetIsa, &mut Compiler) -> Result<CompiledCode, CodegenError>,
}

impl Part {
    const STOCK: Self = Self {
        name: "stock",
        optimize: part_stock_optimize,
        back_end: part_stock_back_end,
    };
    const GATED: Self = Self {
        name: "gated",
        optimize: part_gated_optimize,
        back_end: part_gated_back_end,
    };
    const FULL: Self = Self {
        name: "full",
        optimize: part_full_optimize,
        back_end: part_full_back_end,
    };
}

#[inline(never)]
fn part_stock_optimize(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    _: &mut Scratch,
) -> Result<(), CodegenError> {
    black_box(ctx.optimize(isa, &mut ControlPlane::default()))
}

#[inline(never)]
fn part_gated_optimize(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    scratch: &mut Scratch,
) -> Result<(), CodegenError> {
    black_box(optimize_in(
        ctx,
        isa,
        &NoPolicy,
        &Options::default(),
        scratch,
    )?);
    Ok(())
}

#[inline(never)]
fn part_full_optimize(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    scratch: &mut Scratch,
) -> Result<(), CodegenError> {
    black_box(optimize_in(ctx, isa, &NoPolicy, &Options::full(), scratch)?);
    Ok(())
}

/// Once more over what the passes have left: hardly anything is found.
#[inline(never)]
fn part_look(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    scratch: &mut Scratch,
) -> Result<Stats, CodegenError> {
    Phase::Behind.run_in(ctx, isa, &NoPolicy, (&Options::full(), None), scratch)
}

macro_rules! back_end {
    ($($name:ident $number:literal)*) => {$(
        #[inline(never)]
        fn $name(
            ctx: &mut Context,
            isa: &dyn TargetIsa,
            compiler: &mut Compiler,
        ) -> Result<CompiledCode, CodegenError> {
            // Functions that are the same would become one.
            black_box($number);
            black_box(compiler.emit(ctx, isa))
        }
    )*};
}

back_end! { part_stock_back_end 1 part_gated_back_end 2 part_full_back_end 3 }
