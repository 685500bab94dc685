//! The table of opcodes that the optimizer uses and the one that the checker
//! uses were written apart. They have to agree on every opcode, and on what
//! every combination of flags says about an access.

use cranelift_codegen::ir::{
    AliasRegionData, AtomicRmwOp, Endianness, Function, Inst, InstructionData, MemFlagsData,
    Opcode, TrapCode, Type, types,
};
use cranelift_memopt::memopt::inst::coercion::Load;
use cranelift_memopt::memopt::inst::effect::{self, Effect, Touch, effect};
use memopt_check::opcodes::{self, Kind, Reading, Touched, Writing, kind, touched};

/// An instruction that is nothing but its opcode.
fn bare(func: &mut Function, opcode: Opcode) -> Inst {
    func.dfg.make_inst(InstructionData::NullAry { opcode })
}

#[test]
fn the_tables_agree_on_every_opcode() {
    let mut func = Function::new();
    for opcode in Opcode::all() {
        let kind = kind(*opcode);
        if matches!(kind, Kind::Load(_) | Kind::Store(_)) {
            // These are nothing without an address; see the other test.
            continue;
        }
        let inst = bare(&mut func, *opcode);
        let agree = match effect(&func, inst) {
            Effect::None => matches!(
                kind,
                Kind::Pure | Kind::Nothing | Kind::Jump | Kind::Branch | Kind::Switch
            ),
            Effect::Trap => {
                matches!(kind, Kind::PureOrTrap | Kind::ConditionalTrap | Kind::Trap)
            }
            Effect::Call => matches!(kind, Kind::Call | Kind::TryCall),
            Effect::Barrier(_) => kind == Kind::Barrier,
            Effect::End => matches!(kind, Kind::Return | Kind::TailCall),
            Effect::Access(_) | Effect::Transfer(_) => false,
        };
        assert!(agree, "{opcode}: {kind:?}");
    }
}

/// Cranelift's own flags, as a third opinion.
#[test]
fn the_table_agrees_with_upstream() {
    for opcode in Opcode::all() {
        let kind = kind(*opcode);
        assert_eq!(
            matches!(kind, Kind::Load(_) | Kind::Store(_))
                || (kind == Kind::Barrier && (opcode.can_load() || opcode.can_store())),
            opcode.can_load() || opcode.can_store(),
            "{opcode}"
        );
        let ends_block = matches!(
            kind,
            Kind::Jump
                | Kind::Branch
                | Kind::Switch
                | Kind::TryCall
                | Kind::Return
                | Kind::TailCall
                | Kind::Trap
        );
        assert_eq!(ends_block, opcode.is_terminator(), "{opcode}");
        if opcode.can_trap() {
            assert!(
                matches!(
                    kind,
                    Kind::PureOrTrap | Kind::ConditionalTrap | Kind::Trap | Kind::Barrier
                ),
                "{opcode}"
            );
        }
        if opcode.other_side_effects() {
            assert_eq!(kind, Kind::Barrier, "{opcode}");
        }
    }
}

/// Every combination of flags that an access can carry.
fn all_flags(func: &mut Function) -> Vec<MemFlagsData> {
    let region = func.dfg.alias_regions.insert(AliasRegionData {
        user_id: 7,
        description: "a region".into(),
    });
    let mut all = Vec::new();
    for bits in 0..16u32 {
        let bit = |at: u32| bits & (1 << at) != 0;
        for order in [None, Some(Endianness::Little), Some(Endianness::Big)] {
            for trap in [None, Some(TrapCode::HEAP_OUT_OF_BOUNDS), TrapCode::user(3)] {
                let mut flags = MemFlagsData::new().with_trap_code(trap);
                flags.set_alias_region(bit(0).then_some(region));
                if bit(1) {
                    flags.set_readonly();
                }
                if bit(2) {
                    flags.set_can_move();
                }
                if bit(3) {
                    flags.set_aligned();
                }
                if let Some(order) = order {
                    flags.set_endianness(order);
                }
                all.push(flags);
            }
        }
    }
    all
}

/// The types of the value of an access.
fn value_types(opcode: Opcode) -> Vec<Type> {
    match kind(opcode) {
        Kind::Load(Reading::Whole) | Kind::Store(Writing::Whole) => vec![
            types::I8,
            types::I16,
            types::I32,
            types::I64,
            types::I128,
            types::F16,
            types::F32,
            types::F64,
            types::F128,
            types::I8X16,
            types::I32X4,
            types::F64X2,
        ],
        Kind::Load(Reading::Parts) => vec![types::I16X8, types::I32X4, types::I64X2],
        _ => vec![types::I16, types::I32, types::I64]
            .into_iter()
            .filter(|ty| ty.bytes() > narrow(opcode).map_or(0, |narrow| narrow.bytes()))
            .collect(),
    }
}

fn narrow(opcode: Opcode) -> Option<Type> {
    match kind(opcode) {
        Kind::Load(Reading::Unsigned(ty) | Reading::Signed(ty)) => Some(ty),
        Kind::Store(Writing::Low(ty)) => Some(ty),
        _ => None,
    }
}

/// One access in a function of its own block.
fn make(func: &mut Function, opcode: Opcode, ty: Type, flags: MemFlagsData) -> Inst {
    let block = func.dfg.make_block();
    let address = func.dfg.append_block_param(block, types::I64);
    let flags = func.dfg.mem_flags.insert(flags).unwrap();
    let offset = 24.into();
    if matches!(kind(opcode), Kind::Store(_)) {
        let value = func.dfg.append_block_param(block, ty);
        func.dfg.make_inst(InstructionData::Store {
            opcode,
            args: [value, address],
            flags,
            offset,
        })
    } else {
        let inst = func.dfg.make_inst(InstructionData::Load {
            opcode,
            arg: address,
            flags,
            offset,
        });
        func.dfg.make_inst_results(inst, ty);
        inst
    }
}

