//! Values as terms, equal if and only if they are known to be equal.
//!
//! A term is a name for a value at one point of a run: a *leaf*, of which
//! nothing is known but where it may point, or an operation on other terms.
//! Terms are hash-consed, so that what is built from the same terms by the same operation is the same term.
//!
//! Sums with constants, conversions of integers and parts of integers have a
//! normal form, because the optimizer spells them differently than the
//! source: an address as a base and an offset, and a narrow load of a wide
//! store as a shift and a reduction.

use super::place::Access;
use super::slot_set::SlotSet;
use cranelift_codegen::FxHashMap;
use cranelift_codegen::ir::{
    Endianness, InstructionData, MemFlags, Opcode, StackSlot, Type, Value,
};

use smallvec::SmallVec;

/// A term, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term(u32);

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

    /// The longest path from it to a leaf.
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

    /// What every load of some bytes finds that nobody ever writes: an operation on their
    /// address.
    pub fn fixed(&mut self, access: &Access) -> Option<Term> {
        let (root, (start, _)) = (access.place.root?, access.place.range?);
        let load = InstructionData::Load {
            opcode: Opcode::Load,
            arg: Value::from_u32(0),
            flags: MemFlags::with_number((access.order == Endianness::Big).into())?,
            offset: i32::try_from(start).ok()?.into(),
        };
        Some(self.op(load, 0, access.ty, SmallVec::from_slice(&[root])))
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

    /// How many bytes nobody else has from the address of a slot of the original on.
    ///
    /// Cranelift lays out slots from machine word to machine word, and a pointer is one: what
    /// is left of the last word belongs to no other slot.
    pub fn slot_room(&self, slot: StackSlot, pointer: Type) -> u32 {
        let word = pointer.bytes().max(1);
        self.slot_size(slot).div_ceil(word).saturating_mul(word)
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
            Node::Op(data, 0, ref args)
                if matches!(data.opcode(), Opcode::Uextend | Opcode::Sextend)
                    && low == 0
                    && self.ty(args[0]).bits() < ty.bits() =>
            {
                let args = args.clone();
                return self.op(data, 0, ty, args);
            }
            // A byte of bytes the other way round.
            Node::Op(InstructionData::Unary { opcode, .. }, _, ref args)
                if opcode == Opcode::Bswap
                    && ty.is_int()
                    && ty.bits() == 8
                    && low.is_multiple_of(8) =>
            {
                let inner = args[0];
                return self.bits(inner, self.ty(inner).bits() - 8 - low, ty);
            }
            _ => {}
        }
        if let Some((inner, by)) = self.shifted(term)
            && low + by + ty.bits() <= self.ty(inner).bits()
        {
            return self.bits(inner, low + by, ty);
        }
        if let Some(part) = self.bits_of_halves(term, low, ty) {
            return part;
        }
        if let Some(part) = self.bits_of_parts(term, low, ty) {
            return part;
        }
        let taint = self.taint(term);
        self.make(Node::Bits(term, low), ty, taint, None, &[term])
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

    fn closed(&mut self, node: Node, ty: Type, taint: SlotSet, within: Option<StackSlot>) -> Term {
        self.make(node, ty, taint, within, &[])
    }

    /// The term that is made so, if there is one.
    pub fn made(&self, node: &Node, ty: Type) -> Option<Term> {
        self.known.get(&(node.clone(), ty)).copied()
    }

    pub fn make(
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
        // Halves of a value are cut where the value is.
        let adds = match &node {
            Node::Cast(_) => 0,
            Node::Op(data, ..) if data.opcode() == Opcode::Iconcat => 0,
            _ => 1,
        };
        let term = self.push(Data {
            node: node.clone(),
            ty,
            taint,
            within,
            height: highest.map_or(0, |height| height.saturating_add(adds)),
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
