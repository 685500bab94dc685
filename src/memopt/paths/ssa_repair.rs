//! Static single assignment, made whole again after code was copied.
//!
//! A value that had one definition and has copies of it now reaches some uses
//! by several paths. Each use gets the definition that comes last; where
//! different ones meet, at the iterated dominance frontier of the definitions,
//! the block takes a parameter if the value is live there (pruned SSA, Cytron
//! et al. 1991).
//!
//! What is computed from nothing, a constant or the address of a slot, is computed again in the blocks
//! that use it. Not only is that cheaper: an access that leaves its slot is told by the constant that is
//! added to the slot's address, and a parameter does not tell.

use crate::entity::SecondaryMap;
use crate::ir::{Block, Function, Inst, InstructionData, Value, ValueDef};
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::passes::uses::for_each_use;
use crate::{FxHashMap, FxHashSet};
use alloc::vec::Vec;

/// A value, and its copies in other blocks.
#[derive(Debug)]
pub struct Broken {
    /// The value; its block may be unreachable by now.
    pub value: Value,
    /// The block in which it is defined.
    pub block: Block,
    /// Copies, and the blocks in which they are. Neither those nor `block`
    /// need anything repaired inside.
    pub copies: Vec<(Block, Value)>,
}

impl Broken {
    /// `value`, of which `copy` in `copy_block` is one copy; `None` if its
    /// definition is in no block.
    pub fn new(func: &Function, value: Value, copy_block: Block, copy: Value) -> Option<Self> {
        let block = match func.dfg.value_def(value) {
            ValueDef::Result(inst, _) => func.layout.inst_block(inst)?,
            ValueDef::Param(block, _) => block,
            ValueDef::Union(..) => return None,
        };
        Some(Self {
            value,
            block,
            copies: alloc::vec![(copy_block, copy)],
        })
    }
}

/// Gives every use of `broken` the definition that reaches it.
///
/// `order`, `graph` and `dominance` are those of `func` as it is now. Every path
/// to a use has to pass a definition.
///
/// Cost: O(instructions), and for each value its live range and the frontiers
/// of its definitions.
pub fn repair(
    func: &mut Function,
    order: &Order,
    graph: &Graph,
    dominance: &Dominance,
    mut broken: Vec<Broken>,
) {
    define_copies(func, order, graph, &mut broken);
    let uses = uses_of(func, order, &broken);
    for (broken, uses) in broken.iter().zip(uses) {
        let mut repair = Repair {
            order,
            graph,
            dominance,
            defs: FxHashMap::default(),
        };
        repair.define(broken);
        let users: Vec<(Inst, Node)> = uses
            .into_iter()
            .filter_map(|inst| Some((inst, order.node(func.layout.inst_block(inst)?)?)))
            .filter(|(_, node)| !repair.defs.contains_key(node))
            .collect();
        if let Some(inst) = from_nothing(func, broken.value) {
            compute_again(func, order, inst, &users);
            continue;
        }
        let live = repair.live(users.iter().map(|(_, node)| *node));
        let params = repair.place_params(func, &live, broken.value);
        for node in params {
            for pred in graph.preds(node) {
                let value = repair.at_end(*pred);
                cfg_edit::pass(func, order.block(*pred), order.block(node), value);
            }
        }
        for (inst, node) in users {
            let value = repair.at_end(node);
            func.dfg
                .map_inst_values(inst, |used| if used == broken.value { value } else { used });
        }
    }
}

/// The instruction that computes `value`, if it has no operands and is pure.
fn from_nothing(func: &Function, value: Value) -> Option<Inst> {
    let inst = func.dfg.value_def(value).inst()?;
    let is_from_nothing = matches!(
        func.dfg.insts[inst],
        InstructionData::UnaryImm { .. }
            | InstructionData::UnaryIeee32 { .. }
            | InstructionData::UnaryIeee64 { .. }
            | InstructionData::UnaryConst { .. }
            | InstructionData::StackAddr { .. }
    );
    is_from_nothing.then_some(inst)
}

/// Computes what `inst` does at the start of each block of `users`, for the uses there.
fn compute_again(func: &mut Function, order: &Order, inst: Inst, users: &[(Inst, Node)]) {
    let value = func.dfg.first_result(inst);
    let mut last: Option<(Node, Value)> = None;
    for (user, node) in users {
        let copy = match last {
            Some((at, copy)) if at == *node => copy,
            _ => {
                let copy = func.dfg.clone_inst(inst);
                let block = order.block(*node);
                if let Some(first) = func.layout.first_inst(block) {
                    func.layout.insert_inst(copy, first);
                }
                func.dfg.first_result(copy)
            }
        };
        last = Some((*node, copy));
        func.dfg
            .map_inst_values(*user, |used| if used == value { copy } else { used });
    }
}

