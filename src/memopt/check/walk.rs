//! Both functions, walked together.
//!
//! The walk runs original and result side by side over terms. Each side goes on
//! by itself over what nobody can observe, up to a *stop*: an access to memory,
//! anything that can be observed, a branch that is not decided, or the
//! beginning of a block where ways meet. At two stops it is decided who goes
//! on; what both do must be the same wherever somebody sees it.
//!
//! Where either side stands at a meeting, the pair of stops is a *node* with a
//! [`State`], and the walk goes on from there once for each time that the state
//! changes. Between nodes the walk is a tree: every cycle of either function
//! has a meeting in it.
//!
//! Who goes first is a heuristic, in which the numbers of instructions and
//! blocks serve as hints: they survive in the result. It decides what can be
//! proven, and never whether the proof is right.

use super::body::Body;
use super::calls::{Classes, Effect};
use super::memory::{Access, Memory, Place, Side};
use super::opcodes::{self, Kind, Reading, kind};
use super::regions::Regions;
use super::state::State;
use super::terms::{SlotSet, Term, Terms, skeleton};
use super::verdict::{Limit, Reason, Refusal, Spot, Verdict};
use crate::FxHashMap;
use crate::entity::SecondaryMap;
use crate::ir::{
    Block, BlockArg, ExceptionTableItem, Function, Inst, InstructionData, MemFlags, MemFlagsData,
    Opcode, TrapCode, Type, Value,
};
use crate::memopt::TargetFacts;
use crate::memopt::facts::calls::Policy;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Visits of nodes, for each block of either function.
///
/// A node is visited again when its state changes, a few times for each loop
/// around it.
const VISITS_PER_BLOCK: usize = 24;

/// Entries of all states together, for each instruction and block.
const STATE_ENTRIES_PER_INST: usize = 256;

/// States that one pair of stops may have, see [`Walk::node_for`]. One for each
/// slot that escapes in a loop around it; more are met after all.
const MAX_STATES: usize = 4;

/// Conditions that are remembered: the latest ones. A branch that a condition
/// from long before decides in one function only is not followed.
const MAX_ASSUMED: usize = 16;

/// Terms, for each instruction.
const TERMS_PER_INST: usize = 512;

/// Where one side stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stop {
    /// At the beginning of a block where ways meet.
    Meeting(Block),
    /// In front of an instruction.
    At(Inst),
}

type Stops = [Stop; 2];

/// How one side goes on.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// From a stop.
    From(Stop),
    /// By this way on from this branch.
    Way(Inst, usize),
}

/// A way that has yet to be walked.
#[derive(Clone)]
struct Path {
    next: [Next; 2],
    memory: Memory,
    assumed: Vec<(Term, bool)>,
    /// The stops may be passed even where ways meet: the walk starts here.
    starts: bool,
    /// Has either side gone on since the last node?
    moved: [bool; 2],
    /// What blocks where ways meet were passed, until a state has it.
    arrived: [Vec<(Value, Term)>; 2],
}

impl Path {
    /// Remembers that a condition holds, or that it does not.
    fn learn(&mut self, condition: Term, holds: bool) {
        if self.assumed.len() == MAX_ASSUMED {
            self.assumed.remove(0);
        }
        self.assumed.push((condition, holds));
    }
}

/// A pair of stops with a state.
struct Meeting {
    stops: Stops,
    state: State,
}

/// What is to be done at two stops.
enum Decision {
    /// These sides go on from where ways meet.
    Pass([bool; 2]),
    /// One side makes an access that the other one does not see.
    Alone(Side),
    /// Both make the same store.
    StoreBoth,
    /// Both make their access.
    Both,
    /// Both do the same that somebody may see.
    Match,
    /// One side takes both ways of its branch.
    Fork(Side),
    /// Both sides take the same ways of their branches.
    Branch { turned: bool },
}

/// What an instruction in front of which a side has stopped is.
enum What {
    /// An access that nobody sees.
    Access(Access, Option<Term>),
    /// Something that somebody may see.
    Event,
    /// A branch that is not decided.
    Branch,
}

/// An edge between nodes, and which sides went on.
type Edge = (u32, u32);

/// One check.
pub struct Walk<'a> {
    bodies: [&'a Body<'a>; 2],
    regions: &'a Regions<'a>,
    policy: &'a dyn Policy,
    target: TargetFacts,
    terms: Terms,
    flags: FxHashMap<MemFlagsData, MemFlags>,
    env: [SecondaryMap<Value, Option<Term>>; 2],
    nodes: Vec<Meeting>,
    known: FxHashMap<Stops, SmallVec<[u32; 1]>>,
    queue: BTreeSet<(u32, u32, u32)>,
    /// Edges on which the original, or the result, stayed where it was.
    waits: [BTreeSet<Edge>; 2],
    stored_entries: usize,
    /// An access leaves its slot: the outside may know every slot.
    pub slots_are_left: bool,
    /// Does either function take the address of a handler's block?
    names_handler: bool,
    /// Where both sides are, for what is said about a refusal.
    spot: [Option<Stop>; 2],
}

/// Why the walk ends early.
enum Stopped {
    Refused(Reason),
    Limit(Limit),
    /// [`Walk::slots_are_left`] has become true.
    Restart,
}

impl From<Reason> for Stopped {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

type Step<T> = Result<T, Stopped>;

impl<'a> Walk<'a> {
    /// Prepares a walk over two functions whose tables agree.
    pub fn new(
        bodies: [&'a Body<'a>; 2],
        regions: &'a Regions<'a>,
        policy: &'a dyn Policy,
        target: TargetFacts,
    ) -> Self {
        let slots = bodies[0].func.sized_stack_slots.values();
        let sizes = slots.map(|slot| slot.size).collect();
        Self {
            bodies,
            regions,
            policy,
            target,
            terms: Terms::new(sizes),
            flags: FxHashMap::default(),
            env: [SecondaryMap::new(), SecondaryMap::new()],
            nodes: Vec::new(),
            known: FxHashMap::default(),
            queue: BTreeSet::new(),
            waits: [BTreeSet::new(), BTreeSet::new()],
            stored_entries: 0,
            slots_are_left: false,
            names_handler: bodies.iter().any(|body| names_handler(body.func)),
            spot: [None; 2],
        }
    }

