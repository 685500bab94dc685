//! An independent proof that a run of the passes changed nothing that can be
//! observed.
//!
//! [`check`] is given a function before and after, and knows nothing of why it
//! was changed. It shares no analysis with the passes: the meaning of opcodes,
//! of addresses, of calls, and of privacy is worked out again.
//!
//! | file | what it is about |
//! |---|---|
//! | `opcodes` | what an instruction is |
//! | `tables`, `claims` | what is not code, and what accesses promise |
//! | `terms`, `simplify`, `parts` | values, equal if they are the same term |
//! | `place`, `fact`, `store_buffer`, `balance` | what is said about memory |
//! | `memory` | both memories: what they hold, and where they differ |
//! | `known`, `differences`, `buffering`, `transfer` | what accesses and calls do to that |
//! | `transfers`, `copying` | Cranelift's own functions that copy, fill and compare memory |
//! | `state` | what is known at one point of both runs |
//! | `meet`, `meet_parts`, `meet_memory`, `meet_facts`, `meet_state` | the lattice: what two states have in common |
//! | `walk` | the product of both functions: `walk::{product, walker}` its points, `walk::{one_sided, events}` the steps, `walk::order` who steps, `walk::{incoming, points}` the states |
//! | `packing` | slots that have other places in the frame: `packing::{addresses, holders}` |
//! | `widened`, `bounded` | addresses at indices that are apart |
//! | `calls`, `regions` | policy and summaries |
//! | `body` | graph and live values of one function |
//!
//! The argument is in `docs/checker.md`.

#![deny(missing_docs)]

mod balance;
mod body;
mod bounded;
mod buffering;
mod calls;
mod check;
mod claims;
mod copying;
mod differences;
mod fact;
mod known;
mod meet;
mod meet_facts;
#[cfg(test)]
mod meet_laws;
mod meet_memory;
mod meet_parts;
mod meet_state;
mod memory;
#[doc(hidden)]
pub mod opcodes;
mod packing;
mod parts;
mod pieces;
mod place;
mod regions;
mod run;
mod side;
mod simplify;
mod slot_set;
mod state;
mod store_buffer;
mod sums;
mod tables;
mod terms;
mod transfer;
mod transfers;
mod vectors;
mod verdict;
mod walk;
mod widened;
mod words;

pub use check::check;
pub use run::{
    CheckError, CheckedStats, Checking, optimize_module_checked, run_checked, run_module_checked,
};
pub use side::Side;
pub use verdict::{Limit, Reason, Refusal, Spot, Verdict};
