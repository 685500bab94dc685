//! One component, compiled in three ways and run in turns.

use crate::clif::{self, Written};
use crate::host::{self, Seen};
use crate::hot::{self, Counts};
use crate::samples::Spread;
use crate::variant::Variant;
use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use std::time::Instant;
use wasmtime::component::{Component, TypedFunc};
use wasmtime::{Engine, Store};

/// What to measure, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Effort<'v> {
    /// What to compile and run; ratios are to the first.
    pub variants: &'v [Variant],
    /// The argument of `run`: calls of the adapter.
    pub calls: u32,
    /// How often each variant is run.
    pub rounds: u32,
}

/// What was found out about one variant.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Which one.
    pub variant: Variant,
    /// Nanoseconds for one call.
    pub ns: Spread,
    /// The same, over the first variant, which is concurrency support off unless
    /// others are asked for.
    pub ratio: Spread,
    /// One turn of the hot loop; see [`hot::turn`].
    pub hot_loop: Counts,
    /// Bytes of machine code, of all functions of the component.
    pub code_size: usize,
    /// The CLIF of the function that has the loop.
    #[serde(skip)]
    pub written: Written,
}

/// What was found out about one component.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// Calls in one run.
    pub calls: u32,
    /// Runs of each variant.
    pub rounds: u32,
    /// What `run` returned, each time.
    pub result: u32,
    /// The variants that were asked for.
    pub variants: Vec<Measured>,
}

/// Compiles and measures the component `wasm`.
///
/// With concurrency support off, the component `off` is compiled in its place,
/// if there is one: for what does not validate without that support.
///
/// # Errors
///
/// What Wasmtime refuses; no function `run: func(n: u32) -> u32`; variants
/// that return different results or call the host differently.
pub fn measure(file: &str, wasm: &[u8], off: Option<&[u8]>, effort: Effort<'_>) -> Result<Report> {
    let mut subjects = Vec::new();
    for variant in effort.variants.iter().copied() {
        let other = off.filter(|_| variant == Variant::Off);
        let subject = Subject::new(variant, other.unwrap_or(wasm));
        subjects.push(subject.with_context(|| variant.name())?);
    }
    let warm_up = effort.calls.div_ceil(16);
    let mut result = one_round(&mut subjects, warm_up, 0)?;
    for subject in &mut subjects {
        subject.ns.clear();
    }
    for round in 0..effort.rounds {
        result = one_round(&mut subjects, effort.calls, round as usize)?;
    }
    let off = Spread::of(&subjects[0].ns);
    let variants = subjects.into_iter().map(|subject| {
        let ns = Spread::of(&subject.ns);
        Measured {
            variant: subject.variant,
            ns,
            ratio: ns.over(&off),
            hot_loop: subject.hot_loop,
            code_size: subject.code_size,
            written: subject.written,
        }
    });
    Ok(Report {
        file: file.to_owned(),
        calls: effort.calls,
        rounds: effort.rounds,
        result,
        variants: variants.collect(),
    })
}

/// Runs every subject once, beginning with another one each time.
fn one_round(subjects: &mut [Subject], calls: u32, round: usize) -> Result<u32> {
    let mut outcomes = Vec::new();
    let count = subjects.len();
    for turn in 0..count {
        let subject = &mut subjects[(round + turn) % count];
        let outcome = subject.run(calls);
        outcomes.push((
            subject.variant,
            outcome.with_context(|| subject.variant.name())?,
        ));
    }
    let (first, expected) = &outcomes[0];
    for (variant, outcome) in &outcomes[1..] {
        if outcome != expected {
            let (first, variant) = (first.name(), variant.name());
            bail!("{first} gives {expected:?}, and {variant} gives {outcome:?}");
        }
    }
    Ok(expected.0)
}

/// One variant, ready to run.
struct Subject {
    variant: Variant,
    store: Store<Seen>,
    run: TypedFunc<(u32,), (u32,)>,
    hot_loop: Counts,
    code_size: usize,
    written: Written,
    ns: Vec<f64>,
}

impl Subject {
    fn new(variant: Variant, wasm: &[u8]) -> Result<Self> {
        let symbol = hot::symbol_of_run(wasm)?;
        let directory = tempfile::tempdir().context("no place for the CLIF")?;
        let engine = variant.engine(Some(directory.path()))?;
        let component = Component::new(&engine, wasm)?;
        let functions = clif::read_all(directory.path())?;
        let written = clif::find(&functions, &symbol)?.clone();
        let sizes = functions.values().map(clif::Written::code_size);
        let (store, run) = instantiate(&engine, &component)?;
        Ok(Self {
            variant,
            store,
            run,
            hot_loop: hot::turn(&written.parse()?)?,
            code_size: sizes.sum::<Result<usize>>()?,
            written,
            ns: Vec::new(),
        })
    }

    /// Runs once and keeps the time; returns what came of it.
    fn run(&mut self, calls: u32) -> Result<(u32, Seen)> {
        ensure!(calls > 0, "there is nothing to measure in no calls");
        let start = Instant::now();
        let (result,) = self.run.call(&mut self.store, (calls,))?;
        let elapsed = start.elapsed();
        self.ns.push(elapsed.as_nanos() as f64 / f64::from(calls));
        Ok((result, self.store.data().clone()))
    }
}

type Run = TypedFunc<(u32,), (u32,)>;

fn instantiate(engine: &Engine, component: &Component) -> Result<(Store<Seen>, Run)> {
    let mut store = Store::new(engine, Seen::default());
    let linker = host::linker(component)?;
    let instance = linker.instantiate(&mut store, component)?;
    let run = instance.get_typed_func(&mut store, "run")?;
    Ok((store, run))
}
