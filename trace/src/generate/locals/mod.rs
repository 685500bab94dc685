//! Functions of front ends that keep locals in stack slots.
//!
//! A front end that does not optimize gives each local a slot, loads it where it is
//! used and stores it where it is assigned, tags no region, and leaves the flags out
//! or says `notrap`. Everything is initialized before it is read, as those languages
//! demand it. [`Shape`] says which statements a function is made of, and its size is
//! a parameter, so that the same functions serve campaigns and measurements.

mod aggregates;
mod borrowers;
mod choices;
mod control;
mod declarations;
mod pointed;
mod pointers;
mod scalars;
mod temporaries;

use super::module::{Module, signature};
use crate::inputs::Inputs;
use crate::layout::{self, VMCTX};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    Block, FuncRef, Function, InstBuilder, LibCall, MemFlagsData, SigRef, StackSlot, Type,
    UserFuncName, Value, types,
};
use fastrand::Rng;

/// What a function is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Assignments alone.
    Straight,
    /// Conditional assignments.
    Ifs,
    /// Loops with assignments.
    Loop,
    /// Loops with conditional assignments.
    LoopIfs,
    /// Loops in loops.
    Nests,
    /// Records that are copied word by word.
    Records,
    /// Switches, by a table.
    Switches,
    /// Loops that are left, or begun again, in the middle.
    BreakContinue,
    /// Locals whose address others come to know.
    Escapes,
    /// Arrays with an index that varies.
    Arrays,
    /// Memory that is accessed in several widths.
    Unions,
    /// Copies and fills of ranges.
    Copies,
    /// References that a collector finds and rewrites at calls.
    References,
    /// Records that conditions choose. Campaigns have them; they are in no measurement.
    Choices,
    /// Aggregates that are used for a while, and pointers that are selected. Campaigns have them; they
    /// are in no measurement.
    Temporaries,
    /// Pointers to one local or another are stored through. They are in no measurement.
    Pointed,
    /// All of them.
    Mixed,
}

impl Shape {
    /// All shapes that are measured.
    pub const ALL: [Self; 14] = [
        Self::Straight,
        Self::Ifs,
        Self::Loop,
        Self::LoopIfs,
        Self::Nests,
        Self::Records,
        Self::Switches,
        Self::BreakContinue,
        Self::Escapes,
        Self::Arrays,
        Self::Unions,
        Self::Copies,
        Self::References,
        Self::Mixed,
    ];

    /// Those that campaigns have besides.
    const UNMEASURED: [Self; 3] = [Self::Choices, Self::Temporaries, Self::Pointed];

    /// The name of the shape.
    pub fn name(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::Ifs => "ifs",
            Self::Loop => "loop",
            Self::LoopIfs => "loop-ifs",
            Self::Nests => "nests",
            Self::Records => "records",
            Self::Switches => "switches",
            Self::BreakContinue => "break-continue",
            Self::Escapes => "escapes",
            Self::Arrays => "arrays",
            Self::Unions => "unions",
            Self::Copies => "copies",
            Self::References => "references",
            Self::Choices => "choices",
            Self::Temporaries => "temporaries",
            Self::Pointed => "pointed",
            Self::Mixed => "mixed",
        }
    }

    /// The shape of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        let mut shapes = Self::ALL.into_iter().chain(Self::UNMEASURED);
        shapes.find(|shape| shape.name() == name)
    }
}

/// A module of `functions` functions of one shape, each of about `size` instructions.
/// The functions call the later ones. Linear in the number of instructions.
pub fn module(seed: u64, shape: Shape, functions: usize, size: usize) -> Module {
    let mut rng = Rng::with_seed(seed);
    let functions =
        (0..functions).map(|index| Body::function(&mut rng, shape, index, functions, size));
    Module {
        functions: functions.collect(),
        clauses: Vec::new(),
    }
}

/// The module of a seed in a campaign: small, of any shape.
pub(crate) fn of_seed(seed: u64) -> Module {
    let mut rng = Rng::with_seed(seed ^ 0x010c_a150);
    let shapes = || Shape::ALL.into_iter().chain(Shape::UNMEASURED);
    let shape = shapes().nth(rng.usize(..shapes().count()));
    let shape = shape.unwrap_or(Shape::Mixed);
    let functions = rng.usize(1..4);
    let size = [15, 30, 30, 80][rng.usize(..4)];
    let mut module = module(rng.u64(..), shape, functions, size);
    // Those that are lent something are few, so that most callees are like their callers.
    if rng.u8(..3) == 0 {
        for index in 1..functions {
            module.functions[index] = borrowers::function(&mut rng, index, functions);
        }
    }
    module
}

