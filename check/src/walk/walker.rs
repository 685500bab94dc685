//! What a walk works on.

use super::product::{Edge, ProductPoint, Stop, Stops};
use crate::body::Body;
use crate::regions::Regions;
use crate::side::Side;
use crate::slot_set::SlotSet;
use crate::terms::{Term, Terms};
use cranelift_codegen::FxHashMap;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Block, Function, Inst, MemFlags, MemFlagsData, Opcode, Value};
use cranelift_memopt::{Policy, TargetFacts};
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// One check.
pub struct Walk<'a> {
    pub(super) bodies: [&'a Body<'a>; 2],
    pub(super) regions: &'a Regions<'a>,
    pub(super) policy: &'a dyn Policy,
    pub(super) target: TargetFacts,
    pub(super) terms: Terms,
    pub(super) flags: FxHashMap<MemFlagsData, MemFlags>,
    pub(super) env: [SecondaryMap<Value, Option<Term>>; 2],
    pub(super) nodes: Vec<ProductPoint>,
    pub(super) known: FxHashMap<Stops, SmallVec<[u32; 1]>>,
    pub(super) queue: BTreeSet<(u32, u32, u32)>,
    /// Edges on which the original, or the result, stayed where it was.
    pub(super) waits: [BTreeSet<Edge>; 2],
    pub(super) stored_entries: usize,
    /// Those that are kept apart besides, see [`incoming`].
    pub(super) parted_entries: usize,
    /// Visits of nodes so far.
    pub(super) visits: u32,
    /// See [`MAX_PASSED`].
    pub(super) passed: u32,
    /// An access leaves its slot: the outside may know every slot.
    pub slots_are_left: bool,
    /// The slots that the outside can name from the start: they are seen at every call
    /// and trap.
    pub(super) named: SlotSet,
    /// Does either function take the address of a handler's block?
    pub(super) names_handler: bool,
    /// Where both sides are, for what is said about a refusal.
    pub(super) spot: [Option<Stop>; 2],
}

impl<'a> Walk<'a> {
    /// Prepares a walk over two functions whose tables agree.
    pub fn new(
        bodies: [&'a Body<'a>; 2],
        regions: &'a Regions<'a>,
        policy: &'a dyn Policy,
        target: TargetFacts,
    ) -> Self {
        let slots = bodies[0].func.sized_stack_slots.values();
        let sizes = slots.map(|slot| slot.size).collect();
        Self {
            bodies,
            regions,
            policy,
            target,
            terms: Terms::new(sizes),
            flags: FxHashMap::default(),
            env: [SecondaryMap::new(), SecondaryMap::new()],
            nodes: Vec::new(),
            known: FxHashMap::default(),
            queue: BTreeSet::new(),
            waits: [BTreeSet::new(), BTreeSet::new()],
            stored_entries: 0,
            parted_entries: 0,
            visits: 0,
            passed: 0,
            slots_are_left: false,
            named: SlotSet::default(),
            names_handler: bodies.iter().any(|body| names_handler(body.func)),
            spot: [None; 2],
        }
    }

    pub(super) fn func(&self, side: Side) -> &'a Function {
        self.bodies[side as usize].func
    }

    pub(super) fn instructions(&self) -> usize {
        let count = |body: &Body<'_>| body.func.dfg.num_insts() + body.func.dfg.num_blocks();
        self.bodies.iter().map(|body| count(body)).sum()
    }

    /// The block in which a side stands.
    pub(super) fn block_at(&self, side: Side, stops: Stops) -> Option<Block> {
        match stops[side as usize] {
            Stop::Join(block) => Some(block),
            Stop::At(inst) => self.func(side).layout.inst_block(inst),
        }
    }

    pub(super) fn set(&mut self, side: Side, value: Value, term: Term) {
        self.env[side as usize][value] = Some(term);
    }

    /// The term of a value. In a verified function every value has one where
    /// it is used.
    pub(super) fn term(&mut self, side: Side, value: Value) -> Term {
        let func = self.func(side);
        let value = func.dfg.resolve_aliases(value);
        if let Some(term) = self.env[side as usize][value] {
            return term;
        }
        let ty = func.dfg.value_type(value);
        self.terms.leaf(ty, SlotSet::ALL, None)
    }

    pub(super) fn args(&mut self, side: Side, inst: Inst) -> SmallVec<[Term; 3]> {
        let func = self.func(side);
        let args = func.dfg.inst_args(inst);
        args.iter().map(|arg| self.term(side, *arg)).collect()
    }

    pub(super) fn successors(&self, side: Side, inst: Inst) -> usize {
        let dfg = &self.func(side).dfg;
        let data = &dfg.insts[inst];
        data.branch_destination(&dfg.jump_tables, &dfg.exception_tables)
            .len()
    }
}

/// Does `func` take the address of an exception handler's block?
fn names_handler(func: &Function) -> bool {
    let insts = |block| func.layout.block_insts(block);
    func.layout
        .blocks()
        .flat_map(insts)
        .any(|inst| func.dfg.insts[inst].opcode() == Opcode::GetExceptionHandlerAddress)
}
