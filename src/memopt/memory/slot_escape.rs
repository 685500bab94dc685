//! Which values are addresses in a stack slot, and where those escape.
//!
//! A slot's address is fresh, so only values computed from its `stack_addr`
//! point into it. They are followed through additions, selects and block
//! parameters, and through Cranelift's own functions on memory, which return their destination;
//! to callees that only access what is behind a parameter, or ignore it;
//! any other use that could carry the address elsewhere is an
//! *escape* at that instruction. Accesses, those of such functions too, and comparisons are none.
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
//!
//! A slot is *public* from the start if the outside can name it: it has a
//! `key`, a debug tag mentions it, or its address is not followed.

use crate::FxHashMap;
use crate::entity::SecondaryMap;
use crate::ir::{
    BlockArg, BlockCall, DebugTag, Function, Inst, InstructionData, Opcode, StackSlot, Value,
};
use crate::memopt::call::effects::Policy;
use crate::memopt::call::summary::PointerUse;
use crate::memopt::cfg::graph::{Node, Order};
use crate::memopt::inst::effect::{self, Access, Effect, Place, Touch, effect};
use crate::memopt::inst::isle::{self, Step};
use crate::memopt::inst::location::{Address, Root};
use crate::memopt::inst::transfer::Transfer;
use crate::memopt::memory::calls::{summary_of_call, use_of_arg};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Scans over the function until the block parameters settle.
///
/// Each scan lets an address travel round one more back edge, and it settles
/// after as many as a loop nest is deep. Beyond it every slot is public; the
/// run counts one hit.
const MAX_SCANS: u32 = 16;

/// What is known about a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fact {
    Unseen,
    At(StackSlot, i64),
    Within(StackSlot),
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

    fn slot(self) -> Option<StackSlot> {
        match self {
            Self::At(slot, _) | Self::Within(slot) => Some(slot),
            Self::Unseen | Self::Plain => None,
        }
    }
}

/// What is known about all values. Most are plain, and so each value has a number alone.
#[derive(Default)]
struct Facts {
    /// [`Self::PLAIN`], [`Self::UNSEEN`], or a position in `known`, counted from 1.
    at: SecondaryMap<Value, u32>,
    known: Vec<Fact>,
}

impl Facts {
    const PLAIN: u32 = 0;
    const UNSEEN: u32 = u32::MAX;

