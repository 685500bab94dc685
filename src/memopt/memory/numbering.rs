//! Value numbering of addresses: which roots are one address under several names.
//!
//! The mid-end computes a pure address anew in each block that needs it, if none of the blocks
//! dominates the others, and so one address has several SSA values:
//!
//! ```text
//! block1:                          block2:
//!     v5 = uextend.i64 v1              v8 = uextend.i64 v1
//!     v6 = iadd v0, v5                 v9 = iadd v0, v8        ; v6 and v9 are congruent
//!     store v2, v6                     store v3, v9
//! ```
//!
//! Two values are *congruent* if they are the same pure operation on congruent values. What is
//! no such operation is a *leaf*, congruent to itself alone. Of congruent values the first that
//! the scan comes to stands for all, so that everybody who compares roots sees one. Sums are
//! [taken apart](sums): those of the same multiples, in whichever order, are congruent but for a constant, by which
//! they are *ahead* of the first.
//!
//! ```text
//! v4 = ishl v1, 3
//! v5 = iadd v0, v4
//! v6 = iadd v1, 1
//! v7 = ishl v6, 3
//! v8 = iadd v0, v7             ; 8 ahead of v5
//! ```
//!
//! Soundness: an expression means one address as long as none of its leaves is defined anew. All
//! leaves dominate each use of the address, so that they lie on one path of the dominator
//! tree, and none of them is defined anew before the *deepest* is. So the deepest leaf takes the
//! place that the definition of a root has in the arguments of the walkers: between
//! two definitions of it, the root means one address. A `readonly` load counts as an operation
//! on its address if no instruction of the function stores to its region: then its value is the
//! same wherever it is loaded, by the same rule by which two such loads are merged.
//!
//! A sum that is *widened* behind a constant wraps before it is an address:
//!
//! ```text
//!     base + uextend(x + c) * s + offset      with x and c of n bits
//! ```
//!
//! Let two accesses differ in `c` and `offset` alone, and let `d` be `(c2 - c1) mod 2^n`. The two
//! widened values lie in `0..2^n`, and their difference is `d` modulo `2^n`: it is `d` if the
//! second is the greater one, and `d - 2^n` otherwise. The same is true of two values that are
//! extended by their sign, and lie in `-2^(n-1)..2^(n-1)`. What is widened is multiplied, and the offsets are added behind the extension,
//! and so the second access begins `d * s + offset2 - offset1` or `(d - 2^n) * s + offset2 - offset1` bytes
//! behind the first, modulo the size of the address space. If the accesses share no byte at
//! either distance, they share none. With equal offsets that is to say: if the constants
//! differ by at least the size of the accesses, in both directions round `2^n`.
//!
//! Cost: O(1) for each instruction that has a part in an address; nothing for roots that
//! are no results of pure operations.

mod operation;
mod sums;

use crate::FxHashMap;
use crate::entity::SecondaryMap;
use crate::ir::{DataFlowGraph, Function, InstructionData, Opcode, Value};
use crate::memopt::cfg::graph::{Node, Order, defining_node};
use crate::memopt::inst::bits::number;
use crate::memopt::inst::location::{Location, Overlap, Root};
use alloc::vec::Vec;
use operation::{Operation, both};
pub use operation::{is_pure, operation, own_arguments};

/// Where a root gets its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It means one address for the whole run of the function.
    Always,
    /// It means one address from one run of this node to the next.
    From(Node),
}

/// What is known about the roots that pure operations compute.
#[derive(Default)]
pub struct Numbering {
    facts: Vec<Facts>,
    /// The position in `facts`, counted from 1, of the value that stands for all that are
    /// congruent to it.
    at: SecondaryMap<Value, u32>,
    /// The position in `named` of what each value is congruent to, or [`UNNAMED`] if no address
    /// is computed from it; none if that is true of all values.
    names: Vec<u32>,
    /// Lists of the [`Numberer`], of which nothing counts afterwards.
    named: Vec<Named>,
    /// The first value of each operation, and what is added to it if it is a sum. For a value
    /// with a constant, a number that stands for both.
    first: FxHashMap<Operation, (Value, i64)>,
    /// Lists of terms, each of one that is shorter and the last.
    sums: FxHashMap<Operation, u32>,
}

