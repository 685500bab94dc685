//! What nobody has written: bytes of slots at the beginning of a function.
//!
//! The bytes of a slot that is private hold zero until the function writes them. That is a
//! premise of the proof, as the contract has it; the oracle runs programs on such memory. Of a
//! slot that the outside can name from the start nothing is known.
//!
//! It matters where the result does not load any more what the original loads. Where both do,
//! they find the same, whatever it is.

use super::walker::Walk;
use crate::fact::{MAX_FACTS, Passed};
use crate::memory::Memory;
use crate::opcodes;
use crate::place::{Access, Place};
use crate::side::Side;
use crate::slot_set::SlotSet;
use crate::terms::Term;
use crate::vectors::is_vector;
use cranelift_codegen::FxHashSet;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{
    BlockArg, Endianness, Function, Inst, InstructionData, Opcode, StackSlot, Type, Value, types,
};
use smallvec::SmallVec;

/// Bytes of which it is said at the beginning that they are zero. What is given up beyond it is
/// that a load of others finds zero.
const MAX_UNWRITTEN: usize = MAX_FACTS / 2;

/// Scans over a function for the addresses of slots that blocks pass to each other. Beyond it none
/// is known.
const MAX_SCANS: usize = 8;

/// Some bytes of a slot, and how they are loaded.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Bytes {
    slot: StackSlot,
    start: i64,
    ty: Type,
    order: Endianness,
}

impl Walk<'_> {
    /// The original loads these bytes, if nobody has written them, as zero.
    ///
    /// Only loads at known offsets are looked at, of one slot or of one of a few. Bytes that are
    /// loaded in two widths are known as the wider one.
    pub(super) fn know_unwritten_slots(&mut self, memory: &mut Memory, named: SlotSet) {
        if self.slots_are_left {
            return;
        }
        let order = self.target.endianness;
        let mut loaded = slot_loads(self.func(Side::Original), order);
        if loaded.is_empty() {
            return;
        }
        let still = slot_loads(self.func(Side::Result), order);
        loaded.retain(|bytes| !still.iter().any(|other| overlap(bytes, other)));
        // The wider ones first, where several begin at one byte.
        loaded.sort_by_key(|it| (it.slot, it.start, u32::MAX - it.ty.bytes()));
        let mut last: Option<Bytes> = None;
        let mut left = MAX_UNWRITTEN;
        for bytes in loaded {
            let Bytes {
                slot,
                start,
                ty,
                order,
            } = bytes;
            if last.is_some_and(|last| overlap(&last, &bytes)) || named.has(slot) || left == 0 {
                continue;
            }
            last = Some(bytes);
            let Some(zero) = self.zero(ty) else {
                continue;
            };
            let root = self.terms.slot(slot, self.pointer_type());
            let place = Place {
                root: Some(root),
                range: Some((start, ty.bytes())),
                class: None,
            };
            if !place.is_in_slot(&self.terms) {
                continue;
            }
            left -= 1;
            let access = Access::plain(place, ty, order);
            memory.learn(&access, zero, Side::Original.bit(), true, Passed::Nothing);
        }
    }

    fn zero(&mut self, ty: Type) -> Option<Term> {
        if is_vector(ty) || matches!(ty, types::I128 | types::F128) {
            return Some(self.terms.wide_number(0, ty));
        }
        let is_small = (ty.is_int() || ty.is_float()) && ty.bits() <= 64;
        let integer = Type::int(ty.bits() as u16).filter(|_| is_small)?;
        let zero = self.terms.number(integer, 0);
        Some(self.terms.cast(zero, ty))
    }

    fn pointer_type(&self) -> Type {
        Type::int(self.target.pointer_bits as u16).expect("pointers are integers")
    }
}

fn overlap(a: &Bytes, b: &Bytes) -> bool {
    let end = |it: &Bytes| it.start + i64::from(it.ty.bytes());
    a.slot == b.slot && a.start < end(b) && b.start < end(a)
}

