//! One region for all accesses, while upstream's egraph pass runs.
//!
//! # The problem
//!
//! Upstream's alias analysis gives each region a last store, and accesses
//! without a region the last fence. That is not enough where memory is accessed
//! with a region and without, because an access without a region may be to any memory:
//!
//! ```text
//! store notrap region0 v1, v0
//! v2 = load.i64 notrap v0          ; served what came before the store
//! ```
//!
//! Likewise a store without a region is taken for one that changes
//! nothing although a store to a region came between, and is removed although a
//! call on a path that never exits sees it. `docs/upstream-findings.md` has them
//! all. Regions that the embedder joins ([`Policy::representative`]) are two
//! memories for upstream, and one in truth.
//!
//! # The remedy
//!
//! With every access in one region, all of them may alias, and what upstream
//! does to the accesses of one region is right. So a function that needs it has
//! its tags set aside ([`Tags::take`]) for the time of the pass. It goes without
//! what disjoint regions allow there; our passes see the tags again, and find
//! the rest.
//!
//! # Soundness of putting back
//!
//! An instruction that touches memory and is not a *pure load* (`readonly`,
//! `notrap`, `can_move`) stays the instruction that it was, or goes: of two
//! loads that become one, the first keeps its own tag, and executed under it
//! before. Pure loads are values to the egraph pass. They are merged, copied and
//! placed where the value is used, so that the instruction that is left need not
//! be the one that was there. It gets the tag that all pure loads like it had
//! (the same type, offset and other flags), and none if they had several.
//!
//! # Cost
//!
//! A look at flags and regions if all flags name a region and none are joined, two scans if
//! nothing is to be done all the same, and otherwise four, with one map entry a pure load
//! and two flags for each that the function has.

use super::defects::is_plain;
use crate::entity::EntityRef;
use crate::ir::{
    AliasRegion, AliasRegionData, AliasRegionSet, DataFlowGraph, Function, GlobalValueData, Inst,
    InstructionData, MemFlags, MemFlagsData, MemFlagsSet, Opcode, Type,
};
use crate::memopt::call::effects::Policy;
use crate::memopt::inst::effect::{Effect, any_inst, effect};
use crate::{FxHashMap, FxHashSet};
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// The tags of a function, set aside.
#[must_use = "the function has lost its regions until they are put back"]
pub struct Tags {
    regions: AliasRegionSet,
    flags: MemFlagsSet,
    /// The flags of each instruction that there was.
    of_insts: Vec<Option<MemFlags>>,
    /// The flags that pure loads had, by what they have in common.
    of_pure_loads: FxHashMap<PureLoad, MemFlags>,
    /// For each of the flags of the meantime, those that say the same and name
    /// no region.
    untagged: Vec<MemFlags>,
    of_globals: Vec<Option<MemFlags>>,
}

/// The tags of a function would mislead upstream and cannot be set aside: it has so many
/// different flags that there are no numbers for more (65,536 of them).
pub struct TooManyFlags;

/// What tells pure loads apart that cannot be merged.
type PureLoad = (Type, i32, MemFlags);

impl Tags {
    /// As [`Self::try_take`], for whoever has to run the pass in any case: where the tags
    /// cannot be set aside, what is given up is the protection.
    pub fn take(func: &mut Function, policy: &dyn Policy) -> Option<Self> {
        match needs_one_region(func, policy) {
            true => Self::set_aside(func).ok(),
            // Nothing is moved, in most functions.
            false => None,
        }
    }

    /// Puts all accesses of `func` into one region, if upstream would be wrong
    /// about some of them otherwise; `None` if it would not.
    ///
    /// # Errors
    ///
    /// It would be, and there are [`TooManyFlags`] to do so. The function is unchanged.
    pub fn try_take(
        func: &mut Function,
        policy: &dyn Policy,
    ) -> Result<Option<Self>, TooManyFlags> {
        match needs_one_region(func, policy) {
            true => Self::set_aside(func).map(Some),
            false => Ok(None),
        }
    }

    /// Puts all accesses of `func` into one region.
    fn set_aside(func: &mut Function) -> Result<Self, TooManyFlags> {
        let regions = func.dfg.alias_regions.clone();
        let flags = func.dfg.mem_flags.clone();
        let Some(meantime) = Meantime::new(func) else {
            func.dfg.alias_regions = regions;
            func.dfg.mem_flags = flags;
            return Err(TooManyFlags);
        };
        Ok(meantime.replace(func, regions))
    }

