//! Optimizes a module and compares what can be observed before and after.

use crate::generate::Module;
use crate::inputs::Inputs;
use crate::machine::{self, Program, Run};
use crate::native::{self, Native};
use crate::trace::{End, Trace};
pub use crate::verdict::{Failure, Kind, Mode, Proof, Setting, Verdict};
use crate::world::{SlotRegions, Temper, slot_regions};
use cranelift_codegen::Context;
use cranelift_codegen::ir::{Endianness, Function, Opcode};
use cranelift_codegen::isa::{self, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_memopt::FunctionError;
use memopt_check::{CheckedStats, Checking, optimize_module_checked, run_module_checked};
use memopt_policy::DeclaredPolicy;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs after which the owners of a heap have settled, or never will. What a
/// host does depends on them, and what is accessed behind it does on that.
const MAX_OWNER_RUNS: usize = 4;

/// The target of all tests: that of this machine, with the verifier on.
///
/// # Panics
///
/// If Cranelift has no back end for this machine.
pub fn host_isa() -> OwnedTargetIsa {
    let mut flags = settings::builder();
    for (name, value) in [("opt_level", "speed"), ("enable_verifier", "true")] {
        flags.set(name, value).expect("a setting of Cranelift");
    }
    let flags = settings::Flags::new(flags);
    let isa = isa::lookup_by_name(std::env::consts::ARCH).expect("a back end for this machine");
    isa.finish(flags).expect("a target")
}

/// Compares `module` with its optimized self, on each of `inputs`.
pub fn compare(
    module: &Module,
    inputs: &[Inputs],
    isa: &dyn TargetIsa,
    setting: &Setting,
) -> Verdict {
    let policy = match module.policy() {
        Ok(policy) => policy,
        Err(error) => return Verdict::Wrong(Failure::new(Kind::Policy, error.to_string())),
    };
    let original = Original {
        module,
        inputs,
        isa,
        policy: &policy,
        setting,
    };
    let optimized = optimize(&module.functions, isa, &policy, setting);
    let (optimized, stats) = match optimized {
        Ok(optimized) => optimized,
        Err(failure) if original.fails_alone() => {
            return Verdict::Equal {
                stats: Vec::new(),
                runs: 0,
                discarded: vec![format!("upstream alone: {}", failure.kind)],
                native: 0,
            };
        }
        Err(failure) => return Verdict::Wrong(failure),
    };
    match original.compare_with(&optimized) {
        Ok(Runs {
            runs,
            discarded,
            native,
        }) => Verdict::Equal {
            stats,
            runs,
            discarded,
            native,
        },
        Err(mut failure) => {
            failure.proof = original.proof();
            failure.stats = stats;
            Verdict::Wrong(failure)
        }
    }
}

/// A module before it is optimized, and how it is compared.
struct Original<'a> {
    module: &'a Module,
    inputs: &'a [Inputs],
    isa: &'a dyn TargetIsa,
    policy: &'a DeclaredPolicy,
    setting: &'a Setting,
}

/// Runs that are equal.
struct Runs {
    runs: usize,
    discarded: Vec<String>,
    native: usize,
}

