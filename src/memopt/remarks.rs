//! An observer that remembers what was done, what was not, and why.
//!
//! Instructions and values change their meaning while the passes run, and some are gone at
//! the end. So each remark keeps the text of the instructions that it names, as they were
//! when it was made.

use crate::ir::{Block, Function, Inst, Value};
use crate::memopt::edit::{Change, Edit, Moved, Reason};
use crate::memopt::observer::Observer;
use crate::memopt::refusal::{Obstacle, Refusal, Subject};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Something that a run has to say.
#[derive(Clone, Debug)]
pub struct Remark {
    /// What it says.
    pub kind: RemarkKind,
    /// How many times the passes had changed the function before.
    pub step: u32,
    /// The instructions that are named in it and are in the function, as text; what it is
    /// about comes first.
    pub texts: Vec<(Inst, String)>,
}

/// What a [`Remark`] says.
#[derive(Clone, Debug)]
pub enum RemarkKind {
    /// This edit was made.
    Made(Edit),
    /// This was left as it is.
    Refused(Refusal),
}

/// Collects the remarks of a run: every edit, in order, and the last refusal of each pass
/// about each instruction or slot.
///
/// Cost: the texts of the instructions that the remarks name.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    made: Vec<Remark>,
    refused: Vec<Remark>,
    step: u32,
}

impl Remarks {
    /// No remarks.
    pub fn new() -> Self {
        Self::default()
    }

    /// The edits, in the order in which they were made.
    pub fn made(&self) -> &[Remark] {
        &self.made
    }

    /// What was refused and is still there, in the order in which it was refused last.
    pub fn refused(&self) -> &[Remark] {
        &self.refused
    }

    fn remark(&self, func: &Function, kind: RemarkKind) -> Remark {
        let mut texts: Vec<(Inst, String)> = Vec::new();
        let mut name = |inst: Inst| {
            let is_new = texts.iter().all(|(other, _)| *other != inst);
            if is_new && func.layout.inst_block(inst).is_some() {
                texts.push((inst, func.dfg.display_inst(inst).to_string()));
            }
        };
        match &kind {
            RemarkKind::Made(edit) => {
                changed_insts(&edit.change).into_iter().for_each(&mut name);
                reason_insts(func, &edit.reason)
                    .into_iter()
                    .for_each(&mut name);
            }
            RemarkKind::Refused(refusal) => {
                if let Subject::Inst(inst) = refusal.subject {
                    name(inst);
                }
                refusal.obstacle.inst().into_iter().for_each(&mut name);
            }
        }
        Remark {
            kind,
            step: self.step,
            texts,
        }
    }

    /// Forgets what was refused about something, by `pass` or by all.
    fn forget(&mut self, subject: Subject, pass: Option<&str>) {
        self.refused.retain(|remark| match &remark.kind {
            RemarkKind::Refused(refusal) => {
                refusal.subject != subject || pass.is_some_and(|pass| refusal.pass != pass)
            }
            RemarkKind::Made(_) => true,
        });
    }
}

impl Observer for Remarks {
    fn edit(&mut self, func: &Function, edit: &Edit) {
        for inst in edit.change.removed() {
            self.forget(Subject::Inst(inst), None);
        }
        let remark = self.remark(func, RemarkKind::Made(edit.clone()));
        self.made.push(remark);
    }

    fn wants_refusals(&self) -> bool {
        true
    }

    fn refused(&mut self, func: &Function, refusal: &Refusal) {
        self.forget(refusal.subject, Some(refusal.pass));
        let remark = self.remark(func, RemarkKind::Refused(*refusal));
        self.refused.push(remark);
    }

    fn step(&mut self, _func: &Function) {
        self.step += 1;
    }

    fn settled(&mut self, _func: &Function) {}

    fn trusted(&mut self, _func: &Function) {
        self.step += 1;
    }
}

/// The instructions that a change is about.
fn changed_insts(change: &Change) -> Vec<Inst> {
    match change {
        Change::FoldCompare(inst, _)
        | Change::FoldBranch(inst, _)
        | Change::SinkLoad(inst, _)
        | Change::SinkPure(inst, _) => alloc::vec![*inst],
        Change::Bypass(bypass) => bypass.edges.iter().map(|edge| edge.branch).collect(),
        Change::Thread(thread) => alloc::vec![thread.edge.branch],
        Change::HoistLoads(hoisted) => hoisted.loads.clone(),
        Change::MergeLoads(merged) => merged.loads.clone(),
        Change::TurnLoop(turned) => turned.entries.iter().map(|edge| edge.branch).collect(),
        Change::MoveUp(upward) => {
            let moved = upward.moved.iter();
            moved
                .map(|moved| match moved {
                    Moved::Load(inst, _) | Moved::Store(inst) => *inst,
                })
                .collect()
        }
        Change::MergeStores(merged) => alloc::vec![merged.removed, merged.store.replaced],
        Change::TrimStore(store) => alloc::vec![store.replaced],
        Change::ForwardCopy(forwarded) => alloc::vec![forwarded.call],
        Change::ExpandCopy(expanded) => alloc::vec![expanded.call],
        Change::ReplaceLoad { .. }
        | Change::ReplaceLoadByConstant(..)
        | Change::ReplaceLoadByParam { .. }
        | Change::RemoveNoopStore(_)
        | Change::RemoveDeadStore(_)
        | Change::RemoveNoopCopy(_)
        | Change::RemoveDeadCopy(_)
        | Change::RemoveUnusedLoad(_)
        | Change::RemoveUnusedCode(_)
        | Change::LoadWhereChosen(_)
        | Change::AccessBoth { .. }
        | Change::Promote(_)
        | Change::RemoveCycles { .. }
        | Change::Sink(_) => change.removed(),
        Change::RemoveParams(_)
        | Change::FreeSlot(_)
        | Change::FreeAddressed(..)
        | Change::ShrinkSlot { .. }
        | Change::ShareSlot { .. }
        | Change::RunEgraph => Vec::new(),
    }
}

