//! How Wasmtime compiles: its configuration, and the settings of Cranelift that
//! it came to.
//!
//! Wasmtime writes the settings into what it compiled, to know later whether it
//! may run it. They are read from there, so that both sides are lowered as
//! Wasmtime lowers, whatever a version of it sets.

use crate::opt::command::Choices;
use crate::target;
use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Parser as _;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable as _, Flags};
use object::{Object as _, ObjectSection as _};
use serde::Deserialize;
use std::path::Path;
use wasmtime::{Config, Inlining, OptLevel};
use wasmtime_cli_flags::CommonOptions;

/// Where Wasmtime writes what it compiled with, and the format of it that is
/// understood here.
const SECTION: &str = ".wasmtime.engine";
const FORMAT: u8 = 0;

/// Wasmtime's configuration: what its `-W` options say, and what this program
/// is about, at this level of optimization. CLIF is written to `directory`.
///
/// Wasmtime does not inline where stack switching is on, which `all-proposals` turns
/// on, too.
///
/// # Errors
///
/// An option or a target that Wasmtime does not know.
pub fn config(choices: &Choices, opt_level: &str, directory: &Path) -> Result<Config> {
    let (mut config, switches_stacks) = of_options(&choices.wasm)?;
    config
        .concurrency_support(true)
        .wasm_component_model_async(true)
        .compiler_inlining(match switches_stacks {
            true => Inlining::No,
            false => Inlining::Yes,
        })
        .cranelift_opt_level(match opt_level {
            "none" => OptLevel::None,
            "speed_and_size" => OptLevel::SpeedAndSize,
            _ => OptLevel::Speed,
        })
        .emit_clif(directory);
    config
        .target(&target::triple(choices.target.as_deref()))
        .map_err(|error| anyhow!("{error:#}"))?;
    Ok(config)
}

/// Wasmtime's configuration with its own command-line options of the group `-W`, and
/// whether they turn on stack switching.
///
/// # Errors
///
/// An option that Wasmtime does not know, or that it was not built with.
pub fn of_options(options: &[String]) -> Result<(Config, bool)> {
    let arguments = options.iter().map(|option| format!("--wasm={option}"));
    let arguments = std::iter::once("memopt".to_owned()).chain(arguments);
    let parsed = CommonOptions::try_parse_from(arguments).map_err(|error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        anyhow!("{}", line.trim_start_matches("error: "))
    });
    let mut parsed = parsed?;
    let config = parsed.config(None);
    let config = config.map_err(|error| anyhow!("{error:#}"))?;
    let switches_stacks = parsed.wasm.stack_switching.or(parsed.wasm.all_proposals);
    Ok((config, switches_stacks == Some(true)))
}

/// The settings at the begin of what Wasmtime writes.
#[derive(Deserialize)]
struct Settings {
    target: String,
    shared: Vec<(String, Value)>,
    isa: Vec<(String, Value)>,
}

#[derive(Deserialize)]
enum Value {
    Enum(String),
    Num(u8),
    Bool(bool),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Enum(name) => name.clone(),
            Self::Num(number) => number.to_string(),
            Self::Bool(is_on) => is_on.to_string(),
        }
    }
}

/// The target with the settings with which Wasmtime made `artifact`.
///
/// # Errors
///
/// An artifact in another format, or settings that Cranelift does not have:
/// this Wasmtime does not go with this Cranelift.
pub fn isa(artifact: &[u8]) -> Result<OwnedTargetIsa> {
    let settings = read(artifact).context("what Wasmtime compiled with is unknown")?;
    let mut shared = settings::builder();
    for (name, value) in &settings.shared {
        shared.set(name, &value.text())?;
    }
    let isa = settings
        .isa
        .iter()
        .map(|(name, value)| (name, value.text()));
    target::with_settings(&settings.target, Flags::new(shared), isa)
}

fn read(artifact: &[u8]) -> Result<Settings> {
    let file = object::File::parse(artifact)?;
    let section = file.section_by_name(SECTION);
    let data = section.with_context(|| format!("no section {SECTION}"))?;
    let data = data.data()?;
    let [format, length, rest @ ..] = data else {
        return Err(anyhow!("{SECTION} is empty"));
    };
    ensure!(*format == FORMAT, "{SECTION} has format {format}");
    let settings = rest.get(usize::from(*length)..);
    let settings = settings.with_context(|| format!("{SECTION} is cut off"))?;
    Ok(postcard::take_from_bytes(settings)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::Engine;

    #[test]
    fn the_settings_are_those_that_wasmtime_compiled_with() {
        let (mut config, _) = of_options(&[]).unwrap();
        config.target("aarch64-unknown-linux-gnu").unwrap();
        let engine = Engine::new(&config).unwrap();
        let artifact = engine.precompile_module(b"\0asm\x01\0\0\0").unwrap();
        let isa = isa(&artifact).unwrap();
        assert_eq!(isa.name(), "aarch64");
        assert!(isa.flags().enable_multi_ret_implicit_sret());
        assert!(isa.flags().unwind_info());
    }

    #[test]
    fn options_are_spelt_as_wasmtime_spells_them() {
        let good = ["all-proposals", "gc=n", "memory64,wide-arithmetic=y"];
        assert!(of_options(&good.map(str::to_owned)).is_ok());
        let said = of_options(&["wide_math".to_owned()]).unwrap_err();
        assert!(said.to_string().contains("wide_math"), "{said}");
    }
}
