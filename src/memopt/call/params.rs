//! What a body does with the pointers that it is passed.
//!
//! The parameters of the entry block are followed through additions, selects, block parameters and
//! the functions that return their destination, as the addresses of slots are
//! ([`slot_escape`](crate::memopt::memory::slot_escape)); callees say what they do with theirs.
//! Comparing one, or branching on it, tells nobody of it; any other use does. One that is the first
//! result, wherever the function returns, tells the caller alone, which follows it through the call:
//!
//! ```text
//! function %with(i64, i32) -> i64 {        v2 = stack_addr.i64 ss0
//! block0(v0: i64, v1: i32):                v3 = call %with(v2, v1)
//!     store v1, v0+4                       v4 = load.i32 v3+4        ; ss0+4
//!     return v0
//! }
//! ```
//!
//! The place for a result that the signature calls that (`sret`) is a pointer like others: what an ABI
//! does with it besides, it does to registers, and no caller's CLIF sees it.
//!
//! Of an address that is a constant distance behind a parameter, an access names its bytes, and
//! a callee to which it is passed names them by that distance. What is accessed by any other address
//! may be all that is behind the parameter. Which bytes are overwritten for sure, and which are
//! read before that, [`overwritten`](super::overwritten) says.
//!
//! Cost: O(instructions) for each scan, of which there are two more than the depth of loops that
//! pass pointers round, and at most [`MAX_SCANS`].

use super::overwritten::{self, Touch};
use crate::entity::SecondaryMap;
use crate::ir::{ArgumentPurpose, Block, Function, Inst, InstructionData, Opcode, Value};
use crate::memopt::call::effects::Policy;
use crate::memopt::call::extent::Extent;
use crate::memopt::call::summary::PointerUse;
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::cfg::graph::{Node, Order};
use crate::memopt::inst::bits::number;
use crate::memopt::inst::effect::{Effect, effect};
use crate::memopt::inst::transfer::Transfer;
use crate::memopt::memory::calls::{returned_arg, summary_of_call, use_of_arg};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Parameters that are followed. What is given up is what is passed by later ones.
const MAX_PARAMS: usize = 64;

/// Scans until block parameters settle. A pointer that goes round a loop takes a second one, and a
/// third if it moves. What is given up is all parameters of the function.
const MAX_SCANS: usize = 5;

/// What `func`, whose aliases are resolved, does with what each of its parameters points to, in
/// their order. Nothing is said of those at the end that are left out.
pub fn uses_of_params(
    func: &Function,
    order: &Order,
    policy: &dyn Policy,
) -> SmallVec<[PointerUse; 4]> {
    let Some(entry) = order.blocks().first() else {
        return SmallVec::new();
    };
    let params = func.dfg.block_params(*entry);
    let mut params = Params {
        func,
        policy,
        made_of: SecondaryMap::new(),
        uses: SmallVec::from_elem(PointerUse::default(), params.len().min(MAX_PARAMS)),
        touches: Vec::new(),
        returns: Vec::new(),
        calls_away: false,
        node: 0,
        changed: false,
    };
    params.begin(*entry);
    for _ in 0..MAX_SCANS {
        params.changed = false;
        params.touches.clear();
        params.returns.clear();
        for (node, block) in order.blocks().iter().enumerate() {
            params.node = node as Node;
            for inst in func.layout.block_insts(*block) {
                params.inst(inst);
            }
        }
        if !params.changed {
            params.give_back();
            overwritten::add(func, order, &params.touches, &mut params.uses);
            return params.uses;
        }
    }
    SmallVec::new()
}

/// Some parameters, one a bit.
pub(super) type Set = u64;

/// What a value is as an address.
#[derive(Clone, Copy, Default)]
struct Made {
    /// The parameters that it may be behind; none if it is behind no parameter.
    set: Set,
    /// How far behind any of them; `None` if that is not known.
    at: Option<i64>,
    /// Is it that, and nothing else?
    exact: bool,
}

impl Made {
    /// Either of both. One that is behind no parameter says nothing about the other one, but that
    /// it may be something else.
    fn or(self, other: Self) -> Self {
        let at = match (self.set, other.set) {
            (0, _) => other.at,
            (_, 0) => self.at,
            _ if self.at == other.at => self.at,
            _ => None,
        };
        Self {
            set: self.set | other.set,
            at,
            exact: false,
        }
    }

