//! What one instruction does to memory: the optimizer's only classifier.
//!
//! Everything that the passes conclude begins here, so an opcode that is not
//! listed goes to the top of the lattice by what its own flags say: whatever
//! may load, store or have another side effect is a [`Effect::Barrier`] that reads
//! and writes [`Touch::Anything`].
//!
//! Three questions go beyond the kind of an effect, and each is answered here for
//! all instructions alike: what the instruction itself [reads](Effect::reads) and
//! [writes](Effect::writes), and which values it [publishes](for_each_published).

use crate::ir::{
    AliasRegion, DataFlowGraph, Function, Inst, InstructionData, MemFlagsData, Opcode, Type, Value,
    types,
};
use crate::memopt::inst::coercion::Load;
use crate::memopt::inst::transfer::{Range, Transfer};

/// What an instruction does to memory.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// Nothing, and it cannot end the function.
    None,
    /// A plain load or store.
    Access(Access),
    /// A call that comes back here, if it comes back.
    Call,
    /// A call of one of Cranelift's own functions on memory.
    Transfer(Transfer),
    /// Sees all memory but private slots, and may change it: atomics, fences,
    /// debug and sequence points, stack switches, and whatever is unknown.
    Barrier(Barrier),
    /// May trap, or always does; touches no memory.
    Trap,
    /// Leaves the function: a return or a tail call.
    End,
}

impl Effect {
    /// What the instruction itself may read; not what a callee does, or whoever
    /// else runs meanwhile.
    pub fn reads(&self) -> Touch {
        match self {
            Self::Access(access) if access.stored.is_none() => Touch::Place(access.place()),
            Self::Barrier(barrier) => barrier.reads,
            Self::Transfer(transfer) => {
                let mut read = transfer.read();
                match (read.next(), read.next()) {
                    (None, _) => Touch::Nothing,
                    (Some(range), None) => Touch::Place(Place::of_range(range)),
                    (Some(_), Some(_)) => Touch::Anything,
                }
            }
            Self::None | Self::Access(_) | Self::Call | Self::Trap | Self::End => Touch::Nothing,
        }
    }

    /// What the instruction itself may write; not what a callee does, or whoever
    /// else runs meanwhile.
    pub fn writes(&self) -> Touch {
        match self {
            Self::Access(access) if access.stored.is_some() => Touch::Place(access.place()),
            Self::Barrier(barrier) => barrier.writes,
            Self::Transfer(transfer) => match transfer.written() {
                Some(range) => Touch::Place(Place::of_range(range)),
                None => Touch::Nothing,
            },
            Self::None | Self::Access(_) | Self::Call | Self::Trap | Self::End => Touch::Nothing,
        }
    }
}

/// Memory that an instruction touches by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// None.
    Nothing,
    /// The bytes at this place.
    Place(Place),
    /// All but private slots.
    Anything,
}

impl Touch {
    /// The place, if it is one.
    pub fn place(self) -> Option<Place> {
        match self {
            Self::Place(place) => Some(place),
            Self::Nothing | Self::Anything => None,
        }
    }
}

/// Bytes, as an instruction names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The address, without the offset.
    pub address: Value,
    /// The offset that the instruction adds.
    pub offset: i32,
    /// How many bytes; `None` if the target decides, or the function when it runs.
    pub bytes: Option<u32>,
    /// The region that the access is tagged with.
    pub region: Option<AliasRegion>,
}

impl Place {
    /// What Cranelift's own functions touch, which name no region.
    pub fn of_range(range: Range) -> Self {
        Self {
            address: range.address,
            offset: 0,
            bytes: range.bytes,
            region: None,
        }
    }
}

/// What a [`Effect::Barrier`] does by itself, besides letting the world see and
/// change all memory but private slots.
#[derive(Clone, Copy, Debug)]
pub struct Barrier {
    /// What it reads.
    pub reads: Touch,
    /// What it writes.
    pub writes: Touch,
}

/// A plain load or store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Access {
    /// The value that is stored; `None` for a load.
    pub stored: Option<Value>,
    /// The address, without the offset.
    pub address: Value,
    /// The offset that the instruction adds.
    pub offset: i32,
    /// How many bytes; `None` for a type whose size the target decides.
    pub bytes: Option<u32>,
    /// How a load makes a value of the bytes; `None` for vector loads that
    /// extend, which are only ever equal to themselves.
    pub load: Option<Load>,
    /// The opcode.
    pub opcode: Opcode,
    /// The type of the value that is loaded or stored.
    pub ty: Type,
    /// The flags of the access.
    pub flags: MemFlagsData,
}

impl Access {
    /// The region that the access is tagged with.
    pub fn region(&self) -> Option<AliasRegion> {
        self.flags.alias_region()
    }

    /// The value that it takes to where nobody follows it: what it stores.
    pub fn published(&self) -> Option<Value> {
        self.stored
    }

    /// The bytes that are accessed.
    pub fn place(&self) -> Place {
        Place {
            address: self.address,
            offset: self.offset,
            bytes: self.bytes,
            region: self.region(),
        }
    }
}

