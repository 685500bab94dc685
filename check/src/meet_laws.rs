//! The laws of the lattice, on states that are drawn at random.
//!
//! To say that a state is below another one is to say that meeting it into that one
//! changes nothing. Leaves are names, so two states are the same if each is below the
//! other.

use crate::fact::{Extent, Fact, Passed};
use crate::memory::Memory;
use crate::place::Place;
use crate::side::Side;
use crate::slot_set::SlotSet;
use crate::state::State;
use crate::terms::{Term, Terms};
use cranelift_codegen::ir::{Endianness, InstructionData, Opcode, StackSlot, Type, Value, types};
use fastrand::Rng;
use smallvec::SmallVec;

/// States of each law.
const CASES: u64 = 3000;
/// Live values of each function, besides the leaves.
const VALUES: u32 = 3;
/// Leaves of a state.
const LEAVES: u32 = 3;
/// Slots of the function.
const SLOTS: u32 = 2;

/// What states of one case are made of.
struct Draw {
    rng: Rng,
    terms: Terms,
    leaves: Vec<Term>,
    byte: Term,
    float: Term,
}

fn leaf(terms: &mut Terms, ty: Type) -> Term {
    terms.leaf(ty, SlotSet::default(), None)
}

impl Draw {
    fn new(seed: u64) -> Self {
        let mut terms = Terms::new(vec![32; SLOTS as usize]);
        let [byte, float] = [types::I8, types::F64].map(|ty| leaf(&mut terms, ty));
        let mut this = Self {
            rng: Rng::with_seed(seed),
            terms,
            leaves: Vec::new(),
            byte,
            float,
        };
        this.name_leaves();
        this
    }

    /// Other leaves than before.
    fn name_leaves(&mut self) {
        let terms = &mut self.terms;
        self.leaves = (0..LEAVES).map(|_| leaf(terms, types::I64)).collect();
        [self.byte, self.float] = [types::I8, types::F64].map(|ty| leaf(terms, ty));
    }

    fn slot(&mut self) -> StackSlot {
        StackSlot::from_u32(self.rng.u32(..SLOTS))
    }

    fn leaf(&mut self) -> Term {
        self.leaves[self.rng.usize(..self.leaves.len())]
    }

    fn term(&mut self, depth: u8) -> Term {
        let deeper = depth.checked_sub(1);
        match (self.rng.u8(..10), deeper) {
            (0 | 1, _) => {
                let bits = self.rng.u64(..3);
                self.terms.number(types::I64, bits)
            }
            (2, _) => {
                let slot = self.slot();
                self.terms.slot(slot, types::I64)
            }
            (3, Some(depth)) => {
                let (base, by) = (self.term(depth), self.rng.i64(1..3));
                self.terms.plus(base, 8 * by)
            }
            (4, Some(depth)) => {
                let args = SmallVec::from_slice(&[self.term(depth), self.term(depth)]);
                let nobody = [Value::from_u32(0); 2];
                let (opcode, args_left_out) = (Opcode::Umulhi, nobody);
                let skeleton = InstructionData::Binary {
                    opcode,
                    args: args_left_out,
                };
                self.terms.op(skeleton, 0, types::I64, args)
            }
            (5, Some(depth)) => {
                let (whole, part) = (self.term(depth), self.byte(depth));
                let low = 8 * self.rng.u32(0..3);
                self.terms.insert(whole, part, low)
            }
            (6, _) => {
                let float = self.float(depth);
                self.terms.cast(float, types::I64)
            }
            _ => self.leaf(),
        }
    }

    fn byte(&mut self, depth: u8) -> Term {
        let deeper = depth.checked_sub(1);
        match (self.rng.u8(..4), deeper) {
            (0, _) => {
                let bits = self.rng.u64(..3);
                self.terms.number(types::I8, bits)
            }
            (1, Some(depth)) => {
                let whole = self.term(depth);
                let low = 8 * self.rng.u32(0..3);
                self.terms.bits(whole, low, types::I8)
            }
            _ => self.byte,
        }
    }

    fn float(&mut self, depth: u8) -> Term {
        match (self.rng.bool(), depth.checked_sub(1)) {
            (true, Some(depth)) => {
                let bits = self.term(depth);
                self.terms.cast(bits, types::F64)
            }
            _ => self.float,
        }
    }

    fn place(&mut self) -> Place {
        let root = match self.rng.u8(..3) {
            0 => {
                let slot = self.slot();
                self.terms.slot(slot, types::I64)
            }
            _ => self.leaf(),
        };
        Place {
            root: Some(root),
            range: Some((8 * self.rng.i64(0..3), 8)),
            class: [None, Some(1), Some(2)][self.rng.usize(..3)],
        }
    }

