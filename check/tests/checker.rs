//! The checker on pairs of functions, right and wrong.
//!
//! Each file below `tests/checker/` has two functions, `%original` and
//! `%result`; its name is the claim. Those in `refused/` mirror mistakes that
//! an optimizer makes, and say with `; refused: REASON` why there can be no
//! proof. `; policy: CLAUSE` adds a clause to the policy.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{Endianness, Function, InstBuilder};
use cranelift_codegen::{isa, settings, verify_function};
use cranelift_memopt::{NoPolicy, TargetFacts};
use memopt_check::{Reason, Side, Verdict, check};
use memopt_policy::DeclaredPolicy;
use std::fs;
use std::path::Path;

const TARGET: TargetFacts = TargetFacts {
    endianness: Endianness::Little,
    pointer_bits: 64,
};

/// What the word after `; refused:` stands for.
fn reason(word: &str) -> Reason {
    let reasons = [
        ("tables", Reason::Tables("stack slots")),
        ("event", Reason::Event),
        ("arguments", Reason::Arguments),
        ("condition", Reason::Condition),
        ("memory-at-call", Reason::MemoryAtCall),
        ("memory-at-trap", Reason::MemoryAtTrap),
        ("memory-at-barrier", Reason::MemoryAtBarrier),
        ("memory-at-end", Reason::MemoryAtEnd),
        ("invented-store", Reason::InventedStore),
        ("invented-load", Reason::InventedLoad),
        ("tables-memory-flags", Reason::Tables("memory flags")),
        ("debug-tags", Reason::DebugTags),
        ("stack-map", Reason::StackMap),
        ("handlers", Reason::Handlers),
        ("shared-slots", Reason::SharedSlots),
        ("result-loops", Reason::OneSideLoops(Side::Original)),
        ("original-loops", Reason::OneSideLoops(Side::Result)),
    ];
    let known = reasons.into_iter().find(|(name, _)| *name == word);
    known
        .unwrap_or_else(|| panic!("no reason is called {word}"))
        .1
}

/// A pair of functions, and what is said about it.
struct Pair {
    name: String,
    functions: Vec<Function>,
    policy: DeclaredPolicy,
    refused: Option<Reason>,
}

impl Pair {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let name = path.display().to_string();
        let functions = cranelift_reader::parse_functions(&text).unwrap();
        assert_eq!(functions.len(), 2, "{name}");
        let isa = isa::lookup_by_name("x86_64").unwrap();
        let isa = isa
            .finish(settings::Flags::new(settings::builder()))
            .unwrap();
        for function in &functions {
            verify_function(function, &*isa).unwrap_or_else(|errors| panic!("{name}:\n{errors}"));
        }
        let directive = |what: &'static str| text.lines().filter_map(move |l| l.strip_prefix(what));
        let mut policy = DeclaredPolicy::default();
        for clause in directive("; policy: ") {
            policy.declare(clause).unwrap();
        }
        let refused = directive("; refused: ").next().map(reason);
        Self {
            name,
            functions,
            policy,
            refused,
        }
    }

    fn check(&self) -> Verdict {
        check(&self.functions[0], &self.functions[1], &self.policy, TARGET)
    }
}

fn pairs(folder: &str) -> Vec<Pair> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/checker")
        .join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| Pair::read(path)).collect()
}

#[test]
fn right_pairs_are_proven() {
    let wrong: Vec<String> = pairs("proven")
        .iter()
        .filter_map(|pair| match pair.check() {
            Verdict::Proven => None,
            verdict => Some(format!("{}: {verdict}", pair.name)),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wrong_pairs_are_refused_for_their_reason() {
    let pairs = pairs("refused");
    assert!(pairs.len() >= 30);
    let wrong: Vec<String> = pairs
        .iter()
        .filter_map(|pair| {
            let expected = pair.refused.expect("a file that says why");
            match pair.check() {
                Verdict::Refused(refusal) if refusal.reason == expected => None,
                verdict => Some(format!("{}: {verdict}", pair.name)),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What has been refused as a change is right if nothing is changed: the
/// original of each pair is itself, and so is the result.
#[test]
fn every_function_is_itself() {
    for pair in pairs("refused").iter().chain(&pairs("proven")) {
        for function in &pair.functions {
            let verdict = check(function, function, &pair.policy, TARGET);
            assert_eq!(verdict, Verdict::Proven, "{}", pair.name);
        }
    }
}

/// A chain of a million blocks needs no stack.
#[test]
fn a_million_blocks_need_no_stack() {
    let mut function = Function::new();
    let mut cursor = FuncCursor::new(&mut function);
    for _ in 0..1_000_000 {
        let block = cursor.func.dfg.make_block();
        if cursor.current_block().is_some() {
            cursor.ins().jump(block, &[]);
        }
        cursor.insert_block(block);
    }
    cursor.ins().return_(&[]);
    let verdict = check(&function, &function, &NoPolicy, TARGET);
    assert_eq!(verdict, Verdict::Proven);
}
