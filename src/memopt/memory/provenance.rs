//! Which values are addresses in a stack slot.
//!
//! A slot's address is fresh, so only values computed from its `stack_addr`
//! point into it. They are followed through additions, selects and block
//! parameters, and through callees that return what they are passed, as Cranelift's own functions on
//! memory do with their destination.
//!
//! What is known about a value forms a lattice, met over the arguments of a
//! block parameter until nothing changes:
//!
//! ```text
//!        Unseen            no argument has been looked at yet
//!       /      \
//!  At(s, k) … At(t, j)     the address of byte k of slot s
//!      |          |
//!   Within(s)  Within(t)   somewhere in slot s
//!       \      /
//!        Plain             anything; an address met with it escapes
//! ```

use crate::FxHashMap;
use crate::entity::SecondaryMap;
use crate::ir::{Function, Inst, InstructionData, Opcode, StackSlot, Value};
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::cfg::graph::{Node, Order};
use crate::memopt::inst::isle::{self, Step};
use crate::memopt::inst::location::{Address, Root};
use crate::memopt::inst::transfer::Transfer;
use crate::memopt::memory::calls::{returned_arg, summary_of_call};
use alloc::vec::Vec;

/// Scans over the function until the block parameters settle.
///
/// Each scan lets an address travel round one more back edge, and it settles
/// after as many as a loop nest is deep. Beyond it every slot is public; the
/// run counts one hit.
const MAX_SCANS: u32 = 16;

/// What is known about a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fact {
    /// No argument has been looked at yet.
    Unseen,
    /// The address of this byte of the slot.
    At(StackSlot, i64),
    /// Somewhere in the slot.
    Within(StackSlot),
    /// Anything.
    #[default]
    Plain,
}

impl Fact {
    fn meet(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unseen, fact) | (fact, Self::Unseen) => fact,
            (Self::Plain, _) | (_, Self::Plain) => Self::Plain,
            (Self::At(s, k), Self::At(t, j)) if s == t && k == j => self,
            (Self::At(s, _) | Self::Within(s), Self::At(t, _) | Self::Within(t)) => {
                if s == t {
                    Self::Within(s)
                } else {
                    Self::Plain
                }
            }
        }
    }

    /// The slot that the value points into.
    pub fn slot(self) -> Option<StackSlot> {
        match self {
            Self::At(slot, _) | Self::Within(slot) => Some(slot),
            Self::Unseen | Self::Plain => None,
        }
    }
}

/// What is known about all values. Most are plain, and so each value has a number alone.
#[derive(Default)]
pub struct Facts {
    /// [`Self::PLAIN`], [`Self::UNSEEN`], or a position in `known`, counted from 1.
    at: SecondaryMap<Value, u32>,
    known: Vec<Fact>,
}

impl Facts {
    const PLAIN: u32 = 0;
    const UNSEEN: u32 = u32::MAX;

    /// What is known about `value`.
    pub fn of(&self, value: Value) -> Fact {
        match self.at[value] {
            Self::PLAIN => Fact::Plain,
            Self::UNSEEN => Fact::Unseen,
            at => self.known[at as usize - 1],
        }
    }

    fn is_plain(&self, value: Value) -> bool {
        self.at[value] == Self::PLAIN
    }

    /// Is `value` an address in a slot?
    pub fn is_address(&self, value: Value) -> bool {
        !matches!(self.at[value], Self::PLAIN | Self::UNSEEN)
    }

    fn set(&mut self, value: Value, fact: Fact) {
        let at = &mut self.at[value];
        match fact {
            Fact::Plain => *at = Self::PLAIN,
            Fact::Unseen => *at = Self::UNSEEN,
            Fact::At(..) | Fact::Within(_) => {
                self.known.push(fact);
                *at = self.known.len() as u32;
            }
        }
    }
}

/// An instruction that computes or uses an address in a slot, or a call.
#[derive(Clone, Copy)]
pub struct Concerned {
    /// The node of its block.
    pub node: Node,
    /// The instruction.
    pub inst: Inst,
    /// Its position among the accesses, counted from 1; 0 if it is none.
    pub(super) access: u32,
}

/// Addresses that slots are assumed to keep: by slot and first byte, the slot and byte that the address
/// is of.
pub type Kept = FxHashMap<(StackSlot, i64), (StackSlot, i64)>;

/// What is known about the values of a function.
#[derive(Default)]
pub struct Provenance {
    /// Addresses that loads from slots are assumed to find.
    pub kept: Kept,
    /// About each.
    pub facts: Facts,
    /// Slots whose address is taken, in order.
    pub used: Vec<StackSlot>,
    /// Those of them that have been come to.
    is_used: SecondaryMap<StackSlot, bool>,
    /// The instructions that compute or use an address in a slot, and all calls; in reverse
    /// postorder.
    pub concerned: Vec<Concerned>,
    /// Did [`MAX_SCANS`] stop the analysis? Then nothing is known about any value.
    pub limit_hit: bool,
    /// Is there an instruction that may access memory not plainly, and that is no call?
    pub has_other_accesses: bool,
}

