//! Loads of values that are known, and stores of values that are there.
//!
//! ```text
//! store v1, v0+8                     store v1, v0+8
//! v2 = load.i64 v0+8         ==>
//! store v2, v0+8
//! v3 = load.i64 v4+16                v3 = load.i64 v4+16
//! call fn0(v2)  ; no write           call fn0(v1)
//! v5 = load.i64 v4+16
//! return v5                          return v3
//! ```
//!
//! A load is answered by the store that wrote its bytes, of any width that
//! covers them, or by an earlier load of the same bytes; or [in pieces](pieces). A store of what
//! its location holds anyway is no store.
//!
//! Where different values meet, the join takes a parameter:
//!
//! ```text
//! block1:                            block1:
//!     store v1, v0+8                     store v1, v0+8
//!     jump block3                        jump block3(v1)
//! block2:                            block2:
//!     store v2, v0+8                     store v2, v0+8
//!     jump block3               ==>      jump block3(v2)
//! block3:                            block3(v9: i64):
//!     v3 = load.i64 v0+8                 return v9
//!     return v3
//! ```
//!
//! What upstream misses here: it knows the last store to a region only, by the
//! same address value, offset and type; every call ends what it knows; and it
//! has no versions for a private slot.
//!
//! Soundness: [`Clobbers`] proves that nothing wrote the bytes in between, on
//! any path, or nothing but, to all of them, the value that they are. A load that may trap has been preceded by an access to the same
//! bytes. Memory holds the same bytes at all times, whichever of the edits are
//! made, so that they may cite each other: a no-op store writes what is there,
//! and is then walked over.
//!
//! Cost: one query for each access, see [`Clobbers::source`].

mod compared;
mod copies;
mod keeping;
mod pieces;
mod translated;

use crate::FxHashMap;
use crate::ir::{Block, Inst, Opcode, Value};
use crate::memopt::Options;
use crate::memopt::cfg::graph::{Graph, Node, defining_node};
use crate::memopt::edit::{Change, Edit, Reason};
use crate::memopt::inst::coercion::Recipe;
use crate::memopt::inst::location::Root;
use crate::memopt::memory::clobber::{Clobbers, Source, Unknown};
use crate::memopt::memory::insts::{Access, EventIndex};
use crate::memopt::memory::values::{Key, Known, Values};
use crate::memopt::refusal::{Obstacle, Refusals, Subject};
use alloc::vec::Vec;
use compared::Compared;
use keeping::CallingLoops;

/// Finds loads to replace and no-op stores.
///
/// `values` knows nothing yet. Where nothing is found, and loads are searched
/// for, it knows what all of them find.
pub fn edits<'p, 'a>(
    values: &mut Values<'p, 'a>,
    graph: &Graph,
    clobbers: &mut Clobbers<'_>,
    options: &Options,
    pass: &'static str,
    refusals: &mut Refusals,
) -> Vec<Edit> {
    let (memory, dominance) = (values.memory, values.dominance);
    let mut pass = Pass {
        facts: values,
        graph,
        clobbers,
        options,
        name: pass,
        refusals,
        edits: Vec::new(),
        wide: FxHashMap::default(),
        moved: Vec::new(),
        asked: 0,
        calling_loops: None,
        compared: Compared::default(),
        untranslated: Vec::new(),
    };
    dominance.walk(graph.entry, |node, enter| {
        if enter {
            for event in memory.of_node(node) {
                pass.visit(node, event);
            }
        }
    });
    pass.translate_again();
    pass.edits
}

/// A store that is asked about: is it a no-op?
#[derive(Clone, Copy)]
struct Stored<'m> {
    node: Node,
    event: EventIndex,
    /// Where the bytes that it overwrites come from.
    source: Source,
    access: &'m Access,
    /// What it writes.
    value: Value,
}

/// Where bytes come from if stores that may be to all of them or to none do not count.
struct PastCopies {
    source: Source,
    copies: Vec<EventIndex>,
}