    fn fact(&mut self) -> Fact {
        let passed = [Passed::Nothing, Passed::Load, Passed::Store];
        Fact {
            place: self.place(),
            value: match self.rng.u8(..4) {
                0 => self.float(1),
                _ => self.term(1),
            },
            extent: Extent::Whole,
            order: Endianness::Little,
            sides: self.rng.u8(1..4),
            readonly: self.rng.bool(),
            outlived: false,
            aligned: self.rng.bool(),
            stored: self.rng.bool(),
            passed: passed[self.rng.usize(..3)],
            except: SmallVec::new(),
        }
    }

    /// A state in which a few values are live, the same in all states of a case. Each
    /// leaf is one of them: of what has no name nothing is kept.
    fn state(&mut self) -> State {
        self.name_leaves();
        let live = |terms: Vec<Term>| -> Vec<(Value, Term)> {
            let values = (0..).map(Value::from_u32);
            values.zip(terms).collect()
        };
        let values = Side::BOTH.map(|_| {
            let mut drawn = self.leaves.clone();
            drawn.extend((0..VALUES).map(|_| self.term(2)));
            drawn.extend([self.byte(2), self.byte, self.float(2), self.float]);
            live(drawn)
        });
        let mut memory = Memory::default();
        if self.rng.bool() {
            let slot = self.slot();
            memory.escape(SlotSet::of(slot));
        }
        for _ in 0..self.rng.u8(..4) {
            // Of bytes that have one value.
            let fact = self.fact();
            let bytes = |fact: &Fact| (fact.place.root, fact.place.range);
            if memory.facts.iter().all(|old| bytes(old) != bytes(&fact)) {
                memory.facts.push(fact);
            }
        }
        for _ in 0..self.rng.u8(..3) {
            let place = self.place();
            memory.open(&mut self.terms, place);
        }
        memory.forget_order();
        let assumed = (0..self.rng.u8(..2)).map(|_| (self.term(1), true));
        let assumed = assumed.collect();
        let mut state = State {
            values,
            memory,
            assumed,
            meets: 0,
        };
        state.settle(&mut self.terms);
        state
    }

    fn meet(&mut self, mine: &State, theirs: &State) -> State {
        let mut met = mine.clone();
        met.meet(&mut self.terms, theirs);
        met
    }

    fn is_below(&mut self, lower: &State, upper: &State) -> bool {
        !upper.clone().meet(&mut self.terms, lower)
    }
}

fn for_all(law: impl Fn(&mut Draw) -> bool) {
    let broken = |seed: &u64| !law(&mut Draw::new(*seed));
    let broken: Vec<u64> = (0..CASES).filter(broken).collect();
    assert!(
        broken.is_empty(),
        "{} broken: {:?}",
        broken.len(),
        &broken[..broken.len().min(5)]
    );
}

#[test]
fn a_state_is_below_itself() {
    for_all(|draw| {
        let state = draw.state();
        draw.is_below(&state, &state)
    });
}

#[test]
fn what_is_met_is_above_both() {
    for_all(|draw| {
        let (a, b) = (draw.state(), draw.state());
        let met = draw.meet(&a, &b);
        draw.is_below(&a, &met) && draw.is_below(&b, &met)
    });
}

/// The terms of `lower` that a term of `upper` stands for, by the live values that it is.
fn stands_for(upper: &State, lower: &State, term: Term) -> Vec<Term> {
    let both = upper.values.iter().flatten();
    let both = both.zip(lower.values.iter().flatten());
    let named = both.filter(|((_, name), _)| *name == term);
    named.map(|(_, (_, mine))| *mine).collect()
}

