//! With the setting off, the patched Wasmtime compiles what the published one
//! does. `./build` has the published one write its CLIF to `target/stock`.

use adapter_bench::clif::{self, Written};
use adapter_bench::read;
use adapter_bench::variant::Variant;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use wasmtime::Engine;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What the patched Wasmtime compiles, with its setting off.
fn compiled(file: &Path) -> BTreeMap<String, Written> {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Variant::On.config(Some(directory.path()));
    config.target("x86_64-unknown-linux-gnu").unwrap();
    let engine = Engine::new(&config).unwrap();
    engine.precompile_component(&read(file).unwrap()).unwrap();
    clif::read_all(directory.path()).unwrap()
}

#[test]
fn with_the_setting_off_clif_is_that_of_the_published_crates() {
    let stock = folder("target/stock");
    assert!(stock.is_dir(), "`./build` makes {}", stock.display());
    let mut functions = 0;
    for source in ["adapters", "../examples"] {
        let entries = fs::read_dir(folder(source)).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|it| it == "wat")) {
            let expected = clif::read_all(&stock.join(file.file_stem().unwrap())).unwrap();
            let found = compiled(&file);
            assert_eq!(
                found.keys().collect::<Vec<_>>(),
                expected.keys().collect::<Vec<_>>()
            );
            for (symbol, written) in &found {
                let file = file.display();
                assert!(
                    written.text == expected[symbol].text,
                    "{file}: {symbol} differs"
                );
            }
            functions += found.len();
        }
    }
    assert!(functions > 100, "only {functions} functions were compared");
}