    /// Gives each access its region back.
    pub fn put_back(self, func: &mut Function) {
        let Self {
            regions,
            flags,
            of_insts,
            of_pure_loads,
            untagged,
            of_globals,
        } = self;
        for index in 0..func.dfg.num_insts() {
            let inst = Inst::from_u32(index as u32);
            let Some(now) = func.dfg.insts[inst].memflags() else {
                continue;
            };
            let was = match pure_load(&func.dfg, inst) {
                Some(load) => of_pure_loads.get(&load).copied(),
                None => of_insts.get(index).copied().flatten(),
            };
            set_flags(
                &mut func.dfg.insts[inst],
                was.unwrap_or(untagged[number(now)]),
            );
        }
        for (global, was) in func.global_values.values_mut().zip(of_globals) {
            if let (GlobalValueData::Load { flags, .. }, Some(was)) = (global, was) {
                *flags = was;
            }
        }
        func.dfg.alias_regions = regions;
        func.dfg.mem_flags = flags;
    }
}

/// Is there an access without a region that upstream may be wrong about, or are there regions
/// that are joined?
///
/// Where no access has a region, the last fence is the last store for all of them, and upstream
/// is right, but for the store that a fence does not observe.
///
/// Cost: O(flags + regions), without an allocation where no region is joined. Only if the
/// function has flags without a region are its instructions looked at.
#[inline]
pub fn needs_one_region(func: &Function, policy: &dyn Policy) -> bool {
    let regions = &func.dfg.alias_regions;
    !policy.joins_none(regions) && have_joined(regions, policy)
        || has_flags(&func.dfg.mem_flags, false) && may_mislead(func)
}

/// May upstream be wrong about an access without a region, if there is one?
#[inline(never)]
fn may_mislead(func: &Function) -> bool {
    let is_untagged = |inst| {
        let data = &func.dfg.insts[inst];
        accesses_memory(data) && data.alias_region(&func.dfg).is_none()
    };
    (has_flags(&func.dfg.mem_flags, true) || any_inst(func, |inst| is_fence(func, inst)))
        && any_inst(func, is_untagged)
}

/// May upstream take `inst` for a fence?
fn is_fence(func: &Function, inst: Inst) -> bool {
    // Most instructions are told by their format.
    if is_plain(func, inst) && !func.dfg.insts[inst].opcode().is_call() {
        return false;
    }
    match effect(func, inst) {
        Effect::Call | Effect::Transfer(_) | Effect::Barrier(_) => true,
        Effect::None | Effect::Access(_) | Effect::Trap | Effect::End => false,
    }
}

/// Are two regions one memory by the policy? It joins some regions, at least with others that
/// the function does not have.
#[inline(never)]
fn have_joined(regions: &AliasRegionSet, policy: &dyn Policy) -> bool {
    let mut memories = FxHashSet::default();
    let mut ids = regions.iter().map(|(_, data)| data.user_id);
    ids.any(|id| !memories.insert(policy.representative(id)))
}

/// Are there flags with a region, or without?
fn has_flags(flags: &MemFlagsSet, with_region: bool) -> bool {
    // A loop by hand, because functions that are left alone are asked, too: numbers end before
    // those of 16 bits do.
    let mut next: u16 = 0;
    while flags.is_valid(MemFlags::new(next.into())) {
        if flags[MemFlags::new(next.into())].alias_region().is_some() == with_region {
            return true;
        }
        next += 1;
    }
    false
}

/// A `bitcast` has flags and accesses none.
fn accesses_memory(data: &InstructionData) -> bool {
    let opcode = data.opcode();
    data.memflags().is_some() && (opcode.can_load() || opcode.can_store())
}

/// The flags that a function gets for the time of the pass.
struct Meantime {
    /// The original flags, with those without a region among them.
    flags: MemFlagsSet,
    /// The flags of the meantime.
    merged: MemFlagsSet,
    /// From the original flags, and whether memory is accessed under them, to
    /// those of the meantime.
    to_merged: FxHashMap<(MemFlags, bool), MemFlags>,
    /// See [`Tags::untagged`].
    untagged: Vec<MemFlags>,
}

