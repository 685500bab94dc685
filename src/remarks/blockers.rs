//! Why the accesses that are left are there.
//!
//! For people, behind a run: no pass depends on it. For each store that a function still has,
//! the nearest event is found that sees its bytes; for each load, the nearest that may have
//! written them. The passes answer whether there is one, by versions; who it is takes a walk
//! over the events, and who wants to know has the time.
//!
//! The walk follows all paths, the nearest blocks first. It takes a value to mean one address
//! everywhere; where that is why a store stays, no event is to blame, and the loop is.
//!
//! Cost: O(events + edges) for each access that is left.

use crate::dominator_tree::DominatorTree;
use crate::flowgraph::ControlFlowGraph;
use crate::ir::{Block, Function, Inst, StackSlot, Value};
use crate::memopt::call::effects::Policy;
use crate::memopt::cfg::graph::{Graph, Node, Order};
use crate::memopt::inst::location::{Overlap, Root};
use crate::memopt::memory::insts::{ANY, Access, EventIndex, Memory, TargetFacts};
use crate::memopt::memory::mod_ref::{Bytes, Writes, mod_ref};
use crate::memopt::memory::slot_escape::Privacy;
use crate::memopt::refusal::{Obstacle, Refusal, Subject};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use smallvec::SmallVec;

/// What keeps each plain access of `func` that is left, in the order of its blocks.
///
/// `cfg` and `domtree` are those of `func`, whose aliases are resolved. An access of which
/// nothing can be said has no entry.
///
/// Cost: O((events + edges) · accesses).
pub fn find(
    func: &Function,
    cfg: &ControlFlowGraph,
    domtree: &DominatorTree,
    policy: &dyn Policy,
    target: TargetFacts,
) -> Vec<Blocked> {
    let order = Order::new(domtree);
    let graph = Graph::forward(&order, cfg);
    let memory = Memory::new(func, &order, policy, target);
    let blockers = Blockers {
        known: Known::new(&memory, &graph),
        memory: &memory,
        order: &order,
        graph: &graph,
    };
    let events = 0..memory.events.len() as EventIndex;
    events.flat_map(|event| blockers.of(event)).collect()
}

/// What keeps an access.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// The access, and the nearest obstacle.
    pub refusal: Refusal,
    /// Others that see what a store writes, on other paths; at most [`MAX_OTHERS`].
    pub others: SmallVec<[Inst; MAX_OTHERS]>,
}

/// So many more instructions are named that see what a store writes. A person who knows three
/// knows where to look for the fourth.
pub const MAX_OTHERS: usize = 2;

struct Blockers<'a> {
    memory: &'a Memory<'a>,
    order: &'a Order,
    graph: &'a Graph,
    known: Known,
}

/// What the walk does at an event.
enum Step {
    /// This is it.
    Stop(Obstacle),
    /// On this path nothing is to blame.
    Gone,
    /// Go on.
    Pass,
}

