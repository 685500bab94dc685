//! Loads by a pointer that is one of several: what it is on each edge, or for each outcome.
//!
//! ```text
//! block1:                            v3 = select v0, v1, v2
//!     jump block3(v1)                v4 = load.i64 v3+8
//! block2:
//!     jump block3(v2)
//! block3(v3: i64):
//!     v4 = load.i64 v3+8
//! ```
//!
//! To whoever compares roots, `v3` is one of its own. At the ends of `block1` and `block2` the bytes
//! are those at `v1+8` and at `v2+8`, about which more may be known; and a `select` is one of what it
//! selects from, at the load itself. In a loop what is passed round is often the same pointer a
//! few bytes further on.
//!
//! Soundness: at the end of a predecessor a value means what it meant last, and that is what the
//! parameter is behind the edge. So a location is *translated* for the end of the predecessor
//! alone: whoever asks there has to walk on from there, and may not carry it any further under
//! its old name. The value of a `select` is computed behind both values that it selects from, and
//! neither of them is defined anew before it is.
//!
//! Cost: nothing but a look at the definition of each root that is loaded from, unless there is
//! such a pointer; then O(arguments of branches), once.
//!
//! Previous work: PHI translation in GVN-PRE (VanDrunen and Hosking, 2004), and in LLVM's
//! memory dependence analysis.

use crate::FxHashMap;
use crate::entity::EntitySet;
use crate::ir::{Block, InstructionData, Opcode, Value, ValueDef};
use crate::memopt::cfg::edit::destinations;
use crate::memopt::cfg::graph::{Node, Order};
use crate::memopt::inst::address::Addresses;
use crate::memopt::inst::location::{Address, Location, Root};
use crate::memopt::memory::insts::{Access, Event, EventKind, Memory};
use crate::memopt::memory::numbering::Numberer;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Edges into a block over which a pointer is followed.
///
/// A join has two in most cases. With more, it is a `switch`, of which hardly all cases know what
/// is behind their pointer. The load stays, and the run counts one hit.
const MAX_EDGES: usize = 16;

/// What a pointer is one of.
#[derive(Clone, Debug)]
pub enum Pointer {
    /// What the edges into a block pass.
    Passed {
        /// The block.
        join: Node,
        /// The edges, those of one predecessor one after the other, in their order.
        edges: SmallVec<[Passed; 2]>,
    },
    /// What a `select` selects from.
    Selected {
        /// Its condition.
        condition: Value,
        /// What it gives if that is true, and if it is not.
        arms: [Address; 2],
    },
}

/// What one edge passes.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// The block that it comes from.
    pub from: Node,
    /// The address; `None` for what a call passes to its handlers.
    pub address: Option<Address>,
}

impl Pointer {
    /// All addresses that it may be.
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        let (edges, arms): (&[Passed], &[Address]) = match self {
            Self::Passed { edges, .. } => (edges, &[]),
            Self::Selected { arms, .. } => (&[], arms),
        };
        let passed = edges.iter().filter_map(|edge| edge.address);
        passed.chain(arms.iter().copied())
    }
}

/// The pointers of a function that are one of several, and are loaded from.
#[derive(Default)]
pub struct Translations {
    found: FxHashMap<Value, Pointer>,
    /// How many pointers [`MAX_EDGES`] has left as they are.
    pub limits_hit: u32,
}

impl Translations {
    /// Are there none?
    pub fn are_none(&self) -> bool {
        self.found.is_empty()
    }

    /// Is what any of them may be computed from a value of which `is_it` is true?
    pub fn concern(&self, is_it: impl Fn(Value) -> bool) -> bool {
        let is_root = |address: Address| matches!(address.root, Root::Value(root) if is_it(root));
        self.found.iter().any(|(root, pointer)| {
            let condition = match pointer {
                Pointer::Selected { condition, .. } => is_it(*condition),
                Pointer::Passed { .. } => false,
            };
            is_it(*root) || condition || pointer.addresses().any(is_root)
        })
    }
}

