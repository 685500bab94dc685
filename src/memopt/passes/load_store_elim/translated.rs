//! Loads by a pointer that is one of several, where what is behind each of them is known.
//!
//! ```text
//! block1:                                block1:
//!     store v1, v2                           store v1, v2
//!     jump block3(v2)                        jump block3(v2, v1)
//! block2:                                block2:
//!     v4 = load.i64 v3+8                     v4 = load.i64 v3+8
//!     v5 = iadd v3, 8                        v5 = iadd v3, 8
//!     jump block3(v5)              ==>       jump block3(v5, v4)
//! block3(v6: i64):                       block3(v6: i64, v7: i64):
//!     v8 = load.i64 v6
//!     return v8                              return v7
//! ```
//!
//! Soundness: that of [`Clobbers::at_edges`](crate::memopt::memory::clobber::Clobbers): between the
//! start of the block and the load nothing writes the bytes, and at the end of each predecessor
//! they have a name. A load that may trap has been preceded by an access to the bytes behind each
//! of the pointers.
//!
//! Cost: one query for each edge into the block, of which there are at most `MAX_EDGES`; only of
//! loads by such a pointer that have to do with other accesses.

use super::Pass;
use crate::ir::{Block, Inst, Type, Value};
use crate::memopt::cfg::graph::{Node, defining_node};
use crate::memopt::edit::{Change, Reason};
use crate::memopt::inst::coercion::Recipe;
use crate::memopt::inst::location::Address;
use crate::memopt::memory::clobber::AtEdge;
use crate::memopt::memory::insts::{Access, EventIndex};
use crate::memopt::memory::translation::Pointer;
use crate::memopt::memory::values::Values;
use alloc::vec::Vec;

/// The values of a `load` at the ends of the predecessors, for each edge; `None` where it is the
/// value of the load before. `None` at all if one of them is not known.
pub fn args(
    values: &Values<'_, '_>,
    load: Inst,
    edges: &[AtEdge],
) -> Option<Vec<(Block, Option<Value>)>> {
    let ty = values.type_of(values.memory.func.dfg.first_result(load));
    let known = edges.iter().map(|edge| {
        let value = match edge.source {
            None => None,
            Some(source) => {
                let key = values.key(source, &edge.access, edge.access.opcode, ty);
                Some(values.value_at_end(edge.from, source, &edge.access, key)?)
            }
        };
        Some((values.order.block(edge.from), value))
    });
    known.collect()
}

impl Pass<'_, '_, '_, '_> {
    /// Replaces the load `event` by what is known behind each pointer that its own may be;
    /// from where on what it gives is there.
    pub(super) fn translated(
        &mut self,
        event: EventIndex,
        inst: Inst,
        access: &Access,
    ) -> Option<Node> {
        let memory = self.facts.memory;
        match memory.pointer(&access.location)? {
            Pointer::Passed { .. } => {
                let (join, edges) = self.clobbers.at_edges(event)?;
                let Some(args) = args(self.facts, inst, &edges) else {
                    self.untranslated.push(event);
                    return None;
                };
                self.replace_by_known(inst, join, args);
                Some(join)
            }
            Pointer::Selected { condition, arms } => {
                self.selected(event, inst, access, (*condition, arms))
            }
        }
    }

    /// Looks again at the loads of which not all was known: what comes round a loop is loaded
    /// behind its header.
    pub(super) fn translate_again(&mut self) {
        for event in core::mem::take(&mut self.untranslated) {
            if let Some(access) = self.facts.memory.access(event) {
                self.translated(event, self.inst(event), access);
            }
        }
    }

    /// The same for what a `select` gives.
    fn selected(
        &mut self,
        event: EventIndex,
        inst: Inst,
        access: &Access,
        (condition, arms): (Value, &[Address; 2]),
    ) -> Option<Node> {
        let memory = self.facts.memory;
        let (node, result) = (memory.node(event), memory.func.dfg.first_result(inst));
        let ty = self.facts.type_of(result);
        let there = defining_node(memory.func, self.facts.order, condition)?;
        if !is_selected(ty) || !self.facts.dominance.dominates(there, node) {
            return None;
        }
        let mut values = [result; 2];
        for (value, arm) in values.iter_mut().zip(arms) {
            let access = memory.translated(access, *arm)?;
            let source = self.clobbers.source_elsewhere(event, access.location);
            if source.is_unknown() {
                return None;
            }
            let key = self.facts.key(source, &access, access.opcode, ty);
            *value = match self.facts.look_up(key, node) {
                Some(known) => self.facts.canonical(known.value),
                None => {
                    let (value, recipe, _) = self.stored(source, &access)?;
                    recipe.is_empty().then(|| self.facts.canonical(value))?
                }
            };
        }
        let reason = Reason::KnownBehindBoth(memory.func.dfg.inst_args(inst)[0]);
        if values[0] == values[1] {
            self.replace(inst, values[0], Recipe::new(), reason);
        } else {
            let change = Change::ReplaceLoadBySelect {
                load: inst,
                condition,
                values,
            };
            self.edits.push(change.because(reason));
        }
        Some(node)
    }
}

/// Does one instruction select from values of this type on all targets?
fn is_selected(ty: Type) -> bool {
    !ty.is_vector() && ty.bits() <= 64 && ty.bits() >= 8
}
