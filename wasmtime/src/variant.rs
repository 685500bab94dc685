//! The three ways to compile that are compared.

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use std::path::Path;
use wasmtime::{Config, Engine, Inlining, OptLevel};

/// A way to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Concurrency support off: an adapter has no task to push.
    Off,
    /// Concurrency support on, the passes off. This is what the unpatched
    /// crates compile.
    On,
    /// Concurrency support on, the passes on.
    Memopt,
}

impl Variant {
    /// All of them, the one that others are compared with first.
    pub const ALL: [Self; 3] = [Self::Off, Self::On, Self::Memopt];

    /// How tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Memopt => "memopt",
        }
    }

    /// Wasmtime's configuration for it: inlining on, at `opt_level=speed`.
    ///
    /// If `clif` is given, every function is written to that directory as it
    /// is when its machine code is made.
    pub fn config(self, clif: Option<&Path>) -> Config {
        let mut config = Config::new();
        config
            .concurrency_support(self != Self::Off)
            .wasm_component_model_async(self != Self::Off)
            // As in builds without Wasmtime's feature `call-hook`, the default.
            .call_hooks(false)
            .compiler_inlining(Inlining::Yes)
            .cranelift_opt_level(OptLevel::Speed);
        set_passes(&mut config, self == Self::Memopt);
        if let Some(directory) = clif {
            config.emit_clif(directory);
        }
        config
    }

    /// An engine of [`Self::config`].
    ///
    /// # Errors
    ///
    /// What Wasmtime says of the configuration.
    pub fn engine(self, clif: Option<&Path>) -> Result<Engine> {
        Ok(Engine::new(&self.config(clif))?)
    }
}

/// Switches the passes on or off in an engine's configuration.
pub fn set_passes(config: &mut Config, on: bool) {
    // SAFETY: the setting changes no meaning of compiled code.
    unsafe { config.cranelift_flag_set("memopt_effort", if on { "gated" } else { "none" }) };
}