    fn of(&self, value: Value) -> Fact {
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
    fn is_address(&self, value: Value) -> bool {
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

/// Who may know a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privacy {
    /// Its address never leaves the function.
    #[default]
    Always,
    /// Its address escapes somewhere.
    UntilEscape,
    /// The outside can name it all the time.
    Never,
}

/// An instruction that computes or uses an address in a slot, or a call.
#[derive(Clone, Copy)]
pub struct Concerned {
    /// The node of its block.
    pub node: Node,
    /// The instruction.
    pub inst: Inst,
    /// Its position among the accesses, counted from 1; 0 if it is none.
    access: u32,
}

/// The addresses of stack slots in a function.
pub struct Slots {
    facts: Facts,
    escapes: FxHashMap<Inst, SmallVec<[StackSlot; 2]>>,
    /// The slots whose addresses callees are passed that let them not go, and what those do.
    lent: FxHashMap<Inst, SmallVec<[(StackSlot, PointerUse); 2]>>,
    privacy: SecondaryMap<StackSlot, Privacy>,
    /// Slots whose address is taken, in order.
    used: Vec<StackSlot>,
    /// Those of them that have been come to.
    is_used: SecondaryMap<StackSlot, bool>,
    concerned: Vec<Concerned>,
    /// The plain accesses among those.
    accesses: Vec<Access>,
    /// Does an access with a constant offset lie outside of its slot, or are addresses not
    /// followed? Such an access may be to any memory.
    pub are_left: bool,
    /// Did [`MAX_SCANS`] stop the analysis?
    pub limit_hit: bool,
}

impl Slots {
    /// Follows the addresses of all slots of `func`, whose aliases are resolved.
    ///
    /// Cost: O(instructions) for each scan, and one scan unless an address is
    /// passed to a block parameter; nothing if there is no slot.
    pub fn new(func: &Function, order: &Order, policy: &dyn Policy) -> Self {
        let mut this = Self {
            facts: Facts::default(),
            escapes: FxHashMap::default(),
            lent: FxHashMap::default(),
            privacy: SecondaryMap::new(),
            used: Vec::new(),
            is_used: SecondaryMap::new(),
            concerned: Vec::new(),
            accesses: Vec::new(),
            are_left: false,
            limit_hit: false,
        };
        if func.sized_stack_slots.is_empty() {
            return this;
        }
        this.follow(func, order, policy);
        if this.used.is_empty() {
            this.concerned.clear();
            return this;
        }
        // Where addresses are not followed, one may leave its slot.
        this.are_left = !this.collect_escapes(func, policy) || this.limit_hit;
        for (slot, data) in func.sized_stack_slots.iter() {
            if data.key.is_some() || this.are_left {
                this.privacy[slot] = Privacy::Never;
            }
        }
        this
    }

    /// Scans until the block parameters settle.
    fn follow(&mut self, func: &Function, order: &Order, policy: &dyn Policy) {
        self.facts.at.resize(func.dfg.num_values());
        // About every fourth instruction is an access, and as many compute addresses.
        self.concerned.reserve(func.dfg.num_insts() / 2);
        self.facts.known.reserve(func.dfg.num_insts() / 4);
        for block in order.blocks().iter().skip(1) {
            for param in func.dfg.block_params(*block) {
                self.facts.set(*param, Fact::Unseen);
            }
        }
        for _ in 0..MAX_SCANS {
            self.concerned.clear();
            let scan = Scan {
                slots: self,
                func,
                policy,
                has_addresses: false,
                changed: false,
            };
            let again = scan.facts(order);
            if !again || self.used.is_empty() {
                self.used.sort_unstable();
                return;
            }
        }
        self.used.sort_unstable();
        self.limit_hit = true;
        self.facts = Facts::default();
    }

    /// The instructions that compute or use an address in a slot, and all calls; in reverse
    /// postorder. None, if no address is taken.
    pub fn concerned(&self) -> &[Concerned] {
        &self.concerned
    }

    /// The plain access that an instruction is, if it is one.
    pub fn access(&self, concerned: &Concerned) -> Option<&Access> {
        self.accesses
            .get((concerned.access as usize).checked_sub(1)?)
    }

    /// The slots whose address is taken anywhere.
    pub fn used(&self) -> &[StackSlot] {
        &self.used
    }

    /// Who may know `slot`.
    pub fn privacy(&self, slot: StackSlot) -> Privacy {
        self.privacy[slot]
    }

    /// The slots whose addresses escape at `inst`.
    pub fn escapes_at(&self, inst: Inst) -> &[StackSlot] {
        match self.escapes.get(&inst) {
            Some(slots) => slots,
            None => &[],
        }
    }

    /// The address that `value` is, if it is one in a slot.
    pub fn address(&self, value: Value) -> Option<Address> {
        let (slot, offset) = match self.facts.of(value) {
            Fact::At(slot, offset) => (slot, Some(offset)),
            Fact::Within(slot) => (slot, None),
            Fact::Unseen | Fact::Plain => return None,
        };
        Some(Address {
            root: Root::Slot(slot),
            offset,
        })
    }

    /// Records escapes and debug tags; `false` if an access leaves its slot,
    /// or if its address is lost track of.
    fn collect_escapes(&mut self, func: &Function, policy: &dyn Policy) -> bool {
        let mut inside = true;
        self.accesses.reserve(self.concerned.len() / 2);
        if !func.debug_tags.is_empty() {
            self.collect_tags(func);
        }
        for at in 0..self.concerned.len() {
            let inst = self.concerned[at].inst;
            // Following an address is neither letting it go nor an access.
            if self.is_followed(func, inst) {
                continue;
            }
            let effect = effect(func, inst);
            if let Effect::Access(access) = effect {
                inside &= self.is_inside(func, access.place());
                if let Some(slot) = access.published().and_then(|it| self.facts.of(it).slot()) {
                    self.let_go(inst, SmallVec::from_slice(&[slot]));
                }
                self.accesses.push(access);
                self.concerned[at].access = self.accesses.len() as u32;
                continue;
            }
            // A stack map on a call is that event's; on anything else nobody
            // looks for one.
            if func.dfg.insts[inst].opcode().is_call() && !matches!(effect, Effect::Call) {
                for entry in func.dfg.user_stack_map_entries(inst).unwrap_or(&[]) {
                    self.privacy[entry.slot] = Privacy::Never;
                }
            }
            let mut escaping = self.escaping(func, inst, &effect);
            if !escaping.is_empty() && matches!(effect, Effect::Call) {
                self.lend(func, policy, inst, &mut escaping);
            }
            if !escaping.is_empty() {
                self.let_go(inst, escaping);
            }
            inside &= self.access_stays_inside(func, &effect);
        }
        inside
    }

    /// Takes the slots off `escaping` whose addresses the callee of the call `inst` does not let
    /// go, by its summary.
    fn lend(
        &mut self,
        func: &Function,
        policy: &dyn Policy,
        inst: Inst,
        escaping: &mut SmallVec<[StackSlot; 2]>,
    ) {
        if func.dfg.insts[inst].opcode() != Opcode::Call {
            return;
        }
        let summary = summary_of_call(func, policy, inst);
        let mut lent: SmallVec<[(StackSlot, PointerUse); 2]> = SmallVec::new();
        for (at, arg) in func.dfg.inst_args(inst).iter().enumerate() {
            let Some(slot) = self.facts.of(*arg).slot() else {
                continue;
            };
            let usage = use_of_arg(func, inst, &summary, at);
            match lent.iter_mut().find(|(other, _)| *other == slot) {
                Some((_, joined)) => joined.join(usage),
                None => lent.push((slot, usage)),
            }
        }
        let is_lent =
            |slot: &StackSlot| lent.iter().any(|(it, usage)| it == slot && !usage.escapes);
        escaping.retain(|slot| !is_lent(slot));
        lent.retain(|(_, usage)| !usage.escapes);
        if !lent.is_empty() {
            self.lent.insert(inst, lent);
        }
    }

    /// The slots that the call `inst` lends its callee, which does not let their addresses go, and
    /// what that does with them.
    pub fn lent_at(&self, inst: Inst) -> &[(StackSlot, PointerUse)] {
        match self.lent.get(&inst) {
            Some(slots) => slots,
            None => &[],
        }
    }

    /// The addresses of `slots` escape at `inst`.
    fn let_go(&mut self, inst: Inst, slots: SmallVec<[StackSlot; 2]>) {
        for slot in &slots {
            if self.privacy[*slot] == Privacy::Always {
                self.privacy[*slot] = Privacy::UntilEscape;
            }
        }
        self.escapes.insert(inst, slots);
    }

    fn collect_tags(&mut self, func: &Function) {
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                for tag in func.debug_tags.get(inst) {
                    match tag {
                        DebugTag::StackSlot(slot) => self.privacy[*slot] = Privacy::Never,
                        DebugTag::User(_) => {}
                    }
                }
            }
        }
    }