impl Meantime {
    fn new(func: &mut Function) -> Option<Self> {
        let one = one_region(&mut func.dfg.alias_regions);
        let mut meantime = Self {
            flags: func.dfg.mem_flags.clone(),
            merged: MemFlagsSet::new(),
            to_merged: FxHashMap::default(),
            untagged: Vec::new(),
        };
        for index in 0..func.dfg.num_insts() {
            let inst = Inst::from_u32(index as u32);
            let data = &func.dfg.insts[inst];
            if let Some(flags) = data.memflags() {
                let region = accesses_memory(data).then_some(one);
                meantime.add(&func.dfg, flags, region)?;
            }
        }
        for global in func.global_values.values() {
            if let GlobalValueData::Load { flags, .. } = global {
                meantime.add(&func.dfg, *flags, Some(one))?;
            }
        }
        Some(meantime)
    }

    fn add(&mut self, dfg: &DataFlowGraph, was: MemFlags, one: Option<AliasRegion>) -> Option<()> {
        if self.to_merged.contains_key(&(was, one.is_some())) {
            return Some(());
        }
        let data = dfg.mem_flags[was];
        let untagged = self.flags.insert(without_region(data)).ok()?;
        let merged = self.merged.insert(data.with_alias_region(one)).ok()?;
        if number(merged) == self.untagged.len() {
            self.untagged.push(untagged);
        }
        self.to_merged.insert((was, one.is_some()), merged);
        Some(())
    }

    /// Gives `func` these flags, and keeps what it had; `regions` are those
    /// that it had.
    fn replace(self, func: &mut Function, regions: AliasRegionSet) -> Tags {
        let Self {
            flags,
            merged,
            to_merged,
            untagged,
        } = self;
        func.dfg.mem_flags = merged;
        let mut of_insts = Vec::with_capacity(func.dfg.num_insts());
        let mut of_pure_loads = FxHashMap::default();
        for index in 0..func.dfg.num_insts() {
            let inst = Inst::from_u32(index as u32);
            let data = &func.dfg.insts[inst];
            let was = data.memflags();
            of_insts.push(was);
            let Some(was) = was else { continue };
            let now = to_merged[&(was, accesses_memory(data))];
            set_flags(&mut func.dfg.insts[inst], now);
            if let Some(load) = pure_load(&func.dfg, inst) {
                let known = of_pure_loads.entry(load).or_insert(was);
                if *known != was {
                    *known = untagged[number(now)];
                }
            }
        }
        let globals = func.global_values.values_mut().map(|global| match global {
            GlobalValueData::Load { flags, .. } => {
                let was = *flags;
                *flags = to_merged[&(was, true)];
                Some(was)
            }
            _ => None,
        });
        Tags {
            regions,
            flags,
            of_insts,
            of_pure_loads,
            untagged,
            of_globals: globals.collect(),
        }
    }
}

/// A region that the function does not have yet.
fn one_region(regions: &mut AliasRegionSet) -> AliasRegion {
    let mut user_id = u32::MAX;
    while regions.contains(user_id) {
        user_id -= 1;
    }
    regions.insert(AliasRegionData {
        user_id,
        description: Cow::Borrowed("all memory"),
    })
}

/// What is known of `inst` if it is a load that the egraph pass takes for a
/// value.
fn pure_load(dfg: &DataFlowGraph, inst: Inst) -> Option<PureLoad> {
    let InstructionData::Load {
        opcode: Opcode::Load,
        flags,
        offset,
        ..
    } = dfg.insts[inst]
    else {
        return None;
    };
    let data = dfg.mem_flags[flags];
    let is_pure = data.readonly() && data.notrap() && data.can_move();
    // A load that has left the layout may have no result any more.
    let result = dfg.inst_results(inst).first().filter(|_| is_pure)?;
    Some((dfg.value_type(*result), offset.into(), flags))
}

fn without_region(mut data: MemFlagsData) -> MemFlagsData {
    data.set_alias_region(None);
    data
}

fn number(flags: MemFlags) -> usize {
    flags.index()
}

/// Sets the flags of an instruction that has some.
fn set_flags(data: &mut InstructionData, new: MemFlags) {
    match data {
        InstructionData::AtomicCas { flags, .. }
        | InstructionData::AtomicRmw { flags, .. }
        | InstructionData::Load { flags, .. }
        | InstructionData::LoadNoOffset { flags, .. }
        | InstructionData::Store { flags, .. }
        | InstructionData::StoreNoOffset { flags, .. } => *flags = new,
        // What has no flags; `memflags` says so, and nobody asks.
        _ => debug_assert!(data.memflags().is_none(), "{data:?} has flags"),
    }
}
