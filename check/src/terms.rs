//! Values as terms, equal if and only if they are known to be equal.
//!
//! A term is a name for a value at one point of a run: a *leaf*, of which
//! nothing is known but where it may point, or an operation on other terms.
//! Terms are hash-consed, so that what is built the same way is the same term.
//!
//! Sums with constants, conversions of integers and parts of integers have a
//! normal form, because the optimizer spells them in other ways than the
//! source: an address as a base and an offset, and a narrow load of a wide
//! store as a shift and a reduction.

use cranelift_codegen::FxHashMap;
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{InstructionData, Opcode, StackSlot, Type, Value};

use smallvec::SmallVec;

/// A term, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term(u32);

/// Slots, one a bit; the last bit stands for all slots with higher numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotSet(u64);

impl SlotSet {
    /// Every slot.
    pub const ALL: Self = Self(u64::MAX);

    /// One slot.
    pub fn of(slot: StackSlot) -> Self {
        Self(1 << slot.as_u32().min(63))
    }

    /// May `slot` be in it?
    pub fn has(self, slot: StackSlot) -> bool {
        self.0 & Self::of(slot).0 != 0
    }

    /// Those in either.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Is everything in `self` in `other` too?
    pub fn is_in(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Is any in both?
    pub fn may_share(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Is there none in it?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// How a term is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Something that has no other name.
    Leaf,
    /// An integer of at most 64 bits, zero-extended.
    Const(u64),
    /// The address of a slot.
    Slot(StackSlot),
    /// The pointer that the policy calls shared: region and offset.
    Shared(u32, i64),
    /// An integer and a constant that is not 0.
    Plus(Term, i64),
    /// The bits of an integer from this one on, as a narrower integer.
    Bits(Term, u32),
    /// The same bits as a scalar of another type.
    Cast(Term),
    /// An instruction, whose arguments are left out, and which of its results.
    Op(InstructionData, u8, SmallVec<[Term; 3]>),
}

struct Data {
    node: Node,
    ty: Type,
    /// The slots whose addresses the value may have been made from.
    taint: SlotSet,
    /// The slot in which the value certainly is an address.
    within: Option<StackSlot>,
    height: u8,
}

/// All terms of one check.
#[derive(Default)]
pub struct Terms {
    data: Vec<Data>,
    known: FxHashMap<(Node, Type), Term>,
    /// The sizes of the slots of the original.
    slot_sizes: Vec<u32>,
}

impl Terms {
    /// No terms; `slot_sizes` is by the number of the slot.
    pub fn new(slot_sizes: Vec<u32>) -> Self {
        Self {
            slot_sizes,
            ..Self::default()
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// How `term` is made.
    pub fn node(&self, term: Term) -> &Node {
        &self.data[term.0 as usize].node
    }

    /// The type of its value.
    pub fn ty(&self, term: Term) -> Type {
        self.data[term.0 as usize].ty
    }

    /// The slots whose addresses its value may have been made from.
    pub fn taint(&self, term: Term) -> SlotSet {
        self.data[term.0 as usize].taint
    }

    /// The slot in which its value is an address, if it certainly is.
    pub fn within(&self, term: Term) -> Option<StackSlot> {
        self.data[term.0 as usize].within
    }

    /// The longest way from it to a leaf.
    pub fn height(&self, term: Term) -> u8 {
        self.data[term.0 as usize].height
    }

    /// Does it mean the same everywhere?
    pub fn is_closed(&self, term: Term) -> bool {
        matches!(
            self.node(term),
            Node::Const(_) | Node::Slot(_) | Node::Shared(..)
        )
    }

    /// The constant that it is, zero-extended.
    pub fn constant(&self, term: Term) -> Option<u64> {
        match self.node(term) {
            Node::Const(bits) => Some(*bits),
            _ => None,
        }
    }

    /// A new name.
    pub fn leaf(&mut self, ty: Type, taint: SlotSet, within: Option<StackSlot>) -> Term {
        self.push(Data {
            node: Node::Leaf,
            ty,
            taint,
            within,
            height: 0,
        })
    }

    /// An integer constant.
    pub fn number(&mut self, ty: Type, bits: u64) -> Term {
        let node = Node::Const(truncate(bits, ty));
        self.closed(node, ty, SlotSet::default(), None)
    }

    /// The address of `slot`, as a value of type `ty`.
    pub fn slot(&mut self, slot: StackSlot, ty: Type) -> Term {
        self.closed(Node::Slot(slot), ty, SlotSet::of(slot), Some(slot))
    }

    /// The pointer that the policy calls shared.
    pub fn shared(&mut self, region: u32, offset: i64, ty: Type) -> Term {
        self.closed(Node::Shared(region, offset), ty, SlotSet::default(), None)
    }

    /// The size of a slot of the original.
    pub fn slot_size(&self, slot: StackSlot) -> u32 {
        let size = self.slot_sizes.get(slot.as_u32() as usize);
        size.copied().unwrap_or(0)
    }

    /// The base of a sum with a constant, and the constant.
    pub fn base(&self, term: Term) -> (Term, i64) {
        match *self.node(term) {
            Node::Plus(base, by) => (base, by),
            _ => (term, 0),
        }
    }

    /// `term + by`, where `term` is an integer of at most 64 bits.
    pub fn plus(&mut self, term: Term, by: i64) -> Term {
        let ty = self.ty(term);
        if let Some(bits) = self.constant(term) {
            return self.number(ty, bits.wrapping_add(by as u64));
        }
        let (base, before) = self.base(term);
        let by = sign_extend(before.wrapping_add(by) as u64, ty);
        if by == 0 {
            return base;
        }
        let (taint, within) = (self.taint(base), self.within(base));
        self.make(Node::Plus(base, by), ty, taint, within, &[base])
    }

    /// The bits of the integer `term` from bit `low` on, as a `ty`.
    pub fn bits(&mut self, term: Term, low: u32, ty: Type) -> Term {
        if low == 0 && self.ty(term) == ty {
            return term;
        }
        match *self.node(term) {
            Node::Const(bits) => return self.number(ty, bits.checked_shr(low).unwrap_or(0)),
            Node::Bits(inner, below) => return self.bits(inner, low + below, ty),
            Node::Op(InstructionData::Unary { opcode, .. }, _, ref args)
                if matches!(opcode, Opcode::Uextend | Opcode::Sextend)
                    && low + ty.bits() <= self.ty(args[0]).bits() =>
            {
                let inner = args[0];
                return self.bits(inner, low, ty);
            }
            _ => {}
        }
        let taint = self.taint(term);
        self.make(Node::Bits(term, low), ty, taint, None, &[term])
    }

    /// Is `part` the low bits of `whole`, a wider integer? As the two are spelled.
    pub fn are_low_bits(&self, part: Term, whole: Term) -> bool {
        let (ty, wide) = (self.ty(part), self.ty(whole));
        if !ty.is_int() || !wide.is_int() || ty.bits() >= wide.bits() {
            return false;
        }
        match (self.node(part), self.node(whole)) {
            (Node::Const(bits), Node::Const(all)) => *bits == truncate(*all, ty),
            (Node::Bits(inner, 0), _) if *inner == whole => true,
            (_, Node::Op(InstructionData::Unary { opcode, .. }, _, args)) => {
                matches!(opcode, Opcode::Uextend | Opcode::Sextend) && args[0] == part
            }
            _ => false,
        }
    }

    /// The bits of the scalar `term` as a scalar `ty` of the same width.
    pub fn cast(&mut self, term: Term, ty: Type) -> Term {
        if self.ty(term) == ty {
            return term;
        }
        if let Node::Cast(inner) = *self.node(term) {
            return self.cast(inner, ty);
        }
        let taint = self.taint(term);
        self.make(Node::Cast(term), ty, taint, None, &[term])
    }

    /// The result number `index`, of type `ty`, of the pure instruction
    /// `skeleton`, which has its arguments left out.
    pub fn op(
        &mut self,
        skeleton: InstructionData,
        index: u8,
        ty: Type,
        args: SmallVec<[Term; 3]>,
    ) -> Term {
        if let Some(simple) = self.simplify(&skeleton, ty, &args) {
            return simple;
        }
        let opcode = skeleton.opcode();
        let taint = match opcode {
            // A comparison tells nobody where something is.
            Opcode::Icmp | Opcode::Fcmp => SlotSet::default(),
            _ => args
                .iter()
                .fold(SlotSet::default(), |all, arg| all.and(self.taint(*arg))),
        };
        let within = self.result_within(opcode, &args);
        let below = args.clone();
        self.make(Node::Op(skeleton, index, args), ty, taint, within, &below)
    }

    /// The slot in which the result of an instruction is an address.
    fn result_within(&self, opcode: Opcode, args: &[Term]) -> Option<StackSlot> {
        match (opcode, args) {
            (Opcode::Iadd, [x, y]) => match (self.within(*x), self.within(*y)) {
                (Some(slot), None) | (None, Some(slot)) => Some(slot),
                (Some(_), Some(_)) | (None, None) => None,
            },
            (Opcode::Isub, [x, y]) => self.within(*x).filter(|_| self.within(*y).is_none()),
            (Opcode::Select | Opcode::SelectSpectreGuard, [_, x, y]) => self
                .within(*x)
                .filter(|_| self.within(*x) == self.within(*y)),
            _ => None,
        }
    }

    fn simplify(&mut self, skeleton: &InstructionData, ty: Type, args: &[Term]) -> Option<Term> {
        match (skeleton.opcode(), args) {
            (Opcode::Iadd, [x, y]) if is_small_int(ty) => {
                if let Some(by) = self.signed_constant(*y) {
                    Some(self.plus(*x, by))
                } else {
                    let by = self.signed_constant(*x)?;
                    Some(self.plus(*y, by))
                }
            }
            (Opcode::Isub, [x, y]) if is_small_int(ty) => {
                let by = self.signed_constant(*y)?;
                Some(self.plus(*x, by.wrapping_neg()))
            }
            (
                opcode @ (Opcode::Band
                | Opcode::Bor
                | Opcode::Bxor
                | Opcode::Imul
                | Opcode::Ishl
                | Opcode::Ushr
                | Opcode::Sshr),
                [x, y],
            ) if is_small_int(ty) => {
                let zero = [x, y].into_iter().any(|arg| self.constant(*arg) == Some(0));
                if zero && matches!(opcode, Opcode::Band | Opcode::Imul) {
                    return Some(self.number(ty, 0));
                }
                let (a, b) = (self.constant(*x)?, self.constant(*y)?);
                // The amount of a shift wraps at the width of the type.
                let by = b & u64::from(ty.bits() - 1);
                let bits = match opcode {
                    Opcode::Band => a & b,
                    Opcode::Bor => a | b,
                    Opcode::Bxor => a ^ b,
                    Opcode::Imul => a.wrapping_mul(b),
                    Opcode::Ishl => a << by,
                    Opcode::Ushr => a >> by,
                    _ => (sign_extend(a, ty) >> by) as u64,
                };
                Some(self.number(ty, bits))
            }
            (Opcode::Ireduce, [x]) => {
                if let Some((inner, low)) = self.shifted(*x)
                    && low + ty.bits() <= self.ty(inner).bits()
                {
                    return Some(self.bits(inner, low, ty));
                }
                Some(self.bits(*x, 0, ty))
            }
            (Opcode::Uextend, [x]) if is_small_int(ty) => {
                let bits = self.constant(*x)?;
                Some(self.number(ty, bits))
            }
            (Opcode::Sextend, [x]) if is_small_int(ty) => {
                let bits = self.signed_constant(*x)?;
                Some(self.number(ty, bits as u64))
            }
            (Opcode::Bitcast, [x]) if is_scalar(ty) && is_scalar(self.ty(*x)) => {
                Some(self.cast(*x, ty))
            }
            (Opcode::Select | Opcode::SelectSpectreGuard, [condition, x, y]) => {
                match self.constant(*condition) {
                    Some(0) => Some(*y),
                    Some(_) => Some(*x),
                    None => (x == y).then_some(*x),
                }
            }
            (Opcode::Icmp, [x, y]) => {
                let InstructionData::IntCompare { cond, .. } = *skeleton else {
                    return None;
                };
                let result = self.compare(cond, *x, *y)?;
                Some(self.number(ty, result.into()))
            }
            _ => None,
        }
    }

    /// The integer and the constant by which `term` shifts it to the right.
    fn shifted(&self, term: Term) -> Option<(Term, u32)> {
        match self.node(term) {
            Node::Op(InstructionData::Binary { opcode, .. }, _, args)
                if *opcode == Opcode::Ushr =>
            {
                let by = u32::try_from(self.constant(args[1])?).ok()?;
                (by < self.ty(term).bits()).then_some((args[0], by))
            }
            _ => None,
        }
    }

    /// The result of a comparison of integers, where it is certain.
    fn compare(&self, cond: IntCC, x: Term, y: Term) -> Option<bool> {
        if !self.ty(x).is_int() {
            return None;
        }
        if let (Some(a), Some(b)) = (self.constant(x), self.constant(y)) {
            let (c, d) = (self.signed_constant(x)?, self.signed_constant(y)?);
            return Some(match cond {
                IntCC::Equal => a == b,
                IntCC::NotEqual => a != b,
                IntCC::UnsignedLessThan => a < b,
                IntCC::UnsignedLessThanOrEqual => a <= b,
                IntCC::UnsignedGreaterThan => a > b,
                IntCC::UnsignedGreaterThanOrEqual => a >= b,
                IntCC::SignedLessThan => c < d,
                IntCC::SignedLessThanOrEqual => c <= d,
                IntCC::SignedGreaterThan => c > d,
                IntCC::SignedGreaterThanOrEqual => c >= d,
            });
        }
        if x == y {
            return Some(matches!(
                cond,
                IntCC::Equal
                    | IntCC::SignedGreaterThanOrEqual
                    | IntCC::SignedLessThanOrEqual
                    | IntCC::UnsignedGreaterThanOrEqual
                    | IntCC::UnsignedLessThanOrEqual
            ));
        }
        match cond {
            IntCC::Equal => self.are_equal(x, y),
            IntCC::NotEqual => self.are_equal(x, y).map(|equal| !equal),
            _ => None,
        }
    }

    fn are_equal(&self, x: Term, y: Term) -> Option<bool> {
        if self.base(x).0 == self.base(y).0 {
            // Both are in normal form, so that the constants differ.
            return Some(false);
        }
        let apart = match (self.byte_of_slot(x), self.byte_of_slot(y)) {
            (Some(_), Some(_)) => true,
            // An address is fresh: what is not made from it is another one.
            (Some(slot), None) => !self.taint(y).has(slot),
            (None, Some(slot)) => !self.taint(x).has(slot),
            (None, None) => false,
        };
        apart.then_some(false)
    }

    /// The slot of which `term` is the address of a byte. One past its end is
    /// none: the next slot may begin there.
    fn byte_of_slot(&self, term: Term) -> Option<StackSlot> {
        let (base, by) = self.base(term);
        let Node::Slot(slot) = *self.node(base) else {
            return None;
        };
        let size = i64::from(self.slot_size(slot));
        (0..size).contains(&by).then_some(slot)
    }

    fn signed_constant(&self, term: Term) -> Option<i64> {
        Some(sign_extend(self.constant(term)?, self.ty(term)))
    }

    /// A condition of a branch, and whether it is turned round, so that two
    /// spellings of one question have one form.
    pub fn condition(&mut self, mut term: Term) -> (Term, bool) {
        let mut turned = false;
        loop {
            let (opcode, args, cond, index, operands) = match self.node(term).clone() {
                Node::Op(InstructionData::IntCompare { opcode, args, cond }, index, operands) => {
                    (opcode, args, cond, index, operands)
                }
                Node::Op(
                    InstructionData::Unary {
                        opcode: Opcode::Uextend | Opcode::Sextend,
                        ..
                    },
                    _,
                    operands,
                ) => {
                    term = operands[0];
                    continue;
                }
                _ => return (term, turned),
            };
            let is_zero = self.constant(operands[1]) == Some(0);
            match cond {
                IntCC::Equal | IntCC::NotEqual if is_zero => {
                    turned ^= cond == IntCC::Equal;
                    term = operands[0];
                }
                IntCC::NotEqual
                | IntCC::SignedGreaterThanOrEqual
                | IntCC::SignedLessThanOrEqual
                | IntCC::UnsignedGreaterThanOrEqual
                | IntCC::UnsignedLessThanOrEqual => {
                    let straight = InstructionData::IntCompare {
                        opcode,
                        args,
                        cond: cond.complement(),
                    };
                    let ty = self.ty(term);
                    return (self.op(straight, index, ty, operands), !turned);
                }
                _ => return (term, turned),
            }
        }
    }

    fn closed(&mut self, node: Node, ty: Type, taint: SlotSet, within: Option<StackSlot>) -> Term {
        self.make(node, ty, taint, within, &[])
    }

    fn make(
        &mut self,
        node: Node,
        ty: Type,
        taint: SlotSet,
        within: Option<StackSlot>,
        args: &[Term],
    ) -> Term {
        if let Some(known) = self.known.get(&(node.clone(), ty)) {
            return *known;
        }
        let highest = args.iter().map(|arg| self.height(*arg)).max();
        let term = self.push(Data {
            node: node.clone(),
            ty,
            taint,
            within,
            height: highest.map_or(0, |height| height.saturating_add(1)),
        });
        self.known.insert((node, ty), term);
        term
    }

    fn push(&mut self, data: Data) -> Term {
        let term = Term(self.data.len() as u32);
        self.data.push(data);
        term
    }
}

/// An instruction with its arguments left out, if all of them stand in it:
/// calls and branches have lists elsewhere.
pub fn skeleton(data: &InstructionData) -> Option<InstructionData> {
    let nobody = Value::from_u32(0);
    let mut skeleton = *data;
    match &mut skeleton {
        InstructionData::Unary { arg, .. }
        | InstructionData::BinaryImm8 { arg, .. }
        | InstructionData::CondTrap { arg, .. }
        | InstructionData::Load { arg, .. }
        | InstructionData::LoadNoOffset { arg, .. } => *arg = nobody,
        InstructionData::Binary { args, .. }
        | InstructionData::IntAddTrap { args, .. }
        | InstructionData::IntCompare { args, .. }
        | InstructionData::FloatCompare { args, .. }
        | InstructionData::Shuffle { args, .. }
        | InstructionData::Store { args, .. }
        | InstructionData::StoreNoOffset { args, .. }
        | InstructionData::AtomicRmw { args, .. }
        | InstructionData::TernaryImm8 { args, .. } => *args = [nobody; 2],
        InstructionData::Ternary { args, .. } | InstructionData::AtomicCas { args, .. } => {
            *args = [nobody; 3];
        }
        InstructionData::NullAry { .. }
        | InstructionData::UnaryImm { .. }
        | InstructionData::UnaryIeee16 { .. }
        | InstructionData::UnaryIeee32 { .. }
        | InstructionData::UnaryIeee64 { .. }
        | InstructionData::UnaryConst { .. }
        | InstructionData::UnaryGlobalValue { .. }
        | InstructionData::FuncAddr { .. }
        | InstructionData::StackAddr { .. }
        | InstructionData::DynamicStackAddr { .. }
        | InstructionData::Trap { .. }
        | InstructionData::ExceptionHandlerAddress { .. } => {}
        InstructionData::BranchTable { .. }
        | InstructionData::Brif { .. }
        | InstructionData::Call { .. }
        | InstructionData::CallIndirect { .. }
        | InstructionData::Jump { .. }
        | InstructionData::MultiAry { .. }
        | InstructionData::TryCall { .. }
        | InstructionData::TryCallIndirect { .. } => return None,
    }
    Some(skeleton)
}

fn is_small_int(ty: Type) -> bool {
    ty.is_int() && ty.bits() <= 64
}

fn is_scalar(ty: Type) -> bool {
    ty.is_int() || ty.is_float()
}

fn truncate(bits: u64, ty: Type) -> u64 {
    match ty.bits() {
        width @ 1..64 => bits & ((1 << width) - 1),
        _ => bits,
    }
}

/// The low bits of `bits` as a signed number of type `ty`.
pub fn sign_extend(bits: u64, ty: Type) -> i64 {
    let unused = 64 - ty.bits().clamp(1, 64);
    ((bits << unused) as i64) >> unused
}