    /// Is the one result of `inst` an address in a slot?
    fn is_followed(&self, func: &Function, inst: Inst) -> bool {
        match func.dfg.inst_results(inst) {
            // One of Cranelift's own functions does something besides.
            [result] => self.facts.is_address(*result) && !func.dfg.insts[inst].opcode().is_call(),
            _ => false,
        }
    }

    fn access_stays_inside(&self, func: &Function, effect: &Effect) -> bool {
        if let Effect::Transfer(transfer) = effect {
            // As many bytes as nobody knows are bytes of the slot.
            let mut known = transfer.touched().filter(|range| range.bytes.is_some());
            return known.all(|range| self.is_inside(func, Place::of_range(range)));
        }
        let touched = [effect.reads(), effect.writes()];
        let mut places = touched.into_iter().filter_map(Touch::place);
        places.all(|place| self.is_inside(func, place))
    }

    /// Does `place` lie in its slot, if its address is a known one in a slot?
    ///
    /// An access that begins in it may end behind it, but in the same machine word: the frame
    /// gives each slot whole words, so that those bytes are nobody else's. Front ends copy
    /// records of odd sizes by words.
    pub fn is_inside(&self, func: &Function, place: Place) -> bool {
        let Fact::At(slot, offset) = self.facts.of(place.address) else {
            return true;
        };
        let Some(bytes) = place.bytes else {
            return false;
        };
        let start = offset.checked_add(place.offset.into());
        let end = start.and_then(|start| start.checked_add(bytes.into()));
        let size = func.sized_stack_slots[slot].size;
        let word = func.dfg.value_type(place.address).bytes();
        let room = i64::from(size.div_ceil(word)) * i64::from(word);
        let bytes = 0..i64::from(size);
        matches!((start, end), (Some(start), Some(end)) if bytes.contains(&start) && end <= room)
    }

