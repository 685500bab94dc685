//! A policy written as text, one clause a line.
//!
//! | clause | what it declares |
//! |---|---|
//! | `lost-at-trap R…` | [`Policy::survives_trap`] is false for these regions |
//! | `transient R…` | [`Policy::is_transient`], as for the regions that a trap loses |
//! | `asynchronous R…` | [`Policy::is_asynchronous`] |
//! | `join R R…` | the regions are one memory; [`Policy::representative`] is the first |
//! | `shared-pointer R OFFSET` | [`Policy::is_shared_pointer`] |
//! | `forgets R…` | [`Policy::forgets_addresses`] |
//! | `callee NAME EFFECT…` | [`Policy::callee`], `NAME` as in CLIF: `%f` or `u0:1` |
//! | `component-limits M N` | nothing to the passes: it holds for components of at most `M` modules and `N` instances, see [`DeclaredPolicy::component_limits`] |
//! | `loaded-callee R OFFSET EFFECT…` | [`Policy::indirect_callee`] for a pointer loaded there |
//!
//! A region `R` is its user id. Without an effect a callee is pure; effects
//! are `reads R…`, `writes R…`, `touches R…` (each also with `all`),
//! `traps` and `unwinds`. What is written is touched.

use super::{CalleeName, Origin, Policy, RegionSet, Summary};
use std::fmt;
use std::str::{FromStr, SplitWhitespace};

/// A [`Policy`] that says what its clauses declare, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredPolicy {
    lost_at_trap: Vec<u32>,
    transient: Vec<u32>,
    asynchronous: Vec<u32>,
    forgets: Vec<u32>,
    joined: Vec<(u32, u32)>,
    shared_pointers: Vec<(u32, i64)>,
    callees: Vec<(CalleeName, Summary)>,
    loaded_callees: Vec<((u32, i64), Summary)>,
    component_limits: Option<ComponentLimits>,
}

/// How large a component may be for a policy to hold, both bounds included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComponentLimits {
    /// Core modules, adapters among them.
    pub modules: u32,
    /// Component instances that it makes, nested ones among them.
    pub instances: u32,
}

impl fmt::Display for ComponentLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { modules, instances } = self;
        write!(f, "{modules} modules and {instances} instances")
    }
}

/// Why a clause was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError(String);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PolicyError {}

impl DeclaredPolicy {
    /// Adds one clause.
    ///
    /// Cost: O(words).
    ///
    /// # Errors
    ///
    /// Says which word was not understood; the policy is then unchanged.
    pub fn declare(&mut self, clause: &str) -> Result<(), PolicyError> {
        let mut words = clause.split_whitespace();
        let Some(keyword) = words.next() else {
            return Err(PolicyError("a clause is missing".to_string()));
        };
        match keyword {
            "lost-at-trap" => self.lost_at_trap.extend(regions(keyword, words)?),
            "transient" => self.transient.extend(regions(keyword, words)?),
            "asynchronous" => self.asynchronous.extend(regions(keyword, words)?),
            "forgets" => self.forgets.extend(regions(keyword, words)?),
            "join" => self.join(&regions(keyword, words)?)?,
            "shared-pointer" => self.shared_pointers.push(place(keyword, &mut words)?),
            "callee" => {
                let name = words.next().ok_or_else(|| {
                    PolicyError("`callee` needs the name of a function, as `%f` or `u0:1`".into())
                })?;
                let name = callee_name(name)?;
                self.callees.push((name, effects(words)?));
            }
            "component-limits" => {
                let limits = limits(keyword, &mut words)?;
                self.component_limits = Some(limits);
            }
            "loaded-callee" => {
                let place = place(keyword, &mut words)?;
                self.loaded_callees.push((place, effects(words)?));
            }
            other => {
                let known = "lost-at-trap, transient, asynchronous, join, shared-pointer, forgets, callee \
                             and loaded-callee";
                return Err(PolicyError(format!(
                    "unknown policy clause `{other}`; the clauses are {known}"
                )));
            }
        }
        Ok(())
    }

