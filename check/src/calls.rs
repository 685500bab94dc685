//! What a call does, as far as policy and summaries tell.

use cranelift_codegen::ir::{
    ArgumentPurpose, ExceptionTableItem, ExternalName, Function, Inst, InstructionData, LibCall,
    Opcode, Value,
};
use cranelift_memopt::{
    ByteSet, CalleeName, Extent, Origin, PointerUse, Policy, RegionSet, Summary,
};

/// The memory of a region, up to those that the policy joins: the user id that
/// stands for it.
pub type Class = u32;

/// Some memory outside of private slots.
#[derive(Clone, Debug)]
pub enum Classes {
    /// All of it.
    All,
    /// That of these classes.
    These(Vec<Class>),
}

impl Classes {
    /// May memory with this tag be among them?
    pub fn has(&self, class: Option<Class>) -> bool {
        match (self, class) {
            (Self::All, _) => true,
            (Self::These(classes), Some(class)) => classes.contains(&class),
            (Self::These(classes), None) => !classes.is_empty(),
        }
    }

    fn of(regions: &RegionSet, policy: &dyn Policy) -> Self {
        match regions.ids() {
            None => Self::All,
            Some(ids) => Self::These(ids.iter().map(|id| policy.representative(*id)).collect()),
        }
    }
}

/// What a call does to its caller's memory.
#[derive(Clone, Debug)]
pub struct Effect {
    /// What the callee may look at.
    pub reads: Classes,
    /// What it may have changed when it returns.
    pub writes: Classes,
    /// What it may have changed when an exception comes back.
    pub touches: Classes,
    /// May it end the run of its caller?
    pub may_end: bool,
    /// What it does with the pointers that it is passed, by their position; anything with others.
    pub pointers: Vec<PointerUse>,
}

impl Effect {
    /// Anything.
    pub fn opaque() -> Self {
        Self {
            reads: Classes::All,
            writes: Classes::All,
            touches: Classes::All,
            may_end: true,
            pointers: Vec::new(),
        }
    }

    /// Of the call `inst`, for all that is known.
    pub fn of(func: &Function, inst: Inst, policy: &dyn Policy) -> Self {
        let Some(summary) = summary(func, inst, policy) else {
            return Self::opaque();
        };
        let reads = if copies_arguments(func, inst) {
            Classes::All
        } else {
            Classes::of(summary.reads(), policy)
        };
        Self {
            reads,
            writes: Classes::of(summary.writes(), policy),
            touches: Classes::of(summary.touches(), policy),
            may_end: summary.may_trap() || (summary.may_unwind() && !catches_all(func, inst)),
            pointers: pointers(func, inst, &summary),
        }
    }

    /// The position of the argument that the first result of the call `inst` is.
    pub fn returned(&self, func: &Function, inst: Inst) -> Option<usize> {
        let at = self.pointers.iter().position(|usage| usage.returned)?;
        returned(func, inst, at).map(|_| at)
    }

    /// Is anything known about the call?
    pub fn is_opaque(&self) -> bool {
        matches!(self.reads, Classes::All) && matches!(self.writes, Classes::All)
    }
}

fn summary(func: &Function, inst: Inst, policy: &dyn Policy) -> Option<Summary> {
    match func.dfg.insts[inst] {
        InstructionData::Call { func_ref, .. } | InstructionData::TryCall { func_ref, .. } => {
            match func.dfg.ext_funcs[func_ref].name {
                ExternalName::LibCall(libcall) => of_libcall(libcall),
                ExternalName::User(_) | ExternalName::TestCase(_) => {
                    policy.callee(&CalleeName::of_ref(func, func_ref)?)
                }
                ExternalName::KnownSymbol(_) => None,
            }
        }
        InstructionData::CallIndirect { .. } | InstructionData::TryCallIndirect { .. } => {
            let pointer = *func.dfg.inst_args(inst).first()?;
            let origin = origin(func, pointer);
            let direct = origin.function.as_ref().filter(|_| origin.loads.is_empty());
            let direct = direct.and_then(|name| policy.callee(name));
            direct.or_else(|| policy.indirect_callee(&origin))
        }
        _ => None,
    }
}

/// What the summary says of each argument, if the arguments are the parameters: of a direct call,
/// for which nothing is copied.
fn pointers(func: &Function, inst: Inst, summary: &Summary) -> Vec<PointerUse> {
    let is_direct = func.dfg.insts[inst].opcode() == Opcode::Call;
    let args = func.dfg.inst_args(inst).iter().enumerate();
    let uses = args.map(|(at, _)| {
        let mut usage = summary.param(at);
        // Whoever puts back what it finds has written nothing when it comes back.
        if summary.reads().is_empty() {
            usage.reads = Extent::NONE;
        }
        if summary.writes().is_empty() {
            (usage.writes, usage.overwrites) = (Extent::NONE, ByteSet::NONE);
        }
        // As what it is returned, it is followed.
        usage.escapes |= usage.returned && returned(func, inst, at).is_none();
        // What it accesses by regions is looked at as theirs.
        usage.escapes |= (!usage.reads.is_none() && !summary.reads().is_all())
            || (!usage.writes.is_none() && !summary.writes().is_all());
        usage
    });
    match is_direct && !copies_arguments(func, inst) {
        true => uses.collect(),
        false => Vec::new(),
    }
}

