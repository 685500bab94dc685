//! What an edit did, in words.

use super::{Outcome, Remark, Subject, words};
use crate::ir::{Block, Function, Inst};
use crate::memopt::edit::{Change, Edit, Moved, Place, Reason, Sunk};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// A remark for each instruction or slot that `edit` is about to change in `func`.
pub fn remarks(func: &Function, edit: &Edit) -> Vec<Remark> {
    let (reason, blame) = reason(func, &edit.reason);
    let changed = changed(func, &edit.change).into_iter();
    let remark = |(subject, what): (Subject, String)| Remark {
        outcome: Outcome::Done,
        pass: counter(&edit.change, subject, func),
        what,
        reason: reason.clone(),
        blame: blame.iter().map(|inst| words::blame(func, *inst)).collect(),
        ..words::about(func, subject)
    };
    changed.map(remark).collect()
}

/// What is changed, and how.
fn changed(func: &Function, change: &Change) -> Vec<(Subject, String)> {
    let inst = |inst: &Inst, what: &str| vec![(Subject::Inst(*inst), what.to_string())];
    match change {
        Change::ReplaceLoad { load, value, .. } => inst(load, &format!("replaced by {value}")),
        Change::ReplaceLoadByHalves(load, _) => inst(load, "replaced by its halves"),
        Change::ReplaceLoadByConstant(load, bits) => inst(load, &format!("replaced by {bits:#x}")),
        Change::ReplaceLoadByParam { load, block, .. } => {
            inst(load, &format!("replaced by a parameter of {block}"))
        }
        Change::ReplaceLoadBySelect { load, values, .. } => {
            let [x, y] = values;
            inst(load, &format!("replaced by a select of {x} and {y}"))
        }
        Change::RemoveNoopStore(removed)
        | Change::RemoveDeadStore(removed)
        | Change::RemoveNoopCopy(removed)
        | Change::RemoveDeadCopy(removed)
        | Change::RemoveUnusedLoad(removed)
        | Change::RemoveUnusedCode(removed)
        | Change::RemoveTrap(removed) => inst(removed, "removed"),
        Change::MergeStores(merged) => vec![
            (Subject::Inst(merged.removed), "merged into the next".into()),
            (
                Subject::Inst(merged.store.replaced),
                "merged with the one before".into(),
            ),
        ],
        Change::CombineLoads(combined) => inst(&combined.sum, "loaded at once"),
        Change::ForwardCopy(forwarded) => {
            let what = format!("copies what {} copies", forwarded.first);
            inst(&forwarded.call, &what)
        }
        Change::ExpandCopy(expanded) => inst(&expanded.call, "replaced by loads and stores"),
        Change::TrimStore(store) => inst(&store.replaced, &format!("trimmed to an {}", store.ty)),
        Change::FoldCompare(compare, value) => inst(compare, &format!("is always {value}")),
        Change::FoldBranch(branch, taken) => inst(branch, &taken_of(func, *branch, *taken)),
        Change::Bypass(bypass) => vec![(Subject::Block(bypass.block), "bypassed".into())],
        Change::MergeBlocks(twin) => {
            let what = format!("becomes one with {}", twin.other);
            vec![(Subject::Block(twin.block), what)]
        }
        Change::Straighten { block, into } => {
            vec![(Subject::Block(*block), format!("became the end of {into}"))]
        }
        Change::Thread(thread) => {
            let last = thread
                .chain
                .last()
                .and_then(|block| func.layout.last_inst(*block));
            let from = func.layout.inst_block(thread.edge.branch);
            let from = from.map_or_else(String::new, |block| format!(" from {block}"));
            let subject = last.unwrap_or(thread.edge.branch);
            let what = taken_of(func, subject, thread.taken);
            inst(&subject, &format!("{what} on the path{from}"))
        }
        Change::Sink(sunk) => sunk_stores(func, sunk),
        Change::JoinStores(joined) => {
            let what = format!("made one store of a parameter of {}", joined.join);
            let stores = joined.stores.iter();
            stores
                .map(|(_, store)| (Subject::Inst(*store), what.clone()))
                .collect()
        }
        Change::SinkLoad(moved, below) | Change::SinkPure(moved, below) => {
            inst(moved, &format!("sunk to {}", below.block))
        }
        Change::MoveUp(upward) => {
            let edges = upward.edges.iter();
            let from = edges.filter_map(|edge| func.layout.inst_block(edge.branch));
            let what = format!("moved up from {} to {}", upward.join, words::list(from));
            let moved = upward.moved.iter().map(|moved| match moved {
                Moved::Load(inst, _) | Moved::Store(inst) => Subject::Inst(*inst),
            });
            moved.map(|subject| (subject, what.clone())).collect()
        }
        Change::LoadWhereChosen(choices) => {
            let what = "moved to where it is known which slot it reads";
            let loads = choices.iter().flat_map(|choice| &choice.loads);
            loads
                .map(|(load, _)| (Subject::Inst(*load), what.into()))
                .collect()
        }
        Change::AccessBoth { accesses, .. } => {
            let what = "made an access of each slot that it may be of";
            let accesses = accesses.iter();
            accesses
                .map(|(inst, _)| (Subject::Inst(*inst), what.into()))
                .collect()
        }
        Change::NumberPlaces(numbered) => {
            let what = "made an access of each place that it may be of";
            let accesses = numbered.accesses.iter();
            accesses
                .map(|access| (Subject::Inst(access.inst), what.into()))
                .collect()
        }
        Change::HoistLoads(hoisted) => {
            let what = format!("moved in front of the loop of {}", hoisted.header);
            let loads = hoisted.loads.iter();
            loads
                .map(|load| (Subject::Inst(*load), what.clone()))
                .collect()
        }
        Change::MergeLoads(merged) => {
            let what = format!("moved to the end of {}", merged.block);
            let loads = merged.loads.iter();
            loads
                .map(|load| (Subject::Inst(*load), what.clone()))
                .collect()
        }
        Change::CarryRound(carried) => {
            let what = "becomes a value that goes round the loop, and is stored behind it";
            let accesses = carried.value.accesses.iter();
            accesses
                .map(|access| (Subject::Inst(access.inst), what.into()))
                .collect()
        }
        Change::TurnLoop(turned) => vec![(
            Subject::Block(turned.header),
            "tests behind the body of its loop".into(),
        )],
        Change::RemoveCycles { params, insts } if params.is_empty() => {
            let insts = insts.iter();
            insts
                .map(|inst| (Subject::Inst(*inst), "removed".into()))
                .collect()
        }
        Change::RemoveParams(params) | Change::RemoveCycles { params, .. } => {
            let what = format!("loses the parameters {}", words::list(params));
            vec![(Subject::Function, what)]
        }
        Change::Promote(promotion) => {
            let what = format!("a field of it becomes a value, {}", promotion.ty);
            let subject = promotion.slot.map_or(Subject::Function, Subject::Slot);
            vec![(subject, what)]
        }
        Change::FreeSlot(slot) | Change::FreeAddressed(slot, _) => {
            vec![(Subject::Slot(*slot), "freed".into())]
        }
        Change::ShrinkSlot { slot, size, .. } => {
            vec![(Subject::Slot(*slot), format!("{size} bytes of it stay"))]
        }
        Change::ShareSlot {
            slot, with, start, ..
        } => {
            let place = match start {
                0 => format!("put in the place of {with}"),
                start => format!("put in the place of {with}, from byte {start} on"),
            };
            vec![(Subject::Slot(*slot), place)]
        }
        Change::ComputeAgain(value, block) => {
            let what = format!("{value} is computed again");
            vec![(Subject::Block(*block), what)]
        }
        Change::RunEgraph => vec![(Subject::Function, "goes through the mid-end again".into())],
    }
}

