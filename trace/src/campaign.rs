//! Many modules in a row, counted.

use crate::compare::{Failure, Kind, Mode, Verdict, compare, optimize};
use crate::generate::{self, Module};
use crate::machine::Inputs;
use crate::shrink::shrink;
use cranelift_codegen::isa::TargetIsa;
use cranelift_memopt::{Options, Stats};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Inputs of each module.
const INPUTS: usize = 4;

/// One module of this many also goes through upstream's mid-end.
const MID_END_EVERY: u64 = 2;

/// What a campaign has come to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Modules that were compared.
    pub modules: u64,
    /// Their functions.
    pub functions: u64,
    /// Functions that received an edit.
    pub edited: u64,
    /// Pairs of runs that were compared.
    pub runs: u64,
    /// Runs that meant nothing, by reason.
    pub discarded: BTreeMap<String, u64>,
    /// The edits of all functions.
    pub stats: Stats,
    /// The seeds of modules that the passes are wrong about, and how.
    pub wrong: Vec<(u64, Kind)>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (edited, functions) = (self.edited, self.functions.max(1));
        writeln!(
            f,
            "{} modules, {functions} functions, {edited} with an edit ({}%), {} runs",
            self.modules,
            100 * edited / functions,
            self.runs
        )?;
        writeln!(f, "{}", self.stats)?;
        for (reason, count) in &self.discarded {
            writeln!(f, "{count} runs discarded: {reason}")?;
        }
        write!(f, "{} wrong", self.wrong.len())
    }
}

/// One way to optimize and compare a module.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Which passes run.
    pub options: Options,
    /// What surrounds them.
    pub mode: Mode,
}

/// The settings for the module of this seed, always the same.
///
/// To upstream, memory that the world accesses at any time is memory like any
/// other, so that it does not see modules that have some.
pub fn settings(module: &Module, seed: u64) -> Vec<Setting> {
    let mut rng = Rng::with_seed(seed ^ 0x0b71_0115);
    let mut all = vec![Setting {
        options: options(&mut rng),
        mode: Mode::Alone,
    }];
    if seed.is_multiple_of(MID_END_EVERY) && !module.has_asynchronous_memory() {
        all.push(Setting {
            options: Options::default(),
            mode: Mode::BehindMidEnd,
        });
    }
    all
}

/// Mostly all passes; sometimes some of them are off.
fn options(rng: &mut Rng) -> Options {
    let mut options = Options::default();
    if rng.u8(..4) == 0 {
        for (_, switch) in options.switches() {
            *switch = rng.u8(..4) != 0;
        }
    }
    options
}

impl Tally {
    /// Generates the module of `seed` and compares it under its settings;
    /// returns a report if the passes are wrong about it.
    pub fn test(&mut self, seed: u64, isa: &dyn TargetIsa) -> Option<String> {
        let module = generate::module(seed);
        let inputs = generate::inputs(seed, INPUTS);
        self.modules += 1;
        for setting in settings(&module, seed) {
            let verdict = compare(&module, &inputs, isa, &setting.options, setting.mode);
            match verdict {
                Verdict::Equal {
                    stats,
                    runs,
                    discarded,
                } => self.equal(&stats, runs, discarded),
                Verdict::Wrong(failure) => {
                    self.wrong.push((seed, failure.kind));
                    return Some(report(seed, &module, &failure, &setting, isa));
                }
            }
        }
        None
    }

    fn equal(&mut self, stats: &[Stats], runs: usize, discarded: Vec<String>) {
        for stats in stats {
            self.functions += 1;
            self.edited += u64::from(stats.edits() > 0);
            self.stats.add(stats);
        }
        self.runs += runs as u64;
        for reason in discarded {
            *self.discarded.entry(reason).or_default() += 1;
        }
    }
}

/// Shrinks a failure and says all about it.
fn report(
    seed: u64,
    module: &Module,
    failure: &Failure,
    setting: &Setting,
    isa: &dyn TargetIsa,
) -> String {
    let inputs: Vec<Inputs> = failure.inputs.iter().cloned().collect();
    let check = |module: &Module| {
        let verdict = compare(module, &inputs, isa, &setting.options, setting.mode);
        match verdict {
            Verdict::Wrong(found) if found.kind == failure.kind => Some(found),
            _ => None,
        }
    };
    let small = shrink(module.clone(), isa, &|module| check(module).is_some());
    let mut text = format!("; seed {seed}: {}, {setting:?}\n", failure.kind);
    for clause in &small.clauses {
        let _ = writeln!(text, "; policy {clause}");
    }
    for func in &small.functions {
        let _ = writeln!(text, "{}", func.display());
    }
    for inputs in &inputs {
        let _ = writeln!(text, "; {inputs:?}");
    }
    if let Some(found) = check(&small) {
        let _ = writeln!(text, "{}", found.details);
    }
    let optimized = small.policy().ok().and_then(|policy| {
        optimize(
            &small.functions,
            isa,
            &policy,
            &setting.options,
            setting.mode,
        )
        .ok()
    });
    if let Some((functions, _)) = optimized {
        text.push_str("; optimized:\n");
        for func in &functions {
            let _ = writeln!(text, "{}", func.display());
        }
    }
    text
}
