//! Statements that have statements.

use super::{Around, Body, MAX_DEPTH, Shape};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockCall, InstBuilder, JumpTableData, types};

/// What a statement may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Assign,
    If,
    Loop,
    Switch,
    Leave,
    Record,
    Choose,
    Array,
    Union,
    Copy,
    Escape,
    Deref,
    Call,
    Reference,
    Outside,
    Temporary,
    Select,
    Point,
}

impl Shape {
    /// The kinds of statements, those that are frequent more than once.
    fn kinds(self) -> &'static [Kind] {
        use Kind::*;
        match self {
            Self::Straight => &[Assign, Assign, Assign, Outside],
            Self::Ifs => &[Assign, If, Outside],
            Self::Loop => &[Assign, Assign, Loop],
            Self::LoopIfs => &[Assign, Assign, If, Loop],
            Self::Nests => &[Assign, Loop, Loop],
            Self::Records => &[Record, Record, Assign, If, Outside],
            Self::Switches => &[Switch, Assign, Loop, Outside],
            Self::BreakContinue => &[Loop, Assign, If, Leave],
            Self::Escapes => &[Escape, Deref, Call, Assign, If, Loop],
            Self::Arrays => &[Array, Array, Assign, Loop, If],
            Self::Unions => &[Union, Union, Record, If, Assign],
            Self::Copies => &[Copy, Record, Array, Assign, If],
            Self::References => &[Reference, Reference, Call, Assign, Loop, If],
            Self::Choices => &[Choose, Choose, Record, Assign, If, Loop],
            Self::Temporaries => &[Temporary, Temporary, Select, Assign, If, Loop],
            Self::Pointed => &[Point, Point, Point, Assign, Record, Escape, If, Loop],
            Self::Mixed => &[
                Assign, Assign, If, Loop, Switch, Leave, Record, Array, Union, Copy, Escape, Deref,
                Call, Reference, Outside,
            ],
        }
    }
}

impl Body<'_> {
    pub(super) fn statement(&mut self) {
        let kinds = self.shape.kinds();
        let kind = kinds[self.rng.usize(..kinds.len())];
        let is_deep = self.depth >= MAX_DEPTH;
        match kind {
            Kind::If | Kind::Loop | Kind::Switch if is_deep => self.assign(),
            Kind::If => self.branch(),
            Kind::Loop => self.loops(),
            Kind::Switch => self.switch(),
            Kind::Leave if self.around.is_empty() => self.assign(),
            Kind::Leave => self.leave_loop(),
            Kind::Record => self.record(),
            Kind::Choose => self.choose(),
            Kind::Array => self.array(),
            Kind::Union => self.union(),
            Kind::Copy => self.copy(),
            Kind::Escape => self.escape(),
            Kind::Deref => self.dereference(),
            Kind::Call => self.plain_call(),
            Kind::Reference => self.reference(),
            Kind::Outside => self.store_behind_parameter(),
            Kind::Temporary => self.temporary(),
            Kind::Select => match (self.some_block(), self.some_block()) {
                (Some(first), Some(second)) => self.select_one([first, second]),
                _ => self.assign(),
            },
            Kind::Point => self.point(),
            Kind::Assign => self.assign(),
        }
    }

    /// A few statements, with locals of their own that end with them.
    fn scope(&mut self) {
        let in_scope = self.locals.len();
        self.depth += 1;
        if self.rng.u8(..3) == 0 && self.func.sized_stack_slots.len() < 40 {
            let ty = self.scalar_type();
            let value = self.value_of(ty);
            self.declare_local(ty, value);
        }
        for _ in 0..self.rng.usize(1..4) {
            self.statement();
        }
        self.depth -= 1;
        self.locals.truncate(in_scope);
    }

    fn branch(&mut self) {
        let condition = self.condition();
        let (then, end) = (self.new_block(), self.new_block());
        let otherwise = match self.rng.bool() {
            true => self.new_block(),
            false => end,
        };
        self.ins().ins().brif(condition, then, &[], otherwise, &[]);
        self.go_to(then);
        self.scope();
        self.ins().ins().jump(end, &[]);
        if otherwise != end {
            self.go_to(otherwise);
            self.scope();
            self.ins().ins().jump(end, &[]);
        }
        self.go_to(end);
    }

    /// A loop that counts to a small number, and tests before or behind its body.
    fn loops(&mut self) {
        let in_scope = self.locals.len();
        let zero = self.number(0);
        self.declare_local(types::I64, zero);
        let counter = self.locals[in_scope];
        // The counter is nobody else's, so that the loop ends.
        self.locals.truncate(in_scope);
        let (head, body) = (self.new_block(), self.new_block());
        let (next, end) = (self.new_block(), self.new_block());
        let tests_first = self.rng.u8(..3) != 0;
        let first = if tests_first { head } else { body };
        self.ins().ins().jump(first, &[]);
        self.go_to(head);
        let count = self.read(counter);
        let limit = match self.rng.bool() {
            true => self.small(),
            false => {
                let limit = self.rng.i64(1..5);
                self.number(limit)
            }
        };
        let goes_on = self.ins().ins().icmp(IntCC::UnsignedLessThan, count, limit);
        self.ins().ins().brif(goes_on, body, &[], end, &[]);
        self.go_to(body);
        self.around.push(Around { next, end });
        self.scope();
        self.around.pop();
        self.ins().ins().jump(next, &[]);
        self.go_to(next);
        let count = self.read(counter);
        let one = self.number(1);
        let count = self.ins().ins().iadd(count, one);
        self.store(count, counter.slot, 0);
        self.ins().ins().jump(head, &[]);
        self.go_to(end);
    }

    /// `break` or `continue`, on a condition.
    fn leave_loop(&mut self) {
        let Some(around) = self.around.last().copied() else {
            return;
        };
        let condition = self.condition();
        let to = match self.rng.bool() {
            true => around.next,
            false => around.end,
        };
        let on = self.new_block();
        let leaves = self.new_block();
        self.ins().ins().brif(condition, leaves, &[], on, &[]);
        self.go_to(leaves);
        self.assign();
        self.ins().ins().jump(to, &[]);
        self.go_to(on);
    }

    /// A switch with cases that end, or fall through to the next.
    fn switch(&mut self) {
        let index = self.word();
        let three = self.number(3);
        let index = self.ins().ins().band(index, three);
        let index = self.ins().ins().ireduce(types::I32, index);
        let count = self.rng.usize(2..5);
        let cases: Vec<_> = (0..count).map(|_| self.new_block()).collect();
        let end = self.new_block();
        let calls: Vec<BlockCall> = cases
            .iter()
            .map(|case| self.func.dfg.block_call(*case, &[]))
            .collect();
        // Two calls must not share one list of arguments.
        let default = match self.rng.bool() {
            true => end,
            false => cases[0],
        };
        let default = self.func.dfg.block_call(default, &[]);
        let table = self
            .func
            .create_jump_table(JumpTableData::new(default, &calls));
        self.ins().ins().br_table(index, table);
        for (at, case) in cases.iter().enumerate() {
            self.go_to(*case);
            self.scope();
            let falls = self.rng.u8(..3) == 0;
            let to = match cases.get(at + 1) {
                Some(next) if falls => *next,
                _ => end,
            };
            self.ins().ins().jump(to, &[]);
        }
        self.go_to(end);
    }
}
