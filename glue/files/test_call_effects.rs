//! Test command for what calls do to memory.
//!
//! The `call-effects` test command visits the functions of a file in their order. Each
//! is told what those before it do, is optimized, and becomes one of those that the ones
//! behind it may call. Nothing is inlined. The output for filecheck purposes is what a
//! call of the function does, and the resulting CLIF.

use crate::subtest::{Context, SubTest, check_precise_output, run_filecheck};
use anyhow::Result;
use cranelift_codegen::call_effects::{CallEffects, RegionSet, Summary, summarize};
use cranelift_codegen::ir;
use cranelift_control::ControlPlane;
use cranelift_reader::{TestCommand, TestOption};
use std::{borrow::Cow, cell::RefCell, collections::HashMap, fmt::Write as _};

#[derive(Default)]
struct TestCallEffects {
    /// As in `test optimize`.
    precise_output: bool,

    /// What the functions do that have been visited.
    summaries: RefCell<HashMap<String, Summary>>,
}

pub fn subtest(parsed: &TestCommand) -> Result<Box<dyn SubTest>> {
    assert_eq!(parsed.command, "call-effects");
    let mut test = TestCallEffects::default();
    for option in parsed.options.iter() {
        match option {
            TestOption::Flag("precise-output") => test.precise_output = true,
            _ => anyhow::bail!("unknown option on {parsed}"),
        }
    }
    Ok(Box::new(test))
}

impl SubTest for TestCallEffects {
    fn name(&self) -> &'static str {
        "call-effects"
    }

    fn is_mutating(&self) -> bool {
        true
    }

    fn needs_isa(&self) -> bool {
        true
    }

    fn run(&self, func: Cow<ir::Function>, context: &Context) -> Result<()> {
        let isa = context.isa.unwrap();
        let mut comp_ctx = cranelift_codegen::Context::for_function(func.into_owned());
        comp_ctx.learn_call_effects(Known(&self.summaries.borrow()));
        let summary = summarize(&comp_ctx.func);
        let mut actual = shown(&summary);
        let name = comp_ctx.func.name.to_string();
        self.summaries.borrow_mut().insert(name, summary);

        comp_ctx
            .optimize(isa, &mut ControlPlane::default())
            .map_err(|e| crate::pretty_anyhow_error(&comp_ctx.func, e))?;
        write!(actual, "{}", comp_ctx.func.display())?;

        log::debug!("filecheck input: {actual}");
        if self.precise_output {
            let actual: Vec<_> = actual.lines().collect();
            check_precise_output(&actual, context)
        } else {
            run_filecheck(&actual, context)
        }
    }
}

/// A summary, in one line.
fn shown(summary: &Summary) -> String {
    let regions = |regions: &RegionSet| match regions.ids() {
        Some(ids) => format!("{ids:?}"),
        None => "all".to_owned(),
    };
    let mut line = format!(
        "a call reads {}, writes {}",
        regions(summary.reads()),
        regions(summary.writes())
    );
    for (may, what) in [
        (summary.may_trap(), ", may trap"),
        (summary.may_unwind(), ", may unwind"),
    ] {
        if may {
            line.push_str(what);
        }
    }
    line.push('\n');
    line
}

struct Known<'a>(&'a HashMap<String, Summary>);

impl CallEffects for Known<'_> {
    fn effects(&mut self, caller: &ir::Function, callee: ir::FuncRef) -> Option<Summary> {
        let name = &caller.dfg.ext_funcs[callee].name;
        let name = name.display(Some(&caller.params)).to_string();
        self.0.get(&name).cloned()
    }
}
