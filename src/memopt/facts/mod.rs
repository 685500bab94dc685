//! What one instruction, one address and one call do.

pub mod address;
pub mod calls;
pub mod coercion;
pub mod declared;
pub mod effect;
pub mod location;
