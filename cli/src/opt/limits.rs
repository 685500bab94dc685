//! Is a component as small as its policy wants it?
//!
//! A policy names regions by their numbers. In Wasmtime, these numbers contain the
//! index of a module and the number of a component's instance, and those that are
//! too large end up as other numbers, or as numbers that no clause names.

use anyhow::{Result, anyhow, ensure};
use memopt_policy::{ComponentLimits, DeclaredPolicy};
use wasmtime_environ::component::{ComponentTypesBuilder, Translator};
use wasmtime_environ::wasmparser::{Validator, WasmFeatures};
use wasmtime_environ::{ScopeVec, Tunables};

/// Checks the component `wasm` against the limits of `policy`.
///
/// # Errors
///
/// A component that has more modules or instances than the policy holds for, or that
/// does not validate.
pub fn check(wasm: &[u8], policy: &DeclaredPolicy) -> Result<()> {
    let Some(limits) = policy.component_limits() else {
        return Ok(());
    };
    let found = size(wasm)?;
    ensure!(
        found.modules <= limits.modules && found.instances <= limits.instances,
        "the policy holds for components of at most {limits}, and this one has {found}",
    );
    Ok(())
}

/// How many modules a component has, adapters among them, and how many component
/// instances it makes.
fn size(wasm: &[u8]) -> Result<ComponentLimits> {
    let scope = ScopeVec::new();
    // With concurrency support on, as the code is compiled: there are adapters that
    // would not be made without it.
    let tunables = Tunables {
        concurrency_support: true,
        ..Tunables::default_host()
    };
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut types = ComponentTypesBuilder::new(&validator);
    let translator = Translator::new(&tunables, &mut validator, &mut types, &scope);
    let (translation, modules) = translator
        .translate(wasm)
        .map_err(|error| anyhow!("{error:#}"))?;
    Ok(ComponentLimits {
        modules: u32::try_from(modules.len())?,
        instances: translation.component.num_runtime_component_instances,
    })
}
