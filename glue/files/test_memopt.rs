//! Test command for testing the memory optimizations.
//!
//! The `memopt` test command runs each function through the mid-end and then
//! through the passes that the setting `memopt_effort` stands for. The output
//! for filecheck purposes is the resulting CLIF; that of `test compile memopt`
//! is the machine code. The functions of a file are one module: they are visited
//! callees first, and calls between them are known by the bodies.
//!
//! Comments say what else is known and expected:
//!
//! - `; policy: CLAUSE` before a function is part of the embedder's policy for
//!   it; see `DeclaredPolicy` for the clauses.
//! - `; stats: NAME=COUNT` behind a function compares the counters of the
//!   passes; `edits` is the sum over all kinds of edits.
//! - `;; needs: PASS` in the preamble says that the test has to fail if that
//!   pass is off, and it is tried. With `on <0.137` or `on >=0.137` behind, only
//!   in these versions, and in others it has to pass. `no-PASS` on the command line
//!   of the test turns a pass off.
//! - `;; cranelift: <0.137` in the preamble says which versions the expectations are
//!   for. In others at least one has to be unmet.
//!
//! The passes promise to run until nothing changes, so they are run again over
//! what they leave.

mod callgraph;
#[allow(dead_code, reason = "it is shared with tools that ask for more")]
mod declared;
mod versions;

use self::callgraph::{CallGraph, Turn};
use self::declared::DeclaredPolicy;
use crate::runone::FileUpdate;
use crate::subtest::{Context, SubTest, run_filecheck};
use anyhow::{Result, anyhow, bail, ensure};
use cranelift_codegen::ir::Function;
use cranelift_codegen::ir::entities::AnyEntity;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::memopt::call::effects::{CalleeName, Origin, Policy, RegionSet, Summary};
use cranelift_codegen::memopt::workarounds::one_region::Tags;
use cranelift_codegen::memopt::call::from_body::Summaries;
use cranelift_codegen::memopt::{self, Options, Stats, TargetFacts};
use cranelift_codegen::settings::{Flags, OptLevel};
use cranelift_codegen::{CodegenResult, VERSION, verify_function};
use cranelift_control::ControlPlane;
use cranelift_reader::{Comment, Details, TestCommand, TestFile, TestOption};
use filecheck::CheckerBuilder;
use log::info;
use similar::TextDiff;
use std::borrow::Cow;
use std::env;

/// What `callgraph.rs` uses of Cranelift.
mod names {
    pub(super) use cranelift_codegen::ir::{Function, InstructionData};
    pub(super) use cranelift_codegen::memopt::TargetFacts;
    pub(super) use cranelift_codegen::memopt::call::effects::{CalleeName, Policy, Summary};
    pub(super) use cranelift_codegen::memopt::call::from_body::{Summaries, WithSummaries, summarize};
    pub(super) use cranelift_codegen::{Context, FxHashMap};
    pub(super) use std::vec;
    pub(super) use std::vec::Vec;
}

type CodegenContext = cranelift_codegen::Context;

/// Keywords of comments that are not part of a precise output. The last two
/// count what a call executes, which takes a tool that is not part of Cranelift.
const KEYWORDS: [&str; 9] = [
    "policy:",
    "stats:",
    "needs:",
    "cranelift:",
    "run:",
    "print:",
    "error:",
    "dyn:",
    "dyn-memory:",
];

struct TestMemopt {
    /// Is the output the machine code, and not the CLIF?
    compile: bool,
    /// Has the output to match as a whole?
    precise_output: bool,
    /// The passes that the command turns off.
    off: Vec<String>,
}

/// `test memopt`, or `test compile` with the option `memopt`.
pub fn subtest(parsed: &TestCommand) -> Result<Box<dyn SubTest>> {
    let mut test = TestMemopt {
        compile: parsed.command == "compile",
        precise_output: false,
        off: Vec::new(),
    };
    for option in &parsed.options {
        match option {
            TestOption::Flag("precise-output") => test.precise_output = true,
            TestOption::Flag("memopt") if test.compile => {}
            TestOption::Flag(flag) if flag.starts_with("no-") => {
                test.off.push(flag["no-".len()..].replace('-', "_"));
            }
            _ => bail!("unknown option on {parsed}"),
        }
    }
    without(&test.off)?;
    Ok(Box::new(test))
}

/// What became of one function.
struct Output {
    text: String,
    stats: Stats,
}