/// `always goes to block3`.
fn taken_of(func: &Function, branch: Inst, taken: usize) -> String {
    let targets = func.dfg.insts[branch]
        .branch_destination(&func.dfg.jump_tables, &func.dfg.exception_tables);
    match targets.get(taken) {
        Some(call) => format!("always goes to {}", call.block(&func.dfg.value_lists)),
        None => "is decided".to_string(),
    }
}

/// Each store, and where it goes.
fn sunk_stores(func: &Function, sunk: &Sunk) -> Vec<(Subject, String)> {
    let of_store = |store: &Inst| {
        let places = sunk.places.iter();
        let places = places.filter(|(_, stores)| stores.contains(store));
        let places: Vec<_> = places.map(|(place, _)| self::place(func, place)).collect();
        let what = match places.is_empty() {
            true => "removed from all paths".to_string(),
            false => format!("sunk to {}", words::list(places)),
        };
        (Subject::Inst(*store), what)
    };
    sunk.stores.iter().map(of_store).collect()
}

fn place(func: &Function, place: &Place) -> String {
    match place {
        Place::Start(block) => block.to_string(),
        Place::Edge(from, to) => format!("the edge from {from} to {to}"),
        Place::Trap(trap) => format!("where {} traps", words::inst(func, *trap)),
    }
}

