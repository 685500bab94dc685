//! Which value a load gives: names for the bytes that memory holds.
//!
//! [`Clobbers`] says where bytes come from; this says under which SSA value
//! they are known, at a node or at the end of one. Two loads of one location
//! whose bytes come from one source give the same value, and a load of what a
//! store wrote gives what it stored.

use crate::FxHashMap;
use crate::ir::{Block, Endianness, Opcode, Type, Value};
use crate::memopt::cfg::dominance::Dominance;
use crate::memopt::cfg::edit as cfg_edit;
use crate::memopt::cfg::graph::{Graph, Node, Order, defining_node};
use crate::memopt::inst::bits::number;
use crate::memopt::inst::coercion::Recipe;
use crate::memopt::inst::isle;
use crate::memopt::inst::location::{Location, Overlap};
use crate::memopt::memory::clobber::{Clobbers, Source};
use crate::memopt::memory::insts::{Access, EventIndex, Memory};
use smallvec::SmallVec;

/// Loads of one location and source that are remembered for joins.
///
/// They lie in different parts of the dominator tree; more than a few are rare.
/// What is given up is a block parameter where a later one was known.
const MAX_LOADED: usize = 8;

/// Keys for which there is room from the start, in a function that has so many accesses.
const MANY: usize = 64;

/// Bytes as some load finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Where they come from.
    pub source: Source,
    location: Location,
    opcode: Opcode,
    ty: Type,
    /// Of one byte there is no order.
    endianness: Option<Endianness>,
}

/// A value that a load has found.
#[derive(Clone, Copy)]
pub struct Known {
    /// From where on it is there.
    pub node: Node,
    /// The value.
    pub value: Value,
    /// Was the load `readonly`? Then it proves nothing about stores.
    pub readonly: bool,
}

/// The values of one key.
#[derive(Default)]
struct Found {
    /// Those that may dominate what the walk comes to.
    known: SmallVec<[Known; 1]>,
    /// Everything that was ever put into `known`, for joins: their
    /// predecessors lie in other parts of the dominator tree.
    loaded: SmallVec<[Known; 2]>,
}

/// What has been found so far.
pub struct Values<'p, 'a> {
    /// The accesses.
    pub memory: &'p Memory<'a>,
    /// The numbers of the blocks.
    pub order: &'p Order,
    /// Which of them dominate which.
    pub dominance: &'p Dominance,
    found: FxHashMap<Key, Found>,
    /// Loaded values that are another value, of the same type.
    replaced: FxHashMap<Value, Value>,
}

impl<'p, 'a> Values<'p, 'a> {
    /// Nothing is known yet.
    pub fn new(memory: &'p Memory<'a>, order: &'p Order, dominance: &'p Dominance) -> Self {
        let room = (memory.events.len() / 2).min(MANY);
        Self {
            memory,
            order,
            dominance,
            found: FxHashMap::with_capacity_and_hasher(room, Default::default()),
            replaced: FxHashMap::default(),
        }
    }

    /// What every load of the function finds, for questions about the ends of
    /// nodes.
    ///
    /// Cost: one query for each load, see [`Clobbers::source`].
    pub fn of_loads(
        memory: &'p Memory<'a>,
        order: &'p Order,
        graph: &Graph,
        dominance: &'p Dominance,
        clobbers: &mut Clobbers<'_>,
    ) -> Self {
        let mut this = Self::new(memory, order, dominance);
        dominance.walk(graph.entry, |node, enter| {
            if enter {
                for event in memory.of_node(node) {
                    this.learn_load(node, event, clobbers);
                }
            }
        });
        this
    }

    fn learn_load(&mut self, node: Node, event: EventIndex, clobbers: &mut Clobbers<'_>) {
        let Some(access) = self.memory.access(event) else {
            return;
        };
        if access.stored.is_some() || access.asynchronous {
            return;
        }
        let source = clobbers.source(event);
        if source.is_unknown() {
            return;
        }
        let inst = self.memory.inst(event);
        let value = self.memory.func.dfg.first_result(inst);
        let key = self.key(source, access, access.opcode, self.type_of(value));
        if self.look_up(key, node).is_none() {
            let readonly = access.readonly;
            self.learn(
                key,
                Known {
                    node,
                    value,
                    readonly,
                },
            );
        }
    }

    /// From `known.node` on, a load of `key` would give `known.value`.
    pub fn learn(&mut self, key: Key, known: Known) {
        let found = self.found.entry(key).or_default();
        found.known.push(known);
        if found.loaded.len() < MAX_LOADED {
            found.loaded.push(known);
        }
    }

    /// Two values of one type are the same.
    pub fn learn_equal(&mut self, value: Value, other: Value) {
        self.replaced.insert(value, other);
    }

