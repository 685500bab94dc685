//! Address expressions, taken apart by the rules of `isle/address.isle`.

use crate::FxHashMap;
use crate::ir::{Function, InstructionData, Opcode, Value};
use crate::memopt::call::effects::{CalleeName, Origin, Policy};
use crate::memopt::inst::isle::{self, Step};
use crate::memopt::inst::location::{Address, Root};
use alloc::vec::Vec;

/// Sums of so many parts are taken apart each time; that costs less than to
/// remember them.
const SHORT: u32 = 4;

/// Takes addresses apart, the parts of long sums once.
pub struct Addresses<'a> {
    func: &'a Function,
    policy: &'a dyn Policy,
    known: FxHashMap<Value, Address>,
    /// The last that was taken apart: many accesses in a row have one base.
    last: Option<(Value, Address)>,
}

impl<'a> Addresses<'a> {
    /// For the values of `func`, whose aliases are resolved.
    pub fn new(func: &'a Function, policy: &'a dyn Policy) -> Self {
        Self {
            func,
            policy,
            known: FxHashMap::default(),
            last: None,
        }
    }

    /// What `value` is based on, and how far from it.
    ///
    /// Cost: O(1) for each value in between, over all calls.
    pub fn of(&mut self, value: Value) -> Address {
        match self.last {
            Some((last, address)) if last == value => address,
            _ => {
                let address = self.take_apart(self.func.dfg.resolve_aliases(value));
                self.last = Some((value, address));
                address
            }
        }
    }

    fn take_apart(&mut self, value: Value) -> Address {
        let (mut at, mut distance) = (value, 0i64);
        for _ in 0..SHORT {
            match isle::address_step(&self.func.dfg, self.policy, at) {
                Step::Offset { base, by } => {
                    at = base;
                    distance = distance.wrapping_add(by);
                }
                Step::Slot { slot, by } => return self.at(value, Root::Slot(slot), distance, by),
                Step::Shared { region, offset } => {
                    return self.at(value, Root::Shared(region, offset), distance, 0);
                }
                Step::Root => {
                    let (root, by) = self.root(at);
                    return self.at(value, root, distance, by);
                }
            }
        }
        self.follow(value)
    }

    /// The root that `value` is, and how far from it: all constants have one root.
    fn root(&self, value: Value) -> (Root, i64) {
        let dfg = &self.func.dfg;
        let inst = dfg.value_def(value).inst().map(|inst| dfg.insts[inst]);
        match inst {
            Some(InstructionData::UnaryImm {
                opcode: Opcode::Iconst,
                imm,
            }) => {
                let bits = dfg.value_type(value).bits();
                (Root::Absolute, imm.sign_extend_from_width(bits).bits())
            }
            _ => (Root::Value(value), 0),
        }
    }

    /// What `value` is, `distance` from `by` behind `root`.
    fn at(&self, value: Value, root: Root, distance: i64, by: i64) -> Address {
        let start = Address {
            root,
            offset: Some(by),
        };
        match distance {
            0 => start,
            _ => start.plus(distance, self.func.dfg.value_type(value).bits()),
        }
    }

    /// The same, for long sums; remembers every part.
    fn follow(&mut self, value: Value) -> Address {
        let mut path = Vec::new();
        let mut at = value;
        let base = loop {
            if let Some(known) = self.known.get(&at) {
                break *known;
            }
            match isle::address_step(&self.func.dfg, self.policy, at) {
                Step::Offset { base, by } => {
                    path.push((at, by));
                    at = base;
                }
                Step::Slot { slot, by } => break self.remember(at, Root::Slot(slot), by),
                Step::Shared { region, offset } => {
                    break self.remember(at, Root::Shared(region, offset), 0);
                }
                Step::Root => {
                    let (root, by) = self.root(at);
                    break self.remember(at, root, by);
                }
            }
        };
        path.into_iter().rev().fold(base, |below, (value, by)| {
            let bits = self.func.dfg.value_type(value).bits();
            let address = below.plus(by, bits);
            self.known.insert(value, address);
            address
        })
    }

    fn remember(&mut self, value: Value, root: Root, offset: i64) -> Address {
        let address = Address {
            root,
            offset: Some(offset),
        };
        self.known.insert(value, address);
        address
    }
}

/// The loads through which `pointer` was reached.
pub fn origin(func: &Function, pointer: Value) -> Origin {
    let mut origin = Origin {
        loads: Vec::new(),
        function: None,
    };
    let mut at = pointer;
    while origin.loads.len() < Origin::MAX_LOADS {
        at = func.dfg.resolve_aliases(at);
        let Some(inst) = func.dfg.value_def(at).inst() else {
            break;
        };
        match func.dfg.insts[inst] {
            InstructionData::Load {
                opcode: Opcode::Load,
                arg,
                flags,
                offset,
            } => {
                let Some(region) = func.dfg.mem_flags[flags].alias_region() else {
                    break;
                };
                let region = func.dfg.alias_regions[region].user_id;
                let (base, by) = isle::displacement(&func.dfg, arg);
                origin.loads.push((region, by.wrapping_add(offset.into())));
                at = base;
            }
            InstructionData::FuncAddr { func_ref, .. } => {
                origin.function = CalleeName::of_ref(func, func_ref);
                break;
            }
            _ => break,
        }
    }
    origin
}