impl SubTest for TestMemopt {
    fn name(&self) -> &'static str {
        if self.compile {
            "compile memopt"
        } else {
            "memopt"
        }
    }

    fn is_mutating(&self) -> bool {
        true
    }

    fn needs_isa(&self) -> bool {
        true
    }

    fn run_target<'a>(
        &self,
        testfile: &TestFile,
        file_update: &mut FileUpdate,
        file_path: &'a str,
        flags: &'a Flags,
        isa: Option<&'a dyn TargetIsa>,
    ) -> Result<()> {
        let isa = isa.expect("memopt needs an ISA");
        info!("Test: {}({file_path}) {}", self.name(), isa.name());
        ensure!(
            !flags.enable_memopt(),
            "`test {}` runs the passes itself, with policies that the setting knows nothing of",
            self.name(),
        );
        let context = |details| Context {
            preamble_comments: &testfile.preamble_comments,
            details,
            flags,
            isa: Some(isa),
            file_path,
            file_update,
        };

        let bless = env::var("CRANELIFT_TEST_BLESS").is_ok_and(|value| value == "1");
        let outputs = self.outputs(testfile, isa, &self.off)?;
        if !is_for_this_version(testfile)? {
            let mut both = testfile.functions.iter().zip(&outputs);
            let holds = both
                .all(|((_, details), output)| self.check(output, &context(details), false).is_ok());
            ensure!(!holds, "holds, and says that it is for other versions alone");
            return Ok(());
        }
        for ((_, details), output) in testfile.functions.iter().zip(&outputs) {
            self.check(output, &context(details), bless)?;
        }

        for (pass, here) in needs(testfile)? {
            let mut off = self.off.clone();
            off.push(pass.clone());
            // What cannot be compiled, for one because no fixpoint is
            // reached, is no reason for the test to need a pass.
            let outputs = self.outputs(testfile, isa, &off)?;
            let mut both = testfile.functions.iter().zip(&outputs);
            let holds = both
                .all(|((_, details), output)| self.check(output, &context(details), false).is_ok());
            ensure!(!holds || !here, "passes without {pass}, which it says it needs");
            ensure!(holds || here, "needs {pass}, and says that it does not here");
        }
        Ok(())
    }

    fn run(&self, _func: Cow<Function>, _context: &Context) -> Result<()> {
        unreachable!()
    }
}

impl TestMemopt {
    /// All functions of the file, with the passes in `off` turned off.
    fn outputs(
        &self,
        testfile: &TestFile,
        isa: &dyn TargetIsa,
        off: &[String],
    ) -> Result<Vec<Output>> {
        let options = without(off)?;
        let policies = policies(testfile)?;
        let functions = testfile.functions.iter();
        let mut contexts: Vec<_> = functions
            .map(|(func, _)| CodegenContext::for_function(func.clone()))
            .collect();

        let stats = run_module(&mut contexts, &policies, isa, |ctx, turn, policy| {
            let mut stats = memopt::Stats::default();
            if turn == Turn::First {
                stats = memopt::run_before(ctx, isa, policy, &options)?;
                mid_end(ctx, isa, policy)?;
            }
            stats += &memopt::run(ctx, isa, policy, &options)?;
            Ok(stats)
        })?;

        let mut outputs = Vec::new();
        for (ctx, stats) in contexts.iter_mut().zip(&stats) {
            verify_function(&ctx.func, isa)
                .map_err(|errors| crate::pretty_anyhow_error(&ctx.func, errors.into()))?;
            let text = if self.compile {
                self.machine_code(ctx, isa)?
            } else {
                ctx.func.display().to_string()
            };
            outputs.push(Output {
                text,
                stats: *stats,
            });
        }

        let again = run_module(&mut contexts, &policies, isa, |ctx, _, policy| {
            memopt::run(ctx, isa, policy, &options)
        })?;
        for ((ctx, first), second) in contexts.iter().zip(&stats).zip(&again) {
            ensure!(
                second.edits() == 0 || first.limits_hit > 0 || first.shared_slots > 0,
                "{} is not a fixpoint: the passes, run again, did {second}",
                ctx.func.name,
            );
        }
        Ok(outputs)
    }

