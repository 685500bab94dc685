//! Modules that are filetests, changed a little.

use crate::generate::Module;
use crate::heap::{Heap, Object};
use crate::inputs::Inputs;
use crate::layout;
use crate::mutate::mutate;
use crate::noise::mix;
use cranelift_codegen::ir::{Function, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_reader::{ParseOptions, parse_test};
use fastrand::Rng;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Objects that pointers point to. Few, so that some pointers are equal.
const OBJECTS: usize = 3;
/// Bytes of an object.
const OBJECT_BYTES: usize = 512;
/// Where in an object its pointers point to; some offsets are negative.
const ORIGIN: u64 = 128;
/// Instructions that a run may take.
const FUEL: u64 = 2000;

/// The modules of all filetests that the oracle can run.
pub struct Filetests {
    modules: Vec<Module>,
    /// Where each is.
    paths: Vec<PathBuf>,
}

impl Filetests {
    /// Reads the `.clif` files below `folder`, in the order of their names.
    ///
    /// Files that are no tests of functions are passed over: some are meant to
    /// be refused.
    ///
    /// # Errors
    ///
    /// What keeps a folder or a file from being read.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        find(folder, &mut files)?;
        let (mut modules, mut paths) = (Vec::new(), Vec::new());
        for file in files {
            if let Some(module) = module(&fs::read_to_string(&file)?) {
                modules.push(module);
                paths.push(file);
            }
        }
        Ok(Self { modules, paths })
    }

    /// Each module as it is, and where it is.
    pub fn modules(&self) -> impl Iterator<Item = (&Path, &Module)> {
        self.paths.iter().map(PathBuf::as_path).zip(&self.modules)
    }

    /// One of the modules, changed as `seeds` have it, one change for each.
    /// The function that is run is one of the module's.
    pub fn mutated(&self, which: u64, seeds: &[u64], isa: &dyn TargetIsa) -> Module {
        let mut module = self.modules[(which % self.modules.len() as u64) as usize].clone();
        let entry = mix(which, 1) as usize % module.functions.len();
        module.functions.swap(0, entry);
        for seed in seeds {
            let index = mix(*seed, 2) as usize % module.functions.len();
            mutate(&mut module.functions[index], *seed, isa);
        }
        module
    }

    /// The module of a seed, with a few changes.
    pub fn of_seed(&self, seed: u64, isa: &dyn TargetIsa) -> Module {
        let mut rng = Rng::with_seed(seed ^ 0x00f1_1e7e);
        let which = rng.u64(..);
        let seeds: Vec<u64> = (0..rng.usize(1..5)).map(|_| rng.u64(..)).collect();
        self.mutated(which, &seeds, isa)
    }
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries: io::Result<Vec<_>> = fs::read_dir(folder)?.collect();
    let mut paths: Vec<_> = entries?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|ext| ext == "clif") {
            files.push(path);
        }
    }
    Ok(())
}

/// The functions of a file, under all the clauses that it has.
///
/// `None` if it is no file of functions.
pub fn module(text: &str) -> Option<Module> {
    let file = parse_test(text, ParseOptions::default()).ok()?;
    let functions: Vec<Function> = file.functions.into_iter().map(|(func, _)| func).collect();
    let clauses = text
        .lines()
        .filter_map(|line| line.strip_prefix("; policy:"));
    let clauses = clauses.map(|clause| clause.trim().to_owned());
    let clauses = clauses.filter(|clause| is_true_here(clause, &functions));
    let clauses = clauses.collect();
    (!functions.is_empty()).then_some(Module { functions, clauses })
}

/// Does the clause hold in the world of the oracle? What memory has at which
/// place is not so there, and a function that has a body does what that says.
fn is_true_here(clause: &str, functions: &[Function]) -> bool {
    let mut words = clause.split_whitespace();
    match (words.next(), words.next()) {
        (Some("shared-pointer" | "loaded-callee"), _) => false,
        (Some("callee"), Some(name)) => functions.iter().all(|func| func.name.to_string() != name),
        _ => true,
    }
}

/// A few inputs for the first function of `module`.
pub fn inputs(module: &Module, seed: u64, count: usize) -> Vec<Inputs> {
    let mut rng = Rng::with_seed(seed ^ 0x1917_0115);
    let params = &module.functions[0].signature.params;
    let one = |_| Inputs {
        seed: rng.u64(..),
        args: params
            .iter()
            .map(|param| match param.value_type {
                types::I64 if rng.u8(..8) != 0 => pointer(&mut rng).into(),
                ty if ty.is_int() => integer(&mut rng),
                _ => rng.u64(..).into(),
            })
            .collect(),
        fuel: FUEL,
        heap: heap(&mut rng),
        ..Inputs::default()
    };
    (0..count).map(one).collect()
}

/// A small number, or one as far from it as the fields of a record are apart.
fn integer(rng: &mut Rng) -> u128 {
    match rng.u8(..4) {
        0 => 1 << rng.u32(..6),
        _ => rng.u128(0..4),
    }
}

fn pointer(rng: &mut Rng) -> u64 {
    let offset = [0, 0, 8, 16][rng.usize(..4)];
    layout::object_address(rng.usize(..OBJECTS)) + ORIGIN + offset
}

/// Words that are small, large, or pointers.
fn heap(rng: &mut Rng) -> Heap {
    let mut object = || {
        let words = (0..OBJECT_BYTES / 8).flat_map(|_| {
            let word = match rng.u8(..4) {
                0 => rng.u64(..4),
                1 => rng.u64(..),
                _ => pointer(rng),
            };
            word.to_le_bytes()
        });
        Object::new(words.collect())
    };
    Heap {
        objects: (0..OBJECTS).map(|_| object()).collect(),
    }
}
