//! What each opcode does to memory, to the graph, and to the end of a run.
//!
//! This is the checker's own table. It was written from the definitions of the
//! instructions and not from the optimizer's
//! `memopt::inst::effect`, with which a test compares it.
//! An opcode that is not listed sees and changes all memory, and so does itself what it
//! lets others do.

use cranelift_codegen::ir::{
    DataFlowGraph, Function, Inst, InstructionData, MemFlagsData, Opcode, TrapCode, Type, Value,
    types,
};

/// What an instruction is to the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its results are a function of its arguments, and it does nothing else.
    Pure,
    /// As [`Kind::Pure`], if it does not trap.
    PureOrTrap,
    /// Traps if a condition holds, and does nothing else.
    ConditionalTrap,
    /// Does nothing at all.
    Nothing,
    /// Reads memory.
    Load(Reading),
    /// Writes memory.
    Store(Writing),
    /// Runs another function, and goes on behind it.
    Call,
    /// Runs another function, and goes on in one of several blocks.
    TryCall,
    /// Sees all memory but private slots, and may change it.
    Barrier,
    /// Goes on in a block.
    Jump,
    /// Goes on in one of two blocks.
    Branch,
    /// Goes on in one of many blocks.
    Switch,
    /// Ends the function.
    Return,
    /// Ends the function in favour of another one.
    TailCall,
    /// Ends the program.
    Trap,
}

/// What a load makes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A value of the type of the result.
    Whole,
    /// An integer of this type, extended with zeros.
    Unsigned(Type),
    /// An integer of this type, extended with its sign.
    Signed(Type),
    /// Eight bytes, each part of which is extended.
    Parts,
}

/// What a store makes of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// All of its bytes.
    Whole,
    /// The low bits, an integer of this type.
    Low(Type),
}

/// What an access to memory says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The type of the bytes in memory.
    pub ty: Type,
    /// Is it a store?
    pub writes: bool,
    /// What it adds to its address.
    pub offset: i32,
    /// How it traps, if it may.
    pub trap: Option<TrapCode>,
    /// Its flags.
    pub flags: MemFlagsData,
}

/// What the load or store `inst` says; `None` for other instructions.
pub fn access(func: &Function, inst: Inst) -> Option<Access> {
    let dfg = &func.dfg;
    let data = &dfg.insts[inst];
    let (offset, flags) = match *data {
        InstructionData::Load { offset, flags, .. }
        | InstructionData::Store { offset, flags, .. } => (offset, dfg.mem_flags[flags]),
        _ => return None,
    };
    let (ty, writes) = match kind(data.opcode()) {
        Kind::Load(Reading::Whole) => (dfg.value_type(dfg.first_result(inst)), false),
        Kind::Load(Reading::Unsigned(ty) | Reading::Signed(ty)) => (ty, false),
        Kind::Load(Reading::Parts) => (types::I64, false),
        Kind::Store(Writing::Whole) => (dfg.value_type(dfg.inst_args(inst)[0]), true),
        Kind::Store(Writing::Low(ty)) => (ty, true),
        _ => return None,
    };
    Some(Access {
        ty,
        writes,
        offset: offset.into(),
        trap: flags.trap_code(),
        flags,
    })
}

/// The value that `inst` adds a constant to, and the constant.
pub fn plus_constant(dfg: &DataFlowGraph, inst: Inst) -> Option<(Value, i64)> {
    let InstructionData::Binary { opcode, args } = dfg.insts[inst] else {
        return None;
    };
    let constant = |value: Value| {
        let value = dfg.resolve_aliases(value);
        let inst = dfg.value_def(value).inst()?;
        match dfg.insts[inst] {
            InstructionData::UnaryImm { imm, .. } => {
                let bits = dfg.value_type(value).bits();
                Some(imm.sign_extend_from_width(bits).bits())
            }
            _ => None,
        }
    };
    match (opcode, constant(args[0]), constant(args[1])) {
        (Opcode::Iadd, _, Some(by)) => Some((args[0], by)),
        (Opcode::Iadd, Some(by), None) => Some((args[1], by)),
        (Opcode::Isub, _, Some(by)) => Some((args[0], by.wrapping_neg())),
        _ => None,
    }
}

/// Memory that an instruction reads, or writes, by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// None.
    Nothing,
    /// These bytes.
    At(Bytes),
    /// Any but private slots.
    Anything,
}

/// Bytes, as an instruction names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// The address, as it stands in the instruction.
    pub address: Value,
    /// What is added to it.
    pub offset: i32,
    /// How many there are: those of this type; `None` if the target decides.
    pub ty: Option<Type>,
    /// What the instruction says about them; `None` if it cannot say anything.
    pub flags: Option<MemFlagsData>,
}

