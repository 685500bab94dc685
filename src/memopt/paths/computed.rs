//! What has to be computed anew where a load goes: the mid-end computes a sum with a constant in
//! each block that needs it, also in loops of which it is invariant.

use crate::ir::{Function, Inst, Value};
use crate::memopt::memory::numbering::is_pure;
use smallvec::SmallVec;

/// Instructions that compute the address of one load, and go with it.
///
/// A sum with a constant is one, and the constant another. What is given up is a load by a longer one.
pub const MAX_COMPUTED: usize = 4;

/// Pure instructions, each behind its operands.
pub type Computed = SmallVec<[Inst; MAX_COMPUTED]>;

/// Can a value that goes into an address be had where the load goes?
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It is there.
    There,
    /// It has to be computed there.
    Computed,
    /// Neither.
    Missing,
}

/// What computes the operands of `load` from what is there; `None` if something is missing, is no
/// pure operation, or there is too much of it.
///
/// Cost: O([`MAX_COMPUTED`]).
pub fn computed(func: &Function, load: Inst, part: impl Fn(Value) -> Part) -> Option<Computed> {
    let mut computed = Computed::new();
    let mut work: SmallVec<[(Inst, bool); 8]> = SmallVec::new();
    work.push((load, false));
    while let Some((inst, is_done)) = work.pop() {
        if computed.contains(&inst) {
            continue;
        }
        if is_done {
            if computed.len() == MAX_COMPUTED {
                return None;
            }
            computed.push(inst);
            continue;
        }
        if inst != load {
            work.push((inst, true));
        }
        for value in func.dfg.inst_args(inst) {
            let value = func.dfg.resolve_aliases(*value);
            match part(value) {
                Part::There => continue,
                Part::Computed => {}
                Part::Missing => return None,
            }
            let operation = func.dfg.value_def(value).inst()?;
            let is_pure = is_pure(func.dfg.insts[operation].opcode());
            if !is_pure || work.len() > 2 * MAX_COMPUTED {
                return None;
            }
            work.push((operation, false));
        }
    }
    Some(computed)
}