/// The first result of a call, if it can be the argument at this position.
fn returned(func: &Function, inst: Inst, at: usize) -> Option<Value> {
    let result = *func.dfg.inst_results(inst).first()?;
    let arg = *func.dfg.inst_args(inst).get(at)?;
    (func.dfg.value_type(arg) == func.dfg.value_type(result)).then_some(result)
}

/// Functions on floats compute; those on memory take pointers that may be bad.
fn of_libcall(libcall: LibCall) -> Option<Summary> {
    let (reads, writes, may_trap) = match libcall {
        LibCall::CeilF32
        | LibCall::CeilF64
        | LibCall::FloorF32
        | LibCall::FloorF64
        | LibCall::TruncF32
        | LibCall::TruncF64
        | LibCall::NearestF32
        | LibCall::NearestF64
        | LibCall::FmaF32
        | LibCall::FmaF64
        | LibCall::X86Pshufb => (RegionSet::none(), RegionSet::none(), false),
        LibCall::Memcmp => (RegionSet::all(), RegionSet::none(), true),
        LibCall::Memset => (RegionSet::none(), RegionSet::all(), true),
        LibCall::Memcpy | LibCall::Memmove => (RegionSet::all(), RegionSet::all(), true),
        LibCall::Probestack | LibCall::ElfTlsGetAddr | LibCall::ElfTlsGetOffset => return None,
    };
    let summary = Summary::pure().reading(&reads).writing(&writes);
    Some(match may_trap {
        true => summary.trapping(),
        false => summary,
    })
}

/// Does the caller copy memory to the stack to pass it?
pub fn copies_arguments(func: &Function, inst: Inst) -> bool {
    let Some(signature) = func.dfg.call_signature(inst) else {
        return true;
    };
    let mut params = func.dfg.signatures[signature].params.iter();
    params.any(|param| matches!(param.purpose, ArgumentPurpose::StructArgument(_)))
}

/// Does no exception leave the caller by the call?
fn catches_all(func: &Function, inst: Inst) -> bool {
    let table = func.dfg.insts[inst].exception_table();
    table.is_some_and(|table| {
        let mut items = func.dfg.exception_tables[table].items();
        items.any(|item| matches!(item, ExceptionTableItem::Default(_)))
    })
}

/// Where a function pointer came from.
fn origin(func: &Function, pointer: Value) -> Origin {
    let dfg = &func.dfg;
    let mut origin = Origin {
        loads: Vec::new(),
        function: None,
    };
    let (mut at, mut distance) = (dfg.resolve_aliases(pointer), 0i64);
    while let Some(inst) = dfg.value_def(at).inst() {
        match dfg.insts[inst] {
            InstructionData::Load {
                opcode: Opcode::Load,
                arg,
                flags,
                offset,
            } if distance == 0 || !origin.loads.is_empty() => {
                let Some(region) = dfg.mem_flags[flags].alias_region() else {
                    break;
                };
                if let Some(last) = origin.loads.last_mut() {
                    last.1 = last.1.wrapping_add(distance);
                }
                if origin.loads.len() == Origin::MAX_LOADS {
                    return origin;
                }
                let region = dfg.alias_regions[region].user_id;
                origin.loads.push((region, offset.into()));
                (at, distance) = (dfg.resolve_aliases(arg), 0);
            }
            InstructionData::FuncAddr { func_ref, .. }
                if origin.loads.len() < Origin::MAX_LOADS
                    && (distance == 0 || !origin.loads.is_empty()) =>
            {
                origin.function = CalleeName::of_ref(func, func_ref);
                break;
            }
            InstructionData::Binary {
                opcode: opcode @ (Opcode::Iadd | Opcode::Isub),
                args: [x, y],
            } => {
                let (x, y) = (dfg.resolve_aliases(x), dfg.resolve_aliases(y));
                let constants = (constant(func, x), constant(func, y));
                (at, distance) = match (opcode, constants) {
                    (_, (_, Some(by))) if opcode == Opcode::Isub => (x, distance.wrapping_sub(by)),
                    (_, (_, Some(by))) => (x, distance.wrapping_add(by)),
                    (Opcode::Iadd, (Some(by), None)) => (y, distance.wrapping_add(by)),
                    _ => break,
                };
            }
            _ => break,
        }
    }
    if let Some(last) = origin.loads.last_mut() {
        last.1 = last.1.wrapping_add(distance);
    }
    origin
}

fn constant(func: &Function, value: Value) -> Option<i64> {
    let inst = func.dfg.value_def(value).inst()?;
    match func.dfg.insts[inst] {
        InstructionData::UnaryImm { imm, .. } => {
            let bits = func.dfg.value_type(value).bits();
            Some(imm.sign_extend_from_width(bits).bits())
        }
        _ => None,
    }
}
