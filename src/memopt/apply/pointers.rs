//! Pointers to one of a few places in slots become numbers.

use super::{Editor, params};
use crate::FxHashMap;
use crate::cursor::{Cursor, FuncCursor};
use crate::ir::condcodes::IntCC;
use crate::ir::{
    Block, Function, Inst, InstBuilder, InstructionData, MemFlags, Opcode, Type, Value, ValueDef,
    types,
};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::edit::{Edge, Numbered, NumberedAccess};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The type of a number.
const NUMBER: Type = types::I8;

impl Editor<'_> {
    /// Replaces the pointers, and all accesses by them; `false` if there are too many flags.
    pub(super) fn number_places(&mut self, numbered: &Numbered) -> bool {
        let mut flags = Vec::with_capacity(numbered.accesses.len());
        for access in &numbered.accesses {
            let Some(flag) = self.plain_flags(access.inst) else {
                self.stats.limits_hit += 1;
                return false;
            };
            flags.push(flag);
        }
        let edges = self.edges_to(numbered);
        let mut making = Making::new(&mut self.ctx.func, numbered);
        for (param, edges) in numbered.params.iter().zip(&edges) {
            making.pass(param.0, edges);
        }
        for (access, flags) in numbered.accesses.iter().zip(flags) {
            making.access(access, flags);
        }
        for test in &numbered.tests {
            making.test(*test);
        }
        let gone = numbered.sums.iter().chain(&numbered.selects);
        for inst in gone {
            self.ctx.func.layout.remove_inst(*inst);
        }
        let dfg = &self.ctx.func.dfg;
        let mut list: Vec<(Block, usize, Value)> = Vec::new();
        for (param, _) in &numbered.params {
            if let ValueDef::Param(block, position) = dfg.value_def(*param) {
                list.push((block, position, *param));
            }
        }
        list.sort_unstable_by(|a, b| b.cmp(a));
        let list: Vec<Value> = list.into_iter().map(|(_, _, param)| param).collect();
        params::remove(&mut self.ctx.func, &self.ctx.cfg, &list);
        true
    }

    /// The edges to the block of each pointer that is a parameter.
    fn edges_to(&self, numbered: &Numbered) -> Vec<Vec<Edge>> {
        let func = &self.ctx.func;
        let edges = numbered.params.iter().map(|(param, _)| {
            let ValueDef::Param(block, _) = func.dfg.value_def(*param) else {
                return Vec::new();
            };
            let preds = self.ctx.cfg.pred_iter(block).map(|pred| pred.block);
            let mut preds: Vec<Block> = preds.collect();
            preds.sort_unstable();
            preds.dedup();
            let edges = |pred: &Block| cfg_edit::edges(func, *pred, block);
            preds.iter().flat_map(edges).collect()
        });
        edges.collect()
    }
}

/// What a pointer is.
enum What {
    Zero,
    /// The address of the place with this number.
    Place(u8),
    /// The parameter at this position.
    Param(usize),
    Select([Value; 3]),
}

struct Making<'a> {
    func: &'a mut Function,
    numbered: &'a Numbered,
    /// The number that each pointer has become.
    numbers: FxHashMap<Value, Value>,
    /// The position of each parameter among all.
    positions: FxHashMap<Value, usize>,
}

impl<'a> Making<'a> {
    /// Gives the block of each parameter one for its number.
    fn new(func: &'a mut Function, numbered: &'a Numbered) -> Self {
        let (mut numbers, mut positions) = (FxHashMap::default(), FxHashMap::default());
        for (at, (param, _)) in numbered.params.iter().enumerate() {
            positions.insert(*param, at);
            if let ValueDef::Param(block, _) = func.dfg.value_def(*param) {
                let number = func.dfg.append_block_param(block, NUMBER);
                numbers.insert(*param, number);
            }
        }
        Self {
            func,
            numbered,
            numbers,
            positions,
        }
    }

    /// Passes the number of what is passed to `param` over each of `edges`.
    fn pass(&mut self, param: Value, edges: &[Edge]) {
        let ValueDef::Param(_, position) = self.func.dfg.value_def(param) else {
            return;
        };
        for edge in edges {
            let arg = cfg_edit::arguments(self.func, *edge)[position].as_value();
            if let Some(arg) = arg {
                let number = self.number(arg, edge.branch);
                cfg_edit::pass_over(self.func, *edge, number);
            }
        }
    }