struct Pass<'v, 'p, 'a, 'r> {
    facts: &'v mut Values<'p, 'a>,
    graph: &'v Graph,
    clobbers: &'v mut Clobbers<'r>,
    options: &'v Options,
    name: &'static str,
    refusals: &'v mut Refusals,
    edits: Vec<Edit>,
    /// Loads that have come before, of which others may be a part.
    wide: FxHashMap<Root, Vec<EventIndex>>,
    /// Copies that an edit removes or makes from elsewhere, and those that these were copies of.
    moved: Vec<EventIndex>,
    /// Of how many it has been asked whether anybody else reads what they copy.
    asked: u32,
    /// Found when first asked for.
    calling_loops: Option<CallingLoops>,
    /// What branches say of the block of the last store.
    compared: Compared,
    /// Loads by pointers that are one of several, of which one may be loaded from further on.
    untranslated: Vec<EventIndex>,
}

impl Pass<'_, '_, '_, '_> {
    fn visit(&mut self, node: Node, event: EventIndex) {
        let memory = self.facts.memory;
        let inst = memory.inst(event);
        let Some(access) = memory.access(event) else {
            if self.options.noop_stores {
                self.transfer(event, inst);
            }
            return;
        };
        if access.asynchronous {
            self.refuse(inst, |_| Obstacle::Asynchronous);
            return;
        }
        match access.stored {
            None => self.load(node, event, inst, access),
            Some(stored) if self.options.noop_stores => {
                self.store(node, event, inst, access, stored)
            }
            Some(_) => {}
        }
    }

    fn load(&mut self, node: Node, event: EventIndex, inst: Inst, access: &Access) {
        let source = self.clobbers.source(event);
        if source.is_unknown() {
            self.refuse(inst, |pass| pass.obstacle(source));
            return;
        }
        let result = self.facts.memory.func.dfg.first_result(inst);
        let key = self
            .facts
            .key(source, access, access.opcode, self.facts.type_of(result));
        let answer = match self.facts.look_up(key, node) {
            Some(known) if self.is_cheaper_than_kept(inst, known.value, node) => {
                self.refuse(inst, |_| Obstacle::NoGain);
                return;
            }
            Some(known) => {
                let reason = Reason::LoadedAs(known.value);
                Some((known.value, Recipe::new(), reason))
            }
            None => self.stored(source, access),
        };
        let answer = answer.or_else(|| self.past_copies(node, event, source, access));
        if let Some((value, recipe, reason)) = answer
            && self.options.forward_loads
        {
            self.replace(inst, value, recipe, reason);
            return;
        }
        if self.options.forward_loads && self.load_of_pieces(node, event) {
            return;
        }
        self.note_wide(event, access);
        let mut known = Known {
            node,
            value: result,
            readonly: access.readonly,
        };
        if self.options.forward_loads
            && let Some(join) = self.translated(event, inst, access)
        {
            known.node = join;
        } else if self.options.forward_loads
            && let Source::Join(join) = source
            && let Some(args) = self.join_args(event, join, key)
        {
            if !self.replace_by_known(inst, join, args) {
                return;
            }
            // The result becomes the parameter, which is there for all of them.
            known.node = join;
        } else {
            self.refuse(inst, |pass| pass.obstacle(source));
        }
        self.facts.learn(key, known);
    }

    /// What `load` gives if a store that may have written its bytes has written all of them or
    /// none, and what it wrote is what they were.
    ///
    /// ```text
    /// v2 = load.i32 aligned v0           v2 = load.i32 aligned v0
    /// store aligned v2, v1        ==>    store aligned v2, v1
    /// v3 = load.i32 aligned v0           ; v3 is v2
    /// ```
    fn past_copies(
        &mut self,
        node: Node,
        event: EventIndex,
        source: Source,
        load: &Access,
    ) -> Option<(Value, Recipe, Reason)> {
        let past = self.copies(event, source)?;
        let result = self.facts.memory.func.dfg.first_result(self.inst(event));
        let ty = self.facts.type_of(result);
        let key = self.facts.key(past.source, load, load.opcode, ty);
        let value = match self.facts.look_up(key, node) {
            Some(known) => known.value,
            None => {
                let (value, recipe, _) = self.stored(past.source, load)?;
                recipe.is_empty().then_some(value)?
            }
        };
        let value = self.facts.canonical(value);
        let same = self.are_copies(&past.copies, load, value);
        same.then_some((value, Recipe::new(), Reason::CopiedWhole(value)))
    }

