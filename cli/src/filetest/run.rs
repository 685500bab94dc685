//! Runs all commands of one file.

use crate::clif;
use crate::complaint::Complaint;
use crate::filetest::command::{self, Command, Kind};
use crate::filetest::dynamic::{self, Claim};
use crate::filetest::failure::Failure;
use crate::filetest::header::{self, Bounds};
use crate::filetest::output::{self, Module, Output};
use crate::filetest::{bless, crash, execute, expect, meaningful, verifier};
use crate::{guard, passes, policies, target};
use anyhow::Result;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_memopt::Options;
use cranelift_reader::TestFile;
use memopt_check::Checking;
use memopt_policy::DeclaredPolicy;

/// How files are run.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The passes that run, apart from those that the file switches off.
    pub passes: passes::Selection,
    /// The optimization level, if it is not for the file to say. Upstream's
    /// tests of what code computes mostly do not optimize.
    pub opt_level: Option<String>,
    /// Accept precise outputs that differ instead of failing.
    pub bless: bool,
}

/// What came of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is as the file says.
    Passed,
    /// Something is not; why, one text for each thing.
    Failed(Vec<String>),
    /// The file is not a test: it does not parse, or it checks nothing.
    Unusable(String),
    /// It passes with this new text, in which expectations were replaced.
    Blessed(String),
}

/// Runs the test file called `name` that contains `text`.
pub fn run(name: &str, text: &str, setup: &Setup) -> Verdict {
    let parsed = guard::catch(|| Ok(Runner::new(name, text, setup)));
    let mut runner = match parsed {
        Ok(Ok(runner)) => runner,
        Ok(Err(complaint)) => return Verdict::Unusable(complaint.to_string()),
        Err(panicked) => return Verdict::Failed(vec![panicked.to_string()]),
    };
    for command in runner.commands.clone() {
        runner.run_command(&command);
    }
    runner.verdict()
}

/// One file while it runs.
struct Runner<'a> {
    name: &'a str,
    text: &'a str,
    setup: &'a Setup,
    file: TestFile<'a>,
    functions: Vec<Function>,
    commands: Vec<Command>,
    policies: Vec<DeclaredPolicy>,
    counts: Vec<Vec<(&'a str, u32)>>,
    claims: Vec<Claim<'a>>,
    /// The versions of Cranelift that the file is for.
    bounds: Bounds<'a>,
    failures: Vec<Failure>,
    /// New precise outputs, by function.
    blessed: Vec<Option<String>>,
}

impl<'a> Runner<'a> {
    fn new(name: &'a str, text: &'a str, setup: &'a Setup) -> Result<Self, Complaint> {
        let file = clif::parse(name, text)?;
        let commands = command::of_file(name, text, &file)?;
        let base = DeclaredPolicy::default();
        let policies = policies::of_functions(name, text, &file, &base)?;
        let details = file.functions.iter().map(|(_, details)| details);
        let counts = details
            .map(|details| expect::counts(name, text, details))
            .collect::<Result<Vec<_>, _>>()?;
        let claims = dynamic::claims(name, text, &file)?;
        let bounds = header::bounds(name, text)?;
        meaningful::require(name, text, &commands, &file)?;
        Ok(Self {
            name,
            text,
            setup,
            functions: file
                .functions
                .iter()
                .map(|(func, _)| func.clone())
                .collect(),
            commands,
            policies,
            counts,
            claims,
            bounds,
            failures: Vec::new(),
            blessed: vec![None; file.functions.len()],
            file,
        })
    }

    fn run_command(&mut self, command: &Command) {
        let targets = match self.targets() {
            Ok(targets) => targets,
            Err(error) => return self.failures.push(Failure::Wrong(format!("{error:#}"))),
        };
        // Neither of these depends on the machine, so one will do.
        let once = matches!(command.kind, Kind::Verifier | Kind::Interpret);
        let count = if once { 1 } else { targets.len() };
        for isa in &targets[..count] {
            let failures = guard::catch(|| self.run_on(command, isa));
            let failures =
                failures.unwrap_or_else(|error| vec![Failure::Wrong(format!("{error:#}"))]);
            let on = format!("{command} on {}", isa.name());
            self.failures
                .extend(failures.into_iter().map(|why| why.of(&on)));
        }
    }

    fn targets(&self) -> Result<Vec<OwnedTargetIsa>> {
        let targets = target::of_file(&self.file.isa_spec)?;
        let Some(level) = &self.setup.opt_level else {
            return Ok(targets);
        };
        let at_level = |isa: OwnedTargetIsa| {
            let flags = target::with_opt_level(isa.flags(), level)?;
            target::like(&*isa, flags)
        };
        targets.into_iter().map(at_level).collect()
    }

    /// The failures of one command on one target.
    fn run_on(&mut self, command: &Command, isa: &OwnedTargetIsa) -> Result<Vec<Failure>> {
        let wrong = match command.kind {
            Kind::Optimize | Kind::Compile => return self.check_outputs(command, &**isa),
            Kind::Verifier => self.check_verifier(&**isa),
            Kind::Interpret => self.execute(command, isa)?,
            Kind::Run => match target::host_refuses(&**isa) {
                Some(_) => Vec::new(),
                None => {
                    let host = target::host(isa.flags().clone(), Some(&**isa))?;
                    let label = format!("{}: {command}", self.name);
                    crash::labelled(&label, || self.execute(command, &host))?
                }
            },
        };
        Ok(wrong.into_iter().map(Failure::Wrong).collect())
    }

