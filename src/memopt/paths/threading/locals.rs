//! Branches on what was a local: some edge passes the constant that was stored on its path.
//!
//! ```text
//!     store 1, flag                          brif v0, block1, block3
//!     brif v0, block1, block2            block1:
//! block1:                                    call fn0(v1)
//!     store 0, flag                          jump block4
//!     call fn0(v1)               ==>     block3:
//!     jump block2                            call fn1(v1)
//! block2:                                    jump block4
//!     v2 = load flag
//!     brif v2, block3, block4
//! ```
//!
//! Front ends keep flags and tags in slots: whether a value has to be dropped, which variant a
//! result is. Once the slot is a value, memory has no part in the branch any more, but it is as worth
//! it as one that memory decides: the store and the load would have been there for the branch alone.

use super::chain::is_jump;
use crate::ir::{Block, Function, InstructionData, Value, ValueDef};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::inst::bits::number;

/// Operations between a branch and the parameter that it depends on.
const MAX_OPERATIONS: usize = 4;

/// Blocks between a branch and the join above it.
const MAX_BLOCKS: usize = 4;

/// Does a branch depend on a parameter of the join above it to which some edge passes a constant?
/// The header of a loop is none.
///
/// Cost: O(blocks + edges).
pub fn are_any(func: &Function, order: &Order, graph: &Graph) -> bool {
    let mut nodes = 0..graph.len() as Node;
    nodes.any(|node| {
        let branch = func.layout.last_inst(order.block(node));
        let condition = branch.and_then(|branch| super::condition(func, branch));
        let param = condition.and_then(|condition| param_behind(func, condition));
        param.is_some_and(|(join, param)| {
            order.node(join).is_some_and(|join| {
                leads_by_jumps(func, order, graph, join, node)
                    && is_passed_constant(func, order, graph, join, param)
            })
        })
    })
}

/// Does the join lead to `node` by jumps alone, and is it no header of a loop?
fn leads_by_jumps(func: &Function, order: &Order, graph: &Graph, join: Node, node: Node) -> bool {
    let mut at = node;
    for _ in 0..MAX_BLOCKS {
        if at == join {
            return graph.preds(join).iter().all(|pred| *pred < join);
        }
        match graph.preds(at) {
            [pred] if is_jump(func, order.block(*pred)) => at = *pred,
            _ => return false,
        }
    }
    false
}

/// The parameter that `value` is, or that operations with constants make it of, and its block.
fn param_behind(func: &Function, value: Value) -> Option<(Block, Value)> {
    let dfg = &func.dfg;
    let mut value = dfg.resolve_aliases(value);
    for _ in 0..=MAX_OPERATIONS {
        let operand = match dfg.value_def(value) {
            ValueDef::Param(block, _) => return Some((block, value)),
            ValueDef::Result(inst, _) => match dfg.insts[inst] {
                InstructionData::Unary { arg, .. } => arg,
                InstructionData::IntCompare { args, .. } | InstructionData::Binary { args, .. }
                    if number(dfg, args[1]).is_some() =>
                {
                    args[0]
                }
                _ => return None,
            },
            ValueDef::Union(..) => return None,
        };
        value = dfg.resolve_aliases(operand);
    }
    None
}

fn is_passed_constant(
    func: &Function,
    order: &Order,
    graph: &Graph,
    join: Node,
    param: Value,
) -> bool {
    let mut preds = graph.preds(join).iter();
    preds.any(|pred| {
        let edges = cfg_edit::edges(func, order.block(*pred), order.block(join));
        let mut passed = edges
            .iter()
            .filter_map(|edge| cfg_edit::passed(func, *edge, param));
        passed.any(|value| number(&func.dfg, value).is_some())
    })
}
