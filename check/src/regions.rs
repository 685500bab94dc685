//! What the policy says about the memory that both functions access.

use super::calls::Class;
use super::opcodes::{Bytes, Kind, Touched, kind, touched};
use super::side::Side;
use super::transfers::Transfer;
use cranelift_codegen::FxHashMap;
use cranelift_codegen::ir::{
    AliasRegion, Function, Inst, InstructionData, MemFlagsData, Opcode, Value,
};
use cranelift_memopt::Policy;

#[derive(Clone, Copy, Default)]
struct Facts {
    asynchronous: bool,
    survives_trap: bool,
    stored: bool,
}

/// The alias regions of both functions, as classes.
pub struct Regions<'a> {
    policy: &'a dyn Policy,
    classes: FxHashMap<AliasRegion, Class>,
    facts: FxHashMap<Class, Facts>,
    /// Is there a store without a region that may be to any memory?
    untagged_stores: bool,
}

impl<'a> Regions<'a> {
    /// Looks at all regions, and at all stores.
    ///
    /// The regions of the original have the same numbers in the result.
    /// Cost: O(instructions).
    pub fn new(functions: [&Function; 2], policy: &'a dyn Policy) -> Self {
        let mut this = Self {
            policy,
            classes: FxHashMap::default(),
            facts: FxHashMap::default(),
            untagged_stores: false,
        };
        for (region, data) in functions[Side::Result as usize].dfg.alias_regions.iter() {
            let class = policy.representative(data.user_id);
            this.classes.insert(region, class);
            let facts = this.facts.entry(class).or_default();
            // One memory is what any of its names says that it is.
            for name in [data.user_id, class] {
                facts.asynchronous |= policy.is_asynchronous(name);
                facts.survives_trap |= policy.survives_trap(name);
            }
        }
        for func in functions {
            this.find_stores(func);
        }
        this
    }

    fn find_stores(&mut self, func: &Function) {
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                if let Some(transfer) = Transfer::of(func, inst) {
                    let in_slot = !transfer.writes() || is_in_slot(func, transfer.args[0]);
                    self.untagged_stores |= !in_slot;
                }
                match touched(func, inst)[1] {
                    Touched::Nothing => {}
                    Touched::At(bytes) => self.is_written(func, inst, &bytes),
                    Touched::Anything => self.untagged_stores = true,
                }
            }
        }
    }

    fn is_written(&mut self, func: &Function, inst: Inst, bytes: &Bytes) {
        match bytes.flags.and_then(|flags| self.class(flags)) {
            Some(class) => self.facts.entry(class).or_default().stored = true,
            None => {
                let is_plain = matches!(kind(func.dfg.insts[inst].opcode()), Kind::Store(_));
                self.untagged_stores |= !is_plain || !is_in_slot(func, bytes.address);
            }
        }
    }

    /// The class that `flags` name.
    pub fn class(&self, flags: MemFlagsData) -> Option<Class> {
        self.classes.get(&flags.alias_region()?).copied()
    }

    /// Does the world access this memory at any time?
    pub fn is_asynchronous(&self, class: Option<Class>) -> bool {
        match class {
            Some(class) => self.facts[&class].asynchronous,
            None => self.policy.has_asynchronous_memory(),
        }
    }

    /// Can anyone look at this memory after a trap?
    pub fn survives_trap(&self, class: Option<Class>) -> bool {
        let facts = class.and_then(|class| self.facts.get(&class));
        facts.is_none_or(|facts| facts.survives_trap)
    }

    /// May a store in either function be to this memory?
    pub fn is_stored(&self, class: Class) -> bool {
        self.untagged_stores || self.facts.get(&class).is_none_or(|facts| facts.stored)
    }
}

/// Is `address` a sum of a slot's address and constants, written as such?
fn is_in_slot(func: &Function, address: Value) -> bool {
    let dfg = &func.dfg;
    let mut at = dfg.resolve_aliases(address);
    loop {
        let Some(inst) = dfg.value_def(at).inst() else {
            return false;
        };
        at = match dfg.insts[inst] {
            InstructionData::StackAddr { .. } => return true,
            InstructionData::Binary {
                opcode: Opcode::Iadd | Opcode::Isub,
                args,
            } => dfg.resolve_aliases(args[0]),
            _ => return false,
        };
    }
}
