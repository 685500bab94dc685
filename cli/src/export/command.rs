//! The command line of `memopt export`.

use crate::export::apply::{Application, Outcome};
use crate::export::series::{SMALL, Series, WHOLE};
use crate::export::sources::{CRATES, Sources};
use crate::export::{mail, registry, tree};
use anyhow::{Context as _, Result, bail, ensure};
use clap::{ArgGroup, Args};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What `memopt export` is told.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("sources").required(true)))]
#[command(override_usage = USAGE)]
pub struct Arguments {
    /// Change a checkout of the wasmtime repository
    #[arg(long, value_name = "DIR", group = "sources")]
    checkout: Option<PathBuf>,
    /// Change the sources from crates.io, as cargo has them; without --out,
    /// say which anchors hold
    #[arg(long, group = "sources")]
    registry: bool,
    /// Only say which anchors hold in a checkout, of any version
    #[arg(long, value_name = "DIR", group = "sources")]
    report: Option<PathBuf>,
    /// Write the changed tree here; of a registry, one folder a crate, for
    /// `[patch.crates-io]`
    #[arg(long, value_name = "DIR", group = "target", conflicts_with = "report")]
    out: Option<PathBuf>,
    /// Write the series here, for `git am`
    #[arg(long, value_name = "DIR", group = "target", requires = "checkout")]
    format_patch: Option<PathBuf>,
    /// Change the checkout itself
    #[arg(long, group = "target", requires = "checkout")]
    in_place: bool,
    /// The small patches, each useful alone, and not all of the passes
    #[arg(long, conflicts_with = "whole")]
    series: bool,
    /// All of the passes, behind a setting; the default
    #[arg(long)]
    whole: bool,
    /// Who the patches are from, as `NAME <ADDRESS>`
    #[arg(long, default_value = "Nobody yet <nobody@example.invalid>")]
    author: String,
    /// The versions of the crates are those that this workspace locks
    #[arg(long, value_name = "FILE", requires = "registry")]
    manifest_path: Option<PathBuf>,
    /// Take the sources of this crate from there
    #[arg(long, value_name = "NAME=DIR", requires = "registry", value_parser = source)]
    source: Vec<(String, PathBuf)>,
    /// The repository of the passes, with its `glue/`
    #[arg(long, value_name = "DIR", default_value = OWN_REPOSITORY, hide_default_value = true)]
    repository: PathBuf,
}

/// One line for each kind of sources.
const USAGE: &str = "\
memopt export --registry [--out DIR] [OPTIONS]
       memopt export --checkout DIR <--out DIR|--format-patch DIR|--in-place>
       memopt export --report DIR";

/// Where this program was built.
const OWN_REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn source(argument: &str) -> Result<(String, PathBuf), String> {
    match argument.split_once('=') {
        Some((name, folder)) => Ok((name.to_owned(), PathBuf::from(folder))),
        None => Err("not of the form NAME=DIR".to_owned()),
    }
}

/// Runs `memopt export`. Says whether every anchor holds; if one does not, it
/// is named on standard error, and nothing is written.
///
/// # Errors
///
/// Glue or sources that cannot be read; an output that cannot be written.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let folder = if arguments.series { SMALL } else { WHOLE };
    let series = Series::read(&arguments.repository, folder)?;
    let sources = sources(arguments)?;
    let application = Application::new(&series, &sources)?;
    let writes = arguments.out.is_some() || arguments.format_patch.is_some() || arguments.in_place;
    if !writes {
        report(&application, &sources);
        return Ok(application.wrong().next().is_none());
    }
    if application.wrong().next().is_some() {
        complain(&application);
        return Ok(false);
    }
    write(arguments, &application, &sources)?;
    Ok(true)
}

fn sources(arguments: &Arguments) -> Result<Sources> {
    if arguments.registry {
        let own = arguments.repository.join("Cargo.toml");
        let manifest = arguments.manifest_path.as_ref().unwrap_or(&own);
        return registry::sources(manifest, &arguments.source);
    }
    let Some(root) = arguments.checkout.as_ref().or(arguments.report.as_ref()) else {
        bail!("no sources");
    };
    ensure!(root.is_dir(), "{}: no such folder", root.display());
    let target = arguments.out.is_some() || arguments.format_patch.is_some();
    ensure!(
        target || arguments.in_place || arguments.checkout.is_none(),
        "--checkout needs --out, --format-patch or --in-place"
    );
    Ok(Sources::Checkout(root.clone()))
}

