//! Choosing the machine to compile for.

use anyhow::{Context as _, Result, anyhow, bail};
use cranelift_codegen::isa::{self, LookupError, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable, Flags};
use cranelift_reader::IsaSpec;

/// Where a file names no target, its machine code is this one's, so that what
/// a test shows does not hang on who runs it.
pub const DEFAULT: &str = "x86_64";

/// The target called `name`, a triple or an architecture, with `flags`.
///
/// # Errors
///
/// A name that Cranelift does not know.
pub fn by_name(name: &str, flags: Flags) -> Result<OwnedTargetIsa> {
    lookup(name)?
        .finish(flags)
        .context("unusable target settings")
}

fn lookup(name: &str) -> Result<isa::Builder> {
    // `isa::lookup_by_name` would panic on a name that is no triple.
    let triple = name
        .parse()
        .map_err(|why| anyhow!("unknown target `{name}`: {why}"))?;
    isa::lookup(triple).map_err(|error| match error {
        LookupError::SupportDisabled => anyhow!("support for target `{name}` is not compiled in"),
        LookupError::Unsupported => anyhow!("unknown target `{name}`"),
    })
}

/// The triple that Wasmtime is to compile for, where the user names `target`. It is
/// always given, also for the host, so that the code does not depend on the
/// processor at hand.
pub fn triple(target: Option<&str>) -> String {
    match target {
        None => format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        Some("riscv64") => "riscv64gc-unknown-linux-gnu".to_owned(),
        Some(name) if !name.contains('-') => format!("{name}-unknown-linux-gnu"),
        Some(name) => name.to_owned(),
    }
}

/// The target `triple` with `flags`, and with settings of its own.
///
/// # Errors
///
/// A triple or a setting that Cranelift does not know.
pub fn with_settings<'s>(
    triple: &str,
    flags: Flags,
    settings: impl Iterator<Item = (&'s String, String)>,
) -> Result<OwnedTargetIsa> {
    let mut builder = lookup(triple)?;
    for (name, value) in settings {
        builder.set(name, &value)?;
    }
    builder.finish(flags).context("unusable target settings")
}

/// The host, with the features of its processor or with those of `like`.
///
/// # Errors
///
/// A host that Cranelift has no back end for, or one without a feature that
/// `like` has switched on.
pub fn host(flags: Flags, like: Option<&dyn TargetIsa>) -> Result<OwnedTargetIsa> {
    let infer = like.is_none();
    let mut builder =
        cranelift_native::builder_with_options(infer).map_err(|message| anyhow!(message))?;
    for value in like.map(TargetIsa::isa_flags).unwrap_or_default() {
        builder.set(value.name, &value.value_string())?;
    }
    Ok(builder.finish(flags)?)
}

/// The target `isa` with its own settings, but with `flags`.
///
/// # Errors
///
/// Settings and flags that do not go together.
pub fn like(isa: &dyn TargetIsa, flags: Flags) -> Result<OwnedTargetIsa> {
    let mut builder = isa::lookup(isa.triple().clone())?;
    for value in isa.isa_flags() {
        builder.set(value.name, &value.value_string())?;
    }
    builder.finish(flags).context("unusable target settings")
}

/// Why the host cannot run code for `isa`; `None` if it can.
pub fn host_refuses(isa: &dyn TargetIsa) -> Option<String> {
    let host = match host(isa.flags().clone(), None) {
        Ok(host) => host,
        Err(error) => return Some(error.to_string()),
    };
    if host.triple().architecture != isa.triple().architecture && host.name() != isa.name() {
        return Some(format!("the host does not run {} code", isa.name()));
    }
    let available = host.isa_flags();
    let has = |name: &str| {
        let found = available.iter().find(|value| value.name == name);
        found.and_then(|value| value.as_bool()).unwrap_or(false)
    };
    let missing = isa
        .isa_flags()
        .into_iter()
        .find(|value| value.as_bool() == Some(true) && !has(value.name));
    missing.map(|value| format!("the host has no {}", value.name))
}

/// The targets that a file asks for; [`DEFAULT`] if it names none.
///
/// # Errors
///
/// [`DEFAULT`] is not compiled in.
pub fn of_file(spec: &IsaSpec) -> Result<Vec<OwnedTargetIsa>> {
    match spec {
        IsaSpec::None(flags) => Ok(vec![by_name(DEFAULT, flags.clone())?]),
        IsaSpec::Some(targets) => Ok(targets.clone()),
    }
}

/// `flags` with `opt_level` set to `level`.
///
/// # Errors
///
/// A level that Cranelift does not know.
pub fn with_opt_level(flags: &Flags, level: &str) -> Result<Flags> {
    let mut builder = settings::builder();
    for value in flags.iter() {
        builder.set(value.name, &value.value_string())?;
    }
    if builder.set("opt_level", level).is_err() {
        bail!("unknown optimization level `{level}`: it is none, speed or speed_and_size");
    }
    Ok(Flags::new(builder))
}