/// Does `upper` say nothing that `lower` does not say? Without the help of `meet`, and so
/// only of what has the name of a live value.
fn says_no_more(terms: &mut Terms, upper: &State, lower: &State) -> bool {
    let one = |names: &[Term]| names.iter().all(|name| *name == names[0]);
    let equalities = upper.values.iter().flatten();
    let equalities = { equalities }.all(|(_, term)| one(&stands_for(upper, lower, *term)));
    let name = |terms: &Terms, term: Term| match terms.is_closed(term) {
        true => Some(term),
        false => stands_for(upper, lower, term).first().copied(),
    };
    let facts = upper.memory.facts.iter().all(|fact| {
        let root = fact.place.root.and_then(|root| name(terms, root));
        let (Some(root), Some(value)) = (root, name(terms, fact.value)) else {
            return true;
        };
        let (base, by) = terms.base(root);
        let range = fact.place.range.map(|(start, bytes)| (start + by, bytes));
        lower.memory.facts.iter().any(|known| {
            // It may be said of the same bytes as another type.
            known.place.root == Some(base)
                && known.place.range == range
                && terms.cast(known.value, terms.ty(value)) == value
                && fact.sides & !known.sides == 0
                && fact.passed <= known.passed
                && (known.aligned || !fact.aligned)
        })
    });
    equalities
        && facts
        && lower.memory.escaped.is_in(upper.memory.escaped)
        && upper.memory.not_leaked.is_in(lower.memory.not_leaked)
        && (lower.memory.are_equal() || !upper.memory.are_equal())
}

#[test]
fn what_is_met_says_no_more_than_either() {
    for_all(|draw| {
        let (a, b) = (draw.state(), draw.state());
        let met = draw.meet(&a, &b);
        says_no_more(&mut draw.terms, &met, &a) && says_no_more(&mut draw.terms, &met, &b)
    });
}

#[test]
fn the_order_of_a_meet_does_not_matter() {
    for_all(|draw| {
        let (a, b) = (draw.state(), draw.state());
        let (x, y) = (draw.meet(&a, &b), draw.meet(&b, &a));
        draw.is_below(&x, &y) && draw.is_below(&y, &x)
    });
}

#[test]
fn meets_come_to_an_end() {
    for_all(|draw| {
        let mut state = draw.state();
        let others: Vec<State> = (0..4).map(|_| draw.state()).collect();
        let mut changes = 0;
        while others
            .iter()
            .any(|other| state.meet(&mut draw.terms, other))
        {
            changes += 1;
            if changes > 64 {
                return false;
            }
        }
        true
    });
}

/// A state in which these are the live values of the original.
fn of_values(values: &[Term]) -> State {
    let named = (0..).map(Value::from_u32).zip(values.iter().copied());
    State {
        values: [named.collect(), Vec::new()],
        memory: Memory::default(),
        assumed: Vec::new(),
        meets: 0,
    }
}

fn value(state: &State, at: usize) -> Term {
    state.values[0][at].1
}

/// `v0` is the bits of `v1`, on both paths.
#[test]
fn a_value_that_two_paths_know_as_other_types_stays_one() {
    for_all(|draw| {
        let bits = draw.term(2);
        let (float, cast) = (draw.float, draw.terms.cast(bits, types::F64));
        let floats = [float, cast].map(|float| (draw.terms.cast(float, types::I64), float));
        let mut states = floats.map(|(bits, float)| of_values(&[bits, float]));
        let turned = floats.map(|(bits, float)| of_values(&[float, bits]));
        let first = draw.rng.usize(0..2);
        let second = 1 - first;
        let mut one = |states: &mut [State; 2]| {
            let other = states[second].clone();
            states[first].meet(&mut draw.terms, &other);
            [0, 1].map(|at| draw.terms.cast(value(&states[first], at), types::I64))
        };
        let [x, y] = one(&mut states);
        let [z, w] = one(&mut turned.clone());
        x == y && z == w
    });
}

/// `v0` is an integer with `v1`, a byte, in the place of one of its bytes, whichever of them is met first.
#[test]
fn a_part_of_what_has_met_is_what_the_part_has_become() {
    for_all(|draw| {
        let low = 8 * draw.rng.u32(0..3);
        let zero = draw.terms.number(types::I64, 0);
        let mut put = || {
            let wide = draw.byte(2);
            let part = draw.byte(2);
            let wide = draw.terms.insert(zero, wide, 24);
            (draw.terms.insert(wide, part, low), part)
        };
        let both = [put(), put()];
        if both
            .iter()
            .all(|(whole, _)| draw.terms.constant(*whole).is_some())
        {
            // Two constants become a leaf: most are numbers.
            return true;
        }
        for is_first in [true, false] {
            let mut states = both.map(|(whole, part)| match is_first {
                true => of_values(&[whole, part]),
                false => of_values(&[part, whole]),
            });
            let other = states[1].clone();
            states[0].meet(&mut draw.terms, &other);
            let (whole, part) = match is_first {
                true => (value(&states[0], 0), value(&states[0], 1)),
                false => (value(&states[0], 1), value(&states[0], 0)),
            };
            if draw.terms.bits(whole, low, types::I8) != part {
                return false;
            }
        }
        true
    });
}
