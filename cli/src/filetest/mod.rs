//! Runs `.clif` files as tests.
//!
//! The format is that of Cranelift's filetests: `test …`, `set …` and
//! `target …` lines, then functions, with expectations in their comments.
//! `test memopt` is new, and six kinds of comments that upstream's reader
//! takes for prose:
//!
//! | comment | meaning |
//! |---|---|
//! | `; policy: CLAUSE` | the policy for the next function; see [`crate::policies`] |
//! | `; stats: NAME=COUNT …` | what the passes have to count in the function before it |
//! | `; dyn: %f(ARG, …) stores=COUNT …` | what a call of the result executes; see [`dynamic`] |
//! | `; dyn-memory: PLACE=VALUE …` | what memory holds before those calls |
//! | `;; needs: PASS …` | in the header: the file has to fail without each of these passes; with `on BOUNDS` behind, only in those versions of Cranelift, and in others it has to pass |
//! | `;; cranelift: BOUNDS` | in the header: the versions that the expectations are for; in others they have to be unmet, see [`versions`] |
//!
//! A file is one module: its functions may call each other, and the passes see
//! all of them. The steps are [`command`] (what the header asks for),
//! [`output`] (what the compiler makes of the functions), [`expect`] (is it
//! what the comments say?), or [`execute`] where functions are run, and
//! [`bless`], which writes new expectations.

pub mod bless;
pub mod collect;
pub mod command;
pub mod crash;
pub mod dynamic;
pub mod execute;
pub mod expect;
pub mod failure;
pub mod header;
pub mod host;
pub mod interpret;
pub mod meaningful;
pub mod native;
pub mod output;
pub mod report;
pub mod run;
pub mod verifier;
pub mod versions;

pub use collect::{Trial, trials};
pub use run::{Setup, Verdict, run};