fn compare(opcode: Opcode, ours: &effect::Access, theirs: &opcodes::Access) {
    assert_eq!(ours.stored.is_some(), theirs.writes, "{opcode}");
    assert_eq!(ours.bytes, Some(theirs.ty.bytes()), "{opcode}");
    assert_eq!(ours.offset, theirs.offset, "{opcode}");
    assert_eq!(ours.flags, theirs.flags, "{opcode}");
    assert_eq!(ours.flags.trap_code(), theirs.trap, "{opcode}");
    let reading = match ours.load {
        Some(Load::Plain { .. }) => Some(Reading::Whole),
        Some(Load::Zero { narrow, .. }) => Some(Reading::Unsigned(narrow)),
        Some(Load::Sign { narrow, .. }) => Some(Reading::Signed(narrow)),
        None => None,
    };
    match kind(opcode) {
        Kind::Load(Reading::Parts) | Kind::Store(_) => assert_eq!(reading, None, "{opcode}"),
        Kind::Load(theirs) => assert_eq!(reading, Some(theirs), "{opcode}"),
        other => panic!("{opcode} is {other:?}"),
    }
}

#[test]
fn the_tables_agree_on_every_access() {
    let mut func = Function::new();
    let all = all_flags(&mut func);
    let mut seen = 0;
    for opcode in Opcode::all() {
        if !matches!(kind(*opcode), Kind::Load(_) | Kind::Store(_)) {
            continue;
        }
        for ty in value_types(*opcode) {
            for flags in &all {
                let inst = make(&mut func, *opcode, ty, *flags);
                let Effect::Access(ours) = effect(&func, inst) else {
                    panic!("{opcode} is no access to the optimizer");
                };
                let theirs = opcodes::access(&func, inst).unwrap();
                compare(*opcode, &ours, &theirs);
                seen += 1;
            }
        }
    }
    assert!(seen > 5000, "{seen}");
}

/// An instruction that is no access, with arguments if it touches memory by them.
fn with_arguments(func: &mut Function, opcode: Opcode, ty: Type, flags: MemFlagsData) -> Inst {
    let block = func.dfg.make_block();
    let mut param = |ty| func.dfg.append_block_param(block, ty);
    let (address, other, value) = (param(types::I64), param(types::I64), param(ty));
    let flags = func.dfg.mem_flags.insert(flags).unwrap();
    let data = match opcode {
        Opcode::AtomicLoad => InstructionData::LoadNoOffset {
            opcode,
            arg: address,
            flags,
        },
        Opcode::AtomicStore => InstructionData::StoreNoOffset {
            opcode,
            args: [value, address],
            flags,
        },
        Opcode::AtomicRmw => InstructionData::AtomicRmw {
            opcode,
            args: [address, value],
            flags,
            op: AtomicRmwOp::Xchg,
        },
        Opcode::AtomicCas => InstructionData::AtomicCas {
            opcode,
            args: [address, value, value],
            flags,
        },
        Opcode::StackSwitch => InstructionData::Ternary {
            opcode,
            args: [address, other, value],
        },
        Opcode::SetPinnedReg => InstructionData::Unary {
            opcode,
            arg: address,
        },
        _ => return bare(func, opcode),
    };
    let inst = func.dfg.make_inst(data);
    if !matches!(opcode, Opcode::AtomicStore | Opcode::SetPinnedReg) {
        func.dfg.make_inst_results(inst, ty);
    }
    inst
}

/// What the optimizer says that an instruction touches, in the checker's words.
fn agree(func: &Function, touch: Touch, touched: Touched) -> bool {
    match (touch, touched) {
        (Touch::Nothing, Touched::Nothing) | (Touch::Anything, Touched::Anything) => true,
        (Touch::Place(place), Touched::At(bytes)) => {
            let region = bytes.flags.and_then(|flags| flags.alias_region());
            place.address == func.dfg.resolve_aliases(bytes.address)
                && place.offset == bytes.offset
                && place.bytes == bytes.ty.map(|ty| ty.bytes())
                && place.region == region
        }
        _ => false,
    }
}

/// The two tables agree on what each opcode reads and writes by itself. There is none on
/// which they do not; one that has to be an exception is argued here.
#[test]
fn the_tables_agree_on_what_is_touched() {
    let mut func = Function::new();
    let all = all_flags(&mut func);
    let mut written = 0;
    for opcode in Opcode::all() {
        let is_access = matches!(kind(*opcode), Kind::Load(_) | Kind::Store(_));
        let types = match is_access {
            true => value_types(*opcode),
            false => vec![types::I8, types::I64],
        };
        for ty in types {
            for flags in all.iter().step_by(7) {
                let inst = match is_access {
                    true => make(&mut func, *opcode, ty, *flags),
                    false => with_arguments(&mut func, *opcode, ty, *flags),
                };
                let effect = effect(&func, inst);
                let [reads, writes] = touched(&func, inst);
                assert!(agree(&func, effect.reads(), reads), "{opcode}: {effect:?}");
                assert!(
                    agree(&func, effect.writes(), writes),
                    "{opcode}: {effect:?}"
                );
                written += u32::from(matches!(writes, Touched::At(_)));
            }
        }
    }
    assert!(written > 500, "{written}");
}
