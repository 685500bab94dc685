//! Where the addresses of slots go, and what is accessed by them.

use crate::calls::Effect;
use crate::opcodes::{Kind, Reading, access, kind, plus_constant};
use crate::transfers::Transfer;
use cranelift_codegen::entity::{EntitySet, SecondaryMap};
use cranelift_codegen::ir::{
    Block, BlockArg, Function, Inst, InstructionData, MemFlagsData, Opcode, StackSlot, Value,
};
use cranelift_memopt::{PointerUse, Policy};

/// What one instruction does to one slot.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    pub inst: Inst,
    pub slot: StackSlot,
    /// The first byte, and that behind the last; `None` if nobody knows.
    pub bytes: Option<(i64, i64)>,
    pub reads: bool,
    pub writes: bool,
    /// Does it overwrite all of the bytes?
    pub surely: bool,
    /// What an access says about the memory; `None` if it is a call.
    pub says: Option<MemFlagsData>,
    /// What is written are the bytes that this slot holds from there on.
    pub copied: Option<(StackSlot, i64)>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// The address of this byte of the slot.
    At(StackSlot, i64),
    /// Some address in it.
    In(StackSlot),
    /// Made of addresses of several.
    Several,
}

impl Known {
    fn slot(self) -> Option<StackSlot> {
        match self {
            Self::At(slot, _) | Self::In(slot) => Some(slot),
            Self::Several => None,
        }
    }

    fn join(self, other: Self) -> Self {
        match (self.slot(), other.slot()) {
            _ if self == other => self,
            (Some(slot), Some(same)) if slot == same => Self::In(slot),
            _ => Self::Several,
        }
    }
}

/// The addresses of the slots of one function.
pub struct Addresses<'a> {
    func: &'a Function,
    policy: &'a dyn Policy,
    known: SecondaryMap<Value, Option<Known>>,
    /// By blocks, in the order of their instructions.
    uses: SecondaryMap<Block, Vec<Use>>,
    /// Slots of which an address goes to where it is not followed.
    lost: EntitySet<StackSlot>,
}

