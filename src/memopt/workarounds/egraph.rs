//! Upstream's egraph pass, once more over a function that the passes have changed.
//!
//! It is run only where it does nothing but what is right: not where
//! [`defects`] says that it goes wrong, not where memory is
//! accessed that the world writes at any time, which to upstream is memory like any
//! other, and with the regions of the function put aside where they would mislead it
//! ([`one_region`](super::one_region)).

use super::defects;
use super::one_region::Tags;
use crate::control::ControlPlane;
use crate::ir::{Function, Inst, InstructionData, Opcode};
use crate::isa::TargetIsa;
use crate::memopt::call::effects::{Policy, is_asynchronous};
use crate::memopt::inst::effect::{Touch, any_inst, effect};
use crate::{CodegenResult, Context};

/// Runs the pass, unless it may go wrong; has it run?
///
/// Graph and dominator tree are those of the function, before and afterwards; it may have aliases
/// afterwards.
///
/// # Errors
///
/// What the pass says.
pub fn run_again(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &dyn Policy,
) -> CodegenResult<bool> {
    if may_go_wrong(&ctx.func, policy) {
        return Ok(false);
    }
    let Ok(tags) = Tags::try_take(&mut ctx.func, policy) else {
        return Ok(false);
    };
    ctx.egraph_pass(isa, &mut ControlPlane::default())?;
    if let Some(tags) = tags {
        tags.put_back(&mut ctx.func);
    }
    forget_removed_branches(&mut ctx.func);
    Ok(true)
}

/// May the pass do something to `func` that is not right, if the passes have made values of
/// what was memory?
fn may_go_wrong(func: &Function, policy: &dyn Policy) -> bool {
    accesses_asynchronous(func, policy) || defects::concern(func)
}

/// The same, if no instruction of `func` accesses memory otherwise than plainly or by a call. That
/// is left to [`defects::concern`], if somebody finds that one may.
pub fn may_go_wrong_over_plain(func: &Function, policy: &dyn Policy) -> bool {
    accesses_asynchronous(func, policy) || defects::concern_values(func)
}

/// Is there an access that has to be done exactly as it is written?
fn accesses_asynchronous(func: &Function, policy: &dyn Policy) -> bool {
    policy.has_asynchronous_memory()
        && any_inst(func, |inst| {
            let effect = effect(func, inst);
            let touched = [effect.reads(), effect.writes()];
            let mut places = touched.into_iter().filter_map(Touch::place);
            places.any(|place| {
                let id = place
                    .region
                    .map(|region| func.dfg.alias_regions[region].user_id);
                is_asynchronous(policy, id)
            })
        })
}

/// Empties the branches that are no longer in the layout.
///
/// The egraph pass replaces a branch by a copy, and both have one list of
/// arguments. Whoever adds an argument to the one in the layout may free that
/// list, and `resolve_all_aliases`, which visits every instruction there ever
/// was, would trip over the other.
pub fn forget_removed_branches(func: &mut Function) {
    for index in 0..func.dfg.num_insts() {
        let inst = Inst::from_u32(index as u32);
        if func.dfg.insts[inst].opcode().is_branch() && func.layout.inst_block(inst).is_none() {
            func.dfg.insts[inst] = InstructionData::NullAry {
                opcode: Opcode::Nop,
            };
        }
    }
}
