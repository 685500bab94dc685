//! Functions to measure the passes with, of any size.
//!
//! A function is a chain of fragments, drawn until it has the size asked for.
//! Each [`Shape`] draws fragments that strain one thing: the number of regions,
//! of joins, of slots, the depth of loops, the predecessors of one block. The
//! same shape, size and seed give the same function, bit for bit.

// Each program that includes this file uses a part of it.
#![allow(dead_code)]

use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, AliasRegion, AliasRegionData, Block, BlockArg, ExtFuncData, ExternalName, FuncRef,
    Function, InstBuilder, JumpTableData, MemFlagsData, Signature, StackSlotData, StackSlotKind,
    UserExternalName, UserFuncName, Value, types,
};
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CodegenError, Context};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_memopt::{Options, Stats, run};
use memopt_policy::DeclaredPolicy;
use std::error::Error;

/// The seed of every function that the benches measure.
const SEED: u64 = 0x5eed_0001;

/// Regions of a function; enough that a table with a column for each hurts.
const REGIONS: usize = 1000;

/// How deep the loops of a nest go.
const DEPTH: usize = 64;

/// Arms of a `br_table`.
const ARMS: usize = 16;

/// What a function strains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One block that accesses 1000 regions.
    Regions,
    /// A ladder of diamonds, each storing on both sides and reloading below.
    Diamonds,
    /// Loop nests, 64 deep.
    Loops,
    /// A slot for every few instructions, some of them escaping.
    Slots,
    /// Adapters of the component model inlined one after the other.
    Adapters,
    /// A ladder of adapters whose callees call out on a cold path alone.
    Ladder,
    /// One block to which all others may jump.
    Exits,
    /// `br_table`s with 16 arms each.
    Tables,
    /// All of it.
    Mixed,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 9] = [
        Self::Regions,
        Self::Diamonds,
        Self::Loops,
        Self::Slots,
        Self::Adapters,
        Self::Ladder,
        Self::Exits,
        Self::Tables,
        Self::Mixed,
    ];

    /// The name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regions => "regions",
            Self::Diamonds => "diamonds",
            Self::Loops => "loops",
            Self::Slots => "slots",
            Self::Adapters => "adapters",
            Self::Ladder => "ladder",
            Self::Exits => "exits",
            Self::Tables => "tables",
            Self::Mixed => "mixed",
        }
    }

    /// The shape of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == name)
    }

    fn draw(self, generator: &mut Generator<'_>) {
        match self {
            Self::Regions => generator.straight(),
            Self::Diamonds => generator.diamond(),
            Self::Loops => generator.nest(DEPTH),
            Self::Slots => generator.slot(),
            Self::Adapters => generator.adapter(Generator::call),
            Self::Ladder => generator.adapter(Generator::maybe_call),
            Self::Exits => generator.exit_test(),
            Self::Tables => generator.table(),
            Self::Mixed => match generator.random.below(16) {
                0..6 => generator.straight(),
                6..9 => generator.diamond(),
                9 => generator.nest(4),
                10..12 => generator.slot(),
                12 => generator.adapter(Generator::call),
                13 => generator.adapter(Generator::maybe_call),
                14 => generator.exit_test(),
                _ => generator.table(),
            },
        }
    }
}

/// The machine that the benches compile for.
pub fn isa() -> Result<OwnedTargetIsa, Box<dyn Error>> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?;
    // What is measured is the passes.
    flags.set("enable_verifier", "false")?;
    Ok(isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?)
}

/// What the benches' embedder knows: of three callees, one nothing, of one that
/// it is pure, of one what it reads and writes.
pub fn policy() -> Result<DeclaredPolicy, Box<dyn Error>> {
    Ok("callee u0:2\ncallee u0:3 reads 3 writes 4 traps\nlost-at-trap 5 6 7".parse()?)
}

/// A function as the passes get it.
///
/// It has not been through the mid-end, since upstream's alias analysis keeps a
/// table of blocks by regions: it takes seconds for 1000 diamonds that use 1000
/// regions, more than the rest of a bench. What the mid-end would do here is
/// little, because no fragment computes anything twice.
pub fn prepare(shape: Shape, size: usize, isa: &dyn TargetIsa) -> Function {
    generate(shape, size, SEED, isa)
}