    /// Walks until every state is settled. `named` are the slots that the
    /// outside can name from the start.
    pub fn run(mut self, named: SlotSet) -> (Verdict, bool) {
        let verdict = match self.walk(named) {
            Ok(()) => Verdict::Proven,
            Err(Stopped::Refused(reason)) => {
                Verdict::Refused(alloc::boxed::Box::new(self.refusal(reason)))
            }
            Err(Stopped::Limit(limit)) => Verdict::Limit(limit),
            Err(Stopped::Restart) => return (Verdict::Proven, true),
        };
        (verdict, false)
    }

    fn refusal(&self, reason: Reason) -> Refusal {
        let spot = |side: Side| {
            let func = self.func(side);
            let (block, inst) = match self.spot[side as usize]? {
                Stop::Meeting(block) => (block, None),
                Stop::At(inst) => (func.layout.inst_block(inst)?, Some(inst)),
            };
            Some(Spot {
                block,
                inst,
                location: inst.map(|inst| func.srcloc(inst)).unwrap_or_default(),
            })
        };
        Refusal {
            reason,
            original: spot(Side::Original),
            result: spot(Side::Result),
        }
    }

    fn func(&self, side: Side) -> &'a Function {
        self.bodies[side as usize].func
    }

    fn instructions(&self) -> usize {
        let count = |body: &Body<'_>| body.func.dfg.num_insts() + body.func.dfg.num_blocks();
        self.bodies.iter().map(|body| count(body)).sum()
    }

    fn walk(&mut self, named: SlotSet) -> Step<()> {
        let mut memory = Memory {
            queue: Some(Vec::new()),
            ..Memory::default()
        };
        memory.escape(if self.slots_are_left {
            SlotSet::ALL
        } else {
            named
        });
        let [original, result] = Side::BOTH.map(|side| self.func(side).layout.entry_block());
        let (Some(original), Some(result)) = (original, result) else {
            return Ok(());
        };
        let params = |side: Side, block| self.func(side).dfg.block_params(block);
        let (mine, theirs) = (
            params(Side::Original, original),
            params(Side::Result, result),
        );
        for (x, y) in mine.iter().zip(theirs) {
            let ty = self.func(Side::Original).dfg.value_type(*x);
            let term = self.terms.leaf(ty, SlotSet::default(), None);
            self.set(Side::Original, *x, term);
            self.set(Side::Result, *y, term);
        }
        let first = |side: Side, block| {
            let inst = self.func(side).layout.first_inst(block);
            inst.map(|inst| Next::From(Stop::At(inst)))
        };
        let (Some(x), Some(y)) = (first(Side::Original, original), first(Side::Result, result))
        else {
            return Err(Reason::Shape("an entry block").into());
        };
        self.follow(
            Path {
                next: [x, y],
                memory,
                assumed: Vec::new(),
                starts: false,
                moved: [false; 2],
                arrived: [Vec::new(), Vec::new()],
            },
            None,
        )?;
        let blocks: usize = self
            .bodies
            .iter()
            .map(|body| body.func.dfg.num_blocks())
            .sum();
        let mut visits = VISITS_PER_BLOCK * blocks;
        while let Some((_, _, node)) = self.queue.pop_first() {
            if visits == 0 {
                return Err(Stopped::Limit(Limit::Visits));
            }
            visits -= 1;
            self.visit(node)?;
        }
        self.nobody_waits_for_ever()
    }

    /// Goes on from a node.
    fn visit(&mut self, node: u32) -> Step<()> {
        let Meeting { stops, state } = &self.nodes[node as usize];
        let (stops, state) = (*stops, state.clone());
        for side in Side::BOTH {
            for (value, term) in &state.values[side as usize] {
                self.set(side, *value, *term);
            }
        }
        let path = Path {
            next: stops.map(Next::From),
            memory: state.memory,
            assumed: state.assumed,
            starts: true,
            moved: [false; 2],
            arrived: [Vec::new(), Vec::new()],
        };
        self.follow(path, Some(node))
    }

