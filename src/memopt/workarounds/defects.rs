//! What is known to go wrong in upstream's egraph pass, version by version.
//!
//! # The problem
//!
//! A forwarded load can make `x ^ x`, an atomic store of what the one before it has
//! stored, or two atomic loads in a loop that upstream takes for one. The function has
//! none of them in its source, and upstream alone compiles it as it should. But where
//! our passes have made them, the egraph pass that we cause to run once more panics on
//! the first and removes one of the others, each of which is an event:
//!
//! ```text
//! atomic_store v1, v0                atomic_store v1, v0
//! v2 = load ss0        ; it is v1
//! atomic_store v2, v0          ==/==>
//! ```
//!
//! # The remedy
//!
//! [`DEFECTS`] lists each defect, the first version that has it no more, and what a
//! function has to have for it to matter. The pass is not run again over a function that has
//! any of it, made by us or not. What is given up is what the egraph pass
//! would do with values that were forwarded into operations of that function.
//! `docs/upstream-findings.md` has a minimal input for each.
//!
//! # Cost
//!
//! One scan, and only where the pass would run.

use crate::ir::{Function, Inst, InstructionData, Opcode, Type, Value, types};
use crate::memopt::inst::effect::{Barrier, Effect, Touch, any_inst, effect, is_common_value};
use smallvec::SmallVec;

/// One defect of upstream's egraph pass.
struct Defect {
    /// The first version of cranelift-codegen, `(0, minor)`, without it; `None` if every
    /// version that was looked at has it.
    mended: Option<(u32, u32)>,
    /// Can the function have such an instruction, by a cheaper test?
    may_concern: fn(&Function) -> bool,
    /// Is it about accesses alone that are not plain?
    of_accesses: bool,
    /// May the pass have this defect at this instruction?
    concerns: Concerns,
}

/// Is an instruction one that matters?
type Concerns = fn(&Function, Inst) -> bool;

/// All that are known, but for those that [`one_region`](super::one_region) guards
/// against.
const DEFECTS: &[Defect] = &[
    // An atomic store that repeats the one before it goes.
    Defect {
        mended: None,
        may_concern: |_| true,
        of_accesses: true,
        concerns: is_atomic_store,
    },
    // An atomic load in a loop is served what the one before it found, because the mark of
    // paths that meet there looks like one.
    Defect {
        mended: Some((0, 136)),
        may_concern: |_| true,
        of_accesses: true,
        concerns: is_atomic_load,
    },
    // The rules make a constant of a type for which there is none. Since 0.136 every type
    // has a zero, and comparisons of short vectors have no result that is always true.
    Defect {
        mended: None,
        may_concern: has_values_without_constants,
        of_accesses: false,
        concerns: computes_without_constants,
    },
];

/// Is the egraph pass known to be wrong, or to panic, on functions like `func`?
pub fn concern(func: &Function) -> bool {
    any_concerns(func, |_| true)
}

/// The same, if no instruction of `func` accesses memory otherwise than plainly or by a call.
pub fn concern_values(func: &Function) -> bool {
    any_concerns(func, |defect| !defect.of_accesses)
}

/// Is the pass known to be wrong because of one of the defects that are `asked` about?
fn any_concerns(func: &Function, asked: fn(&Defect) -> bool) -> bool {
    let version = version(crate::VERSION);
    let defects = DEFECTS.iter().filter(|defect| defect.is_in(version));
    let defects: SmallVec<[&Defect; DEFECTS.len()]> = defects
        .filter(|defect| asked(defect) && (defect.may_concern)(func))
        .collect();
    if defects.is_empty() {
        return false;
    }
    let of_accesses = defects.iter().all(|defect| defect.of_accesses);
    // Those that are no longer in the layout as well: to pass them over costs more.
    let mut all = (0..func.dfg.num_insts() as u32).map(Inst::from_u32);
    if of_accesses && all.all(|inst| is_plain(func, inst)) {
        return false;
    }
    any_inst(func, |inst| {
        // Most instructions are told from such accesses by their format.
        !(of_accesses && is_plain(func, inst))
            && defects.iter().any(|defect| (defect.concerns)(func, inst))
    })
}

impl Defect {
    /// Has this version the defect? One that is not understood has them all.
    fn is_in(&self, version: Option<(u32, u32)>) -> bool {
        match (self.mended, version) {
            (Some(mended), Some(version)) => version < mended,
            _ => true,
        }
    }
}

