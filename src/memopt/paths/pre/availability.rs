//! On which edges into a join an access is known, and on which it is needed.

use super::Pass;
use crate::ir::{Block, Function, Inst, Opcode, Value, ValueDef};
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Node, defining_node};
use crate::memopt::edit::Moved;
use crate::memopt::inst::bits::number;
use crate::memopt::memory::clobber::{AtEdge, Source};
use crate::memopt::memory::insts::{Access, EventIndex};
use crate::memopt::memory::mod_ref::may_meet;
use crate::memopt::paths::computed::{Computed, Part, computed};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// The accesses at the start of a block, in front of the one that is looked at.
#[derive(Default)]
pub(super) struct Leading {
    /// Those that stay where they are.
    pub(super) stay: SmallVec<[EventIndex; 8]>,
    /// What is computed of their addresses, see
    /// [`Upward::computed`](crate::memopt::edit::Upward::computed).
    pub(super) computed: SmallVec<[Inst; 4]>,
    /// Those that move, all to the same edges, and in their order.
    pub(super) moved: Vec<Moved>,
    /// The events that these are.
    pub(super) events: Vec<EventIndex>,
    /// See [`Upward::steps`](crate::memopt::edit::Upward::steps).
    pub(super) steps: Vec<usize>,
}

impl Leading {
    /// The loaded values that become parameters, each with what it is at the ends of the
    /// predecessors where it is known.
    fn loaded<'a>(
        &'a self,
        func: &'a Function,
    ) -> impl Iterator<Item = (Value, &'a [(Block, Value)])> {
        self.moved.iter().filter_map(|moved| match moved {
            Moved::Load(load, known) => Some((func.dfg.first_result(*load), &known[..])),
            Moved::Store(_) => None,
        })
    }
}

/// On which edges into its join an access is known, and on which it is needed.
pub(super) struct Availability {
    pub(super) known: SmallVec<[Known; 4]>,
    pub(super) needed: SmallVec<[Node; 4]>,
    /// What the block computes of the address, and an edge that needs the access has to.
    pub(super) computed: Computed,
}

/// An edge on which an access is known.
pub(super) struct Known {
    pub(super) pred: Node,
    /// The value there, for a load; anything for a store.
    pub(super) value: Value,
    /// Is it in the frame there, for no register survives?
    pub(super) spilled: bool,
}

