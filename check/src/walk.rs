//! The walk over the product of both functions.
//!
//! Original and result are executed side by side over terms. Each side goes on by itself
//! over what nobody can observe, up to a *stop*: an access to memory, anything that can be
//! observed, a branch that is not decided, or a *join*, the beginning of a block with
//! several predecessors. At two stops it is decided which side steps; what both do must be
//! the same wherever somebody sees it.
//!
//! Where either side stands at a join, the two stops are a *product program point* (node)
//! with a [`State`](crate::state::State), and the walk goes on from there once for each time
//! that the state changes. Between points the walk is a tree, because every cycle of either
//! function has a join in it.
//!
//! Which side steps first is a heuristic, in which the numbers of instructions and
//! blocks serve as hints: they survive in the result. It decides what can be
//! proven, and never whether the proof is right.

mod choices;
mod compared;
mod events;
mod incoming;
pub(crate) mod lending;
mod one_sided;
mod order;
mod points;
mod product;
mod transfers;
mod unwritten;
mod waits;
mod walker;

pub use walker::Walk;

use crate::memory::Memory;
use crate::side::Side;
use crate::slot_set::SlotSet;
use crate::verdict::{Limit, Reason, Refusal, Spot, Verdict};
use cranelift_codegen::ir::Inst;
use product::{Decision, Next, Path, ProductPoint, Step, Stop, Stopped, Stops};

/// Visits of nodes, for each block of either function.
///
/// A node is visited again when its state changes, a few times for each loop
/// around it.
const VISITS_PER_BLOCK: usize = 24;

/// Terms, for each instruction.
const TERMS_PER_INST: usize = 512;

impl Walk<'_> {
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
                Stop::Join(block) => (block, None),
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
            memory.not_leaked = named;
        }
        self.know_unwritten_slots(&mut memory, named);
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
                chosen: Vec::new(),
                starts: false,
                moved: [false; 2],
                join_args: [Vec::new(), Vec::new()],
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
        let ProductPoint { stops, state, .. } = &self.nodes[node as usize];
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
            chosen: Vec::new(),
            starts: true,
            moved: [false; 2],
            join_args: [Vec::new(), Vec::new()],
            forward: [false; 2],
            forked: [false; 2],
        };
        self.follow(path, Some(node))
    }

    /// Walks the tree of paths that begins with `path`, up to nodes.
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
        self.take_edges(path)?;
        loop {
            let mut stops = [Stop::At(Inst::from_u32(0)); 2];
            for side in Side::BOTH {
                let stop = match path.next[side as usize] {
                    Next::From(stop) => self.advance(side, stop, path)?,
                    Next::Edge(..) => return Err(Reason::Shape("a branch").into()),
                };
                stops[side as usize] = stop;
                path.next[side as usize] = Next::From(stop);
                // Before the result has gone past a select of its own by the same condition.
                if side == Side::Original
                    && let Some(condition) = self.asked_choice(path, stop)
                {
                    for holds in [true, false] {
                        let mut fork = path.clone();
                        fork.chosen.push((condition, holds));
                        paths.push(fork);
                    }
                    return Ok(());
                }
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
                Decision::OneSided(side) => {
                    let Stop::At(inst) = stops[side as usize] else {
                        return Ok(());
                    };
                    self.one_sided_access(path, side, inst)?;
                    self.step(path, side, inst)?;
                }
                Decision::Both => {
                    for side in Side::BOTH {
                        if let Stop::At(inst) = stops[side as usize] {
                            self.one_sided_access(path, side, inst)?;
                            self.step(path, side, inst)?;
                        }
                    }
                }
                Decision::StoreBoth => {
                    let [Stop::At(x), Stop::At(y)] = stops else {
                        return Ok(());
                    };
                    let (access, value) = self.access(&path.memory, Side::Original, x)?;
                    if !path.memory.is_private(&self.terms, &access.place) {
                        events::no_trap_ahead(path)?;
                    }
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
                    let successors = self.successors(side, inst);
                    let is_alone = !self.decides_trap(stops, side);
                    for edge in (0..successors).rev() {
                        let mut fork = path.clone();
                        fork.forked[side as usize] |= is_alone;
                        fork.next[side as usize] = Next::Edge(inst, edge);
                        self.assume(&mut fork, side, inst, edge);
                        paths.push(fork);
                    }
                    return Ok(());
                }
                Decision::Branch { turned } => {
                    let [Stop::At(x), Stop::At(y)] = stops else {
                        return Ok(());
                    };
                    for edge in (0..self.successors(Side::Original, x)).rev() {
                        let mut fork = path.clone();
                        let theirs = if turned { 1 - edge } else { edge };
                        fork.next = [Next::Edge(x, edge), Next::Edge(y, theirs)];
                        self.assume(&mut fork, Side::Original, x, edge);
                        paths.push(fork);
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Does the side that leaves a join go on without a product point there?
    ///
    /// If the other side has a copy of the block for each predecessor, the paths stay
    /// apart, each with its copy. All edges on them lead forward, so that the walk ends, and
    /// each path sets the values of the block before it uses them.
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

    /// Leaves the joins at which these sides stand.
    fn pass(&mut self, path: &mut Path, stops: Stops, sides: [bool; 2]) -> Step<()> {
        for side in Side::BOTH.into_iter().filter(|side| sides[*side as usize]) {
            for (param, term) in std::mem::take(&mut path.join_args[side as usize]) {
                self.set(side, param, term);
            }
            if let Stop::Join(block) = stops[side as usize] {
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
}