/// A context for `func`, with what the passes expect to be computed.
pub fn context(func: Function) -> Context {
    let mut ctx = Context::for_function(func);
    ctx.flowgraph();
    ctx
}

/// The instructions of `func`.
pub fn count(func: &Function) -> usize {
    let blocks = func.layout.blocks();
    blocks
        .map(|block| func.layout.block_insts(block).count())
        .sum()
}

/// What is measured, under a name of its own for callgrind's
/// `--toggle-collect='*measured*'`. Upstream's egraph pass, which may run once
/// more after the passes, is left out; see [`prepare`].
#[inline(never)]
pub fn measured(
    ctx: &mut Context,
    isa: &dyn TargetIsa,
    policy: &DeclaredPolicy,
) -> Result<Stats, CodegenError> {
    run(ctx, isa, policy, &options())
}

/// Upstream's egraph pass, alias analysis included, which is measured beside the passes.
#[inline(never)]
pub fn measured_upstream(ctx: &mut Context, isa: &dyn TargetIsa) -> Result<(), CodegenError> {
    ctx.egraph_pass(isa, &mut ControlPlane::default())
}

/// All passes, without upstream's egraph pass behind them.
pub fn options() -> Options {
    let mut options = Options::max();
    options.rerun_egraph = false;
    options
}

/// A function of at least `size` instructions; what is above it is a fragment.
pub fn generate(shape: Shape, size: usize, seed: u64, isa: &dyn TargetIsa) -> Function {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params = vec![AbiParam::new(types::I64); 3];
    signature.returns = vec![AbiParam::new(types::I64)];
    let name = UserFuncName::user(0, 0);
    let mut func = Function::with_name_signature(name, signature);
    let mut memory = FunctionBuilderContext::new();
    let mut generator = Generator::new(&mut func, &mut memory, seed);
    while generator.builder.func.dfg.num_insts() < size {
        shape.draw(&mut generator);
    }
    generator.finish(isa);
    func
}

/// A function in the making. The current block dominates all that follows
/// between two fragments, and so do the values of the pool.
struct Generator<'a> {
    builder: FunctionBuilder<'a>,
    random: Random,
    vmctx: Value,
    regions: Vec<AliasRegion>,
    callees: Vec<FuncRef>,
    /// Returns its parameter.
    exit: Block,
    pool: Vec<Value>,
    /// Counts fragments, so that consecutive ones use different memory.
    turn: usize,
}

impl<'a> Generator<'a> {
    fn new(func: &'a mut Function, memory: &'a mut FunctionBuilderContext, seed: u64) -> Self {
        let regions = (0..REGIONS).map(|id| region(func, id)).collect();
        let callees = (1..=3).map(|index| callee(func, index)).collect();
        let mut builder = FunctionBuilder::new(func, memory);
        let entry = builder.create_block();
        let exit = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.append_block_param(exit, types::I64);
        builder.switch_to_block(entry);
        let params = builder.block_params(entry).to_vec();
        Self {
            builder,
            random: Random(seed),
            vmctx: params[0],
            regions,
            callees,
            exit,
            pool: params[1..].to_vec(),
            turn: 0,
        }
    }

    fn finish(mut self, isa: &dyn TargetIsa) {
        let result = self.value();
        self.builder.ins().jump(self.exit, &[result.into()]);
        self.builder.switch_to_block(self.exit);
        let result = self.builder.block_params(self.exit)[0];
        self.builder.ins().return_(&[result]);
        self.builder.seal_all_blocks();
        self.builder.finalize(isa.frontend_config());
    }

    /// Some value that may be used here.
    fn value(&mut self) -> Value {
        let recent = self.pool.len().min(8);
        self.pool[self.pool.len() - 1 - self.random.below(recent)]
    }

    fn keep(&mut self, value: Value) {
        self.pool.push(value);
    }

    /// Flags and offset of the next place of memory: a region of its own for
    /// each turn, until they are used up.
    fn place(&mut self) -> (MemFlagsData, i32) {
        self.turn += 1;
        self.place_near(0)
    }