impl Pass<'_, '_, '_> {
    /// On which edges the access is known and needed; `None` if it cannot move.
    ///
    /// What moves is in front of it only on the edges that need it. On the others it is what
    /// memory holds there that counts: a store that moves has changed nothing there.
    pub(super) fn availability(
        &mut self,
        event: EventIndex,
        access: &Access,
        join: Node,
        leading: &Leading,
    ) -> Option<Availability> {
        let wanted = match access.stored {
            None => self.options.forward_loads,
            Some(_) => self.options.noop_stores,
        };
        if !wanted || access.asynchronous {
            return None;
        }
        let memory = self.values.memory;
        let inst = memory.inst(event);
        // A debugger may know it by its place.
        if !memory.func.debug_tags.get(inst).is_empty() {
            return None;
        }
        let edges = self.clobbers.at_edges_of_start(event);
        let edges = edges.filter(|(node, _)| *node == join);
        let mut computed = Computed::new();
        let mut operands = memory.func.dfg.inst_args(inst).iter();
        if !operands.all(|value| self.is_there(*value, join, leading)) {
            edges.as_ref()?;
            computed = self.computed(inst, join)?;
        }
        let private = self.clobbers.slot_is_private(event);
        let mut stay = leading.stay.iter();
        if stay.any(|other| may_meet(memory, *other, event, private)) {
            return None;
        }
        let mut sorted = Availability {
            known: SmallVec::new(),
            needed: SmallVec::new(),
            computed,
        };
        if let Some((_, edges)) = edges {
            return self.translated(inst, &edges, sorted);
        }
        let sources = self.sources(event, join)?;
        for (pred, source) in sources {
            let known = self.known(access, inst, (join, leading), pred, source);
            let known = known.or_else(|| self.held_since(event, (join, leading), pred, source));
            match known {
                Some(value) => sorted.known.push(Known {
                    pred,
                    value,
                    spilled: access.stored.is_none() && self.is_spilled(value, source, pred),
                }),
                None => sorted.needed.push(pred),
            }
        }
        Some(sorted)
    }

    /// The same where what moves in front of the access moves to the edges from `moved_to`: what
    /// memory holds at the ends of those is not what the access finds, if a store among it may be to
    /// the same bytes.
    pub(super) fn behind_moved(
        &mut self,
        event: EventIndex,
        mut availability: Availability,
        moved_to: &[Node],
        leading: &Leading,
    ) -> Availability {
        let memory = self.values.memory;
        let private = self.clobbers.slot_is_private(event);
        let is_store = |it: EventIndex| memory.access(it).is_some_and(|it| it.stored.is_some());
        let mut stores = leading.events.iter().filter(|it| is_store(**it));
        if stores.any(|store| may_meet(memory, *store, event, private)) {
            let is_behind = |known: &Known| moved_to.contains(&known.pred);
            let known = availability.known.iter().filter(|it| is_behind(it));
            availability.needed.extend(known.map(|it| it.pred));
            availability.known.retain(|it| !is_behind(it));
        }
        availability
    }

    /// The same for a load by a pointer that is another one on each edge, if there is one edge from
    /// each predecessor. One that may be a slot's stays: that slot is in memory in any case.
    fn translated(
        &self,
        load: Inst,
        edges: &[AtEdge],
        mut sorted: Availability,
    ) -> Option<Availability> {
        let ty = self.values.type_of(self.func().dfg.first_result(load));
        let mut froms = edges.windows(2);
        let mut all = edges.iter();
        if froms.any(|both| both[0].from == both[1].from)
            || all.any(|edge| edge.access.slot().is_some())
        {
            return None;
        }
        for edge in edges {
            let (pred, access) = (edge.from, &edge.access);
            let value = edge.source.and_then(|source| {
                let key = self.values.key(source, access, access.opcode, ty);
                let value = self.values.value_at_end(pred, source, access, key)?;
                Some((value, self.is_spilled(value, source, pred)))
            });
            match value {
                Some((value, spilled)) => sorted.known.push(Known {
                    pred,
                    value,
                    spilled,
                }),
                None => sorted.needed.push(pred),
            }
        }
        Some(sorted)
    }

    /// What the block `join` computes of the address of `load` from its parameters and from what is
    /// there before it.
    fn computed(&self, load: Inst, join: Node) -> Option<Computed> {
        let (func, none) = (self.func(), Leading::default());
        computed(func, load, |value| {
            if self.is_there(value, join, &none) {
                Part::There
            } else if defining_node(func, self.values.order, value) == Some(join) {
                Part::Computed
            } else {
                Part::Missing
            }
        })
    }

    /// What the access `event` would find at the ends of the predecessors of `join`, in which it
    /// is, or which comes before it.
    fn sources(&mut self, event: EventIndex, join: Node) -> Option<Vec<(Node, Source)>> {
        if self.memory().node(event) == join {
            return self.clobbers.at_predecessors_of_start(event, join);
        }
        match self.clobbers.source(event) == Source::Join(join) {
            true => self.clobbers.at_predecessors(event, join),
            false => None,
        }
    }

    /// Is `value` there before `join`, under this name or by its parameters? What moves there
    /// loads becomes one of them.
    fn is_there(&self, value: Value, join: Node, leading: &Leading) -> bool {
        let memory = self.values.memory;
        let value = memory.func.dfg.resolve_aliases(value);
        if leading
            .loaded(memory.func)
            .any(|(result, _)| result == value)
        {
            return true;
        }
        if let ValueDef::Param(block, _) = memory.func.dfg.value_def(value)
            && block == self.values.order.block(join)
        {
            return true;
        }
        defining_node(memory.func, self.values.order, value)
            .is_some_and(|node| self.values.dominance.strictly_dominates(node, join))
    }

    /// What a load would find at the end of `pred`, or what a store would write
    /// if memory holds it there. Bytes come from `source` there.
    fn known(
        &self,
        access: &Access,
        inst: Inst,
        (join, leading): (Node, &Leading),
        pred: Node,
        source: Source,
    ) -> Option<Value> {
        let func = self.func();
        let Some(stored) = access.stored else {
            if source == Source::Join(join) {
                return None;
            }
            let ty = self.values.type_of(func.dfg.first_result(inst));
            let key = self.values.key(source, access, access.opcode, ty);
            return self.values.value_at_end(pred, source, access, key);
        };
        let stored = self.passed(stored, (join, leading), pred)?;
        self.values
            .holds_at_end(pred, source, access, stored)
            .then_some(stored)
    }

    /// What the store `event` would write, if memory holds it at the end of `pred` because it has held
    /// it at each arrival at another join, from which its bytes come: there each edge knows it, or comes
    /// from the join without a store to them.
    ///
    /// A value from in front of the join is the same one until the join is entered anew.
    fn held_since(
        &mut self,
        event: EventIndex,
        (join, leading): (Node, &Leading),
        pred: Node,
        source: Source,
    ) -> Option<Value> {
        let Source::Join(behind) = source else {
            return None;
        };
        let memory = self.values.memory;
        let access = memory.access(event)?;
        let stored = self.passed(access.stored?, (join, leading), pred)?;
        let is_from_before = || {
            defining_node(memory.func, self.values.order, stored)
                .is_some_and(|node| self.values.dominance.strictly_dominates(node, behind))
        };
        if behind == join
            || memory.node(event) != join
            || number(&memory.func.dfg, stored).is_none() && !is_from_before()
        {
            return None;
        }
        let edges = self
            .clobbers
            .at_predecessors_behind(event, (join, pred), behind)?;
        let holds = |(pred, source): &(Node, Source)| {
            *source == Source::Join(behind)
                || self.values.holds_at_end(*pred, *source, access, stored)
        };
        edges.iter().all(holds).then_some(stored)
    }

    /// What `value` is at the end of `pred`.
    fn passed(&self, value: Value, (join, leading): (Node, &Leading), pred: Node) -> Option<Value> {
        let func = self.func();
        let mut loaded = leading.loaded(func);
        if let Some((_, known)) = loaded.find(|(result, _)| *result == value) {
            let pred = self.values.order.block(pred);
            let mut known = known.iter();
            return known.find(|(at, _)| *at == pred).map(|(_, value)| *value);
        }
        let (join, pred) = (self.values.order.block(join), self.values.order.block(pred));
        match func.dfg.value_def(value) {
            ValueDef::Param(block, _) if block == join => {
                match cfg_edit::edges(func, pred, join)[..] {
                    [edge] => cfg_edit::passed(func, edge, value),
                    _ => None,
                }
            }
            _ => Some(value),
        }
    }

    /// Does `value`, which a load would find at the end of `pred` where its bytes come from
    /// `source`, have to survive a call with handlers from where it was loaded or stored until
    /// there? Calls on some of the paths alone do not count.
    ///
    /// Cost: O(events) of the blocks in between that dominate `pred`.
    fn is_spilled(&self, value: Value, source: Source, pred: Node) -> bool {
        let (memory, func) = (self.values.memory, self.func());
        let definition = func.dfg.value_def(value).inst();
        if definition.is_some_and(|inst| is_constant(func.dfg.insts[inst].opcode())) {
            return false;
        }
        let start = match source {
            Source::Store(store) => Some(store),
            _ => defining_node(func, self.values.order, value).and_then(|node| {
                let mut events = memory.of_node(node);
                events.find(|event| Some(memory.inst(*event)) == definition)
            }),
        };
        let Some(start) = start else {
            return false;
        };
        let top = memory.node(start);
        let is_call = |event: EventIndex| {
            let inst = memory.inst(event);
            let opcode = func.dfg.insts[inst].opcode();
            event > start && matches!(opcode, Opcode::TryCall | Opcode::TryCallIndirect)
        };
        let mut node = pred;
        loop {
            if memory.of_node(node).any(is_call) {
                return true;
            }
            if node <= top {
                return false;
            }
            node = self.values.dominance.parent(node);
        }
    }
}

/// Is it made anew where it is used?
fn is_constant(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::Iconst | Opcode::F32const | Opcode::F64const)
}