/// Why, and the instructions that this rests on.
fn reason(func: &Function, reason: &Reason) -> (String, Vec<Inst>) {
    let on = |inst: &Inst| vec![*inst];
    let end = |block: &Block| func.layout.last_inst(*block);
    match reason {
        Reason::StoredBy(store) => (
            format!("{} has written the value", words::inst(func, *store)),
            on(store),
        ),
        Reason::LoadedAs(value) => {
            let value = func.dfg.resolve_aliases(*value);
            let load = func.dfg.value_def(value).inst();
            let text = format!("memory holds {value}, which was loaded before");
            (text, load.into_iter().collect())
        }
        Reason::KnownInParts(accesses) => {
            let by = accesses.iter().map(|access| words::inst(func, *access));
            let text = format!("memory holds what is known from {}", words::list(by));
            (text, accesses.to_vec())
        }
        Reason::KnownOnAllPaths(block) => (
            format!("every predecessor of {block} knows the value"),
            Vec::new(),
        ),
        Reason::KnownBehindBoth(pointer) => (
            format!("what is behind either pointer that {pointer} may be is known"),
            Vec::new(),
        ),
        Reason::CopiedWhole(value) => (
            format!(
                "memory holds {value}, and aligned stores that may be to all of it store the same"
            ),
            Vec::new(),
        ),
        Reason::KnownAfter(blocks) => (
            match blocks.len() {
                1 => format!("{} knows the value", words::list(blocks)),
                _ => format!("{} know the value", words::list(blocks)),
            },
            blocks.iter().filter_map(end).collect(),
        ),
        Reason::OverwrittenBy(stores) if stores.is_empty() => (
            "on every path the bytes are overwritten, or the frame ends, before anyone sees them"
                .to_string(),
            Vec::new(),
        ),
        Reason::OverwrittenBy(stores) => {
            let by = stores.iter().map(|store| words::inst(func, *store));
            let text = format!(
                "{} overwrites the bytes before anyone sees them",
                words::list(by)
            );
            (text, stores.to_vec())
        }
        Reason::ComparedBy(branch) => (
            format!("behind {} memory holds it", words::inst(func, *branch)),
            on(branch),
        ),
        Reason::CopiedBy(copies) => {
            let by = copies.iter().map(|copy| words::inst(func, *copy));
            let text = match copies.is_empty() {
                true => "it copies bytes to where they are".to_string(),
                false => format!("memory holds it since {}", words::list(by)),
            };
            (text, copies.to_vec())
        }
        Reason::NeverRead(slot) => (
            format!("nothing reads {slot}, and nobody else knows its address"),
            Vec::new(),
        ),
        Reason::NoUses => ("nothing uses the result".to_string(), Vec::new()),
        Reason::Folded => (
            "what is known about the addresses decides it".to_string(),
            Vec::new(),
        ),
        Reason::Constant => ("its condition is a constant".to_string(), Vec::new()),
        Reason::DecidedBy(branch) => (
            format!("{} has decided the condition", words::inst(func, *branch)),
            on(branch),
        ),
        Reason::DeterminedAfter(block) => (
            format!("behind {block} the condition is known"),
            end(block).into_iter().collect(),
        ),
        Reason::UnobservedOnSomePaths => (
            "on the other paths nobody sees what it writes".to_string(),
            Vec::new(),
        ),
        Reason::InvariantIn(header) => (
            format!("nothing in the loop of {header} changes what it finds"),
            Vec::new(),
        ),
        Reason::NeededOnAllPaths(block) => (
            format!("every path from {block} comes to it"),
            end(block).into_iter().collect(),
        ),
        Reason::MadeInFrontOf(block) => (
            format!("every block in front of {block} ends with a store to these bytes"),
            Vec::new(),
        ),
        Reason::WouldLeaveLoop(insts) => {
            let named = insts.iter().map(|inst| words::inst(func, *inst));
            let text = format!("{} can leave the loop then", words::list(named));
            (text, insts.to_vec())
        }
        Reason::UsedBelow(block) => (format!("all its uses are behind {block}"), Vec::new()),
        Reason::Private(slot) => (
            format!("only accesses of this function touch {slot}"),
            Vec::new(),
        ),
        Reason::LivesApart(slot) => (
            format!("it is not written where {slot} may still be read, nor the other way round"),
            Vec::new(),
        ),
        Reason::NotReached => ("nobody accesses the rest".to_string(), Vec::new()),
        Reason::Unnamed => ("nothing names it any more".to_string(), Vec::new()),
        Reason::SameAs(block) => (format!("{block} does the same, up to a trap"), Vec::new()),
        Reason::Empty => ("it does nothing but lead on".to_string(), Vec::new()),
        Reason::NothingElseLeadsThere => ("nothing else leads to it".to_string(), Vec::new()),
        Reason::ReachedArithmetic => (
            "a value that memory held has reached arithmetic".to_string(),
            Vec::new(),
        ),
        Reason::CheaperThanKept => (
            "it came from memory, and would be kept from another block".to_string(),
            Vec::new(),
        ),
    }
}