/// The instructions that a reason names.
fn reason_insts(func: &Function, reason: &Reason) -> Vec<Inst> {
    let definition = |value: Value| func.dfg.value_def(func.dfg.resolve_aliases(value)).inst();
    let end = |block: Block| func.layout.last_inst(block);
    match reason {
        Reason::StoredBy(inst) | Reason::DecidedBy(inst) => alloc::vec![*inst],
        Reason::LoadedAs(value) | Reason::CopiedWhole(value) => {
            definition(*value).into_iter().collect()
        }
        Reason::OverwrittenBy(insts)
        | Reason::WouldLeaveLoop(insts)
        | Reason::CopiedBy(insts)
        | Reason::KnownInParts(insts) => insts.to_vec(),
        Reason::DeterminedAfter(block) | Reason::NeededOnAllPaths(block) => {
            end(*block).into_iter().collect()
        }
        Reason::KnownAfter(blocks) => blocks.iter().filter_map(|block| end(*block)).collect(),
        Reason::KnownOnAllPaths(_)
        | Reason::NeverRead(_)
        | Reason::NoUses
        | Reason::Folded
        | Reason::Constant
        | Reason::UnobservedOnSomePaths
        | Reason::UsedBelow(_)
        | Reason::InvariantIn(_)
        | Reason::Private(_)
        | Reason::Unnamed
        | Reason::LivesApart(_)
        | Reason::NotReached
        | Reason::Empty
        | Reason::ReachedArithmetic => Vec::new(),
    }
}

impl Change {
    /// The instructions that are gone from their places afterwards.
    pub fn removed(&self) -> Vec<Inst> {
        match self {
            Self::ReplaceLoad { load, .. }
            | Self::ReplaceLoadByConstant(load, _)
            | Self::ReplaceLoadByParam { load, .. } => {
                alloc::vec![*load]
            }
            Self::RemoveNoopStore(inst)
            | Self::RemoveDeadStore(inst)
            | Self::RemoveNoopCopy(inst)
            | Self::RemoveDeadCopy(inst)
            | Self::RemoveUnusedLoad(inst)
            | Self::RemoveUnusedCode(inst) => alloc::vec![*inst],
            Self::MergeStores(merged) => alloc::vec![merged.removed],
            Self::ForwardCopy(it) if it.removes_first => alloc::vec![it.first],
            Self::ExpandCopy(expanded) => alloc::vec![expanded.call],
            Self::Sink(sunk) => sunk.stores.clone(),
            Self::Promote(promotion) => {
                let accesses = promotion.accesses.iter();
                accesses.map(|access| access.inst).collect()
            }
            Self::LoadWhereChosen(choices) => {
                let loads = choices.iter().flat_map(|choice| &choice.loads);
                loads.map(|(load, _)| *load).collect()
            }
            Self::AccessBoth { accesses, .. } => accesses.iter().map(|(inst, _)| *inst).collect(),
            Self::FreeAddressed(_, addresses) => addresses.clone(),
            Self::RemoveCycles { insts, .. } => insts.clone(),
            Self::MergeLoads(merged) => merged.loads[1..].to_vec(),
            Self::ForwardCopy(_)
            | Self::MoveUp(_)
            | Self::HoistLoads(_)
            | Self::TrimStore(_)
            | Self::TurnLoop(_)
            | Self::RemoveParams(_)
            | Self::FoldCompare(..)
            | Self::FoldBranch(..)
            | Self::Bypass(_)
            | Self::Thread(_)
            | Self::SinkLoad(..)
            | Self::SinkPure(..)
            | Self::FreeSlot(_)
            | Self::ShrinkSlot { .. }
            | Self::ShareSlot { .. }
            | Self::RunEgraph => Vec::new(),
        }
    }
}

impl Obstacle {
    /// The instruction that is to blame, if one is.
    pub fn inst(self) -> Option<Inst> {
        match self {
            Self::SeenBy(inst)
            | Self::MayEndAt(inst)
            | Self::ClobberedBy(inst)
            | Self::OtherForm(inst)
            | Self::CannotPass(inst)
            | Self::NamedBy(inst) => Some(inst),
            Self::MayTrap
            | Self::Asynchronous
            | Self::UnknownPlace
            | Self::PublicSlot(_)
            | Self::SeenOnSomePath
            | Self::NotWritten
            | Self::DependsOnPath(_)
            | Self::AddressChanges
            | Self::OtherValue
            | Self::NothingToLearn
            | Self::Unreachable
            | Self::NoGain
            | Self::Limit(_) => None,
        }
    }
}
