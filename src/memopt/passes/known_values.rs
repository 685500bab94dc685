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
//! covers them, or by an earlier load of the same bytes. A store of what its
//! location holds anyway is no store.
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
//! Soundness: [`Reaching`] proves that nothing wrote the bytes in between, on
//! any path. A load that may trap has been preceded by an access to the same
//! bytes. Memory holds the same bytes at all times, whichever of the edits are
//! made, so that they may cite each other: a no-op store writes what is there,
//! and is then walked over.
//!
//! Cost: one query for each access, see [`Reaching::source`].

use super::apply::Edit;
use crate::FxHashMap;
use crate::ir::{Block, Endianness, Inst, Opcode, Type, Value};
use crate::memopt::Options;
use crate::memopt::analysis::dominance::Dominance;
use crate::memopt::analysis::graph::{Graph, Node, Order};
use crate::memopt::analysis::memory::{Access, EventIndex, Memory, defining_node};
use crate::memopt::analysis::reaching::{Reaching, Source};
use crate::memopt::facts::coercion::Recipe;
use crate::memopt::facts::location::{Location, Overlap};
use crate::memopt::isle;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Loads of one location and source that are remembered for joins.
///
/// They lie in different parts of the dominator tree; more than a few are rare.
/// What is given up is a block parameter where a later one was known.
const MAX_LOADED: usize = 8;

/// Finds loads to replace and no-op stores.
pub fn edits(
    memory: &Memory<'_>,
    order: &Order,
    graph: &Graph,
    dominance: &Dominance,
    reaching: &mut Reaching<'_>,
    options: &Options,
) -> Vec<Edit> {
    let mut pass = Pass {
        facts: Facts {
            memory,
            order,
            dominance,
            known: FxHashMap::default(),
            loaded: FxHashMap::default(),
            replaced: FxHashMap::default(),
        },
        reaching,
        options,
        edits: Vec::new(),
    };
    dominance.walk(graph.entry, |node, enter| {
        if enter {
            for event in memory.of_node(node) {
                pass.visit(node, event);
            }
        }
    });
    pass.edits
}

/// Bytes as some load finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: Source,
    location: Location,
    opcode: Opcode,
    ty: Type,
    /// Of one byte there is no order.
    endianness: Option<Endianness>,
}

/// A value that a load has found.
#[derive(Clone, Copy)]
struct Known {
    node: Node,
    value: Value,
    readonly: bool,
}

/// What has been found so far.
struct Facts<'p, 'a> {
    memory: &'p Memory<'a>,
    order: &'p Order,
    dominance: &'p Dominance,
    known: FxHashMap<Key, SmallVec<[Known; 1]>>,
    /// Everything that was ever put into `known`, for joins: their
    /// predecessors lie in other parts of the dominator tree.
    loaded: FxHashMap<Key, SmallVec<[Known; 2]>>,
    /// Loaded values that are another value, of the same type.
    replaced: FxHashMap<Value, Value>,
}

struct Pass<'p, 'a, 'r> {
    facts: Facts<'p, 'a>,
    reaching: &'p mut Reaching<'r>,
    options: &'p Options,
    edits: Vec<Edit>,
}