    /// Declares no clause at all?
    ///
    /// Cost: O(clauses).
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The regions that clauses say something about, other than what callees
    /// do to them; in no order.
    ///
    /// Cost: O(clauses).
    pub fn regions(&self) -> impl Iterator<Item = u32> + '_ {
        let joined = self.joined.iter().flat_map(|(from, to)| [*from, *to]);
        let lists = [
            &self.lost_at_trap,
            &self.asynchronous,
            &self.transient,
            &self.forgets,
        ];
        let places = self.shared_pointers.iter().map(|place| place.0);
        let pointers = self.loaded_callees.iter().map(|entry| entry.0.0);
        let lists = lists.into_iter().flatten().copied();
        lists.chain(joined).chain(places).chain(pointers)
    }

    /// The functions that clauses name.
    ///
    /// Cost: O(clauses).
    pub fn callees(&self) -> impl Iterator<Item = &CalleeName> {
        self.callees.iter().map(|entry| &entry.0)
    }

    /// The size of components up to which the policy holds, if it says one. Who
    /// hands components to the passes has to check it: the passes see functions.
    ///
    /// Cost: constant.
    pub fn component_limits(&self) -> Option<ComponentLimits> {
        self.component_limits
    }

    /// The regions that are joined with `region`, itself among them if any.
    fn other_tags(&self, region: u32) -> impl Iterator<Item = u32> + '_ {
        let target = self.representative(region);
        let members = self.joined.iter().filter(move |entry| entry.1 == target);
        members.flat_map(|(region, target)| [*region, *target])
    }

    fn join(&mut self, regions: &[u32]) -> Result<(), PolicyError> {
        let [first, rest @ ..] = regions else {
            return Err(PolicyError("`join` names no region".to_string()));
        };
        if rest.iter().all(|region| region == first) {
            return Err(PolicyError("`join` needs two regions".to_string()));
        }
        let target = self.representative(*first);
        for region in rest {
            let old = self.representative(*region);
            self.joined.retain(|(region, _)| *region != old);
            for entry in &mut self.joined {
                if entry.1 == old {
                    entry.1 = target;
                }
            }
            if old != target {
                self.joined.push((old, target));
            }
        }
        Ok(())
    }
}

impl FromStr for DeclaredPolicy {
    type Err = PolicyError;

    /// Reads one clause a line; empty lines and lines that begin with `#` or
    /// `;` are skipped.
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with(['#', ';']) {
                policy
                    .declare(line)
                    .map_err(|error| PolicyError(format!("line {}: {error}", number + 1)))?;
            }
        }
        Ok(policy)
    }
}

impl Policy for DeclaredPolicy {
    fn callee(&self, name: &CalleeName) -> Option<Summary> {
        let entry = self.callees.iter().rev().find(|entry| entry.0 == *name)?;
        Some(entry.1.clone())
    }

    fn indirect_callee(&self, origin: &Origin) -> Option<Summary> {
        let place = origin.loads.first()?;
        let entry = self.loaded_callees.iter().rev().find(|e| e.0 == *place)?;
        Some(entry.1.clone())
    }

    fn survives_trap(&self, region: u32) -> bool {
        // A memory is lost only if it is under all of its tags.
        let survives = |region| !self.lost_at_trap.contains(&region);
        survives(region) || self.other_tags(region).any(survives)
    }

    fn is_transient(&self, region: u32) -> bool {
        self.transient.contains(&region) || self.lost_at_trap.contains(&region)
    }

    fn is_asynchronous(&self, region: u32) -> bool {
        let asynchronous = |region| self.asynchronous.contains(&region);
        asynchronous(region) || self.other_tags(region).any(asynchronous)
    }

    fn has_asynchronous_memory(&self) -> bool {
        !self.asynchronous.is_empty()
    }

    fn representative(&self, region: u32) -> u32 {
        let entry = self.joined.iter().find(|entry| entry.0 == region);
        entry.map_or(region, |entry| entry.1)
    }

    fn forgets_addresses(&self, region: u32) -> bool {
        // A memory is forgetful only if it is under all of its tags.
        let forgets = |region| self.forgets.contains(&region);
        forgets(region) && self.other_tags(region).all(forgets)
    }

    fn is_shared_pointer(&self, region: u32, offset: i64) -> bool {
        self.shared_pointers.contains(&(region, offset))
    }
}

