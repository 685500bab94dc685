//! Where the addresses of stack slots escape.
//!
//! Any use of an address [in a slot](super::provenance) that could carry it elsewhere is an
//! *escape* at that instruction. Accesses, those of Cranelift's own functions on memory too, and
//! comparisons are none; nor are calls of callees that only access what is behind a parameter, or
//! ignore it.
//!
//! A slot is *public* from the start if the outside can name it: it has a
//! `key`, a debug tag mentions it, or its address is not followed.

use crate::FxHashMap;
use crate::entity::SecondaryMap;
use crate::ir::{DebugTag, Function, Inst, Opcode, StackSlot, Value};
use crate::memopt::call::effects::Policy;
use crate::memopt::call::summary::PointerUse;
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::cfg::graph::Order;
use crate::memopt::inst::effect::{self, Access, Effect, Place, Touch, effect};
use crate::memopt::inst::location::{Address, Root};
use crate::memopt::memory::calls::{summary_of_call, use_of_arg};
use crate::memopt::memory::provenance::{Concerned, Fact, Kept, Provenance};
use alloc::vec::Vec;
use smallvec::SmallVec;

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

/// The addresses of stack slots in a function.
#[derive(Default)]
pub struct Slots {
    values: Provenance,
    escapes: FxHashMap<Inst, SmallVec<[StackSlot; 2]>>,
    /// A bit for each instruction in `escapes`, by its number modulo 64: most are in none.
    escape_bits: u64,
    /// The slots whose addresses callees are passed that let them not go, and what those do.
    lent: FxHashMap<Inst, SmallVec<[(StackSlot, PointerUse); 2]>>,
    privacy: SecondaryMap<StackSlot, Privacy>,
    /// The plain accesses among the instructions that are concerned.
    accesses: Vec<Access>,
    /// Does an access with a constant offset lie outside of its slot, or are addresses not
    /// followed? Such an access may be to any memory.
    pub are_left: bool,
}

impl Slots {
    /// Follows the addresses of all slots of `func`, whose aliases are resolved.
    ///
    /// Cost: O(instructions) for each scan, and one scan unless an address is
    /// passed to a block parameter; nothing if there is no slot.
    pub fn new(func: &Function, order: &Order, policy: &dyn Policy) -> Self {
        let mut this = Self::default();
        this.found(func, order, policy);
        this
    }

    /// The same, if slots keep addresses as `kept` says, which is assumed.
    pub fn with_kept(func: &Function, order: &Order, policy: &dyn Policy, kept: Kept) -> Self {
        let mut this = Self::default();
        this.values.kept = kept;
        this.found(func, order, policy);
        this
    }

    /// The addresses that slots are assumed to keep.
    pub fn kept(&self) -> &Kept {
        &self.values.kept
    }

    /// The same, for other slots.
    pub fn into_kept(self) -> Kept {
        self.values.kept
    }

    /// What [`Self::new`] finds, in the lists of slots as they were, or of another function.
    pub fn find(&mut self, func: &Function, order: &Order, policy: &dyn Policy) {
        self.clear();
        self.found(func, order, policy);
    }

    /// What there is to know, in lists that are empty.
    fn found(&mut self, func: &Function, order: &Order, policy: &dyn Policy) {
        if func.sized_stack_slots.is_empty() {
            return;
        }
        self.privacy.resize(func.sized_stack_slots.len());
        self.values.find(func, order, policy);
        if self.values.used.is_empty() {
            self.values.concerned.clear();
            return;
        }
        // Where addresses are not followed, one may leave its slot.
        self.are_left = !self.collect_escapes(func, policy) || self.limit_hit();
        for (slot, data) in func.sized_stack_slots.iter() {
            if data.key.is_some() || self.are_left {
                self.privacy[slot] = Privacy::Never;
            }
        }
    }

    /// Instructions have gone that concern no slot but by accesses, and values have got other names.
    ///
    /// Cost: O(instructions that are concerned).
    pub fn forget_removed(&mut self, func: &Function) {
        let concerned = &mut self.values.concerned;
        concerned.retain(|it| func.layout.inst_block(it.inst).is_some());
        for access in &mut self.accesses {
            access.stored = access.stored.map(|value| func.dfg.resolve_aliases(value));
        }
    }

    /// Do they say the same as `other`, which are those of the same function?
    pub fn are_like(&self, other: &Self) -> bool {
        let one = |slots: &Self| {
            let concerned = slots.concerned().iter();
            let accesses = concerned.map(|it| (it.node, it.inst, slots.access(it).cloned()));
            accesses.collect::<Vec<_>>()
        };
        self.used() == other.used()
            && self.are_left == other.are_left
            && { self.used().iter() }.all(|slot| self.privacy(*slot) == other.privacy(*slot))
            && one(self) == one(other)
    }

    fn clear(&mut self) {
        let Self {
            values,
            escapes,
            escape_bits,
            lent,
            privacy,
            accesses,
            are_left,
        } = self;
        values.clear();
        escapes.clear();
        *escape_bits = 0;
        lent.clear();
        privacy.clear();
        accesses.clear();
        *are_left = false;
    }