impl Original<'_> {
    /// Runs the module and what has become of its functions.
    ///
    /// # Errors
    ///
    /// The first difference.
    fn compare_with(&self, optimized: &[Function]) -> Result<Runs, Box<Failure>> {
        let Self { module, policy, .. } = *self;
        let slots = slot_regions(&module.functions, policy);
        let run = |functions: &[Function], inputs: &Inputs| {
            let program = Program {
                functions,
                entry: 0,
                hosts: &[],
                policy,
                slot_regions: &slots,
                temper: Temper::Destructive,
                order: Endianness::Little,
            };
            machine::run(&program, inputs)
        };
        let mut runs = Vec::new();
        let mut discarded = Vec::new();
        for inputs in self.inputs {
            let inputs = match with_owners(inputs, &|inputs| run(&module.functions, inputs)) {
                Some(inputs) => inputs,
                None => {
                    discarded.push("who owns the heap depends on the world".to_string());
                    continue;
                }
            };
            let Both {
                inputs,
                before,
                after,
                orders_slots,
            } = run_both(inputs, &run, &module.functions, optimized);
            if orders_slots {
                discarded.push("asks which of two slots lies first".to_string());
                continue;
            }
            if !before.is_meaningful() {
                discarded.push(format!("{:?}", before.end));
                continue;
            }
            if let End::Unsupported(what) = &after.end {
                discarded.push(format!("unsupported after: {what}"));
                continue;
            }
            if after.breaks_promise_of(&before) {
                discarded.push(format!("{:?}", after.end));
                continue;
            }
            if let Some(difference) = before.difference(&after) {
                if let Some(alone) = self.may_differ()
                    && run_both(inputs.clone(), &run, &alone, optimized).is_equal()
                {
                    discarded.push("upstream alone differs".to_string());
                    continue;
                }
                let mut failure = Failure::new(Kind::Trace, difference);
                failure.inputs = Some(inputs);
                return Err(failure);
            }
            runs.push((inputs, before));
        }
        let mut native = 0;
        if self.setting.native {
            for functions in [&module.functions[..], optimized] {
                match run_natively(functions, policy, &slots, &runs)? {
                    Ok(count) => native += count,
                    Err(why) => discarded.push(format!("not native: {why}")),
                }
            }
        }
        Ok(Runs {
            runs: runs.len(),
            discarded,
            native,
        })
    }

    /// What the checker says of a module that is optimized wrongly.
    fn proof(&self) -> Proof {
        if self.setting.checking == Checking::Off {
            return Proof::NotAsked;
        }
        let mut proven = contexts(&self.module.functions);
        match pass(&mut proven, self.isa, self.policy, self.setting) {
            Ok(_) => self.proof_of(&functions(proven)),
            Err(_) => Proof::NotAsked,
        }
    }

    /// What the checker says, given the functions in which what it does not prove is put back as it
    /// was: it has accepted what is wrong if these are wrong, whatever else it refuses.
    fn proof_of(&self, proven: &[Function]) -> Proof {
        match self.compare_with(proven) {
            Ok(_) => Proof::Refused,
            Err(_) => Proof::Accepted,
        }
    }

    /// Does the mid-end fail without the passes?
    fn fails_alone(&self) -> bool {
        self.setting.mode == Mode::BehindMidEnd && self.alone(false).is_none()
    }

    /// The functions as the mid-end leaves them, if it may change what is observed of
    /// this module.
    ///
    /// To upstream, memory that the world accesses at any time is memory like any
    /// other, and of several atomic loads or stores in a function it may remove one
    /// (see docs/upstream-findings.md).
    fn may_differ(&self) -> Option<Vec<Function>> {
        let may_differ = self.module.has_asynchronous_memory()
            || self.module.functions.iter().any(repeats_atomic_accesses);
        match self.setting.mode {
            Mode::BehindMidEnd if may_differ => self.alone(self.setting.options.straighten),
            Mode::Alone | Mode::BehindMidEnd => None,
        }
    }

    /// The functions as the mid-end leaves them, which sees more in one block than in two: are they
    /// straightened in front of it?
    fn alone(&self, straighten: bool) -> Option<Vec<Function>> {
        let mut setting = self.setting.unchecked();
        for (_, switch) in setting.options.switches() {
            *switch = false;
        }
        setting.options.straighten = straighten;
        let functions = &self.module.functions;
        let optimized = optimize(functions, self.isa, self.policy, &setting);
        optimized.ok().map(|(functions, _)| functions)
    }
}

/// Runs machine code on the inputs of `runs` that have come to an end, and compares
/// with what the interpreter saw; how many, or why not.
///
/// # Errors
///
/// A difference.
fn run_natively(
    functions: &[Function],
    policy: &DeclaredPolicy,
    slots: &SlotRegions,
    runs: &[(Inputs, Trace)],
) -> Result<Result<usize, String>, Box<Failure>> {
    let ended = runs.iter().filter(|(_, trace)| trace.end != End::Cut);
    let ended: Vec<&(Inputs, Trace)> = ended.collect();
    if ended.is_empty() || !native::is_available() {
        return Ok(Ok(0));
    }
    let mut program = match Native::new(functions, policy, slots) {
        Ok(program) => program,
        Err(why) => return Ok(Err(why)),
    };
    for (inputs, trace) in &ended {
        // SAFETY: the interpreter has come to this end, with the functions as they
        // were, and so with the optimized ones.
        let found = unsafe { program.run(inputs) };
        if let Some(difference) = trace.difference(&found) {
            let mut failure = Failure::new(Kind::Native, difference);
            failure.inputs = Some(inputs.clone());
            return Err(failure);
        }
    }
    Ok(Ok(ended.len()))
}