/// What no operation has in the place of its opcode and type: a sum, and a value with a constant.
const SUM: u32 = 1 << 24;
const AHEAD: u32 = 1 << 25;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Facts {
    /// The leaf that is defined last; `None` if there are constants alone.
    deepest: Option<Value>,
    widened: Option<Widened>,
}

/// `base + uextend(narrow + by) * times`, or with `sextend`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Widened {
    /// The base, and what is added to it.
    base: Option<Value>,
    ahead: i64,
    narrow: Value,
    /// Modulo the width of `narrow`.
    by: u64,
    /// At most [`MAX_TIMES`].
    times: i64,
    signed: bool,
}

/// What elements of arrays are of, in bytes. What is given up is that larger ones are apart.
const MAX_TIMES: u64 = 1 << 16;

impl Numbering {
    fn of(&self, root: Value) -> Option<&Facts> {
        self.facts.get(self.at[root].checked_sub(1)? as usize)
    }

    fn insert(&mut self, root: Value, facts: Facts) {
        self.facts.push(facts);
        self.at[root] = self.facts.len() as u32;
    }

    /// Is the address of a root computed from `value`, or is it a root that is computed?
    pub fn is_part(&self, value: Value) -> bool {
        let name = self.names.get(value.as_u32() as usize);
        name.is_some_and(|name| *name != UNNAMED)
    }

    /// Where `root` gets its meaning; `None` if that cannot be reached.
    pub fn meaning(&self, func: &Function, order: &Order, root: Root) -> Option<Meaning> {
        let Some(value) = root.value() else {
            return Some(Meaning::Always);
        };
        match self.of(value) {
            Some(Facts { deepest: None, .. }) => Some(Meaning::Always),
            Some(Facts {
                deepest: Some(leaf),
                ..
            }) => defining_node(func, order, *leaf).map(Meaning::From),
            None => defining_node(func, order, value).map(Meaning::From),
        }
    }

    /// How `a` lies to `b`, whose roots are two values: apart, if they are sums that were widened
    /// behind different constants, or unknown. Pointers have `bits` bits.
    pub fn overlap(&self, dfg: &DataFlowGraph, a: &Location, b: &Location, bits: u32) -> Overlap {
        let widened = |location: &Location| {
            let value = location.address.root.value()?;
            self.of(value)?.widened.as_ref()
        };
        let Some(x) = widened(a) else {
            return Overlap::Unknown;
        };
        let Some(y) = widened(b) else {
            return Overlap::Unknown;
        };
        if x.narrow != y.narrow || x.base != y.base {
            return Overlap::Unknown;
        }
        if (x.times, x.signed) != (y.times, y.signed) {
            return Overlap::Unknown;
        }
        let modulus = 1i64 << dfg.value_type(x.narrow).bits();
        let ahead = (y.by as i64 - x.by as i64).rem_euclid(modulus);
        let are_apart = [ahead, ahead - modulus].into_iter().all(|distance| {
            let moved = Location {
                address: b
                    .address
                    .plus(distance * x.times + (y.ahead - x.ahead), bits),
                ..*b
            };
            a.overlap_in_root(&moved, bits) == Overlap::None
        });
        match are_apart {
            true => Overlap::None,
            false => Overlap::Unknown,
        }
    }

