//! Loads that are cheaper than to keep what they load.
//!
//! ```text
//! v1 = load.i64 notrap aligned readonly can_move v0+56
//! jump block1
//! block1:
//!     v2 = load.i64 notrap aligned readonly can_move v0+56    ; stays
//!     call fn0(v0, v2)
//!     brif v3, block1, block2
//! ```
//!
//! By the calling convention `tail` no register outlives a call, so that a value that a loop with a
//! call keeps is reloaded in each iteration all the same: from the frame, which has to have a place
//! for it. A load that upstream too may make where it likes is no dearer. Of others more can
//! follow than that they are gone.
//!
//! Cost: O(memory instructions + edges), once it is asked about such a load.

use super::Pass;
use crate::ir::{Function, Inst, Value};
use crate::isa::CallConv;
use crate::memopt::cfg::graph::{Graph, Node, defining_node};
use crate::memopt::memory::insts::Memory;
use alloc::vec::Vec;

/// The innermost loops with a call, by what comes where in reverse postorder.
pub(super) struct CallingLoops {
    /// Of each node the header of the loop.
    headers: Vec<Option<Node>>,
}

impl CallingLoops {
    /// Cost: O(memory instructions + edges).
    fn new(memory: &Memory<'_>, graph: &Graph) -> Self {
        let is_call = |event| {
            let inst = memory.inst(event);
            memory.func.dfg.insts[inst].opcode().is_call()
        };
        // Calls before each node.
        let mut calls = Vec::with_capacity(graph.len() + 1);
        let mut sum = 0;
        for node in 0..graph.len() as Node {
            calls.push(sum);
            sum += memory.of_node(node).filter(|event| is_call(*event)).count();
        }
        calls.push(sum);
        let mut headers = Vec::with_capacity(graph.len());
        // Headers whose loops go on, each with the last node of its loop.
        let mut open: Vec<(Node, Node)> = Vec::new();
        for node in 0..graph.len() as Node {
            while open.last().is_some_and(|(_, last)| *last < node) {
                open.pop();
            }
            if let Some(last) = graph.preds(node).iter().copied().max()
                && last >= node
                && calls[last as usize + 1] > calls[node as usize]
            {
                open.push((node, last));
            }
            headers.push(open.last().map(|(header, _)| *header));
        }
        Self { headers }
    }
}

impl Pass<'_, '_, '_, '_> {
    /// Is it cheaper to execute `load`, in `node`, than to keep `value`, which it gives?
    pub(super) fn is_cheaper_than_kept(&mut self, load: Inst, value: Value, node: Node) -> bool {
        let memory = self.facts.memory;
        if memory.func.signature.call_conv != CallConv::Tail || !moves_freely(memory.func, load) {
            return false;
        }
        let Some(def) = defining_node(memory.func, self.facts.order, value) else {
            return false;
        };
        let graph = self.graph;
        let loops = self
            .calling_loops
            .get_or_insert_with(|| CallingLoops::new(memory, graph));
        loops.headers[node as usize].is_some_and(|header| def < header)
    }
}

/// Does upstream too take `load` for a value that it may compute where it likes?
fn moves_freely(func: &Function, load: Inst) -> bool {
    let flags = func.dfg.insts[load].memflags_data(&func.dfg);
    flags.is_some_and(|flags| flags.readonly() && flags.notrap() && flags.can_move())
}