    /// What the access `event` finds past stores that may be to its bytes, if the first of them
    /// is where they come from.
    fn copies(&mut self, event: EventIndex, source: Source) -> Option<PastCopies> {
        let memory = self.facts.memory;
        let Source::Event(clobber) = source else {
            return None;
        };
        memory.access(clobber)?;
        let (source, copies) = self.clobbers.source_past_copies(event)?;
        let copies = copies.into_iter().collect();
        Some(PastCopies { source, copies })
    }

    /// Do all of `copies` store `value`, as bytes that `access` finds as such?
    fn are_copies(&self, copies: &[EventIndex], access: &Access, value: Value) -> bool {
        let one_byte = access.location.bytes == Some(1);
        copies.iter().all(|event| {
            let copy = self.facts.memory.access(*event);
            copy.is_some_and(|copy| {
                let stored = copy.stored.map(|stored| self.facts.canonical(stored));
                stored == Some(value)
                    && copy.opcode == Opcode::Store
                    && (one_byte || copy.endianness == access.endianness)
            })
        })
    }

    fn inst(&self, event: EventIndex) -> Inst {
        self.facts.memory.inst(event)
    }

    /// What `load` sees of the value that its source stored, and why.
    fn stored(&self, source: Source, load: &Access) -> Option<(Value, Recipe, Reason)> {
        let Source::Store(store) = source else {
            return None;
        };
        let (value, recipe) = self.facts.seen_through(source, load)?;
        let store = self.facts.memory.inst(store);
        Some((value, recipe, Reason::StoredBy(store)))
    }

    fn replace(&mut self, load: Inst, value: Value, recipe: Recipe, reason: Reason) {
        let value = self.facts.canonical(value);
        if recipe.is_empty() {
            let result = self.facts.memory.func.dfg.first_result(load);
            self.facts.learn_equal(result, value);
        }
        let change = Change::ReplaceLoad {
            load,
            value,
            recipe,
        };
        self.edits.push(change.because(reason));
    }

    /// Replaces `load` by what all edges into `join` know, which is `args`; by a parameter, unless
    /// that is one value. A parameter that is passed just that serves.
    fn replace_by_known(
        &mut self,
        load: Inst,
        join: Node,
        args: Vec<(Block, Option<Value>)>,
    ) -> bool {
        let block = self.facts.order.block(join);
        let reason = Reason::KnownOnAllPaths(block);
        let result = self.facts.memory.func.dfg.first_result(load);
        if let Some(value) = self.facts.known_at_join(join, &args, result) {
            self.replace(load, value, Recipe::new(), reason);
            return false;
        }
        let change = Change::ReplaceLoadByParam { load, block, args };
        self.edits.push(change.because(reason));
        true
    }

    /// The value that each predecessor of `join` knows, if each knows one.
    fn join_args(
        &mut self,
        event: EventIndex,
        join: Node,
        key: Key,
    ) -> Option<Vec<(Block, Option<Value>)>> {
        let access = self.facts.memory.access(event)?;
        let mut values = Vec::new();
        let facts = &self.facts;
        let all = self
            .clobbers
            .is_known_on_all_edges(event, join, &mut |pred, source| {
                let value = match source {
                    None => None,
                    Some(source) => match facts.value_at_end(pred, source, access, key) {
                        Some(value) => Some(value),
                        None => return false,
                    },
                };
                values.push((facts.order.block(pred), value));
                true
            });
        all.then_some(values)
    }

    fn store(&mut self, node: Node, event: EventIndex, inst: Inst, access: &Access, stored: Value) {
        let source = self.clobbers.source(event);
        let stored = self.facts.canonical(stored);
        let store = Stored {
            node,
            event,
            source,
            access,
            value: stored,
        };
        let reason = self.is_there(store);
        let reason = reason.or_else(|| self.is_put_back(store));
        let reason = reason.or_else(|| self.is_there_in_pieces(node, event));
        let reason = reason.or_else(|| self.is_compared(store));
        if let Some(reason) = reason {
            self.clobbers.set_noop(event);
            self.edits
                .push(Change::RemoveNoopStore(inst).because(reason));
        } else {
            self.refuse(inst, |pass| match source {
                Source::Store(_) => Obstacle::OtherValue,
                Source::Entry | Source::Event(_) | Source::Join(_) | Source::Unknown(_) => {
                    pass.obstacle(source)
                }
            });
        }
    }

