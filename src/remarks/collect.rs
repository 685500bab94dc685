//! The observer that collects remarks.
//!
//! Instructions change their meaning while the passes run, and some are gone at the end. So
//! each remark has the texts of the instructions that it names, as they were when it was
//! made.

use super::blockers::Blocked;
use super::{Outcome, Remark, Subject, done, kept};
use crate::ir::Function;
use crate::memopt::call::effects::{CalleeName, Policy};
use crate::memopt::edit::Edit;
use crate::memopt::{Observer, Refusal};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Collects the remarks of all runs over one function.
#[derive(Default)]
pub struct Collector {
    done: Vec<Remark>,
    kept: Vec<Remark>,
    known: Vec<String>,
}

impl Collector {
    /// Every edit, in order; then what was refused last of what is still in `after`.
    ///
    /// Cost: O(remarks).
    pub fn into_remarks(self, after: &Function) -> Vec<Remark> {
        let Self {
            mut done, mut kept, ..
        } = self;
        kept.retain(|remark| is_in(after, remark.subject));
        // In the order of the function: by block, and each in its place. Who sees a store
        // comes before what keeps it from being a no-op.
        let place = |remark: &Remark| match remark.subject {
            Subject::Inst(inst) => place_of(after, inst),
            Subject::Slot(_) | Subject::Block(_) | Subject::Function => None,
        };
        kept.sort_by_cached_key(|remark| (place(remark), remark.pass != "dead-stores"));
        done.append(&mut kept);
        done
    }

    /// What the functions do that `func` calls, `policy` may know already: then there is
    /// nothing to be told about them.
    ///
    /// Cost: one question for each function that `func` declares.
    pub fn ask(&mut self, func: &Function, policy: &dyn Policy) {
        let callees = func.dfg.ext_funcs.iter();
        let known = callees.filter(|(callee, _)| {
            let name = CalleeName::of_ref(func, *callee);
            // What has no name is Cranelift's own.
            name.is_none_or(|name| policy.callee(&name).is_some())
        });
        let names = known.map(|(_, data)| data.name.display(Some(&func.params)).to_string());
        self.known = names.collect();
    }

    /// Takes note of what keeps an access that is left.
    pub fn blocked(&mut self, func: &Function, blocked: &Blocked) {
        self.refused(func, &blocked.refusal);
        if let Some(remark) = self.kept.last_mut()
            && !blocked.others.is_empty()
        {
            kept::and_others(func, remark, &blocked.others);
        }
    }

    /// Forgets what `pass` has refused about `subject`; all passes, if it is `None`.
    fn forget(&mut self, subject: Subject, pass: Option<&str>) {
        self.kept.retain(|remark| {
            remark.subject != subject || pass.is_some_and(|pass| pass != remark.pass)
        });
    }
}

/// The position of an instruction: of its block, and in it.
fn place_of(func: &Function, inst: crate::ir::Inst) -> Option<(usize, usize)> {
    let block = func.layout.inst_block(inst)?;
    let block_at = func.layout.blocks().position(|other| other == block)?;
    let mut insts = func.layout.block_insts(block);
    Some((block_at, insts.position(|other| other == inst)?))
}

fn is_in(func: &Function, subject: Subject) -> bool {
    match subject {
        Subject::Inst(inst) => func.layout.inst_block(inst).is_some(),
        Subject::Slot(slot) => func.sized_stack_slots[slot].size != 0,
        Subject::Block(block) => func.layout.is_block_inserted(block),
        Subject::Function => true,
    }
}

impl Observer for Collector {
    fn edit(&mut self, func: &Function, edit: &Edit) {
        for remark in done::remarks(func, edit) {
            debug_assert_eq!(remark.outcome, Outcome::Done);
            self.forget(remark.subject, None);
            self.done.push(remark);
        }
    }

    fn wants_refusals(&self) -> bool {
        true
    }

    fn refused(&mut self, func: &Function, refusal: &Refusal) {
        if kept::is_idle(func, refusal) {
            return;
        }
        let remark = kept::remark(func, refusal, &self.known);
        self.forget(remark.subject, Some(remark.pass));
        self.kept.push(remark);
    }

    fn step(&mut self, _: &Function) {}

    fn settled(&mut self, _: &Function) {}

    fn trusted(&mut self, _: &Function) {}
}