/// The bytes of slots that `func` loads; `order` is that of loads that name none.
fn slot_loads(func: &Function, order: Endianness) -> Vec<Bytes> {
    let mut loaded = Vec::new();
    let mut known = FxHashSet::default();
    if func.sized_stack_slots.is_empty() {
        return loaded;
    }
    let addresses = Addresses::new(func);
    for inst in insts(func) {
        let Some(said) = opcodes::access(func, inst).filter(|said| !said.writes) else {
            continue;
        };
        let address = func.dfg.inst_args(inst)[0];
        if said.ty.is_dynamic_vector() {
            continue;
        }
        for &(slot, at) in addresses.of(func, address) {
            let bytes = Bytes {
                slot,
                start: at.wrapping_add(said.offset.into()),
                ty: said.ty,
                order: said.flags.endianness(order),
            };
            if known.insert(bytes) {
                loaded.push(bytes);
            }
        }
    }
    loaded
}

fn insts(func: &Function) -> impl Iterator<Item = Inst> + '_ {
    let blocks = func.layout.blocks();
    blocks.flat_map(|block| func.layout.block_insts(block))
}

/// Addresses that one value may be, where paths meet or an instruction selects. Of more nothing is
/// known.
const MAX_PLACES: usize = 4;

/// What is known about a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Known {
    #[default]
    Unseen,
    /// One of these, in order.
    At(SmallVec<[(StackSlot, i64); 1]>),
    Else,
}

impl Known {
    /// One or the other.
    fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (it, Self::Unseen) | (Self::Unseen, it) => it.clone(),
            (Self::At(mine), Self::At(theirs)) => {
                let mut all = mine.clone();
                all.extend(theirs.iter().copied());
                all.sort_unstable();
                all.dedup();
                match all.len() {
                    ..=MAX_PLACES => Self::At(all),
                    _ => Self::Else,
                }
            }
            (Self::Else, _) | (_, Self::Else) => Self::Else,
        }
    }
}

/// Which values are addresses in slots at constant offsets.
struct Addresses {
    known: SecondaryMap<Value, Known>,
}

impl Addresses {
    fn new(func: &Function) -> Self {
        let mut this = Self {
            known: SecondaryMap::new(),
        };
        for _ in 0..MAX_SCANS {
            if !this.scan(func) {
                return this;
            }
        }
        this.known.clear();
        this
    }

    /// The addresses one of which the value is; none if it may be another one.
    fn of(&self, func: &Function, value: Value) -> &[(StackSlot, i64)] {
        match &self.known[func.dfg.resolve_aliases(value)] {
            Known::At(places) => places,
            Known::Unseen | Known::Else => &[],
        }
    }

    /// Updates every value; has any changed?
    fn scan(&mut self, func: &Function) -> bool {
        let mut changed = false;
        for inst in insts(func) {
            if let [result] = func.dfg.inst_results(inst) {
                let new = self.result(func, inst);
                changed |= self.known[*result] != new;
                self.known[*result] = new;
            }
            let dfg = &func.dfg;
            let data = &dfg.insts[inst];
            for call in data.branch_destination(&dfg.jump_tables, &dfg.exception_tables) {
                let params = dfg.block_params(call.block(&dfg.value_lists));
                for (param, arg) in params.iter().zip(call.args(&dfg.value_lists)) {
                    let new = match arg {
                        BlockArg::Value(value) => {
                            self.known[*param].or(&self.known[dfg.resolve_aliases(value)])
                        }
                        BlockArg::TryCallRet(_) | BlockArg::TryCallExn(_) => Known::Else,
                    };
                    changed |= self.known[*param] != new;
                    self.known[*param] = new;
                }
            }
        }
        changed
    }

    fn result(&self, func: &Function, inst: Inst) -> Known {
        let known = |value: Value| &self.known[func.dfg.resolve_aliases(value)];
        match func.dfg.insts[inst] {
            InstructionData::StackAddr {
                stack_slot, offset, ..
            } => Known::At(SmallVec::from_slice(&[(stack_slot, offset.into())])),
            InstructionData::Ternary {
                opcode: Opcode::Select,
                args: [_, yes, no],
            } => known(yes).or(known(no)),
            _ => {
                let Some((base, by)) = opcodes::plus_constant(&func.dfg, inst) else {
                    return Known::Else;
                };
                let mut moved = known(base).clone();
                if let Known::At(places) = &mut moved {
                    for (_, at) in places {
                        *at = at.wrapping_add(by);
                    }
                }
                moved
            }
        }
    }
}
