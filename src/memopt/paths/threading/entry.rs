//! What holds where a chain of blocks is entered by one edge: which way its last branch goes.

use super::{Chain, Pass};
use crate::ir::condcodes::IntCC;
use crate::ir::{Block, Inst, InstructionData, Value, ValueDef};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::Node;
use crate::memopt::edit::Edge;
use crate::memopt::inst::bits::number;
use crate::memopt::memory::clobber::Source;
use crate::memopt::paths::conditions::Condition;
use crate::memopt::paths::folding::{Known, compare, computed, extended, scalar_bits};

/// One edge into a chain.
pub(super) struct Entry<'e, 'p, 'a, 'r> {
    pub(super) pass: &'e mut Pass<'p, 'a, 'r>,
    pub(super) chain: &'e Chain,
    pub(super) pred: Node,
    pub(super) edge: Edge,
    pub(super) room: u32,
    /// Has what a load finds been part of the answer?
    pub(super) asked_memory: bool,
    /// Has a constant that the edge passes?
    pub(super) is_passed_constant: bool,
}

impl Entry<'_, '_, '_, '_> {
    /// The destination that `branch` takes.
    pub(super) fn destination(&mut self, branch: Inst) -> Option<usize> {
        let func = self.pass.values.memory.func;
        match func.dfg.insts[branch] {
            InstructionData::Brif { arg, .. } => {
                let truth = self.truth(arg)?;
                Some(usize::from(!truth))
            }
            InstructionData::BranchTable { arg, table, .. } => {
                let Known::Constant(index) = self.value(arg)? else {
                    return None;
                };
                let entries = func.dfg.jump_tables[table].as_slice().len() as u64;
                Some(if index < entries {
                    index as usize + 1
                } else {
                    0
                })
            }
            _ => None,
        }
    }
    /// Is `value` something else than zero behind this edge?
    fn truth(&mut self, value: Value) -> Option<bool> {
        match self.value(value)? {
            Known::Constant(number) => Some(number != 0),
            Known::Value(value) => self.decided_truth(value),
        }
    }

    /// Has a branch decided on `value`, which is there at the end of the
    /// predecessor?
    fn decided_truth(&self, value: Value) -> Option<bool> {
        let func = self.pass.func();
        if let Some(truth) = self.pass.conditions.at(self.pred, value) {
            return Some(truth);
        }
        let InstructionData::Brif { arg, blocks, .. } = func.dfg.insts[self.edge.branch] else {
            return None;
        };
        let (own, asked) = (Condition::of(func, arg), Condition::of(func, value));
        let lists = &func.dfg.value_lists;
        let decides = own.value == asked.value && blocks[0].block(lists) != blocks[1].block(lists);
        decides.then_some((self.edge.destination == 0) ^ own.negated ^ asked.negated)
    }

    /// What `value` is behind this edge.
    fn value(&mut self, value: Value) -> Option<Known> {
        let func = self.pass.values.memory.func;
        self.room = self.room.checked_sub(1)?;
        let value = self.pass.values.canonical(value);
        match func.dfg.value_def(value) {
            ValueDef::Param(block, _) if self.chain.blocks.contains(&block) => {
                let edge = self.edge_into(block)?;
                let passed = cfg_edit::passed(func, edge, value)?;
                if self.chain.blocks.last() == Some(&block) {
                    let known = self.outside(passed);
                    self.is_passed_constant |= matches!(known, Known::Constant(_));
                    Some(known)
                } else {
                    self.value(passed)
                }
            }
            ValueDef::Result(inst, _) if self.is_inside(inst) => self.result(inst),
            ValueDef::Param(..) | ValueDef::Result(..) => Some(self.outside(value)),
            ValueDef::Union(..) => None,
        }
    }

    /// A value that is there before the chain.
    fn outside(&self, value: Value) -> Known {
        match number(&self.pass.func().dfg, value) {
            Some(number) => Known::Constant(number),
            None => Known::Value(self.pass.values.canonical(value)),
        }
    }

    fn is_inside(&self, inst: Inst) -> bool {
        let block = self.pass.func().layout.inst_block(inst);
        block.is_some_and(|block| self.chain.blocks.contains(&block))
    }

    /// The edge by which a block of the chain is entered behind this edge.
    fn edge_into(&self, block: Block) -> Option<Edge> {
        let blocks = &self.chain.blocks;
        let position = blocks.iter().position(|other| *other == block)?;
        match blocks.get(position + 1) {
            None => Some(self.edge),
            Some(before) => Some(Edge {
                branch: self.pass.func().layout.last_inst(*before)?,
                destination: 0,
            }),
        }
    }

    /// What an instruction in the chain gives.
    fn result(&mut self, inst: Inst) -> Option<Known> {
        let func = self.pass.values.memory.func;
        let result = func.dfg.first_result(inst);
        let ty = func.dfg.value_type(result);
        match func.dfg.insts[inst] {
            InstructionData::Load { .. } => self.loaded(inst),
            InstructionData::UnaryImm { .. } => number(&func.dfg, result).map(Known::Constant),
            InstructionData::IntCompare { cond, args, .. } => {
                let bits = scalar_bits(func, args[0])?;
                let (x, y) = (self.value(args[0])?, self.value(args[1])?);
                let truth =
                    compare(cond, x, y, bits).or_else(|| self.compared_with_zero(cond, x, y));
                truth.map(|truth| Known::Constant(truth.into()))
            }
            InstructionData::Unary { opcode, arg } => {
                let from = scalar_bits(func, arg)?;
                let known = self.value(arg)?;
                extended(opcode, known, from, ty.bits())
            }
            InstructionData::Binary { opcode, args } => {
                let bits = scalar_bits(func, args[0])?;
                let (x, y) = (self.value(args[0])?, self.value(args[1])?);
                computed(opcode, x, y, bits)
            }
            _ => None,
        }
    }

    /// Has a branch on the value decided how it compares with zero?
    fn compared_with_zero(&self, cond: IntCC, x: Known, y: Known) -> Option<bool> {
        let (Known::Value(value), Known::Constant(0)) = (x, y) else {
            return None;
        };
        let truth = self.decided_truth(value)?;
        match cond {
            IntCC::Equal => Some(!truth),
            IntCC::NotEqual => Some(truth),
            _ => None,
        }
    }

    /// What the load `inst` finds behind this edge, if that has a name.
    fn loaded(&mut self, inst: Inst) -> Option<Known> {
        let event = self.pass.event_of(inst)?;
        let values = self.pass.values;
        let access = values.memory.access(event)?;
        if access.asynchronous {
            return None;
        }
        let source = self.pass.clobbers.source_on_path(event, &self.chain.joins);
        let ty = values.type_of(values.memory.func.dfg.first_result(inst));
        let key = values.key(source, access, access.opcode, ty);
        if let Source::Store(store) = source
            && self.is_inside(values.memory.inst(store))
        {
            let (stored, recipe) = values.seen_through(source, access)?;
            self.asked_memory = true;
            return if recipe.is_empty() {
                self.value(stored)
            } else {
                None
            };
        }
        let value = values.value_at_end(self.pred, source, access, key)?;
        self.asked_memory = true;
        Some(self.outside(value))
    }
}