    /// Walks the tree of ways that begins with `path`, up to nodes.
    fn follow(&mut self, path: Path, from: Option<u32>) -> Step<()> {
        let mut paths = vec![path];
        while let Some(mut path) = paths.pop() {
            if self.terms.len() > TERMS_PER_INST * (self.instructions() + 64) {
                return Err(Stopped::Limit(Limit::Terms));
            }
            let forgot = path.memory.forgot;
            let done = self.one_path(&mut path, from, &mut paths);
            match done {
                // Without what was forgotten it might have been proven.
                Err(Stopped::Refused(_)) if forgot || path.memory.forgot => {
                    return Err(Stopped::Limit(Limit::Facts));
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn one_path(&mut self, path: &mut Path, from: Option<u32>, paths: &mut Vec<Path>) -> Step<()> {
        self.take_ways(path);
        loop {
            let mut stops = [Stop::At(Inst::from_u32(0)); 2];
            for side in Side::BOTH {
                let stop = match path.next[side as usize] {
                    Next::From(stop) => self.advance(side, stop, path)?,
                    Next::Way(..) => return Err(Reason::Shape("a branch").into()),
                };
                stops[side as usize] = stop;
                path.next[side as usize] = Next::From(stop);
            }
            self.spot = stops.map(Some);
            let starts = core::mem::take(&mut path.starts);
            match self.decide(path, stops)? {
                Decision::Pass(sides) => {
                    if !starts {
                        return self.arrive(path, stops, from);
                    }
                    for side in Side::BOTH {
                        if sides[side as usize]
                            && let Stop::Meeting(block) = stops[side as usize]
                        {
                            let first = self.func(side).layout.first_inst(block);
                            let first = first.ok_or(Reason::Shape("an empty block"))?;
                            path.next[side as usize] = Next::From(Stop::At(first));
                            path.moved[side as usize] = true;
                        }
                    }
                }
                Decision::Alone(side) => {
                    let Stop::At(inst) = stops[side as usize] else {
                        return Ok(());
                    };
                    self.access_alone(path, side, inst)?;
                    self.step(path, side, inst)?;
                }
                Decision::Both => {
                    for side in Side::BOTH {
                        if let Stop::At(inst) = stops[side as usize] {
                            self.access_alone(path, side, inst)?;
                            self.step(path, side, inst)?;
                        }
                    }
                }
                Decision::StoreBoth => {
                    let [Stop::At(x), Stop::At(y)] = stops else {
                        return Ok(());
                    };
                    let (access, value) = self.access(&path.memory, Side::Original, x)?;
                    if let Some(value) = value {
                        path.memory.store_both(&mut self.terms, &access, value);
                    }
                    self.step(path, Side::Original, x)?;
                    self.step(path, Side::Result, y)?;
                }
                Decision::Match => {
                    let [Stop::At(x), Stop::At(y)] = stops else {
                        return Ok(());
                    };
                    if !self.matched(path, x, y, paths)? {
                        return Ok(());
                    }
                    self.step(path, Side::Original, x)?;
                    self.step(path, Side::Result, y)?;
                }
                Decision::Fork(side) => {
                    let Stop::At(inst) = stops[side as usize] else {
                        return Ok(());
                    };
                    let ways = self.ways(side, inst);
                    for way in (0..ways).rev() {
                        let mut fork = path.clone();
                        fork.next[side as usize] = Next::Way(inst, way);
                        self.assume(&mut fork, side, inst, way);
                        paths.push(fork);
                    }
                    return Ok(());
                }
                Decision::Branch { turned } => {
                    let [Stop::At(x), Stop::At(y)] = stops else {
                        return Ok(());
                    };
                    for way in (0..self.ways(Side::Original, x)).rev() {
                        let mut fork = path.clone();
                        let theirs = if turned { 1 - way } else { way };
                        fork.next = [Next::Way(x, way), Next::Way(y, theirs)];
                        self.assume(&mut fork, Side::Original, x, way);
                        paths.push(fork);
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Goes behind `inst`.
    fn step(&mut self, path: &mut Path, side: Side, inst: Inst) -> Step<()> {
        let next = self.func(side).layout.next_inst(inst);
        let next = next.ok_or(Reason::Shape("a block without end"))?;
        path.next[side as usize] = Next::From(Stop::At(next));
        path.moved[side as usize] = true;
        Ok(())
    }

    /// Meets what is known into the node at `stops`.
    fn arrive(&mut self, path: &mut Path, stops: Stops, from: Option<u32>) -> Step<()> {
        let mut state = State {
            values: Side::BOTH.map(|side| self.live_values(path, side, stops[side as usize])),
            memory: core::mem::take(&mut path.memory),
            assumed: core::mem::take(&mut path.assumed),
        };
        let node = match self.node_for(&stops, &state) {
            None => {
                state.settle(&mut self.terms);
                self.stored_entries += state.size();
                if self.stored_entries > STATE_ENTRIES_PER_INST * (self.instructions() + 64) {
                    return Err(Stopped::Limit(Limit::Facts));
                }
                let node = self.nodes.len() as u32;
                self.nodes.push(Meeting { stops, state });
                self.known.entry(stops).or_default().push(node);
                self.enqueue(node, stops);
                node
            }
            Some(node) => {
                let old = &mut self.nodes[node as usize].state;
                if old.meet(&mut self.terms, &state) {
                    self.enqueue(node, stops);
                }
                node
            }
        };
        if let Some(from) = from {
            for side in Side::BOTH {
                if !path.moved[side as usize] {
                    self.waits[side as usize].insert((from, node));
                }
            }
        }
        Ok(())
    }

    /// The node with which a state is met.
    ///
    /// Where a slot has escaped on one way only, and the memories differ in it
    /// on the other one, the two ways stay apart, up to a limit.
    fn node_for(&self, stops: &Stops, state: &State) -> Option<u32> {
        let nodes = self.known.get(stops)?;
        let fits = |node: &&u32| {
            let old = &self.nodes[**node as usize].state.memory;
            !old.would_expose(&self.terms, state.memory.escaped)
                && !state.memory.would_expose(&self.terms, old.escaped)
        };
        match nodes.iter().find(fits) {
            Some(node) => Some(*node),
            None if nodes.len() < MAX_STATES => None,
            None => nodes.first().copied(),
        }
    }

    fn enqueue(&mut self, node: u32, stops: Stops) {
        let rank = |side: Side| {
            let block = match stops[side as usize] {
                Stop::Meeting(block) => Some(block),
                Stop::At(inst) => self.func(side).layout.inst_block(inst),
            };
            block.map_or(0, |block| self.bodies[side as usize].rank(block))
        };
        let (mine, theirs) = (rank(Side::Original), rank(Side::Result));
        self.queue.insert((mine, theirs, node));
    }

    /// The values that may be used from a stop on.
    fn live_values(&self, path: &Path, side: Side, stop: Stop) -> Vec<(Value, Term)> {
        let body = self.bodies[side as usize];
        let func = self.func(side);
        let mut live = Vec::new();
        let env = &self.env[side as usize];
        let mut add = |value: Value| {
            if let Some(term) = env[value] {
                live.push((value, term));
            }
        };
        let block = match stop {
            Stop::Meeting(block) => Some(block),
            Stop::At(inst) => func.layout.inst_block(inst),
        };
        let Some(block) = block else {
            return live;
        };
        body.live_into(block).iter().copied().for_each(&mut add);
        match stop {
            Stop::At(stop) => {
                func.dfg
                    .block_params(block)
                    .iter()
                    .copied()
                    .for_each(&mut add);
                for inst in func.layout.block_insts(block) {
                    if inst == stop {
                        break;
                    }
                    func.dfg
                        .inst_results(inst)
                        .iter()
                        .copied()
                        .for_each(&mut add);
                }
            }
            // A side that has waited here has them from the state.
            Stop::Meeting(_) if path.arrived[side as usize].is_empty() => {
                func.dfg
                    .block_params(block)
                    .iter()
                    .copied()
                    .for_each(&mut add);
            }
            Stop::Meeting(_) => live.extend(&path.arrived[side as usize]),
        }
        live
    }

    /// Does a run of one function never go on while the other one does?
    fn nobody_waits_for_ever(&mut self) -> Step<()> {
        for side in Side::BOTH {
            let edges = core::mem::take(&mut self.waits[side as usize]);
            if let Some(node) = cycle(self.nodes.len(), &edges) {
                self.spot = self.nodes[node as usize].stops.map(Some);
                return Err(Reason::OneSideLoops(side).into());
            }
        }
        Ok(())
    }
}

/// Does `func` take the address of an exception handler's block?
fn names_handler(func: &Function) -> bool {
    let insts = |block| func.layout.block_insts(block);
    func.layout
        .blocks()
        .flat_map(insts)
        .any(|inst| func.dfg.insts[inst].opcode() == Opcode::GetExceptionHandlerAddress)
}

/// A node on a cycle of `edges`, if there is one.
fn cycle(nodes: usize, edges: &BTreeSet<Edge>) -> Option<u32> {
    let mut into = vec![0u32; nodes];
    for (_, to) in edges {
        into[*to as usize] += 1;
    }
    let mut work: Vec<u32> = (0..nodes as u32)
        .filter(|node| into[*node as usize] == 0)
        .collect();
    while let Some(node) = work.pop() {
        for (_, to) in edges.range((node, 0)..=(node, u32::MAX)) {
            into[*to as usize] -= 1;
            if into[*to as usize] == 0 {
                work.push(*to);
            }
        }
    }
    (0..nodes as u32).find(|node| into[*node as usize] > 0)
}

/// What one side does by itself.
impl Walk<'_> {
    fn set(&mut self, side: Side, value: Value, term: Term) {
        self.env[side as usize][value] = Some(term);
    }

    /// The term of a value. In a verified function every value has one where
    /// it is used.
    fn term(&mut self, side: Side, value: Value) -> Term {
        let func = self.func(side);
        let value = func.dfg.resolve_aliases(value);
        if let Some(term) = self.env[side as usize][value] {
            return term;
        }
        let ty = func.dfg.value_type(value);
        self.terms.leaf(ty, SlotSet::ALL, None)
    }

    fn args(&mut self, side: Side, inst: Inst) -> SmallVec<[Term; 3]> {
        let func = self.func(side);
        let args = func.dfg.inst_args(inst);
        args.iter().map(|arg| self.term(side, *arg)).collect()
    }

    /// Follows the branches that the path has yet to take.
    fn take_ways(&mut self, path: &mut Path) {
        let mut special: BTreeMap<BlockArg, Term> = BTreeMap::new();
        for side in Side::BOTH {
            if let Next::Way(branch, way) = path.next[side as usize] {
                path.next[side as usize] =
                    Next::From(self.take_way(path, side, branch, way, &mut special));
                path.moved[side as usize] = true;
            }
        }
    }

    fn take_way(
        &mut self,
        path: &mut Path,
        side: Side,
        branch: Inst,
        way: usize,
        special: &mut BTreeMap<BlockArg, Term>,
    ) -> Stop {
        let dfg = &self.func(side).dfg;
        let data = &dfg.insts[branch];
        let call = data.branch_destination(&dfg.jump_tables, &dfg.exception_tables)[way];
        let block = call.block(&dfg.value_lists);
        let escaped = path.memory.escaped;
        let params = dfg.block_params(block);
        let passed: Vec<(Value, Term)> = params
            .iter()
            .zip(call.args(&dfg.value_lists))
            .map(|(param, arg)| {
                let term = match arg {
                    BlockArg::Value(value) => self.term(side, value),
                    BlockArg::TryCallRet(_) | BlockArg::TryCallExn(_) => {
                        let ty = dfg.value_type(*param);
                        let terms = &mut self.terms;
                        *special
                            .entry(arg)
                            .or_insert_with(|| terms.leaf(ty, escaped, None))
                    }
                };
                (*param, term)
            })
            .collect();
        if self.bodies[side as usize].is_merge(block) {
            path.arrived[side as usize] = passed;
            return Stop::Meeting(block);
        }
        for (param, term) in passed {
            self.set(side, param, term);
        }
        match self.func(side).layout.first_inst(block) {
            Some(first) => Stop::At(first),
            None => Stop::Meeting(block),
        }
    }

    /// Goes on over everything that nobody sees and that reads no memory.
    fn advance(&mut self, side: Side, mut stop: Stop, path: &mut Path) -> Step<Stop> {
        while let Stop::At(inst) = stop {
            let func = self.func(side);
            let data = func.dfg.insts[inst];
            let way = match kind(data.opcode()) {
                Kind::Pure => {
                    self.pure(side, inst)?;
                    None
                }
                Kind::Nothing => None,
                Kind::ConditionalTrap => {
                    let args = self.args(side, inst);
                    let zero = data.opcode() == Opcode::Trapz;
                    match self.truth(args[0], &path.assumed) {
                        Some(truth) if truth == zero => None,
                        _ => return Ok(stop),
                    }
                }
                Kind::Jump => Some(0),
                Kind::Branch | Kind::Switch => match self.decided(side, inst, path) {
                    Some(way) => Some(way),
                    None => return Ok(stop),
                },
                Kind::PureOrTrap
                | Kind::Load(_)
                | Kind::Store(_)
                | Kind::Call
                | Kind::TryCall
                | Kind::Barrier
                | Kind::Return
                | Kind::TailCall
                | Kind::Trap => return Ok(stop),
            };
            path.moved[side as usize] = true;
            stop = match way {
                Some(way) => self.take_way(path, side, inst, way, &mut BTreeMap::new()),
                None => {
                    let next = func.layout.next_inst(inst);
                    Stop::At(next.ok_or(Reason::Shape("a block without end"))?)
                }
            };
        }
        Ok(stop)
    }

    /// An instruction without its arguments, and with flags that have one
    /// number in both functions.
    fn shape(&mut self, side: Side, inst: Inst) -> Step<InstructionData> {
        let dfg = &self.func(side).dfg;
        let mut shape = skeleton(&dfg.insts[inst]).ok_or(Reason::Event)?;
        if let Some(flags) = shape.memflags_mut() {
            let data = dfg.mem_flags[*flags];
            *flags = match self.flags.get(&data) {
                Some(known) => *known,
                None => {
                    let number = MemFlags::with_number(self.flags.len() as u32);
                    let number = number.ok_or(Stopped::Limit(Limit::Terms))?;
                    self.flags.insert(data, number);
                    number
                }
            };
        }
        Ok(shape)
    }

    /// Gives terms to the results of a pure instruction.
    fn pure(&mut self, side: Side, inst: Inst) -> Step<()> {
        let func = self.func(side);
        let data = func.dfg.insts[inst];
        let args = self.args(side, inst);
        let results = func.dfg.inst_results(inst);
        let shape = self.shape(side, inst)?;
        for (index, result) in results.iter().enumerate() {
            let ty = func.dfg.value_type(*result);
            let term = match data {
                InstructionData::UnaryImm { imm, .. } => self.terms.number(ty, imm.bits() as u64),
                InstructionData::StackAddr {
                    stack_slot, offset, ..
                } => {
                    let base = self.terms.slot(stack_slot, ty);
                    self.terms.plus(base, offset.into())
                }
                _ => self.terms.op(shape, index as u8, ty, args.clone()),
            };
            self.set(side, *result, term);
        }
        Ok(())
    }

    /// The way that a branch takes, if that is known.
    fn decided(&mut self, side: Side, inst: Inst, path: &Path) -> Option<usize> {
        let func = self.func(side);
        let argument = self.args(side, inst)[0];
        match func.dfg.insts[inst] {
            InstructionData::Brif { .. } => {
                let truth = self.truth(argument, &path.assumed)?;
                Some(usize::from(!truth))
            }
            InstructionData::BranchTable { table, .. } => {
                let index = self.terms.constant(argument)?;
                let entries = func.dfg.jump_tables[table].as_slice().len() as u64;
                Some(if index < entries {
                    index as usize + 1
                } else {
                    0
                })
            }
            _ => None,
        }
    }

    /// Is the value other than 0?
    fn truth(&mut self, value: Term, assumed: &[(Term, bool)]) -> Option<bool> {
        let (condition, turned) = self.terms.condition(value);
        if let Some(constant) = self.terms.constant(condition) {
            return Some((constant != 0) != turned);
        }
        let known = assumed.iter().find(|(known, _)| *known == condition)?;
        Some(known.1 != turned)
    }

    /// Remembers what a way of a branch tells.
    fn assume(&mut self, path: &mut Path, side: Side, inst: Inst, way: usize) {
        if !matches!(
            self.func(side).dfg.insts[inst],
            InstructionData::Brif { .. }
        ) {
            return;
        }
        let argument = self.args(side, inst)[0];
        let (condition, turned) = self.terms.condition(argument);
        path.learn(condition, (way == 0) != turned);
    }

    fn ways(&self, side: Side, inst: Inst) -> usize {
        let dfg = &self.func(side).dfg;
        let data = &dfg.insts[inst];
        data.branch_destination(&dfg.jump_tables, &dfg.exception_tables)
            .len()
    }

    /// What a load or store says, and what it stores.
    fn access(&mut self, memory: &Memory, side: Side, inst: Inst) -> Step<(Access, Option<Term>)> {
        let said = opcodes::access(self.func(side), inst).ok_or(Reason::Shape("an access"))?;
        let opcodes::Access { ty, flags, .. } = said;
        let args = self.args(side, inst);
        let (value, address) = match args[..] {
            [address] if !said.writes => (None, address),
            // Of a value that is wider than its bytes in memory, the low ones.
            [value, address] if said.writes => (Some(self.terms.bits(value, 0, ty)), address),
            _ => return Err(Reason::Shape("an access").into()),
        };
        let place = self.place(memory, address, said.offset.into(), ty, flags)?;
        let untainted = place
            .root
            .is_some_and(|root| self.terms.taint(root).is_empty());
        let access = Access {
            place,
            ty,
            order: flags.endianness(self.target.endianness),
            readonly: flags.readonly(),
            foreign: flags.readonly()
                && untainted
                && place
                    .class
                    .is_some_and(|class| !self.regions.is_stored(class)),
        };
        Ok((access, value))
    }

    fn place(
        &mut self,
        memory: &Memory,
        address: Term,
        offset: i64,
        ty: Type,
        flags: MemFlagsData,
    ) -> Step<Place> {
        let (root, by) = self.terms.base(address);
        let address_type = self.terms.ty(root);
        let start = super::terms::sign_extend(by.wrapping_add(offset) as u64, address_type);
        let range = (!ty.is_dynamic_vector()).then(|| (start, ty.bytes()));
        let place = Place {
            root: Some(root),
            range,
            class: self.regions.class(flags),
        };
        if let super::terms::Node::Slot(slot) = *self.terms.node(root)
            && !self.slots_are_left
        {
            let size = i64::from(self.terms.slot_size(slot));
            let inside = range.is_some_and(|(start, bytes)| {
                start >= 0 && start.saturating_add(bytes.into()) <= size
            });
            if !inside {
                self.slots_are_left = true;
                return Err(Stopped::Restart);
            }
        }
        if range.is_none() && !memory.is_private(&self.terms, &place) {
            return Ok(Place {
                root: None,
                ..place
            });
        }
        Ok(place)
    }

    /// Gives a term to the result of a load, given the bytes that it found.
    fn loaded(&mut self, side: Side, inst: Inst, bytes: Term) {
        let func = self.func(side);
        let result = func.dfg.first_result(inst);
        let ty = func.dfg.value_type(result);
        let opcode = func.dfg.insts[inst].opcode();
        let unary = |opcode| InstructionData::Unary {
            opcode,
            arg: Value::from_u32(0),
        };
        let value = match kind(opcode) {
            Kind::Load(Reading::Unsigned(_)) => {
                let args = SmallVec::from_slice(&[bytes]);
                self.terms.op(unary(Opcode::Uextend), 0, ty, args)
            }
            Kind::Load(Reading::Signed(_)) => {
                let args = SmallVec::from_slice(&[bytes]);
                self.terms.op(unary(Opcode::Sextend), 0, ty, args)
            }
            Kind::Load(Reading::Parts) => {
                let args = SmallVec::from_slice(&[bytes]);
                self.terms.op(unary(opcode), 0, ty, args)
            }
            _ => bytes,
        };
        self.set(side, result, value);
    }

    /// An access that one side makes, and nobody sees.
    fn access_alone(&mut self, path: &mut Path, side: Side, inst: Inst) -> Step<()> {
        let (access, value) = self.access(&path.memory, side, inst)?;
        match value {
            Some(value) => {
                path.memory
                    .store_alone(&mut self.terms, side, &access, value);
            }
            None => self.load(path, side, inst, &access),
        }
        Ok(())
    }

    fn load(&mut self, path: &mut Path, side: Side, inst: Inst, access: &Access) {
        let is_free = opcodes::access(self.func(side), inst)
            .is_some_and(|said| said.flags.can_move() && said.trap.is_none());
        if !is_free {
            path.memory.account(&self.terms, side, access.place, None);
        }
        let bytes = match self.shared_pointer(side, inst) {
            Some(shared) => shared,
            None => path.memory.load(&mut self.terms, side, access),
        };
        self.loaded(side, inst, bytes);
    }

    /// The term of a load of which the policy says that it always gives the
    /// same pointer.
    fn shared_pointer(&mut self, side: Side, inst: Inst) -> Option<Term> {
        let func = self.func(side);
        let InstructionData::Load {
            opcode: Opcode::Load,
            arg,
            flags,
            offset,
        } = func.dfg.insts[inst]
        else {
            return None;
        };
        let flags = func.dfg.mem_flags[flags];
        let region = func.dfg.alias_regions[flags.alias_region()?].user_id;
        let address = self.term(side, arg);
        let (_, by) = self.terms.base(address);
        let offset = by.wrapping_add(offset.into());
        if !flags.readonly() || !flags.notrap() || !self.policy.is_shared_pointer(region, offset) {
            return None;
        }
        let ty = func.dfg.value_type(func.dfg.first_result(inst));
        Some(self.terms.shared(region, offset, ty))
    }
}

/// Who goes on.
impl Walk<'_> {
    fn decide(&mut self, path: &Path, stops: Stops) -> Step<Decision> {
        match stops {
            [Stop::Meeting(x), Stop::Meeting(y)] => Ok(Decision::Pass(self.pass_meetings(x, y))),
            [Stop::Meeting(x), Stop::At(inst)] => {
                if self.goes_before(path, Side::Result, inst, x)? {
                    return Ok(Decision::Alone(Side::Result));
                }
                Ok(Decision::Pass([true, false]))
            }
            [Stop::At(inst), Stop::Meeting(y)] => {
                if self.goes_before(path, Side::Original, inst, y)? {
                    return Ok(Decision::Alone(Side::Original));
                }
                Ok(Decision::Pass([false, true]))
            }
            [Stop::At(x), Stop::At(y)] => self.decide_at(path, x, y),
        }
    }

    /// Which of two meetings is left.
    fn pass_meetings(&self, x: Block, y: Block) -> [bool; 2] {
        let [original, result] = self.bodies;
        if x == y {
            return [true, true];
        }
        let known = |body: &Body<'_>, block: Block| {
            body.func.dfg.block_is_valid(block) && body.is_merge(block)
        };
        match (known(result, x), known(original, y)) {
            (false, false) => return [true, true],
            (false, true) => return [true, false],
            (true, false) => return [false, true],
            (true, true) => {}
        }
        if original.rank(x) < original.rank(y) {
            [true, false]
        } else {
            [false, true]
        }
    }

    /// Does an access of `side` come before the other side leaves the meeting at
    /// which it stands? Only an access that nobody sees can.
    ///
    /// It does, unless the other side is about to make it (or what it is a copy
    /// of) in that very block, and this side has no such meeting in front of it.
    fn goes_before(&mut self, path: &Path, side: Side, inst: Inst, meeting: Block) -> Step<bool> {
        let (body, other) = (
            self.bodies[side as usize],
            self.bodies[side.other() as usize],
        );
        let is_there = match other.block_of(inst) {
            Some(block) => block == meeting,
            // What only the result has may be a copy of what is there.
            None => side == Side::Result,
        };
        let comes_there = body.func.dfg.block_is_valid(meeting)
            && body.is_merge(meeting)
            && body.block_of(inst).is_some_and(|block| {
                let mut ways = body.destinations(block).iter();
                body.rank(block) < body.rank(meeting)
                    || ways.any(|way| way.block(&body.func.dfg.value_lists) == meeting)
            });
        if is_there && !comes_there {
            return Ok(false);
        }
        Ok(matches!(self.look(path, side, inst)?, What::Access(..)))
    }

    fn look(&mut self, path: &Path, side: Side, inst: Inst) -> Step<What> {
        let func = self.func(side);
        match kind(func.dfg.insts[inst].opcode()) {
            Kind::Load(_) | Kind::Store(_) => {
                let (access, value) = self.access(&path.memory, side, inst)?;
                let trap = opcodes::access(func, inst).and_then(|access| access.trap);
                let memory = &path.memory;
                let safe =
                    trap.is_none() || memory.is_accessible(&self.terms, &access, value.is_some());
                let private = memory.is_private(&self.terms, &access.place);
                if safe && (private || !self.regions.is_asynchronous(access.place.class)) {
                    Ok(What::Access(access, value))
                } else {
                    Ok(What::Event)
                }
            }
            Kind::Branch | Kind::Switch => Ok(What::Branch),
            _ => Ok(What::Event),
        }
    }

    fn decide_at(&mut self, path: &Path, x: Inst, y: Inst) -> Step<Decision> {
        let mine = self.look(path, Side::Original, x)?;
        let theirs = self.look(path, Side::Result, y)?;
        match (mine, theirs) {
            (What::Access(a, stored), What::Access(b, other)) => {
                let same = a.place == b.place && a.ty == b.ty && a.order == b.order;
                match (stored, other) {
                    (Some(value), Some(other))
                        if same && value == other && !self.is_another(x, y) =>
                    {
                        Ok(Decision::StoreBoth)
                    }
                    _ if x == y => Ok(Decision::Both),
                    _ => Ok(Decision::Alone(self.first_of(x, y))),
                }
            }
            (What::Access(..), _) => Ok(Decision::Alone(Side::Original)),
            (_, What::Access(..)) => Ok(Decision::Alone(Side::Result)),
            (What::Branch, What::Branch) => self.decide_branches(x, y),
            (What::Branch, What::Event) => Ok(Decision::Fork(Side::Original)),
            (What::Event, What::Branch) => Ok(Decision::Fork(Side::Result)),
            (What::Event, What::Event) => Ok(Decision::Match),
        }
    }

    /// Is the store `y` of the result rather one that the original comes to
    /// later, and `x` one that the result does not have?
    fn is_another(&self, x: Inst, y: Inst) -> bool {
        let gone = self.bodies[Side::Result as usize].block_of(x).is_none();
        x != y && gone && self.is_ahead(Side::Original, y, x)
    }

    /// Which of two accesses comes first: one that the other side does not
    /// have, or the one that the other side has left behind.
    fn first_of(&self, x: Inst, y: Inst) -> Side {
        if !self.is_ahead(Side::Result, x, y) {
            return Side::Original;
        }
        if self.is_ahead(Side::Original, y, x) {
            return Side::Original;
        }
        Side::Result
    }

    /// Does `side`, which stands at `at`, come to `inst` in the same block?
    fn is_ahead(&self, side: Side, inst: Inst, at: Inst) -> bool {
        let body = self.bodies[side as usize];
        let here = body.block_of(at);
        here.is_some() && body.block_of(inst) == here && body.func.layout.pp_cmp(at, inst).is_lt()
    }

    fn decide_branches(&mut self, x: Inst, y: Inst) -> Step<Decision> {
        let mine = self.args(Side::Original, x)[0];
        let theirs = self.args(Side::Result, y)[0];
        let opcode = |side: Side, inst: Inst| self.func(side).dfg.insts[inst].opcode();
        let same_kind = opcode(Side::Original, x) == opcode(Side::Result, y)
            && self.ways(Side::Original, x) == self.ways(Side::Result, y);
        if same_kind {
            if opcode(Side::Original, x) == Opcode::BrTable {
                if mine == theirs {
                    return Ok(Decision::Branch { turned: false });
                }
            } else {
                let (a, turned) = self.terms.condition(mine);
                let (b, other) = self.terms.condition(theirs);
                if a == b {
                    return Ok(Decision::Branch {
                        turned: turned != other,
                    });
                }
            }
        }
        let [original, result] = self.bodies;
        if original.block_of(y).is_none() || self.is_ahead(Side::Original, y, x) {
            return Ok(Decision::Fork(Side::Result));
        }
        if result.block_of(x).is_none() {
            return Ok(Decision::Fork(Side::Original));
        }
        Err(Reason::Condition.into())
    }
}

/// What both sides do.
impl Walk<'_> {
    /// Compares two things that can be observed; do both functions go on?
    fn matched(&mut self, path: &mut Path, x: Inst, y: Inst, paths: &mut Vec<Path>) -> Step<bool> {
        let (mine, theirs) = (
            self.func(Side::Original).dfg.insts[x],
            self.func(Side::Result).dfg.insts[y],
        );
        if mine.opcode() != theirs.opcode() {
            return Err(Reason::Event.into());
        }
        self.same_tags(x, y)?;
        if path.memory.settle_loads() {
            return Err(Reason::InventedLoad.into());
        }
        match kind(mine.opcode()) {
            Kind::Load(_) | Kind::Store(_) => self.match_accesses(path, x, y)?,
            Kind::PureOrTrap => {
                self.same_shape(x, y)?;
                self.same_arguments(x, y)?;
                self.trap_point(path)?;
                self.pure(Side::Original, x)?;
                self.pure(Side::Result, y)?;
            }
            Kind::ConditionalTrap => {
                self.same_shape(x, y)?;
                self.same_arguments(x, y)?;
                self.trap_point(path)?;
                let argument = self.args(Side::Original, x)[0];
                let (condition, turned) = self.terms.condition(argument);
                let holds = mine.opcode() == Opcode::Trapz;
                path.learn(condition, holds != turned);
            }
            Kind::Call => self.match_calls(path, x, y)?,
            Kind::TryCall => {
                self.match_try_calls(path, x, y, paths)?;
                return Ok(false);
            }
            Kind::Barrier => {
                self.same_shape(x, y)?;
                self.same_arguments(x, y)?;
                self.all_memory_is_seen(path, x)?;
                path.memory
                    .forget_changed(&self.terms, &Classes::All, SlotSet::default());
                self.new_results(path, x, y)?;
            }
            Kind::Return => {
                self.same_arguments(x, y)?;
                self.ends(path)?;
                return Ok(false);
            }
            Kind::TailCall => {
                self.same_callee(&mine, &theirs)?;
                self.same_arguments(x, y)?;
                self.ends(path)?;
                return Ok(false);
            }
            Kind::Trap => {
                self.same_shape(x, y)?;
                self.trap_point(path)?;
                return Ok(false);
            }
            Kind::Pure | Kind::Nothing | Kind::Jump | Kind::Branch | Kind::Switch => {
                return Err(Reason::Event.into());
            }
        }
        Ok(true)
    }

    /// An access that may trap, or that the world sees at any time.
    fn match_accesses(&mut self, path: &mut Path, x: Inst, y: Inst) -> Step<()> {
        let (mine, value) = self.access(&path.memory, Side::Original, x)?;
        let (theirs, other) = self.access(&path.memory, Side::Result, y)?;
        let trap = |side: Side, inst: Inst| -> Option<TrapCode> {
            opcodes::access(self.func(side), inst)?.trap
        };
        let (code, other_code) = (trap(Side::Original, x), trap(Side::Result, y));
        if mine.place != theirs.place
            || mine.ty != theirs.ty
            || mine.order != theirs.order
            || code != other_code
        {
            return Err(Reason::Event.into());
        }
        if value != other {
            return Err(Reason::Arguments.into());
        }
        if code.is_some() {
            self.trap_point(path)?;
        }
        let asynchronous = self.regions.is_asynchronous(mine.place.class)
            && !path.memory.is_private(&self.terms, &mine.place);
        match value {
            Some(value) => path.memory.store_both(&mut self.terms, &mine, value),
            None if asynchronous => {
                let escaped = path.memory.escaped;
                let bytes = self.terms.leaf(mine.ty, escaped, None);
                self.loaded(Side::Original, x, bytes);
                self.loaded(Side::Result, y, bytes);
            }
            None => {
                self.load(path, Side::Original, x, &mine);
                self.load(path, Side::Result, y, &theirs);
            }
        }
        Ok(())
    }

    fn match_calls(&mut self, path: &mut Path, x: Inst, y: Inst) -> Step<()> {
        let (effect, mapped) = self.enter_callee(path, x, y)?;
        path.memory
            .forget_changed(&self.terms, &effect.writes, mapped);
        self.new_results(path, x, y)
    }

    fn match_try_calls(
        &mut self,
        path: &mut Path,
        x: Inst,
        y: Inst,
        paths: &mut Vec<Path>,
    ) -> Step<()> {
        let (effect, mapped) = self.enter_callee(path, x, y)?;
        self.same_handlers(x, y)?;
        for way in (0..self.ways(Side::Original, x)).rev() {
            let mut fork = path.clone();
            // The normal way is the last one of the table.
            let normal = way + 1 == self.ways(Side::Original, x);
            let changed = if normal {
                &effect.writes
            } else {
                &effect.touches
            };
            let memory = &mut fork.memory;
            memory.forget_changed(&self.terms, changed, mapped);
            fork.next = [Next::Way(x, way), Next::Way(y, way)];
            paths.push(fork);
        }
        Ok(())
    }

    /// Compares two calls up to where the callee begins: what it is given, and
    /// all memory that it or anyone behind it may see.
    fn enter_callee(&mut self, path: &mut Path, x: Inst, y: Inst) -> Step<(Effect, SlotSet)> {
        let (original, result) = (self.func(Side::Original), self.func(Side::Result));
        self.same_callee(&original.dfg.insts[x], &result.dfg.insts[y])?;
        self.same_arguments(x, y)?;
        let entries = original.dfg.user_stack_map_entries(x);
        if entries != result.dfg.user_stack_map_entries(y) {
            return Err(Reason::StackMap.into());
        }
        let taint = self.taint_of_arguments(x);
        path.memory.escape(taint);
        let mut effect = Effect::of(original, x, self.policy);
        if effect.is_opaque() {
            // Both call the same: what is known of one is true of the other.
            effect = Effect::of(result, y, self.policy);
        }
        let mapped = entries
            .unwrap_or_default()
            .iter()
            .fold(SlotSet::default(), |all, entry| {
                all.and(SlotSet::of(entry.slot))
            });
        let seen = path
            .memory
            .visible(&self.terms, |class| effect.reads.has(class), mapped);
        if seen.is_some() {
            return Err(Reason::MemoryAtCall.into());
        }
        if effect.may_end {
            self.trap_point(path)?;
        }
        Ok((effect, mapped))
    }

    /// Whoever handles a trap here sees the same memory.
    fn trap_point(&mut self, path: &Path) -> Step<()> {
        let regions = self.regions;
        let seen = path.memory.visible(
            &self.terms,
            |class| regions.survives_trap(class),
            SlotSet::default(),
        );
        match seen {
            Some(_) => Err(Reason::MemoryAtTrap.into()),
            None => Ok(()),
        }
    }

    fn all_memory_is_seen(&mut self, path: &mut Path, inst: Inst) -> Step<()> {
        let taint = self.taint_of_arguments(inst);
        path.memory.escape(taint);
        let seen = path
            .memory
            .visible(&self.terms, |_| true, SlotSet::default());
        match seen {
            Some(_) => Err(Reason::MemoryAtBarrier.into()),
            None => Ok(()),
        }
    }

    /// Both functions end, and their frames with them.
    fn ends(&mut self, path: &Path) -> Step<()> {
        let memory = &path.memory;
        let in_frame = |place: &Place| {
            let slot = place.root.and_then(|root| self.terms.within(root));
            slot.is_some() && !self.slots_are_left
        };
        if !memory.differences.iter().all(in_frame) {
            return Err(Reason::MemoryAtEnd.into());
        }
        if !memory.ahead.iter().all(|(place, _)| in_frame(place)) {
            return Err(Reason::InventedStore.into());
        }
        Ok(())
    }

    /// The slots whose addresses an instruction hands to the outside: by its
    /// arguments, and by what an exception table hands to the unwinder.
    fn taint_of_arguments(&mut self, inst: Inst) -> SlotSet {
        let dfg = &self.func(Side::Original).dfg;
        let mut values: SmallVec<[Value; 8]> = dfg.inst_args(inst).iter().copied().collect();
        if let Some(table) = dfg.insts[inst].exception_table() {
            for item in dfg.exception_tables[table].items() {
                if let ExceptionTableItem::Context(value) = item {
                    values.push(value);
                }
            }
        }
        let mut taint = SlotSet::default();
        for value in values {
            let term = self.term(Side::Original, value);
            taint = taint.and(self.terms.taint(term));
        }
        taint
    }

    fn same_shape(&mut self, x: Inst, y: Inst) -> Step<()> {
        if self.shape(Side::Original, x)? == self.shape(Side::Result, y)? {
            Ok(())
        } else {
            Err(Reason::Event.into())
        }
    }

    fn same_arguments(&mut self, x: Inst, y: Inst) -> Step<()> {
        if self.args(Side::Original, x) == self.args(Side::Result, y) {
            Ok(())
        } else {
            Err(Reason::Arguments.into())
        }
    }

    fn same_callee(&self, mine: &InstructionData, theirs: &InstructionData) -> Step<()> {
        let callee = |data: &InstructionData, dfg: &crate::ir::DataFlowGraph| match *data {
            InstructionData::Call { func_ref, .. } | InstructionData::TryCall { func_ref, .. } => {
                (Some(func_ref), None)
            }
            InstructionData::CallIndirect { sig_ref, .. } => (None, Some(sig_ref)),
            InstructionData::TryCallIndirect { exception, .. } => {
                (None, Some(dfg.exception_tables[exception].signature()))
            }
            _ => (None, None),
        };
        let a = callee(mine, &self.func(Side::Original).dfg);
        let b = callee(theirs, &self.func(Side::Result).dfg);
        if a == b && a != (None, None) {
            Ok(())
        } else {
            Err(Reason::Event.into())
        }
    }

    /// The same exceptions go to the same ways.
    fn same_handlers(&mut self, x: Inst, y: Inst) -> Step<()> {
        let mine = self.handlers(Side::Original, x);
        let theirs = self.handlers(Side::Result, y);
        let target = |side: Side, inst: Inst, way: usize| {
            let dfg = &self.func(side).dfg;
            let data = &dfg.insts[inst];
            let calls = data.branch_destination(&dfg.jump_tables, &dfg.exception_tables);
            calls[way].block(&dfg.value_lists)
        };
        // Whoever takes the address of a handler's block means that block.
        let same_blocks = !self.names_handler
            || (0..self.ways(Side::Original, x).min(self.ways(Side::Result, y)))
                .all(|way| target(Side::Original, x, way) == target(Side::Result, y, way));
        if mine.is_some() && mine == theirs && same_blocks {
            Ok(())
        } else {
            Err(Reason::Handlers.into())
        }
    }

    /// The items of an exception table: their tags, or the contexts in between.
    fn handlers(&mut self, side: Side, inst: Inst) -> Option<Vec<(u8, u32, Option<Term>)>> {
        let dfg = &self.func(side).dfg;
        let table = &dfg.exception_tables[dfg.insts[inst].exception_table()?];
        let items = table.items().map(|item| match item {
            ExceptionTableItem::Tag(tag, _) => (0, tag.as_u32(), None),
            ExceptionTableItem::Default(_) => (1, 0, None),
            ExceptionTableItem::Context(value) => (2, 0, Some(self.term(side, value))),
        });
        Some(items.collect())
    }

    fn same_tags(&self, x: Inst, y: Inst) -> Step<()> {
        let tags = |side: Side, inst: Inst| self.func(side).debug_tags.get(inst);
        if tags(Side::Original, x) == tags(Side::Result, y) {
            Ok(())
        } else {
            Err(Reason::DebugTags.into())
        }
    }

    /// Both get the same from outside.
    fn new_results(&mut self, path: &Path, x: Inst, y: Inst) -> Step<()> {
        let (original, result) = (self.func(Side::Original), self.func(Side::Result));
        let mine = original.dfg.inst_results(x);
        let theirs = result.dfg.inst_results(y);
        if mine.len() != theirs.len() {
            return Err(Reason::Event.into());
        }
        for (a, b) in mine.iter().zip(theirs) {
            let ty = original.dfg.value_type(*a);
            let term = self.terms.leaf(ty, path.memory.escaped, None);
            self.set(Side::Original, *a, term);
            self.set(Side::Result, *b, term);
        }
        Ok(())
    }
}