    /// The place of this turn or of one a little earlier.
    fn place_near(&mut self, back: usize) -> (MemFlagsData, i32) {
        let index = self.turn.saturating_sub(back) % self.regions.len();
        let flags = MemFlagsData::trusted().with_alias_region(Some(self.regions[index]));
        (flags, 8 * i32::try_from(index).expect("few regions"))
    }

    fn load(&mut self, (flags, offset): (MemFlagsData, i32)) -> Value {
        let vmctx = self.vmctx;
        self.builder.ins().load(types::I64, flags, vmctx, offset)
    }

    fn store(&mut self, value: Value, (flags, offset): (MemFlagsData, i32)) {
        let vmctx = self.vmctx;
        self.builder.ins().store(flags, value, vmctx, offset);
    }

    fn call(&mut self) {
        let callee = self.callees[self.random.below(self.callees.len())];
        let vmctx = self.vmctx;
        self.builder.ins().call(callee, &[vmctx]);
    }

    fn add(&mut self) -> Value {
        let (a, b) = (self.value(), self.value());
        self.builder.ins().iadd(a, b)
    }

    fn is_zero(&mut self, value: Value) -> Value {
        self.builder.ins().icmp_imm_s(IntCC::Equal, value, 0)
    }

    /// One or a few accesses, and now and then a call.
    fn straight(&mut self) {
        let place = self.place();
        match self.random.below(8) {
            0..3 => {
                let value = self.load(place);
                self.keep(value);
            }
            3..6 => {
                let value = self.add();
                self.store(value, place);
                self.keep(value);
            }
            6 => {
                // What was stored a while ago is stored again, or reloaded.
                let back = self.random.below(100);
                let place = self.place_near(back);
                let value = self.load(place);
                self.store(value, place);
            }
            _ if self.random.below(8) == 0 => self.call(),
            _ => {
                let (first, second) = (self.value(), self.value());
                self.store(first, place);
                self.store(second, place);
            }
        }
    }

    /// Two sides that store different values, and a reload where they meet.
    fn diamond(&mut self) {
        let place = self.place();
        let back = self.random.below(4);
        let other = self.place_near(back + 1);
        let condition = self.load(other);
        let sides = [self.builder.create_block(), self.builder.create_block()];
        let join = self.builder.create_block();
        self.builder
            .ins()
            .brif(condition, sides[0], &[], sides[1], &[]);
        for side in sides {
            self.builder.switch_to_block(side);
            let value = self.add();
            self.store(value, place);
            self.builder.ins().jump(join, &[]);
        }
        self.builder.switch_to_block(join);
        let value = self.load(place);
        self.keep(value);
    }

    /// Loops inside each other; each accesses memory before and after the inner
    /// one. Does not recurse, for depth to be a number like any other.
    fn nest(&mut self, depth: usize) {
        let mut open = Vec::with_capacity(depth);
        for _ in 0..depth {
            let start = self.value();
            let header = self.builder.create_block();
            let counter = self.builder.append_block_param(header, types::I64);
            self.builder.ins().jump(header, &[start.into()]);
            self.builder.switch_to_block(header);
            let place = self.place();
            let value = self.load(place);
            let sum = self.builder.ins().iadd(value, counter);
            self.store(sum, place);
            open.push((header, counter, place));
        }
        while let Some((header, counter, place)) = open.pop() {
            let value = self.load(place);
            let other = self.place_near(depth);
            self.store(value, other);
            let next = self.builder.ins().iadd_imm_s(counter, -1);
            let after = self.builder.create_block();
            let again: [BlockArg; 1] = [next.into()];
            self.builder.ins().brif(next, header, &again, after, &[]);
            self.builder.switch_to_block(after);
        }
    }

    /// A record in the frame; one in four escapes.
    fn slot(&mut self) {
        let place = self.place();
        let record = self.record(16);
        let flags = MemFlagsData::trusted();
        let (first, second) = (self.value(), self.value());
        self.builder.ins().store(flags, first, record, 0);
        self.builder.ins().store(flags, second, record, 8);
        if self.random.below(4) == 0 {
            self.store(record, place);
            self.call();
        }
        let value = self.builder.ins().load(types::I64, flags, record, 8);
        self.keep(value);
    }

