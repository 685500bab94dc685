//! One core module, compiled with the passes off and on, in turns.

use crate::clif;
use crate::counter::Counter;
use crate::hot::Counts;
use crate::samples::Spread;
use crate::variant::Variant;
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::time::Instant;
use wasmparser::{Parser, Payload};
use wasmtime::{Engine, Module};

/// What was found out about one module with the passes off, or with them on.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Which of the two.
    pub variant: Variant,
    /// Milliseconds to compile it, on one thread.
    pub milliseconds: Spread,
    /// Instructions that compiling retired, in millions, where the machine can
    /// count them.
    pub million_instructions: Option<Spread>,
    /// Bytes of machine code of all functions, without what is between them.
    pub code_size: usize,
    /// What is left in all functions together.
    pub left: Counts,
}

/// What was found out about one module.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// How often each of the two was compiled.
    pub rounds: u32,
    /// Off and on.
    pub variants: [Measured; 2],
}

/// Compiles and measures the core module `wasm`.
///
/// # Errors
///
/// What Wasmtime refuses.
pub fn measure(file: &str, wasm: &[u8], rounds: u32) -> Result<Report> {
    let wasm = without_names(wasm)?;
    let mut counter = Counter::new();
    let mut subjects = [
        Subject::new(Variant::On, &wasm)?,
        Subject::new(Variant::Memopt, &wasm)?,
    ];
    for round in 0..rounds.max(1) {
        for turn in 0..subjects.len() {
            let index = (round as usize + turn) % subjects.len();
            subjects[index].compile(&wasm, &mut counter)?;
        }
    }
    Ok(Report {
        file: file.to_owned(),
        rounds,
        variants: subjects.map(Subject::measured),
    })
}

struct Subject {
    variant: Variant,
    engine: Engine,
    code_size: usize,
    left: Counts,
    milliseconds: Vec<f64>,
    million_instructions: Vec<f64>,
}

impl Subject {
    fn new(variant: Variant, wasm: &[u8]) -> Result<Self> {
        let directory = tempfile::tempdir().context("no place for the CLIF")?;
        let writing = variant.engine(Some(directory.path()))?;
        let module = Module::new(&writing, wasm)?;
        let code_size = module.functions().map(|function| function.len).sum();
        let mut left = Counts::default();
        for written in clif::read_all(directory.path())?.values() {
            left.add(&Counts::of(&written.parse()?));
        }
        Ok(Self {
            variant,
            engine: variant.engine(None)?,
            code_size,
            left,
            milliseconds: Vec::new(),
            million_instructions: Vec::new(),
        })
    }

    fn compile(&mut self, wasm: &[u8], counter: &mut Counter) -> Result<()> {
        let start = Instant::now();
        let (compiled, instructions) = counter.count(|| self.engine.precompile_module(wasm));
        compiled?;
        self.milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
        let millions = instructions.map(|count| count as f64 / 1e6);
        self.million_instructions.extend(millions);
        Ok(())
    }

    fn measured(self) -> Measured {
        let counted = !self.million_instructions.is_empty();
        Measured {
            variant: self.variant,
            milliseconds: Spread::of(&self.milliseconds),
            million_instructions: counted.then(|| Spread::of(&self.million_instructions)),
            code_size: self.code_size,
            left: self.left,
        }
    }
}

/// `wasm` without its name section. Wasmtime makes names of files out of the
/// names of functions, slashes and all.
fn without_names(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut kept = Vec::with_capacity(wasm.len());
    let mut from = 0;
    let mut section = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        let Some((_, range)) = payload.as_section() else {
            continue;
        };
        // Places are of another type in later versions.
        let end = usize::try_from(range.end)?;
        if let Payload::CustomSection(custom) = &payload
            && custom.name() == "name"
        {
            // A section begins where the one before it ends, with its id and
            // its length; the range is what comes after those.
            kept.extend_from_slice(&wasm[from..section]);
            from = end;
        }
        section = end;
    }
    kept.extend_from_slice(&wasm[from..]);
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_out_and_nothing_else() {
        let named = wat::parse_str("(module $m (func $a/b (export \"f\")) (@custom \"x\" \"y\"))");
        let bare = wat::parse_str("(module (func (export \"f\")) (@custom \"x\" \"y\"))");
        let stripped = without_names(&named.unwrap()).unwrap();
        assert_eq!(stripped, bare.unwrap());
    }
}
