//! What the compiler makes of the functions of a file, as text.

use crate::filetest::command::{Command, Kind};
use crate::functions::{Outcome, Stages, Wanted};
use crate::{functions, lower};
use anyhow::{Result, anyhow, bail, ensure};
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::print_errors::pretty_error;
use cranelift_memopt::{Options, Stats};
use memopt_check::Checking;
use memopt_policy::DeclaredPolicy;

/// What became of one function.
pub struct Output {
    /// The text that the expectations are about.
    pub text: String,
    /// The function itself.
    pub func: Function,
    /// What the passes did; `None` where they did not run.
    pub stats: Option<Stats>,
}

/// The functions of a file as one command sees them.
pub struct Module<'a> {
    /// The functions, in the order of the text.
    pub functions: &'a [Function],
    /// The target that the command runs for.
    pub isa: &'a dyn TargetIsa,
    /// The policy of each function.
    pub policies: &'a [DeclaredPolicy],
    /// The passes that run.
    pub options: &'a Options,
    /// Whether what they do has to be proven right.
    pub checking: Checking,
}

impl Module<'_> {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            options: self.options,
            checking: self.checking,
            remarks: false,
        }
    }

    /// Every function after the mid-end and the passes, verified before and
    /// after, and what the passes did.
    ///
    /// # Errors
    ///
    /// What the verifier, the optimizers or the checker refuse, and a function for
    /// which a limit of the checker is too low.
    pub fn optimized(&self) -> Result<(Vec<Context>, Vec<Stats>)> {
        functions::verify(self.functions, self.isa)?;
        let cloned = self.functions.iter().cloned();
        let mut contexts: Vec<_> = cloned.map(Context::for_function).collect();
        let stats = functions::optimize_module(
            &mut contexts,
            self.isa,
            self.policies,
            self.wanted(),
            Stages::WithMidEnd,
        )?;
        let stats = proven(&contexts, stats)?;
        functions::verify(contexts.iter().map(|ctx| &ctx.func), self.isa)?;
        Ok((contexts, stats))
    }

    /// Every function after the stock mid-end alone.
    ///
    /// # Errors
    ///
    /// What the verifier or the mid-end refuse.
    pub fn stock(&self) -> Result<Vec<Context>> {
        functions::verify(self.functions, self.isa)?;
        let cloned = self.functions.iter().cloned();
        cloned
            .map(|func| functions::optimize_stock(func, self.isa))
            .collect()
    }
}

/// What the passes did, if no limit of the checker was hit.
fn proven(contexts: &[Context], outcomes: Vec<Outcome>) -> Result<Vec<Stats>> {
    let both = contexts.iter().zip(outcomes);
    both.map(|(ctx, Outcome { stats: one, .. })| {
        ensure!(
            !one.is_undone(),
            "{} is not proven within the limits of the checker",
            ctx.func.name
        );
        Ok(one.stats)
    })
    .collect()
}

/// The outputs of `command`, one for each function.
///
/// # Errors
///
/// Whatever keeps a function from being compiled, or the passes from having
/// reached a fixpoint.
pub fn of_command(command: &Command, module: &Module<'_>) -> Result<Vec<Output>> {
    match (command.kind, command.memopt) {
        (Kind::Optimize, true) => memopt(module),
        (Kind::Optimize, false) => {
            let contexts = module.stock()?;
            Ok(contexts.iter().map(|ctx| clif(ctx, None)).collect())
        }
        (Kind::Compile, true) => {
            let (contexts, stats) = module.optimized()?;
            let both = contexts.iter().zip(stats);
            both.map(|(ctx, stats)| lowered(ctx, stats, module.isa, command.precise))
                .collect()
        }
        (Kind::Compile, false) => {
            functions::verify(module.functions, module.isa)?;
            let all = module.functions.iter();
            all.map(|func| compiled(func, module.isa, command.precise))
                .collect()
        }
        (Kind::Interpret | Kind::Run | Kind::Verifier, _) => bail!("`{command}` has no output"),
    }
}

/// `test memopt`: the CLIF after the passes, which another run leaves alone.
fn memopt(module: &Module<'_>) -> Result<Vec<Output>> {
    let (mut contexts, stats) = module.optimized()?;
    let both = contexts.iter().zip(&stats);
    let outputs = both.map(|(ctx, stats)| clif(ctx, Some(*stats))).collect();
    check_fixpoint(&mut contexts, &stats, module)?;
    Ok(outputs)
}

/// The passes promise to run until nothing changes, unless a limit stops them. What two slots in one
/// place tell another run is not looked for.
fn check_fixpoint(contexts: &mut [Context], stats: &[Stats], module: &Module<'_>) -> Result<()> {
    let again = functions::optimize_module(
        contexts,
        module.isa,
        module.policies,
        module.wanted(),
        Stages::Passes,
    )?;
    let again = proven(contexts, again)?;
    for (index, (first, second)) in stats.iter().zip(&again).enumerate() {
        ensure!(
            second.edits() == 0 || first.limits_hit > 0 || first.shared_slots > 0,
            "{} is not a fixpoint: the passes, run again, did {second}\n{}",
            contexts[index].func.name,
            contexts[index].func.display(),
        );
    }
    Ok(())
}

fn clif(ctx: &Context, stats: Option<Stats>) -> Output {
    Output {
        text: ctx.func.display().to_string(),
        func: ctx.func.clone(),
        stats,
    }
}

/// Machine code after the passes.
fn lowered(ctx: &Context, stats: Stats, isa: &dyn TargetIsa, precise: bool) -> Result<Output> {
    let code = lower::machine_code(&ctx.func, isa, true)?;
    let text = match precise {
        true => lower::listing(&code, &ctx.func.params, isa)?,
        false => code.vcode.unwrap_or_default(),
    };
    Ok(Output {
        text,
        func: ctx.func.clone(),
        stats: Some(stats),
    })
}

/// Machine code as stock Cranelift makes it.
fn compiled(func: &Function, isa: &dyn TargetIsa, precise: bool) -> Result<Output> {
    let mut ctx = Context::for_function(func.clone());
    ctx.set_disasm(true);
    let code = ctx
        .compile(isa, &mut ControlPlane::default())
        .map_err(|error| anyhow!("{}", pretty_error(error.func, error.inner)))?;
    let text = match precise {
        true => lower::listing(code, &func.params, isa)?,
        false => code.vcode.clone().unwrap_or_default(),
    };
    Ok(Output {
        text,
        func: func.clone(),
        stats: None,
    })
}
