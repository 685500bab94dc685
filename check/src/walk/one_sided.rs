//! The steps of one side by itself, and what an instruction gives to its results.

use super::events::no_trap_ahead;
use super::product::{Next, Path, Step, Stop, Stopped};
use super::walker::Walk;
use crate::memory::Memory;
use crate::opcodes::{self, Kind, Reading, kind};
use crate::place::{Access, Place};
use crate::side::Side;
use crate::terms::{Node, Term, sign_extend, skeleton};
use crate::transfers::Transfer;
use crate::vectors::is_vector;
use crate::verdict::{Limit, Reason};
use cranelift_codegen::ir::{
    BlockArg, Endianness, Inst, InstructionData, MemFlags, MemFlagsData, Opcode, TrapCode, Type,
    Value, types,
};
use smallvec::SmallVec;
use std::collections::BTreeMap;

impl Walk<'_> {
    /// Follows the edges that the path has yet to take.
    pub(super) fn take_edges(&mut self, path: &mut Path) -> Step<()> {
        let mut special: BTreeMap<BlockArg, Term> = BTreeMap::new();
        for side in Side::BOTH {
            if let Next::Edge(branch, edge) = path.next[side as usize] {
                path.next[side as usize] =
                    Next::From(self.take_edge(path, side, branch, edge, &mut special)?);
                path.moved[side as usize] = true;
            }
        }
        Ok(())
    }

    pub(super) fn take_edge(
        &mut self,
        path: &mut Path,
        side: Side,
        branch: Inst,
        edge: usize,
        special: &mut BTreeMap<BlockArg, Term>,
    ) -> Step<Stop> {
        let dfg = &self.func(side).dfg;
        let data = &dfg.insts[branch];
        let call = data.branch_destination(&dfg.jump_tables, &dfg.exception_tables)[edge];
        let block = call.block(&dfg.value_lists);
        let escaped = path.memory.escaped;
        let params = dfg.block_params(block);
        let passed: Vec<(Value, Term)> = params
            .iter()
            .zip(call.args(&dfg.value_lists))
            .map(|(param, arg)| {
                let term = match arg {
                    BlockArg::Value(value) => self.term(side, value),
                    BlockArg::TryCallRet(_) | BlockArg::TryCallExn(_) => {
                        let ty = dfg.value_type(*param);
                        let terms = &mut self.terms;
                        *special
                            .entry(arg)
                            .or_insert_with(|| terms.leaf(ty, escaped, None))
                    }
                };
                (*param, term)
            })
            .collect();
        let body = self.bodies[side as usize];
        let here = self.func(side).layout.inst_block(branch);
        path.forward[side as usize] = here.is_some_and(|here| body.rank(here) < body.rank(block));
        let balance = &path.memory.balance;
        if side == Side::Original
            && !path.forward[side as usize]
            && (balance.has_promise() || balance.lost[0])
        {
            // It might go round for ever, where the result traps.
            return Err(Reason::InventedLoad.into());
        }
        if body.is_merge(block) {
            path.join_args[side as usize] = passed;
            return Ok(Stop::Join(block));
        }
        for (param, term) in passed {
            self.set(side, param, term);
        }
        Ok(match self.func(side).layout.first_inst(block) {
            Some(first) => Stop::At(first),
            None => Stop::Join(block),
        })
    }

    /// Goes on over everything that nobody sees and that reads no memory.
    pub(super) fn advance(&mut self, side: Side, mut stop: Stop, path: &mut Path) -> Step<Stop> {
        while let Stop::At(inst) = stop {
            let func = self.func(side);
            let data = func.dfg.insts[inst];
            let edge = match kind(data.opcode()) {
                Kind::Pure => {
                    if side == Side::Original && self.asked_choice(path, stop).is_some() {
                        return Ok(stop);
                    }
                    if !self.chosen(path, side, inst) {
                        self.pure(side, inst)?;
                    }
                    None
                }
                Kind::Nothing => None,
                Kind::ConditionalTrap => {
                    let args = self.args(side, inst);
                    let zero = data.opcode() == Opcode::Trapz;
                    match self.truth(args[0], &path.assumed) {
                        Some(truth) if truth == zero => None,
                        _ => return Ok(stop),
                    }
                }
                Kind::Jump => Some(0),
                Kind::Branch | Kind::Switch => match self.decided(side, inst, path) {
                    Some(edge) => Some(edge),
                    None => return Ok(stop),
                },
                Kind::PureOrTrap
                | Kind::Load(_)
                | Kind::Store(_)
                | Kind::Call
                | Kind::TryCall
                | Kind::Barrier
                | Kind::Return
                | Kind::TailCall
                | Kind::Trap => return Ok(stop),
            };
            path.moved[side as usize] = true;
            stop = match edge {
                Some(edge) => {
                    let stop = self.take_edge(path, side, inst, edge, &mut BTreeMap::new())?;
                    if self.is_awaited(path, side, stop) {
                        return Ok(stop);
                    }
                    stop
                }
                None => {
                    let next = func.layout.next_inst(inst);
                    Stop::At(next.ok_or(Reason::Shape("a block without end"))?)
                }
            };
        }
        Ok(stop)
    }

    /// Does the other side, which has come around a loop, stand at the join that is the block
    /// that `side` has just entered? Behind a loop that was turned round that block
    /// has one predecessor, and a test of it that is decided would lead on.
    fn is_awaited(&self, path: &Path, side: Side, stop: Stop) -> bool {
        let other = side.other() as usize;
        let Stop::At(inst) = stop else {
            return false;
        };
        let block = self.func(side).layout.inst_block(inst);
        let waits = match path.next[other] {
            Next::From(Stop::Join(join)) => Some(join) == block,
            Next::From(Stop::At(_)) | Next::Edge(..) => false,
        };
        waits && !path.forward[other]
    }

    /// An instruction without its arguments, and with flags that have one
    /// number in both functions.
    pub(super) fn shape(&mut self, side: Side, inst: Inst) -> Step<InstructionData> {
        let dfg = &self.func(side).dfg;
        let mut shape = skeleton(&dfg.insts[inst]).ok_or(Reason::Event)?;
        if let Some(flags) = shape.memflags_mut() {
            let data = dfg.mem_flags[*flags];
            *flags = match self.flags.get(&data) {
                Some(known) => *known,
                None => {
                    let number = MemFlags::with_number(self.flags.len() as u32);
                    let number = number.ok_or(Stopped::Limit(Limit::Terms))?;
                    self.flags.insert(data, number);
                    number
                }
            };
        }
        Ok(shape)
    }

    /// Gives terms to the results of a pure instruction.
    pub(super) fn pure(&mut self, side: Side, inst: Inst) -> Step<()> {
        let func = self.func(side);
        let data = func.dfg.insts[inst];
        let args = self.args(side, inst);
        let results = func.dfg.inst_results(inst);
        let shape = self.shape(side, inst)?;
        for (index, result) in results.iter().enumerate() {
            let ty = func.dfg.value_type(*result);
            let term = match data {
                InstructionData::UnaryImm { imm, .. } => self.terms.number(ty, imm.bits() as u64),
                InstructionData::StackAddr {
                    stack_slot, offset, ..
                } => {
                    let base = self.terms.slot(stack_slot, ty);
                    self.terms.plus(base, offset.into())
                }
                _ => match self.vector(side, inst, ty, &args) {
                    Some(term) => term,
                    None => self.terms.op(shape, index as u8, ty, args.clone()),
                },
            };
            self.set(side, *result, term);
        }
        Ok(())
    }

    /// A constant of 128 bits, or the bits of one as others, in little-endian order.
    fn vector(&mut self, side: Side, inst: Inst, ty: Type, args: &[Term]) -> Option<Term> {
        let has_bits = |ty: Type| is_vector(ty) || ty.is_int() || ty == types::F128;
        if !has_bits(ty) {
            return None;
        }
        let dfg = &self.bodies[side as usize].func.dfg;
        match dfg.insts[inst] {
            InstructionData::UnaryConst {
                opcode: Opcode::Vconst | Opcode::F128const,
                constant_handle,
            } => {
                let bytes = dfg.constants.get(constant_handle).iter().rev();
                let bits = bytes.fold(0, |bits: u128, byte| (bits << 8) | u128::from(*byte));
                Some(self.terms.wide_number(bits, ty))
            }
            InstructionData::LoadNoOffset {
                opcode: Opcode::Bitcast,
                flags,
                ..
            } => {
                let (from, flags) = (self.terms.ty(args[0]), dfg.mem_flags[flags]);
                let in_order = from.lane_count() == ty.lane_count()
                    || flags == MemFlagsData::new().with_endianness(Endianness::Little);
                (has_bits(from) && in_order).then(|| self.terms.cast(args[0], ty))
            }
            _ => None,
        }
    }

    /// The edge that a branch takes, if that is known.
    pub(super) fn decided(&mut self, side: Side, inst: Inst, path: &Path) -> Option<usize> {
        let func = self.func(side);
        let argument = self.args(side, inst)[0];
        match func.dfg.insts[inst] {
            InstructionData::Brif { .. } => {
                let truth = self.truth(argument, &path.assumed)?;
                Some(usize::from(!truth))
            }
            InstructionData::BranchTable { table, .. } => {
                let index = self.terms.constant(argument)?;
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

    /// Is the value other than 0?
    pub(super) fn truth(&mut self, value: Term, assumed: &[(Term, bool)]) -> Option<bool> {
        let (condition, turned) = self.terms.condition(value);
        if let Some(constant) = self.terms.constant(condition) {
            return Some((constant != 0) != turned);
        }
        if self.terms.byte_of_slot(condition).is_some() {
            return Some(!turned);
        }
        let known = assumed.iter().find(|(known, _)| *known == condition)?;
        Some(known.1 != turned)
    }

    /// Remembers what an edge of a branch says about its condition.
    pub(super) fn assume(&mut self, path: &mut Path, side: Side, inst: Inst, edge: usize) {
        if !matches!(
            self.func(side).dfg.insts[inst],
            InstructionData::Brif { .. }
        ) {
            return;
        }
        let argument = self.args(side, inst)[0];
        let (condition, turned) = self.terms.condition(argument);
        path.learn(condition, (edge == 0) != turned);
    }

    /// What a load or store says, and what it stores.
    pub(super) fn access(
        &mut self,
        memory: &Memory,
        side: Side,
        inst: Inst,
    ) -> Step<(Access, Option<Term>)> {
        let said = opcodes::access(self.func(side), inst).ok_or(Reason::Shape("an access"))?;
        let opcodes::Access { ty, flags, .. } = said;
        let args = self.args(side, inst);
        let (value, address) = match args[..] {
            [address] if !said.writes => (None, address),
            // Of a value that is wider than its bytes in memory, the low ones.
            [value, address] if said.writes => (Some(self.terms.bits(value, 0, ty)), address),
            _ => return Err(Reason::Shape("an access").into()),
        };
        let place = self.place(memory, address, said.offset.into(), ty, flags)?;
        let untainted = place
            .root
            .is_some_and(|root| self.terms.taint(root).is_empty());
        let foreign = flags.readonly()
            && untainted
            && place
                .class
                .is_some_and(|class| !self.regions.is_stored(class));
        let access = Access {
            place,
            ty,
            order: flags.endianness(self.target.endianness),
            readonly: flags.readonly(),
            aligned: flags.aligned() && side == Side::Original,
            foreign,
            fixed: foreign && flags.notrap() && !self.regions.is_asynchronous(place.class),
        };
        Ok((access, value))
    }

    pub(super) fn place(
        &mut self,
        memory: &Memory,
        address: Term,
        offset: i64,
        ty: Type,
        flags: MemFlagsData,
    ) -> Step<Place> {
        let (root, by) = match self.terms.constant(address) {
            // All constants lie at a distance from 0.
            Some(bits) => {
                let ty = self.terms.ty(address);
                (self.terms.number(ty, 0), bits as i64)
            }
            None => self.terms.base(address),
        };
        let address_type = self.terms.ty(root);
        let start = sign_extend(by.wrapping_add(offset) as u64, address_type);
        let range = (!ty.is_dynamic_vector()).then(|| (start, ty.bytes()));
        let place = Place {
            root: Some(root),
            range,
            class: self.regions.class(flags),
        };
        if matches!(self.terms.node(root), Node::Slot(_))
            && !self.slots_are_left
            && !place.is_in_slot(&self.terms)
        {
            self.slots_are_left = true;
            return Err(Stopped::Restart);
        }
        if range.is_none() && !memory.is_private(&self.terms, &place) {
            return Ok(Place {
                root: None,
                ..place
            });
        }
        Ok(place)
    }

    /// Gives a term to the result of a load, given the bytes that it found.
    pub(super) fn loaded(&mut self, side: Side, inst: Inst, bytes: Term) {
        let func = self.func(side);
        let result = func.dfg.first_result(inst);
        let ty = func.dfg.value_type(result);
        let opcode = func.dfg.insts[inst].opcode();
        let unary = |opcode| InstructionData::Unary {
            opcode,
            arg: Value::from_u32(0),
        };
        let value = match kind(opcode) {
            Kind::Load(Reading::Unsigned(_)) => {
                let args = SmallVec::from_slice(&[bytes]);
                self.terms.op(unary(Opcode::Uextend), 0, ty, args)
            }
            Kind::Load(Reading::Signed(_)) => {
                let args = SmallVec::from_slice(&[bytes]);
                self.terms.op(unary(Opcode::Sextend), 0, ty, args)
            }
            Kind::Load(Reading::Parts) => {
                let args = SmallVec::from_slice(&[bytes]);
                self.terms.op(unary(opcode), 0, ty, args)
            }
            _ => bytes,
        };
        self.set(side, result, value);
    }

    /// An access that one side makes, and nobody sees.
    pub(super) fn one_sided_access(&mut self, path: &mut Path, side: Side, inst: Inst) -> Step<()> {
        if let Some(transfer) = Transfer::of(self.func(side), inst) {
            return self.transfer_by_original(path, inst, &transfer);
        }
        let (access, value) = self.access(&path.memory, side, inst)?;
        match value {
            Some(value) => {
                if side == Side::Original && !path.memory.is_private(&self.terms, &access.place) {
                    no_trap_ahead(path)?;
                }
                let value = self.as_compared(path, (side, inst), &access, value);
                path.memory
                    .store_one_sided(&mut self.terms, side, &access, value);
            }
            None => {
                let trap = self.trap_ahead(path, side, inst, &access)?;
                self.load(path, side, inst, &access, trap);
            }
        }
        if side == Side::Original {
            path.memory.tell_class(&self.terms, &access.place);
        }
        Ok(())
    }

    /// How a load by `side` alone may trap: of the result, if the original has not come through it
    /// yet; then a trap shows the same memory here. Of the original, if the result has.
    fn trap_ahead(
        &mut self,
        path: &Path,
        side: Side,
        inst: Inst,
        access: &Access,
    ) -> Step<Option<TrapCode>> {
        let Some(trap) = self.unsafe_trap(path, side, inst, access) else {
            return Ok(None);
        };
        match side {
            Side::Result => self.same_memory_at_trap(path).map(|()| Some(trap)),
            Side::Original => Ok(Some(trap)),
        }
    }

    /// The trap of an access that is not known to come through.
    pub(super) fn unsafe_trap(
        &self,
        path: &Path,
        side: Side,
        inst: Inst,
        access: &Access,
    ) -> Option<TrapCode> {
        let said = opcodes::access(self.func(side), inst)?;
        let (memory, terms) = (&path.memory, &self.terms);
        let safe =
            access.place.is_in_slot(terms) || memory.is_accessible(terms, access, said.writes);
        said.trap.filter(|_| !safe)
    }

    /// A load, which may trap so if only one side has come through it.
    pub(super) fn load(
        &mut self,
        path: &mut Path,
        side: Side,
        inst: Inst,
        access: &Access,
        trap: Option<TrapCode>,
    ) {
        let is_free = opcodes::access(self.func(side), inst)
            .is_some_and(|said| said.flags.can_move() && said.trap.is_none());
        if !is_free {
            let entry = (access.place, None, trap);
            path.memory.account(&self.terms, side, entry);
        }
        let bytes = match self.shared_pointer(side, inst) {
            Some(shared) => shared,
            None => path.memory.load(&mut self.terms, side, access),
        };
        self.loaded(side, inst, bytes);
    }

    /// The term of a load of which the policy says that it always gives the
    /// same pointer.
    pub(super) fn shared_pointer(&mut self, side: Side, inst: Inst) -> Option<Term> {
        let func = self.func(side);
        let InstructionData::Load {
            opcode: Opcode::Load,
            arg,
            flags,
            offset,
        } = func.dfg.insts[inst]
        else {
            return None;
        };
        let flags = func.dfg.mem_flags[flags];
        let region = func.dfg.alias_regions[flags.alias_region()?].user_id;
        let address = self.term(side, arg);
        let (_, by) = self.terms.base(address);
        let offset = by.wrapping_add(offset.into());
        if !flags.readonly() || !flags.notrap() || !self.policy.is_shared_pointer(region, offset) {
            return None;
        }
        let ty = func.dfg.value_type(func.dfg.first_result(inst));
        Some(self.terms.shared(region, offset, ty))
    }
}