impl Pass<'_, '_, '_> {
    fn visit(&mut self, node: Node, event: EventIndex) {
        let memory = self.facts.memory;
        let Some(access) = memory.access(event) else {
            return;
        };
        if access.asynchronous {
            return;
        }
        let inst = memory.events[event as usize].inst;
        match access.stored {
            None => self.load(node, event, inst, access),
            Some(stored) if self.options.noop_stores => {
                self.store(node, event, inst, access, stored)
            }
            Some(_) => {}
        }
    }

    fn load(&mut self, node: Node, event: EventIndex, inst: Inst, access: &Access) {
        let source = self.reaching.source(event);
        if source == Source::Unknown {
            return;
        }
        let result = self.facts.memory.func.dfg.first_result(inst);
        let key = self
            .facts
            .key(source, access, access.opcode, self.facts.type_of(result));
        let answer = match self.facts.look_up(key, node) {
            Some(known) => Some((known.value, Recipe::new())),
            None => self.facts.seen_through(source, access),
        };
        if let Some((value, recipe)) = answer
            && self.options.forward_loads
        {
            self.replace(inst, value, recipe);
            return;
        }
        let mut known = Known {
            node,
            value: result,
            readonly: access.readonly,
        };
        if self.options.forward_loads
            && let Source::Join(join) = source
            && let Some(args) = self.join_args(event, join, key)
        {
            if let Some(value) = self.facts.same_value(join, &args) {
                self.replace(inst, value, Recipe::new());
                return;
            }
            let block = self.facts.order.block(join);
            self.edits.push(Edit::ReplaceLoadByParam {
                load: inst,
                block,
                args,
            });
            // The result becomes the parameter, which is there for all of them.
            known.node = join;
        }
        self.facts.known.entry(key).or_default().push(known);
        let loaded = self.facts.loaded.entry(key).or_default();
        if loaded.len() < MAX_LOADED {
            loaded.push(known);
        }
    }

    fn replace(&mut self, load: Inst, value: Value, recipe: Recipe) {
        let value = self.facts.canonical(value);
        if recipe.is_empty() {
            let result = self.facts.memory.func.dfg.first_result(load);
            self.facts.replaced.insert(result, value);
        }
        self.edits.push(Edit::ReplaceLoad {
            load,
            value,
            recipe,
        });
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
            .reaching
            .is_known_on_all_ways(event, join, &mut |pred, source| {
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
        let source = self.reaching.source(event);
        let stored = self.facts.canonical(stored);
        if self.facts.was_stored(source, access, stored)
            || self.was_loaded(source, access, stored, node)
            || self.was_stored_on_all_ways(event, source, access, stored)
        {
            self.reaching.set_noop(event);
            self.edits.push(Edit::RemoveNoopStore(inst));
        }
    }

    /// Has a store of the same value to the same bytes come before, another one
    /// on each way?
    fn was_stored_on_all_ways(
        &mut self,
        event: EventIndex,
        source: Source,
        access: &Access,
        stored: Value,
    ) -> bool {
        let Source::Join(join) = source else {
            return false;
        };
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
        self.reaching
            .is_known_on_all_ways(event, join, &mut puts_it)
    }

    /// Has the value been loaded from the same bytes, and are they unchanged?
    ///
    /// That a load came through does not prove that a store would. And what a
    /// `readonly` load found proves nothing about stores.
    fn was_loaded(&mut self, source: Source, access: &Access, stored: Value, node: Node) -> bool {
        if source == Source::Unknown || access.trap.is_some() {
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

impl Facts<'_, '_> {
    /// The one value that all predecessors of `join` pass, if it is there.
    fn same_value(&self, join: Node, args: &[(Block, Option<Value>)]) -> Option<Value> {
        let (_, first) = args.first()?;
        let value = (*first)?;
        let same = args.iter().all(|(_, arg)| *arg == Some(value));
        let node = defining_node(self.memory.func, self.order, value)?;
        (same && self.dominance.strictly_dominates(node, join)).then_some(value)
    }

    /// What `access` would load at the end of `node`, where its bytes come from
    /// `source`, if that has a name there.
    fn value_at_end(&self, node: Node, source: Source, access: &Access, key: Key) -> Option<Value> {
        if let Some((value, recipe)) = self.seen_through(source, access) {
            return recipe.is_empty().then(|| self.canonical(value));
        }
        let loaded = self.loaded.get(&Key { source, ..key })?;
        let known = loaded
            .iter()
            .find(|known| self.dominance.dominates(known.node, node))?;
        Some(self.canonical(known.value))
    }

    /// What the load sees of the value that its source stored.
    fn seen_through(&self, source: Source, load: &Access) -> Option<(Value, Recipe)> {
        let Source::Store(event) = source else {
            return None;
        };
        let store = self.memory.access(event)?;
        let value = store.stored?;
        let bytes = store.location.bytes?;
        let at = match self.overlap(store, load) {
            Overlap::Same => 0,
            Overlap::Covers { at } => at,
            Overlap::None | Overlap::Inside | Overlap::Partial | Overlap::Unknown => return None,
        };
        let loaded = load.location.bytes?;
        if bytes > 1 && store.endianness != load.endianness {
            return None;
        }
        let below = match store.endianness {
            Endianness::Little => at,
            Endianness::Big => bytes - at - loaded,
        };
        let stored_type = self.type_of(value);
        let recipe = isle::coerce(
            &self.memory.func.dfg,
            self.memory.policy,
            stored_type,
            8 * below,
            &load.load?,
        )?;
        Some((value, recipe))
    }

    /// Has a store of the same value to the same bytes come before?
    fn was_stored(&self, source: Source, access: &Access, stored: Value) -> bool {
        let Source::Store(event) = source else {
            return false;
        };
        let Some(before) = self.memory.access(event) else {
            return false;
        };
        before.opcode == access.opcode
            && before
                .stored
                .is_some_and(|value| self.canonical(value) == stored)
            && self.overlap(before, access) == Overlap::Same
            && (before.endianness == access.endianness || access.location.bytes == Some(1))
    }

    fn overlap(&self, a: &Access, b: &Access) -> Overlap {
        // The source says that both mean one address; how they lie to each
        // other in it is a matter of offsets.
        a.location
            .overlap_in_root(&b.location, self.memory.pointer_bits)
    }

    fn key(&self, source: Source, access: &Access, opcode: Opcode, ty: Type) -> Key {
        let one_byte = access.location.bytes == Some(1);
        Key {
            source,
            location: access.location,
            opcode,
            ty,
            endianness: (!one_byte).then_some(access.endianness),
        }
    }

    /// The value under `key` that dominates `node`.
    fn look_up(&mut self, key: Key, node: Node) -> Option<Known> {
        let list = self.known.get_mut(&key)?;
        // The walk is over the dominator tree: what does not dominate this
        // node will not dominate a later one either.
        while let Some(last) = list.last() {
            if self.dominance.dominates(last.node, node) {
                return Some(*last);
            }
            list.pop();
        }
        None
    }

    fn canonical(&self, value: Value) -> Value {
        let mut value = self.memory.func.dfg.resolve_aliases(value);
        while let Some(other) = self.replaced.get(&value) {
            value = *other;
        }
        value
    }

    fn type_of(&self, value: Value) -> Type {
        self.memory.func.dfg.value_type(value)
    }
}
