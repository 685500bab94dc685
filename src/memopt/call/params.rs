//! What a body does with the pointers that it is passed.
//!
//! The parameters of the entry block are followed through additions, selects, block parameters and
//! the functions that return their destination, as the addresses of slots are
//! ([`slot_escape`](crate::memopt::memory::slot_escape)); callees say what they do with theirs.
//! Comparing one, or branching on it, tells nobody of it; any other use does.
//!
//! Cost: O(instructions) for each scan, of which there is one more than the depth of loops that
//! pass pointers round, and at most [`MAX_SCANS`].

use crate::entity::SecondaryMap;
use crate::ir::{ArgumentPurpose, Block, Function, Inst, InstructionData, Opcode, Value};
use crate::memopt::call::effects::Policy;
use crate::memopt::call::summary::PointerUse;
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::cfg::graph::Order;
use crate::memopt::inst::effect::{Effect, effect};
use crate::memopt::memory::calls::{summary_of_call, use_of_arg};
use smallvec::SmallVec;

/// Parameters that are followed. What is given up is what is passed by later ones.
const MAX_PARAMS: usize = 64;

/// Scans until block parameters settle. A pointer that goes round a loop takes a second one. What
/// is given up is all parameters of the function.
const MAX_SCANS: usize = 4;

/// What `func`, whose aliases are resolved, does with what each of its parameters points to, in
/// their order. Nothing is said of those at the end that are left out.
pub fn uses_of_params(
    func: &Function,
    order: &Order,
    policy: &dyn Policy,
) -> SmallVec<[PointerUse; 4]> {
    let Some(entry) = order.blocks().first() else {
        return SmallVec::new();
    };
    let params = func.dfg.block_params(*entry);
    let mut params = Params {
        func,
        policy,
        made_of: SecondaryMap::new(),
        uses: SmallVec::from_elem(PointerUse::default(), params.len().min(MAX_PARAMS)),
        changed: false,
    };
    params.begin(*entry);
    for _ in 0..MAX_SCANS {
        params.changed = false;
        for block in order.blocks() {
            for inst in func.layout.block_insts(*block) {
                params.inst(inst);
            }
        }
        if !params.changed {
            return params.uses;
        }
    }
    SmallVec::new()
}

/// Some parameters, one a bit.
type Set = u64;

struct Params<'a> {
    func: &'a Function,
    policy: &'a dyn Policy,
    /// The parameters that a value is an address behind.
    made_of: SecondaryMap<Value, Set>,
    uses: SmallVec<[PointerUse; 4]>,
    /// Has a block parameter become one of more?
    changed: bool,
}

impl Params<'_> {
    fn begin(&mut self, entry: Block) {
        let params = self.func.dfg.block_params(entry);
        for (at, param) in params.iter().enumerate().take(MAX_PARAMS) {
            self.made_of[*param] = 1 << at;
            // Others have a say in what these mean.
            let purpose = self.func.signature.params.get(at).map(|it| it.purpose);
            if purpose != Some(ArgumentPurpose::Normal) {
                self.uses[at] = PointerUse::ESCAPES;
            }
        }
    }

    fn of(&self, value: Value) -> Set {
        self.made_of[self.func.dfg.resolve_aliases(value)]
    }

    fn join(&mut self, set: Set, usage: PointerUse) {
        let mut left = set;
        while left != 0 {
            self.uses[left.trailing_zeros() as usize].join(usage);
            left &= left - 1;
        }
    }

    fn inst(&mut self, inst: Inst) {
        let dfg = &self.func.dfg;
        match dfg.insts[inst] {
            InstructionData::Load { arg, .. } => self.join(self.of(arg), PointerUse::READS),
            InstructionData::Store {
                args: [value, address],
                ..
            } => {
                self.join(self.of(address), PointerUse::WRITES);
                self.join(self.of(value), PointerUse::ESCAPES);
            }
            InstructionData::IntCompare { .. } | InstructionData::UnaryImm { .. } => {}
            InstructionData::Binary {
                opcode: opcode @ (Opcode::Iadd | Opcode::Isub),
                args: [x, y],
            } => {
                if opcode == Opcode::Isub {
                    self.join(self.of(y), PointerUse::ESCAPES);
                }
                self.made_of[dfg.first_result(inst)] = self.of(x) | self.of(y);
            }
            InstructionData::Ternary {
                opcode: Opcode::Select | Opcode::SelectSpectreGuard,
                args: [_, x, y],
            } => self.made_of[dfg.first_result(inst)] = self.of(x) | self.of(y),
            InstructionData::Call {
                opcode: Opcode::Call,
                ..
            } => self.call(inst),
            InstructionData::Brif { .. } | InstructionData::Jump { .. } => self.branch(inst),
            _ => {
                for value in dfg.inst_values(inst) {
                    self.join(self.of(value), PointerUse::ESCAPES);
                }
            }
        }
    }

    /// Values that are passed to blocks.
    fn branch(&mut self, inst: Inst) {
        for_each_block_arg(self.func, inst, |param, arg| {
            let set = arg.map_or(0, |arg| self.of(arg));
            self.changed |= set & !self.made_of[param] != 0;
            self.made_of[param] |= set;
        });
    }

    fn call(&mut self, inst: Inst) {
        let dfg = &self.func.dfg;
        let args = dfg.inst_args(inst);
        if args.iter().all(|arg| self.of(*arg) == 0) {
            return;
        }
        if let Effect::Transfer(transfer) = effect(self.func, inst) {
            if let Some(range) = transfer.written() {
                self.join(self.of(range.address), PointerUse::WRITES);
            }
            for range in transfer.read() {
                self.join(self.of(range.address), PointerUse::READS);
            }
            for value in transfer.others() {
                self.join(self.of(*value), PointerUse::ESCAPES);
            }
            if let (Some(to), [result]) = (transfer.returned(), dfg.inst_results(inst)) {
                self.made_of[*result] = self.of(to);
            }
            return;
        }
        let summary = summary_of_call(self.func, self.policy, inst);
        for (at, arg) in args.iter().enumerate() {
            let usage = use_of_arg(self.func, inst, &summary, at);
            self.join(self.of(*arg), usage);
        }
    }
}
