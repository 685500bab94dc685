//! Where the bits of a value come from.
//!
//! A value that is put together from parts, by shifts, masks and lanes, is often taken apart
//! again: a word is stored by halves and copied whole, a vector is filled lane by lane. Whoever
//! selects bits of it gets the part that they are.
//!
//! ```text
//! v3 = uextend.i64 v1
//! v4 = ishl v3, 32
//! v5 = uextend.i64 v0
//! v6 = bor v5, v4        ; bits 32 to 64 of v6 are v1, and those below are v0
//! ```
//!
//! Lanes of vectors count from the least significant bits, as they lie in memory if that is
//! little-endian.

use crate::ir::{
    DataFlowGraph, Endianness, InstructionData, MemFlagsData, Opcode, Type, Value, ValueDef, types,
};

/// How many instructions are looked through on one path.
///
/// A word of eight bytes that are put in one after the other has three for each. What is given
/// up is a part that lies deeper, and then the word is shifted.
const MAX_DEPTH: u32 = 24;

/// How many instructions are looked at in all, since sums of two parts are followed in both.
const MAX_LOOKS: u32 = 64;

/// What bits of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// These.
    Constant(u64),
    /// As many bits of this value, from this one on.
    Of(Value, u32),
}

/// What the bits of `value` from `low` on are, `bits` of them, of which it has as many. They are
/// themselves, if nothing else is known or if they are more than 64.
///
/// What is found is there wherever `value` is. Cost: O(1), see [`MAX_LOOKS`].
pub fn find(dfg: &DataFlowGraph, value: Value, low: u32, bits: u32) -> Bits {
    let value = dfg.resolve_aliases(value);
    if bits > 64 {
        return Bits::Of(value, low);
    }
    let mut finder = Finder {
        dfg,
        bits,
        looks: MAX_LOOKS,
    };
    finder.find(value, low, MAX_DEPTH)
}

/// The constant integer that `value` is, zero-extended.
pub fn number(dfg: &DataFlowGraph, value: Value) -> Option<u64> {
    match dfg.insts[dfg.value_def(value).inst()?] {
        InstructionData::UnaryImm { imm, .. } => {
            let bits = dfg.value_type(value).bits();
            Some(imm.zero_extend_from_width(bits).bits() as u64)
        }
        _ => None,
    }
}

/// Vectors whose lanes are looked at.
pub fn has_lanes(ty: Type) -> bool {
    ty.is_vector() && ty.bits() == 128
}

/// The flags of a `bitcast` from or to vectors.
pub fn little() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

struct Finder<'a> {
    dfg: &'a DataFlowGraph,
    bits: u32,
    looks: u32,
}

