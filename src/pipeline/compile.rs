//! One function, from its [`Context`] to machine code.

use crate::control::ControlPlane;
use crate::isa::TargetIsa;
use crate::memopt::call::effects::Policy;
use crate::memopt::{Options, Scratch, Stats};
use crate::{CodegenResult, Context};
use cranelift_codegen::CompiledCode;

/// Turns functions into machine code, one after the other, and keeps the memory of the register
/// allocator and of the passes from each for the next.
///
/// [`Context`] owns such memory as well, but its field is private and the one
/// way to it, [`Context::compile`], goes through the mid-end.
#[derive(Default)]
pub struct Compiler {
    regalloc: regalloc2::Ctx,
    control: ControlPlane,
    scratch: Scratch,
}

impl Compiler {
    /// A compiler that has allocated nothing yet.
    ///
    /// Cost: constant.
    pub fn new() -> Self {
        Self::default()
    }

    /// A compiler for chaos-mode fuzzing: `control` perturbs the mid-end and
    /// the back end as it does in [`Context::compile`].
    ///
    /// Cost: constant.
    pub fn with_control_plane(control: ControlPlane) -> Self {
        Self {
            control,
            ..Self::default()
        }
    }

    /// Compiles `ctx.func`: upstream's mid-end with the passes of this crate around it, then
    /// the back end. It does what [`Context::compile`] does, with the passes
    /// in between; with `opt_level=none` it does the same.
    ///
    /// Leaves the optimized function in `ctx`. The code is returned and not
    /// put into [`Context::compiled_code`], which only upstream can set. A
    /// disassembly comes with it if [`Context::want_disasm`] is set.
    ///
    /// Cost: one mid-end, one run of the passes, one back end.
    ///
    /// # Errors
    ///
    /// What the verifier (if `isa` has it enabled), the mid-end, or the back
    /// end reports. `ctx.func` is then in some valid state on the way.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cranelift_codegen::settings::{self, Configurable};
    /// # use cranelift_codegen::{Context, isa};
    /// use cranelift_memopt::{Compiler, NoPolicy, Options};
    /// # let mut flags = settings::builder();
    /// # flags.set("opt_level", "speed")?;
    /// # let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
    /// # let func = cranelift_reader::parse_functions("function %f() {\nblock0:\n    return\n}")?.remove(0);
    /// let mut compiler = Compiler::new(); // One a thread; it is `Send`.
    /// let mut ctx = Context::for_function(func);
    /// let (code, stats) = compiler.compile(&mut ctx, &*isa, &NoPolicy, &Options::default())?;
    /// println!("{} bytes: {stats}", code.code_buffer().len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compile(
        &mut self,
        ctx: &mut Context,
        isa: &dyn TargetIsa,
        policy: &dyn Policy,
        options: &Options,
    ) -> CodegenResult<(CompiledCode, Stats)> {
        ctx.verify_if(isa)?;
        let stats = super::both_phases(
            ctx,
            isa,
            policy,
            options,
            (&mut self.control, &mut self.scratch),
        )?;
        let code = self.emit(ctx, isa)?;
        Ok((code, stats))
    }

    /// The back end alone: machine code for `ctx.func` as it stands.
    ///
    /// `ctx` has to be past the mid-end: what [`optimize`](super::optimize),
    /// [`optimize_module`](super::optimize_module) or
    /// [`run_module`](super::run_module) leaves, also if it was edited since,
    /// because what the back end takes as given is made here: the dominator
    /// tree, and values that are no aliases of others. That is two linear
    /// walks, little beside lowering and register allocation.
    ///
    /// Cost: one back end, and those walks.
    ///
    /// # Errors
    ///
    /// What the verifier (if `isa` has it enabled) or the back end reports.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cranelift_codegen::settings::{self, Configurable};
    /// # use cranelift_codegen::{Context, isa};
    /// use cranelift_memopt::{Compiler, NoPolicy, Options, optimize};
    /// # let mut flags = settings::builder();
    /// # flags.set("opt_level", "speed")?;
    /// # let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
    /// # let func = cranelift_reader::parse_functions("function %f() {\nblock0:\n    return\n}")?.remove(0);
    /// let mut ctx = Context::for_function(func);
    /// optimize(&mut ctx, &*isa, &NoPolicy, &Options::default())?;
    /// // Here the function can be looked at, or changed once more.
    /// let code = Compiler::new().emit(&mut ctx, &*isa)?;
    /// assert!(!code.code_buffer().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn emit(&mut self, ctx: &mut Context, isa: &dyn TargetIsa) -> CodegenResult<CompiledCode> {
        ctx.flowgraph();
        ctx.func.dfg.resolve_all_aliases();
        ctx.verify_if(isa)?;
        let stencil = isa.compile_function(
            &ctx.func,
            &ctx.domtree,
            &mut self.regalloc,
            ctx.want_disasm,
            &mut self.control,
        )?;
        Ok(stencil.apply_params(&ctx.func.params))
    }
}

/// Where machine code may be put: at multiples of this, which is what its instructions and
/// its constants need on this target.
///
/// [`CompiledCode`] calls it by different names in different releases.
///
/// Cost: constant.
pub fn alignment(code: &CompiledCode, isa: &dyn TargetIsa) -> u64 {
    #[cfg(cranelift_min_alignment)]
    let own = code.buffer.min_alignment;
    #[cfg(not(cranelift_min_alignment))]
    let own = code.buffer.alignment;
    u64::from(own.max(isa.function_alignment().minimum))
}
