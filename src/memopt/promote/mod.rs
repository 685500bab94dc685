//! Promotion: fields of private stack slots become SSA values.
//!
//! # The problem
//!
//! A front end that keeps each local in a stack slot loads it where it is used and stores
//! it where it is assigned. Forwarding finds such a value where one store, or one store on
//! each path, reaches the load. Where a loop changes the local on one path of a branch, the
//! join behind the branch and the header of the loop would each need a parameter that
//! depends on the other, and neither is found without the other:
//!
//! ```text
//! block1(v4: i32):                            block1(v4: i32, v20: i32):
//!     v10 = load.i32 notrap ss0
//!     brif v5, block2, block3                     brif v5, block2, block3(v20)
//! block2:                                     block2:
//!     v11 = iadd v10, v2              ==/==>      v11 = iadd v20, v2
//!     store notrap v11, ss0
//!     jump block3                                 jump block3(v11)
//! block3:                                     block3(v21: i32):
//!     brif v7, block1(v7), block4                 brif v7, block1(v7, v21), block4
//! ```
//!
//! Cranelift 0.137 does nothing here: to it a stack slot is memory like any other.
//!
//! # Phases
//!
//! 0. [`copies`]: what Cranelift's own functions copy from slot to slot, if it is short, becomes
//!    loads and stores.
//! 1. [`accesses`]: which bytes of which slots are read and written, by whom.
//! 2. [`fields`]: ranges of bytes that are always accessed together, as in SROA, and the type
//!    of each as a value. A field that accesses cut into pieces which no cheap conversion
//!    puts together stays in memory, and the others of its slot do not care.
//! 3. [`reaching`]: the pruned SSA form of a field, by iterated dominance frontiers.
//!    Only what a load asks for gets a parameter.
//! 4. [`constants`]: a parameter that is the same constant on all paths is that; [`copied`]: fields that are
//!    copied become values before those that they are copied to.
//! 5. [`choices`]: pointers to one slot or another are loaded from where it is known to which, and
//!    then promotion looks again.
//! 6. [`selects`]: accesses of the slot that a `select` gives become accesses of both, and then
//!    promotion looks again, too.
//! 7. [`pointers`]: pointers to one of a few places in slots that are stored through, or compared,
//!    become the numbers of the places, and then promotion looks again.
//! 8. [`kept`]: addresses are followed through slots that point at each other.
//! 9. Whoever makes the edit ([`Change::Promote`]) adds parameters and conversions.
//!
//! # Soundness
//!
//! - A slot of which every address is followed, and that nobody outside can name
//!   ([`Privacy::Always`]), is read and written by the accesses of this function alone; no call,
//!   barrier or trap sees it, and it is gone at every end. An address at an offset that is not
//!   known may be to any byte of its slot, which then stays as it is. So does a slot of which a
//!   stack map speaks: a collector rewrites it.
//! - An access inside its slot does not trap.
//! - Bytes of a private slot that the function has not written hold values that nobody has
//!   promised anything about, but for one thing: they do not change by themselves. They are zero
//!   here ([`Content::Unwritten`]), for every access and in every run of the passes, so that two
//!   reads of them agree.
//! - Between accesses of different types or widths the conversions are those of forwarding
//!   ([`coerce`](crate::memopt::inst::isle::coerce)), byte order included. Accesses of two byte
//!   orders are not put into one field.
//! - Regions say nothing here: all accesses of a byte of a private slot are to one memory, and
//!   nobody else writes what nobody else knows, whatever the tags say.
//!
//! # Cost
//!
//! O(instructions + edges) for finding, and O(accesses · log accesses) for sorting them. The
//! arguments of parameters have a limit for the whole function
//! ([`reaching::ARGS_PER_ITEM`]); the run counts one hit for each field beyond it.
//!
//! # Previous work
//!
//! Cytron et al., "Efficiently Computing Static Single Assignment Form and the Control
//! Dependence Graph", 1991; LLVM's `PromoteMemoryToRegister.cpp` and `SROA.cpp`, the latter for
//! fields that are whole integers in some accesses and parts of them in others. Pruning by
//! demand, and not by liveness, does not depend on how long a local lives.

mod accesses;
mod choices;
mod constants;
mod copied;
mod copies;
mod fields;
mod groups;
mod kept;
mod pointers;
pub mod published;
pub mod reaching;
mod selects;

use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{Block, Function, Inst, StackSlot};
use crate::memopt::TargetFacts;
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::flow::Flow;
use crate::memopt::cfg::graph::{Node, Order};
use crate::memopt::edit::{Change, Content, Edit, FieldStep, Promoted, Promotion, Reason};
use crate::memopt::memory::slot_escape::{Privacy, Slots};
use accesses::{Traffic, Used};
use alloc::vec::Vec;
use fields::{Field, FieldValue};
use reaching::{Asked, Reached, Reaching};