    /// The slots whose address `inst` takes to where it is not followed.
    fn escaping(&self, func: &Function, inst: Inst, effect: &Effect) -> SmallVec<[StackSlot; 2]> {
        let mut escaping = SmallVec::new();
        let mut escape = |value: Value| {
            if let Some(slot) = self.facts.of(value).slot()
                && !escaping.contains(&slot)
            {
                escaping.push(slot);
            }
        };
        effect::for_each_published(func, inst, effect, &mut escape);
        let opcode = func.dfg.insts[inst].opcode();
        if opcode.is_branch() && !opcode.is_call() {
            for_each_block_arg(func, inst, |param, arg| {
                if let Some(arg) = arg
                    && !self.facts.is_address(param)
                {
                    escape(arg);
                }
            });
        }
        escaping
    }
}

/// One pass over the function that updates the facts.
struct Scan<'a> {
    slots: &'a mut Slots,
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
                    self.slots.concerned.push(Concerned {
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
        let facts = &self.slots.facts;
        match data {
            // The most frequent ones compute no address, and pass nothing to a block.
            InstructionData::Load { arg, .. } => return facts.is_address(*arg),
            InstructionData::Store { args, .. } | InstructionData::IntCompare { args, .. } => {
                return facts.is_address(args[0]) || facts.is_address(args[1]);
            }
            InstructionData::UnaryImm { .. } => return false,
            _ => {}
        }
        let mut is_concerned = data.opcode().is_call();
        if let Some(fact) = self.result(inst, data) {
            self.slots.facts.set(dfg.first_result(inst), fact);
            is_concerned |= fact.slot().is_some();
        }
        if self.has_addresses && !is_concerned {
            // What a call hands to an unwinder is in its table.
            let mut args = data.arguments(&dfg.value_lists).iter();
            is_concerned = args.any(|arg| self.slots.facts.is_address(*arg));
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

    /// Meets the fact of an argument into that of its parameter.
    fn pass(&mut self, param: Value, passed: Fact) {
        let old = self.slots.facts.of(param);
        let new = old.meet(passed);
        if new != old {
            self.slots.facts.set(param, new);
            // A parameter gets its first fact before its block is scanned. A
            // later one may come too late for this scan.
            self.changed |= old != Fact::Unseen;
        }
    }

    fn fact(&self, value: Value) -> Fact {
        debug_assert!(!self.func.dfg.value_is_alias(value), "aliases are resolved");
        self.slots.facts.of(value)
    }

    /// What is known about the result of `inst`, if it can be an address.
    fn result(&mut self, inst: Inst, data: &InstructionData) -> Option<Fact> {
        Some(match *data {
            InstructionData::StackAddr {
                stack_slot, offset, ..
            } => {
                self.has_addresses = true;
                if !core::mem::replace(&mut self.slots.is_used[stack_slot], true) {
                    self.slots.used.push(stack_slot);
                }
                Fact::At(stack_slot, offset.into())
            }
            InstructionData::Binary {
                opcode: opcode @ (Opcode::Iadd | Opcode::Isub),
                args: [x, y],
            } => match self.slots.facts.is_plain(x) && self.slots.facts.is_plain(y) {
                true => Fact::Plain,
                false => self.sum(inst, opcode, self.fact(x), self.fact(y)),
            },
            InstructionData::Ternary {
                opcode: Opcode::Select | Opcode::SelectSpectreGuard,
                args: [_, x, y],
            } => self.fact(x).meet(self.fact(y)),
            InstructionData::Call { .. } if !self.func.dfg.inst_results(inst).is_empty() => {
                let transfer = Transfer::of(self.func, inst)?;
                self.fact(transfer.returned()?)
            }
            _ => return None,
        })
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

/// Calls `visit` with each block parameter that `inst` passes something to,
/// and the value that it passes, unless that is a result of a call.
fn for_each_block_arg(func: &Function, inst: Inst, mut visit: impl FnMut(Value, Option<Value>)) {
    let dfg = &func.dfg;
    let destinations: &[BlockCall] =
        dfg.insts[inst].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
    for call in destinations {
        let params = dfg.block_params(call.block(&dfg.value_lists));
        for (param, arg) in params.iter().zip(call.args(&dfg.value_lists)) {
            match arg {
                BlockArg::Value(value) => visit(*param, Some(value)),
                BlockArg::TryCallRet(_) | BlockArg::TryCallExn(_) => visit(*param, None),
            }
        }
    }
}