/// Gives a copy that is a broken value itself a definition of its own: a
/// parameter of the block that has it.
///
/// That is a parameter of a block that was copied behind another one, which
/// passes it such a value. What it is further down need not be what it was here.
fn define_copies(func: &mut Function, order: &Order, graph: &Graph, broken: &mut [Broken]) {
    let numbers = broken.iter().enumerate();
    let numbers: FxHashMap<Value, usize> = numbers.map(|(at, one)| (one.value, at)).collect();
    let mut params: Vec<(Node, usize)> = Vec::new();
    let mut known: FxHashMap<(Block, Value), Value> = FxHashMap::default();
    for (block, copy) in broken.iter_mut().flat_map(|one| &mut one.copies) {
        let (Some(number), Some(node)) = (numbers.get(copy), order.node(*block)) else {
            continue;
        };
        let ty = func.dfg.value_type(*copy);
        *copy = *known.entry((*block, *copy)).or_insert_with(|| {
            params.push((node, *number));
            func.dfg.append_block_param(*block, ty)
        });
    }
    for (node, number) in params {
        let Broken { value, copies, .. } = &broken[number];
        for pred in graph.preds(node) {
            let pred = order.block(*pred);
            let copy = copies.iter().find(|(block, _)| *block == pred);
            let passed = copy.map_or(*value, |(_, copy)| *copy);
            cfg_edit::pass(func, pred, order.block(node), passed);
        }
    }
}

/// The instructions that use each broken value, in their order.
fn uses_of(func: &Function, order: &Order, broken: &[Broken]) -> Vec<Vec<Inst>> {
    let mut numbers: SecondaryMap<Value, Option<u32>> = SecondaryMap::new();
    for (number, broken) in broken.iter().enumerate() {
        numbers[broken.value] = Some(number as u32);
    }
    let mut uses = alloc::vec![Vec::new(); broken.len()];
    for block in order.blocks() {
        for inst in func.layout.block_insts(*block) {
            for_each_use(func, inst, |value, _| {
                let Some(number) = numbers[value] else {
                    return;
                };
                let users = &mut uses[number as usize];
                if users.last() != Some(&inst) {
                    users.push(inst);
                }
            });
        }
    }
    uses
}

/// The repair of one value.
struct Repair<'a> {
    order: &'a Order,
    graph: &'a Graph,
    dominance: &'a Dominance,
    /// The definition that holds at the end of a node that has one.
    defs: FxHashMap<Node, Value>,
}

impl Repair<'_> {
    fn define(&mut self, broken: &Broken) {
        let copies = broken.copies.iter().copied();
        for (block, value) in copies.chain([(broken.block, broken.value)]) {
            if let Some(node) = self.order.node(block) {
                self.defs.insert(node, value);
            }
        }
    }

    /// The nodes at whose start the value is live, for uses in `users`.
    fn live(&self, users: impl Iterator<Item = Node>) -> FxHashSet<Node> {
        let mut live = FxHashSet::default();
        let mut work: Vec<Node> = users.collect();
        while let Some(node) = work.pop() {
            if live.insert(node) {
                let preds = self.graph.preds(node).iter().copied();
                work.extend(preds.filter(|pred| !self.defs.contains_key(pred)));
            }
        }
        live
    }

    /// Appends a parameter wherever definitions meet and the value is live.
    fn place_params(
        &mut self,
        func: &mut Function,
        live: &FxHashSet<Node>,
        value: Value,
    ) -> Vec<Node> {
        let ty = func.dfg.value_type(value);
        let mut work: Vec<Node> = self.defs.keys().copied().collect();
        work.sort_unstable();
        let mut placed = Vec::new();
        while let Some(node) = work.pop() {
            for join in self.dominance.frontier(node) {
                if live.contains(join) && !self.defs.contains_key(join) {
                    let param = func.dfg.append_block_param(self.order.block(*join), ty);
                    self.defs.insert(*join, param);
                    placed.push(*join);
                    work.push(*join);
                }
            }
        }
        placed
    }

    /// The definition that reaches the end of `node`, which has to be live
    /// there.
    fn at_end(&self, mut node: Node) -> Value {
        loop {
            if let Some(value) = self.defs.get(&node) {
                return *value;
            }
            let parent = self.dominance.parent(node);
            assert_ne!(parent, node, "a definition comes before every use");
            node = parent;
        }
    }
}