impl Finder<'_> {
    fn find(&mut self, value: Value, low: u32, depth: u32) -> Bits {
        let value = self.dfg.resolve_aliases(value);
        let here = Bits::Of(value, low);
        let (Some(depth), Some(looks)) = (depth.checked_sub(1), self.looks.checked_sub(1)) else {
            return here;
        };
        self.looks = looks;
        self.inner(value, low, depth).unwrap_or(here)
    }

    fn inner(&mut self, value: Value, low: u32, depth: u32) -> Option<Bits> {
        let ValueDef::Result(inst, number) = self.dfg.value_def(value) else {
            return None;
        };
        match self.dfg.insts[inst] {
            InstructionData::UnaryImm { imm, .. } => self.constant(imm.bits() as u64, low),
            InstructionData::UnaryIeee32 { imm, .. } => self.constant(imm.bits().into(), low),
            InstructionData::UnaryIeee64 { imm, .. } => self.constant(imm.bits(), low),
            InstructionData::UnaryConst {
                opcode: Opcode::Vconst,
                constant_handle,
            } => {
                let data = self.dfg.constants.get(constant_handle);
                let bytes: [u8; 16] = data.as_slice().try_into().ok()?;
                let all = u128::from_le_bytes(bytes);
                self.constant((all >> low) as u64, 0)
            }
            InstructionData::Load { opcode, .. } => {
                let read = match opcode {
                    Opcode::Uload8 => 8,
                    Opcode::Uload16 => 16,
                    Opcode::Uload32 => 32,
                    _ => return None,
                };
                (low >= read).then_some(Bits::Constant(0))
            }
            InstructionData::Unary { opcode, arg } => {
                self.unary(opcode, arg, number as u32, low, depth)
            }
            InstructionData::LoadNoOffset {
                opcode: Opcode::Bitcast,
                arg,
                flags,
            } => self.cast(value, arg, self.dfg.mem_flags[flags], low, depth),
            InstructionData::Binary { opcode, args } => self.binary(opcode, args, low, depth),
            InstructionData::BinaryImm8 {
                opcode: Opcode::Extractlane,
                arg,
                imm,
            } => {
                let low = u32::from(imm) * self.width(value) + low;
                self.of_vector(arg, low, depth)
            }
            InstructionData::TernaryImm8 {
                opcode: Opcode::Insertlane,
                args: [vector, lane],
                imm,
            } => {
                let width = self.width(lane);
                let start = u32::from(imm) * width;
                let end = low + self.bits;
                match () {
                    () if low >= start && end <= start + width => {
                        Some(self.find(lane, low - start, depth))
                    }
                    () if end <= start || low >= start + width => {
                        self.of_vector(vector, low, depth)
                    }
                    () => None,
                }
            }
            _ => None,
        }
    }

    fn unary(
        &mut self,
        opcode: Opcode,
        arg: Value,
        number: u32,
        low: u32,
        depth: u32,
    ) -> Option<Bits> {
        let width = self.width(arg);
        let inside = low + self.bits <= width;
        match opcode {
            Opcode::Ireduce => Some(self.find(arg, low, depth)),
            Opcode::Uextend if low >= width => Some(Bits::Constant(0)),
            Opcode::Uextend | Opcode::Sextend if inside => Some(self.find(arg, low, depth)),
            Opcode::Isplit => Some(self.find(arg, low + number * width / 2, depth)),
            Opcode::Splat if low % width + self.bits <= width => {
                Some(self.find(arg, low % width, depth))
            }
            _ => None,
        }
    }

    fn binary(&mut self, opcode: Opcode, [x, y]: [Value; 2], low: u32, depth: u32) -> Option<Bits> {
        let width = self.width(x);
        let end = low + self.bits;
        match opcode {
            Opcode::Iconcat if end <= width => Some(self.find(x, low, depth)),
            Opcode::Iconcat if low >= width => Some(self.find(y, low - width, depth)),
            Opcode::Ishl if self.is_scalar(x) => {
                let by = self.amount(y, width)?;
                match () {
                    () if end <= by => Some(Bits::Constant(0)),
                    () if low >= by => Some(self.find(x, low - by, depth)),
                    () => None,
                }
            }
            Opcode::Ushr | Opcode::Sshr if self.is_scalar(x) => {
                let by = self.amount(y, width)?;
                match () {
                    () if end + by <= width => Some(self.find(x, low + by, depth)),
                    () if low + by >= width && opcode == Opcode::Ushr => Some(Bits::Constant(0)),
                    () => None,
                }
            }
            Opcode::Band if self.is_scalar(x) => {
                let (x, mask) = match (number(self.dfg, x), number(self.dfg, y)) {
                    (_, Some(mask)) => (x, mask),
                    (Some(mask), None) => (y, mask),
                    (None, None) => return None,
                };
                match mask.checked_shr(low).unwrap_or(0) & self.all() {
                    0 => Some(Bits::Constant(0)),
                    mask if mask == self.all() => Some(self.find(x, low, depth)),
                    _ => None,
                }
            }
            Opcode::Bor if self.is_scalar(x) => {
                match (self.find(x, low, depth), self.find(y, low, depth)) {
                    (Bits::Constant(x), Bits::Constant(y)) => Some(Bits::Constant(x | y)),
                    (Bits::Constant(0), found) | (found, Bits::Constant(0)) => Some(found),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The bits of `value`, which is `arg` as another type.
    fn cast(
        &mut self,
        value: Value,
        arg: Value,
        flags: MemFlagsData,
        low: u32,
        depth: u32,
    ) -> Option<Bits> {
        let (from, to) = (self.dfg.value_type(arg), self.dfg.value_type(value));
        if from.lane_count() == to.lane_count() || flags == little() {
            return match has_lanes(from) {
                true => self.of_vector(arg, low, depth),
                false if from.is_vector() => None,
                false => Some(self.find(arg, low, depth)),
            };
        }
        None
    }

    /// The bits of a vector, which have to be a lane of some width.
    fn of_vector(&mut self, vector: Value, low: u32, depth: u32) -> Option<Bits> {
        let is_lane = has_lanes(self.dfg.value_type(vector))
            && matches!(self.bits, 8 | 16 | 32 | 64)
            && low.is_multiple_of(self.bits);
        is_lane.then(|| self.find(vector, low, depth))
    }

    fn is_scalar(&self, value: Value) -> bool {
        self.dfg.value_type(value).is_int()
    }

    fn width(&self, value: Value) -> u32 {
        self.dfg.value_type(value).bits()
    }

    fn all(&self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    fn constant(&self, bits: u64, low: u32) -> Option<Bits> {
        Some(Bits::Constant(bits.checked_shr(low)? & self.all()))
    }

    /// By how many bits an integer of `width` bits is shifted.
    fn amount(&self, value: Value, width: u32) -> Option<u32> {
        let by = number(self.dfg, value)? % u64::from(width);
        u32::try_from(by).ok()
    }
}

/// The vector of 128 bits whose lanes are of this type.
pub fn vector_of(lane: Type) -> Option<Type> {
    let is_lane = matches!(
        lane,
        types::I8 | types::I16 | types::I32 | types::I64 | types::F32 | types::F64
    );
    is_lane.then(|| lane.by(128 / lane.bits())).flatten()
}
