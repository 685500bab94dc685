//! What calls do to memory, where the embedder knows it.
//!
//! ```text
//! v1 = load.i64 notrap region0 v0         v1 = load.i64 notrap region0 v0
//! store notrap region0 v2, v0        ==>  call fn0()
//! call fn0()  ;; has no part in region0
//! store notrap region0 v1, v0
//! ```
//!
//! Nothing is known of a function that is called: it may read and write all memory, may
//! trap, and may unwind. That makes each call a fence for alias analysis. An embedder that
//! has a whole program in its hands knows more, and can say so with a [`Summary`].
//!
//! Like inlining, this is a library and no complete solution. The embedder visits callees
//! first, computes what each function does with [`summarize`], and tells its callers with
//! [`Context::learn_call_effects`][crate::Context::learn_call_effects]. Where callees are
//! inlined bottom-up, functions are visited in that order anyway:
//!
//! ```text
//! for each function, callees first:
//!     context.inline(inliner)
//!     context.learn_call_effects(effects)
//!     summaries[function] = summarize(&context.func)
//! for each function, in any order:
//!     context.compile(isa, ctrl_plane)
//! ```
//!
//! A summary speaks of alias regions by their `user_id`, which has to mean the same memory
//! in the caller and in the callee, as it does for inlining. An access that has no region
//! may be to any of them. A call without a summary is what it always was, and so is one
//! whose callee may write all memory.

mod extent;
mod from_body;
mod region_set;
mod summary;

pub use self::from_body::summarize;
pub use self::region_set::RegionSet;
pub use self::summary::Summary;

use crate::ir::{
    ArgumentPurpose, DataFlowGraph, ExternalName, FuncRef, Function, Inst, InstructionData, Opcode,
};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A trait for telling Cranelift what functions do that are called.
///
/// Used in combination with the
/// [`Context::learn_call_effects`][crate::Context::learn_call_effects] method.
pub trait CallEffects {
    /// A hook invoked for each function that `caller` may call directly, whose result
    /// says what each call of it does. `None` if nothing is known.
    ///
    /// The `CallEffects` implementor must ensure the following, or the generated code
    /// may be incorrect:
    ///
    /// * No call of `callee` does more than the summary says, whatever the arguments
    ///   are, whatever is linked in its place, and by whomever it calls in turn.
    ///
    /// * An alias region with one `user_id` is the same memory in both functions.
    ///
    /// Patchable functions are not asked about, and libcalls are known.
    fn effects(&mut self, caller: &Function, callee: FuncRef) -> Option<Summary>;
}

impl<'a, T> CallEffects for &'a mut T
where
    T: CallEffects,
{
    fn effects(&mut self, caller: &Function, callee: FuncRef) -> Option<Summary> {
        (*self).effects(caller, callee)
    }
}

/// Invokes the hook for each function that `func` declares, and notes the answers.
/// Returns whether there are any.
pub(crate) fn do_learn_call_effects(func: &mut Function, mut hook: impl CallEffects) -> bool {
    let callees: Vec<FuncRef> = func.dfg.ext_funcs.keys().collect();
    let mut any = false;
    for callee in callees {
        let data = &func.dfg.ext_funcs[callee];
        let effects = match data.name {
            _ if data.patchable || copies_memory(&func.dfg, callee) => None,
            ExternalName::LibCall(libcall) => Some(Summary::of_libcall(libcall)),
            ExternalName::User(_) | ExternalName::TestCase(_) => hook.effects(func, callee),
            ExternalName::KnownSymbol(_) => None,
        };
        // What may be written anywhere is as good as unknown.
        let effects = effects.filter(|effects| !effects.touches().is_all());
        any |= effects.is_some();
        func.dfg.callee_effects[callee] = effects.map(Box::new);
    }
    any
}

/// Is memory of the caller copied when `callee` is called? It has no alias region.
fn copies_memory(dfg: &DataFlowGraph, callee: FuncRef) -> bool {
    let signature = dfg.ext_funcs[callee].signature;
    let mut params = dfg.signatures[signature].params.iter();
    params.any(|param| matches!(param.purpose, ArgumentPurpose::StructArgument(_)))
}

impl DataFlowGraph {
    /// What the call `inst` does, if that is known, is not to write all memory, and the
    /// call comes back here.
    pub fn call_effects(&self, inst: Inst) -> Option<&Summary> {
        match self.insts[inst] {
            InstructionData::Call {
                opcode: Opcode::Call,
                func_ref,
                ..
            }
            | InstructionData::TryCall { func_ref, .. } => self.callee_effects[func_ref].as_deref(),
            _ => None,
        }
    }

    /// The regions that the call `inst` may leave changed, given what it does.
    ///
    /// An exception handler finds memory as it was when the exception was thrown.
    pub(crate) fn written_by_call<'a>(&self, inst: Inst, effects: &'a Summary) -> &'a RegionSet {
        match self.insts[inst].opcode() {
            Opcode::TryCall => effects.touches(),
            _ => effects.writes(),
        }
    }
}