/// The counter that the change moves.
fn counter(change: &Change, subject: Subject, func: &Function) -> &'static str {
    match change {
        Change::ReplaceLoad { .. }
        | Change::ReplaceLoadByConstant(..)
        | Change::ReplaceLoadByHalves(..)
        | Change::ReplaceLoadBySelect { .. } => "forwarded_loads",
        Change::ReplaceLoadByParam { .. } => "joined_loads",
        Change::RemoveNoopStore(_) | Change::RemoveNoopCopy(_) => "noop_stores",
        Change::RemoveDeadStore(_) | Change::RemoveDeadCopy(_) => "dead_stores",
        Change::MergeStores(_) => "merged_stores",
        Change::CombineLoads(_) => "combined_loads",
        Change::TrimStore(_) => "trimmed_stores",
        Change::RemoveUnusedLoad(_) => "unused_loads",
        Change::RemoveUnusedCode(_) => "unused_code",
        Change::RemoveCycles { params, .. } if params.is_empty() => "unused_code",
        Change::RemoveParams(_) | Change::RemoveCycles { .. } => "unused_params",
        Change::FoldCompare(..) => "folded_compares",
        Change::FoldBranch(..) | Change::RemoveTrap(_) => "folded_branches",
        Change::Bypass(_) => "bypassed_blocks",
        Change::MergeBlocks(_) => "merged_blocks",
        Change::Straighten { .. } => "straightened_blocks",
        Change::Thread(_) => "threaded_branches",
        Change::Sink(_) | Change::JoinStores(_) => "sunk_stores",
        Change::SinkLoad(..) => "sunk_loads",
        Change::SinkPure(..) => "sunk_values",
        Change::MoveUp(_) => match subject {
            Subject::Inst(inst) if func.dfg.insts[inst].opcode().can_store() => "raised_stores",
            _ => "raised_loads",
        },
        Change::HoistLoads(_) => "hoisted_loads",
        Change::MergeLoads(_) => "merged_loads",
        Change::CarryRound(_) => "sunk_stores",
        Change::TurnLoop(_) => "turned_loops",
        Change::ForwardCopy(_) => "forwarded_copies",
        Change::ExpandCopy(_) => "expanded_copies",
        Change::LoadWhereChosen(_) => "raised_loads",
        Change::AccessBoth { .. } | Change::NumberPlaces(_) => "split_accesses",
        Change::Promote(_) => "promoted_fields",
        Change::FreeSlot(_) | Change::FreeAddressed(..) => "freed_slots",
        Change::ShrinkSlot { .. } => "shrunk_slots",
        Change::ShareSlot { .. } => "shared_slots",
        Change::ComputeAgain(..) => "recomputed_values",
        Change::RunEgraph => "egraph_runs",
    }
}
