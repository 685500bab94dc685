//! Blocks that do the same and can only end in a trap are one.
//!
//! ```text
//! block1: ; from block0                  block1: ; from block0 and block2
//!     call fn0(v0, v1)                       call fn0(v0, v1)
//!     trap user1                             trap user1
//! ...                                ==> ...
//! block3: ; from block2
//!     call fn0(v0, v1)
//!     trap user1
//! ```
//!
//! What the outside sees at such a call is stored in front of it on a path that hardly runs: once, where
//! the paths meet, and not once for each of them. Around calls between components a dozen conditions are
//! checked, each with a call of the same function if it does not hold.
//!
//! What upstream misses here: its mid-end merges no blocks.
//!
//! Soundness: the two blocks do the same with the same values, by which flags they access memory as well, and go
//! on to the same blocks, or to such as are one. What a block computes for itself has the number of
//! its instruction for a name. Each other value that it uses is defined above both blocks, and so above
//! all edges into either. Nobody else uses what a block computes: a path from there ends in a trap without
//! a loop, and a block behind both that did so would be another one behind each.
//!
//! What they are known by from outside stays: a source location that both have, and no debug tags or
//! stack maps. So an embedder that names the place of a trap names the same.
//!
//! Done only where a store would sink to both blocks: without one, nothing is gained but room.
//!
//! Cost: O(instructions of such blocks), where a store that sinks has several copies.

use crate::FxHashMap;
use crate::ir::{
    Block, BlockArg, ExceptionTable, ExceptionTableItem, Function, Inst, InstructionData, Opcode,
    Value,
};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::edit::{Change, Edge, Edit, Reason, Twin};
use crate::memopt::memory::numbering::{operation, own_arguments};
use alloc::vec::Vec;

/// Instructions of one block that are looked at.
///
/// What a block does before it traps is to call somebody who says why. What is given up is that a
/// longer one stays two.
const MAX_INSTS: usize = 32;

/// All that makes a block another one.
type Key = Vec<u64>;

/// Blocks that do the same as others.
pub type Twins = FxHashMap<Block, Block>;

/// Lets the blocks that do the same as one of the `wanted` be that one, where it takes less room.
pub fn edits(
    func: &Function,
    order: &Order,
    graph: &Graph,
    twins: &Twins,
    wanted: &[Block],
) -> Vec<Edit> {
    let mut edits = Vec::new();
    for node in 0..graph.len() as Node {
        let block = order.block(node);
        let Some(other) = twins.get(&block).filter(|it| wanted.contains(it)) else {
            continue;
        };
        let preds = graph.preds(node).iter().map(|pred| order.block(*pred));
        let edges = preds.flat_map(|pred| cfg_edit::edges(func, pred, block));
        let edges: Vec<Edge> = edges.collect();
        let pays = |edge: &Edge| is_branch(func, edge.branch) || !is_short(func, block);
        if edges.iter().all(pays) {
            let twin = Twin {
                block,
                other: *other,
                edges,
            };
            edits.push(Change::MergeBlocks(twin).because(Reason::SameAs(*other)));
        }
    }
    edits
}

/// The blocks that do the same as another one, each with that, which is none of them; `ends` tells
/// of each node whether every path from there ends in a trap.
pub fn twins(func: &Function, order: &Order, graph: &Graph, ends: &[bool]) -> Twins {
    let mut known: FxHashMap<Key, Block> = FxHashMap::default();
    let mut twins = Twins::default();
    for node in (0..graph.len() as Node).rev() {
        if !ends[node as usize] || node == graph.entry {
            continue;
        }
        let block = order.block(node);
        if let Some(key) = Naming::new(func, &twins).key(block) {
            let other = *known.entry(key).or_insert(block);
            if other != block {
                twins.insert(block, other);
            }
        }
    }
    twins
}

/// Does the instruction choose where to go? What does not needs a jump to what it could fall into.
fn is_branch(func: &Function, inst: Inst) -> bool {
    matches!(
        func.dfg.insts[inst].opcode(),
        Opcode::Brif | Opcode::BrTable
    )
}

/// Does the block do nothing but trap, which takes no more room than a jump?
fn is_short(func: &Function, block: Block) -> bool {
    func.layout.first_inst(block) == func.layout.last_inst(block)
}

/// Says what a block does, in numbers.
struct Naming<'a> {
    func: &'a Function,
    /// Blocks that are one with others.
    twins: &'a Twins,
    /// The results of the block's own instructions, in their order.
    own: FxHashMap<Value, u32>,
    key: Key,
}

