//! One of the two functions, as the walk needs it: the order of its blocks,
//! where paths meet, and which values are needed where.

use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Block, BlockCall, Function, Inst, Value, ValueDef};

/// Values that are live into blocks, over all blocks, for each instruction.
///
/// Beyond it nothing is proven. Real functions have a handful.
const LIVE_PER_INST: usize = 64;

/// A function, and what is known about its graph.
pub struct Body<'a> {
    /// The function.
    pub func: &'a Function,
    /// The position of each reachable block in reverse postorder, from 1.
    order: SecondaryMap<Block, u32>,
    /// The position of the first block to which an edge leads back.
    first_loop: u32,
    /// How many edges lead to each block.
    edges_in: SecondaryMap<Block, u32>,
    live: SecondaryMap<Block, Box<[Value]>>,
}

impl<'a> Body<'a> {
    /// Looks at `func`; `None` if too many values are live in too many blocks.
    ///
    /// Cost: O(instructions + edges + live values).
    pub fn new(func: &'a Function) -> Option<Self> {
        let mut this = Self {
            func,
            order: SecondaryMap::new(),
            first_loop: u32::MAX,
            edges_in: SecondaryMap::new(),
            live: SecondaryMap::new(),
        };
        let blocks = this.number_blocks();
        let mut preds: SecondaryMap<Block, Vec<Block>> = SecondaryMap::new();
        for block in &blocks {
            for call in this.destinations(*block) {
                let to = call.block(&func.dfg.value_lists);
                this.edges_in[to] += 1;
                if preds[to].last() != Some(block) {
                    preds[to].push(*block);
                }
            }
        }
        this.find_first_loop(&blocks);
        this.find_live_values(&blocks, &preds)?;
        Some(this)
    }

    /// The edges from the end of a block.
    pub fn destinations(&self, block: Block) -> &'a [BlockCall] {
        let dfg = &self.func.dfg;
        match self.func.layout.last_inst(block) {
            Some(inst) => {
                dfg.insts[inst].branch_destination(&dfg.jump_tables, &dfg.exception_tables)
            }
            None => &[],
        }
    }

    /// Where `block` stands in reverse postorder.
    pub fn rank(&self, block: Block) -> u32 {
        self.order[block]
    }

    /// Is there such a block, and can it be reached?
    pub fn has(&self, block: Block) -> bool {
        self.func.dfg.block_is_valid(block) && self.order[block] != 0
    }

    /// Does `block` come before all loops?
    pub fn is_before_loops(&self, block: Block) -> bool {
        self.order[block] < self.first_loop
    }

    /// Do several edges lead to `block`?
    pub fn is_merge(&self, block: Block) -> bool {
        self.edges_in[block] > 1
    }

    /// The values from before `block` that are used in it or behind it.
    pub fn live_into(&self, block: Block) -> &[Value] {
        &self.live[block]
    }

    /// The block in which `inst` is, if it can be reached.
    pub fn block_of(&self, inst: Inst) -> Option<Block> {
        if inst.as_u32() as usize >= self.func.dfg.num_insts() {
            return None;
        }
        let block = self.func.layout.inst_block(inst)?;
        (self.order[block] != 0).then_some(block)
    }

    /// Numbers the reachable blocks in reverse postorder, without recursion.
    fn number_blocks(&mut self) -> Vec<Block> {
        let Some(entry) = self.func.layout.entry_block() else {
            return Vec::new();
        };
        let mut seen: SecondaryMap<Block, bool> = SecondaryMap::new();
        let mut done = Vec::new();
        let mut stack = vec![(entry, 0)];
        seen[entry] = true;
        while let Some((block, next)) = stack.last_mut() {
            let (block, at) = (*block, *next);
            *next += 1;
            match self.destinations(block).get(at) {
                Some(call) => {
                    let to = call.block(&self.func.dfg.value_lists);
                    if !std::mem::replace(&mut seen[to], true) {
                        stack.push((to, 0));
                    }
                }
                None => {
                    stack.pop();
                    done.push(block);
                }
            }
        }
        done.reverse();
        for (position, block) in done.iter().enumerate() {
            self.order[*block] = position as u32 + 1;
        }
        done
    }

    fn find_first_loop(&mut self, blocks: &[Block]) {
        for block in blocks {
            for call in self.destinations(*block) {
                let to = self.order[call.block(&self.func.dfg.value_lists)];
                if to <= self.order[*block] {
                    self.first_loop = self.first_loop.min(to);
                }
            }
        }
    }

    /// Follows each use of a value back to its definition.
    fn find_live_values(
        &mut self,
        blocks: &[Block],
        preds: &SecondaryMap<Block, Vec<Block>>,
    ) -> Option<()> {
        let func = self.func;
        let mut uses = Vec::new();
        let mut insts = 0;
        for block in blocks {
            for inst in func.layout.block_insts(*block) {
                insts += 1;
                let values = func.dfg.inst_values(inst);
                uses.extend(values.map(|value| (func.dfg.resolve_aliases(value), *block)));
            }
        }
        uses.sort_unstable();
        uses.dedup();
        let mut room = LIVE_PER_INST * (insts + blocks.len());
        let mut live: SecondaryMap<Block, Vec<Value>> = SecondaryMap::new();
        let mut work = Vec::new();
        for (value, block) in uses {
            let home = self.home(value);
            work.push(block);
            while let Some(block) = work.pop() {
                // All uses of one value come one after the other.
                if home == Some(block) || live[block].last() == Some(&value) {
                    continue;
                }
                room = room.checked_sub(1)?;
                live[block].push(value);
                work.extend(&preds[block]);
            }
        }
        for block in blocks {
            self.live[*block] = std::mem::take(&mut live[*block]).into_boxed_slice();
        }
        Some(())
    }

    fn home(&self, value: Value) -> Option<Block> {
        match self.func.dfg.value_def(value) {
            ValueDef::Result(inst, _) => self.func.layout.inst_block(inst),
            ValueDef::Param(block, _) => Some(block),
            ValueDef::Union(..) => None,
        }
    }
}
