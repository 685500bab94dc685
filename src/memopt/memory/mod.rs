//! What a function does to memory: its memory instructions, their mod/ref
//! relation, memory SSA, and the walkers that answer from it.

pub mod bounds;
pub mod calls;
pub mod clobber;
pub mod insts;
pub mod links;
pub mod mod_ref;
pub mod next_access;
pub mod numbering;
mod ops_ahead;
mod ops_back;
pub mod overlapping;
pub mod patch;
pub mod provenance;
pub mod regions;
pub mod room;
mod scan;
pub mod seen_soon;
pub mod slot_escape;
pub mod slot_uses;
pub mod ssa;
pub mod translation;
pub mod values;