/// Inputs of such a module: two pointers into homes, equal or not, and a small number.
pub(crate) fn inputs(seed: u64, count: usize) -> Vec<Inputs> {
    let mut rng = Rng::with_seed(seed ^ 0x10_4455);
    let one = |_| {
        let mut pointer = || {
            let home = layout::home(rng.usize(1..3));
            u128::from(VMCTX + home + 8 * rng.u64(0..3))
        };
        let (p, q) = (pointer(), pointer());
        Inputs {
            seed: rng.u64(..),
            args: vec![VMCTX.into(), p, q, rng.u64(..7).into()],
            fuel: 4000,
            ..Inputs::default()
        }
    };
    (0..count).map(one).collect()
}

/// Bytes behind a pointer parameter that are certainly there.
const REACH: i32 = 72;

/// A scalar local.
#[derive(Clone, Copy)]
struct Local {
    slot: StackSlot,
    ty: Type,
}

/// A range of bytes: an array, a record, a union.
#[derive(Clone, Copy)]
struct Block8 {
    slot: StackSlot,
    /// Words.
    words: i64,
}

/// Where `break` and `continue` lead.
#[derive(Clone, Copy)]
struct Around {
    next: Block,
    end: Block,
}

/// A function that is being written.
struct Body<'a> {
    rng: &'a mut Rng,
    shape: Shape,
    func: Function,
    block: Block,
    /// Instructions so far.
    written: usize,
    /// Locals in scope, the innermost last.
    locals: Vec<Local>,
    /// Aggregates.
    blocks: Vec<Block8>,
    /// Locals that hold the address of an aggregate.
    pointers: Vec<Pointer>,
    around: Vec<Around>,
    depth: usize,
    flags: MemFlagsData,
    sig: SigRef,
    /// Later functions of the module, then those of the host.
    callees: Vec<FuncRef>,
    libcalls: Vec<(LibCall, FuncRef)>,
    params: [Value; 4],
}

/// A local that holds the address of a word.
#[derive(Clone, Copy)]
struct Pointer {
    slot: StackSlot,
    /// Bytes behind the word.
    reach: i32,
}

/// Nesting beyond which no statement has statements.
const MAX_DEPTH: usize = 4;

impl<'a> Body<'a> {
    fn function(
        rng: &'a mut Rng,
        shape: Shape,
        index: usize,
        functions: usize,
        size: usize,
    ) -> Function {
        let name = UserFuncName::user(0, index as u32);
        let mut func = Function::with_name_signature(name, signature());
        let block = func.dfg.make_block();
        func.layout.append_block(block);
        let sig = func.import_signature(signature());
        let params = [0; 4].map(|_| func.dfg.append_block_param(block, types::I64));
        let flags = match rng.u8(..3) {
            0 => MemFlagsData::new(),
            1 => MemFlagsData::new().with_notrap(),
            _ => MemFlagsData::trusted(),
        };
        let mut body = Body {
            rng,
            shape,
            libcalls: Vec::new(),
            func,
            block,
            written: 0,
            locals: Vec::new(),
            blocks: Vec::new(),
            pointers: Vec::new(),
            around: Vec::new(),
            depth: 0,
            flags,
            sig,
            callees: Vec::new(),
            params,
        };
        body.declare(index, functions, size);
        while body.written < size {
            body.statement();
        }
        body.leave();
        body.func
    }

    /// Returns something that all locals in scope have a part in.
    fn leave(&mut self) {
        let mut sum = self.number(0);
        let locals = self.locals.clone();
        for local in locals.iter().rev().take(6) {
            let value = self.read(*local);
            let value = self.widened(value);
            sum = self.ins().ins().iadd(sum, value);
        }
        for block in self.blocks.clone().into_iter().take(2) {
            let at = 8 * self.rng.i64(0..block.words) as i32;
            let value = self.load(types::I64, block.slot, at);
            sum = self.ins().ins().bxor(sum, value);
        }
        self.ins().ins().return_(&[sum]);
    }

    fn ins(&mut self) -> FuncCursor<'_> {
        self.written += 1;
        FuncCursor::new(&mut self.func).at_bottom(self.block)
    }

    fn number(&mut self, number: i64) -> Value {
        self.ins().ins().iconst(types::I64, number)
    }

    fn new_block(&mut self) -> Block {
        let block = self.func.dfg.make_block();
        self.func.layout.append_block(block);
        block
    }

    /// Writes what follows into `block`.
    fn go_to(&mut self, block: Block) {
        self.block = block;
    }

    fn address(&mut self, slot: StackSlot, offset: i32) -> Value {
        self.ins().ins().stack_addr(types::I64, slot, offset)
    }

    /// Loads from a slot. The offset is in the address or in the load.
    fn load(&mut self, ty: Type, slot: StackSlot, offset: i32) -> Value {
        let flags = self.flags;
        let by = if self.rng.bool() { offset } else { 0 };
        let address = self.address(slot, by);
        self.ins().ins().load(ty, flags, address, offset - by)
    }

    fn store(&mut self, value: Value, slot: StackSlot, offset: i32) {
        let flags = self.flags;
        let by = if self.rng.bool() { offset } else { 0 };
        let address = self.address(slot, by);
        self.ins().ins().store(flags, value, address, offset - by);
    }
}
