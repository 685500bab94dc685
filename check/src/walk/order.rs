//! Which side goes on, where both have stopped.

use super::product::{Decision, Path, Step, Stop, Stops, What};
use super::walker::Walk;
use crate::body::Body;
use crate::opcodes::{Kind, kind};
use crate::side::Side;
use crate::verdict::Reason;
use cranelift_codegen::ir::{Block, Inst, Opcode};

/// Joins that one side passes by itself without a point, on all paths from
/// one node together.
const MAX_PASSED: u32 = 24;

impl Walk<'_> {
    pub(super) fn decide(&mut self, path: &Path, stops: Stops) -> Step<Decision> {
        match stops {
            [Stop::Join(x), Stop::Join(y)] => Ok(Decision::Pass(self.pass_joins(path, x, y))),
            [Stop::Join(x), Stop::At(inst)] => {
                if self.goes_before(path, Side::Result, inst, x)? {
                    return Ok(Decision::OneSided(Side::Result));
                }
                Ok(Decision::Pass([true, false]))
            }
            [Stop::At(inst), Stop::Join(y)] => {
                if self.goes_before(path, Side::Original, inst, y)? {
                    return Ok(Decision::OneSided(Side::Original));
                }
                Ok(Decision::Pass([false, true]))
            }
            [Stop::At(x), Stop::At(y)] => self.decide_at(path, x, y),
        }
    }

    /// The side that leaves the join at which it stands; both stand at one.
    pub(super) fn pass_joins(&self, path: &Path, x: Block, y: Block) -> [bool; 2] {
        let [original, result] = self.bodies;
        if x == y {
            return [true, true];
        }
        let known = |body: &Body<'_>, block: Block| {
            body.func.dfg.block_is_valid(block) && body.is_merge(block)
        };
        match (known(result, x), known(original, y)) {
            (false, false) => return self.first_of_two_copies(path, x, y),
            (false, true) => return [true, false],
            (true, false) => return [false, true],
            (true, true) => {}
        }
        // A side that has come around a loop waits for the other one.
        match [Side::Original, Side::Result].map(|side| self.may_go_through(path, side)) {
            [true, false] if !path.forward[1] => return [true, false],
            [false, true] if !path.forward[0] => return [false, true],
            _ => {}
        }
        if original.rank(x) < original.rank(y) {
            [true, false]
        } else {
            [false, true]
        }
    }

    /// As [`Self::pass_joins`], for two blocks each of which is no join of the other
    /// function: if one function has both, the side in front of the earlier one goes first.
    fn first_of_two_copies(&self, path: &Path, x: Block, y: Block) -> [bool; 2] {
        let [original, result] = self.bodies;
        let is_ahead = |body: &Body<'_>, block: Block, other: Block| {
            body.has(block) && body.has(other) && body.rank(block) < body.rank(other)
        };
        if is_ahead(original, x, y) && self.may_go_through(path, Side::Original) {
            [true, false]
        } else if is_ahead(result, y, x) && self.may_go_through(path, Side::Result) {
            [false, true]
        } else {
            [true, true]
        }
    }

    /// Does an access of `side` come before the other side leaves the join at
    /// which it stands? Only an access that nobody sees can.
    ///
    /// It does, unless the other side is about to make it (or what it is a copy
    /// of) in that very block, and this side has no such join in front of it;
    /// or both have the block of the access, and the other side is about to come to
    /// it, past a join that this side does not have.
    pub(super) fn goes_before(
        &mut self,
        path: &Path,
        side: Side,
        inst: Inst,
        join: Block,
    ) -> Step<bool> {
        let (body, other) = (
            self.bodies[side as usize],
            self.bodies[side.other() as usize],
        );
        let is_there = match other.block_of(inst) {
            Some(block) => block == join,
            // What only the result has may be a copy of what is there.
            None => side == Side::Result,
        };
        let has_join = body.func.dfg.block_is_valid(join) && body.is_merge(join);
        let comes_there = has_join
            && body.block_of(inst).is_some_and(|block| {
                let successors = body.destinations(block).iter();
                let mut successors = successors.map(|edge| edge.block(&body.func.dfg.value_lists));
                let is_before = body.rank(block) < body.rank(join);
                // Forward edges from behind the join do not lead to it.
                successors
                    .any(|edge| edge == join || (is_before && body.rank(edge) < body.rank(join)))
            });
        let is_behind = body.block_of(inst).is_some_and(|block| {
            other.block_of(inst) == Some(block) && other.rank(join) < other.rank(block)
        });
        if is_behind && (!has_join || (!comes_there && self.may_go_through(path, side.other()))) {
            return Ok(false);
        }
        if is_there && !comes_there {
            return Ok(false);
        }
        let what = self.look(path, side, inst)?;
        let is_early = comes_there && self.is_early(path, side, inst)?;
        Ok(is_early || matches!(what, What::Access(..) | What::Transfer))
    }

    /// Does the result make a load here that may trap, and that it has from a block of the
    /// original that comes later?
    fn is_early(&mut self, path: &Path, side: Side, inst: Inst) -> Step<bool> {
        let [original, result] = self.bodies.map(|body| body.block_of(inst));
        let is_load = matches!(
            kind(self.func(side).dfg.insts[inst].opcode()),
            Kind::Load(_)
        );
        if side == Side::Original || !is_load || original.is_none() || original == result {
            return Ok(false);
        }
        let (access, _) = self.access(&path.memory, side, inst)?;
        Ok(!path.memory.is_private(&self.terms, &access.place)
            && !self.regions.is_asynchronous(access.place.class))
    }

    pub(super) fn look(&mut self, path: &Path, side: Side, inst: Inst) -> Step<What> {
        let func = self.func(side);
        match kind(func.dfg.insts[inst].opcode()) {
            Kind::Load(_) | Kind::Store(_) => {
                let (access, value) = self.access(&path.memory, side, inst)?;
                let memory = &path.memory;
                let trap = self.unsafe_trap(path, side, inst, &access);
                // The result would have trapped.
                let is_promised =
                    |trap| side == Side::Original && memory.balance.is_promised(access.place, trap);
                let safe = trap.is_none_or(|trap| value.is_none() && is_promised(trap));
                let private = memory.is_private(&self.terms, &access.place);
                if safe && (private || !self.regions.is_asynchronous(access.place.class)) {
                    Ok(What::Access(access, value))
                } else {
                    Ok(What::Event)
                }
            }
            Kind::Branch | Kind::Switch => Ok(What::Branch),
            Kind::Call if self.is_removed_transfer(side, inst)? => Ok(What::Transfer),
            _ => Ok(What::Event),
        }
    }

    pub(super) fn decide_at(&mut self, path: &Path, x: Inst, y: Inst) -> Step<Decision> {
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
                    (None, None) if same && !self.is_another(x, y) => Ok(Decision::Both),
                    _ if x == y => Ok(Decision::Both),
                    _ => Ok(Decision::OneSided(self.first_of(x, y))),
                }
            }
            (What::Access(..) | What::Transfer, _) => Ok(Decision::OneSided(Side::Original)),
            (_, What::Access(..)) => Ok(Decision::OneSided(Side::Result)),
            (What::Branch, What::Branch) => self.decide_branches(x, y),
            (What::Branch, What::Event | What::Transfer) => Ok(Decision::Fork(Side::Original)),
            (What::Event, What::Branch) => Ok(Decision::Fork(Side::Result)),
            (What::Event, What::Event | What::Transfer) => Ok(Decision::Match),
        }
    }

    /// Does the branch at which `side` stands decide the conditional trap at which the other side
    /// stands? Then both go on from each edge together.
    pub(super) fn decides_trap(&mut self, stops: Stops, side: Side) -> bool {
        let (Stop::At(branch), Stop::At(trap)) =
            (stops[side as usize], stops[side.other() as usize])
        else {
            return false;
        };
        let opcode = |side: Side, inst: Inst| self.func(side).dfg.insts[inst].opcode();
        if opcode(side, branch) != Opcode::Brif
            || kind(opcode(side.other(), trap)) != Kind::ConditionalTrap
        {
            return false;
        }
        let (branched, trapped) = (self.args(side, branch)[0], self.args(side.other(), trap)[0]);
        self.terms.condition(branched).0 == self.terms.condition(trapped).0
    }

    /// Is the access `y` of the result rather one that the original comes to
    /// later, and `x` one that the result does not have?
    pub(super) fn is_another(&self, x: Inst, y: Inst) -> bool {
        let gone = self.bodies[Side::Result as usize].block_of(x).is_none();
        x != y && gone && self.is_ahead(Side::Original, y, x)
    }

    /// Which of two accesses comes first: one that the other side does not
    /// have, or the one that the other side has left behind.
    pub(super) fn first_of(&self, x: Inst, y: Inst) -> Side {
        if !self.is_ahead(Side::Result, x, y) {
            return Side::Original;
        }
        if self.is_ahead(Side::Original, y, x) {
            return Side::Original;
        }
        Side::Result
    }

    /// Does `side`, which stands at `at`, come to `inst` in the same block?
    pub(super) fn is_ahead(&self, side: Side, inst: Inst, at: Inst) -> bool {
        let body = self.bodies[side as usize];
        let here = body.block_of(at);
        here.is_some() && body.block_of(inst) == here && body.func.layout.pp_cmp(at, inst).is_lt()
    }

    pub(super) fn decide_branches(&mut self, x: Inst, y: Inst) -> Step<Decision> {
        let mine = self.args(Side::Original, x)[0];
        let theirs = self.args(Side::Result, y)[0];
        let opcode = |side: Side, inst: Inst| self.func(side).dfg.insts[inst].opcode();
        let same_kind = opcode(Side::Original, x) == opcode(Side::Result, y)
            && self.successors(Side::Original, x) == self.successors(Side::Result, y);
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

    /// May a side leave a join without a node?
    pub(super) fn may_go_through(&self, path: &Path, side: Side) -> bool {
        let side = side as usize;
        path.forward[side] && !path.forked[side] && self.passed < MAX_PASSED
    }
}
