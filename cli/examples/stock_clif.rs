//! Writes the CLIF that the published Wasmtime compiles, function by function,
//! for `wasmtime/tests/stock.rs` to compare with: with its setting off, the
//! patched Wasmtime has to give the same.
//!
//! Usage: `stock_clif DIRECTORY FILE…`; each file gets a folder in the directory.

use anyhow::{Context as _, Result, anyhow};
use std::path::{Path, PathBuf};
use std::{env, fs};
use wasmtime::{Config, Engine, Inlining, OptLevel};

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let directory = arguments.next().context("where to?")?;
    for file in arguments {
        let stem = file.file_stem().context("a file has a name")?;
        write(&file, &directory.join(stem)).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn write(file: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    let mut config = Config::new();
    config
        // Wasmtime 48 names a file by the calling convention of whatever its context has compiled
        // before (`finish_compiling`); in one thread, as in the patched build, that is the same.
        .parallel_compilation(false)
        .concurrency_support(true)
        .wasm_component_model_async(true)
        .compiler_inlining(Inlining::Yes)
        .cranelift_opt_level(OptLevel::Speed)
        .emit_clif(to);
    let wasm = wat::parse_file(file)?;
    compile(&mut config, &wasm).map_err(|error| anyhow!("{error:#}"))
}

fn compile(config: &mut Config, wasm: &[u8]) -> wasmtime::Result<()> {
    config.target("x86_64-unknown-linux-gnu")?;
    Engine::new(config)?.precompile_component(wasm)?;
    Ok(())
}
