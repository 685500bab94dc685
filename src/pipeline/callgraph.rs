//! Functions that call each other, callees first.
//!
//! The order is that of Tarjan's strongly connected components ("Depth-first
//! search and linear graph algorithms", 1972), which come out bottom-up. Inside
//! a component summaries are computed to a fixpoint from below: they only grow,
//! and nobody outside reads them before they have settled.

// Upstream's filetest runner gets this file too, so the names that are elsewhere
// there come from the parent.
use super::names::{
    CalleeName, Context, Function, FxHashMap, InstructionData, Policy, Summaries, Summary,
    TargetFacts, Vec, WithSummaries, summarize, vec,
};

/// Rounds over a call cycle.
///
/// A round that changes anything adds a region to a set or sets a flag, and
/// each function needs few; past the limit the whole cycle is opaque.
const MAX_FIXPOINT_ROUNDS: usize = 16;

/// Visits of a call cycle.
///
/// Most cycles are done after the first, and the rest after two. What is given
/// up beyond it is what only a still better summary would allow; each function
/// of the cycle counts one hit.
const MAX_CYCLE_VISITS: usize = 4;

/// Groups of functions that call each other, by index; callees come before
/// their callers. A function that only calls others is a group of its own.
pub struct CallGraph {
    /// The index of the function that a name means; `None` if two have it.
    by_name: FxHashMap<CalleeName, Option<usize>>,
    groups: Vec<Vec<usize>>,
    recursive: Vec<bool>,
    /// For each function: can a call of it lead back to it?
    in_cycle: Vec<bool>,
}

impl CallGraph {
    /// The call graph of `functions`, by the names that they have and call.
    ///
    /// Cost: O(instructions).
    pub fn new<'f>(functions: impl Iterator<Item = &'f Function> + Clone) -> Self {
        let mut by_name = FxHashMap::default();
        for (index, func) in functions.clone().enumerate() {
            by_name
                .entry(CalleeName::of_function(&func.name))
                .and_modify(|index| *index = None)
                .or_insert(Some(index));
        }
        let callees: Vec<Vec<usize>> = functions.map(|func| callees(func, &by_name)).collect();
        let groups = Tarjan::new(&callees).run();
        let recursive: Vec<bool> = groups
            .iter()
            .map(|group| group.len() > 1 || callees[group[0]].contains(&group[0]))
            .collect();
        let mut in_cycle = vec![false; callees.len()];
        for (group, recursive) in groups.iter().zip(&recursive) {
            for index in group {
                in_cycle[*index] = *recursive;
            }
        }
        Self {
            by_name,
            groups,
            recursive,
            in_cycle,
        }
    }

    /// Visits every function, callees first. `visit` may change the function;
    /// it is given a policy that knows the summaries of all functions that
    /// have been visited, and of the function's own call cycle. The functions
    /// of a cycle are visited again, as `Turn::Again`, while their summaries
    /// get better.
    ///
    /// `summaries` begins with what is known about functions that are not in the graph, and
    /// ends with what is known about those that are, too. Returns the functions whose cycle
    /// was left by its limit.
    ///
    /// Cost: one summary of each function besides `visit`, and more for those in cycles,
    /// within the limits above.
    ///
    /// # Errors
    ///
    /// Stops at the first error of `visit`.
    pub fn bottom_up<'p, E>(
        &self,
        contexts: &mut [Context],
        policy_of: &dyn Fn(usize) -> &'p dyn Policy,
        target: TargetFacts,
        summaries: &mut Summaries,
        mut visit: impl FnMut(usize, Turn, &mut Context, &dyn Policy) -> Result<(), E>,
    ) -> Result<Vec<usize>, E> {
        let mut left = Vec::new();
        for (group, recursive) in self.groups.iter().zip(&self.recursive) {
            let mut work = Group {
                graph: self,
                contexts: &mut *contexts,
                policy_of,
                target,
                summaries: &mut *summaries,
            };
            if !recursive {
                work.visit(group, Turn::First, &mut visit)?;
                work.update(group[0]);
            } else if !work.visit_cycle(group, &mut visit)? {
                left.extend_from_slice(group);
            }
        }
        Ok(left)
    }
}

/// Whether a function is visited for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is.
    First,
    /// It has been, and now more is known about its callees.
    Again,
}

/// The functions with bodies that `func` calls or takes the address of.
fn callees(func: &Function, by_name: &FxHashMap<CalleeName, Option<usize>>) -> Vec<usize> {
    let mut callees = Vec::new();
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            let func_ref = match func.dfg.insts[inst] {
                InstructionData::Call { func_ref, .. }
                | InstructionData::TryCall { func_ref, .. }
                | InstructionData::FuncAddr { func_ref, .. } => func_ref,
                _ => continue,
            };
            let name = CalleeName::of_ref(func, func_ref);
            if let Some(Some(index)) = name.and_then(|name| by_name.get(&name)) {
                callees.push(*index);
            }
        }
    }
    callees.sort_unstable();
    callees.dedup();
    callees
}

/// One group of functions, while it is worked on.
struct Group<'c, 'p> {
    graph: &'c CallGraph,
    contexts: &'c mut [Context],
    policy_of: &'c dyn Fn(usize) -> &'p dyn Policy,
    target: TargetFacts,
    summaries: &'c mut Summaries,
}

impl Group<'_, '_> {
    /// Visits each function once.
    fn visit<E>(
        &mut self,
        group: &[usize],
        turn: Turn,
        visit: &mut impl FnMut(usize, Turn, &mut Context, &dyn Policy) -> Result<(), E>,
    ) -> Result<(), E> {
        for index in group {
            let policy = WithSummaries {
                policy: (self.policy_of)(*index),
                summaries: self.summaries,
            };
            visit(*index, turn, &mut self.contexts[*index], &policy)?;
        }
        Ok(())
    }

