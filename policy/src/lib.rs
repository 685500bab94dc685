//! Policies as text.
//!
//! An embedder that has its own types implements [`Policy`]. The program, the
//! filetests, the oracle and the benches read a policy from text instead: it is
//! a [`DeclaredPolicy`].
//!
//! ```
//! use cranelift_memopt::{CalleeName, Policy};
//! use memopt_policy::DeclaredPolicy;
//!
//! let policy: DeclaredPolicy = "
//!     ; What the host function `log` does.
//!     callee %log reads 2 traps
//!     lost-at-trap 3
//! "
//! .parse()?;
//! assert!(!policy.survives_trap(3));
//! let log = policy.callee(&CalleeName::from("log")).unwrap();
//! assert!(log.may_trap() && log.reads().contains(2) && log.writes().is_empty());
//! # Ok::<(), memopt_policy::PolicyError>(())
//! ```

#![deny(missing_docs)]

mod declared;
#[cfg(test)]
mod tests;
mod watched;

// `declared.rs` takes these from its parent, because upstream's filetest runner
// gets the same file, and finds them in `cranelift_codegen` there.
use cranelift_memopt::{CalleeName, Origin, Policy, RegionSet, Summary};

pub use declared::{ComponentLimits, DeclaredPolicy, PolicyError};
pub use watched::Watched;
