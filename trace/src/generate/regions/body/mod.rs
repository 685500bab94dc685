//! The instructions of one function.

mod accesses;
mod atomics;
mod calls;
mod declarations;
mod flow;
mod foreign;
mod idioms;
mod lending;
mod outside;
mod passed;
mod pieces;
mod pointers;
mod records;
mod sealed;
mod statements;
mod types;
mod values;
mod widened;

use super::super::module::signature;
use super::graph::Graph;
use super::{Plan, Style};
use cranelift_codegen::ir::{
    Block, DynamicStackSlot, FuncRef, Function, SigRef, StackSlot, Type, UserFuncName, Value,
};
use fastrand::Rng;

/// What memory a pointer points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// A home of the layout, or a slot that counts as part of it.
    Shared(usize),
    /// A slot that only this function knows, each word in a region of its own.
    Secret(usize),
    Asynchronous,
    ReadOnly,
}

/// A pointer whose accesses from `low` to `high` stay inside.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    value: Value,
    home: Home,
    low: i64,
    high: i64,
    /// Where in its slot it points to, if that is the same in all runs.
    at: Option<i64>,
}

/// Bytes that have been accessed before.
#[derive(Clone, Copy)]
struct Spot {
    pointer: Pointer,
    offset: i64,
    ty: Type,
}

/// The values that a block may use.
#[derive(Clone, Default)]
struct Pool {
    data: Vec<Value>,
    typed: Vec<Value>,
    pointers: Vec<Pointer>,
    /// Indices of 32 bits.
    narrow: Vec<Value>,
    /// Loaded words, which may be pointers.
    wild: Vec<Value>,
    spots: Vec<Spot>,
    /// Round counters of the loops around, the innermost last.
    ticks: Vec<Value>,
    /// Addresses, and where they were stored for others to find.
    published: Vec<(Spot, Value)>,
    /// Stores that put back what was found, left to later blocks.
    owed: Vec<(Spot, Value)>,
}

/// What a block parameter is.
#[derive(Clone, Copy)]
enum Param {
    Tick,
    Data,
    Pointer(Home),
}

/// The bytes that a pointer parameter certainly has.
const PARAM_HIGH: i64 = 16;

struct Slot {
    slot: StackSlot,
    size: i64,
    /// What it counts as, unless it is secret.
    home: Home,
    /// The words that the collector finds, and their type: offsets.
    mapped: Vec<(u32, Type)>,
    tagged: bool,
}

struct Body<'a> {
    rng: &'a mut Rng,
    plan: &'a Plan,
    style: Style,
    index: usize,
    func: Function,
    graph: Graph,
    blocks: Vec<Block>,
    params: Vec<Vec<Param>>,
    slots: Vec<Slot>,
    sig: SigRef,
    /// Functions of the module, then those of the host.
    callees: Vec<FuncRef>,
    /// The slot whose size the target says.
    dynamic: Option<DynamicStackSlot>,
    /// The function of the host that is passed a record by value.
    taker: Option<FuncRef>,
    block: usize,
    /// Where that goes on, if it has other blocks in it.
    current: Option<Block>,
    pool: Pool,
    /// Stores that put back what was found, to be done before the block ends.
    debts: Vec<(Spot, Value)>,
}

/// A random function.
pub fn function(rng: &mut Rng, plan: &Plan, index: usize) -> Function {
    let style = plan.styles[index];
    let graph = match style.lends {
        true => Graph::small(rng),
        false if plan.small_callees && index > 0 => Graph::of_callee(rng),
        false => Graph::new(rng),
    };
    let name = UserFuncName::user(0, index as u32);
    let func = Function::with_name_signature(name, signature());
    let mut body = Body {
        rng,
        plan,
        style,
        index,
        func,
        graph,
        blocks: Vec::new(),
        params: Vec::new(),
        slots: Vec::new(),
        sig: SigRef::from_u32(0),
        callees: Vec::new(),
        dynamic: None,
        taker: None,
        block: 0,
        current: None,
        pool: Pool::default(),
        debts: Vec::new(),
    };
    body.declare();
    body.fill();
    if plan.rare.located {
        body.locate();
    }
    body.func
}

/// The functions of the host that a module may call.
const HOST_FUNCTIONS: u32 = 4;
