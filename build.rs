//! Compiles the ISLE rules in `isle/` to Rust, as `$ISLE_DIR/isle_memopt.rs`, and turns
//! the feature `paths` into the configuration `memopt_paths`, by which `src/memopt/` has its
//! wing. Inside of cranelift-codegen the directory of the wing is what decides.
//!
//! What differs between the releases of Cranelift is found by their version: `src/pipeline/`
//! has it as configurations. `src/memopt/` knows of no such differences.

use cranelift_isle::codegen::CodegenOptions;
use std::path::PathBuf;

/// In the order in which ISLE reads them.
const SOURCES: &[&str] = &[
    "isle/prelude.isle",
    "isle/address.isle",
    "isle/folds.isle",
    "isle/coerce.isle",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let options = CodegenOptions {
        exclude_global_allow_pragmas: true,
        ..CodegenOptions::default()
    };
    match cranelift_isle::compile::from_files(SOURCES, &options) {
        Ok(code) => {
            std::fs::write(out_dir.join("isle_memopt.rs"), code)
                .expect("OUT_DIR can be written to");
        }
        Err(errors) => {
            eprintln!("the ISLE rules do not compile: {:?}", errors.errors);
            std::process::exit(1);
        }
    }
    println!("cargo:rustc-env=ISLE_DIR={}", out_dir.display());
    configure_for(cranelift_codegen_shared::VERSION);
    println!("cargo:rustc-check-cfg=cfg(memopt_paths)");
    if std::env::var_os("CARGO_FEATURE_PATHS").is_some() {
        println!("cargo:rustc-cfg=memopt_paths");
    }
}

/// Sets the configurations that hold for this version of Cranelift, and `CRANELIFT_VERSION`,
/// by which `src/lib.rs` checks that it is that of the cranelift-codegen that it uses.
fn configure_for(version: &str) {
    println!("cargo:rustc-env=CRANELIFT_VERSION={version}");
    let minor = version.split('.').nth(1);
    let minor: u32 = minor
        .and_then(|minor| minor.parse().ok())
        .expect("a version is three numbers");
    // `MachBufferFinalized::alignment` is `min_alignment` there.
    println!("cargo:rustc-check-cfg=cfg(cranelift_min_alignment)");
    if minor >= 137 {
        println!("cargo:rustc-cfg=cranelift_min_alignment");
    }
}