    /// A callee that calls out on one of two ways.
    fn maybe_call(&mut self) {
        let value = self.value();
        let condition = self.is_zero(value);
        let [cold, hot, join] = [(); 3].map(|()| self.builder.create_block());
        self.builder.ins().brif(condition, cold, &[], hot, &[]);
        self.builder.switch_to_block(cold);
        self.call();
        self.builder.ins().jump(join, &[]);
        self.builder.switch_to_block(hot);
        self.builder.ins().jump(join, &[]);
        self.builder.switch_to_block(join);
    }

    /// A record that is published for the time of a callee: what an adapter of
    /// the component model is after inlining.
    fn adapter(&mut self, callee: fn(&mut Self)) {
        let kind = MemFlagsData::trusted().with_alias_region(Some(self.regions[0]));
        let link = MemFlagsData::trusted().with_alias_region(Some(self.regions[1]));
        let (current, offset) = {
            let flags = MemFlagsData::trusted().with_alias_region(Some(self.regions[2]));
            (flags, 16)
        };
        let previous = self.load((current, offset));
        let record = self.record(16);
        let one = self.builder.ins().iconst(types::I64, 1);
        self.builder.ins().store(kind, one, record, 0);
        self.builder.ins().store(link, previous, record, 8);
        self.store(record, (current, offset));
        callee(self);
        // The frontend checks that the record is still the current one.
        let now = self.load((current, offset));
        let same = self.builder.ins().icmp(IntCC::Equal, now, record);
        let restore = self.builder.create_block();
        let exit = self.exit;
        self.builder
            .ins()
            .brif(same, restore, &[], exit, &[previous.into()]);
        self.builder.switch_to_block(restore);
        self.store(previous, (current, offset));
        let place = self.place();
        let value = self.load(place);
        self.keep(value);
    }

    /// A store, and a way to the common exit.
    fn exit_test(&mut self) {
        let place = self.place();
        let value = self.add();
        self.store(value, place);
        let back = self.random.below(50);
        let flag = self.place_near(back);
        let flag = self.load(flag);
        let leave = self.is_zero(flag);
        let next = self.builder.create_block();
        let exit = self.exit;
        self.builder
            .ins()
            .brif(leave, exit, &[value.into()], next, &[]);
        self.builder.switch_to_block(next);
        self.keep(flag);
    }

    /// A switch whose arms store to one of a few places, and a reload below.
    fn table(&mut self) {
        let place = self.place();
        let index = self.value();
        let index = self.builder.ins().ireduce(types::I32, index);
        let join = self.builder.create_block();
        let arms: Vec<Block> = (0..ARMS).map(|_| self.builder.create_block()).collect();
        let lists = &mut self.builder.func.dfg.value_lists;
        let calls: Vec<_> = arms
            .iter()
            .map(|arm| cranelift_codegen::ir::BlockCall::new(*arm, [], lists))
            .collect();
        let table = JumpTableData::new(calls[0], &calls);
        let table = self.builder.create_jump_table(table);
        self.builder.ins().br_table(index, table);
        for (number, arm) in arms.into_iter().enumerate() {
            self.builder.switch_to_block(arm);
            let value = self.value();
            let place = if number % 4 == 0 {
                self.place_near(1)
            } else {
                place
            };
            self.store(value, place);
            self.builder.ins().jump(join, &[]);
        }
        self.builder.switch_to_block(join);
        let value = self.load(place);
        self.keep(value);
    }

    /// The address of a new slot.
    fn record(&mut self, size: u32) -> Value {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3);
        let slot = self.builder.create_sized_stack_slot(data);
        self.builder.ins().stack_addr(types::I64, slot, 0)
    }
}

fn region(func: &mut Function, id: usize) -> AliasRegion {
    func.dfg.alias_regions.insert(AliasRegionData {
        user_id: u32::try_from(id).expect("few regions"),
        description: "".into(),
    })
}

fn callee(func: &mut Function, index: u32) -> FuncRef {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params = vec![AbiParam::new(types::I64)];
    let signature = func.import_signature(signature);
    let name = func.declare_imported_user_function(UserExternalName::new(0, index));
    func.import_function(ExtFuncData {
        name: ExternalName::user(name),
        signature,
        colocated: true,
        patchable: false,
    })
}

/// Random numbers that are the same everywhere: Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let high = usize::try_from(self.0 >> 33).expect("31 bits");
        high % bound
    }
}