/// Is `wanted` true of any instruction in the layout of `func`?
pub fn any_inst(func: &Function, wanted: impl Fn(Inst) -> bool) -> bool {
    let mut blocks = func.layout.blocks();
    blocks.any(|block| func.layout.block_insts(block).any(&wanted))
}

/// Is this one of the opcodes that most instructions have and that do nothing?
/// [`by_flags`] comes to the same for them, more slowly.
fn is_common(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Iconst
            | Opcode::Iadd
            | Opcode::Isub
            | Opcode::Imul
            | Opcode::Band
            | Opcode::Bor
            | Opcode::Bxor
            | Opcode::Ishl
            | Opcode::Ushr
            | Opcode::Sshr
            | Opcode::Rotl
            | Opcode::Icmp
            | Opcode::Select
            | Opcode::Uextend
            | Opcode::Sextend
            | Opcode::Ireduce
            | Opcode::Fadd
            | Opcode::Fsub
            | Opcode::Fmul
            | Opcode::StackAddr
            | Opcode::Jump
            | Opcode::Brif
            | Opcode::BrTable
    )
}

/// Does an instruction with this opcode compute one value, and nothing else? Of the most
/// frequent opcodes only.
pub fn is_common_value(opcode: Opcode) -> bool {
    is_common(opcode) && !opcode.is_branch()
}

/// Do two loads differ in their addresses alone?
pub fn are_loads_alike(dfg: &DataFlowGraph, a: Inst, b: Inst) -> bool {
    let (mut data, other) = (dfg.insts[a], dfg.insts[b]);
    if let (InstructionData::Load { arg, .. }, InstructionData::Load { arg: theirs, .. }) =
        (&mut data, other)
    {
        *arg = theirs;
    }
    let ty = |inst: Inst| dfg.value_type(dfg.first_result(inst));
    data == other && ty(a) == ty(b)
}

/// What `inst` does to memory.
pub fn effect(func: &Function, inst: Inst) -> Effect {
    let data = &func.dfg.insts[inst];
    let opcode = data.opcode();
    if is_common(opcode) {
        return Effect::None;
    }
    match opcode {
        Opcode::Load
        | Opcode::Uload8
        | Opcode::Sload8
        | Opcode::Uload16
        | Opcode::Sload16
        | Opcode::Uload32
        | Opcode::Sload32
        | Opcode::Uload8x8
        | Opcode::Sload8x8
        | Opcode::Uload16x4
        | Opcode::Sload16x4
        | Opcode::Uload32x2
        | Opcode::Sload32x2
        | Opcode::Store
        | Opcode::Istore8
        | Opcode::Istore16
        | Opcode::Istore32 => match access(func, inst, data) {
            Some(access) => Effect::Access(access),
            None => Effect::Barrier(Barrier::UNKNOWN),
        },
        Opcode::Call => match Transfer::of(func, inst) {
            Some(transfer) => Effect::Transfer(transfer),
            None => Effect::Call,
        },
        Opcode::CallIndirect | Opcode::TryCall | Opcode::TryCallIndirect => Effect::Call,
        Opcode::Return | Opcode::ReturnCall | Opcode::ReturnCallIndirect => Effect::End,
        opcode => match by_flags(opcode) {
            Effect::Barrier(_) => Effect::Barrier(barrier(func, inst)),
            effect => effect,
        },
    }
}

impl Barrier {
    /// One of which nothing is known.
    const UNKNOWN: Self = Self {
        reads: Touch::Anything,
        writes: Touch::Anything,
    };

    /// One that touches no memory itself.
    const BARE: Self = Self {
        reads: Touch::Nothing,
        writes: Touch::Nothing,
    };
}

/// What the barrier `inst` does by itself.
///
/// A debugger that stops at a debug or sequence point may write anything, and
/// nothing says that this is a call.
fn barrier(func: &Function, inst: Inst) -> Barrier {
    let dfg = &func.dfg;
    let at = |address, ty: Type, flags| {
        Touch::Place(Place {
            address: dfg.resolve_aliases(address),
            offset: 0,
            bytes: (!ty.is_dynamic_vector()).then(|| ty.bytes()),
            region: dfg.mem_flags[flags].alias_region(),
        })
    };
    let result = || dfg.value_type(dfg.first_result(inst));
    match dfg.insts[inst] {
        InstructionData::LoadNoOffset {
            opcode: Opcode::AtomicLoad,
            arg,
            flags,
        } => Barrier {
            reads: at(arg, result(), flags),
            writes: Touch::Nothing,
        },
        InstructionData::StoreNoOffset {
            opcode: Opcode::AtomicStore,
            args: [value, address],
            flags,
        } => Barrier {
            reads: Touch::Nothing,
            writes: at(address, dfg.value_type(value), flags),
        },
        InstructionData::AtomicRmw {
            args: [address, _],
            flags,
            ..
        }
        | InstructionData::AtomicCas {
            args: [address, ..],
            flags,
            ..
        } => Barrier {
            reads: at(address, result(), flags),
            writes: at(address, result(), flags),
        },
        InstructionData::Ternary {
            opcode: Opcode::StackSwitch,
            args: [store, load, _],
        } => Barrier {
            reads: context(dfg.resolve_aliases(load)),
            writes: context(dfg.resolve_aliases(store)),
        },
        InstructionData::NullAry {
            opcode: Opcode::Fence | Opcode::GetPinnedReg,
        }
        | InstructionData::Unary {
            opcode: Opcode::SetPinnedReg,
            ..
        } => Barrier::BARE,
        _ => Barrier::UNKNOWN,
    }
}