    fn machine_code(&self, ctx: &mut CodegenContext, isa: &dyn TargetIsa) -> Result<String> {
        let params = ctx.func.params.clone();
        ctx.set_disasm(true);
        let code = ctx
            .lower(isa, &mut ControlPlane::default())
            .map_err(|e| crate::pretty_anyhow_error(&e.func, e.inner))?;
        let vcode = code.vcode.as_ref().unwrap();
        if !self.precise_output {
            return Ok(vcode.clone());
        }
        let capstone = isa.to_capstone().map_err(|e| anyhow!("{e}"))?;
        let disassembled = code.disassemble(Some(&params), &capstone)?;
        Ok(format!("VCode:\n{vcode}\nDisassembled:\n{disassembled}"))
    }

    /// Compares one function with its comments.
    fn check(&self, output: &Output, context: &Context, bless: bool) -> Result<()> {
        check_stats(&output.stats, context.details)?;
        if !self.precise_output {
            return run_filecheck(&output.text, context);
        }
        let expected: Vec<_> = behind(context.details).filter_map(expectation).collect();
        let actual: Vec<_> = output.text.lines().collect();
        if actual == expected {
            return Ok(());
        }
        if bless {
            return update(&actual, context);
        }
        bail!(
            "function on line {} does not match the text expectation\n\n{}\n\n\
             This test assertion can be automatically updated by setting the\n\
             CRANELIFT_TEST_BLESS=1 environment variable when running this test.",
            context.details.location.line_number,
            TextDiff::from_slices(&expected, &actual)
                .unified_diff()
                .header("expected", "actual")
        )
    }
}

/// [`CodegenContext::optimize`], which does not get to see alias regions where
/// they would mislead it; the setting `memopt_effort` has the same effect.
fn mid_end(
    ctx: &mut CodegenContext,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
) -> CodegenResult<()> {
    let is_optimized = isa.flags().opt_level() != OptLevel::None;
    let tags = is_optimized
        .then(|| Tags::take(&mut ctx.func, policy))
        .flatten();
    let outcome = ctx.optimize(isa, &mut ControlPlane::default());
    if let Some(tags) = tags {
        tags.put_back(&mut ctx.func);
    }
    outcome
}

/// Visits the functions callees first; returns what `visit` counted for each.
fn run_module(
    contexts: &mut [CodegenContext],
    policies: &[DeclaredPolicy],
    isa: &dyn TargetIsa,
    mut visit: impl FnMut(&mut CodegenContext, Turn, &dyn Policy) -> CodegenResult<Stats>,
) -> Result<Vec<Stats>> {
    let graph = CallGraph::new(contexts.iter().map(|ctx| &ctx.func));
    let policy_of = |index: usize| -> &dyn Policy { &policies[index] };
    let mut stats = vec![Stats::default(); contexts.len()];
    let target = TargetFacts::of(isa);
    let mut known = Summaries::default();
    let visit = |index: usize, turn, ctx: &mut CodegenContext, policy: &dyn Policy| {
        let more = visit(ctx, turn, policy)
            .map_err(|error| crate::pretty_anyhow_error(&ctx.func, error))?;
        stats[index] += more;
        anyhow::Ok(())
    };
    let left = graph.bottom_up(contexts, &policy_of, target, &mut known, visit)?;
    for index in left {
        stats[index].limits_hit += 1;
    }
    Ok(stats)
}

/// All passes but those in `off`.
fn without(off: &[String]) -> Result<Options> {
    let mut options = Options::max();
    for pass in off {
        let mut switches = options.switches();
        match switches.find(|(name, _)| name == pass) {
            Some((_, switch)) => *switch = false,
            None => bail!("unknown pass `{pass}`"),
        }
    }
    Ok(options)
}

/// What stands behind `keyword` in the preamble.
fn preamble<'a>(testfile: &'a TestFile, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    let comments = testfile.preamble_comments.iter();
    comments.filter_map(move |comment| directive(comment.text, keyword))
}

/// Are the expectations for this version of Cranelift?
fn is_for_this_version(testfile: &TestFile) -> Result<bool> {
    let mut all = preamble(testfile, "cranelift:").map(holds);
    all.try_fold(true, |so_far, holds| Ok(so_far && holds?))
}

fn holds(bounds: &str) -> Result<bool> {
    versions::hold(bounds, VERSION).map_err(|why| anyhow!("{why}"))
}

/// The passes that the file says it needs, and whether it does in this version.
fn needs(testfile: &TestFile) -> Result<Vec<(String, bool)>> {
    let mut needs = Vec::new();
    for line in preamble(testfile, "needs:") {
        let (words, here) = match line.split_once(" on ") {
            None => (line, true),
            Some((words, bounds)) => (words, holds(bounds)?),
        };
        let names = words.split([' ', ',']).filter(|word| !word.is_empty());
        needs.extend(names.map(|name| (name.replace('-', "_"), here)));
    }
    Ok(needs)
}