    /// Does memory hold, at the end of `node`, what `store` would write if its
    /// value were `stored`? Its bytes come from `source` there.
    pub fn holds_at_end(&self, node: Node, source: Source, store: &Access, stored: Value) -> bool {
        let stored = self.canonical(stored);
        if self.was_stored(source, store, stored) {
            return true;
        }
        let ty = self.type_of(stored);
        store.undone_loads().iter().any(|opcode| {
            let key = self.key(source, store, *opcode, ty);
            let found = self.found.get(&key).into_iter();
            let mut loaded = found.flat_map(|found| found.loaded.iter().copied());
            loaded.any(|known| {
                !known.readonly
                    && self.dominance.dominates(known.node, node)
                    && self.canonical(known.value) == stored
            })
        })
    }

    /// The value that `own`, a load's result, is where the edges into `join` know `args`: one that is
    /// the same on all of them, or a parameter that is passed just that.
    pub fn known_at_join(
        &self,
        join: Node,
        args: &[(Block, Option<Value>)],
        own: Value,
    ) -> Option<Value> {
        let (func, block) = (self.memory.func, self.order.block(join));
        let param = || {
            let param = cfg_edit::param_passed(func, block, args, |it| self.canonical(it));
            param.filter(|param| func.dfg.value_type(*param) == func.dfg.value_type(own))
        };
        self.same_value(join, args, own).or_else(param)
    }

    /// The one value that all predecessors of `join` pass but for those that pass on `own`, what
    /// it finds there itself, if it is there.
    ///
    /// Those come round: where `value` is defined anew, `join` is entered first by another one.
    fn same_value(&self, join: Node, args: &[(Block, Option<Value>)], own: Value) -> Option<Value> {
        let mut passed = args
            .iter()
            .filter_map(|(_, arg)| arg.filter(|arg| *arg != own));
        let value = passed.next()?;
        let node = defining_node(self.memory.func, self.order, value)?;
        let same = passed.all(|arg| arg == value);
        (same && self.dominance.strictly_dominates(node, join)).then_some(value)
    }

    /// What `access` would load at the end of `node`, where its bytes come from
    /// `source`, if that has a name there.
    pub fn value_at_end(
        &self,
        node: Node,
        source: Source,
        access: &Access,
        key: Key,
    ) -> Option<Value> {
        if let Some((value, recipe)) = self.seen_through(source, access) {
            return recipe.is_empty().then(|| self.canonical(value));
        }
        let found = self.found.get(&Key { source, ..key })?;
        let known = found
            .loaded
            .iter()
            .find(|known| self.dominance.dominates(known.node, node))?;
        Some(self.canonical(known.value))
    }

    /// What the load sees of the value that its source stored.
    pub fn seen_through(&self, source: Source, load: &Access) -> Option<(Value, Recipe)> {
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
            store.endianness,
            8 * below,
            &load.load?,
        )?;
        Some((value, recipe))
    }

    /// Has a store of the same value to the same bytes come before?
    pub fn was_stored(&self, source: Source, access: &Access, stored: Value) -> bool {
        let Source::Store(event) = source else {
            return false;
        };
        let Some(before) = self.memory.access(event) else {
            return false;
        };
        before.opcode == access.opcode
            && before
                .stored
                .is_some_and(|value| self.is_same(self.canonical(value), stored))
            && self.overlap(before, access) == Overlap::Same
            && (before.endianness == access.endianness || access.location.bytes == Some(1))
    }

    fn overlap(&self, a: &Access, b: &Access) -> Overlap {
        // The source says that both mean one address; how they lie to each
        // other in it is a matter of offsets.
        a.location
            .overlap_in_root(&b.location, self.memory.pointer_bits)
    }

    /// The bytes of `access`, as a load by `opcode` of type `ty` finds them.
    pub fn key(&self, source: Source, access: &Access, opcode: Opcode, ty: Type) -> Key {
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
    pub fn look_up(&mut self, key: Key, node: Node) -> Option<Known> {
        let list = &mut self.found.get_mut(&key)?.known;
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

    /// The one name of all values that are known to be `value`.
    pub fn canonical(&self, value: Value) -> Value {
        let mut value = self.memory.func.dfg.resolve_aliases(value);
        while let Some(other) = self.replaced.get(&value) {
            value = *other;
        }
        value
    }

    /// Are two canonical values one, or the same constant? The mid-end makes a constant again
    /// where it is used, and each has a name of its own.
    pub fn is_same(&self, a: Value, b: Value) -> bool {
        let constant = |value| Some((number(&self.memory.func.dfg, value)?, self.type_of(value)));
        a == b || constant(a).is_some_and(|bits| constant(b) == Some(bits))
    }

    /// The type of `value`.
    pub fn type_of(&self, value: Value) -> Type {
        self.memory.func.dfg.value_type(value)
    }
}