/// What `inst` itself reads, and what it writes. What a callee, another thread or another
/// stack does before `inst` is through is not in it.
///
/// `readonly` is a promise about those others. What the function itself writes, a later
/// `readonly` load observes.
pub fn touched(func: &Function, inst: Inst) -> [Touched; 2] {
    use Touched::{Anything, At, Nothing};
    let dfg = &func.dfg;
    let args = dfg.inst_args(inst);
    let flags = dfg.insts[inst].memflags_data(dfg);
    let whole = |address: Value, ty: Type| {
        At(Bytes {
            address,
            offset: 0,
            ty: Some(ty),
            flags,
        })
    };
    let result = || dfg.value_type(dfg.first_result(inst));
    match dfg.insts[inst].opcode() {
        // "Atomically load from memory at `p`."
        Opcode::AtomicLoad => [whole(args[0], result()), Nothing],
        // "Atomically store `x` to memory at `p`."
        Opcode::AtomicStore => [Nothing, whole(args[1], dfg.value_type(args[0]))],
        // "Atomically read-modify-write memory at `p`", and "perform an atomic
        // compare-and-swap operation on memory at `p`".
        Opcode::AtomicRmw | Opcode::AtomicCas => [whole(args[0], result()); 2],
        // "stores analogous information about the current stack at `store_context_ptr`",
        // the first argument; the data that is loaded is "at `load_context_ptr`". Their
        // "size, alignment and layout is platform-dependent".
        Opcode::StackSwitch => [args[1], args[0]].map(|address| {
            At(Bytes {
                address,
                offset: 0,
                ty: None,
                flags: None,
            })
        }),
        // A fence orders what others do, and the pinned register is no memory.
        Opcode::Fence | Opcode::GetPinnedReg | Opcode::SetPinnedReg => [Nothing; 2],
        opcode => match (kind(opcode), access(func, inst)) {
            (Kind::Load(_) | Kind::Store(_), Some(access)) => {
                let bytes = At(Bytes {
                    address: args[usize::from(access.writes)],
                    offset: access.offset,
                    ty: Some(access.ty),
                    flags,
                });
                match access.writes {
                    true => [Nothing, bytes],
                    false => [bytes, Nothing],
                }
            }
            // A debugger may write anything where it stops, and who knows what an unknown
            // instruction does.
            (Kind::Barrier | Kind::Load(_) | Kind::Store(_), _) => [Anything; 2],
            (
                Kind::Pure
                | Kind::PureOrTrap
                | Kind::ConditionalTrap
                | Kind::Nothing
                | Kind::Call
                | Kind::TryCall
                | Kind::Jump
                | Kind::Branch
                | Kind::Switch
                | Kind::Return
                | Kind::TailCall
                | Kind::Trap,
                _,
            ) => [Nothing; 2],
        },
    }
}

/// Looks up an opcode.
pub fn kind(opcode: Opcode) -> Kind {
    match opcode {
        Opcode::Jump => Kind::Jump,
        Opcode::Brif => Kind::Branch,
        Opcode::BrTable => Kind::Switch,
        Opcode::Trap => Kind::Trap,
        Opcode::Trapz | Opcode::Trapnz => Kind::ConditionalTrap,
        Opcode::Return => Kind::Return,
        Opcode::ReturnCall | Opcode::ReturnCallIndirect => Kind::TailCall,
        Opcode::Call | Opcode::CallIndirect => Kind::Call,
        Opcode::TryCall | Opcode::TryCallIndirect => Kind::TryCall,
        Opcode::Nop => Kind::Nothing,
        Opcode::Load => Kind::Load(Reading::Whole),
        Opcode::Uload8 => Kind::Load(Reading::Unsigned(types::I8)),
        Opcode::Uload16 => Kind::Load(Reading::Unsigned(types::I16)),
        Opcode::Uload32 => Kind::Load(Reading::Unsigned(types::I32)),
        Opcode::Sload8 => Kind::Load(Reading::Signed(types::I8)),
        Opcode::Sload16 => Kind::Load(Reading::Signed(types::I16)),
        Opcode::Sload32 => Kind::Load(Reading::Signed(types::I32)),
        Opcode::Uload8x8
        | Opcode::Sload8x8
        | Opcode::Uload16x4
        | Opcode::Sload16x4
        | Opcode::Uload32x2
        | Opcode::Sload32x2 => Kind::Load(Reading::Parts),
        Opcode::Store => Kind::Store(Writing::Whole),
        Opcode::Istore8 => Kind::Store(Writing::Low(types::I8)),
        Opcode::Istore16 => Kind::Store(Writing::Low(types::I16)),
        Opcode::Istore32 => Kind::Store(Writing::Low(types::I32)),
        Opcode::Udiv
        | Opcode::Sdiv
        | Opcode::Urem
        | Opcode::Srem
        | Opcode::UaddOverflowTrap
        | Opcode::FcvtToUint
        | Opcode::FcvtToSint => Kind::PureOrTrap,
        other if is_pure(other) => Kind::Pure,
        // Atomics, fences, points for debuggers, switches of stacks, the pinned
        // register, and whatever a later version may add.
        _ => Kind::Barrier,
    }
}