impl Blockers<'_> {
    fn of(&self, event: EventIndex) -> impl Iterator<Item = Blocked> {
        let subject = Subject::Inst(self.memory.inst(event));
        let blocked = |pass, obstacle, others| Blocked {
            refusal: Refusal {
                pass,
                subject,
                obstacle,
            },
            others,
        };
        let access = self.memory.access(event);
        let seen = access.and_then(|access| {
            access.stored?;
            let mut others = SmallVec::new();
            let obstacle = self.of_store(event, access, &mut others)?;
            Some(blocked("dead-stores", obstacle, others))
        });
        let written = access.and_then(|access| {
            let obstacle = match access.stored {
                None => self.of_load(event, access)?,
                Some(stored) => self.of_noop(event, access, stored)?,
            };
            Some(blocked("load-store", obstacle, SmallVec::new()))
        });
        seen.into_iter().chain(written)
    }

    /// What may have written the bytes of a store that puts back what a load has found.
    fn of_noop(&self, event: EventIndex, access: &Access, stored: Value) -> Option<Obstacle> {
        let dfg = &self.memory.func.dfg;
        let made_by = dfg.value_def(dfg.resolve_aliases(stored)).inst()?;
        if !dfg.insts[made_by].opcode().can_load() {
            return None;
        }
        let obstacle = self.of_load(event, access)?;
        matches!(obstacle, Obstacle::ClobberedBy(_)).then_some(obstacle)
    }

    /// What keeps an access from being looked at at all.
    fn of_any(&self, access: &Access) -> Option<Obstacle> {
        if access.asynchronous {
            return Some(Obstacle::Asynchronous);
        }
        let slot = access.slot()?;
        let is_public = self.memory.slots.privacy(slot) == Privacy::Never;
        is_public.then_some(Obstacle::PublicSlot(slot))
    }

    /// Who sees what a store writes; on other paths, also `others`.
    fn of_store(
        &self,
        event: EventIndex,
        access: &Access,
        others: &mut SmallVec<[Inst; MAX_OTHERS]>,
    ) -> Option<Obstacle> {
        if let Some(obstacle) = self.of_any(access) {
            return Some(obstacle);
        }
        if access.trap.is_some() {
            return Some(Obstacle::MayTrap);
        }
        let home = self.memory.node(event);
        let mut seen = alloc::vec![false; self.order.len()];
        let mut queue = VecDeque::new();
        queue.push_back((home, event + 1..self.memory.of_node(home).end));
        let mut goes_round = false;
        let mut first = None;
        while let Some((node, events)) = queue.pop_front() {
            let mut goes_on = true;
            for next in events {
                match self.sees(access, next) {
                    Step::Stop(obstacle) => {
                        match first {
                            None => first = Some(obstacle),
                            Some(_) => others.extend(self.reader(obstacle)),
                        }
                        if others.len() == MAX_OTHERS {
                            return first;
                        }
                        goes_on = false;
                        break;
                    }
                    Step::Gone => {
                        goes_on = false;
                        break;
                    }
                    Step::Pass => {}
                }
            }
            for succ in self.graph.succs(node).iter().filter(|_| goes_on) {
                goes_round |= *succ <= node;
                if !core::mem::replace(&mut seen[*succ as usize], true) {
                    queue.push_back((*succ, self.memory.of_node(*succ)));
                }
            }
        }
        let moves = matches!(access.location.address.root, Root::Value(_));
        first.or_else(|| (goes_round && moves).then_some(Obstacle::AddressChanges))
    }

    /// Who reads the bytes, if the obstacle is no end of the function.
    fn reader(&self, obstacle: Obstacle) -> Option<Inst> {
        let Obstacle::SeenBy(inst) = obstacle else {
            return None;
        };
        let opcode = self.memory.func.dfg.insts[inst].opcode();
        (opcode.is_call() || !opcode.is_terminator()).then_some(inst)
    }

    /// Does `event` see what a store of `access` has written before?
    fn sees(&self, access: &Access, event: EventIndex) -> Step {
        let memory = self.memory;
        let inst = memory.inst(event);
        let private = self.is_private_behind(access, event);
        let class = access.class.unwrap_or(ANY);
        let survives = !private && memory.survives_trap(class);
        let answer = mod_ref(memory, event, &Bytes::of(access, private));
        match answer.writes {
            _ if answer.ends && survives && !answer.reads => Step::Stop(Obstacle::MayEndAt(inst)),
            _ if answer.reads => Step::Stop(Obstacle::SeenBy(inst)),
            _ if answer.leaves => {
                // A frame that is gone means nothing, but a trap shows one that stands.
                let opcode = memory.func.dfg.insts[inst].opcode();
                let is_left = access.slot().is_some() && (private || opcode.is_return());
                match is_left {
                    true => Step::Gone,
                    false => Step::Stop(Obstacle::SeenBy(inst)),
                }
            }
            Writes::All => Step::Gone,
            Writes::None | Writes::Part | Writes::Some => Step::Pass,
        }
    }

    /// Is the slot of `access` known to nobody else when `event` has begun?
    fn is_private_behind(&self, access: &Access, event: EventIndex) -> bool {
        let Some(slot) = access.slot() else {
            return false;
        };
        let inst = self.memory.inst(event);
        self.known.is_private(slot, event) && !self.memory.slots.escapes_at(inst).contains(&slot)
    }

    /// What keeps a load from being answered.
    fn of_load(&self, event: EventIndex, access: &Access) -> Option<Obstacle> {
        if let Some(obstacle) = self.of_any(access) {
            return Some(obstacle);
        }
        if access.location.bytes.is_none() || access.location.address.offset.is_none() {
            return Some(Obstacle::UnknownPlace);
        }
        let home = self.memory.node(event);
        let mut seen = alloc::vec![false; self.order.len()];
        let mut queue = VecDeque::new();
        queue.push_back((home, self.memory.of_node(home).start..event));
        let mut origins = Origins::default();
        while let Some((node, events)) = queue.pop_front() {
            let mut goes_on = true;
            for before in events.rev() {
                match self.clobbers(access, before) {
                    Step::Stop(obstacle @ Obstacle::OtherForm(_)) => {
                        origins.known.get_or_insert(obstacle);
                        goes_on = false;
                        break;
                    }
                    Step::Stop(obstacle) => return Some(obstacle),
                    Step::Gone => {
                        origins.is_loaded = true;
                        goes_on = false;
                        break;
                    }
                    Step::Pass => {}
                }
            }
            let preds = self.graph.preds(node);
            origins.is_unwritten |= goes_on && node == self.graph.entry;
            for pred in preds.iter().filter(|_| goes_on) {
                if !core::mem::replace(&mut seen[*pred as usize], true) {
                    queue.push_back((*pred, self.memory.of_node(*pred)));
                }
            }
        }
        origins.obstacle(self.order.block(home))
    }

    /// Has `event` written what a load of `access` finds?
    fn clobbers(&self, access: &Access, event: EventIndex) -> Step {
        let memory = self.memory;
        let inst = memory.inst(event);
        let private = self.is_private_behind(access, event);
        let is_load = memory.access(event).is_some_and(|it| it.stored.is_none());
        if is_load {
            return self.loads(access, event, private);
        }
        if memory.is_constant(access) {
            return Step::Pass;
        }
        match mod_ref(memory, event, &Bytes::of(access, private)).writes {
            Writes::None => Step::Pass,
            Writes::Some | Writes::Part => Step::Stop(Obstacle::ClobberedBy(inst)),
            Writes::All if memory.access(event).is_some() => Step::Stop(Obstacle::OtherForm(inst)),
            Writes::All => Step::Stop(Obstacle::ClobberedBy(inst)),
        }
    }

    /// Has the load `event` found the very bytes of `access`?
    fn loads(&self, access: &Access, event: EventIndex, private: bool) -> Step {
        let memory = self.memory;
        let same = memory.access(event).is_some_and(|other| {
            let overlap = memory.overlap(&other.location, &access.location, private);
            overlap == Overlap::Same
        });
        let reads = mod_ref(memory, event, &Bytes::of(access, private)).reads;
        match same && reads {
            true => Step::Gone,
            false => Step::Pass,
        }
    }
}

