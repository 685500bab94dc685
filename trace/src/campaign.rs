//! Many modules in a row, counted.

use crate::compare::{Failure, Kind, Mode, Proof, Setting, Verdict, compare, optimize};
use crate::generate::{Family, Module};
use crate::inputs::Inputs;
use crate::shrink::shrink;
use cranelift_codegen::isa::TargetIsa;
use cranelift_memopt::{Effort, Options};
use fastrand::Rng;
use memopt_check::{CheckedStats, Checking};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Inputs of each module.
const INPUTS: usize = 4;

/// One module of this many also goes through upstream's mid-end.
const MID_END_EVERY: u64 = 2;

/// Two modules of this many are also run as machine code, one of them behind the
/// mid-end.
const NATIVE_EVERY: u64 = 16;

/// What a campaign has come to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Modules that were compared.
    pub modules: u64,
    /// Their functions.
    pub functions: u64,
    /// Functions that received an edit, under any of the settings.
    pub edited: u64,
    /// Pairs of runs that were compared.
    pub runs: u64,
    /// Runs of machine code, before and after.
    pub native: u64,
    /// Runs that meant nothing, by reason.
    pub discarded: BTreeMap<String, u64>,
    /// The edits of all functions, and how many runs are not proven.
    pub stats: CheckedStats,
    /// The seeds of modules that the passes are wrong about, how, and what the checker says.
    pub wrong: Vec<(u64, Kind, Proof)>,
    /// The seeds of modules with functions that behave as they did, and that the
    /// checker does not prove.
    pub unproven: Vec<u64>,
}

/// Of a thousand runs over a function, those that the checker may fail to prove.
const UNPROVEN_PER_MILLE: u64 = 4;

impl Tally {
    /// Is nothing wrong, and is nearly everything proven?
    pub fn is_good(&self) -> bool {
        let unproven = u64::from(self.stats.refused + self.stats.unproven);
        self.wrong.is_empty() && 1000 * unproven <= UNPROVEN_PER_MILLE * self.functions.max(1000)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (edited, functions) = (self.edited, self.functions.max(1));
        writeln!(
            f,
            "{} modules, {functions} functions, {edited} with an edit ({}%), {} runs, {} native",
            self.modules,
            100 * edited / functions,
            self.runs,
            self.native
        )?;
        writeln!(f, "{}", self.stats.stats)?;
        for (reason, count) in &self.discarded {
            writeln!(f, "{count} runs discarded: {reason}")?;
        }
        let CheckedStats {
            refused, unproven, ..
        } = self.stats;
        writeln!(f, "{} not proven", refused + unproven)?;
        write!(f, "{} wrong", self.wrong.len())
    }
}

/// Seeds of modules that are not proven that are listed.
const LISTED: usize = 8;

/// Seeds that a thread takes at a time.
const CHUNK: u64 = 64;

/// A range of seeds, in which somebody may take an interest while it runs.
pub struct Campaign<'a> {
    /// What the modules are.
    pub family: Family,
    /// The first seed.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Threads.
    pub jobs: usize,
    /// Told, now and then, what has been added, and the reports of failures;
    /// `false` ends the campaign.
    pub watch: &'a (dyn Fn(&Tally, &[String]) -> bool + Sync),
}

impl Campaign<'_> {
    /// Tests every module, and returns all that came of it. The order of seeds
    /// in it does not depend on the threads.
    pub fn run(&self, isa: &dyn TargetIsa) -> Tally {
        let next = AtomicU64::new(0);
        let total = Mutex::new(Tally::default());
        let work = || {
            loop {
                let start = next.fetch_add(CHUNK, Ordering::Relaxed);
                if start >= self.count {
                    return;
                }
                let mut tally = Tally::default();
                let end = self.count.min(start + CHUNK);
                let seeds = (start..end).map(|offset| self.first + offset);
                let reports: Vec<String> = seeds
                    .filter_map(|seed| tally.test(self.family, seed, isa))
                    .collect();
                if !(self.watch)(&tally, &reports) {
                    next.store(self.count, Ordering::Relaxed);
                }
                if let Ok(mut total) = total.lock() {
                    total.add(tally);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(work);
            }
        });
        let mut total = total.into_inner().unwrap_or_default();
        total.wrong.sort_unstable_by_key(|(seed, ..)| *seed);
        total.unproven.sort_unstable();
        total
    }
}

/// The settings for the module of this seed, always the same.
pub fn settings(seed: u64) -> Vec<Setting> {
    let mut rng = Rng::with_seed(seed ^ 0x0b71_0115);
    let native = seed % NATIVE_EVERY < 2;
    let mut all = vec![Setting {
        options: options(&mut rng),
        mode: Mode::Alone,
        checking: Checking::Restore,
        native,
    }];
    if seed.is_multiple_of(MID_END_EVERY) {
        all.push(Setting {
            options: Options::max(),
            mode: Mode::BehindMidEnd,
            checking: Checking::Restore,
            native,
        });
    }
    all
}