    fn what(&self, pointer: Value) -> What {
        let pointer = self.func.dfg.resolve_aliases(pointer);
        let known = &self.numbered.known;
        if let Ok(at) = known.binary_search_by_key(&pointer, |(value, _)| *value) {
            return match known[at].1.checked_sub(self.numbered.first) {
                Some(_) => What::Place(known[at].1),
                None => What::Zero,
            };
        }
        if let Some(at) = self.positions.get(&pointer) {
            return What::Param(*at);
        }
        let inst = self.func.dfg.value_def(pointer).inst();
        match inst.map(|inst| &self.func.dfg.insts[inst]) {
            Some(InstructionData::Ternary { args, .. }) => What::Select(*args),
            _ => What::Zero,
        }
    }

    fn cursor(&mut self, inst: Inst) -> FuncCursor<'_> {
        let mut cursor = FuncCursor::new(self.func).at_inst(inst);
        cursor.use_srcloc(inst);
        cursor
    }

    /// The number of `pointer`, in front of `inst` if it is a constant.
    fn number(&mut self, pointer: Value, inst: Inst) -> Value {
        let pointer = self.func.dfg.resolve_aliases(pointer);
        match self.what(pointer) {
            What::Zero => self.cursor(inst).ins().iconst(NUMBER, 0),
            What::Place(number) => self.cursor(inst).ins().iconst(NUMBER, i64::from(number)),
            What::Param(_) => self.numbers[&pointer],
            What::Select([condition, x, y]) => {
                if let Some(number) = self.numbers.get(&pointer) {
                    return *number;
                }
                let at = self.func.dfg.value_def(pointer).inst().unwrap_or(inst);
                let [x, y] = [self.number(x, at), self.number(y, at)];
                let number = self.cursor(at).ins().select(condition, x, y);
                self.numbers.insert(pointer, number);
                number
            }
        }
    }

    /// Replaces an access by those of all places.
    fn access(&mut self, access: &NumberedAccess, flags: MemFlags) {
        let dfg = &self.func.dfg;
        let at = At {
            inst: access.inst,
            offset: access.offset,
            address: dfg.value_type(access.pointer),
            flags,
        };
        match dfg.insts[access.inst] {
            InstructionData::Load { opcode, .. } => {
                let ty = dfg.value_type(dfg.first_result(access.inst));
                if let Some(value) = self.load_by(&at, (opcode, ty), access.pointer) {
                    let result = self.func.dfg.first_result(access.inst);
                    let value = self.func.dfg.resolve_aliases(value);
                    self.func.dfg.clear_results(access.inst);
                    self.func.dfg.change_to_alias(result, value);
                }
            }
            InstructionData::Store { opcode, args, .. } => {
                let value = dfg.resolve_aliases(args[0]);
                self.store_by(&at, opcode, value, access.pointer);
            }
            _ => {}
        }
        self.func.layout.remove_inst(access.inst);
    }

    /// What a load by `pointer` finds, unless that is always zero.
    fn load_by(&mut self, at: &At, load: (Opcode, Type), pointer: Value) -> Option<Value> {
        match self.what(pointer) {
            What::Zero => None,
            What::Place(number) => Some(self.load(at, load, number)),
            What::Param(position) => {
                let number = self.number(pointer, at.inst);
                let mut places = self.numbered.params[position].1.iter();
                let mut value = self.load(at, load, *places.next()?);
                for place in places {
                    let found = self.load(at, load, *place);
                    value = self.choose(at.inst, (number, *place), [found, value]);
                }
                Some(value)
            }
            What::Select([condition, x, y]) => {
                let x = self.load_by(at, load, x);
                let y = self.load_by(at, load, y);
                match (x, y) {
                    (Some(x), Some(y)) => Some(self.cursor(at.inst).ins().select(condition, x, y)),
                    (one, other) => one.or(other),
                }
            }
        }
    }

    /// Stores `value` by `pointer`.
    fn store_by(&mut self, at: &At, opcode: Opcode, value: Value, pointer: Value) {
        let load = match opcode {
            Opcode::Istore8 => Opcode::Uload8,
            Opcode::Istore16 => Opcode::Uload16,
            Opcode::Istore32 => Opcode::Uload32,
            _ => Opcode::Load,
        };
        let ty = self.func.dfg.value_type(value);
        let mut places = SmallVec::new();
        self.places_of(pointer, &mut places);
        for place in &places {
            let stored = match places.len() {
                1 => value,
                _ => {
                    let found = self.load(at, (load, ty), *place);
                    self.stored(at.inst, pointer, *place, [value, found])
                }
            };
            let (address, offset) = self.address(at, *place);
            let mut cursor = self.cursor(at.inst);
            let store = cursor.ins();
            store.Store(opcode, ty, at.flags, offset.into(), stored, address);
        }
    }

    /// Adds the numbers of the places that `pointer` may be.
    fn places_of(&self, pointer: Value, places: &mut SmallVec<[u8; 4]>) {
        let mut add = |place: u8| {
            if !places.contains(&place) {
                places.push(place);
            }
        };
        match self.what(pointer) {
            What::Zero => {}
            What::Place(number) => add(number),
            What::Param(at) => self.numbered.params[at].1.iter().copied().for_each(add),
            What::Select([_, x, y]) => {
                self.places_of(x, places);
                self.places_of(y, places);
            }
        }
    }

    /// `value` where `pointer` is the place, and `found` where it is another.
    fn stored(
        &mut self,
        inst: Inst,
        pointer: Value,
        place: u8,
        [value, found]: [Value; 2],
    ) -> Value {
        match self.what(pointer) {
            What::Place(number) if number == place => value,
            What::Zero | What::Place(_) => found,
            What::Param(at) => match &self.numbered.params[at].1[..] {
                [only] if *only == place => value,
                numbers if numbers.contains(&place) => {
                    let number = self.number(pointer, inst);
                    self.choose(inst, (number, place), [value, found])
                }
                _ => found,
            },
            What::Select([condition, x, y]) => {
                let x = self.stored(inst, x, place, [value, found]);
                let y = self.stored(inst, y, place, [value, found]);
                match x == y {
                    true => x,
                    false => self.cursor(inst).ins().select(condition, x, y),
                }
            }
        }
    }

    /// The first value if `number` is that of the place, and the second one if not.
    fn choose(
        &mut self,
        inst: Inst,
        (number, place): (Value, u8),
        [value, other]: [Value; 2],
    ) -> Value {
        // Of two places the number is the condition.
        let is_condition = self.numbered.first == 0 && self.numbered.places.len() == 2;
        let mut cursor = self.cursor(inst);
        match (is_condition, place) {
            (true, 0) => cursor.ins().select(number, other, value),
            (true, _) => cursor.ins().select(number, value, other),
            (false, _) => {
                let place = cursor.ins().iconst(NUMBER, i64::from(place));
                let is_it = cursor.ins().icmp(IntCC::Equal, number, place);
                cursor.ins().select(is_it, value, other)
            }
        }
    }

    /// The address of the slot of a place, and how far from it the access is.
    fn address(&mut self, at: &At, place: u8) -> (Value, i32) {
        let place = usize::from(place - self.numbered.first);
        let (slot, start) = self.numbered.places[place];
        let address = self.cursor(at.inst).ins().stack_addr(at.address, slot, 0);
        // It lies inside of the slot.
        (address, start as i32 + at.offset)
    }

    fn load(&mut self, at: &At, (opcode, ty): (Opcode, Type), place: u8) -> Value {
        let (address, offset) = self.address(at, place);
        let mut cursor = self.cursor(at.inst);
        let load = cursor.ins();
        let (inst, dfg) = load.Load(opcode, ty, at.flags, offset.into(), address);
        dfg.first_result(inst)
    }

    /// Lets a comparison, or a branch, look at numbers.
    fn test(&mut self, test: Inst) {
        match self.func.dfg.insts[test] {
            InstructionData::Brif { arg, .. } => {
                let number = self.number(arg, test);
                self.func.dfg.inst_args_mut(test)[0] = number;
            }
            InstructionData::IntCompare { cond, args, .. } => {
                let [x, y] = args.map(|arg| self.number(arg, test));
                self.func.replace(test).icmp(cond, x, y);
            }
            _ => {}
        }
    }
}

/// Where accesses are made in the place of one, and how.
struct At {
    inst: Inst,
    offset: i32,
    /// The type of addresses.
    address: Type,
    flags: MemFlags,
}