/// What describes a suspended stack: how large that is, the target decides.
fn context(address: Value) -> Touch {
    Touch::Place(Place {
        address,
        offset: 0,
        bytes: None,
        region: None,
    })
}

/// Calls `visit` with each value that `inst` takes to where nobody follows it: what it
/// stores, hands to a callee or an unwinder, returns, or computes with. The address
/// of a plain access stays here, as do those that are passed to Cranelift's own functions on
/// memory, and a comparison tells nobody what it compares.
/// Arguments of blocks are the business of whoever follows values into blocks,
/// unless a call passes them. `effect` is what `inst` does.
pub fn for_each_published(func: &Function, inst: Inst, effect: &Effect, visit: impl FnMut(Value)) {
    let dfg = &func.dfg;
    if matches!(dfg.insts[inst], InstructionData::IntCompare { .. }) {
        return;
    }
    match effect {
        Effect::Access(access) => access.published().into_iter().for_each(visit),
        Effect::Transfer(transfer) => transfer.others().iter().copied().for_each(visit),
        Effect::None | Effect::Call | Effect::Barrier(_) | Effect::Trap | Effect::End => {
            let opcode = dfg.insts[inst].opcode();
            if opcode.is_call() {
                // Also what an exception table hands to the unwinder.
                dfg.inst_values(inst).for_each(visit);
            } else if !opcode.is_branch() {
                dfg.inst_args(inst).iter().copied().for_each(visit);
            }
        }
    }
}

/// What an opcode does that is not listed, by what its own flags say.
fn by_flags(opcode: Opcode) -> Effect {
    match opcode {
        opcode if opcode.is_call() => Effect::Barrier(Barrier::UNKNOWN),
        opcode if opcode.can_load() || opcode.can_store() || opcode.other_side_effects() => {
            Effect::Barrier(Barrier::UNKNOWN)
        }
        opcode if opcode.is_return() => Effect::End,
        opcode if opcode.can_trap() => Effect::Trap,
        _ => Effect::None,
    }
}

fn access(func: &Function, inst: Inst, data: &InstructionData) -> Option<Access> {
    let dfg = &func.dfg;
    let (stored, address, flags, offset) = match *data {
        InstructionData::Load {
            arg, flags, offset, ..
        } => (None, arg, flags, offset),
        InstructionData::Store {
            args: [value, address],
            flags,
            offset,
            ..
        } => (Some(dfg.resolve_aliases(value)), address, flags, offset),
        _ => return None,
    };
    let ty = match stored {
        Some(value) => dfg.value_type(value),
        None => dfg.value_type(dfg.first_result(inst)),
    };
    let opcode = data.opcode();
    Some(Access {
        stored,
        address: dfg.resolve_aliases(address),
        offset: offset.into(),
        bytes: bytes(opcode, ty),
        load: stored.is_none().then(|| load(opcode, ty)).flatten(),
        opcode,
        ty,
        flags: dfg.mem_flags[flags],
    })
}

fn bytes(opcode: Opcode, ty: Type) -> Option<u32> {
    match opcode {
        Opcode::Load | Opcode::Store => (!ty.is_dynamic_vector()).then(|| ty.bytes()),
        Opcode::Uload8 | Opcode::Sload8 | Opcode::Istore8 => Some(1),
        Opcode::Uload16 | Opcode::Sload16 | Opcode::Istore16 => Some(2),
        Opcode::Uload32 | Opcode::Sload32 | Opcode::Istore32 => Some(4),
        Opcode::Uload8x8
        | Opcode::Sload8x8
        | Opcode::Uload16x4
        | Opcode::Sload16x4
        | Opcode::Uload32x2
        | Opcode::Sload32x2 => Some(8),
        _ => None,
    }
}

fn load(opcode: Opcode, wide: Type) -> Option<Load> {
    let zero = |narrow| Some(Load::Zero { narrow, wide });
    let sign = |narrow| Some(Load::Sign { narrow, wide });
    match opcode {
        Opcode::Load => Some(Load::Plain { ty: wide }),
        Opcode::Uload8 => zero(types::I8),
        Opcode::Uload16 => zero(types::I16),
        Opcode::Uload32 => zero(types::I32),
        Opcode::Sload8 => sign(types::I8),
        Opcode::Sload16 => sign(types::I16),
        Opcode::Sload32 => sign(types::I32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_opcodes_do_nothing() {
        let common = Opcode::all().iter().filter(|opcode| is_common(**opcode));
        for opcode in common {
            assert!(matches!(by_flags(*opcode), Effect::None), "{opcode}");
        }
    }
}