    /// Does it say of `root` what `other` says of `of_other`, under its own names?
    pub fn agrees(&self, root: Value, other: &Self, of_other: Value) -> bool {
        match (self.of(root), other.of(of_other)) {
            (Some(own), Some(others)) => {
                own.deepest == others.deepest && own.widened.is_some() == others.widened.is_some()
            }
            (None, None) => root == of_other,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// What a value is congruent to.
#[derive(Clone, Copy)]
struct Named {
    value: Value,
    /// What is added to it.
    ahead: i64,
    /// The leaf that is defined last, and where.
    deepest: Option<(Node, Value)>,
}

/// Marks a value without a name.
const UNNAMED: u32 = u32::MAX;

/// The node of a leaf whose definition cannot be reached.
const UNREACHABLE: Node = Node::MAX;

/// Finds congruent values.
pub struct Numberer<'f> {
    func: &'f Function,
    order: &'f Order,
    /// Is what a `readonly` load finds a function of its address alone?
    is_constant: &'f dyn Fn(&InstructionData) -> bool,
    /// Results of operations that get their names next, and the operations.
    work: Vec<(Value, &'f InstructionData)>,
    found: Numbering,
}

impl<'f> Numberer<'f> {
    /// For values of `func`, whose aliases are resolved, in the lists of `stale`. `is_constant`
    /// says whether what a load finds is a function of its address alone.
    pub fn new(
        func: &'f Function,
        order: &'f Order,
        is_constant: &'f dyn Fn(&InstructionData) -> bool,
        mut stale: Numbering,
    ) -> Self {
        let Numbering {
            facts,
            at,
            names,
            named,
            first,
            sums,
        } = &mut stale;
        facts.clear();
        at.clear();
        names.clear();
        named.clear();
        first.clear();
        sums.clear();
        Self {
            func,
            order,
            is_constant,
            work: Vec::new(),
            found: stale,
        }
    }

    /// What is known about all roots that were asked about.
    pub fn finish(self) -> Numbering {
        self.found
    }

    /// The value that stands for all that are congruent to `root` but for a constant, and how far
    /// `root` is ahead of it.
    ///
    /// Cost: O(1) for each value in between, over all calls.
    pub fn root(&mut self, root: Value) -> (Value, i64) {
        if let Some(named) = self.known(root)
            && self.found.of(named.value).is_some()
        {
            return (named.value, named.ahead);
        }
        let Some(data) = self.operation(root) else {
            return (root, 0);
        };
        let found = &mut self.found;
        if found.names.is_empty() {
            let values = self.func.dfg.num_values();
            found.names.resize(values, UNNAMED);
            found.at.resize(values);
            // Few of them have a part in an address.
            found.named.reserve(16);
            found.first.reserve(8);
        }
        let named = self.name_result(root, data);
        if self.found.of(named.value).is_none() && self.operation(named.value).is_some() {
            let facts = Facts {
                deepest: named.deepest.map(|(_, leaf)| leaf),
                widened: self.widened(named.value),
            };
            self.found.insert(named.value, facts);
        }
        (named.value, named.ahead)
    }

    /// The name of `value`, if it has one.
    fn known(&self, value: Value) -> Option<Named> {
        let at = *self.found.names.get(value.as_u32() as usize)?;
        self.found.named.get(at as usize).copied()
    }

    /// Gives `value` a name.
    fn give(&mut self, value: Value, named: Named) -> Named {
        let Numbering {
            names, named: list, ..
        } = &mut self.found;
        names[value.as_u32() as usize] = list.len() as u32;
        list.push(named);
        named
    }

    /// The operation that `value` is the result of, if it is a pure one.
    fn operation(&self, value: Value) -> Option<&'f InstructionData> {
        let dfg = &self.func.dfg;
        let data = &dfg.insts[dfg.value_def(value).inst()?];
        match data {
            InstructionData::Load { .. } => (self.is_constant)(data).then_some(data),
            _ => is_pure(data.opcode()).then_some(data),
        }
    }

    /// Names `value` and all that it is computed from, the parts before the whole.
    fn name(&mut self, value: Value) -> Named {
        if let Some(named) = self.known(value) {
            return named;
        }
        match self.operation(value) {
            Some(data) => self.name_result(value, data),
            None => self.name_leaf(value),
        }
    }

    /// The same for the result of `data`, which has no name yet.
    fn name_result(&mut self, value: Value, data: &'f InstructionData) -> Named {
        self.work.push((value, data));
        loop {
            let (at, data) = *self.work.last().unwrap_or(&(value, data));
            let named = match self.known(at) {
                Some(named) => Some(named),
                None => self.name_operation(at, data),
            };
            // Without a name, those of its arguments that have none are on the list now.
            if let Some(named) = named {
                self.work.pop();
                if self.work.is_empty() {
                    return named;
                }
            }
        }
    }

    /// A leaf is congruent to itself alone. Of leaves that dominate one use, the one with
    /// the greatest node is defined last.
    fn name_leaf(&mut self, leaf: Value) -> Named {
        let node = defining_node(self.func, self.order, leaf).unwrap_or(UNREACHABLE);
        let named = Named {
            value: leaf,
            ahead: 0,
            deepest: Some((node, leaf)),
        };
        self.give(leaf, named)
    }

    /// What `value` is congruent to, which `data` computes; `None` if an argument has no name.
    fn name_operation(&mut self, value: Value, original: &InstructionData) -> Option<Named> {
        let dfg = &self.func.dfg;
        let before = self.work.len();
        let mut data = *original;
        let mut deepest = None;
        for arg in own_arguments(&mut data) {
            let named = match self.known(*arg) {
                Some(named) => named,
                None => match self.operation(*arg) {
                    None => self.name_leaf(*arg),
                    Some(data) => {
                        self.work.push((*arg, data));
                        continue;
                    }
                },
            };
            *arg = self.atom(named);
            deepest = deepest.max(named.deepest);
        }
        if self.work.len() > before {
            return None;
        }
        let named = match self.name_sum(value, original) {
            Some(named) => named,
            None => {
                let first = match operation(&data, dfg.value_type(value)) {
                    Some(operation) => self.found.first.entry(operation).or_insert((value, 0)).0,
                    None => value,
                };
                Named {
                    value: first,
                    ahead: 0,
                    deepest,
                }
            }
        };
        Some(self.give(value, named))
    }

    /// A number that stands for `named` among the arguments of operations.
    fn atom(&mut self, named: Named) -> Value {
        if named.ahead == 0 {
            return named.value;
        }
        let first = &mut self.found.first;
        // No value has a number as great.
        let next = Value::from_u32(u32::MAX / 2 + first.len() as u32);
        let with = [both(AHEAD, named.value.as_u32()), named.ahead as u64];
        first.entry(with).or_insert((next, 0)).0
    }

    /// `value`, if it is a multiple of a widened sum, or one behind a base.
    fn widened(&mut self, value: Value) -> Option<Widened> {
        let dfg = &self.func.dfg;
        if let Some(wide) = wide_multiple(dfg, value) {
            return self.widened_from(None, wide);
        }
        match dfg.insts[dfg.value_def(value).inst()?] {
            InstructionData::Binary {
                opcode: Opcode::Iadd,
                args: [x, y],
            } => {
                let parts = [(y, x), (x, y)].into_iter();
                let (wide, base) =
                    { parts }.find_map(|(wide, base)| Some((wide_multiple(dfg, wide)?, base)))?;
                self.widened_from(Some(base), wide)
            }
            _ => None,
        }
    }

    fn widened_from(&mut self, base: Option<Value>, wide: WideMultiple) -> Option<Widened> {
        let bits = self.func.dfg.value_type(wide.sum).bits();
        if bits > 32 {
            return None;
        }
        let base = base.map(|base| self.name(base));
        let narrow = self.name(wide.sum);
        Some(Widened {
            base: base.map(|base| base.value),
            ahead: base.map_or(0, |base| base.ahead),
            narrow: narrow.value,
            by: narrow.ahead as u64 & ((1 << bits) - 1),
            times: wide.times,
            signed: wide.signed,
        })
    }
}

/// `uextend(sum) * times`, or with `sextend`.
struct WideMultiple {
    sum: Value,
    times: i64,
    signed: bool,
}

/// `value`, if it is a multiple of something that is extended.
fn wide_multiple(dfg: &DataFlowGraph, value: Value) -> Option<WideMultiple> {
    let data = |value: Value| Some(&dfg.insts[dfg.value_def(value).inst()?]);
    let (extended, times) = match *data(value)? {
        InstructionData::Binary {
            opcode: Opcode::Ishl,
            args: [x, y],
        } => (x, 1u64.checked_shl(number(dfg, y)?.try_into().ok()?)?),
        InstructionData::Binary {
            opcode: Opcode::Imul,
            args: [x, y],
        } => match number(dfg, y) {
            Some(times) => (x, times),
            None => (y, number(dfg, x)?),
        },
        _ => (value, 1),
    };
    match *data(extended)? {
        InstructionData::Unary {
            opcode: opcode @ (Opcode::Uextend | Opcode::Sextend),
            arg,
        } if times <= MAX_TIMES => Some(WideMultiple {
            sum: arg,
            times: times as i64,
            signed: opcode == Opcode::Sextend,
        }),
        _ => None,
    }
}