/// Mostly all passes; sometimes some of them are off.
fn options(rng: &mut Rng) -> Options {
    let mut options = Options::max();
    match rng.u8(..8) {
        0 => options.effort = Effort::Gated,
        1..=3 => options.effort = Effort::Full,
        _ => {}
    }
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
    pub fn test(&mut self, family: Family, seed: u64, isa: &dyn TargetIsa) -> Option<String> {
        let module = family.module(seed);
        let inputs = family.inputs(seed, INPUTS);
        self.modules += 1;
        let mut is_edited = vec![false; module.functions.len()];
        let report = self.test_settings(seed, &module, &inputs, isa, &mut is_edited);
        self.functions += is_edited.len() as u64;
        self.edited += is_edited.iter().filter(|edited| **edited).count() as u64;
        report
    }

    fn test_settings(
        &mut self,
        seed: u64,
        module: &Module,
        inputs: &[Inputs],
        isa: &dyn TargetIsa,
        is_edited: &mut [bool],
    ) -> Option<String> {
        for setting in settings(seed) {
            let verdict = compare(module, inputs, isa, &setting);
            if let Some(failure) = self.count(seed, verdict, is_edited) {
                return Some(report(seed, module, &failure, &setting, isa));
            }
        }
        None
    }

    /// Counts what has come of a module; returns what is wrong.
    fn count(
        &mut self,
        seed: u64,
        verdict: Verdict,
        is_edited: &mut [bool],
    ) -> Option<Box<Failure>> {
        let (stats, failure) = match verdict {
            Verdict::Equal {
                stats,
                runs,
                discarded,
                native,
            } => {
                self.native += native as u64;
                if stats.iter().any(CheckedStats::is_undone) {
                    self.unproven.push(seed);
                }
                self.equal(runs, discarded);
                (stats, None)
            }
            Verdict::Wrong(mut failure) => {
                self.wrong.push((seed, failure.kind, failure.proof));
                (std::mem::take(&mut failure.stats), Some(failure))
            }
        };
        for (is_edited, stats) in is_edited.iter_mut().zip(&stats) {
            *is_edited |= stats.stats.edits() > 0;
            self.stats += stats;
        }
        failure
    }

    /// The tally in words, with how fast it was and the seeds that failed.
    pub fn with_rate(&self, elapsed: Duration) -> String {
        let rate = self.functions as f64 / elapsed.as_secs_f64().max(0.001);
        let mut text = format!("{self}, {rate:.0} functions/s");
        for (seed, kind, proof) in &self.wrong {
            let _ = write!(text, "\nwrong: seed {seed}: {kind}; {proof}");
        }
        for seed in self.unproven.iter().take(LISTED) {
            let _ = write!(text, "\nnot proven: seed {seed}");
        }
        text
    }

    /// Adds what another campaign has come to.
    pub fn add(&mut self, other: Self) {
        let Self {
            modules,
            functions,
            edited,
            runs,
            native,
            discarded,
            stats,
            wrong,
            unproven,
        } = other;
        self.modules += modules;
        self.functions += functions;
        self.edited += edited;
        self.runs += runs;
        self.native += native;
        for (reason, count) in discarded {
            *self.discarded.entry(reason).or_default() += count;
        }
        self.stats += &stats;
        self.wrong.extend(wrong);
        self.unproven.extend(unproven);
    }

    fn equal(&mut self, runs: usize, discarded: Vec<String>) {
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
    let is_alike = |found: &Failure| (found.kind, found.proof) == (failure.kind, failure.proof);
    let check = |module: &Module| {
        let verdict = compare(module, &inputs, isa, setting);
        match verdict {
            Verdict::Wrong(found) if is_alike(&found) => Some(found),
            _ => None,
        }
    };
    let small = shrink(module.clone(), isa, &|module| check(module).is_some());
    let mut text = format!(
        "; seed {seed}: {}; {}; {setting:?}\n",
        failure.kind, failure.proof
    );
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
    let optimized = small
        .policy()
        .ok()
        .and_then(|policy| optimize(&small.functions, isa, &policy, setting).ok());
    if let Some((functions, _)) = optimized {
        text.push_str("; optimized:\n");
        for func in &functions {
            let _ = writeln!(text, "{}", func.display());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that is wrong says whether the checker has seen it, and is counted as not proven
    /// then.
    #[test]
    fn what_is_wrong_says_what_the_checker_says() {
        let verdict = |proof, refused| {
            let mut failure = Failure::new(Kind::Trace, String::new());
            failure.proof = proof;
            let mut stats = CheckedStats::default();
            stats.refused = refused;
            failure.stats = vec![stats];
            Verdict::Wrong(failure)
        };
        let mut tally = Tally::default();
        let mut is_edited = [false];
        let failure = tally.count(7, verdict(Proof::Refused, 1), &mut is_edited);
        assert!(failure.is_some());
        tally.count(8, verdict(Proof::Accepted, 0), &mut is_edited);
        let text = tally.with_rate(Duration::from_secs(1));
        for line in [
            "1 not proven",
            "wrong: seed 7: trace; the checker refuses it",
            "wrong: seed 8: trace; the checker has ACCEPTED it",
        ] {
            assert!(text.lines().any(|it| it == line), "{text}");
        }
    }
}