/// Has the function several atomic loads or stores?
fn repeats_atomic_accesses(func: &Function) -> bool {
    let insts = func.layout.blocks();
    let insts = insts.flat_map(|block| func.layout.block_insts(block));
    let opcodes = insts.map(|inst| func.dfg.insts[inst].opcode());
    let atomic = |opcode: &Opcode| matches!(opcode, Opcode::AtomicLoad | Opcode::AtomicStore);
    opcodes.filter(atomic).count() > 1
}

/// Two runs on the same inputs.
struct Both {
    inputs: Inputs,
    before: Trace,
    after: Trace,
    /// Does the first depend on [which of two slots lies first](Run::orders_slots)?
    orders_slots: bool,
}

impl Both {
    fn is_equal(&self) -> bool {
        self.before.difference(&self.after).is_none()
    }
}

/// Interprets two programs on the same inputs, which gain the slots that a trap
/// hides: a slot need only be written under a lost region in one of the two.
fn run_both(
    inputs: Inputs,
    run: &dyn Fn(&[Function], &Inputs) -> Run,
    before: &[Function],
    after: &[Function],
) -> Both {
    let both = |inputs: &Inputs| {
        // Conversions of forwarded values take fuel that the loads did not.
        let more = Inputs {
            fuel: inputs.fuel * 4,
            ..inputs.clone()
        };
        [run(before, inputs), run(after, &more)]
    };
    let [a, b] = both(&inputs);
    let lost: BTreeSet<(u32, u32)> = a.lost.union(&b.lost).copied().collect();
    let (inputs, [a, b]) = match lost.is_empty() {
        true => (inputs, [a, b]),
        false => {
            let inputs = Inputs { lost, ..inputs };
            let runs = both(&inputs);
            (inputs, runs)
        }
    };
    Both {
        inputs,
        orders_slots: a.orders_slots,
        before: a.trace,
        after: b.trace,
    }
}

/// `inputs` with a heap whose owners are those that a run finds; `None` if a
/// run that starts from them finds others.
fn with_owners(inputs: &Inputs, run: &dyn Fn(&Inputs) -> Run) -> Option<Inputs> {
    if inputs.heap.objects.is_empty() {
        return Some(inputs.clone());
    }
    let mut inputs = inputs.clone();
    for _ in 0..MAX_OWNER_RUNS {
        let found = run(&inputs).heap;
        let settled = inputs.heap.clone().with_owners_of(&found);
        if settled == inputs.heap {
            return Some(inputs);
        }
        inputs.heap = settled;
    }
    None
}

/// The module as the passes leave it, and what they did.
///
/// A module that is right and not proven is taken without a proof; the statistics
/// tell.
///
/// # Errors
///
/// A panic, a complaint of the verifier, or passes that do not settle.
pub fn optimize(
    functions: &[Function],
    isa: &dyn TargetIsa,
    policy: &DeclaredPolicy,
    setting: &Setting,
) -> Result<(Vec<Function>, Vec<CheckedStats>), Box<Failure>> {
    let unchecked = setting.unchecked();
    let mut optimized = contexts(functions);
    let mut stats = pass(&mut optimized, isa, policy, setting)?;
    if stats.iter().any(CheckedStats::is_undone) {
        optimized = contexts(functions);
        let proven = core::mem::replace(&mut stats, pass(&mut optimized, isa, policy, &unchecked)?);
        for (stats, proven) in stats.iter_mut().zip(&proven) {
            stats.refused = proven.refused;
            stats.unproven = proven.unproven;
        }
    }
    // What a limit has left over shows in the callers' summaries too.
    let is_limited = stats.iter().any(|one| one.stats.limits_hit > 0);
    if setting.options.edit_limit.is_none() && !is_limited && !is_recursive(functions) {
        let again = Setting {
            mode: Mode::Alone,
            ..unchecked
        };
        let again = pass(&mut optimized, isa, policy, &again)?;
        let settled = stats.iter().zip(&again);
        let unsettled = settled
            .enumerate()
            // What two slots in one place tell another run is not looked for.
            .find(|(_, (first, again))| again.stats.edits() > 0 && first.stats.shared_slots == 0);
        if let Some((index, (first, again))) = unsettled
            && setting.mode == Mode::Alone
        {
            let (first, again) = (first.stats, again.stats);
            let details = format!("function {index}\n  first: {first}\n  again: {again}");
            return Err(Failure::new(Kind::Unsettled, details));
        }
    }
    Ok((self::functions(optimized), stats))
}

