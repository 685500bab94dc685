//! Why something is left as it is, in words.

use super::{Outcome, Remark, words};
use crate::ir::{Function, Inst, Opcode};
use crate::memopt::refusal::{Obstacle, Refusal, Subject};
use alloc::format;
use alloc::string::{String, ToString};

/// The remark about what a pass has refused in `func`.
///
/// Of the functions in `known`, there is nothing more to tell.
pub fn remark(func: &Function, refusal: &Refusal, known: &[String]) -> Remark {
    let Refusal {
        pass,
        subject,
        obstacle,
    } = *refusal;
    let access = match subject {
        Subject::Inst(inst) => Some(inst),
        Subject::Slot(_) => None,
    };
    let subject = match subject {
        Subject::Inst(inst) => super::Subject::Inst(inst),
        Subject::Slot(slot) => super::Subject::Slot(slot),
    };
    let (reason, advice) = explain(func, access, obstacle, known);
    Remark {
        outcome: Outcome::Kept,
        pass,
        what: what(func, access, pass).to_string(),
        reason,
        blame: obstacle
            .inst()
            .into_iter()
            .map(|inst| words::blame(func, inst))
            .collect(),
        advice,
        ..words::about(func, subject)
    }
}

/// What was refused: a store may be kept by the pass for dead stores, and be no no-op to the
/// one for redundant accesses.
fn what(func: &Function, access: Option<Inst>, pass: &str) -> &'static str {
    let is_store = access.is_some_and(|inst| func.dfg.insts[inst].opcode().can_store());
    match is_store && pass == "load-store" {
        true => "not redundant",
        false => "kept",
    }
}

/// Does it say of a store that it is not redundant where nobody would think so: memory held
/// something else, or nothing that the function knows of?
pub fn is_idle(func: &Function, refusal: &Refusal) -> bool {
    let Subject::Inst(inst) = refusal.subject else {
        return false;
    };
    let nothing = matches!(
        refusal.obstacle,
        Obstacle::NotWritten | Obstacle::NothingToLearn | Obstacle::OtherValue
    );
    nothing && func.dfg.insts[inst].opcode().can_store() && refusal.pass == "load-store"
}

/// Adds those who see what a store writes on other paths.
pub fn and_others(func: &Function, remark: &mut Remark, others: &[Inst]) {
    let names = words::list(others.iter().map(|inst| words::inst(func, *inst)));
    remark.reason += &match remark.reason.contains(" may read ") {
        true => format!(", and so may {names}"),
        // The reason is an end of the function.
        false => format!(", and {names} may read it"),
    };
    let blame = others.iter().map(|inst| words::blame(func, *inst));
    remark.blame.extend(blame);
}

/// Why, and what could be told to have it otherwise.
fn explain(
    func: &Function,
    access: Option<Inst>,
    obstacle: Obstacle,
    known: &[String],
) -> (String, Option<String>) {
    let memory = || access.map_or_else(|| "it".to_string(), |inst| words::memory(func, inst));
    let plain = |reason: &str| (reason.to_string(), None);
    match obstacle {
        Obstacle::MayTrap => (
            "it may trap, and a trap is observed".to_string(),
            Some("flag it `notrap` if its address is always valid".to_string()),
        ),
        Obstacle::Asynchronous => (
            format!(
                "the policy says that the world accesses {} at any time",
                memory()
            ),
            None,
        ),
        Obstacle::UnknownPlace => {
            plain("how many bytes it accesses, or at which distance from its base, is not known")
        }
        Obstacle::PublicSlot(slot) => (
            format!(
                "the outside can see {slot}: by its key, by a debug tag, or by an access that \
                 leaves its slot"
            ),
            None,
        ),
        Obstacle::SeenBy(inst) => (seen(func, access, inst), advice(func, access, inst, known)),
        Obstacle::MayEndAt(inst) => ends(func, access, inst),
        Obstacle::SeenOnSomePath => plain("somebody may see what it writes on some path"),
        Obstacle::OtherForm(inst) => (
            format!(
                "{} has written the bytes, in another size, order or form",
                words::inst(func, inst)
            ),
            None,
        ),
        Obstacle::ClobberedBy(inst) => (
            format!("{} may write {}", words::inst(func, inst), memory()),
            advice(func, access, inst, known),
        ),
        Obstacle::NotWritten => {
            plain("nothing has accessed the bytes before, since the function began")
        }
        Obstacle::DependsOnPath(block) => (
            format!("what memory holds at {block} depends on the path, and one has no name for it"),
            None,
        ),
        Obstacle::AddressChanges => {
            plain("its address may mean another place in the next iteration of the loop")
        }
        Obstacle::OtherValue => plain("memory may hold another value"),
        Obstacle::NothingToLearn => plain("nothing else in the function accesses the bytes"),
        Obstacle::Unreachable => plain("no path leads to it"),
        Obstacle::CannotPass(inst) => (
            format!("it cannot pass {}", words::inst(func, inst)),
            advice(func, access, inst, known),
        ),
        Obstacle::NamedBy(inst) => (format!("{} names it", words::inst(func, inst)), None),
        Obstacle::NoGain => plain("no path that does without it is worth the move"),
        Obstacle::Limit(name) => (format!("the limit {name} has ended the search"), None),
    }
}

/// Who sees what a store writes.
fn seen(func: &Function, access: Option<Inst>, inst: Inst) -> String {
    let opcode = func.dfg.insts[inst].opcode();
    let memory = access.map_or_else(|| "it".to_string(), |inst| words::memory(func, inst));
    let at = words::inst(func, inst);
    match opcode {
        _ if opcode.is_return() => format!("{memory} outlives the function, which ends with {at}"),
        _ if opcode.is_call() => format!("{at} may read {memory}"),
        Opcode::Fence => format!("{at} lets other threads see {memory}"),
        _ if words::ends(opcode) => format!("{at} ends the function, and {memory} survives that"),
        _ if opcode.can_load() => format!("{at} may read {memory}"),
        _ => format!("{at} may see {memory}"),
    }
}

/// Where the function may end, in view of what a store writes.
fn ends(func: &Function, access: Option<Inst>, inst: Inst) -> (String, Option<String>) {
    let memory = access.map_or_else(|| "it".to_string(), |inst| words::memory(func, inst));
    let at = words::inst(func, inst);
    let may = match func.dfg.insts[inst].opcode().is_call() {
        true => "may trap or unwind",
        false => "may trap",
    };
    let reason = format!("{at} {may}, and {memory} outlives that");
    let advice = match words::region(func, access) {
        Some(region) => format!("tell the policy if region {region} is lost at a trap"),
        None => "it has no alias region: tag it".to_string(),
    };
    (reason, Some(advice))
}

/// What the embedder could tell about the instruction that is to blame.
fn advice(func: &Function, access: Option<Inst>, inst: Inst, known: &[String]) -> Option<String> {
    let opcode = func.dfg.insts[inst].opcode();
    if access.is_some_and(|access| words::is_untagged(func, access)) {
        return Some("it has no alias region: tag it".to_string());
    }
    if words::is_untagged(func, inst) {
        return Some(format!("{inst} has no alias region: tag it"));
    }
    match words::callee(func, inst) {
        Some(callee) if !known.contains(&callee) => Some(format!(
            "define {callee} in the same batch, or tell the policy what it does"
        )),
        Some(_) => None,
        None if opcode.is_call() => {
            Some("tell the policy what a function does whose address comes from there".to_string())
        }
        None => None,
    }
}
