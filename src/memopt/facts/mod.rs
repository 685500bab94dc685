//! What one instruction, one address and one call do.

pub mod calls;
pub mod declared;