impl<'a> Addresses<'a> {
    pub fn new(func: &'a Function, policy: &'a dyn Policy) -> Self {
        let mut this = Self {
            func,
            policy,
            known: SecondaryMap::new(),
            uses: SecondaryMap::new(),
            lost: EntitySet::new(),
        };
        // Each value changes twice at most.
        while this.spread() {}
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                this.look_at(block, inst);
            }
        }
        this
    }

    pub fn is_lost(&self, slot: StackSlot) -> bool {
        self.lost.contains(slot)
    }

    pub fn in_block(&self, block: Block) -> &[Use] {
        &self.uses[block]
    }

    pub fn all(&self) -> impl Iterator<Item = &Use> {
        let blocks = self.func.layout.blocks();
        blocks.flat_map(|block| self.uses[block].iter())
    }

    pub fn of(&self, slot: StackSlot) -> impl Iterator<Item = &Use> {
        self.all().filter(move |usage| usage.slot == slot)
    }

    fn known(&self, value: Value) -> Option<Known> {
        self.known[self.func.dfg.resolve_aliases(value)]
    }

    fn slot(&self, value: Value) -> Option<StackSlot> {
        self.known(value)?.slot()
    }

    /// Takes what is known of arguments to results and parameters; has anything changed?
    fn spread(&mut self) -> bool {
        let func = self.func;
        let mut changed = false;
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                if let (Some(known), [result, ..]) =
                    (self.result(inst), func.dfg.inst_results(inst))
                {
                    changed |= self.learn(*result, known);
                }
                for (param, arg) in passed(func, inst) {
                    if let Some(known) = arg.and_then(|arg| self.known(arg)) {
                        changed |= self.learn(param, known);
                    }
                }
            }
        }
        changed
    }

    fn learn(&mut self, value: Value, known: Known) -> bool {
        let old = self.known[value];
        let new = old.map_or(known, |old| old.join(known));
        self.known[value] = Some(new);
        old != Some(new)
    }

    /// What the result of `inst` is, if it is made of an address by adding, or chosen.
    fn result(&self, inst: Inst) -> Option<Known> {
        let dfg = &self.func.dfg;
        let within = |known: Known| known.slot().map_or(Known::Several, Known::In);
        if let Some(transfer) = Transfer::of(self.func, inst) {
            return transfer
                .writes()
                .then(|| self.known(transfer.args[0]))
                .flatten();
        }
        if dfg.insts[inst].opcode() == Opcode::Call {
            let args = dfg.inst_args(inst);
            if args.iter().all(|arg| self.known(*arg).is_none()) {
                return None;
            }
            let effect = Effect::of(self.func, inst, self.policy);
            let at = effect.returned(self.func, inst)?;
            return self.known(args[at]);
        }
        match dfg.insts[inst] {
            InstructionData::StackAddr {
                stack_slot, offset, ..
            } => Some(Known::At(stack_slot, i32::from(offset).into())),
            InstructionData::Binary {
                opcode: Opcode::Iadd | Opcode::Isub,
                args: [x, y],
            } => {
                if let Some((base, by)) = plus_constant(dfg, inst)
                    && let Some(known) = self.known(base)
                {
                    return Some(match known {
                        Known::At(slot, at) => Known::At(slot, at.checked_add(by)?),
                        Known::In(_) | Known::Several => known,
                    });
                }
                match (self.known(x), self.known(y)) {
                    (None, None) => None,
                    (Some(known), None) | (None, Some(known)) => Some(within(known)),
                    (Some(_), Some(_)) => Some(Known::Several),
                }
            }
            InstructionData::Ternary {
                opcode: Opcode::Select | Opcode::SelectSpectreGuard,
                args: [_, x, y],
            } => match (self.known(x), self.known(y)) {
                (Some(x), Some(y)) => Some(x.join(y)),
                (known, None) | (None, known) => known,
            },
            _ => None,
        }
    }

    /// Notes what `inst` accesses, and which addresses it takes to where they are not followed.
    fn look_at(&mut self, block: Block, inst: Inst) {
        let func = self.func;
        let dfg = &func.dfg;
        if let Some(it) = access(func, inst) {
            let args = dfg.inst_args(inst);
            let (stored, address) = args.split_at(usize::from(it.writes));
            self.lose(stored);
            let bytes = (i64::from(it.offset), i64::from(it.ty.bytes()));
            let bytes = (!it.ty.is_dynamic_vector()).then_some(bytes);
            self.touch(block, inst, address[0], bytes, (!it.writes, it.writes));
            if let [stored] = stored {
                self.copy_of_load(block, inst, *stored);
            }
            return;
        }
        if let Some(transfer) = Transfer::of(func, inst) {
            let count = dfg.value_def(dfg.resolve_aliases(transfer.args[2])).inst();
            let count = count.and_then(|inst| match dfg.insts[inst] {
                InstructionData::UnaryImm { imm, .. } => Some(imm.bits()),
                _ => None,
            });
            self.lose(transfer.numbers());
            if count != Some(0) {
                let bytes = count.filter(|it| *it > 0).map(|count| (0, count));
                for pointer in transfer.read() {
                    self.touch(block, inst, pointer, bytes, (true, false));
                }
                if transfer.writes() {
                    self.touch(block, inst, transfer.args[0], bytes, (false, true));
                    self.copy_of(block, inst, inst);
                }
            }
            return;
        }
        let opcode = dfg.insts[inst].opcode();
        let args = dfg.inst_args(inst);
        match kind(opcode) {
            Kind::Call => self.call(block, inst),
            // What is passed to blocks is looked at below.
            Kind::Jump | Kind::Branch => {}
            Kind::Switch => self.lose(args),
            Kind::Pure if matches!(dfg.insts[inst], InstructionData::IntCompare { .. }) => {
                if self.known(args[0]).map(Known::slot) != self.known(args[1]).map(Known::slot) {
                    self.lose(args);
                }
            }
            Kind::Pure => {
                let made = dfg.inst_results(inst).first();
                let made = made.and_then(|made| self.slot(*made));
                let is_choice = matches!(opcode, Opcode::Select | Opcode::SelectSpectreGuard);
                for arg in &args[usize::from(is_choice)..] {
                    // What is chosen has to be an address of the slot in any case.
                    if made.is_none() || (is_choice && self.slot(*arg) != made) {
                        self.lose(&[*arg]);
                        made.into_iter().for_each(|slot| _ = self.lost.insert(slot));
                    }
                }
                // The distance from an address is none.
                if opcode == Opcode::Isub {
                    self.lose(&args[1..]);
                }
            }
            _ => {
                let values: Vec<Value> = dfg.inst_values(inst).collect();
                self.lose(&values);
            }
        }
        for (param, arg) in passed(func, inst) {
            let (to, from) = (self.slot(param), arg.and_then(|arg| self.slot(arg)));
            if to != from {
                for slot in [to, from].into_iter().flatten() {
                    self.lost.insert(slot);
                }
            }
        }
    }

    fn call(&mut self, block: Block, inst: Inst) {
        let dfg = &self.func.dfg;
        let effect = Effect::of(self.func, inst, self.policy);
        let args = dfg.inst_args(inst);
        for (at, arg) in args.iter().enumerate() {
            match effect.pointers.get(at).filter(|usage| !usage.escapes) {
                Some(usage) => self.lend(block, inst, at, usage),
                None => self.lose(&[*arg]),
            }
        }
    }

    /// What a callee does to the slot of which the argument of `inst` at this position is an
    /// address. What it overwrites wherever it returns is written; where it does not, nobody asks what
    /// the slot holds. If another argument is an address of the slot too, it may look at it by that
    /// one before.
    fn lend(&mut self, block: Block, inst: Inst, at: usize, usage: &PointerUse) {
        let args = self.func.dfg.inst_args(inst);
        let Some(slot) = self.slot(args[at]) else {
            return;
        };
        let mut others = args.iter().enumerate().filter(|(other, _)| *other != at);
        let is_once = others.all(|(_, arg)| self.slot(*arg) != Some(slot));
        let word = i64::from(self.func.dfg.value_type(args[at]).bytes());
        let size = i64::from(self.func.sized_stack_slots[slot].size);
        let room = (size + word - 1) / word * word;
        // What an upper bound has outside of the slot, nobody accesses.
        let within = |known: Option<Known>, (start, count): (i64, u32)| match known {
            Some(Known::At(_, at)) => {
                let start = at + start;
                Some((start.max(0), (start + i64::from(count)).min(room)))
            }
            _ => None,
        };
        let known = self.known(args[at]);
        let mut note = |bytes, does| self.note(block, inst, (slot, bytes), does, None);
        if !usage.reads.is_none() {
            let bytes = usage.reads.range().and_then(|range| within(known, range));
            if bytes.is_none_or(|(start, end)| start < end) {
                note(bytes, (true, false));
            }
        }
        // It counts as an access of all of it.
        note(None, (false, false));
        if !usage.writes.is_none() {
            let bytes = usage.writes.range().and_then(|range| within(known, range));
            if bytes.is_none_or(|(start, end)| start < end) {
                note(bytes, (false, true));
                // Or not: it may put back what it has found.
                self.uses[block]
                    .last_mut()
                    .into_iter()
                    .for_each(|it| it.surely = false);
            }
        }
        let overwritten = usage.overwrites.ranges().filter(|_| is_once);
        for bytes in overwritten.filter_map(|range| within(known, range)) {
            if bytes.0 < bytes.1 {
                self.note(block, inst, (slot, Some(bytes)), (false, true), None);
            }
        }
    }

    fn touch(
        &mut self,
        block: Block,
        inst: Inst,
        address: Value,
        bytes: Option<(i64, i64)>,
        does: (bool, bool),
    ) {
        let Some(known) = self.known(address) else {
            return;
        };
        let Some(slot) = known.slot() else {
            // Whatever it is made of is lost where it was made.
            return;
        };
        let bytes = match (known, bytes) {
            (Known::At(_, at), Some((offset, count))) => Some((at + offset, at + offset + count)),
            _ => None,
        };
        let says = access(self.func, inst).map(|it| it.flags);
        self.note(block, inst, (slot, bytes), does, says);
    }

    fn note(
        &mut self,
        block: Block,
        inst: Inst,
        (slot, bytes): (StackSlot, Option<(i64, i64)>),
        (reads, writes): (bool, bool),
        says: Option<MemFlagsData>,
    ) {
        self.uses[block].push(Use {
            inst,
            slot,
            bytes,
            reads,
            writes,
            surely: writes && bytes.is_some(),
            says,
            copied: None,
        });
    }

    /// Notes what `store` copies, if it stores what a load of its block has found.
    fn copy_of_load(&mut self, block: Block, store: Inst, stored: Value) {
        let dfg = &self.func.dfg;
        let load = dfg.value_def(dfg.resolve_aliases(stored)).inst();
        let Some(load) = load.filter(|load| self.func.layout.inst_block(*load) == Some(block))
        else {
            return;
        };
        if let (Some(from), Some(to)) = (access(self.func, load), access(self.func, store)) {
            let order = |flags: MemFlagsData| flags.explicit_endianness();
            let is_whole = kind(dfg.insts[load].opcode()) != Kind::Load(Reading::Parts);
            if !from.writes && is_whole && order(from.flags) == order(to.flags) {
                self.copy_of(block, load, store);
            }
        }
    }

    /// Notes that what `store` writes is what `load` reads, if the slot that it reads is not written
    /// in between.
    fn copy_of(&mut self, block: Block, load: Inst, store: Inst) {
        let Some((last, before)) = self.uses[block].split_last_mut() else {
            return;
        };
        let read = before.iter().rposition(|it| it.inst == load && it.reads);
        if let Some(read) = read
            && let (Some((start, end)), Some((first, behind))) = (before[read].bytes, last.bytes)
            && (last.inst == store && last.writes && end - start == behind - first)
        {
            let slot = before[read].slot;
            let mut between = before[read + 1..].iter();
            if between.all(|it| !it.writes || it.slot != slot) {
                last.copied = Some((slot, start));
            }
        }
    }

    fn lose(&mut self, values: &[Value]) {
        for value in values {
            if let Some(slot) = self.slot(*value) {
                self.lost.insert(slot);
            }
        }
    }
}

/// The parameters that `inst` passes something to, and what; `None` for what a call returns.
fn passed(func: &Function, inst: Inst) -> Vec<(Value, Option<Value>)> {
    let dfg = &func.dfg;
    let calls = dfg.insts[inst].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
    let mut passed = Vec::new();
    for call in calls {
        let params = dfg.block_params(call.block(&dfg.value_lists)).iter();
        passed.extend(params.zip(call.args(&dfg.value_lists)).map(|(param, arg)| {
            let arg = match arg {
                BlockArg::Value(value) => Some(value),
                BlockArg::TryCallRet(_) | BlockArg::TryCallExn(_) => None,
            };
            (*param, arg)
        }));
    }
    passed
}