/// Major and minor of a version as Cargo writes it.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What accesses no memory, or accesses it plainly, is told by its format.
pub fn is_plain(func: &Function, inst: Inst) -> bool {
    let data = &func.dfg.insts[inst];
    if let InstructionData::Load { .. } | InstructionData::Store { .. } = data {
        return true;
    }
    let opcode = data.opcode();
    is_common_value(opcode)
        || !(opcode.can_load() || opcode.can_store() || opcode.other_side_effects())
}

/// An atomic access that stores.
fn is_atomic_store(func: &Function, inst: Inst) -> bool {
    barrier(func, inst).is_some_and(|barrier| barrier.writes != Touch::Nothing)
}

/// An atomic access that loads.
fn is_atomic_load(func: &Function, inst: Inst) -> bool {
    barrier(func, inst).is_some_and(|barrier| barrier.reads != Touch::Nothing)
}

fn barrier(func: &Function, inst: Inst) -> Option<Barrier> {
    match effect(func, inst) {
        Effect::Barrier(barrier) => Some(barrier),
        Effect::None
        | Effect::Access(_)
        | Effect::Call
        | Effect::Transfer(_)
        | Effect::Trap
        | Effect::End => None,
    }
}

/// Is there a value of a type that has no constants in the rules?
fn has_values_without_constants(func: &Function) -> bool {
    // Aliases as well: they have the types of what they stand for, and to pass them over costs more.
    let mut values = (0..func.dfg.num_values() as u32).map(Value::from_u32);
    values.any(|value| !has_constants(func.dfg.value_type(value)))
}

/// Does `inst` compute with a type that has no constants in the rules, so that a rule
/// that finds its result to be one panics?
fn computes_without_constants(func: &Function, inst: Inst) -> bool {
    let dfg = &func.dfg;
    let mut values = dfg.inst_args(inst).iter().chain(dfg.inst_results(inst));
    // Cheaper to tell than what the instruction does, and rarer.
    if values.all(|value| has_constants(dfg.value_type(*value))) {
        return false;
    }
    let opcode = dfg.insts[inst].opcode();
    match effect(func, inst) {
        Effect::None => !opcode.is_branch() && !is_constant_or_copy(opcode),
        // Divisions.
        Effect::Trap => true,
        Effect::Access(_)
        | Effect::Call
        | Effect::Transfer(_)
        | Effect::Barrier(_)
        | Effect::End => false,
    }
}

/// No rule makes anything else of these than one of the same.
fn is_constant_or_copy(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::F16const | Opcode::F128const | Opcode::Vconst | Opcode::Bitcast | Opcode::Nop
    )
}

/// Have all terms of the rules that make constants, `all_zero`, `iconst_u` and their
/// kin, a rule for this type? Those that a vector is made of by `splat` have to have
/// one for its lanes.
fn has_constants(ty: Type) -> bool {
    let scalar = |ty: Type| ty.is_int() || ty == types::F32 || ty == types::F64;
    if ty.is_vector() {
        ty.bits() == 128 && scalar(ty.lane_type())
    } else {
        scalar(ty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        assert_eq!(version("0.135.8"), Some((0, 135)));
        assert!(version("0.99.0") < version("0.135.8"));
        assert_eq!(version("next"), None);
    }

    #[test]
    fn a_defect_ends_with_the_version_that_mends_it() {
        let in_version = |text| {
            let of_version = DEFECTS.iter().filter(|it| it.is_in(version(text)));
            of_version.count()
        };
        assert_eq!(in_version("0.135.8"), 3);
        assert_eq!(in_version("0.136.0"), 2);
        assert_eq!(in_version("0.137.1"), 2);
        assert_eq!(in_version("next"), 3);
    }

    #[test]
    fn scalars_and_full_vectors_of_them_have_constants() {
        let with = [
            types::I8,
            types::I128,
            types::F64,
            types::I8X16,
            types::F32X4,
        ];
        assert!(with.into_iter().all(has_constants));
        let without = [
            types::F16,
            types::F128,
            types::I16X4,
            types::F16X8,
            types::I8X2,
            types::F32X2,
        ];
        assert!(!without.into_iter().any(has_constants));
    }
}