fn write(arguments: &Arguments, application: &Application<'_>, sources: &Sources) -> Result<()> {
    if let Some(folder) = &arguments.format_patch {
        return write_patches(application, folder, &arguments.author);
    }
    let changed = application.texts().len();
    match (sources, &arguments.out) {
        (_, Some(out)) => {
            let files = tree::write_copy(application, sources, out)?;
            anstream::println!(
                "{}: {files} files, {changed} of them changed",
                out.display()
            );
        }
        (Sources::Checkout(root), None) => {
            tree::write_in_place(application, root)?;
            anstream::println!("{}: {changed} files changed", root.display());
        }
        (Sources::Crates(_), None) => bail!("--registry needs --out"),
    }
    leave_out(application, sources);
    Ok(())
}

/// Names what the sources have no place for.
fn leave_out(application: &Application<'_>, sources: &Sources) {
    for (patch, placement) in application.placements() {
        if placement.anchored && placement.outcome == Outcome::Elsewhere {
            anstream::println!(
                "{patch}: left out, not in these sources: {}",
                placement.file
            );
        }
    }
    if let Sources::Crates(found) = sources {
        for it in CRATES
            .iter()
            .filter(|it| found.iter().all(|(has, _)| has != *it))
        {
            anstream::println!("{}: left out, the workspace does not use it", it.name);
        }
    }
}

fn write_patches(application: &Application<'_>, folder: &Path, author: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let count = application.patches.len();
    for (index, applied) in application.patches.iter().enumerate() {
        let number = index + 1;
        let file = folder.join(mail::file_name(number, applied));
        let text = mail::format(applied, author, number, count);
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        anstream::println!("{}", file.display());
    }
    Ok(())
}

fn complain(application: &Application<'_>) {
    for (patch, placement) in application.wrong() {
        anstream::eprintln!("{patch}: {}: {}", placement.file, placement.outcome);
    }
    anstream::eprintln!("nothing is changed");
}

fn report(application: &Application<'_>, sources: &Sources) {
    if let Sources::Crates(crates) = sources {
        for (it, folder) in crates {
            let version = folder.file_name().unwrap_or_default().to_string_lossy();
            anstream::println!("{}: {version}", it.name);
        }
    }
    let [mut holding, mut wrong, mut elsewhere] = [0, 0, 0];
    // A copied file is of interest only where it cannot be.
    for (patch, placement) in application.placements().filter(|(_, it)| it.anchored) {
        *match &placement.outcome {
            Outcome::Elsewhere => &mut elsewhere,
            outcome if outcome.holds() => &mut holding,
            _ => &mut wrong,
        } += 1;
        let file = &placement.file;
        let line = match placement.outcome {
            Outcome::Placed(Some(line)) => format!(":{line}"),
            _ => String::new(),
        };
        let outcome = &placement.outcome;
        anstream::println!("{patch}: {file}{line} {}: {outcome}", placement.what);
    }
    report_copies(application);
    for patch in &application.left_out {
        anstream::println!("{}: not for these sources", patch.name);
    }
    if elsewhere != 0 {
        anstream::println!("{elsewhere} anchors are in files that these sources do not have");
    }
    anstream::println!("{holding} of {} anchors hold", holding + wrong);
}

/// One line for each copy that finds files where it is to go.
fn report_copies(application: &Application<'_>) {
    let mut copies: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (patch, placement) in application.wrong().filter(|(_, it)| !it.anchored) {
        let files = copies.entry((patch, &placement.what)).or_default();
        files.push(&placement.file);
    }
    for ((patch, what), files) in copies {
        let [first, others @ ..] = &files[..] else {
            continue;
        };
        let others = match others.len() {
            0 => String::new(),
            count => format!(", and {count} more"),
        };
        anstream::println!("{patch}: {what}: exists already: {first}{others}");
    }
}
