//! Whether a function is looked at at all.
//!
//! Most functions of real programs hold nothing that the passes are for, and one
//! scan of their layout already costs a third of a percent of a compile. So the
//! question is answered from what a function declares: its stack slots and its
//! interned alias regions.
//!
//! Cost: O(stack slots + alias regions). With the other efforts a
//! function without slots is scanned up to its first access.

use crate::ir::Function;
use crate::isa::TargetIsa;
use crate::memopt::call::effects::Policy;
use crate::memopt::inst::effect::any_inst;
use crate::memopt::inst::transfer::Transfer;
use crate::memopt::options::{Effort, Options};
use crate::memopt::stats::Skipped;
use crate::settings::OptLevel;

/// Why a run does not look at `func`; `None` if it does.
///
/// Cost: O(slots + regions), and no allocation.
#[inline]
pub fn skipped(
    func: &Function,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
    options: &Options,
) -> Option<Skipped> {
    if isa.flags().opt_level() == OptLevel::None {
        return Some(Skipped::ByOptLevel);
    }
    (!is_open(func, policy, options.effort)).then_some(Skipped::ByEffort)
}

/// Can `func` hold what the passes look for at this effort? It allocates nothing.
#[inline]
pub fn is_open(func: &Function, policy: &dyn Policy, effort: Effort) -> bool {
    let has_body = func.layout.entry_block().is_some();
    has_body
        && match effort {
            Effort::Gated => declares_slot(func) || names_transient_region(func, policy),
            Effort::Full | Effort::Max => declares_slot(func) || accesses_memory(func),
        }
}

/// Is there anything left of what [opens the gate](is_open) at this effort? Promotion before the
/// mid-end may have made values of all of it.
pub fn is_left(func: &Function, policy: &dyn Policy, effort: Effort) -> bool {
    has_slot(func)
        || match effort {
            Effort::Gated => names_transient_region(func, policy),
            Effort::Full | Effort::Max => accesses_memory(func),
        }
}

/// Is there a slot that nobody outside can name by a key? It may have been freed before the
/// mid-end, and values are left that only fed it.
fn declares_slot(func: &Function) -> bool {
    let mut slots = func.sized_stack_slots.values();
    slots.any(|slot| slot.key.is_none())
}

/// Is there a slot that has been freed? What was kept in it may be values now.
///
/// Cost: O(slots).
pub fn has_freed_slot(func: &Function) -> bool {
    let mut slots = func.sized_stack_slots.values();
    slots.any(|slot| slot.size == 0 && slot.key.is_none())
}

/// Is there a slot that takes space, and that nobody outside can name by a key?
pub fn has_slot(func: &Function) -> bool {
    let mut slots = func.sized_stack_slots.values();
    slots.any(|slot| slot.size != 0 && slot.key.is_none())
}

/// Do the accesses of `func` carry a region that is worth the look by the policy?
fn names_transient_region(func: &Function, policy: &dyn Policy) -> bool {
    policy.names_transient(&func.dfg.alias_regions)
}

/// Is there a slot, or an access of memory by the function itself? Without, gated effort has
/// nothing to look at any more.
///
/// Cost: O(instructions up to the first access).
pub fn holds_memory(func: &Function) -> bool {
    has_slot(func) || accesses_memory(func)
}

fn accesses_memory(func: &Function) -> bool {
    any_inst(func, |inst| {
        let opcode = func.dfg.insts[inst].opcode();
        opcode.can_load() || opcode.can_store() || Transfer::of(func, inst).is_some()
    })
}