/// A function, and what is known about it.
pub struct Promoting<'a> {
    /// The function.
    pub func: &'a Function,
    /// Its graph.
    pub cfg: &'a ControlFlowGraph,
    /// Its dominator tree.
    pub domtree: &'a DominatorTree,
    /// What follows from both.
    pub flow: &'a Flow,
    /// What the embedder knows.
    pub policy: &'a dyn Policy,
    /// What the target says.
    pub target: TargetFacts,
    /// May slots be freed that nothing names any more?
    pub frees_slots: bool,
}

/// What can be promoted.
pub struct Found {
    /// The edits.
    pub edits: Vec<Edit>,
    /// Does one of the fields hold the address of a slot, or is one only known to loads that move?
    /// That may be all that keeps the other slot in memory, so that there is more to find once the
    /// edits are made; and so there is behind copies that have become loads and stores.
    pub reveals_more: bool,
    /// How often a limit has kept a field, or all of them, in memory.
    pub limits_hit: u32,
}

/// How often promotion looks once more because a field held the address of a slot, or loads have
/// moved to where it is known of which slot they are.
///
/// Each look follows pointers to pointers one level further, and front ends rarely have more than
/// two. What is given up is the rest of a longer chain, and the run counts one hit.
pub const MAX_LOOKS: u32 = 8;

