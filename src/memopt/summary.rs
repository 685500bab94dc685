//! Summaries of bodies, bottom-up over a call graph.

use crate::FxHashMap;
use crate::memopt::facts::calls::{CalleeName, Origin, Policy, Summary};

/// The summaries of functions whose bodies were at hand, by name.
#[derive(Clone, Debug, Default)]
pub struct Summaries {
    by_name: FxHashMap<CalleeName, Summary>,
}

impl Summaries {
    /// The summary of the function called `name`, if its body was seen.
    pub fn get(&self, name: &CalleeName) -> Option<&Summary> {
        self.by_name.get(name)
    }

    /// Records what the function called `name` does.
    pub fn insert(&mut self, name: CalleeName, summary: Summary) {
        self.by_name.insert(name, summary);
    }
}

/// A policy that knows summaries computed from bodies as well. Where both
/// speak of one callee, the embedder's word counts.
#[derive(Clone, Copy)]
pub struct WithSummaries<'a> {
    /// The embedder's policy.
    pub policy: &'a dyn Policy,
    /// What bodies have told.
    pub summaries: &'a Summaries,
}

impl Policy for WithSummaries<'_> {
    fn callee(&self, name: &CalleeName) -> Option<Summary> {
        let known = self.policy.callee(name);
        known.or_else(|| self.summaries.get(name).cloned())
    }

    fn indirect_callee(&self, origin: &Origin) -> Option<Summary> {
        self.policy.indirect_callee(origin)
    }

    fn survives_trap(&self, region: u32) -> bool {
        self.policy.survives_trap(region)
    }

    fn is_asynchronous(&self, region: u32) -> bool {
        self.policy.is_asynchronous(region)
    }

    fn representative(&self, region: u32) -> u32 {
        self.policy.representative(region)
    }

    fn is_shared_pointer(&self, region: u32, offset: i64) -> bool {
        self.policy.is_shared_pointer(region, offset)
    }
}
