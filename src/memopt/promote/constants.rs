//! Parameters that are the same constant on all paths.
//!
//! A flag that is set in several places has a constant of its own in each, so that a join
//! passes different values that are equal. Neither Cranelift's removal of constant parameters nor
//! its egraph pass compares what blocks pass. Here it is known for all
//! parameters of a field at once:
//!
//! ```text
//!      Unseen          nothing has been passed yet
//!     /   |   \
//!  Is(0) Is(1) …       this constant on all paths that were looked at
//!     \   |   /
//!      Varies          different values, or one that is no constant
//! ```
//!
//! Parameters begin as `Unseen`, so that a loop that changes nothing keeps its constant.
//!
//! Cost: O(arguments), because a parameter falls at most twice.

use super::fields::FieldValue;
use super::reaching::Reached;
use crate::ir::{Function, InstructionData, Value};
use crate::memopt::edit::{Constant, Content, FieldStep};
use crate::memopt::inst::bits::number;
use alloc::vec;
use alloc::vec::Vec;

/// What a parameter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Passed {
    #[default]
    Unseen,
    Is(Constant),
    Varies,
}

impl Passed {
    fn meet(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unseen, it) | (it, Self::Unseen) => it,
            (Self::Is(a), Self::Is(b)) if a == b => self,
            (Self::Is(_) | Self::Varies, Self::Is(_) | Self::Varies) => Self::Varies,
        }
    }
}

/// `reached` of a field without the parameters that are constants.
pub fn removed(func: &Function, field: &FieldValue, reached: Reached) -> Reached {
    if reached.params.is_empty() {
        return reached;
    }
    let args = reached.args.iter();
    let args = args.map(|(_, param, content)| (*param, *content));
    let known = of_params(reached.params.len(), args, |access| {
        match &field.steps[access as usize].1 {
            FieldStep::Store(stored, recipe) if recipe.is_empty() => of_value(func, *stored),
            FieldStep::Store(..) | FieldStep::Load(_) | FieldStep::StorePart { .. } => None,
        }
    });
    if known.iter().all(Option::is_none) {
        return reached;
    }
    // The others keep their order.
    let mut left = 0;
    let numbers: Vec<u32> = known
        .iter()
        .map(|it| {
            left += u32::from(it.is_none());
            left.saturating_sub(1)
        })
        .collect();
    let renamed = |content: Content| match content {
        Content::Param(param) => match known[param as usize] {
            Some(constant) => Content::Constant(constant),
            None => Content::Param(numbers[param as usize]),
        },
        Content::Unwritten | Content::Constant(_) | Content::Store(_) => content,
    };
    let Reached {
        before,
        params,
        args,
    } = reached;
    let is_param = |param: u32| known[param as usize].is_none();
    Reached {
        before: before.into_iter().map(renamed).collect(),
        params: (0..)
            .zip(params)
            .filter_map(|(param, node)| is_param(param).then_some(node))
            .collect(),
        args: args
            .into_iter()
            .filter(|(_, param, _)| is_param(*param))
            .map(|(pred, param, content)| (pred, numbers[param as usize], renamed(content)))
            .collect(),
    }
}

/// The constant that each of `params` parameters is, if it is one. `args` are what they are
/// passed: parameter and content. `stored` gives the constant that an access stores.
fn of_params(
    params: usize,
    args: impl Iterator<Item = (u32, Content)> + Clone,
    stored: impl Fn(u32) -> Option<Constant>,
) -> Vec<Option<Constant>> {
    let mut passed = vec![Passed::Unseen; params];
    for (param, content) in args.clone() {
        let it = match content {
            Content::Unwritten => Passed::Is(Constant::ZERO),
            Content::Constant(constant) => Passed::Is(constant),
            Content::Store(access) => stored(access).map_or(Passed::Varies, Passed::Is),
            Content::Param(_) => continue,
        };
        passed[param as usize] = passed[param as usize].meet(it);
    }
    // Most vary at once, and then nobody asks who passes them on.
    if passed.iter().all(|it| *it == Passed::Varies) {
        return vec![None; params];
    }
    // Who is passed each parameter.
    let mut users: Vec<Vec<u32>> = vec![Vec::new(); params];
    for (param, content) in args {
        if let Content::Param(other) = content {
            users[other as usize].push(param);
        }
    }
    let is_seen = |param: &u32| passed[*param as usize] != Passed::Unseen;
    let mut work: Vec<u32> = (0..params as u32).filter(is_seen).collect();
    while let Some(param) = work.pop() {
        for user in &users[param as usize] {
            let met = passed[*user as usize].meet(passed[param as usize]);
            if met != passed[*user as usize] {
                passed[*user as usize] = met;
                work.push(*user);
            }
        }
    }
    let constants = passed.into_iter().map(|it| match it {
        Passed::Is(constant) => Some(constant),
        Passed::Unseen | Passed::Varies => None,
    });
    constants.collect()
}

/// The bits of `value`, if it is a constant of at most 64 bits.
fn of_value(func: &Function, value: Value) -> Option<Constant> {
    let inst = func.dfg.value_def(value).inst()?;
    let bits = match func.dfg.insts[inst] {
        InstructionData::UnaryIeee32 { imm, .. } => imm.bits().into(),
        InstructionData::UnaryIeee64 { imm, .. } => imm.bits(),
        _ => number(&func.dfg, value)?,
    };
    Some(Constant(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constants(params: usize, args: &[(u32, Content)]) -> Vec<Option<Constant>> {
        of_params(params, args.iter().copied(), |access| {
            // Accesses store their own numbers, but for the last one.
            (access != 9).then_some(Constant(access.into()))
        })
    }

    #[test]
    fn a_loop_that_changes_nothing_keeps_its_constant() {
        use Content::{Param, Store};
        let args = [(0, Store(3)), (0, Param(1)), (1, Param(0)), (1, Store(3))];
        assert_eq!(constants(2, &args), [Some(Constant(3)); 2]);
        let args = [(0, Store(3)), (0, Param(1)), (1, Param(0)), (1, Store(4))];
        assert_eq!(constants(2, &args), [None; 2]);
    }

    #[test]
    fn what_nobody_has_written_is_zero() {
        use Content::{Store, Unwritten};
        let args = [(0, Unwritten), (0, Store(0))];
        assert_eq!(constants(1, &args), [Some(Constant::ZERO)]);
        assert_eq!(constants(1, &[(0, Unwritten), (0, Store(9))]), [None]);
    }

    #[test]
    fn meet_is_commutative_associative_and_idempotent() {
        let all = [
            Passed::Unseen,
            Passed::Is(Constant(0)),
            Passed::Is(Constant(1)),
            Passed::Varies,
        ];
        for a in all {
            assert_eq!(a.meet(a), a);
            for b in all {
                assert_eq!(a.meet(b), b.meet(a));
                for c in all {
                    assert_eq!(a.meet(b).meet(c), a.meet(b.meet(c)));
                }
            }
        }
    }
}
