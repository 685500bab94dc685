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

mod alone;
mod arrivals;
mod events;
mod order;

use self::arrivals::Arrivals;
use super::body::Body;
use super::memory::{Memory, Side};
use super::place::Access;
use super::regions::Regions;
use super::state::State;
use super::terms::{SlotSet, Term, Terms};
use super::verdict::{Limit, Reason, Refusal, Spot, Verdict};
use cranelift_codegen::FxHashMap;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Block, Function, Inst, MemFlags, MemFlagsData, Opcode, Value};
use cranelift_memopt::Policy;
use cranelift_memopt::TargetFacts;
use std::collections::BTreeSet;

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

/// Meetings that one side passes by itself without a node, on all paths from
/// one node together.
const MAX_PASSED: u32 = 24;

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
    /// Has the last edge of a side led forward, to a block with a higher rank?
    forward: [bool; 2],
    /// Has a side taken more than one way by itself since the last node? Those
    /// are to meet while the other side waits.
    forked: [bool; 2],
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
    arrivals: Arrivals,
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
    /// Those that are kept apart besides, see [`arrivals`].
    parted_entries: usize,
    /// Visits of nodes so far.
    visits: u32,
    /// See [`MAX_PASSED`].
    passed: u32,
    /// An access leaves its slot: the outside may know every slot.
    pub slots_are_left: bool,
    /// The slots that the outside can name from the start: they are seen at every call
    /// and trap.
    named: SlotSet,
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
            parted_entries: 0,
            visits: 0,
            passed: 0,
            slots_are_left: false,
            named: SlotSet::default(),
            names_handler: bodies.iter().any(|body| names_handler(body.func)),
            spot: [None; 2],
        }
    }

    /// Walks until every state is settled. `named` are the slots that the
    /// outside can name from the start.
    pub fn run(mut self, named: SlotSet) -> (Verdict, bool) {
        self.named = named;
        let verdict = match self.walk(named) {
            Ok(()) => Verdict::Proven,
            Err(Stopped::Refused(reason)) => Verdict::Refused(Box::new(self.refusal(reason))),
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
            ..Memory::default()
        };
        memory.escape(if self.slots_are_left {
            SlotSet::ALL
        } else {
            named
        });
        // The world that writes at any time may tell at any time.
        if !self.slots_are_left && !self.policy.has_asynchronous_memory() {
            memory.unheard = named;
        }
        let [original, result] = Side::BOTH.map(|side| self.func(side).layout.entry_block());
        let (Some(original), Some(result)) = (original, result) else {
            return match (original, result) {
                (None, None) => Ok(()),
                _ => Err(Reason::Shape("a function without blocks").into()),
            };
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
                forward: [false; 2],
                forked: [false; 2],
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
        self.visits += 1;
        let Meeting { stops, state, .. } = &self.nodes[node as usize];
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
            forward: [false; 2],
            forked: [false; 2],
        };
        self.follow(path, Some(node))
    }

    /// Walks the tree of ways that begins with `path`, up to nodes.
    fn follow(&mut self, path: Path, from: Option<u32>) -> Step<()> {
        self.passed = 0;
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
            let starts = std::mem::take(&mut path.starts);
            match self.decide(path, stops)? {
                Decision::Pass(sides) => {
                    if !starts && !self.goes_through(path, sides) {
                        return self.arrive(path, stops, from);
                    }
                    self.pass(path, stops, sides)?;
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
                        fork.forked[side as usize] = true;
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

    /// Does the side that leaves a meeting go on without a node there?
    ///
    /// So the ways into a block stay apart of which the other side has a copy
    /// for each. Nothing is executed twice, because all edges lead forward; what
    /// another way gives to the values behind the meeting, it gives before it
    /// uses them.
    fn goes_through(&mut self, path: &Path, sides: [bool; 2]) -> bool {
        let side = match sides {
            [true, false] => Side::Original,
            [false, true] => Side::Result,
            _ => return false,
        };
        let goes = self.may_go_through(path, side);
        self.passed += u32::from(goes);
        goes
    }

    /// May a side leave a meeting without a node?
    fn may_go_through(&self, path: &Path, side: Side) -> bool {
        let side = side as usize;
        path.forward[side] && !path.forked[side] && self.passed < MAX_PASSED
    }

    /// Leaves the meetings at which these sides stand.
    fn pass(&mut self, path: &mut Path, stops: Stops, sides: [bool; 2]) -> Step<()> {
        for side in Side::BOTH.into_iter().filter(|side| sides[*side as usize]) {
            for (param, term) in std::mem::take(&mut path.arrived[side as usize]) {
                self.set(side, param, term);
            }
            if let Stop::Meeting(block) = stops[side as usize] {
                let first = self.func(side).layout.first_inst(block);
                let first = first.ok_or(Reason::Shape("an empty block"))?;
                path.next[side as usize] = Next::From(Stop::At(first));
                path.moved[side as usize] = true;
            }
        }
        Ok(())
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
            memory: std::mem::take(&mut path.memory),
            assumed: std::mem::take(&mut path.assumed),
            meetings: 0,
        };
        let node = match self.node_for(&stops, &state) {
            None => {
                state.settle(&mut self.terms);
                self.stored_entries += state.size();
                if self.stored_entries > STATE_ENTRIES_PER_INST * (self.instructions() + 64) {
                    return Err(Stopped::Limit(Limit::Facts));
                }
                let origin = self.origin(from);
                let node = self.nodes.len() as u32;
                self.nodes.push(Meeting {
                    stops,
                    state,
                    arrivals: Arrivals::new(origin),
                });
                self.known.entry(stops).or_default().push(node);
                self.enqueue(node);
                node
            }
            Some(node) => {
                let change = self.meet_into(node, state, from);
                if change.changed {
                    self.enqueue(node);
                }
                for other in change.again {
                    self.enqueue(other);
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
    /// Where a slot has escaped on one way only, or its address is at hand on one
    /// way only, and the memories differ in it on the other one, the two ways
    /// stay apart, up to a limit.
    fn node_for(&self, stops: &Stops, state: &State) -> Option<u32> {
        let nodes = self.known.get(stops)?;
        let fits = |node: &&u32| {
            let old = &self.nodes[**node as usize].state;
            !old.would_expose(&self.terms, state) && !state.would_expose(&self.terms, old)
        };
        match nodes.iter().find(fits) {
            Some(node) => Some(*node),
            None if nodes.len() < MAX_STATES => None,
            None => nodes.first().copied(),
        }
    }

    fn enqueue(&mut self, node: u32) {
        let key = self.key(node);
        self.queue.insert(key);
    }

    /// The block in which a side stands.
    fn block_at(&self, side: Side, stops: Stops) -> Option<Block> {
        match stops[side as usize] {
            Stop::Meeting(block) => Some(block),
            Stop::At(inst) => self.func(side).layout.inst_block(inst),
        }
    }

    /// The order in which nodes are visited: along both functions.
    fn key(&self, node: u32) -> (u32, u32, u32) {
        let stops = self.nodes[node as usize].stops;
        let rank = |side: Side| {
            let block = self.block_at(side, stops);
            block.map_or(0, |block| self.bodies[side as usize].rank(block))
        };
        (rank(Side::Original), rank(Side::Result), node)
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
            let edges = std::mem::take(&mut self.waits[side as usize]);
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

/// The original has made each load that the result has made by now.
///
/// That has to be so where a run may end, and where memory may change.
fn no_load_ahead(path: &Path) -> Step<()> {
    if path.memory.ledger.has_load_ahead() {
        return Err(Reason::InventedLoad.into());
    }
    Ok(())
}

/// The original has made each store that the result has made by now, although nobody
/// here sees a difference: the original may not come to it.
fn no_store_ahead(path: &Path) -> Step<()> {
    if path.memory.ledger.has_store_ahead() {
        return Err(Reason::InventedStore.into());
    }
    Ok(())
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