    /// So many bytes further.
    fn plus(self, by: Option<i64>) -> Self {
        let at = self.at.zip(by).and_then(|(at, by)| at.checked_add(by));
        Self { at, ..self }
    }
}

struct Params<'a> {
    func: &'a Function,
    policy: &'a dyn Policy,
    /// What is known of each value, if it may be behind a parameter.
    made_of: SecondaryMap<Value, Made>,
    /// Whether they are let go; what is done with them is in `touches`.
    uses: SmallVec<[PointerUse; 4]>,
    /// What is done behind the parameters, in the order of the blocks.
    touches: Vec<Touch>,
    /// The returns.
    returns: Vec<Inst>,
    /// Does it end in tail calls, too?
    calls_away: bool,
    /// The node of the block that is looked at.
    node: Node,
    /// Has what is known of a block parameter become less?
    changed: bool,
}

impl Params<'_> {
    fn begin(&mut self, entry: Block) {
        let params = self.func.dfg.block_params(entry);
        for (at, param) in params.iter().enumerate().take(MAX_PARAMS) {
            self.made_of[*param] = Made {
                set: 1 << at,
                at: Some(0),
                exact: true,
            };
            // Others have a say in what these mean.
            if !self.is_plain(at) {
                self.uses[at] = PointerUse::ESCAPES;
            }
        }
    }

    /// Is the parameter at this position the argument at it, and nothing else?
    fn is_plain(&self, at: usize) -> bool {
        let purpose = self.func.signature.params.get(at).map(|it| it.purpose);
        matches!(
            purpose,
            Some(ArgumentPurpose::Normal | ArgumentPurpose::StructReturn)
        )
    }

    fn of(&self, value: Value) -> Made {
        self.made_of[self.func.dfg.resolve_aliases(value)]
    }

    fn escape(&mut self, value: Value) {
        let mut left = self.of(value).set;
        while left != 0 {
            self.uses[left.trailing_zeros() as usize] = PointerUse::ESCAPES;
            left &= left - 1;
        }
    }

    /// This is done behind `address`, by the distance from it.
    fn touch(&mut self, address: Value, usage: PointerUse) {
        let made = self.of(address);
        if made.set != 0 && !usage.accesses_nothing() {
            self.touches.push(Touch {
                node: self.node,
                set: made.set,
                is_certain: made.exact,
                usage: usage.behind(made.at),
            });
        }
    }

    /// `value` is this.
    fn make(&mut self, value: Value, made: Made) {
        if made.set != 0 {
            self.made_of[value] = made;
        }
    }

    fn inst(&mut self, inst: Inst) {
        let dfg = &self.func.dfg;
        match dfg.insts[inst] {
            InstructionData::Load { arg, .. } => self.access(inst, arg, PointerUse::reading),
            InstructionData::Store {
                args: [value, address],
                ..
            } => {
                self.escape(value);
                self.access(inst, address, overwritten::writing);
            }
            InstructionData::IntCompare { .. } | InstructionData::UnaryImm { .. } => {}
            InstructionData::Binary {
                opcode: opcode @ (Opcode::Iadd | Opcode::Isub),
                args,
            } => self.sum(inst, opcode, args),
            InstructionData::Ternary {
                opcode: Opcode::Select | Opcode::SelectSpectreGuard,
                args: [_, x, y],
            } => self.make(dfg.first_result(inst), self.of(x).or(self.of(y))),
            InstructionData::Call {
                opcode: Opcode::Call,
                ..
            } => self.call(inst),
            InstructionData::Brif { .. } | InstructionData::Jump { .. } => self.branch(inst),
            InstructionData::MultiAry {
                opcode: Opcode::Return,
                ..
            } => self.returns.push(inst),
            _ => {
                self.calls_away |= dfg.insts[inst].opcode().is_return();
                for value in dfg.inst_values(inst) {
                    self.escape(value);
                }
            }
        }
    }

    /// A load or store at `address`.
    fn access(&mut self, inst: Inst, address: Value, usage: fn(Extent) -> PointerUse) {
        if self.of(address).set == 0 {
            return;
        }
        let extent = match effect(self.func, inst) {
            Effect::Access(access) => access
                .bytes
                .map_or(Extent::ANY, |bytes| Extent::of(access.offset.into(), bytes)),
            _ => Extent::ANY,
        };
        self.touch(address, usage(extent));
    }

    fn sum(&mut self, inst: Inst, opcode: Opcode, [x, y]: [Value; 2]) {
        let dfg = &self.func.dfg;
        let (mine, others) = (self.of(x), self.of(y));
        if mine.set | others.set == 0 {
            return;
        }
        let result = dfg.first_result(inst);
        let bits = dfg.value_type(result).bits();
        let constant = |value: Value| {
            let number = number(dfg, dfg.resolve_aliases(value))?;
            let unused = 64u32.checked_sub(bits)?;
            Some((number << unused) as i64 >> unused)
        };
        let made = match (opcode, others.set) {
            (Opcode::Iadd, 0) => mine.plus(constant(y)),
            (Opcode::Iadd, _) if mine.set == 0 => others.plus(constant(x)),
            (Opcode::Isub, 0) => mine.plus(constant(y).and_then(i64::checked_neg)),
            _ => mine.or(others).plus(None),
        };
        if opcode == Opcode::Isub {
            self.escape(y);
        }
        self.make(result, made);
    }

    /// What is returned lets parameters go, but for one that is the first result everywhere.
    fn give_back(&mut self) {
        let returned = self.returned();
        for inst in core::mem::take(&mut self.returns) {
            let values = self.func.dfg.inst_args(inst).iter();
            for value in values.skip(returned.is_some().into()) {
                self.escape(*value);
            }
        }
        if let Some(at) = returned {
            self.uses[at].returned = true;
        }
    }

    /// The parameter that the first result is, wherever the function returns.
    fn returned(&self) -> Option<usize> {
        let param = |inst: &Inst| {
            let made = self.of(*self.func.dfg.inst_args(*inst).first()?);
            let is_one = made.exact && made.at == Some(0) && made.set.is_power_of_two();
            is_one.then_some(made.set.trailing_zeros() as usize)
        };
        let first = self.returns.first().and_then(param);
        let first = first.filter(|at| !self.calls_away && self.is_plain(*at));
        first.filter(|_| self.returns.iter().all(|inst| param(inst) == first))
    }

    /// Values that are passed to blocks.
    fn branch(&mut self, inst: Inst) {
        for_each_block_arg(self.func, inst, |param, arg| {
            let passed = arg.map_or(Made::default(), |arg| self.of(arg));
            if passed.set != 0 {
                let before = self.made_of[param];
                let made = before.or(passed);
                self.changed |= made.set != before.set || made.at != before.at;
                self.made_of[param] = made;
            }
        });
    }

    fn call(&mut self, inst: Inst) {
        let dfg = &self.func.dfg;
        let args = dfg.inst_args(inst);
        let mut all: Set = 0;
        let mut twice: Set = 0;
        for arg in args {
            let set = self.of(*arg).set;
            twice |= all & set;
            all |= set;
        }
        if all == 0 {
            return;
        }
        if let Effect::Transfer(transfer) = effect(self.func, inst) {
            self.transfer(inst, &transfer);
            return;
        }
        let summary = summary_of_call(self.func, self.policy, inst);
        for (at, arg) in args.iter().enumerate() {
            let usage = use_of_arg(self.func, inst, &summary, at);
            if usage.escapes {
                self.escape(*arg);
                continue;
            }
            // The callee has one for each argument; before it overwrites what is behind one, it may
            // read that by another one.
            let first = self.touches.len();
            self.touch(*arg, usage);
            if self.of(*arg).set & twice != 0 {
                let touches = self.touches[first..].iter_mut();
                touches.for_each(|touch| touch.is_certain = false);
            }
        }
        if let Some(arg) = returned_arg(self.func, inst, &summary) {
            self.make(dfg.first_result(inst), self.of(arg));
        }
    }

    /// One of Cranelift's own functions: it reads before it writes.
    fn transfer(&mut self, inst: Inst, transfer: &Transfer) {
        let extent = |bytes: Option<u32>| bytes.map_or(Extent::ANY, |bytes| Extent::of(0, bytes));
        for range in transfer.read() {
            self.touch(range.address, PointerUse::reading(extent(range.bytes)));
        }
        if let Some(range) = transfer.written() {
            self.touch(range.address, overwritten::writing(extent(range.bytes)));
        }
        for value in transfer.others() {
            self.escape(*value);
        }
        if let (Some(to), [result]) = (transfer.returned(), self.func.dfg.inst_results(inst)) {
            self.make(*result, self.of(to));
        }
    }
}
