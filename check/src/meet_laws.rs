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
use cranelift_codegen::ir::{Endianness, InstructionData, Opcode, StackSlot, Value, types};
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
}

impl Draw {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            terms: Terms::new(vec![32; SLOTS as usize]),
            leaves: Vec::new(),
        }
    }

    fn slot(&mut self) -> StackSlot {
        StackSlot::from_u32(self.rng.u32(..SLOTS))
    }

    fn leaf(&mut self) -> Term {
        self.leaves[self.rng.usize(..self.leaves.len())]
    }

    fn term(&mut self, depth: u8) -> Term {
        let deeper = depth.checked_sub(1);
        match (self.rng.u8(..8), deeper) {
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
            _ => self.leaf(),
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
            value: self.term(1),
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
        let terms = &mut self.terms;
        let leaves = (0..LEAVES).map(|_| terms.leaf(types::I64, SlotSet::default(), None));
        self.leaves = leaves.collect();
        let live = |terms: Vec<Term>| -> Vec<(Value, Term)> {
            let values = (0..).map(Value::from_u32);
            values.zip(terms).collect()
        };
        let values = Side::BOTH.map(|_| {
            let drawn = (0..VALUES).map(|_| self.term(2)).collect::<Vec<_>>();
            live([self.leaves.clone(), drawn].concat())
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
fn says_no_more(terms: &Terms, upper: &State, lower: &State) -> bool {
    let one = |names: &[Term]| names.iter().all(|name| *name == names[0]);
    let equalities = upper.values.iter().flatten();
    let equalities = { equalities }.all(|(_, term)| one(&stands_for(upper, lower, *term)));
    let name = |term: Term| match terms.is_closed(term) {
        true => Some(term),
        false => stands_for(upper, lower, term).first().copied(),
    };
    let facts = upper.memory.facts.iter().all(|fact| {
        let root = fact.place.root.and_then(name);
        let (Some(root), Some(value)) = (root, name(fact.value)) else {
            return true;
        };
        lower.memory.facts.iter().any(|known| {
            known.place.root == Some(root)
                && known.place.range == fact.place.range
                && known.value == value
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
        says_no_more(&draw.terms, &met, &a) && says_no_more(&draw.terms, &met, &b)
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