fn region(word: &str) -> Result<u32, PolicyError> {
    word.parse()
        .map_err(|_| PolicyError(format!("`{word}` is not the user id of a region")))
}

fn regions(keyword: &str, words: SplitWhitespace<'_>) -> Result<Vec<u32>, PolicyError> {
    let regions = words.map(region).collect::<Result<Vec<_>, _>>()?;
    if regions.is_empty() {
        return Err(PolicyError(format!("`{keyword}` names no region")));
    }
    Ok(regions)
}

fn place(keyword: &str, words: &mut SplitWhitespace<'_>) -> Result<(u32, i64), PolicyError> {
    let (Some(id), Some(offset)) = (words.next(), words.next()) else {
        return Err(PolicyError(format!(
            "`{keyword}` needs a region and an offset"
        )));
    };
    let offset = offset
        .parse()
        .map_err(|_| PolicyError(format!("`{offset}` is not an offset")))?;
    Ok((region(id)?, offset))
}

fn limits(keyword: &str, words: &mut SplitWhitespace<'_>) -> Result<ComponentLimits, PolicyError> {
    let mut number = || words.next().and_then(|word| word.parse().ok());
    match (number(), number()) {
        (Some(modules), Some(instances)) => Ok(ComponentLimits { modules, instances }),
        _ => Err(PolicyError(format!("`{keyword}` needs two numbers"))),
    }
}

fn callee_name(word: &str) -> Result<CalleeName, PolicyError> {
    if let Some(name) = word.strip_prefix('%') {
        return Ok(CalleeName::Named(name.as_bytes().into()));
    }
    let user = word.strip_prefix('u').and_then(|rest| rest.split_once(':'));
    if let Some((namespace, index)) = user
        && let (Ok(namespace), Ok(index)) = (namespace.parse(), index.parse())
    {
        return Ok(CalleeName::User(namespace, index));
    }
    Err(PolicyError(format!(
        "`{word}` is not the name of a function"
    )))
}

/// A set of regions that an effect is followed by.
#[derive(Clone, Copy)]
enum Set {
    Reads,
    Writes,
    Touches,
}

impl Set {
    const ALL: [(&'static str, Self); 3] = [
        ("reads", Self::Reads),
        ("writes", Self::Writes),
        ("touches", Self::Touches),
    ];

    fn of(word: &str) -> Option<(&'static str, Self)> {
        Self::ALL.into_iter().find(|(name, _)| *name == word)
    }
}

/// Reads the effects of a callee, up to the end of the clause.
fn effects(words: SplitWhitespace<'_>) -> Result<Summary, PolicyError> {
    let mut summary = Summary::pure();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        match word {
            "traps" => summary = summary.trapping(),
            "unwinds" => summary = summary.unwinding(),
            _ => {
                let (name, set) = Set::of(word).ok_or_else(|| unknown_effect(word))?;
                let mut any = false;
                while let Some(word) = words.next_if(|word| !is_effect(word)) {
                    summary = add(summary, set, &regions_of(word)?);
                    any = true;
                }
                if !any {
                    return Err(PolicyError(format!(
                        "`{name}` names no region; `{name} all` is all memory"
                    )));
                }
            }
        }
    }
    Ok(summary)
}

fn is_effect(word: &str) -> bool {
    matches!(word, "traps" | "unwinds") || Set::of(word).is_some()
}

fn regions_of(word: &str) -> Result<RegionSet, PolicyError> {
    match word {
        "all" => Ok(RegionSet::all()),
        // A word that is neither is more likely an effect than a region.
        _ if word.starts_with(|c: char| c.is_alphabetic()) => Err(unknown_effect(word)),
        _ => Ok(RegionSet::of([region(word)?])),
    }
}

fn add(summary: Summary, set: Set, regions: &RegionSet) -> Summary {
    match set {
        Set::Reads => summary.reading(regions),
        Set::Writes => summary.writing(regions),
        Set::Touches => summary.touching(regions),
    }
}

fn unknown_effect(word: &str) -> PolicyError {
    if word == "all" || region(word).is_ok() {
        return PolicyError(format!("`{word}` follows no effect"));
    }
    PolicyError(format!(
        "unknown effect `{word}`; the effects are reads, writes, touches, traps and unwinds"
    ))
}