fn contexts(functions: &[Function]) -> Vec<Context> {
    let functions = functions.iter().cloned();
    functions.map(Context::for_function).collect()
}

fn functions(contexts: Vec<Context>) -> Vec<Function> {
    contexts.into_iter().map(|ctx| ctx.func).collect()
}

/// May a function call itself, or one before it? What is known about a call
/// cycle comes from bodies that the passes have not seen yet, so that a second
/// run may know more.
fn is_recursive(functions: &[Function]) -> bool {
    functions.iter().enumerate().any(|(index, func)| {
        let mut blocks = func.layout.blocks();
        blocks.any(|block| {
            let mut insts = func.layout.block_insts(block);
            insts.any(|inst| {
                let callee = machine::callee_of(func, inst);
                let callee = callee.and_then(|name| machine::position(functions, &name));
                callee.is_some_and(|callee| callee <= index)
            })
        })
    })
}

fn pass(
    contexts: &mut [Context],
    isa: &dyn TargetIsa,
    policy: &DeclaredPolicy,
    setting: &Setting,
) -> Result<Vec<CheckedStats>, Box<Failure>> {
    let Setting {
        options, checking, ..
    } = setting;
    let run = || match setting.mode {
        Mode::Alone => run_module_checked(contexts, isa, &|_| policy, options, *checking),
        Mode::BehindMidEnd => {
            optimize_module_checked(contexts, isa, &|_| policy, options, *checking)
        }
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(stats)) => Ok(stats),
        Ok(Err(FunctionError { index, error })) => Err(Failure::new(
            Kind::Error,
            format!("function {index}: {error:?}"),
        )),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
            Err(Failure::new(Kind::Panic, text.unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filetests;

    /// The checker is to blame only if what it has let pass is wrong.
    #[test]
    fn what_is_wrong_is_refused_or_accepted() {
        let module = |store: &str| {
            let text = format!(
                "function %f(i64, i64) -> i64 {{
                    region0 = 1 \"memory\"
                block0(v0: i64, v1: i64):
                    {store}
                    return v1
                }}"
            );
            filetests::module(&text).expect("CLIF")
        };
        let (right, wrong) = (module("store notrap region0 v1, v0"), module(""));
        let inputs = filetests::inputs(&right, 0, 4);
        let policy = right.policy().expect("a policy");
        let setting = Setting {
            checking: Checking::Restore,
            ..Setting::plain()
        };
        let original = Original {
            module: &right,
            inputs: &inputs,
            isa: &*host_isa(),
            policy: &policy,
            setting: &setting,
        };
        assert_eq!(original.proof_of(&right.functions), Proof::Refused);
        assert_eq!(original.proof_of(&wrong.functions), Proof::Accepted);
    }

    /// To the mid-end, memory that the world accesses at any time is memory like any other; two
    /// blocks hide some of it (the state at a block is computed before stores are removed), and
    /// are one when it runs.
    #[test]
    fn what_upstream_does_to_straightened_blocks_is_not_ours() {
        let text = "; policy: asynchronous 1
            function %f(i64, i64) {
                region0 = 1 \"memory\"
            block0(v0: i64, v1: i64):
                store notrap region0 v1, v0
                v2 = load.i64 notrap region0 v0
                store notrap region0 v1, v0
                jump block1
            block1:
                v3 = load.i64 notrap region0 v0
                return
            }";
        let module = filetests::module(text).expect("CLIF");
        let inputs = filetests::inputs(&module, 0, 4);
        let setting = Setting {
            mode: Mode::BehindMidEnd,
            ..Setting::plain()
        };
        let verdict = compare(&module, &inputs, &*host_isa(), &setting);
        let Verdict::Equal { discarded, .. } = verdict else {
            panic!("upstream's edit is laid at our door");
        };
        let upstream = |why: &String| why == "upstream alone differs";
        assert!(discarded.iter().any(upstream), "{discarded:?}");
    }
}
