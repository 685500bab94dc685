//! The mid-end rules in `isle/opts/` against the prelude that they join: the
//! one that cranelift-codegen-meta makes, and the published sources of
//! cranelift-codegen.

use cranelift_codegen_meta::isle::get_isle_compilations;
use cranelift_isle::codegen::CodegenOptions;
use memopt_cli::export::registry;
use memopt_cli::export::sources::Sources;
use std::fs;
use std::path::{Path, PathBuf};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The published sources of cranelift-codegen that the workspace locks.
fn codegen() -> PathBuf {
    let manifest = Path::new(REPOSITORY).join("Cargo.toml");
    let Ok(Sources::Crates(crates)) = registry::sources(&manifest, &[]) else {
        panic!("no sources");
    };
    let mut crates = crates.into_iter();
    let codegen = crates.find(|(it, _)| it.name == "cranelift-codegen");
    codegen.expect("the workspace uses cranelift-codegen").1
}

/// Compiles upstream's `opt` unit with `more` in it; the errors as text.
fn compile(more: &[PathBuf]) -> Result<String, String> {
    let generated = tempfile::tempdir().unwrap();
    let generated = generated.path();
    cranelift_codegen_meta::generate(&[], generated, generated).unwrap();
    let units = get_isle_compilations(&codegen(), generated);
    let mut files = units.lookup("opt").unwrap().paths().unwrap();
    files.extend_from_slice(more);
    cranelift_isle::compile::from_files(&files, &CodegenOptions::default())
        .map_err(|errors| format!("{:?}", errors.errors))
}

fn rules() -> Vec<PathBuf> {
    let folder = Path::new(REPOSITORY).join("isle/opts");
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn the_rules_compile_in_the_unit_of_the_mid_end() {
    let without = compile(&[]).unwrap();
    let with = compile(&rules()).unwrap();
    assert!(!without.contains("memopt_is_on"));
    assert!(with.contains("memopt_is_on"));
}

#[test]
fn a_rule_of_the_wrong_type_does_not_compile() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.isle");
    let rule = "(rule (simplify (iadd ty (stack_addr ty slot a) _)) (stack_addr ty a slot))";
    fs::write(&file, rule).unwrap();
    let errors = compile(&[file]).unwrap_err();
    assert!(errors.contains("TypeError"), "{errors}");
}

/// With the setting off the mid-end has to do what it did, so every rule asks.
#[test]
fn every_rule_asks_for_the_setting() {
    for file in rules() {
        let text = fs::read_to_string(&file).unwrap();
        let rules: Vec<&str> = text.split("\n(rule (simplify").skip(1).collect();
        assert!(!rules.is_empty());
        for rule in rules {
            assert!(rule.contains("(if-let true (memopt_is_on))"), "{rule}");
        }
    }
}