impl Provenance {
    /// Forgets everything.
    pub fn clear(&mut self) {
        let Self {
            kept,
            facts: Facts { at, known },
            used,
            is_used,
            concerned,
            limit_hit,
            has_other_accesses,
        } = self;
        kept.clear();
        at.clear();
        known.clear();
        used.clear();
        is_used.clear();
        concerned.clear();
        *limit_hit = false;
        *has_other_accesses = false;
    }

    /// Follows the addresses of all slots of `func`, whose aliases are resolved, until the block
    /// parameters settle. Nothing is known yet.
    ///
    /// Cost: O(instructions) for each scan, and one scan unless an address is
    /// passed to a block parameter.
    pub fn find(&mut self, func: &Function, order: &Order, policy: &dyn Policy) {
        self.facts.at.resize(func.dfg.num_values());
        self.is_used.resize(func.sized_stack_slots.len());
        // About every fourth instruction is an access, and as many compute addresses.
        self.concerned.reserve(func.dfg.num_insts() / 2);
        self.facts.known.reserve(func.dfg.num_insts() / 4);
        for block in order.blocks().iter().skip(1) {
            for param in func.dfg.block_params(*block) {
                self.facts.set(*param, Fact::Unseen);
            }
        }
        self.settle(func, order, policy);
        self.used.sort_unstable();
    }

    fn settle(&mut self, func: &Function, order: &Order, policy: &dyn Policy) {
        for _ in 0..MAX_SCANS {
            self.concerned.clear();
            let scan = Scan {
                found: self,
                func,
                policy,
                has_addresses: false,
                changed: false,
            };
            let again = scan.facts(order);
            if !again || self.used.is_empty() {
                return;
            }
        }
        self.limit_hit = true;
        self.facts = Facts::default();
    }
}

/// One pass over the function that updates the facts.
struct Scan<'a> {
    found: &'a mut Provenance,
    func: &'a Function,
    policy: &'a dyn Policy,
    /// Has an address of a slot come already? Before the first there is nothing to follow: a
    /// parameter is one only if it is one on the edge that comes before it, too.
    has_addresses: bool,
    changed: bool,
}