/// The policy of each function, from the comments between it and the function
/// before it. The parser has attached them to the latter.
fn policies(testfile: &TestFile) -> Result<Vec<DeclaredPolicy>> {
    let mut policies = Vec::new();
    let mut comments = &testfile.preamble_comments;
    for (_, details) in &testfile.functions {
        let mut policy = DeclaredPolicy::default();
        for clause in clauses(comments) {
            policy.declare(clause).map_err(|error| anyhow!("{error}"))?;
        }
        policies.push(policy);
        comments = &details.comments;
    }
    match clauses(comments).next() {
        Some(clause) => bail!("no function follows the policy `{clause}`"),
        None => Ok(policies),
    }
}

fn clauses<'a>(comments: &'a [Comment<'a>]) -> impl Iterator<Item = &'a str> {
    let texts = comments.iter().map(|comment| comment.text);
    texts.filter_map(|text| directive(text, "policy:"))
}

fn check_stats(stats: &Stats, details: &Details) -> Result<()> {
    for comment in &details.comments {
        let counts = directive(comment.text, "stats:").unwrap_or_default();
        for word in counts.split_whitespace() {
            let counter = word.split_once('=');
            let Some((name, Ok(expected))) =
                counter.map(|(name, count)| (name, count.parse::<u32>()))
            else {
                bail!("`{word}` is not NAME=COUNT");
            };
            let mut counters = stats.counters().chain([("edits", stats.edits())]);
            let Some((_, actual)) = counters.find(|(known, _)| *known == name) else {
                bail!("unknown counter `{name}`");
            };
            ensure!(
                actual == expected,
                "function on line {}: expected {word}, but the passes did {stats}",
                details.location.line_number,
            );
        }
    }
    Ok(())
}

/// The text of a comment that begins with `keyword`, behind the keyword.
fn directive<'a>(comment: &'a str, keyword: &str) -> Option<&'a str> {
    let text = comment.trim_start_matches(';').trim_start();
    text.strip_prefix(keyword).map(str::trim)
}

/// Does the comment say something to a test runner?
fn is_directive(comment: &str) -> bool {
    let bare = comment.trim_start_matches([';', ' ']).trim();
    matches!(bare, "run" | "print")
        || KEYWORDS.iter().any(|keyword| directive(comment, keyword).is_some())
        // A directive that does not parse is one all the same.
        || CheckerBuilder::new().directive(comment).unwrap_or(true)
}

/// The comments that are not inside the function.
fn behind<'a>(details: &'a Details<'a>) -> impl Iterator<Item = &'a str> {
    let comments = details.comments.iter();
    let comments = comments.filter(|comment| comment.entity == AnyEntity::Function);
    comments.map(|comment| comment.text)
}

/// The line of a precise output that the comment is, if it is one.
fn expectation(comment: &str) -> Option<&str> {
    if comment.starts_with(";;") || is_directive(comment) {
        return None;
    }
    let line = comment
        .strip_prefix("; ")
        .or_else(|| comment.strip_prefix(';'));
    Some(line.unwrap_or(comment))
}

/// Replaces the expectation behind a function, and keeps the other comments.
fn update(output: &[&str], context: &Context) -> Result<()> {
    let location = &context.details.location;
    context
        .file_update
        .update_at(location, |new_test, old_test| {
            let old: Vec<&str> = old_test.collect();
            let next = old.iter().position(|line| line.starts_with("function"));
            let (between, rest) = old.split_at(next.unwrap_or(old.len()));
            let is_kept = |line: &&&str| !line.is_empty() && expectation(line).is_none();
            let kept: Vec<&str> = between.iter().filter(is_kept).copied().collect();
            let is_of_next =
                |line: &&str| line.starts_with(";;") || directive(line, "policy:").is_some();
            let of_next = kept.iter().position(is_of_next).unwrap_or(kept.len());
            let (of_this, of_next) = kept.split_at(of_next);

            let mut push = |line: &str| {
                new_test.push_str(line);
                new_test.push('\n');
            };
            of_this.iter().for_each(|line| push(line));
            push("");
            for line in output {
                let space = if line.is_empty() { "" } else { " " };
                push(&format!(";{space}{line}"));
            }
            if !of_next.is_empty() || !rest.is_empty() {
                push("");
            }
            of_next.iter().chain(rest).for_each(|line| push(line));
        })
}