fn is_pure(opcode: Opcode) -> bool {
    is_address_or_constant(opcode) || is_integer(opcode) || is_float(opcode) || is_vector(opcode)
}

/// Constants, and what has one value for as long as the function runs.
fn is_address_or_constant(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::FuncAddr
            | Opcode::StackAddr
            | Opcode::DynamicStackAddr
            | Opcode::SymbolValue
            | Opcode::TlsValue
            | Opcode::GetFramePointer
            | Opcode::GetStackPointer
            | Opcode::GetReturnAddress
            | Opcode::GetExceptionHandlerAddress
            | Opcode::Iconst
            | Opcode::F16const
            | Opcode::F32const
            | Opcode::F64const
            | Opcode::F128const
            | Opcode::Vconst
    )
}

fn is_integer(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Select
            | Opcode::SelectSpectreGuard
            | Opcode::Bitselect
            | Opcode::Icmp
            | Opcode::Iadd
            | Opcode::Isub
            | Opcode::Ineg
            | Opcode::Iabs
            | Opcode::Imul
            | Opcode::Umulhi
            | Opcode::Smulhi
            | Opcode::Smin
            | Opcode::Umin
            | Opcode::Smax
            | Opcode::Umax
            | Opcode::AvgRound
            | Opcode::UaddSat
            | Opcode::SaddSat
            | Opcode::UsubSat
            | Opcode::SsubSat
            | Opcode::SqmulRoundSat
            | Opcode::SaddOverflowCin
            | Opcode::UaddOverflowCin
            | Opcode::UaddOverflow
            | Opcode::SaddOverflow
            | Opcode::UsubOverflow
            | Opcode::SsubOverflow
            | Opcode::UmulOverflow
            | Opcode::SmulOverflow
            | Opcode::SsubOverflowBin
            | Opcode::UsubOverflowBin
            | Opcode::Band
            | Opcode::Bor
            | Opcode::Bxor
            | Opcode::Bnot
            | Opcode::Rotl
            | Opcode::Rotr
            | Opcode::Ishl
            | Opcode::Ushr
            | Opcode::Sshr
            | Opcode::Bitrev
            | Opcode::Clz
            | Opcode::Cls
            | Opcode::Ctz
            | Opcode::Bswap
            | Opcode::Popcnt
            | Opcode::Bitcast
            | Opcode::Bmask
            | Opcode::Ireduce
            | Opcode::Uextend
            | Opcode::Sextend
            | Opcode::Isplit
            | Opcode::Iconcat
    )
}

fn is_float(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Fcmp
            | Opcode::Fadd
            | Opcode::Fsub
            | Opcode::Fmul
            | Opcode::Fdiv
            | Opcode::Sqrt
            | Opcode::Fma
            | Opcode::Fneg
            | Opcode::Fabs
            | Opcode::Fcopysign
            | Opcode::Fmin
            | Opcode::Fmax
            | Opcode::Ceil
            | Opcode::Floor
            | Opcode::Trunc
            | Opcode::Nearest
            | Opcode::Fpromote
            | Opcode::Fdemote
            | Opcode::FcvtToUintSat
            | Opcode::FcvtToSintSat
            | Opcode::FcvtFromUint
            | Opcode::FcvtFromSint
    )
}

fn is_vector(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Splat
            | Opcode::Swizzle
            | Opcode::X86Pshufb
            | Opcode::Insertlane
            | Opcode::Extractlane
            | Opcode::Shuffle
            | Opcode::Blendv
            | Opcode::VanyTrue
            | Opcode::VallTrue
            | Opcode::VhighBits
            | Opcode::X86Pmulhrsw
            | Opcode::ScalarToVector
            | Opcode::Snarrow
            | Opcode::Unarrow
            | Opcode::Uunarrow
            | Opcode::SwidenLow
            | Opcode::SwidenHigh
            | Opcode::UwidenLow
            | Opcode::UwidenHigh
            | Opcode::IaddPairwise
            | Opcode::X86Pmaddubsw
            | Opcode::Fvdemote
            | Opcode::FvpromoteLow
            | Opcode::X86Cvtt2dq
            | Opcode::ExtractVector
    )
}