    /// Does memory hold what the store writes, although stores of the same value may have
    /// written all of its bytes?
    fn is_put_back(&mut self, store: Stored<'_>) -> Option<Reason> {
        let Stored { access, value, .. } = store;
        let past = self.copies(store.event, store.source)?;
        let holds = access.opcode == Opcode::Store
            && self.are_copies(&past.copies, access, value)
            && (self.facts.was_stored(past.source, access, value)
                || self.was_loaded(past.source, access, value, store.node));
        holds.then_some(Reason::CopiedWhole(value))
    }

    /// Notes why `inst` is left as it is, and finds it out only if somebody hears it.
    fn refuse(&mut self, inst: Inst, obstacle: impl FnOnce(&Self) -> Obstacle) {
        if self.refusals.are_heard() {
            let obstacle = obstacle(self);
            self.refusals.note(self.name, Subject::Inst(inst), obstacle);
        }
    }

    /// Why bytes that come from `source` have no name.
    fn obstacle(&self, source: Source) -> Obstacle {
        let inst = |event: EventIndex| self.facts.memory.inst(event);
        match source {
            Source::Entry => Obstacle::NotWritten,
            Source::Store(event) => Obstacle::OtherForm(inst(event)),
            Source::Event(event) => Obstacle::ClobberedBy(inst(event)),
            Source::Join(node) => Obstacle::DependsOnPath(self.facts.order.block(node)),
            Source::Unknown(Unknown::NotAsked) => Obstacle::NothingToLearn,
            Source::Unknown(Unknown::NoPlace) => Obstacle::UnknownPlace,
            Source::Unknown(Unknown::NotTracked) => Obstacle::Limit("PHI_ARGS_PER_ITEM"),
            Source::Unknown(Unknown::GaveUp) => Obstacle::Limit("MAX_STEPS"),
            Source::Unknown(Unknown::Unreachable) => Obstacle::Unreachable,
        }
    }

    /// Does memory hold what the store writes? Why.
    fn is_there(&mut self, store: Stored<'_>) -> Option<Reason> {
        let Stored {
            node,
            event,
            source,
            access,
            value,
        } = store;
        match source {
            Source::Store(store) if self.facts.was_stored(source, access, value) => {
                let store = self.facts.memory.inst(store);
                Some(Reason::StoredBy(store))
            }
            _ if self.was_loaded(source, access, value, node) => Some(Reason::LoadedAs(value)),
            Source::Join(join) if self.was_stored_on_all_paths(event, join, access, value) => {
                let block = self.facts.order.block(join);
                Some(Reason::KnownOnAllPaths(block))
            }
            Source::Entry
            | Source::Store(_)
            | Source::Event(_)
            | Source::Join(_)
            | Source::Unknown(_) => None,
        }
    }

    /// Has a store of the same value to the same bytes come before, another one
    /// on each path?
    fn was_stored_on_all_paths(
        &mut self,
        event: EventIndex,
        join: Node,
        access: &Access,
        stored: Value,
    ) -> bool {
        // The value of an outer loop's iteration, and not of an earlier one.
        let func = self.facts.memory.func;
        let there = defining_node(func, self.facts.order, stored)
            .is_some_and(|node| self.facts.dominance.strictly_dominates(node, join));
        if !there {
            return false;
        }
        let facts = &self.facts;
        let mut puts_it = |_, input: Option<Source>| {
            input.is_some_and(|input| facts.was_stored(input, access, stored))
        };
        self.clobbers
            .is_known_on_all_edges(event, join, &mut puts_it)
    }

    /// Has the value been loaded from the same bytes, and are they unchanged?
    ///
    /// That a load came through does not prove that a store would. And what a
    /// `readonly` load found proves nothing about stores.
    fn was_loaded(&mut self, source: Source, access: &Access, stored: Value, node: Node) -> bool {
        if source.is_unknown() || access.trap.is_some() {
            return false;
        }
        let ty = self.facts.type_of(stored);
        access.undone_loads().iter().any(|opcode| {
            let key = self.facts.key(source, access, *opcode, ty);
            self.facts
                .look_up(key, node)
                .is_some_and(|known| !known.readonly && self.facts.canonical(known.value) == stored)
        })
    }
}