impl Memory<'_> {
    /// What the root of `location` is one of, if it is such a pointer.
    pub fn pointer(&self, location: &Location) -> Option<&Pointer> {
        match location.address.root {
            Root::Value(root) if !self.translations.are_none() => {
                self.translations.found.get(&root)
            }
            _ => None,
        }
    }

    /// `access`, by a pointer that is `address`. `None` if it is not known where it is.
    ///
    /// One to a slot that carries a region is none that the versions of that region know all
    /// about: while nobody else knew the slot, it may have been stored to by another one.
    pub fn translated(&self, access: &Access, address: Address) -> Option<Access> {
        let address = address.plus(access.location.address.offset?, self.pointer_bits);
        if let Root::Slot(slot) = address.root {
            let size = i64::from(self.func.sized_stack_slots[slot].size);
            let (start, bytes) = (address.offset?, i64::from(access.location.bytes?));
            let is_inside = start >= 0 && start.checked_add(bytes)? <= size;
            if !is_inside || self.slots.are_left || access.class.is_some() {
                return None;
            }
        }
        address.offset?;
        let location = Location {
            address,
            ..access.location
        };
        Some(Access {
            location,
            ..access.clone()
        })
    }

    /// Finds the pointers that the loads among `events` load from.
    pub(super) fn find_translations(
        &self,
        events: &[Event],
        numberer: &mut Numberer<'_>,
        order: &Order,
        mut stale: Translations,
    ) -> Translations {
        stale.found.clear();
        stale.limits_hit = 0;
        let mut this = Finder {
            memory: self,
            addresses: Addresses::new(self.func, self.policy),
            numberer,
            found: stale,
            joins: EntitySet::new(),
        };
        let (mut any_params, mut last) = (false, None);
        for event in events {
            if let EventKind::Access(access) = &event.kind
                && access.stored.is_none()
                && let Root::Value(root) = access.location.address.root
                && last != Some(root)
            {
                last = Some(root);
                any_params |= this.find(root, order);
            }
        }
        if any_params {
            this.edges(order);
        }
        this.found
    }
}

/// Looks for them.
struct Finder<'f, 'a, 'n, 'o> {
    memory: &'f Memory<'a>,
    addresses: Addresses<'a>,
    numberer: &'n mut Numberer<'o>,
    found: Translations,
    /// The blocks whose parameters are among them.
    joins: EntitySet<Block>,
}

impl Finder<'_, '_, '_, '_> {
    /// Notes `root` if it is a pointer that is one of several; is it a parameter?
    fn find(&mut self, root: Value, order: &Order) -> bool {
        let func = self.memory.func;
        match func.dfg.value_def(root) {
            ValueDef::Param(block, _) => {
                let Some(join) = order.node(block).filter(|node| *node != 0) else {
                    return false;
                };
                let edges = SmallVec::new();
                let pointer = Pointer::Passed { join, edges };
                self.found.found.insert(root, pointer);
                self.joins.insert(block);
                true
            }
            ValueDef::Result(inst, _) => {
                if let InstructionData::Ternary {
                    opcode: Opcode::Select,
                    args: [condition, x, y],
                } = func.dfg.insts[inst]
                    && !self.found.found.contains_key(&root)
                {
                    let arms = [self.address(x), self.address(y)];
                    self.found
                        .found
                        .insert(root, Pointer::Selected { condition, arms });
                }
                false
            }
            ValueDef::Union(..) => false,
        }
    }

    /// Notes what is passed to the parameters that are noted.
    fn edges(&mut self, order: &Order) {
        let func = self.memory.func;
        let mut passed: Vec<(Value, Option<Value>)> = Vec::new();
        for (from, block) in order.blocks().iter().enumerate() {
            let Some(branch) = func.layout.last_inst(*block) else {
                continue;
            };
            let lists = &func.dfg.value_lists;
            for call in destinations(func, branch) {
                let block = call.block(lists);
                if !self.joins.contains(block) {
                    continue;
                }
                let params = func.dfg.block_params(block).iter();
                for (param, arg) in params.zip(call.args(lists)) {
                    if self.found.found.contains_key(param) {
                        passed.push((*param, arg.as_value()));
                    }
                }
            }
            for (param, arg) in passed.drain(..) {
                let address = arg.map(|arg| self.address(arg));
                let from = from as Node;
                if let Some(Pointer::Passed { edges, .. }) = self.found.found.get_mut(&param) {
                    edges.push(Passed { from, address });
                }
            }
        }
        let limits_hit = &mut self.found.limits_hit;
        self.found.found.retain(|_, pointer| match pointer {
            Pointer::Passed { edges, .. } => {
                *limits_hit += u32::from(edges.len() > MAX_EDGES);
                (2..=MAX_EDGES).contains(&edges.len())
            }
            Pointer::Selected { .. } => true,
        });
    }

    /// Where `value` points, by the names that roots have.
    fn address(&mut self, value: Value) -> Address {
        let memory = self.memory;
        let slot = memory.slots.address(value);
        let address = slot.unwrap_or_else(|| self.addresses.of(value));
        match address.root {
            Root::Value(root) => {
                let (root, ahead) = self.numberer.root(root);
                let root = Root::Value(root);
                Address { root, ..address }.plus(ahead, memory.pointer_bits)
            }
            Root::Slot(_) | Root::InSlot(..) | Root::Shared(..) | Root::Absolute => address,
        }
    }
}
