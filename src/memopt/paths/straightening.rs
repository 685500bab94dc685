//! Blocks that only one jump leads to become the end of the block that jumps.
//!
//! ```text
//! block0(v0: i32):                       block0(v0: i32):
//!     jump block1(v0)                        v2 = iadd_imm v0, 1
//! block1(v1: i32):             ==>           return v2
//!     v2 = iadd_imm v1, 1
//!     return v2
//! ```
//!
//! A front end ends a block where its own control structures do, and inlining where the callee's
//! body begins and ends: of blocks that come from WebAssembly every sixth is such a one. What
//! upstream misses here: it lowers them one after the other, and jumps to the next block cost no
//! code, but its mid-end, the passes here and the back end take their time for each block and
//! parameter, and a value that lives past the end of a block may be split there.
//!
//! Soundness: who comes to the block comes from the jump, and a jump is not observed. The
//! parameters are what it passes. A block stays if a handler's address is taken somewhere: that
//! names blocks and not edges.
//!
//! Where several calls that may end in an exception lead to a block, it is not made one with the
//! next: such a call leaves no register as it was, and what is loaded again is so once behind such
//! a block, and on each edge without. Nor are two blocks of which one is cold: the back end
//! puts those elsewhere.
//!
//! Cost: O(blocks + edges), and O(instructions) of the blocks that are merged.

use crate::entity::SecondaryMap;
use crate::ir::{Block, Function, InstructionData};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::edit::{Change, Edit, Reason};
use alloc::vec::Vec;

/// Finds them. The edits of one block come in the order in which it grows.
pub fn edits(func: &Function) -> Vec<Edit> {
    let merging = Merging::find(func);
    let mut edits = Vec::new();
    if merging.jumps.is_empty() || cfg_edit::names_handler(func) {
        return edits;
    }
    let firsts = merging.jumps.iter().map(|(from, _)| *from);
    for into in firsts.filter(|block| merging.from[*block].is_none()) {
        let mut next = merging.next(into);
        while let Some(block) = next {
            edits.push(Change::Straighten { block, into }.because(Reason::NothingElseLeadsThere));
            next = merging.next(block);
        }
    }
    edits
}

/// Which blocks are merged with the one before them.
struct Merging {
    /// Each with the block that its end leads to, in the order of the layout.
    jumps: Vec<(Block, Block)>,
    /// For each block the one in front of it that becomes one with it, if there is one.
    from: SecondaryMap<Block, Option<Block>>,
    /// For each block the one behind it.
    to: SecondaryMap<Block, Option<Block>>,
}

impl Merging {
    fn find(func: &Function) -> Self {
        let Edges { into, mut jumps } = Edges::of(func);
        let layout = &func.layout;
        let entry = layout.entry_block();
        jumps.retain(|(from, to)| {
            into[*to].all == 1
                && Some(*to) != entry
                && layout.is_cold(*from) == layout.is_cold(*to)
                && !into[*from].are_exceptions()
        });
        let (mut before, mut behind) = (SecondaryMap::new(), SecondaryMap::new());
        for (from, to) in &jumps {
            before[*to] = Some(*from);
            behind[*from] = Some(*to);
        }
        Self {
            jumps,
            from: before,
            to: behind,
        }
    }

    fn next(&self, block: Block) -> Option<Block> {
        self.to[block]
    }
}

/// How many edges lead to each block, and which of them are jumps.
struct Edges {
    into: SecondaryMap<Block, Count>,
    jumps: Vec<(Block, Block)>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    all: u32,
    /// Those from calls that may end in an exception.
    of_try_calls: u32,
}

impl Count {
    /// Do several such calls lead there, and nothing else?
    fn are_exceptions(self) -> bool {
        self.all > 1 && self.of_try_calls == self.all
    }
}

impl Edges {
    fn of(func: &Function) -> Self {
        let mut this = Self {
            into: SecondaryMap::with_capacity(func.dfg.num_blocks()),
            jumps: Vec::new(),
        };
        for block in func.layout.blocks() {
            let Some(branch) = func.layout.last_inst(block) else {
                continue;
            };
            let data = &func.dfg.insts[branch];
            if let InstructionData::Jump { destination, .. } = data {
                let to = destination.block(&func.dfg.value_lists);
                this.jumps.push((block, to));
                this.into[to].all += 1;
                continue;
            }
            let is_try_call = matches!(
                data,
                InstructionData::TryCall { .. } | InstructionData::TryCallIndirect { .. }
            );
            for call in cfg_edit::destinations(func, branch) {
                let count = &mut this.into[call.block(&func.dfg.value_lists)];
                count.all += 1;
                count.of_try_calls += u32::from(is_try_call);
            }
        }
        this
    }
}