/// Where the bytes of a load come from, if nothing since then may have changed them.
#[derive(Default)]
struct Origins {
    /// A store that has written them, in another form.
    known: Option<Obstacle>,
    /// Another load has found them.
    is_loaded: bool,
    /// They are older than the function.
    is_unwritten: bool,
}

impl Origins {
    fn obstacle(self, block: Block) -> Option<Obstacle> {
        let is_known = self.known.is_some() || self.is_loaded;
        match (is_known, self.is_unwritten) {
            (true, true) => Some(Obstacle::DependsOnPath(block)),
            (false, true) => Some(Obstacle::NotWritten),
            (_, false) => self.known,
        }
    }
}

/// Which slots somebody else may know, and where.
struct Known {
    /// For each slot that escapes somewhere, whether it may have at each event.
    slots: Vec<(StackSlot, Vec<bool>)>,
}

impl Known {
    fn new(memory: &Memory<'_>, graph: &Graph) -> Self {
        let slots = memory.slots.used().iter().copied();
        let escaping = slots.filter(|slot| memory.slots.privacy(*slot) != Privacy::Always);
        let slots = escaping.map(|slot| (slot, escaped(memory, graph, slot)));
        Self {
            slots: slots.collect(),
        }
    }

    /// Is `slot` certainly unknown to everybody else just before `event`?
    fn is_private(&self, slot: StackSlot, event: EventIndex) -> bool {
        let entry = self.slots.iter().find(|entry| entry.0 == slot);
        entry.is_none_or(|(_, escaped)| !escaped[event as usize])
    }
}

/// For each event, whether the address of `slot` may have escaped before it.
fn escaped(memory: &Memory<'_>, graph: &Graph, slot: StackSlot) -> Vec<bool> {
    let mut escaped = alloc::vec![false; memory.events.len()];
    let mut seen = alloc::vec![false; graph.len()];
    let mut work: Vec<(Node, core::ops::Range<EventIndex>)> = Vec::new();
    for (index, event) in (0..).zip(&memory.events) {
        if memory.slots.escapes_at(event.inst).contains(&slot) {
            work.push((event.node, index + 1..memory.of_node(event.node).end));
        }
    }
    while let Some((node, events)) = work.pop() {
        for event in events {
            escaped[event as usize] = true;
        }
        for succ in graph.succs(node) {
            if !core::mem::replace(&mut seen[*succ as usize], true) {
                work.push((*succ, memory.of_node(*succ)));
            }
        }
    }
    escaped
}
