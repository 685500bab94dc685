//! Classes of alias regions: the regions that the policy joins are one memory.

use crate::FxHashMap;
use crate::entity::SecondaryMap;
use crate::ir::{AliasRegion, Function};
use crate::memopt::call::effects::{Policy, RegionSet, is_asynchronous};
use crate::memopt::memory::insts::ANY;
use crate::memopt::memory::ssa::{Class, EPOCH};
use alloc::vec::Vec;
use smallvec::SmallVec;

/// Some classes of memory outside of private slots.
#[derive(Clone, Debug, PartialEq)]
pub enum Classes {
    /// These, and [`ANY`] unless there is none.
    These(SmallVec<[Class; 4]>),
    /// All.
    All,
}

impl Classes {
    /// Those in which what touches these has an operation: for all of them it is the epoch's.
    pub fn of_ops(&self) -> &[Class] {
        match self {
            Self::These(classes) => classes,
            Self::All => &[EPOCH],
        }
    }
}

/// The classes of alias regions.
#[derive(Default)]
pub struct Regions {
    classes: SecondaryMap<AliasRegion, Option<Class>>,
    /// How many regions the function had; `None` if it was another one.
    named: Option<usize>,
    /// By the user id of the representative.
    by_id: FxHashMap<u32, Class>,
    /// What the policy says, by class.
    pub data: Vec<RegionFacts>,
}

/// What is known about the memory of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RegionFacts {
    /// Does the world access it at any time?
    pub asynchronous: bool,
    /// Is what it holds at a trap seen by anyone?
    pub survives_trap: bool,
    /// Does an instruction of the function write it by itself?
    pub stored: bool,
}

impl Regions {
    /// Finds the classes of all regions that `func` names. No store is known yet.
    fn find(&mut self, func: &Function, policy: &dyn Policy) {
        let named = func.dfg.alias_regions.len();
        self.named = Some(named);
        self.classes.clear();
        self.classes.resize(named);
        self.data.clear();
        self.data.reserve(named);
        self.by_id.clear();
        self.by_id.reserve(named);
        for (region, data) in func.dfg.alias_regions.iter() {
            let id = policy.representative(data.user_id);
            let next = ANY + 1 + self.data.len() as Class;
            let class = *self.by_id.entry(id).or_insert(next);
            if class == next {
                self.data.push(RegionFacts {
                    asynchronous: false,
                    survives_trap: policy.survives_trap(id),
                    stored: false,
                });
            }
            // What holds for one tag of a memory holds for the memory.
            let facts = self.of_mut(class);
            facts.asynchronous |= is_asynchronous(policy, Some(data.user_id));
            facts.survives_trap |= policy.survives_trap(data.user_id);
            self.classes[region] = Some(class);
        }
    }

    /// From now on another function is asked about.
    pub fn forget_function(&mut self) {
        self.named = None;
    }

    /// Keeps the classes as they were made for `func`, without a store; makes them anew if it has
    /// got more regions since, or was another one.
    ///
    /// Cost: O(regions).
    pub fn forget_stores(&mut self, func: &Function, policy: &dyn Policy) {
        if self.named != Some(func.dfg.alias_regions.len()) {
            return self.find(func, policy);
        }
        for facts in &mut self.data {
            facts.stored = false;
        }
    }

    /// The class of a region of the function.
    pub fn class(&self, region: AliasRegion) -> Class {
        self.classes[region].expect("every region of the function has a class")
    }

    /// The facts of the class of a region.
    pub fn of_mut(&mut self, class: Class) -> &mut RegionFacts {
        &mut self.data[(class - ANY - 1) as usize]
    }

    /// The facts of `class`, if it is that of a region.
    pub fn of(&self, class: Class) -> Option<RegionFacts> {
        let index = class.checked_sub(ANY + 1)?;
        self.data.get(index as usize).copied()
    }

    /// The classes of `regions` that this function names.
    pub fn classes_of(&self, regions: &RegionSet, policy: &dyn Policy) -> Classes {
        let Some(ids) = regions.ids() else {
            return Classes::All;
        };
        let mut classes = SmallVec::new();
        if !ids.is_empty() {
            classes.push(ANY);
        }
        for id in ids {
            // A region that this function does not name concerns nothing here
            // but accesses without a region.
            if let Some(class) = self.by_id.get(&policy.representative(*id))
                && !classes.contains(class)
            {
                classes.push(*class);
            }
        }
        Classes::These(classes)
    }
}