impl Scan<'_> {
    /// Updates every value; is another scan needed?
    fn facts(mut self, order: &Order) -> bool {
        let func = self.func;
        for (node, block) in (0..).zip(order.blocks()) {
            for inst in func.layout.block_insts(*block) {
                if self.inst(inst) {
                    self.found.concerned.push(Concerned {
                        node,
                        inst,
                        access: 0,
                    });
                }
            }
        }
        self.changed
    }

    /// Updates what `inst` computes and passes; is it a call, or is an address computed or used?
    fn inst(&mut self, inst: Inst) -> bool {
        let dfg = &self.func.dfg;
        let data = &dfg.insts[inst];
        let facts = &self.found.facts;
        match data {
            // The most frequent ones compute no address, and pass nothing to a block.
            InstructionData::Load { arg, offset, .. } => {
                let is_concerned = facts.is_address(*arg);
                if is_concerned && !self.found.kept.is_empty() {
                    self.load(inst, *arg, (*offset).into());
                }
                return is_concerned;
            }
            InstructionData::Store { args, .. } | InstructionData::IntCompare { args, .. } => {
                return facts.is_address(args[0]) || facts.is_address(args[1]);
            }
            InstructionData::Unary { arg, .. } => return facts.is_address(*arg),
            InstructionData::Binary { opcode, args } => {
                let may_move = matches!(opcode, Opcode::Iadd | Opcode::Isub);
                // A sum that an earlier scan took for an address is none any more.
                let was_plain = || facts.is_plain(dfg.first_result(inst));
                if !may_move || args.iter().all(|arg| facts.is_plain(*arg)) && was_plain() {
                    return args.iter().any(|arg| facts.is_address(*arg));
                }
            }
            InstructionData::UnaryImm { .. } => return false,
            data => self.found.has_other_accesses |= is_other_access(data),
        }
        let mut is_concerned = data.opcode().is_call();
        if let Some(fact) = self.result(inst, data) {
            self.found.facts.set(dfg.first_result(inst), fact);
            is_concerned |= fact.slot().is_some();
        }
        if self.has_addresses && !is_concerned {
            // What a call hands to an unwinder is in its table.
            let mut args = data.arguments(&dfg.value_lists).iter();
            is_concerned = args.any(|arg| self.found.facts.is_address(*arg));
        }
        if data.opcode().is_branch() {
            for_each_block_arg(self.func, inst, |param, arg| {
                let passed = arg.map_or(Fact::Plain, |arg| self.fact(arg));
                is_concerned |= passed.slot().is_some();
                self.pass(param, passed);
            });
        }
        is_concerned
    }

    /// A load that may find an address that is kept.
    fn load(&mut self, inst: Inst, address: Value, offset: i64) {
        let kept = match self.fact(address) {
            Fact::At(slot, at) => self.found.kept.get(&(slot, at + offset)),
            Fact::Within(_) | Fact::Unseen | Fact::Plain => None,
        };
        let found = kept.map_or(Fact::Plain, |(slot, at)| Fact::At(*slot, *at));
        let result = self.func.dfg.first_result(inst);
        self.found.facts.set(result, found);
    }

    /// Meets the fact of an argument into that of its parameter.
    fn pass(&mut self, param: Value, passed: Fact) {
        let old = self.found.facts.of(param);
        let new = old.meet(passed);
        if new != old {
            self.found.facts.set(param, new);
            // A parameter gets its first fact before its block is scanned. A
            // later one may come too late for this scan.
            self.changed |= old != Fact::Unseen;
        }
    }

    fn fact(&self, value: Value) -> Fact {
        debug_assert!(!self.func.dfg.value_is_alias(value), "aliases are resolved");
        self.found.facts.of(value)
    }

    /// What is known about the result of `inst`, if it can be an address.
    fn result(&mut self, inst: Inst, data: &InstructionData) -> Option<Fact> {
        Some(match *data {
            InstructionData::StackAddr {
                stack_slot, offset, ..
            } => {
                self.has_addresses = true;
                if !core::mem::replace(&mut self.found.is_used[stack_slot], true) {
                    self.found.used.push(stack_slot);
                }
                Fact::At(stack_slot, offset.into())
            }
            InstructionData::Binary {
                opcode: opcode @ (Opcode::Iadd | Opcode::Isub),
                args: [x, y],
            } => self.sum(inst, opcode, self.fact(x), self.fact(y)),
            InstructionData::Ternary {
                opcode: Opcode::Select | Opcode::SelectSpectreGuard,
                args: [_, x, y],
            } => self.fact(x).meet(self.fact(y)),
            InstructionData::Call { .. } if !self.func.dfg.inst_results(inst).is_empty() => {
                match Transfer::of(self.func, inst) {
                    Some(transfer) => self.fact(transfer.returned()?),
                    None => self.returned(inst)?,
                }
            }
            _ => return None,
        })
    }

    /// What is known about the first result of the call `inst`, if it may be an address that the
    /// callee is passed.
    fn returned(&self, inst: Inst) -> Option<Fact> {
        let dfg = &self.func.dfg;
        let facts = &self.found.facts;
        let mut args = dfg.inst_args(inst).iter();
        // What an earlier scan took for an address is none any more.
        if args.all(|arg| facts.is_plain(*arg)) && facts.is_plain(dfg.first_result(inst)) {
            return None;
        }
        let summary = summary_of_call(self.func, self.policy, inst);
        Some(self.fact(returned_arg(self.func, inst, &summary)?))
    }

    fn sum(&self, inst: Inst, opcode: Opcode, x: Fact, y: Fact) -> Fact {
        let value = self.func.dfg.first_result(inst);
        let step = isle::address_step(&self.func.dfg, self.policy, value);
        if let Step::Offset { base, by } = step
            && let Fact::At(slot, offset) = self.fact(base)
        {
            // A constant distance stays one where it wraps.
            let start = Address {
                root: Root::Slot(slot),
                offset: Some(offset),
            };
            let bits = self.func.dfg.value_type(value).bits();
            return match start.plus(by, bits).offset {
                Some(offset) => Fact::At(slot, offset),
                None => Fact::Within(slot),
            };
        }
        match (x, y) {
            (Fact::Unseen, Fact::Unseen) => Fact::Unseen,
            (Fact::At(slot, _) | Fact::Within(slot), Fact::Plain | Fact::Unseen) => {
                Fact::Within(slot)
            }
            (Fact::Plain | Fact::Unseen, Fact::At(slot, _) | Fact::Within(slot))
                if opcode == Opcode::Iadd =>
            {
                Fact::Within(slot)
            }
            (Fact::Unseen, Fact::Plain) | (Fact::Plain, Fact::Unseen) => Fact::Unseen,
            _ => Fact::Plain,
        }
    }
}

/// May an instruction that is no plain access access memory, and is it no call?
fn is_other_access(data: &InstructionData) -> bool {
    match data {
        // Most are told by their format.
        InstructionData::StackAddr { .. }
        | InstructionData::Unary { .. }
        | InstructionData::Binary { .. }
        | InstructionData::Jump { .. }
        | InstructionData::Brif { .. }
        | InstructionData::BranchTable { .. }
        | InstructionData::Call { .. }
        | InstructionData::MultiAry { .. } => false,
        _ => {
            let opcode = data.opcode();
            let touches = opcode.can_load() || opcode.can_store() || opcode.other_side_effects();
            touches && !opcode.is_call()
        }
    }
}