impl<'a> Naming<'a> {
    fn new(func: &'a Function, twins: &'a Twins) -> Self {
        Self {
            func,
            twins,
            own: FxHashMap::default(),
            key: Key::new(),
        }
    }

    /// What `block` does; `None` if it has parameters, or does what is not compared.
    fn key(mut self, block: Block) -> Option<Key> {
        let func = self.func;
        if func.dfg.num_block_params(block) > 0 {
            return None;
        }
        for (at, inst) in func.layout.block_insts(block).enumerate() {
            if at == MAX_INSTS || is_known_from_outside(func, inst) {
                return None;
            }
            self.key.push(func.srcloc(inst).bits().into());
            self.add(inst)?;
            for result in func.dfg.inst_results(inst) {
                let number = self.own.len() as u32;
                self.own.insert(*result, number);
            }
        }
        Some(self.key)
    }

    fn add(&mut self, inst: Inst) -> Option<()> {
        let dfg = &self.func.dfg;
        let mut data = dfg.insts[inst];
        self.key.push(data.opcode() as u64);
        match data {
            InstructionData::Store {
                args,
                flags,
                offset,
                ..
            } => {
                let offset: i32 = offset.into();
                self.key.extend([flags.as_u32().into(), offset as u64]);
                self.add_values(&args);
            }
            InstructionData::Call { func_ref, .. } => {
                self.key.push(func_ref.as_u32().into());
                self.add_values(dfg.inst_args(inst));
            }
            InstructionData::CallIndirect { sig_ref, .. } => {
                self.key.push(sig_ref.as_u32().into());
                self.add_values(dfg.inst_args(inst));
            }
            InstructionData::TryCall {
                func_ref,
                exception,
                ..
            } => {
                self.key.push(func_ref.as_u32().into());
                self.add_values(dfg.inst_args(inst));
                self.add_handlers(exception);
                self.add_destinations(inst);
            }
            InstructionData::TryCallIndirect { exception, .. } => {
                self.add_values(dfg.inst_args(inst));
                self.add_handlers(exception);
                self.add_destinations(inst);
            }
            InstructionData::Jump { .. } => self.add_destinations(inst),
            InstructionData::Trap { code, .. } => self.key.push(code.as_raw().get().into()),
            _ => {
                let result = *dfg.inst_results(inst).first()?;
                for arg in own_arguments(&mut data) {
                    *arg = Value::from_u32(self.name(*arg));
                }
                let operation = operation(&data, dfg.value_type(result))?;
                self.key.extend(operation);
            }
        }
        Some(())
    }

    /// A number for the value: its own, unless the block computes it.
    fn name(&self, value: Value) -> u32 {
        let value = self.func.dfg.resolve_aliases(value);
        match self.own.get(&value) {
            // No function has as many values.
            Some(number) => u32::MAX - 1 - number,
            None => value.as_u32(),
        }
    }

    fn add_values(&mut self, values: &[Value]) {
        self.key.push(values.len() as u64);
        for value in values {
            let name = self.name(*value);
            self.key.push(name.into());
        }
    }

    /// Which exceptions are caught; the handlers are among the destinations.
    fn add_handlers(&mut self, table: ExceptionTable) {
        let table = &self.func.dfg.exception_tables[table];
        self.key.push(table.signature().as_u32().into());
        for item in table.items() {
            let (kind, number) = match item {
                ExceptionTableItem::Tag(tag, _) => (0, tag.as_u32()),
                ExceptionTableItem::Default(_) => (1, 0),
                ExceptionTableItem::Context(value) => (2, self.name(value)),
            };
            self.key.extend([kind, number.into()]);
        }
    }

    /// Where the instruction leads, and what it passes.
    fn add_destinations(&mut self, inst: Inst) {
        let dfg = &self.func.dfg;
        for call in cfg_edit::destinations(self.func, inst) {
            let block = call.block(&dfg.value_lists);
            let block = self.twins.get(&block).copied().unwrap_or(block);
            self.key.push(block.as_u32().into());
            for arg in call.args(&dfg.value_lists) {
                let (kind, number) = match arg {
                    BlockArg::Value(value) => (0, self.name(value)),
                    BlockArg::TryCallRet(index) => (1, index),
                    BlockArg::TryCallExn(index) => (2, index),
                };
                self.key.extend([kind, number.into()]);
            }
        }
    }
}

/// Does a debugger or a collector know the instruction by its place?
fn is_known_from_outside(func: &Function, inst: Inst) -> bool {
    !func.debug_tags.get(inst).is_empty() || func.dfg.user_stack_map_entries(inst).is_some()
}