    /// The passes of a command.
    fn options(&self, command: &Command) -> Options {
        let mut options = self.setup.passes.options_without(&command.off);
        let effort =
            |line| clif::directive(line, "effort:").and_then(|name| passes::effort(name).ok());
        if let Some(effort) = self.text.lines().find_map(effort) {
            options.effort = effort;
        }
        options
    }

    /// Each run is proven right, unless the file says that it cannot be.
    fn checking(&self) -> Checking {
        let unproven = |line| clif::directive(line, "unproven:").is_some();
        match self.text.lines().any(unproven) {
            true => Checking::Off,
            false => Checking::Fail,
        }
    }

    fn outputs(&self, command: &Command, isa: &dyn TargetIsa) -> Result<Vec<Output>> {
        let options = self.options(command);
        let module = Module {
            functions: &self.functions,
            isa,
            policies: &self.policies,
            options: &options,
            checking: self.checking(),
        };
        output::of_command(command, &module)
    }

    fn execute(&self, command: &Command, isa: &OwnedTargetIsa) -> Result<Vec<String>> {
        let options = self.options(command);
        let module = Module {
            functions: &self.functions,
            isa: &**isa,
            policies: &self.policies,
            options: &options,
            checking: self.checking(),
        };
        execute::check(command.kind, &self.file, &module, isa)
    }

    fn check_outputs(&mut self, command: &Command, isa: &dyn TargetIsa) -> Result<Vec<Failure>> {
        let outputs = match (self.outputs(command, isa), command.expect_fail) {
            (Ok(outputs), false) => outputs,
            (Err(error), false) => return Err(error),
            (Ok(_), true) => {
                let why = "compiled, but was to fail".to_owned();
                return Ok(vec![Failure::Unmet(why)]);
            }
            (Err(_), true) => return Ok(Vec::new()),
        };
        let mut failures = Vec::new();
        for (index, output) in outputs.iter().enumerate() {
            let checked = self.check_output(command, index, output);
            let (func, details) = &self.file.functions[index];
            let wrong = checked.into_iter().filter_map(Result::err);
            let label = clif::label(func, details);
            failures.extend(wrong.map(|why| Failure::Unmet(why).of(&label.to_string())));
        }
        if command.memopt {
            let after: Vec<_> = outputs.into_iter().map(|output| output.func).collect();
            let claims = self.claims.iter();
            let order = isa.endianness();
            let checked =
                claims.map(|claim| claim.check(&self.functions, &after, &self.policies, order));
            failures.extend(checked.filter_map(Result::err));
        }
        Ok(failures)
    }

    /// Compares one output with all that is said about it.
    fn check_output(
        &mut self,
        command: &Command,
        index: usize,
        output: &Output,
    ) -> [Result<(), String>; 2] {
        let (_, details) = &self.file.functions[index];
        let text = match command.precise {
            true => self.check_precise(index, &output.text),
            false => expect::filecheck(&output.text, &self.file.preamble_comments, details),
        };
        [text, expect::stats(&self.counts[index], output)]
    }

    fn check_precise(&mut self, index: usize, actual: &str) -> Result<(), String> {
        let (_, details) = &self.file.functions[index];
        let Some(blessed) = &self.blessed[index] else {
            let expected = expect::precise_lines(self.text, details);
            let outcome = expect::precise(&expected, actual);
            if outcome.is_err() && self.setup.bless && self.bounds.hold {
                self.blessed[index] = Some(actual.to_owned());
                return Ok(());
            }
            return outcome;
        };
        // A second command or target has to agree with what was just blessed.
        expect::precise(&blessed.lines().collect::<Vec<_>>(), actual)
    }

    fn check_verifier(&self, isa: &dyn TargetIsa) -> Vec<String> {
        let functions = self.file.functions.iter();
        let wrong = functions.filter_map(|(func, details)| {
            let why = verifier::check(func, details, isa).err()?;
            Some(format!("{}: {why}", clif::label(func, details)))
        });
        wrong.collect()
    }

    fn verdict(self) -> Verdict {
        let reasons = self.reasons();
        if !reasons.is_empty() {
            // That may be on purpose, and where it is not, it is often the reason.
            let idle = policies::unmatched(self.name, self.text, &self.file);
            let idle = idle.iter().map(ToString::to_string);
            return Verdict::Failed(reasons.into_iter().chain(idle).collect());
        }
        if self.blessed.iter().all(Option::is_none) {
            return Verdict::Passed;
        }
        let details: Vec<_> = self.file.functions.iter().map(|(_, d)| d).collect();
        Verdict::Blessed(bless::rewrite(self.text, &details, &self.blessed))
    }

    /// Why the file fails. One that is for other versions of Cranelift has to: its
    /// expectations may not hold here, or the file is for this version as well.
    fn reasons(&self) -> Vec<String> {
        let is_unmet = |failure: &&Failure| matches!(failure, Failure::Unmet(_));
        if self.bounds.hold {
            return self.failures.iter().map(ToString::to_string).collect();
        }
        if !self.failures.iter().any(|failure| is_unmet(&failure)) {
            let here = cranelift_codegen::VERSION;
            let text = self.bounds.text;
            let why = format!("holds for Cranelift {here}, and says that it is for {text} alone");
            let failures = self.failures.iter().map(ToString::to_string);
            return failures.chain([why]).collect();
        }
        let wrong = self.failures.iter().filter(|failure| !is_unmet(failure));
        wrong.map(ToString::to_string).collect()
    }
}