impl Promoting<'_> {
    /// One edit for each field of `slots`, those of the function, that becomes a value, and one for
    /// each slot that is left without accesses.
    pub fn find(&self, slots: &Slots) -> Found {
        let mut limits_hit = 0;
        let mut traffic = None;
        if copies::are_declared(self.func) {
            let traffic = traffic.insert(Traffic::new(self.func, slots, self.target));
            let expanded = copies::edits(self.func, slots, traffic, self.policy);
            if !expanded.is_empty() {
                // What they were of can become values.
                return Found {
                    edits: expanded,
                    reveals_more: true,
                    limits_hit,
                };
            }
        }
        let mut edits = self.edits(slots, traffic, &mut limits_hit);
        let mut promotions = edits.iter();
        let mut reveals_more = promotions.any(|edit| match &edit.change {
            Change::Promote(promotion) => holds_address(self.func, slots, promotion),
            _ => false,
        });
        // It moves loads of slots that none of the others is about.
        let chosen = choices::find(self.func, &self.flow.order, slots, &mut limits_hit);
        let selected = selects::find(self.func, &self.flow.order, slots, self.policy);
        let is_simpler = chosen.is_some() || !selected.is_empty();
        edits.extend(chosen);
        edits.extend(selected);
        reveals_more |= is_simpler;
        if !is_simpler {
            let numbered = pointers::find(self, slots, &mut limits_hit);
            reveals_more |= !numbered.is_empty();
            edits.extend(numbered);
        }
        if !reveals_more && kept::is_any(slots) {
            match edits.is_empty() {
                true => edits = self.behind_kept(slots, &mut limits_hit),
                false => reveals_more = true,
            }
        }
        Found {
            edits,
            reveals_more,
            limits_hit,
        }
    }

    /// The edits, if addresses are followed through slots that keep them.
    fn behind_kept(&self, slots: &Slots, limits_hit: &mut u32) -> Vec<Edit> {
        let Some(dominance) = self.flow.dominance(self.domtree) else {
            *limits_hit += 1;
            return Vec::new();
        };
        match kept::find(self, dominance, slots) {
            Some(slots) => {
                let mut edits = self.edits(&slots, None, limits_hit);
                kept::retain_named(&slots, &mut edits);
                edits
            }
            None => Vec::new(),
        }
    }

    /// The edits, but for copies; `traffic` is that of `slots`, if it is known.
    fn edits(&self, slots: &Slots, traffic: Option<Traffic>, limits_hit: &mut u32) -> Vec<Edit> {
        let mut used = slots.used().iter();
        if !used.any(|slot| slots.privacy(*slot) == Privacy::Always) {
            return Vec::new();
        }
        let anew = || Traffic::new(self.func, slots, self.target);
        let traffic = traffic.unwrap_or_else(anew);
        let fields = fields::find(self.func, self.policy, &traffic);
        if fields.iter().all(|field| field.as_value.is_none()) {
            return Vec::new();
        }
        let Some(dominance) = self.flow.dominance(self.domtree) else {
            *limits_hit += 1;
            return Vec::new();
        };
        let reaching = Reaching::new(&self.flow.graph, dominance, traffic.touched.len());
        self.promote(&self.flow.order, &traffic, fields, reaching, limits_hit)
    }

    fn promote(
        &self,
        order: &Order,
        traffic: &Traffic,
        fields: Vec<Field>,
        mut reaching: Reaching<'_>,
        limits_hit: &mut u32,
    ) -> Vec<Edit> {
        let mut promotions = Vec::with_capacity(fields.len());
        // Fields are sorted by their slots, and so are these.
        let mut slots: Vec<StackSlot> = fields.iter().map(|field| field.slot).collect();
        slots.dedup();
        let mut kept: Vec<StackSlot> = Vec::new();
        for Field { slot, as_value } in fields {
            let promotion = as_value.and_then(|value| {
                self.promotion(order, traffic, (slot, value), &mut reaching, limits_hit)
            });
            match promotion {
                Some(promotion) => promotions.push((slot, promotion)),
                None => kept.push(slot),
            }
        }
        let promotions = copied::in_order(self.func, promotions).into_iter();
        let edit = |(slot, promotion)| Change::Promote(promotion).because(Reason::Private(slot));
        let mut edits: Vec<Edit> = promotions.map(edit).collect();
        // What is in unreachable blocks has not been looked at.
        if self.frees_slots && self.func.layout.blocks().count() == order.len() {
            slots.retain(|slot| kept.binary_search(slot).is_err());
            edits.extend(freed(traffic, slots));
        }
        edits
    }

    /// How one field becomes a value; `None` beyond a limit, or if there is no zero for
    /// what nobody has written.
    fn promotion(
        &self,
        order: &Order,
        traffic: &Traffic,
        (slot, value): (StackSlot, FieldValue),
        reaching: &mut Reaching<'_>,
        limits_hit: &mut u32,
    ) -> Option<Promotion> {
        let asked = value.steps.iter().map(|(touched, step)| Asked {
            node: traffic.touched[*touched as usize].node,
            reads: step.reads(),
            writes: step.writes(),
        });
        let Some(reached) = reaching.definitions(asked) else {
            *limits_hit += 1;
            return None;
        };
        let Reached {
            before,
            params,
            args,
        } = constants::removed(self.func, &value, reached);
        let block = |node: Node| order.block(node);
        let params: Vec<Block> = params.into_iter().map(block).collect();
        let mut args: Vec<(Block, Block, Content)> = args
            .into_iter()
            .map(|(pred, param, content)| (block(pred), params[param as usize], content))
            .collect();
        for join in &params {
            let preds = self.cfg.pred_iter(*join).map(|pred| pred.block);
            let unreachable = preds.filter(|pred| order.node(*pred).is_none());
            args.extend(unreachable.map(|pred| (pred, *join, Content::Unwritten)));
        }
        args.sort_unstable_by_key(|(pred, join, _)| (*pred, *join));
        args.dedup_by_key(|(pred, join, _)| (*pred, *join));
        let steps = value.steps.into_iter().zip(before);
        let accesses = steps.map(|((touched, step), before)| Promoted {
            inst: traffic.touched[touched as usize].inst,
            before,
            step,
        });
        let promotion = Promotion {
            slot: Some(slot),
            ty: value.ty,
            params,
            args,
            accesses: accesses.collect(),
        };
        let has_zero = !value.ty.is_vector() || value.ty.bits() == 128;
        let mut asked = promotion.asked();
        let is_written = asked.all(|it| matches!(it, Content::Param(_) | Content::Store(_)));
        drop(asked);
        (has_zero || is_written).then_some(promotion)
    }
}

/// Is the address of a slot stored to a field?
fn holds_address(func: &Function, slots: &Slots, promotion: &Promotion) -> bool {
    let mut steps = promotion.accesses.iter().map(|access| &access.step);
    steps.any(|step| match step {
        FieldStep::Store(value, _) => {
            let value = func.dfg.resolve_aliases(*value);
            slots.address(value).is_some()
        }
        FieldStep::Load(_) | FieldStep::StorePart { .. } => false,
    })
}

/// Those of `slots`, of which every field has become a value, that nothing else names.
fn freed(traffic: &Traffic, mut slots: Vec<StackSlot>) -> impl Iterator<Item = Edit> {
    slots.retain(|slot| !matches!(traffic.used[*slot], Used::Named));
    let mut addresses: Vec<Vec<Inst>> = slots.iter().map(|_| Vec::new()).collect();
    for (slot, inst) in &traffic.addresses {
        if let Ok(at) = slots.binary_search(slot) {
            addresses[at].push(*inst);
        }
    }
    let both = slots.into_iter().zip(addresses);
    both.map(|(slot, addresses)| Change::FreeAddressed(slot, addresses).because(Reason::Unnamed))
}