    /// Visits a call cycle until its summaries stay; `false` if they did not.
    ///
    /// What the passes have removed is not done any more, and that may be what
    /// kept something else of the cycle.
    fn visit_cycle<E>(
        &mut self,
        group: &[usize],
        visit: &mut impl FnMut(usize, Turn, &mut Context, &dyn Policy) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.settle(group);
        let mut turn = Turn::First;
        for _ in 0..MAX_CYCLE_VISITS {
            let before = self.summaries_of(group);
            self.visit(group, turn, visit)?;
            self.settle(group);
            if self.summaries_of(group) == before {
                return Ok(true);
            }
            turn = Turn::Again;
        }
        Ok(false)
    }

    fn summaries_of(&self, group: &[usize]) -> Vec<Option<Summary>> {
        let names = group.iter().map(|index| self.name(*index));
        let summaries = names.map(|name| self.summaries.get(&name?).cloned());
        summaries.collect()
    }

    /// Computes the least summaries of a call cycle that agree with each other.
    fn settle(&mut self, group: &[usize]) {
        for index in group {
            self.record(*index, Summary::pure());
        }
        for _ in 0..MAX_FIXPOINT_ROUNDS {
            let mut changed = false;
            for index in group {
                changed |= self.update(*index);
            }
            if !changed {
                return;
            }
        }
        for index in group {
            self.record(*index, Summary::opaque());
        }
    }

    /// Summarizes one function; did that change what is known about it?
    fn update(&mut self, index: usize) -> bool {
        let Some(name) = self.name(index) else {
            return false;
        };
        let ctx = &mut self.contexts[index];
        ctx.func.dfg.resolve_all_aliases();
        ctx.flowgraph();
        let policy = WithSummaries {
            policy: (self.policy_of)(index),
            summaries: self.summaries,
        };
        let mut summary = summarize(&ctx.func, &ctx.cfg, &ctx.domtree, &policy, self.target);
        let old = self.summaries.get(&name);
        if let Some(old) = old {
            // Net effects are not monotone by themselves; the fixpoint is.
            if self.graph.in_cycle[index] {
                summary.join(old);
            }
            if *old == summary {
                return false;
            }
        }
        self.summaries.insert(name, summary);
        true
    }

    fn record(&mut self, index: usize, summary: Summary) {
        if let Some(name) = self.name(index) {
            self.summaries.insert(name, summary);
        }
    }

    /// The name by which calls mean this function, and no other.
    fn name(&self, index: usize) -> Option<CalleeName> {
        let name = CalleeName::of_function(&self.contexts[index].func.name);
        (self.graph.by_name.get(&name) == Some(&Some(index))).then_some(name)
    }
}

/// Tarjan's algorithm, with its own stack.
struct Tarjan<'a> {
    callees: &'a [Vec<usize>],
    /// When a function was first seen; 0 for not yet.
    seen: Vec<usize>,
    /// The earliest open function that can be reached from each.
    low: Vec<usize>,
    open: Vec<usize>,
    is_open: Vec<bool>,
    clock: usize,
    groups: Vec<Vec<usize>>,
}

impl<'a> Tarjan<'a> {
    fn new(callees: &'a [Vec<usize>]) -> Self {
        Self {
            callees,
            seen: vec![0; callees.len()],
            low: vec![0; callees.len()],
            open: Vec::new(),
            is_open: vec![false; callees.len()],
            clock: 0,
            groups: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Vec<usize>> {
        for root in 0..self.callees.len() {
            if self.seen[root] == 0 {
                self.visit(root);
            }
        }
        self.groups
    }

    fn visit(&mut self, root: usize) {
        self.enter(root);
        let mut stack = vec![(root, 0)];
        while let Some((function, next)) = stack.pop() {
            match self.callees[function].get(next) {
                Some(callee) => {
                    stack.push((function, next + 1));
                    if self.seen[*callee] == 0 {
                        self.enter(*callee);
                        stack.push((*callee, 0));
                    } else if self.is_open[*callee] {
                        self.low[function] = self.low[function].min(self.seen[*callee]);
                    }
                }
                None => {
                    self.close(function);
                    if let Some((caller, _)) = stack.last() {
                        self.low[*caller] = self.low[*caller].min(self.low[function]);
                    }
                }
            }
        }
    }

    fn enter(&mut self, function: usize) {
        self.clock += 1;
        self.seen[function] = self.clock;
        self.low[function] = self.clock;
        self.open.push(function);
        self.is_open[function] = true;
    }

    /// Ends a group if `function` was the first of it.
    fn close(&mut self, function: usize) {
        if self.low[function] != self.seen[function] {
            return;
        }
        let start = self.open.iter().rposition(|open| *open == function);
        let mut group = self.open.split_off(start.unwrap_or(0));
        for member in &group {
            self.is_open[*member] = false;
        }
        group.sort_unstable();
        self.groups.push(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_callees_first() {
        // 0 -> 1 <-> 2 -> 3, 4 -> 4
        let callees = [vec![1], vec![2], vec![1, 3], vec![], vec![4]];
        let groups = Tarjan::new(&callees).run();
        assert_eq!(groups, [vec![3], vec![1, 2], vec![0], vec![4]]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let callees: Vec<Vec<usize>> = (0..100_000)
            .map(|index| {
                if index + 1 < 100_000 {
                    vec![index + 1]
                } else {
                    vec![]
                }
            })
            .collect();
        let groups = Tarjan::new(&callees).run();
        assert_eq!(groups.len(), 100_000);
        assert_eq!(groups[0], [99_999]);
    }
}
