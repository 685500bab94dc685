//! Is there a block parameter that always takes one value?
//!
//! Upstream removes those, in `remove_constant_phis`, and looks at every
//! instruction to find them. After most changes of the graph there are none;
//! this comes to the same answer by looking at the ends of blocks alone.
//!
//! Cost: O(blocks + what they pass). What is known of a parameter changes twice at
//! most, and then only what it is passed on to is looked at again.

use crate::entity::SecondaryMap;
use crate::ir::{Function, Value};
use crate::memopt::cfg::edit::for_each_block_arg;
use crate::memopt::cfg::lists::Links;
use alloc::vec::Vec;

/// What a parameter takes, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Taken {
    /// This is no parameter.
    #[default]
    NoParam,
    /// Nothing yet.
    Nothing,
    /// This value on all edges.
    One(Value),
    /// Different ones.
    Many,
}

impl Taken {
    fn meet(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, other) => other,
            (this, Self::Nothing) => this,
            (Self::One(x), Self::One(y)) if x == y => self,
            _ => Self::Many,
        }
    }
}

/// Does a parameter of `func` always take one value, those of the function
/// itself aside? Aliases are resolved, and every block can be reached.
pub fn exist(func: &Function) -> bool {
    let mut taken: SecondaryMap<Value, Taken> = SecondaryMap::new();
    taken.resize(func.dfg.num_values());
    for block in func.layout.blocks().skip(1) {
        for param in func.dfg.block_params(block) {
            taken[*param] = Taken::Nothing;
        }
    }
    let passed = passed(func);
    // What each parameter is passed on to.
    let mut onward = Links::new(func.dfg.num_values(), passed.len());
    let mut work: Vec<Value> = Vec::with_capacity(passed.len());
    for (param, arg) in &passed {
        match arg {
            Some(value) if taken[*value] != Taken::NoParam => onward.add(*value, *param),
            Some(value) => learn(&mut taken, *param, Taken::One(*value), &mut work),
            None => learn(&mut taken, *param, Taken::Many, &mut work),
        }
    }
    while let Some(param) = work.pop() {
        let known = taken[param];
        for next in onward.of(param) {
            learn(&mut taken, next, known, &mut work);
        }
    }
    let mut params = passed.iter().map(|(param, _)| *param);
    params.any(|param| matches!(taken[param], Taken::One(_)))
}

/// `param` takes `arg` too. If that is news, what it is passed on to is work to do.
fn learn(taken: &mut SecondaryMap<Value, Taken>, param: Value, arg: Taken, work: &mut Vec<Value>) {
    let met = taken[param].meet(arg);
    if core::mem::replace(&mut taken[param], met) != met {
        work.push(param);
    }
}

/// Every parameter with each value that is passed to it; `None` for a result of
/// a call.
fn passed(func: &Function) -> Vec<(Value, Option<Value>)> {
    let mut passed = Vec::with_capacity(func.dfg.num_blocks());
    let ends = func.layout.blocks();
    for end in ends.filter_map(|block| func.layout.last_inst(block)) {
        for_each_block_arg(func, end, |param, arg| passed.push((param, arg)));
    }
    passed
}