    /// The instructions that compute or use an address in a slot, and all calls; in reverse
    /// postorder. None, if no address is taken.
    pub fn concerned(&self) -> &[Concerned] {
        &self.values.concerned
    }

    /// The plain access that an instruction is, if it is one.
    pub fn access(&self, concerned: &Concerned) -> Option<&Access> {
        self.accesses
            .get((concerned.access as usize).checked_sub(1)?)
    }

    /// The slots whose address is taken anywhere.
    pub fn used(&self) -> &[StackSlot] {
        &self.values.used
    }

    /// The position of `slot` among the [used](Self::used) ones, if it is one of them.
    pub fn used_at(&self, slot: StackSlot) -> Option<u32> {
        let at = self.used().binary_search(&slot);
        at.ok().map(|at| at as u32)
    }

    /// Is there an instruction that may access memory not plainly, and that is no call? Only known
    /// if there are slots.
    pub fn has_other_accesses(&self) -> bool {
        self.values.has_other_accesses
    }

    /// Was the search for addresses stopped?
    pub fn limit_hit(&self) -> bool {
        self.values.limit_hit
    }

    /// Who may know `slot`.
    pub fn privacy(&self, slot: StackSlot) -> Privacy {
        self.privacy[slot]
    }

    /// The slots whose addresses escape at `inst`.
    pub fn escapes_at(&self, inst: Inst) -> &[StackSlot] {
        if self.escape_bits & bit(inst) == 0 {
            return &[];
        }
        match self.escapes.get(&inst) {
            Some(slots) => slots,
            None => &[],
        }
    }

    /// The address that `value` is, if it is one in a slot.
    pub fn address(&self, value: Value) -> Option<Address> {
        let (slot, offset) = self.slot(value)?;
        Some(Address {
            root: Root::Slot(slot),
            offset,
        })
    }

    /// The slot in which `value` is an address, and where, if that is known.
    pub fn slot(&self, value: Value) -> Option<(StackSlot, Option<i64>)> {
        match self.values.facts.of(value) {
            Fact::At(slot, offset) => Some((slot, Some(offset))),
            Fact::Within(slot) => Some((slot, None)),
            Fact::Unseen | Fact::Plain => None,
        }
    }

    /// The same of a slot that is always private.
    pub fn private(&self, value: Value) -> Option<(StackSlot, Option<i64>)> {
        let slot = self.slot(value);
        slot.filter(|(slot, _)| self.privacy(*slot) == Privacy::Always)
    }

    /// Records escapes and debug tags; `false` if an access leaves its slot,
    /// or if its address is lost track of.
    fn collect_escapes(&mut self, func: &Function, policy: &dyn Policy) -> bool {
        let mut inside = true;
        self.accesses.reserve(self.values.concerned.len() / 2);
        if !func.debug_tags.is_empty() {
            self.collect_tags(func);
        }
        for at in 0..self.values.concerned.len() {
            let inst = self.values.concerned[at].inst;
            // Following an address is neither letting it go nor an access.
            if self.is_followed(func, inst) {
                continue;
            }
            let effect = effect(func, inst);
            if let Effect::Access(access) = effect {
                inside &= self.is_inside(func, access.place());
                if let Some(slot) = access
                    .published()
                    .and_then(|it| self.values.facts.of(it).slot())
                    && !self.keeps(&access)
                {
                    self.let_go(inst, SmallVec::from_slice(&[slot]));
                }
                self.accesses.push(access);
                self.values.concerned[at].access = self.accesses.len() as u32;
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

    /// Does the access store an address where that is assumed to be kept?
    fn keeps(&self, access: &Access) -> bool {
        let Some(Fact::At(slot, at)) = access.stored.map(|value| self.values.facts.of(value))
        else {
            return false;
        };
        let Fact::At(keeper, offset) = self.values.facts.of(access.address) else {
            return false;
        };
        let kept = self
            .values
            .kept
            .get(&(keeper, offset + i64::from(access.offset)));
        kept == Some(&(slot, at))
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
            let (slot, by) = match self.values.facts.of(*arg) {
                Fact::At(slot, by) => (slot, Some(by)),
                Fact::Within(slot) => (slot, None),
                Fact::Unseen | Fact::Plain => continue,
            };
            let usage = use_of_arg(func, inst, &summary, at).behind(by);
            match lent.iter_mut().find(|(other, _)| *other == slot) {
                Some((_, both)) => both.and(usage),
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
    /// what that does with them, by the distance from the start of each.
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
        self.escape_bits |= bit(inst);
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
            // One of Cranelift's own functions does something besides, and so does a load.
            [result] => {
                let opcode = func.dfg.insts[inst].opcode();
                self.values.facts.is_address(*result) && !opcode.is_call() && !opcode.can_load()
            }
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
        let Fact::At(slot, offset) = self.values.facts.of(place.address) else {
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
            if let Some(slot) = self.values.facts.of(value).slot()
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
                    && !self.values.facts.is_address(param)
                {
                    escape(arg);
                }
            });
        }
        escaping
    }
}

/// The bit of `inst` among 64.
fn bit(inst: Inst) -> u64 {
    1 << (inst.as_u32() % 64)
}
